//! The compiled part of a bundle: what follows from the sources alone and takes too long to work out in a
//! cold start.
//!
//! ```text
//! compiled/entities.table        each entity of the store, see `entities`
//! compiled/outline.json          the small rest, see `Outline`
//! compiled/policies.table        each policy, template and link, see `slice::filing`
//! compiled/policy-index.table    which policies name which principals, resources and actions, see there
//! compiled/policy-parts.table    what several policies have in common, see there
//! ```
//!
//! The outline is read when a bundle is opened; of the tables nothing but what a call needs, when it needs
//! it. Identity sources and their keys are few and small: they are read from the sources.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{EntityTypeName, EntityUid};
use serde::{Deserialize, Serialize};

use super::table::Unreadable;
use super::{CannotBuild, InvalidManifest, text};
use crate::bundle::entities::StoredEntities;
use crate::bundle::policies::filing::{self, Filed};
use crate::decide::resource::{ResourceTemplate, TextTemplate};
use crate::gateway::call::TokenLocation;
use crate::gateway::route::{Method, PathTemplate, Route, RouteTable};
use crate::grant::Separation;
use crate::projection::{Projection, Record, Shapes};
use crate::store::Store;
use crate::store::inputs::Input;
use crate::token::TokenType;

pub(super) const ENTITIES: &str = "compiled/entities.table";
pub(super) const OUTLINE: &str = "compiled/outline.json";
pub(super) const POLICIES: &str = "compiled/policies.table";
pub(super) const POLICY_INDEX: &str = "compiled/policy-index.table";
pub(super) const POLICY_PARTS: &str = "compiled/policy-parts.table";

/// Every member of the compiled part; a bundle has them all.
pub(super) const FILES: [&str; 5] = [ENTITIES, OUTLINE, POLICIES, POLICY_INDEX, POLICY_PARTS];

/// Works out the compiled part, each member with its path.
pub(super) fn compile(store: &Store) -> Result<[(&'static str, Vec<u8>); 5], CannotBuild> {
    let entities = StoredEntities::write(&store.entities)?;
    let outline = serde_json::to_vec(&Outline::of(store)).map_err(InvalidManifest::Json)?;
    let Filed { policies, parts, index } = filing::file(&store.policies)?;
    Ok([
        (ENTITIES, entities),
        (OUTLINE, outline),
        (POLICIES, policies),
        (POLICY_INDEX, index),
        (POLICY_PARTS, parts),
    ])
}

/// What a bundle has to know before the first call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Outline {
    /// The resource of every route that does not make its own.
    #[serde(with = "text::uid")]
    pub(super) resource: EntityUid,
    pub(super) token_type: Option<TokenType>,
    pub(super) token_location: TokenLocation,
    pub(super) leeway_seconds: u32,
    pub(super) backend_claims: Vec<String>,
    pub(super) usage_identifier_claim: Option<String>,
    /// The entities of the store that policies name in their conditions.
    #[serde(with = "text::uid::list")]
    pub(super) named_entities: Vec<EntityUid>,
    /// Whether there is a schema, which says what is read of a token and of a call.
    has_schema: bool,
    /// The attributes of those entity types that a token or a path fills.
    shapes: BTreeMap<String, Record>,
    /// The actions of the routes.
    actions: Vec<ActionOutline>,
    routes: Vec<RouteOutline>,
    /// How the routes are told apart. `None`: they overlap in too many ways.
    pub(super) separation: Option<Separation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ActionOutline {
    #[serde(with = "text::uid")]
    action: EntityUid,
    /// What of its context is read.
    context: Option<Record>,
    #[serde(with = "text::list")]
    principal_types: Vec<EntityTypeName>,
    #[serde(with = "text::list")]
    resource_types: Vec<EntityTypeName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RouteOutline {
    #[serde(with = "text")]
    method: Method,
    #[serde(with = "text")]
    path: PathTemplate,
    /// The position of its action.
    action: usize,
    /// `None`: that of the API.
    resource: Option<ResourceOutline>,
    /// What its policies read of a call.
    reads: BTreeSet<Input>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceOutline {
    #[serde(with = "text")]
    r#type: EntityTypeName,
    #[serde(with = "text")]
    id: TextTemplate,
    attributes: BTreeMap<String, String>,
}

/// What the schema lets an action apply to.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestTypes {
    pub(super) principals: Vec<EntityTypeName>,
    pub(super) resources: Vec<EntityTypeName>,
}

/// The routes of an outline, and what is known of their actions.
pub(super) struct Routes {
    pub(super) table: RouteTable,
    /// For each route, what its policies read of a call.
    pub(super) reads: Vec<BTreeSet<Input>>,
    pub(super) projection: Projection,
    /// By action. `None`: there is no schema.
    pub(super) requests: Option<HashMap<EntityUid, RequestTypes>>,
}

impl Outline {
    fn of(store: &Store) -> Self {
        let Store { settings, schema, routes, .. } = store;
        let mut projection = store.projection.clone();
        projection.keep_what_is_read(routes.routes(), &store.reads);

        let actions: BTreeSet<&EntityUid> = routes.routes().iter().map(|route| &route.action).collect();
        let actions: Vec<&EntityUid> = actions.into_iter().collect();
        let action_outline = |action: &&EntityUid| {
            let schema = schema.as_ref();
            let principals = schema.and_then(|schema| schema.principals_for_action(action));
            let resources = schema.and_then(|schema| schema.resources_for_action(action));
            let types = |types: BTreeSet<&EntityTypeName>| types.into_iter().cloned().collect();
            ActionOutline {
                action: (*action).clone(),
                context: projection.context(action).map(|context| context.into_owned()),
                principal_types: types(principals.into_iter().flatten().collect()),
                resource_types: types(resources.into_iter().flatten().collect()),
            }
        };
        let route_outline = |(route, reads): (&Route, &BTreeSet<Input>)| RouteOutline {
            method: route.method,
            path: route.template.clone(),
            action: actions.partition_point(|action| **action < route.action),
            resource: route.resource.as_ref().map(|made| ResourceOutline {
                r#type: made.entity_type.clone(),
                id: made.id.clone(),
                attributes: made
                    .attributes
                    .iter()
                    .map(|(name, text)| (name.clone(), text.to_string()))
                    .collect(),
            }),
            reads: reads.clone(),
        };
        let made = routes.routes().iter().filter_map(|route| Some(&route.resource.as_ref()?.entity_type));
        let filled = store.identity_sources.iter().map(|source| source.principal_type()).chain(made);
        let shapes = match &projection {
            Projection::Schema(shapes) => {
                filled.filter_map(|name| Some((name.to_string(), shapes.entity(name)?.clone()))).collect()
            }
            Projection::Schemaless => BTreeMap::new(),
        };
        Self {
            resource: settings.resource.clone(),
            token_type: settings.token_type,
            token_location: settings.token_location.clone(),
            leeway_seconds: settings.leeway_seconds,
            backend_claims: settings.backend_claims.clone(),
            usage_identifier_claim: settings.usage_identifier_claim.clone(),
            named_entities: store.named_entities.clone(),
            has_schema: schema.is_some(),
            shapes,
            actions: actions.iter().map(action_outline).collect(),
            routes: routes.routes().iter().zip(&store.reads).map(route_outline).collect(),
            separation: Separation::of(routes.routes(), settings.is_complete).ok(),
        }
    }

    /// The routes; they are taken out.
    ///
    /// # Errors
    /// [`Unreadable`]: something that is named is missing, or stands twice.
    pub(super) fn take_routes(&mut self) -> Result<Routes, Unreadable> {
        let (mut table, mut all_reads) = (RouteTable::default(), Vec::new());
        for RouteOutline { method, path, action, resource, reads } in std::mem::take(&mut self.routes) {
            let action = self.actions.get(action).ok_or(Unreadable)?.action.clone();
            let resource = resource.map(|ResourceOutline { r#type, id, attributes }| {
                let attributes = attributes.into_iter().map(|(name, text)| Ok((name, text.parse()?)));
                let attributes = attributes.collect::<Result<_, <TextTemplate as std::str::FromStr>::Err>>();
                attributes.map(|attributes| ResourceTemplate { entity_type: r#type, id, attributes })
            });
            let resource = resource.transpose().map_err(|_| Unreadable)?;
            table.insert(Route { method, template: path, action, resource }).map_err(|_| Unreadable)?;
            all_reads.push(reads);
        }
        if self.separation.as_ref().is_some_and(|separation| !separation.fits(all_reads.len())) {
            return Err(Unreadable);
        }
        let mut shapes = Shapes::default();
        for (name, shape) in std::mem::take(&mut self.shapes) {
            shapes.insert_entity(name.parse().map_err(|_| Unreadable)?, shape);
        }
        let mut requests = HashMap::new();
        for ActionOutline { action, context, principal_types, resource_types } in
            std::mem::take(&mut self.actions)
        {
            let types = RequestTypes { principals: principal_types, resources: resource_types };
            requests.insert(action.clone(), types);
            shapes.insert_context(action, context.unwrap_or_default());
        }
        let (projection, requests) = match self.has_schema {
            true => (Projection::Schema(shapes), Some(requests)),
            false => (Projection::Schemaless, None),
        };
        Ok(Routes { table, reads: all_reads, projection, requests })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::source::directory;

    #[test]
    fn an_outline_is_read_as_it_was_written_and_no_other_bytes_lead_to_a_panic() {
        let files = directory::read(concat!(env!("CARGO_MANIFEST_DIR"), "/policies").as_ref()).unwrap();
        let store = Store::open(&files).unwrap();
        let mut outline = Outline::of(&store);
        let bytes = serde_json::to_vec(&outline).unwrap();
        assert_eq!(serde_json::from_slice::<Outline>(&bytes).unwrap(), outline);
        let routes = outline.take_routes().unwrap();
        assert_eq!(routes.table.routes(), store.routes.routes());
        assert_eq!(routes.reads, store.reads);
        for position in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[position] ^= 1;
            if let Ok(mut outline) = serde_json::from_slice::<Outline>(&altered) {
                let _ = outline.take_routes();
            }
            assert!(serde_json::from_slice::<Outline>(&bytes[..position]).is_err());
        }
    }
}
