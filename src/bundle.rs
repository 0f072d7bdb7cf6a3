//! A bundle: one file built from a policy store, at one revision. It is what the function loads.

mod archive;
mod compiled;
mod manifest;
pub mod signature;
#[cfg(feature = "cli")]
mod survey;
pub(crate) mod table;
pub(crate) mod text;

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
#[cfg(feature = "cli")]
use cedar_policy::PolicySet;
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
use crate::tenant::Tenant;
use crate::time::UnixTime;
use crate::token::key_set::KeySet;
use archive::Unpacked;
pub use archive::{InvalidArchive, MAX_BYTES as MAX_BUNDLE_BYTES};
use compiled::{Outline, RequestTypes, Routes};
pub use manifest::{InvalidManifest, MAX_REVISION, Manifest, Member};
use signature::{CannotSign, PrivateKey, PublicKeys, Untrusted};
#[cfg(feature = "cli")]
pub use survey::{MemberState, Survey, survey};
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
    /// Opens a bundle. Its bytes are kept, not copied.
    ///
    /// # Errors
    /// [`InvalidBundle`]: a bundle is used whole or not at all.
    pub fn open<'a>(bytes: impl Into<Bytes>, trust: impl Into<Trust<'a>>) -> Result<Self, InvalidBundle> {
        let (bytes, trust) = (bytes.into(), trust.into());
        let Unpacked { manifest, signed, signatures, members } = archive::unpack(&bytes)?;
        if let Some(trusted) = trust.public_keys {
            signatures.ok_or(InvalidBundle::Unsigned)?.verify(signed, trusted)?;
        }
        let member = |path| members.get(path).ok_or(InvalidBundle::Compiled);
        let mut outline: Outline =
            serde_json::from_slice(member(compiled::OUTLINE)?).map_err(|_| InvalidBundle::Compiled)?;
        let Routes { table: routes, reads, projection, requests } = outline.take_routes()?;
        let table = |path| member(path).map(|content| bytes.slice_ref(content));
        let entities = StoredEntities::open(table(compiled::ENTITIES)?)?;
        let policy_index = PolicyIndex::open(
            table(compiled::POLICIES)?,
            table(compiled::POLICY_PARTS)?,
            table(compiled::POLICY_INDEX)?,
        )?;

        let files = members.files(StoreFiles::is_of_identity_source);
        let sources =
            store::open_identity_sources(&files, outline.token_type).map_err(InvalidBundle::Store)?;
        let (identity_sources, pinned_keys): (Vec<_>, Vec<Option<KeySet>>) = sources.into_iter().unzip();
        if trust.development_keys == DevelopmentKeys::Refuse {
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

    /// All policies, templates and template links.
    ///
    /// # Errors
    /// [`Unreadable`].
    #[cfg(feature = "cli")]
    pub fn policies(&self) -> Result<PolicySet, Unreadable> {
        self.policy_index.all()
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

/// Builds a bundle from a store and the files that it was read from. The same files and edition
/// always make the same bytes.
///
/// # Errors
/// [`CannotBuild`].
pub fn build<'a>(
    store: &Store,
    files: &StoreFiles,
    edition: impl Into<Edition<'a>>,
) -> Result<Vec<u8>, CannotBuild> {
    let mut members = files.clone();
    members.retain_known();
    for (path, content) in compiled::compile(store)? {
        members.insert(path.to_owned(), content);
    }
    archive::pack(&store.settings.name, &edition.into(), members.iter())
}

/// All members of a bundle: the files of the policy store, and the compiled part.
///
/// # Errors
/// [`InvalidArchive`].
pub fn unpack(bytes: &[u8]) -> Result<StoreFiles, InvalidArchive> {
    archive::unpack(bytes).map(|unpacked| unpacked.members.files(|_| true))
}

/// What makes one bundle of a store differ from another.
#[derive(Clone, Debug, Default)]
pub struct Edition<'a> {
    /// The increasing number, up to [`MAX_REVISION`].
    pub revision: u64,
    /// The tenant that it is for.
    pub tenant: Option<&'a Tenant>,
    /// When it is built. Left out, the same store makes the same bytes at any time.
    pub created: Option<UnixTime>,
    /// When it ends to be good.
    pub not_after: Option<UnixTime>,
    /// The keys that sign it; none for a bundle without signatures.
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
    /// It would not be a bundle.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// An entity of the store has no exact JSON form.
    #[error("the entity `{0}` cannot be written into a bundle")]
    Entity(Box<EntityUid>),
    /// A policy has neither an exact JSON form nor a text.
    #[error("the policy `{0}` cannot be written into a bundle")]
    Policy(PolicyId),
    /// It cannot be signed.
    #[error("the bundle cannot be signed: {0}")]
    Sign(#[from] CannotSign),
}

impl From<InvalidManifest> for CannotBuild {
    fn from(error: InvalidManifest) -> Self {
        Self::Archive(error.into())
    }
}

/// Whose bundles are opened, and with which keys.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Whether the development key is trusted to sign tokens.
    pub development_keys: DevelopmentKeys,
    /// Who may sign bundles: one of these must have. `None`: a bundle need not be signed.
    pub public_keys: Option<&'a PublicKeys>,
}

impl From<DevelopmentKeys> for Trust<'_> {
    fn from(development_keys: DevelopmentKeys) -> Self {
        Self { development_keys, public_keys: None }
    }
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
    /// The compiled part is not one that was built.
    #[error("the compiled part of the bundle cannot be read: build it anew")]
    Compiled,
    /// It trusts the development key, whose private half everybody has.
    #[error(
        "the bundle trusts the development key, with which everybody can sign tokens; remove it from `jwks/`, or on your own machine set ALLOW_DEVELOPMENT_KEYS=true"
    )]
    DevelopmentKey,
    /// Keys are trusted, and it is not signed.
    #[error("the bundle is not signed, and only those of trusted keys are accepted (BUNDLE_PUBLIC_KEYS)")]
    Unsigned,
    /// It is not signed by a key that is trusted.
    #[error("the bundle cannot be trusted: {0}")]
    Untrusted(#[from] Untrusted),
    /// The policy store inside has errors.
    #[error("the policy store in the bundle is invalid:{}", lines(.0))]
    Store(Vec<Finding>),
}

impl InvalidBundle {
    /// A stable name for the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Archive(InvalidArchive::FormatVersion(_)) => "bundle-format",
            Self::Archive(InvalidArchive::Truncated) => "bundle-truncated",
            Self::Archive(
                InvalidArchive::ManifestAltered
                | InvalidArchive::MemberAltered(_)
                | InvalidArchive::SignaturesAltered
                | InvalidArchive::TrailingBytes,
            ) => "bundle-altered",
            Self::Archive(InvalidArchive::Manifest(InvalidManifest::Revision(_))) => {
                "bundle-revision-too-high"
            }
            Self::Unsigned => "bundle-unsigned",
            Self::Untrusted(_) => "bundle-untrusted",
            Self::DevelopmentKey => "development-key",
            _ => "bundle-invalid",
        }
    }
}

impl From<Unreadable> for InvalidBundle {
    fn from(Unreadable: Unreadable) -> Self {
        Self::Compiled
    }
}

pub(crate) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
