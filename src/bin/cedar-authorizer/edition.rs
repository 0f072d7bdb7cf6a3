//! What `build` and `publish` put on a bundle beside its revision: signatures and times.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cedar_authorizer::bundle::Edition;
use cedar_authorizer::bundle::signature::PrivateKey;
use cedar_authorizer::time::UnixTime;
use clap::Args;

use crate::keygen::read_private_key;
use crate::output::Failure;

/// Signatures and times of a bundle.
#[derive(Debug, Args)]
pub struct EditionArgs {
    /// Sign the bundle with this private key, a PEM file; `-` reads it from stdin; may be repeated
    ///
    /// `keygen` makes one. Functions with its public half in BUNDLE_PUBLIC_KEYS take no other bundles.
    #[arg(long, value_name = "FILE|-")]
    sign_key: Vec<PathBuf>,

    /// For how many days from now the bundle is good; without this for ever
    ///
    /// Functions that cannot get a newer one then answer 500, as with a bundle that is too stale.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires_in: Option<u32>,
}

/// The same with the keys read.
pub struct Stamp {
    keys: Vec<PrivateKey>,
    created: Option<UnixTime>,
    not_after: Option<UnixTime>,
}

impl EditionArgs {
    /// Reads the keys. `now` is when the bundle is created, where that is to be in it.
    pub fn read(&self, created: Option<UnixTime>) -> Result<Stamp, Failure> {
        let keys = self.sign_key.iter().map(|path| read_private_key(path)).collect::<Result<_, _>>()?;
        let now = UnixTime::from(SystemTime::now());
        let expiry = |days: u32| now.after(Duration::from_secs(u64::from(days) * 86_400));
        Ok(Stamp { keys, created, not_after: self.expires_in.map(expiry) })
    }
}

impl Stamp {
    /// The edition of a revision.
    pub fn edition(&self, revision: u64) -> Edition<'_> {
        Edition { revision, created: self.created, not_after: self.not_after, signing_keys: &self.keys }
    }
}

/// The time that a build which is to be the same at any time takes for now, if it is set
/// (reproducible-builds.org, "SOURCE_DATE_EPOCH").
pub fn source_date() -> Result<Option<UnixTime>, Failure> {
    let Some(text) = env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let seconds = seconds
        .ok_or_else(|| Failure::could_not_run("SOURCE_DATE_EPOCH is not a number of seconds since 1970"))?;
    Ok(Some(UnixTime::from_seconds(seconds)))
}
