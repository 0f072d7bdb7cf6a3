//! What `build` and `publish` put on a bundle beside its revision: signatures, times and for whom it is.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cedar_authorizer::bundle::Tenant;
use cedar_authorizer::bundle::signature::{PrivateKey, PublicKey};
use cedar_authorizer::store::build::Edition;
use cedar_authorizer::time::UnixTime;
use clap::Args;

use crate::keygen::read_private_key;
use crate::output::Failure;

/// Signatures and times of a bundle, and for whom it is.
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

    /// The tenant whose bundle it is, where each has one; without this it is for no tenant
    ///
    /// Functions with `{tenant}` in BUNDLE_URI use it for this tenant alone. With BUNDLE_PUBLIC_KEYS they
    /// refuse a bundle without it, and other functions refuse a bundle with it.
    #[arg(long, value_name = "NAME")]
    tenant: Option<Tenant>,
}

/// The same with the keys read.
pub struct Stamp {
    keys: Vec<PrivateKey>,
    created: Option<UnixTime>,
    not_after: Option<UnixTime>,
    tenant: Option<Tenant>,
}

impl EditionArgs {
    /// Reads the keys. `now` is when the bundle is created, where that is to be in it.
    pub fn read(&self, created: Option<UnixTime>) -> Result<Stamp, Failure> {
        let keys = self.sign_key.iter().map(|path| read_private_key(path)).collect::<Result<_, _>>()?;
        let now = UnixTime::from(SystemTime::now());
        let expiry = |days: u32| now.after(Duration::from_secs(u64::from(days) * 86_400));
        let (not_after, tenant) = (self.expires_in.map(expiry), self.tenant.clone());
        Ok(Stamp { keys, created, not_after, tenant })
    }
}

impl Stamp {
    /// The edition of a revision.
    pub fn edition(&self, revision: u64) -> Edition<'_> {
        let Self { keys, created, not_after, tenant } = self;
        Edition {
            revision,
            tenant: tenant.as_ref(),
            created: *created,
            not_after: *not_after,
            signing_keys: keys,
        }
    }

    /// The public halves of the keys that sign it.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(PrivateKey::public_key)
    }

    /// The tenant that it is for.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The same for another tenant, or for none.
    pub fn for_tenant(self, tenant: Option<Tenant>) -> Self {
        Self { tenant, ..self }
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
