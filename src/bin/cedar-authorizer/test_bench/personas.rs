//! The personas of a policy store: who the people of its tests are.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde_json::{Map, Value};
use toml::Spanned;

use crate::nearest::choice;
use crate::output::Failure;

/// The claims of a token, by name.
pub type Claims = Map<String, Value>;

/// The people of `personas.toml`, in the order of the file: a table for each, with claims as keys.
#[derive(Clone, Debug)]
pub struct Personas {
    path: PathBuf,
    personas: Vec<(String, Claims)>,
    is_there: bool,
}

impl Personas {
    /// Reads `personas.toml` of a policy store. Without that file there are no personas.
    pub fn read(store: &Path) -> Result<Self, Failure> {
        let path = store.join("personas.toml");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, personas: Vec::new(), is_there: false });
            }
            read => read.map_err(|error| unreadable(&path, &error))?,
        };
        Self::parse(&path, &text)
    }

    /// Reads the text of a `personas.toml`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let tables: BTreeMap<Spanned<String>, Claims> =
            toml::from_str(text).map_err(|error| unreadable(path, &error))?;
        let mut tables: Vec<(Spanned<String>, Claims)> = tables.into_iter().collect();
        tables.sort_by_key(|(name, _)| name.span().start);
        let persona = |(name, claims): (Spanned<String>, Claims)| {
            let claims = claims.into_iter().map(|(claim, value)| (claim, without_dates(value)));
            (name.into_inner(), claims.collect())
        };
        Ok(Self {
            path: path.to_owned(),
            personas: tables.into_iter().map(persona).collect(),
            is_there: true,
        })
    }

    /// The claims of a persona.
    pub fn get(&self, name: &str) -> Option<&Claims> {
        self.personas.iter().find(|(known, _)| known == name).map(|(_, claims)| claims)
    }

    /// The same; a name that is missing is a failure that says which there are.
    pub fn find(&self, name: &str) -> Result<&Claims, Failure> {
        self.get(name).ok_or_else(|| {
            let failure =
                Failure::could_not_run(format!("there is no persona `{name}` in `{}`", self.path.display()));
            failure.hint(self.advice(name))
        })
    }

    /// What to do about a name that is missing.
    pub fn advice(&self, name: &str) -> String {
        match (self.is_there, self.personas.is_empty()) {
            (true, false) => choice(name, self.names()),
            (true, true) => "the file is empty; it takes a table for each persona".to_owned(),
            (false, _) => "there is no such file; it takes a table for each persona".to_owned(),
        }
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.personas.iter().map(|(name, _)| name.as_str())
    }

    /// The personas, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Claims)> {
        self.personas.iter().map(|(name, claims)| (name.as_str(), claims))
    }
}

fn unreadable(path: &Path, error: &dyn fmt::Display) -> Failure {
    let error = error.to_string();
    Failure::could_not_run(format_args!("cannot read `{}`: {}", path.display(), error.trim_end()))
}

/// TOML has dates, and JSON has not. The TOML reader turns them into an object with one secret key.
fn without_dates(value: Value) -> Value {
    match value {
        Value::Object(mut members) => match members.remove("$__toml_private_datetime") {
            Some(date) => date,
            None => members.into_iter().map(|(name, value)| (name, without_dates(value))).collect(),
        },
        Value::Array(values) => values.into_iter().map(without_dates).collect(),
        other => other,
    }
}
