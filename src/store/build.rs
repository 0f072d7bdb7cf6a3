//! Builds bundles: everything in this room writes what the room `bundle` reads.

mod append;
mod archive;
pub(crate) mod chunks;
pub(crate) mod entities;
pub(crate) mod forms;
mod outline;
pub(crate) mod policies;
mod separation;
mod signing;
mod sources;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use cedar_policy::{EntityUid, PolicyId};

use super::directory::{self, UnreadableDirectory};
use super::finding::{self, Code, Finding, Position, Severity};
use super::{Checks, Store};
use crate::bundle::entities::StoredEntities;
use crate::bundle::files::{ENTITIES_FILE, SETTINGS_FILE};
use crate::bundle::outline::{MAP, OUTLINE, SOURCES};
use crate::bundle::policies::PolicyIndex;
use crate::bundle::sources::is_apart;
use crate::bundle::table::Table;
use crate::bundle::{
    Bundle, DevelopmentKeys, InvalidArchive, InvalidManifest, MAX_BUNDLE_BYTES, MAX_REVISION,
    MAX_TENANT_BYTES, StoreFiles, Tenant, Unreadable,
};
use crate::decide::CedarGate;
use crate::store::room::with_room_on_all;
use crate::time::UnixTime;
pub use append::{Appended, append};
use archive::Content;
use chunks::{ChunkSizes, Rows, WrittenMap, early};
use forms::Parts;
pub use separation::{TooEntangled, separate};
pub use signing::{CannotSign, InvalidPrivateKey, LibraryFailure, PrivateKey, sign};
use table::TooLarge;

/// Builds a bundle from a store and the files that it was read from. The same files and edition always make the
/// same bytes.
///
/// # Errors
/// [`CannotBuild`].
pub fn bundle<'a>(
    store: &Store,
    files: &StoreFiles,
    edition: impl Into<Edition<'a>>,
) -> Result<Vec<u8>, CannotBuild> {
    bundle_within(MAX_BUNDLE_BYTES, ChunkSizes::default(), store, files, &edition.into())
}

/// The same with another size limit, and chunks of other sizes.
fn bundle_within(
    max_bytes: usize,
    sizes: ChunkSizes,
    store: &Store,
    files: &StoreFiles,
    edition: &Edition<'_>,
) -> Result<Vec<u8>, CannotBuild> {
    let map = with_room_on_all(|| map(store, sizes)).map_err(CannotBuild::Room)??;
    let outline = serde_json::to_vec(&outline::outline(store)).map_err(InvalidManifest::Json)?;
    let sources = sources::write(files)?;
    let needed = files.iter().filter(|(path, _)| StoreFiles::is_known(path) && !is_apart(path));
    let compiled = [(MAP, map.index.as_slice()), (OUTLINE, &outline), (SOURCES, &sources.table)];
    let members: BTreeMap<&str, &[u8]> = needed.chain(compiled).collect();
    let index = Table::open(map.index.clone().into())?;
    let early = early(&index, store.named_entities.iter().chain([&store.settings.resource]));
    archive::pack(
        max_bytes,
        &store.settings.name,
        edition,
        &Content { members, map: &map.chunks, early, sources: &sources.chunks },
    )
}

/// Checks a policy store as [`Store::check_for`] does, and also whether a bundle can be made of it: builds one in
/// memory and opens it. The store is left out of the result if that fails.
pub fn check(files: &StoreFiles, checks: &Checks) -> (Option<Store>, Vec<Finding>) {
    check_within(MAX_BUNDLE_BYTES, files, checks)
}

fn check_within(max_bytes: usize, files: &StoreFiles, checks: &Checks) -> (Option<Store>, Vec<Finding>) {
    let (store, mut findings) = Store::check_for(files, checks);
    let Some(store) = store else {
        return (None, findings);
    };
    match try_build(max_bytes, &store, files) {
        Ok(()) => (Some(store), findings),
        Err(finding) => {
            findings.push(*finding);
            finding::sort(&mut findings);
            (None, findings)
        }
    }
}

/// Tries an edition that takes as much room as any.
fn try_build(max_bytes: usize, store: &Store, files: &StoreFiles) -> Result<(), Box<Finding>> {
    let last = Some(UnixTime::from_seconds(u64::MAX));
    let tenant = "a".repeat(MAX_TENANT_BYTES).parse::<Tenant>().ok();
    let edition = Edition {
        revision: MAX_REVISION,
        tenant: tenant.as_ref(),
        created: last,
        not_after: last,
        signing_keys: &[],
    };
    let built = bundle_within(max_bytes, ChunkSizes::default(), store, files, &edition).map_err(|error| {
        let code = match error {
            CannotBuild::Archive(InvalidArchive::TooLarge) => Code::BundleTooLarge,
            _ => Code::BundleImpossible,
        };
        let file = match error {
            CannotBuild::Entity(_) => ENTITIES_FILE,
            _ => SETTINGS_FILE,
        };
        Finding::new(code, Position::file(file), error)
    })?;
    let opened = Bundle::open(built, DevelopmentKeys::Allow);
    opened.map_err(|error| Finding::new(Code::BundleImpossible, Position::file(SETTINGS_FILE), error))?;
    Ok(())
}

/// Reads and checks the policy store in a directory and builds a bundle of it, all in memory.
///
/// # Errors
/// [`UnusableStore`].
pub fn bundle_of_directory(path: &Path, revision: u64) -> Result<Vec<u8>, UnusableStore> {
    let files = directory::read(path)?;
    match Store::check(&files) {
        (Some(store), _) => Ok(bundle(&store, &files, revision)?),
        (None, mut findings) => {
            findings.retain(|finding| finding.severity == Severity::Error);
            Err(UnusableStore::Invalid { path: path.to_owned(), findings })
        }
    }
}

/// Makes a gate of the policies and entities of a store, all in memory. Unlike a bundle, it needs neither routes nor
/// identity sources.
///
/// # Errors
/// [`CannotBuild`].
pub fn cedar_gate(store: &Store) -> Result<CedarGate, CannotBuild> {
    let map = with_room_on_all(|| map(store, ChunkSizes::default())).map_err(CannotBuild::Room)??.open()?;
    Ok(CedarGate::new(PolicyIndex::new(map.clone()), StoredEntities::new(map), &store.named_entities))
}

/// Writes the policies and entities of a store.
fn map(store: &Store, sizes: ChunkSizes) -> Result<WrittenMap, CannotBuild> {
    let (mut rows, mut parts) = (Rows::in_chunks_of(sizes), Parts::default());
    entities::add(&store.entities, &mut rows)?;
    policies::file(&store.policies, &store.links, &mut parts, &mut rows)?;
    Ok(rows.write(&parts)?)
}

/// What makes one bundle of a store differ from another.
#[derive(Clone, Debug, Default)]
pub struct Edition<'a> {
    /// The increasing number, up to [`MAX_REVISION`].
    pub revision: u64,
    /// The tenant that it is for.
    pub tenant: Option<&'a Tenant>,
    /// When it is built. Without this, the same store makes the same bytes at any time.
    pub created: Option<UnixTime>,
    /// Expiry time.
    pub not_after: Option<UnixTime>,
    /// The keys that sign it. Without keys, the bundle has no signatures.
    pub signing_keys: &'a [PrivateKey],
}

impl From<u64> for Edition<'_> {
    fn from(revision: u64) -> Self {
        Self { revision, ..Self::default() }
    }
}

/// Why a bundle cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum CannotBuild {
    /// The result would not be a bundle.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// An entity of the store has no exact JSON form.
    #[error("the entity `{0}` cannot be written into a bundle")]
    Entity(Box<EntityUid>),
    /// A policy has neither an exact JSON form nor a text.
    #[error("the policy `{0}` cannot be written into a bundle")]
    Policy(PolicyId),
    /// What was written cannot be read again. This does not happen.
    #[error("what was built cannot be read")]
    Compiled,
    /// The system gives no stack that is large enough.
    #[error("there is no room to build a bundle: {0}")]
    Room(io::Error),
    /// It cannot be signed.
    #[error("the bundle cannot be signed: {0}")]
    Sign(#[from] CannotSign),
}

impl From<InvalidManifest> for CannotBuild {
    fn from(error: InvalidManifest) -> Self {
        Self::Archive(error.into())
    }
}

/// Why no bundle can be made of a directory.
#[derive(Debug, thiserror::Error)]
pub enum UnusableStore {
    /// The store makes no bundle.
    #[error(transparent)]
    Build(#[from] CannotBuild),
    /// The store has errors.
    #[error("the policy store `{}` is invalid:{}", .path.display(), lines(.findings))]
    Invalid {
        /// The directory.
        path: PathBuf,
        /// The errors.
        findings: Vec<Finding>,
    },
    /// The file system could not read it.
    #[error(transparent)]
    Unreadable(#[from] UnreadableDirectory),
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

impl From<Unreadable> for CannotBuild {
    fn from(_: Unreadable) -> Self {
        Self::Compiled
    }
}

impl From<TooLarge> for CannotBuild {
    fn from(TooLarge: TooLarge) -> Self {
        Self::Archive(InvalidArchive::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory;

    #[test]
    fn whatever_is_built_in_any_edition_passed_the_check_and_nothing_else() {
        let files = directory::read(concat!(env!("CARGO_MANIFEST_DIR"), "/policies").as_ref()).unwrap();
        let store = Store::open(&files).unwrap();
        let keys = [PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap()];
        let last = Some(UnixTime::from_seconds(u64::MAX));
        let tenant = "a".repeat(MAX_TENANT_BYTES).parse::<Tenant>().ok();
        let editions = [
            Edition::from(1),
            Edition { signing_keys: &keys, ..Edition::from(7) },
            Edition {
                revision: MAX_REVISION,
                tenant: tenant.as_ref(),
                created: last,
                not_after: last,
                signing_keys: &keys,
            },
        ];
        let size = bundle(&store, &files, 1).unwrap().len();
        let (mut passed, mut refused) = (0, 0);
        for max_bytes in (size - 50..size + 3000).step_by(50) {
            let (usable, findings) = check_within(max_bytes, &files, &Checks::default());
            let too_large = findings.iter().any(|finding| finding.code == Code::BundleTooLarge);
            assert_eq!(usable.is_none(), too_large);
            for edition in &editions {
                match bundle_within(max_bytes, ChunkSizes::default(), &store, &files, edition) {
                    Ok(bytes) => assert!(bytes.len() <= max_bytes),
                    Err(error) => assert!(too_large, "{max_bytes}: {error}"),
                }
            }
            if too_large { refused += 1 } else { passed += 1 }
        }
        assert!(passed > 0 && refused > 0);
    }
}
