//! What `build` and `publish` add to a bundle besides its revision: signatures, times and the tenant.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cedar_authorizer::bundle::Tenant;
use cedar_authorizer::bundle::signature::PublicKey;
use cedar_authorizer::store::build::Edition;
use cedar_authorizer::store::build::PrivateKey;
use cedar_authorizer::time::UnixTime;
use clap::Args;

use crate::keygen::read_private_key;
use crate::output::Failure;

/// The signatures, times and tenant of a bundle.
#[derive(Debug, Args)]
pub struct EditionArgs {
    /// Sign the bundle with this private key, a PEM file; `-` reads it from stdin; may be repeated
    ///
    /// `keygen` makes one. Functions with its public key in BUNDLE_PUBLIC_KEYS accept no bundles without
    /// such a signature.
    #[arg(long, value_name = "FILE|-")]
    sign_key: Vec<PathBuf>,

    /// For how many days from now the bundle is good [default: for ever]
    ///
    /// If functions cannot get a newer one after that, they answer 500, as with a bundle that is too stale.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires_in: Option<u32>,

    /// The tenant that the bundle is for [default: no tenant]
    ///
    /// Functions with `{tenant}` in BUNDLE_URI use it only for this tenant. With BUNDLE_PUBLIC_KEYS they refuse a
    /// bundle without a tenant. Functions without `{tenant}` refuse a bundle with one.
    #[arg(long, value_name = "NAME")]
    tenant: Option<Tenant>,
}

/// The same, with the keys read and the times worked out.
pub struct Stamp {
    keys: Vec<PrivateKey>,
    created: Option<UnixTime>,
    not_after: Option<UnixTime>,
    tenant: Option<Tenant>,
}

impl EditionArgs {
    /// Reads the keys. `created` is the time of creation, if the bundle should have it.
    pub fn read(&self, created: Option<UnixTime>) -> Result<Stamp, Failure> {
        let keys = self.sign_key.iter().map(|path| read_private_key(path)).collect::<Result<_, _>>()?;
        let now = UnixTime::from(SystemTime::now());
        let expiry = |days: u32| now.after(Duration::from_secs(u64::from(days) * 86_400));
        let (not_after, tenant) = (self.expires_in.map(expiry), self.tenant.clone());
        Ok(Stamp { keys, created, not_after, tenant })
    }
}

impl Stamp {
    /// The edition of this revision.
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

    /// The public halves of the keys that sign the bundle.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(PrivateKey::public_key)
    }

    /// The tenant that the bundle is for.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The same for another tenant, or for none.
    pub fn for_tenant(self, tenant: Option<Tenant>) -> Self {
        Self { tenant, ..self }
    }
}

/// The time that reproducible builds use instead of the present, if it is
/// set (reproducible-builds.org, "SOURCE_DATE_EPOCH").
pub fn source_date() -> Result<Option<UnixTime>, Failure> {
    let Some(text) = env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let seconds = seconds
        .ok_or_else(|| Failure::could_not_run("SOURCE_DATE_EPOCH is not a number of seconds since 1970"))?;
    Ok(Some(UnixTime::from_seconds(seconds)))
}
