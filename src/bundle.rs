//! A bundle: one file built from a policy store, at one revision. It is what the function loads.

mod archive;
mod compiled;
mod manifest;
pub mod signature;
#[cfg(feature = "cli")]
mod survey;

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{Entities, EntityTypeName, EntityUid, PolicySet, Schema};

use crate::call::TokenLocation;
use crate::grant::Separation;
use crate::identity_source::IdentitySource;
use crate::inputs::Input;
use crate::projection::Projection;
use crate::route::RouteTable;
use crate::slice::PolicyIndex;
use crate::store::finding::Finding;
use crate::store::{Store, StoreFiles};
use crate::time::UnixTime;
use crate::token::key_set::KeySet;
use archive::Unpacked;
pub use archive::{InvalidArchive, MAX_BYTES as MAX_BUNDLE_BYTES};
use compiled::Compiled;
pub use manifest::{InvalidManifest, Manifest, Member};
use signature::{CannotSign, PrivateKey, PublicKeys, Untrusted};
#[cfg(feature = "cli")]
pub use survey::{MemberState, Survey, survey};

/// An opened bundle: complete, unaltered, and its store usable.
///
/// [`Bundle::open`] alone makes one.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    store: Store,
    compiled: Compiled,
    policy_index: PolicyIndex,
    requests: Option<HashMap<EntityUid, RequestTypes>>,
}

/// The types that the schema lets an action apply to.
#[derive(Clone, Debug, Default)]
struct RequestTypes {
    principals: BTreeSet<EntityTypeName>,
    resources: BTreeSet<EntityTypeName>,
}

impl Bundle {
    /// Opens a bundle.
    ///
    /// # Errors
    /// [`InvalidBundle`]: a bundle is used whole or not at all.
    pub fn open<'a>(bytes: &[u8], trust: impl Into<Trust<'a>>) -> Result<Self, InvalidBundle> {
        let trust = trust.into();
        let Unpacked { manifest, signed, signatures, mut files } = archive::unpack(bytes)?;
        if let Some(trusted) = trust.public_keys {
            signatures.ok_or(InvalidBundle::Unsigned)?.verify(signed, trusted)?;
        }
        let compiled = files.remove(compiled::FILE).ok_or(InvalidBundle::Compiled)?;
        let compiled: Compiled = serde_json::from_slice(&compiled).map_err(|_| InvalidBundle::Compiled)?;
        let mut store = Store::open(&files).map_err(InvalidBundle::Store)?;
        if !compiled.fits(store.routes.routes().len()) {
            return Err(InvalidBundle::Compiled);
        }
        store.projection.keep_what_is_read(store.routes.routes(), &compiled.reads);
        if trust.development_keys == DevelopmentKeys::Refuse {
            let holds = |keys: &Option<KeySet>| keys.as_ref().is_some_and(KeySet::holds_development_key);
            if store.pinned_keys.iter().any(holds) {
                return Err(InvalidBundle::DevelopmentKey);
            }
        }
        let policy_index = PolicyIndex::of(&store.policies).map_err(InvalidBundle::Policy)?;
        let requests = store.schema.as_ref().map(request_types);
        Ok(Self { manifest, store, compiled, policy_index, requests })
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

    /// The policies, by their scopes.
    pub fn policy_index(&self) -> &PolicyIndex {
        &self.policy_index
    }

    /// What the policies of a route read of a call, the route given by its index; without the route table's own
    /// knowledge, see [`Input::matters_to`].
    pub fn reads(&self, route: usize) -> Option<&BTreeSet<Input>> {
        self.compiled.reads.get(route)
    }

    /// How the routes are told apart. `None`: they overlap in too many ways.
    pub fn separation(&self) -> Option<&Separation> {
        self.compiled.separation.as_ref()
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
    let compiled = serde_json::to_vec(&Compiled::of(store)).map_err(InvalidManifest::Json)?;
    members.insert(compiled::FILE.to_owned(), compiled);
    archive::pack(&store.settings.name, &edition.into(), members.iter())
}

/// What the schema lets each of its actions apply to.
fn request_types(schema: &Schema) -> HashMap<EntityUid, RequestTypes> {
    let types = |action: &EntityUid| RequestTypes {
        principals: schema.principals_for_action(action).into_iter().flatten().cloned().collect(),
        resources: schema.resources_for_action(action).into_iter().flatten().cloned().collect(),
    };
    schema.actions().map(|action| (action.clone(), types(action))).collect()
}

/// The files of the policy store in a bundle, to build another bundle of it.
///
/// # Errors
/// [`InvalidArchive`].
pub fn unpack(bytes: &[u8]) -> Result<StoreFiles, InvalidArchive> {
    archive::unpack(bytes).map(|unpacked| unpacked.files)
}

/// What makes one bundle of a store differ from another.
#[derive(Clone, Debug, Default)]
pub struct Edition<'a> {
    /// The increasing number.
    pub revision: u64,
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
    /// The compiled part is missing or does not belong to the store.
    #[error("the compiled part of the bundle does not belong to its store: build it anew")]
    Compiled,
    /// A policy that is linked to a template cannot be read back.
    #[error("the policy `{0}` of the bundle cannot be used")]
    Policy(String),
    /// It trusts the development key, whose private half everybody has.
    #[error(
        "the bundle trusts the development key, with which everybody can sign tokens; remove it from `jwks/`, or on your own machine set ALLOW_DEVELOPMENT_KEYS=true"
    )]
    DevelopmentKey,
    /// Keys are trusted, and it is not signed.
    #[error("the bundle is not signed, and BUNDLE_PUBLIC_KEYS is set")]
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
            Self::Unsigned => "bundle-unsigned",
            Self::Untrusted(_) => "bundle-untrusted",
            Self::DevelopmentKey => "development-key",
            _ => "bundle-invalid",
        }
    }
}

pub(crate) fn lines(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
