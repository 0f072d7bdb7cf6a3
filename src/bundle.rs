//! A bundle: one file built from a policy store, at one revision. It is what the function loads.
//!
//! This room only reads bundles. The code that writes them is in the store's room, `store::build`.

pub(crate) mod archive;
pub(crate) mod chunks;
pub mod entities;
pub mod file;
pub(crate) mod files;
mod identity_sources;
pub(crate) mod layout;
mod manifest;
pub mod nesting;
pub(crate) mod opening;
pub(crate) mod outline;
pub mod policies;
pub mod signature;
pub(crate) mod sources;
mod stack;
mod survey;
pub(crate) mod table;
mod tenant;
pub(crate) mod text;

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use cedar_policy::{EntityTypeName, EntityUid, PolicySet};

use crate::gateway::call::TokenLocation;
use crate::gateway::input::Input;
use crate::gateway::route::{Route, RouteId, RouteTable};
use crate::grant::Separation;
use crate::projection::Projection;
use crate::reason::Reason;
use crate::token::identity_source::IdentitySource;
use crate::token::key_set::KeySet;
use archive::Unpacked;
pub use archive::{InvalidArchive, MAX_BYTES as MAX_BUNDLE_BYTES};
use chunks::{ChunkMap, Holding, PlacedChunk};
use entities::StoredEntities;
pub use files::StoreFiles;
pub use identity_sources::InvalidIdentitySources;
pub use manifest::{InvalidManifest, MAX_REVISION, Manifest, Member};
pub use opening::Opening;
use opening::Read;
use outline::{AppliesTo, Opened, Outline};
use policies::PolicyIndex;
use signature::{PublicKeys, Untrusted};
use sources::SourceFile;
#[cfg(feature = "authoring")]
pub(crate) use stack::STACK_BYTES;
pub use stack::{MAX_DEPTH, with_room};
pub use survey::{MemberState, Survey, survey};
pub use table::Unreadable;
#[cfg(feature = "authoring")]
pub(crate) use tenant::MAX_BYTES as MAX_TENANT_BYTES;
pub use tenant::{InvalidTenant, Tenant};

/// An opened bundle: complete and unaltered.
///
/// Only [`Bundle::open`] makes one. Policies and entities are parsed only when a call needs them.
#[derive(Clone, Debug)]
pub struct Bundle {
    manifest: Manifest,
    digest: String,
    resource: EntityUid,
    token_location: TokenLocation,
    leeway_seconds: u32,
    backend_claims: Vec<String>,
    usage_identifier_claim: Option<String>,
    named_entities: Vec<EntityUid>,
    separation: Option<Separation>,
    routes: RouteTable,
    /// For each route, the inputs that its policies read.
    reads: Vec<BTreeSet<Input>>,
    projection: Projection,
    applies_to: Option<HashMap<EntityUid, AppliesTo>>,
    identity_sources: Vec<IdentitySource>,
    /// The files that it was built from, apart from the members of the head.
    sources: Vec<SourceFile>,
    map: ChunkMap,
    policy_index: PolicyIndex,
    entities: StoredEntities,
}

/// A route of a bundle, and the inputs that its policies read.
#[derive(Clone, Copy, Debug)]
pub struct BundledRoute<'a> {
    /// Which route of the bundle it is.
    pub id: RouteId,
    /// The route.
    pub route: &'a Route,
    /// The inputs that its policies read, even if they cannot differ between calls; see [`Input::matters_to`].
    pub reads: &'a BTreeSet<Input>,
}

impl Bundle {
    /// Opens a bundle. If all bytes of it are here, all are checked now. Otherwise chunks are checked when a call needs
    /// them.
    ///
    /// # Errors
    /// [`InvalidBundle`]. A bundle is used as a whole or not at all.
    pub fn open<'a>(opening: impl Into<Opening>, trust: impl Into<Trust<'a>>) -> Result<Self, InvalidBundle> {
        let (opening, trust) = (opening.into(), trust.into());
        let read = opening.read()?;
        let Unpacked { manifest, signed, signatures, members, .. } = &read.unpacked;
        if let Some(trusted) = trust.public_keys {
            signatures.as_ref().ok_or(InvalidBundle::Unsigned)?.verify(signed, trusted)?;
        }
        if opening.is_whole() {
            read.check_all(opening.bytes())?;
        }
        let outline = members.get(outline::OUTLINE).ok_or(InvalidBundle::Compiled)?;
        let Outline {
            resource,
            token_type,
            token_location,
            leeway_seconds,
            backend_claims,
            usage_identifier_claim,
            named_entities,
            has_schema,
            shapes,
            actions,
            routes,
            separation,
        } = serde_json::from_slice(outline).map_err(|_| InvalidBundle::Compiled)?;
        let Opened { routes, reads, projection, applies_to } =
            outline::open(has_schema, shapes, actions, routes)?;
        if separation.as_ref().is_some_and(|separation| !separation.fits(routes.routes().len())) {
            return Err(InvalidBundle::Compiled);
        }
        let identity_sources = identity_sources::read(members, token_type)?;
        if trust.development_keys == DevelopmentKeys::Refuse {
            let mut pinned = identity_sources.iter().filter_map(IdentitySource::pinned_keys);
            if pinned.any(KeySet::holds_development_key) {
                return Err(InvalidBundle::DevelopmentKey);
            }
        }
        let (digest, manifest) = (hex::encode(digest(&SHA256, signed)), manifest.clone());
        let (index, chunks, sources) = (read.index, read.chunks.map, read.sources);
        let map = opening.into_map(index, chunks);
        Ok(Self {
            digest,
            manifest,
            resource,
            token_location,
            leeway_seconds,
            backend_claims,
            usage_identifier_claim,
            named_entities,
            separation,
            routes,
            reads,
            projection,
            applies_to,
            identity_sources,
            policy_index: PolicyIndex::new(map.clone()),
            entities: StoredEntities::new(map.clone()),
            sources,
            map,
        })
    }

    /// The name, revision and members.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The compiled part, and the files of the policy store that it was built from, in the order of their paths.
    pub fn files(&self) -> Vec<Member> {
        // Instead of the list of the sources, the sources themselves.
        let members = self.manifest.members.iter().filter(|member| member.path != outline::SOURCES).cloned();
        let mut files: Vec<Member> = members.chain(self.sources.iter().map(SourceFile::to_member)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// The SHA-256 of the manifest, in lower-case hexadecimal digits. The manifest has the hash of every member, so this
    /// stands for the whole bundle, but not for its signatures.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The increasing number of this version of the store.
    pub fn revision(&self) -> u64 {
        self.manifest.revision
    }

    /// The claims and call fields that are read, and their Cedar types.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// The routes of the API, ready to be matched.
    pub fn routes(&self) -> &RouteTable {
        &self.routes
    }

    /// The routes of the API, in the order of their ids, each with the inputs that its policies read.
    pub fn bundled_routes(&self) -> impl Iterator<Item = BundledRoute<'_>> {
        let routes = self.routes.routes().iter().zip(&self.reads).enumerate();
        routes.map(|(index, (route, reads))| BundledRoute { id: RouteId(index), route, reads })
    }

    /// A route with the inputs that its policies read.
    pub fn route(&self, id: RouteId) -> Option<BundledRoute<'_>> {
        Some(BundledRoute { id, route: self.routes.route(id)?, reads: self.reads.get(id.0)? })
    }

    /// The resource of every route that does not define its own.
    pub fn resource(&self) -> &EntityUid {
        &self.resource
    }

    /// The policies, by their scopes.
    pub fn policy_index(&self) -> &PolicyIndex {
        &self.policy_index
    }

    /// All policies, templates and template links.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn policies(&self) -> Result<PolicySet, Unreadable> {
        self.policy_index.all()
    }

    /// How patterns tell the routes apart. `None`: they overlap in too many ways.
    pub fn separation(&self) -> Option<&Separation> {
        self.separation.as_ref()
    }

    /// Whether the schema lets an action apply to a principal and resource of these types.
    pub fn may_request(
        &self,
        principal_type: &EntityTypeName,
        action: &EntityUid,
        resource_type: &EntityTypeName,
    ) -> bool {
        self.applies_to.as_ref().is_none_or(|actions| {
            actions.get(action).is_some_and(|types| {
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
        &self.named_entities
    }

    /// Where a request carries its token.
    pub fn token_location(&self) -> &TokenLocation {
        &self.token_location
    }

    /// The claim whose value is the API key of the caller, for usage plans.
    pub fn usage_identifier_claim(&self) -> Option<&str> {
        self.usage_identifier_claim.as_deref()
    }

    /// The identity sources, in the order of their names, each with the keys that came with the store.
    pub fn identity_sources(&self) -> &[IdentitySource] {
        &self.identity_sources
    }

    /// How far the clocks of issuer and function may differ, in seconds.
    pub fn leeway_seconds(&self) -> u32 {
        self.leeway_seconds
    }

    /// The names of the claims that the backend gets.
    pub fn backend_claims(&self) -> &[String] {
        &self.backend_claims
    }
}

/// Chunks that are away, for whoever fetches them.
#[cfg_attr(
    not(feature = "function"),
    expect(dead_code, reason = "only the function reads a bundle in parts")
)]
impl Bundle {
    /// Keeps the chunks that a call needs until it is answered. `None`: no chunk can be away.
    pub(crate) fn hold(&self) -> Option<Holding> {
        let origin = self.map.origin();
        origin.may_be_away().then(|| origin.hold())
    }

    /// Asks for what is known of these entities, and for the policies that name them. Nobody needs to ask ahead, but then
    /// a call asks for one thing after the other.
    pub(crate) fn ask_ahead<'a>(&self, entities: impl IntoIterator<Item = &'a EntityUid>) {
        for uid in entities {
            let name = table::entity_key(uid);
            for key in [chunks::key::entity(uid), chunks::key::principal(&name), chunks::key::resource(&name)]
            {
                self.map.ask_for(&key);
            }
        }
    }

    /// The chunks that were asked for and are not here.
    pub(crate) fn wanted(&self) -> Vec<PlacedChunk> {
        self.map.origin().wanted()
    }

    /// Takes the bytes of a chunk that was wanted.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`]: they are not those of the chunk. Nothing has changed.
    pub(crate) fn supply(&self, chunk: &PlacedChunk, bytes: &Bytes) -> Result<(), Unreadable> {
        self.map.origin().supply(chunk.id, bytes)
    }
}

/// Everything in a bundle: the members of its head, and the files of the policy store that it was built from.
///
/// # Errors
/// [`InvalidBundle`].
pub fn unpack(bytes: &[u8]) -> Result<StoreFiles, InvalidBundle> {
    let read = Read::of(bytes, bytes.len() as u64)?;
    read.check_all(bytes)?;
    Ok(read.files(bytes)?)
}

/// Which bundles may be opened: who must have signed them, and which keys they may trust.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Whether the development key is trusted to sign tokens.
    pub development_keys: DevelopmentKeys,
    /// The keys that may sign bundles. One of them must have signed the bundle. `None`: a bundle need not be
    /// signed.
    pub public_keys: Option<&'a PublicKeys>,
}

impl<'a> From<&Self> for Trust<'a> {
    fn from(trust: &Self) -> Self {
        *trust
    }
}

impl From<DevelopmentKeys> for Trust<'_> {
    fn from(development_keys: DevelopmentKeys) -> Self {
        Self { development_keys, public_keys: None }
    }
}

/// Whether the development key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevelopmentKeys {
    /// It is trusted, so anybody can sign tokens. Use this only on your own machine.
    Allow,
    /// It is not trusted. A bundle that has it is refused.
    Refuse,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBundle {
    /// The file is not a whole and unaltered bundle.
    #[error(transparent)]
    Archive(#[from] InvalidArchive),
    /// The compiled part is not as a build writes it.
    #[error("the compiled part of the bundle cannot be read: build it anew")]
    Compiled,
    /// It trusts the development key, whose private half everybody has.
    #[error(
        "the bundle trusts the development key, with which everybody can sign tokens; remove it from `jwks/`, or on your own machine set ALLOW_DEVELOPMENT_KEYS=true"
    )]
    DevelopmentKey,
    /// The identity sources inside have errors.
    #[error("the policy store in the bundle is invalid: {0}")]
    IdentitySources(#[from] InvalidIdentitySources),
    /// Bundles must be signed by a trusted key, and this one is not signed.
    #[error("the bundle is not signed, and only those of trusted keys are accepted (BUNDLE_PUBLIC_KEYS)")]
    Unsigned,
    /// It is not signed by a trusted key.
    #[error("the bundle cannot be trusted: {0}")]
    Untrusted(#[from] Untrusted),
}

impl InvalidBundle {
    /// A stable name for the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Archive(InvalidArchive::FormatVersion(_)) => "bundle-format",
            Self::Archive(InvalidArchive::Truncated) => "bundle-truncated",
            Self::Archive(
                InvalidArchive::ChunkAltered(_)
                | InvalidArchive::LayoutAltered
                | InvalidArchive::ManifestAltered
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
    fn from(_: Unreadable) -> Self {
        Self::Compiled
    }
}

impl From<Unreadable> for Reason {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Away => Self::BundleAway,
            Unreadable::Malformed => Self::BundleUnreadable,
        }
    }
}
