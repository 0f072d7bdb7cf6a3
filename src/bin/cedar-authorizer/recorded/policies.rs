//! The policies that decide recorded requests.

use std::path::PathBuf;

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, Trust};
use cedar_authorizer::decide::Gate;
use cedar_authorizer::store::build;
use clap::Args;

use crate::inspect::source::{self, Source};
use crate::output::Failure;
use crate::progress;
use crate::store::StoreArgs;
use crate::trust::TrustArgs;

/// The policies that decide.
#[derive(Debug, Args)]
pub struct PoliciesArgs {
    /// The directory of the policy store
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// A bundle instead: a path, s3://bucket/key or s3://bucket/key?versionId=id
    #[arg(long, value_name = "BUNDLE", value_parser = source::parse, conflicts_with = "store")]
    bundle: Option<Source>,

    #[command(flatten)]
    trust: TrustArgs,
}

impl PoliciesArgs {
    /// Whether a store or bundle was named.
    pub fn is_given(&self) -> bool {
        self.store.is_some() || self.bundle.is_some()
    }

    /// What decides, with its name. If none was named, it is the store `policies`.
    pub fn open(&self) -> Result<(String, Gate), Failure> {
        let trusted = self.trust.read()?;
        if let Some(source) = &self.bundle {
            let trust = Trust {
                development_keys: DevelopmentKeys::Allow,
                public_keys: source.trusted(trusted.as_ref()),
            };
            let bundle = Bundle::open(source.read()?, trust).map_err(|error| {
                Failure::invalid(format_args!("`{source}` cannot be used: {error}"))
                    .hint(format!("`cedar-authorizer inspect {source}` shows all that is wrong with it"))
            })?;
            return Ok((source.to_string(), Gate::with_pinned_keys(bundle)));
        }
        let store = StoreArgs { store: self.store.clone().unwrap_or_else(|| DEFAULT_STORE.into()) };
        let (checked, files) = store.open_to_ask()?;
        let build = || {
            let bytes = build::bundle(&checked, &files, STORE_REVISION).map_err(Failure::invalid)?;
            Bundle::open(bytes, DevelopmentKeys::Allow).map_err(Failure::invalid)
        };
        let bundle = progress::during("building the bundle", build)?;
        Ok((store.name(), Gate::with_pinned_keys(bundle)))
    }
}

const DEFAULT_STORE: &str = "policies";

/// The revision of a store that was never built, the same as in the function.
const STORE_REVISION: u64 = 0;
