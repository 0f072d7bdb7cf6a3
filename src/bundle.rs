//! A bundle: one file built from a policy store, at one revision. It is what the function loads.

mod archive;
mod compiled;
mod manifest;
pub(crate) mod table;
mod text;

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{EntityTypeName, EntityUid, PolicyId};

use crate::call::TokenLocation;
use crate::entities::StoredEntities;
use crate::grant::Separation;
use crate::identity_source::IdentitySource;
use crate::inputs::Input;
use crate::projection::Projection;
use crate::route::RouteTable;
use crate::slice::PolicyIndex;
use crate::store::finding::Finding;
use crate::store::{self, Store, StoreFiles};
use crate::token::key_set::KeySet;
pub use archive::{InvalidArchive, MAX_BYTES as MAX_BUNDLE_BYTES};
use compiled::{Outline, RequestTypes, Routes};
pub use manifest::{InvalidManifest, Manifest, Member};
pub use table::Unreadable;

/// An opened bundle: complete and unaltered.
///
/// [`Bundle::open`] alone makes one. Of its policies and entities nothing is parsed before a call needs it.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    outline: Outline,
    routes: RouteTable,
    reads: Vec<BTreeSet<Input>>,
    projection: Projection,
    requests: Option<HashMap<EntityUid, RequestTypes>>,
    identity_sources: Vec<IdentitySource>,
    pinned_keys: Vec<Option<KeySet>>,
    policy_index: PolicyIndex,
    entities: StoredEntities,
}

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    /// [`InvalidBundle`]: a bundle is used whole or not at all.
    pub fn open(bytes: &[u8], development_keys: DevelopmentKeys) -> Result<Self, InvalidBundle> {
        let (manifest, members) = archive::unpack(bytes)?;
        let member = |path| members.get(path).ok_or(InvalidBundle::Compiled);
        let mut outline: Outline =
            serde_json::from_slice(member(compiled::OUTLINE)?).map_err(|_| InvalidBundle::Compiled)?;
        let Routes { table: routes, reads, projection, requests } = outline.take_routes()?;
        let entities = StoredEntities::open(member(compiled::ENTITIES)?)?;
        let policy_index = PolicyIndex::open(member(compiled::POLICIES)?, member(compiled::POLICY_INDEX)?)?;

        let files = members.store_files(StoreFiles::is_of_identity_source);
        let sources =
            store::open_identity_sources(&files, outline.token_type).map_err(InvalidBundle::Store)?;
        let (identity_sources, pinned_keys): (Vec<_>, Vec<Option<KeySet>>) = sources.into_iter().unzip();
        if development_keys == DevelopmentKeys::Refuse {
            let holds = |keys: &Option<KeySet>| keys.as_ref().is_some_and(KeySet::holds_development_key);
            if pinned_keys.iter().any(holds) {
                return Err(InvalidBundle::DevelopmentKey);
            }
        }
        Ok(Self {
            manifest,
            outline,
            routes,
            reads,
            projection,
            requests,
            identity_sources,
            pinned_keys,
            policy_index,
            entities,
        })
    }

    /// The name, revision and members.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The increasing number of this version of the store.
    pub fn revision(&self) -> u64 {
        self.manifest.revision
    }

    /// What is read of a token.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// The routes of the API.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The resource of every route that does not make its own.
    pub fn resource(&self) -> &EntityUid {
        &self.outline.resource
    }

    /// The policies, by their scopes.
    pub fn policy_index(&self) -> &PolicyIndex {
        &self.policy_index
    }

    /// What the policies of a route read of a call, the route given by its index; without the route table's own
    /// knowledge, see [`Input::matters_to`].
    pub fn reads(&self, route: usize) -> Option<&BTreeSet<Input>> {
        self.reads.get(route)
    }

    /// How the routes are told apart. `None`: they overlap in too many ways.
    pub fn separation(&self) -> Option<&Separation> {
        self.outline.separation.as_ref()
    }

    /// Whether the schema lets an action apply to a principal and resource of these types.
    pub fn may_request(
        &self,
        principal_type: &EntityTypeName,
        action: &EntityUid,
        resource_type: &EntityTypeName,
    ) -> bool {
        self.requests.as_ref().is_none_or(|requests| {
            requests.get(action).is_some_and(|types| {
                types.principals.contains(principal_type) && types.resources.contains(resource_type)
            })
        })
    }

    /// The entities of the store, with the actions of the schema.
    pub fn entities(&self) -> &StoredEntities {
        &self.entities
    }

    /// The entities of the store that policies name in their conditions.
    pub fn named_entities(&self) -> &[EntityUid] {
        &self.outline.named_entities
    }

    /// Where a request carries its token.
    pub fn token_location(&self) -> &TokenLocation {
        &self.outline.token_location
    }

    /// The claim whose value is the API key of the caller, for usage plans.
    pub fn usage_identifier_claim(&self) -> Option<&str> {
        self.outline.usage_identifier_claim.as_deref()
    }

    /// The identity sources, in the order of their names.
    pub fn identity_sources(&self) -> &[IdentitySource] {
        &self.identity_sources
    }

    /// The keys that came with the store, for each identity source.
    pub fn pinned_keys(&self) -> &[Option<KeySet>] {
        &self.pinned_keys
    }

    /// How far the clocks of issuer and function may differ, in seconds.
    pub fn leeway_seconds(&self) -> u32 {
        self.outline.leeway_seconds
    }

    /// The names of the claims that the backend gets.
    pub fn backend_claims(&self) -> &[String] {
        &self.outline.backend_claims
    }
}

/// Builds a bundle from a store and the files that it was read from. The same files and revision
/// always make the same bytes.
///
/// # Errors
/// [`BuildFailure`].
pub fn build(store: &Store, files: &StoreFiles, revision: u64) -> Result<Vec<u8>, BuildFailure> {
    let mut members = files.clone();
    members.retain_known();
    for (path, content) in compiled::compile(store)? {
        members.insert(path.to_owned(), content);
    }
    Ok(archive::pack(&store.settings.name, revision, members.iter())?)
}

/// Checks that the compiled part of a bundle follows from the sources in it, which is all that people read.
///
/// # Errors
/// [`InvalidBundle`]; [`InvalidBundle::NotOfSources`] where it does not.
pub fn verify_compiled(bytes: &[u8]) -> Result<(), InvalidBundle> {
    let (_, members) = archive::unpack(bytes)?;
    let store = Store::open(&members.store_files(|_| true)).map_err(InvalidBundle::Store)?;
    for (path, content) in compiled::compile(&store)? {
        if members.get(path) != Some(content.as_slice()) {
            return Err(InvalidBundle::NotOfSources(path));
        }
    }
    Ok(())
}

/// Whether the development key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevelopmentKeys {
    /// It is: anybody can sign tokens. For one's own machine alone.
    Allow,
    /// It is not: a bundle that has it is refused.
    Refuse,
}

/// Why no bundle can be built of a store.
#[derive(Debug, thiserror::Error)]
pub enum BuildFailure {
    /// It would be no bundle, mostly for being too large.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// An entity of the store has no exact JSON form.
    #[error("the entity `{0}` cannot be written into a bundle")]
    Entity(Box<EntityUid>),
    /// A policy has neither an exact JSON form nor a text.
    #[error("the policy `{0}` cannot be written into a bundle")]
    Policy(PolicyId),
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBundle {
    /// The file is not a whole and unaltered bundle.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// The compiled part is not one that was built.
    #[error("the compiled part of the bundle cannot be read: build it anew")]
    Compiled,
    /// Nothing can be built of the sources.
    #[error(transparent)]
    Build(#[from] BuildFailure),
    /// A member of the compiled part is not what the sources in the bundle make.
    #[error("`{0}` in the bundle does not follow from its sources")]
    NotOfSources(&'static str),
    /// It trusts the development key, whose private half everybody has.
    #[error(
        "the bundle trusts the development key, with which everybody can sign tokens; remove it from `jwks/`, or on your own machine set ALLOW_DEVELOPMENT_KEYS=true"
    )]
    DevelopmentKey,
    /// The policy store inside has errors.
    #[error("the policy store in the bundle is invalid:{}", lines(.0))]
    Store(Vec<Finding>),
}

impl From<Unreadable> for InvalidBundle {
    fn from(Unreadable: Unreadable) -> Self {
        Self::Compiled
    }
}

pub(crate) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
