//! Lints: what is allowed in a policy store, but is probably not meant.
//!
//! They look at a store without errors. Each takes time in proportion to the number of policies, so that a store
//! with a hundred thousand of them is checked within seconds.

mod acceptance;
mod avp_limits;
mod cache_key;
mod never_applies;
mod permits;
mod permitted;
mod requests;
mod shadowed;
mod unnamed;
mod unrouted;
mod unused;

use std::collections::HashSet;

use cedar_policy::{EntityUid, PolicyId};

use super::Store;
use super::finding::{Code, Finding, Position, Text};
use super::policies::StorePolicies;
use super::schema::StoreSchema;
use crate::bundle::files::{ENTITIES_FILE, StoreFiles};
use crate::gateway::cache_key::CacheKey;
use requests::Requests;

/// What to check beside what is wrong with any store.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Finds what this cache key would always deny. `None`: it is not known which key is in use.
    pub cache_key: Option<CacheKey>,
    /// Finds what is too large for Verified Permissions.
    pub avp_limits: bool,
}

impl Checks {
    /// Whether findings of this kind are looked for.
    fn looks_for(&self, code: Code) -> bool {
        match code {
            Code::CacheKeyNeeded => self.cache_key.is_some(),
            Code::AvpLimit => self.avp_limits,
            _ => true,
        }
    }
}

/// What the lints look at.
struct Scene<'a> {
    store: &'a Store,
    schema: Option<&'a StoreSchema>,
    /// Where the policies stand.
    origins: &'a StorePolicies<'a>,
    requests: Requests<'a>,
    /// The file of the entities.
    entities: Text<'a>,
}

impl Scene<'_> {
    /// Where an entity stands in the file of the entities.
    fn entity_position(&self, uid: &EntityUid) -> Position {
        self.entities.find_string(uid.id().unescaped())
    }
}

/// Finds all this. `impossible` are the policies that can never
/// apply, as Cedar has found out.
pub(super) fn check(
    files: &StoreFiles,
    store: &Store,
    schema: Option<&StoreSchema>,
    origins: &StorePolicies<'_>,
    impossible: &HashSet<PolicyId>,
    checks: &Checks,
    findings: &mut Vec<Finding>,
) {
    let entities = files.get(ENTITIES_FILE).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default();
    let entities = Text::new(ENTITIES_FILE, entities);
    let scene = Scene { store, schema, origins, requests: Requests::of(store), entities };
    unrouted::check(&scene, findings);
    never_applies::check(&scene, impossible, findings);
    shadowed::check(&scene, findings);
    unused::check(&scene, findings);
    unnamed::check(&scene, findings);
    permits::check(&scene, findings);
    if let Some(key) = &checks.cache_key {
        cache_key::check(&scene, key, findings);
    }
    if checks.avp_limits {
        avp_limits::check(&scene, findings);
    }
}

pub(super) use acceptance::accept;
pub use permitted::{open_routes, unpermitted_routes};

/// The first few of several names for a message, and how many more there are.
fn some_of(names: impl IntoIterator<Item = String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    let more = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    let also = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{also}", names.join(", "))
}

/// More names would not be read.
const MAX_NAMES: usize = 3;
