//! The policy store that a verb works on.

use std::path::PathBuf;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::Store;
use cedar_authorizer::store::directory::{self, UnreadableDirectory};
use cedar_authorizer::store::finding::{Finding, Severity};
use clap::Args;

use crate::output::{self, Failure, plural};
use crate::progress;

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
        let read = progress::during(format!("reading `{}`", self.name()), || directory::read(&self.store));
        read.map_err(|error| match error {
            UnreadableDirectory::Io { .. } => Failure::could_not_run(error).hint(hint),
            error => Failure::could_not_run(error),
        })
    }

    /// Reads and checks the store. Prints its findings to stderr.
    pub fn open(&self) -> Result<(Store, StoreFiles), Failure> {
        let files = self.read()?;
        let (store, findings) = progress::during(checking(&files), || Store::check(&files));
        for finding in &findings {
            output::warn(&output::finding(finding, &self.name()));
        }
        let message = format!("the policy store `{}` is invalid", self.store.display());
        store.map(|store| (store, files)).ok_or_else(|| Failure::invalid(message))
    }

    /// The same for a verb that only asks the store. Warnings are for whoever writes it: `check` prints them.
    pub fn open_to_ask(&self) -> Result<(Store, StoreFiles), Failure> {
        let files = self.read()?;
        let (store, findings) = progress::during(checking(&files), || Store::check(&files));
        for finding in findings.iter().filter(|finding| finding.severity == Severity::Error) {
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

/// The progress message while files are checked.
pub fn checking(files: &StoreFiles) -> String {
    let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    format!("checking {}, {} KiB", plural(files.iter().count(), "file"), bytes.div_ceil(1024))
}

/// How many findings have this severity.
pub fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}
