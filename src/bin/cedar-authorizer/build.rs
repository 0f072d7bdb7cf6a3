//! `build`: makes a bundle from a policy store.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys, MAX_REVISION, StoreFiles, Trust};
use cedar_authorizer::function::jwks::{FetchFailure, KeyClient};
use cedar_authorizer::store::Store;
use cedar_authorizer::store::build::{self, Edition};
use clap::{Args, value_parser};

use crate::edition::{self, EditionArgs};
use crate::output::{Exit, Failure, print, warn};
use crate::progress;
use crate::runtime::runtime;
use crate::store::StoreArgs;

/// Build a bundle, the one file that the function loads
///
/// Checks the store first. If the store has errors, no bundle is made. The same store and revision always give the
/// same bytes. The file is replaced in one step or not at all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer build --output petstore.bundle
  cedar-authorizer build --output petstore.bundle --revision 42
  cedar-authorizer build --output petstore.bundle --pin-jwks
  cedar-authorizer build --output petstore.bundle --sign-key bundle-key.pem --expires-in 30
  cedar-authorizer build --output acme.bundle --sign-key bundle-key.pem --tenant acme

Exit codes: 0 built, 1 could not read, write or fetch, 3 the store has errors")]
pub struct Build {
    #[command(flatten)]
    store: StoreArgs,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// The increasing number of this version of the store
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u64).range(..=MAX_REVISION))]
    revision: u64,

    #[command(flatten)]
    edition: EditionArgs,

    /// Fetch the keys of the identity sources and keep them in the bundle
    ///
    /// The function then needs no network access to the issuers. Build again before they rotate their keys.
    #[arg(long)]
    pin_jwks: bool,
}

impl Build {
    pub fn run(self) -> Result<Exit, Failure> {
        let stamp = self.edition.read(edition::source_date()?)?;
        let (store, files) = if self.pin_jwks { open_pinned(&self.store)? } else { self.store.open()? };
        let public_keys = PublicKeys::new(stamp.public_keys().cloned());
        let trust = Trust { development_keys: DevelopmentKeys::Allow, public_keys: public_keys.as_ref() };
        let (bytes, bundle) = make(&store, &files, stamp.edition(self.revision), trust)?;
        replace(&self.output, &bytes).map_err(|error| {
            Failure::could_not_run(format!("cannot write `{}`: {error}", self.output.display()))
        })?;
        let (name, revision) = (&bundle.manifest().name, bundle.revision());
        print(&format_args!(
            "{}: {name} revision {revision}, {} files, {} bytes",
            self.output.display(),
            bundle.files().len(),
            bytes.len(),
        ))?;
        Ok(Exit::Fine)
    }
}

/// Builds a bundle and opens it: a bundle that the function could not open must not leave this machine. Whether the
/// function trusts the development key is its own decision, and `check` has already warned of it.
pub fn make(
    store: &Store,
    files: &StoreFiles,
    edition: Edition<'_>,
    trust: Trust<'_>,
) -> Result<(Bytes, Bundle), Failure> {
    let bytes = progress::during("building the bundle", || build::bundle(store, files, edition));
    // Shared, since a copy of a large bundle is much memory.
    let bytes = Bytes::from(bytes.map_err(Failure::invalid)?);
    let bundle = progress::during("opening the bundle", || Bundle::open(bytes.clone(), trust));
    Ok((bytes, bundle.map_err(Failure::invalid)?))
}

/// Reads and checks the store, and fetches the keys that are not in it.
pub fn open_pinned(store: &StoreArgs) -> Result<(Store, StoreFiles), Failure> {
    let (store, mut files) = store.open()?;
    pin_keys(&store, &mut files)?;
    match progress::during("reading the store with its keys", || Store::open(&files)) {
        Ok(store) => Ok((store, files)),
        Err(_) => Err(Failure::invalid("the fetched keys make the store invalid")),
    }
}

/// Adds a key set to every identity source that has none in the store: all of them or none. A bundle that can verify
/// only some tokens is not what was asked for.
fn pin_keys(store: &Store, files: &mut StoreFiles) -> Result<(), Failure> {
    let runtime = runtime()?;
    let client = KeyClient::new(None);
    for source in &store.identity_sources {
        if source.pinned_keys().is_some() {
            continue;
        }
        warn(&format_args!("fetching the keys of `{}`", source.name()));
        // A pool answers under one of its two issuers, or under both with the same keys.
        let mut result = Err(FetchFailure::Unreachable);
        for location in source.key_locations() {
            result = progress::during(format!("waiting for the keys of `{}`", source.name()), || {
                runtime.block_on(client.fetch_keys(&location, DevelopmentKeys::Refuse))
            });
            if result.is_ok() {
                break;
            }
        }
        let (_, text) = result.map_err(|error| {
            Failure::could_not_run(format_args!("the keys of identity source `{}`: {error}", source.name()))
        })?;
        files.insert(source.pinned_keys_file(), text);
    }
    Ok(())
}

/// Replaces a file in one step. Anything that is not a file, such as `/dev/stdout`, is written to directly.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // Permissions as for any new file: others may read it, unless the umask says otherwise. In a Lambda package, the
    // function runs as another user than the one who built the file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
