//! A bundle: one file built from a policy store, at one revision. It is what the function loads.

mod archive;
mod manifest;

use cedar_policy::{Entities, EntityUid, PolicySet, Schema};

use crate::call::TokenLocation;
use crate::identity_source::IdentitySource;
use crate::projection::Projection;
use crate::route::RouteTable;
use crate::store::finding::Finding;
use crate::store::{Store, StoreFiles};
use crate::token::key_set::KeySet;
pub use archive::{InvalidArchive, MAX_BYTES as MAX_BUNDLE_BYTES};
pub use manifest::{InvalidManifest, Manifest, Member};

/// An opened bundle: complete, unaltered, and its store usable.
///
/// [`Bundle::open`] alone makes one.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    store: Store,
}

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    /// [`InvalidBundle`]: a bundle is used whole or not at all.
    pub fn open(bytes: &[u8], development_keys: DevelopmentKeys) -> Result<Self, InvalidBundle> {
        let (manifest, files) = archive::unpack(bytes)?;
        let store = Store::open(&files).map_err(InvalidBundle::Store)?;
        if development_keys == DevelopmentKeys::Refuse {
            let holds = |keys: &Option<KeySet>| keys.as_ref().is_some_and(KeySet::holds_development_key);
            if store.pinned_keys.iter().any(holds) {
                return Err(InvalidBundle::DevelopmentKey);
            }
        }
        Ok(Self { manifest, store })
    }

    /// The name, revision and members.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The increasing number of this version of the store.
    pub fn revision(&self) -> u64 {
        self.manifest.revision
    }

    /// The schema. `None`: the store has none.
    pub fn schema(&self) -> Option<&Schema> {
        self.store.schema.as_ref()
    }

    /// What is read of a token.
    pub fn projection(&self) -> &Projection {
        &self.store.projection
    }

    /// The routes of the API.
    pub fn routes(&self) -> &RouteTable {
        &self.store.routes
    }

    /// The resource of every route that does not make its own.
    pub fn resource(&self) -> &EntityUid {
        &self.store.settings.resource
    }

    /// The policies.
    pub fn policies(&self) -> &PolicySet {
        &self.store.policies
    }

    /// The entities of the store, with the actions of the schema.
    pub fn entities(&self) -> &Entities {
        &self.store.entities
    }

    /// The entities of the store that policies name in their conditions.
    pub fn named_entities(&self) -> &[EntityUid] {
        &self.store.named_entities
    }

    /// Where a request carries its token.
    pub fn token_location(&self) -> &TokenLocation {
        &self.store.settings.token_location
    }

    /// The claim whose value is the API key of the caller, for usage plans.
    pub fn usage_identifier_claim(&self) -> Option<&str> {
        self.store.settings.usage_identifier_claim.as_deref()
    }

    /// The identity sources, in the order of their names.
    pub fn identity_sources(&self) -> &[IdentitySource] {
        &self.store.identity_sources
    }

    /// The keys that came with the store, for each identity source.
    pub fn pinned_keys(&self) -> &[Option<KeySet>] {
        &self.store.pinned_keys
    }

    /// How far the clocks of issuer and function may differ, in seconds.
    pub fn leeway_seconds(&self) -> u32 {
        self.store.settings.leeway_seconds
    }

    /// The names of the claims that the backend gets.
    pub fn backend_claims(&self) -> &[String] {
        &self.store.settings.backend_claims
    }
}

/// Builds a bundle from a store and the files that it was read from. The same files and revision
/// always make the same bytes.
///
/// # Errors
/// [`InvalidArchive::TooLarge`].
pub fn build(store: &Store, files: &StoreFiles, revision: u64) -> Result<Vec<u8>, InvalidArchive> {
    let members = files.iter().filter(|(path, _)| StoreFiles::is_known(path));
    archive::pack(&store.settings.name, revision, members)
}

/// Whether the development key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevelopmentKeys {
    /// It is: anybody can sign tokens. For one's own machine alone.
    Allow,
    /// It is not: a bundle that has it is refused.
    Refuse,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBundle {
    /// The file is not a whole and unaltered bundle.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// It trusts the development key, whose private half everybody has.
    #[error(
        "the bundle trusts the development key, with which everybody can sign tokens; remove it from `jwks/`, or on your own machine set ALLOW_DEVELOPMENT_KEYS=true"
    )]
    DevelopmentKey,
    /// The policy store inside has errors.
    #[error("the policy store in the bundle is invalid:{}", lines(.0))]
    Store(Vec<Finding>),
}

pub(crate) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
