//! The file of credentials: the form of `~/.aws/credentials`.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Credential, Credentials};
use crate::output::{Failure, printable};

impl Credentials {
    /// Reads a file with one profile or several; any of them may sign.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let at = printable(&path.display().to_string());
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::could_not_run(format_args!("cannot read `{at}`: {error}")))?;
        Self::parse(&Zeroizing::new(text)).map_err(|cause| {
            Failure::could_not_run(format_args!("`{at}` is not a file of credentials: {cause}"))
                .hint("write a profile as in `~/.aws/credentials`: `[name]`, `aws_access_key_id = ...`, `aws_secret_access_key = ...`")
        })
    }

    /// Messages have line numbers, but nothing of the lines: they are secrets.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut profiles: Vec<Profile> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with('[') {
                if !line.ends_with(']') {
                    return Err(format!("line {number} has no `]`"));
                }
                profiles.push(Profile { line: number, ..Profile::default() });
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                return Err(format!("line {number} has no `=`"));
            };
            let Some(profile) = profiles.last_mut() else {
                return Err(format!("line {number} is in no profile"));
            };
            let value = value.trim();
            let place = match name.trim().to_ascii_lowercase().as_str() {
                "aws_access_key_id" => &mut profile.access_key_id,
                "aws_secret_access_key" => &mut profile.secret_access_key,
                "aws_session_token" => &mut profile.session_token,
                // Regions, roles and so on: not of interest here.
                _ => continue,
            };
            if value.is_empty() {
                return Err(format!("line {number} has no value"));
            }
            if place.replace(Zeroizing::new(value.to_owned())).is_some() {
                return Err(format!("line {number} says again what its profile said before"));
            }
        }
        let mut all: Vec<Credential> = Vec::new();
        for profile in profiles {
            let Some(credential) = profile.credential()? else { continue };
            if all.iter().any(|known| known.access_key_id == credential.access_key_id) {
                return Err("two profiles have the same access key id".to_owned());
            }
            all.push(credential);
        }
        if all.is_empty() { Err("it has no access key".to_owned()) } else { Ok(Self { all }) }
    }
}

/// A section of the file.
#[derive(Default)]
struct Profile {
    line: usize,
    access_key_id: Option<Zeroizing<String>>,
    secret_access_key: Option<Zeroizing<String>>,
    session_token: Option<Zeroizing<String>>,
}

impl Profile {
    /// `None`: the profile is for something else, such as a role.
    fn credential(self) -> Result<Option<Credential>, String> {
        let Self { line, access_key_id, secret_access_key, session_token } = self;
        match (access_key_id, secret_access_key) {
            (Some(id), Some(secret_access_key)) => {
                Ok(Some(Credential { access_key_id: id.to_string(), secret_access_key, session_token }))
            }
            (None, None) if session_token.is_none() => Ok(None),
            _ => Err(format!("the profile of line {line} needs an access key id and a secret access key")),
        }
    }
}
