//! `build`: a bundle from a policy store.

use std::io::Write;
use std::path::{Path, PathBuf};

use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys};
use clap::Args;
use tempfile::NamedTempFile;

use crate::output::{Exit, Failure, print};
use crate::store::StoreArgs;

/// Build a bundle, the one file that the function loads
///
/// Checks the store first; a store with errors makes no bundle. The same store and revision
/// always make the same bytes. The file is replaced in one step or not at all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer build --output petstore.bundle
  cedar-authorizer build --output petstore.bundle --revision 42

Exit codes: 0 built, 1 could not read or write, 3 the store has errors")]
pub struct Build {
    #[command(flatten)]
    store: StoreArgs,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// The increasing number of this version of the store
    #[arg(long, value_name = "N", default_value_t = 1)]
    revision: u64,
}

impl Build {
    pub fn run(self) -> Result<Exit, Failure> {
        let (store, files) = self.store.open()?;
        let bytes = bundle::build(&store, &files, self.revision).map_err(Failure::invalid)?;
        // What the function could not open must not leave this machine. Whether it trusts the
        // development key is the function's own decision; `check` has warned of it above.
        let bundle = Bundle::open(&bytes, DevelopmentKeys::Allow).map_err(Failure::invalid)?;
        replace(&self.output, &bytes).map_err(|error| {
            Failure::could_not_run(format!("cannot write `{}`: {error}", self.output.display()))
        })?;
        let (name, revision) = (&bundle.manifest().name, bundle.revision());
        print(&format_args!(
            "{}: {name} revision {revision}, {} files, {} bytes",
            self.output.display(),
            bundle.manifest().members.len(),
            bytes.len(),
        ))?;
        Ok(Exit::Fine)
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
