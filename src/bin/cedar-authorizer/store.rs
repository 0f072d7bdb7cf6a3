//! The policy store that a verb works on.

use std::path::PathBuf;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::Store;
use cedar_authorizer::store::directory::{self, UnreadableDirectory};
use cedar_authorizer::store::finding::{Finding, Severity};
use clap::Args;

use crate::findings::{Home, Sources, Width, human};
use crate::output::{Failure, plural, warn};
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
        self.open_and_warn(|_| true)
    }

    /// The same for a verb that only asks the store. Warnings are for whoever writes it: `check` prints them.
    pub fn open_to_ask(&self) -> Result<(Store, StoreFiles), Failure> {
        self.open_and_warn(|finding| finding.severity == Severity::Error)
    }

    fn open_and_warn(&self, is_shown: impl Fn(&Finding) -> bool) -> Result<(Store, StoreFiles), Failure> {
        let files = self.read()?;
        let (store, findings) = progress::during(checking(&files), || Store::check(&files));
        self.warn_of(&files, findings.iter().filter(|finding| is_shown(finding)));
        let message = format!("the policy store `{}` is invalid", self.store.display());
        store.map(|store| (store, files)).ok_or_else(|| Failure::invalid(message))
    }

    /// Prints findings to stderr. `files` are those of the store.
    pub fn warn_of<'a>(&self, files: &StoreFiles, findings: impl IntoIterator<Item = &'a Finding>) {
        let (sources, width) = (Sources::new(&self.store, files), Width::of_stderr());
        for finding in findings {
            warn(&format_args!("{}\n", human(finding, Home::Store, &sources, width)));
        }
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
