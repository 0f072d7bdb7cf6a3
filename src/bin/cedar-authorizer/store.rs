//! The policy store that a verb works on.

use std::path::PathBuf;

use cedar_authorizer::source::directory;
use cedar_authorizer::store::finding::{Finding, Severity};
use cedar_authorizer::store::{Store, StoreFiles};
use clap::Args;

use crate::output::{self, Failure};

/// The policy store that a verb works on.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The directory of the policy store
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub store: PathBuf,
}

impl StoreArgs {
    /// Reads the files.
    pub fn read(&self) -> Result<StoreFiles, Failure> {
        let hint = "a policy store is a directory with a `store.toml`; name it by --store DIR";
        directory::read(&self.store).map_err(|error| Failure::could_not_run(error).hint(hint))
    }

    /// Reads and checks the store, and prints what is wrong with it to stderr.
    pub fn open(&self) -> Result<(Store, StoreFiles), Failure> {
        let files = self.read()?;
        let (store, findings) = Store::check(&files);
        for finding in &findings {
            output::warn(&output::finding(finding, &self.name()));
        }
        let message = format!("the policy store `{}` is invalid", self.store.display());
        store.map(|store| (store, files)).ok_or_else(|| Failure::invalid(message))
    }

    /// The directory, as it was given.
    pub fn name(&self) -> String {
        self.store.display().to_string()
    }
}

/// How many findings are of a severity.
pub fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}
