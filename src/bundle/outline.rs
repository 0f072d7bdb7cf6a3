//! The compiled part of a bundle: what follows from the sources, but would take too long to compute in a cold
//! start.
//!
//! ```text
//! compiled/map.table        the index of the map: entities, policies and templates, see `chunks`
//! compiled/outline.json     the small rest, see `Outline`
//! compiled/sources.table    the files that the bundle was built from, see `sources`
//! ```
//!
//! The outline and the index are read when a bundle is opened. Of the map, only what a call needs is read, when it needs
//! it. Identity sources and their keys are few and small, so they are read from the sources.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{EntityTypeName, EntityUid};
use serde::{Deserialize, Serialize};

use super::table::Unreadable;
use super::text;
use crate::gateway::call::TokenLocation;
use crate::gateway::input::Input;
use crate::gateway::route::{
    InvalidTextTemplate, Method, PathTemplate, ResourceTemplate, Route, RouteTable, TextTemplate,
};
use crate::grant::Separation;
use crate::projection::{Projection, Record, Shapes};
use crate::token::TokenType;

pub(crate) const MAP: &str = "compiled/map.table";
pub(crate) const OUTLINE: &str = "compiled/outline.json";
pub(crate) const SOURCES: &str = "compiled/sources.table";

/// Every member of the compiled part; a bundle has them all.
pub(crate) const COMPILED_FILES: [&str; 3] = [MAP, OUTLINE, SOURCES];

/// What the function needs from a bundle before the first call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Outline {
    /// The resource of every route that does not make its own.
    #[serde(with = "text::uid")]
    pub(crate) resource: EntityUid,
    pub(crate) token_type: Option<TokenType>,
    pub(crate) token_location: TokenLocation,
    pub(crate) leeway_seconds: u32,
    pub(crate) backend_claims: Vec<String>,
    pub(crate) usage_identifier_claim: Option<String>,
    /// The entities of the store that policies name in their conditions.
    #[serde(with = "text::uid::list")]
    pub(crate) named_entities: Vec<EntityUid>,
    /// Whether there is a schema, which says what is read in a token and in a call.
    pub(crate) has_schema: bool,
    /// The attributes of entity types that a token or a path fills.
    pub(crate) shapes: BTreeMap<String, Record>,
    /// The actions of the schema. Without a schema, the actions of the routes.
    pub(crate) actions: Vec<ActionOutline>,
    pub(crate) routes: Vec<RouteOutline>,
    /// How the routes are told apart. `None`: they overlap in too many ways.
    pub(crate) separation: Option<Separation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ActionOutline {
    #[serde(with = "text::uid")]
    pub(crate) action: EntityUid,
    /// What is read in its context.
    pub(crate) context: Option<Record>,
    #[serde(with = "text::list")]
    pub(crate) principal_types: Vec<EntityTypeName>,
    #[serde(with = "text::list")]
    pub(crate) resource_types: Vec<EntityTypeName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RouteOutline {
    #[serde(with = "text")]
    pub(crate) method: Method,
    #[serde(with = "text")]
    pub(crate) path: PathTemplate,
    /// The position of its action.
    pub(crate) action: usize,
    /// `None`: the resource of the API.
    pub(crate) resource: Option<ResourceOutline>,
    /// What its policies read in a call.
    pub(crate) reads: BTreeSet<Input>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceOutline {
    #[serde(with = "text")]
    pub(crate) r#type: EntityTypeName,
    #[serde(with = "text")]
    pub(crate) id: TextTemplate,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// What is made from an outline, ready for requests.
pub(crate) struct Opened {
    pub(crate) routes: RouteTable,
    /// For each route, what its policies read in a call.
    pub(crate) reads: Vec<BTreeSet<Input>>,
    pub(crate) projection: Projection,
    /// By action. `None`: there is no schema.
    pub(crate) applies_to: Option<HashMap<EntityUid, AppliesTo>>,
}

/// The types to which the schema lets an action apply.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppliesTo {
    pub(crate) principals: Vec<EntityTypeName>,
    pub(crate) resources: Vec<EntityTypeName>,
}

/// Prepares the routes, actions and shapes of an outline for requests.
///
/// # Errors
/// [`Unreadable`]: something that is named is missing, or occurs twice.
pub(crate) fn open(
    has_schema: bool,
    shapes: BTreeMap<String, Record>,
    actions: Vec<ActionOutline>,
    routes: Vec<RouteOutline>,
) -> Result<Opened, Unreadable> {
    let (mut table, mut all_reads) = (RouteTable::default(), Vec::new());
    for RouteOutline { method, path, action, resource, reads } in routes {
        let action = actions.get(action).ok_or(Unreadable::Malformed)?.action.clone();
        let resource = resource.map(ResourceOutline::open).transpose()?;
        table
            .insert(Route { method, template: path, action, resource })
            .map_err(|_| Unreadable::Malformed)?;
        all_reads.push(reads);
    }
    if !has_schema {
        let projection = Projection::Schemaless;
        return Ok(Opened { routes: table, reads: all_reads, projection, applies_to: None });
    }
    let mut all_shapes = Shapes::default();
    for (name, shape) in shapes {
        all_shapes.insert_entity(name.parse().map_err(|_| Unreadable::Malformed)?, shape);
    }
    let mut applies_to = HashMap::new();
    for ActionOutline { action, context, principal_types, resource_types } in actions {
        let types = AppliesTo { principals: principal_types, resources: resource_types };
        applies_to.insert(action.clone(), types);
        all_shapes.insert_context(action, context.unwrap_or_default());
    }
    let projection = Projection::Schema(all_shapes);
    Ok(Opened { routes: table, reads: all_reads, projection, applies_to: Some(applies_to) })
}

impl ResourceOutline {
    fn open(self) -> Result<ResourceTemplate, Unreadable> {
        let Self { r#type, id, attributes } = self;
        let attributes = attributes.into_iter().map(|(name, text)| Ok((name, text.parse()?)));
        let attributes =
            attributes.collect::<Result<_, InvalidTextTemplate>>().map_err(|_| Unreadable::Malformed)?;
        Ok(ResourceTemplate { entity_type: r#type, id, attributes })
    }
}
