//! Computes the outline of a bundle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{EntityTypeName, EntityUid, Schema};

use super::separate;
use crate::bundle::outline::{ActionOutline, Outline, ResourceOutline, RouteOutline};
use crate::decide::context::{HEADERS, HTTP, PATH_PARAMETERS, QUERY_PARAMETERS};
use crate::gateway::input::Input;
use crate::gateway::route::Route;
use crate::projection::{Projection, Record};
use crate::store::Store;

/// The outline of a store.
pub(super) fn outline(store: &Store) -> Outline {
    let Store { settings, schema, routes, .. } = store;
    let mut projection = store.projection.clone();
    keep_what_is_read(&mut projection, routes.routes(), &store.reads);

    let actions: BTreeSet<&EntityUid> = routes.routes().iter().map(|route| &route.action).collect();
    let applicable = |schema: &'_ Schema, action: &EntityUid| {
        schema.principals_for_action(action).is_some_and(|mut types| types.next().is_some())
    };
    // Somebody may ask for an action to which no route leads.
    let of_schema =
        schema.iter().flat_map(|schema| schema.actions().filter(|action| applicable(schema, action)));
    let actions: BTreeSet<&EntityUid> = actions.into_iter().chain(of_schema).collect();
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
            attributes: made.attributes.iter().map(|(name, text)| (name.clone(), text.to_string())).collect(),
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
    Outline {
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
        separation: separate(routes.routes(), settings.is_complete).ok(),
    }
}

/// Removes what the schema declares about calls if no policy reads it. It is then ignored, and its absence
/// changes nothing. `reads` has for each route what its policies read.
fn keep_what_is_read(projection: &mut Projection, routes: &[Route], reads: &[BTreeSet<Input>]) {
    let Projection::Schema(shapes) = projection else {
        return;
    };
    let mut by_action: HashMap<&EntityUid, BTreeSet<&Input>> = HashMap::new();
    for (route, reads) in routes.iter().zip(reads) {
        by_action.entry(&route.action).or_default().extend(reads);
    }
    for (action, reads) in by_action {
        if let Some(shape) = shapes.context_mut(action) {
            keep_in_context(shape, &reads);
        }
    }
}

/// Keeps in the context of an action only what its policies read. The token stays, because what is required of it
/// is required of the caller.
fn keep_in_context(shape: &mut Record, reads: &BTreeSet<&Input>) {
    let reads_query = reads.iter().any(|input| input.is_of_query());
    shape.retain(|name| match name {
        PATH_PARAMETERS => reads.contains(&Input::PathParameters),
        QUERY_PARAMETERS => reads_query,
        // The record is present or absent alike in all calls, so its presence is not an input.
        _ => true,
    });
    if let Some(query) = shape.record_mut(QUERY_PARAMETERS) {
        query.retain(|name| {
            reads.contains(&Input::QueryParameters) || reads.contains(&Input::Query(name.to_owned()))
        });
    }
    if let Some(http) = shape.record_mut(HTTP) {
        if let Some(headers) = http.record_mut(HEADERS) {
            headers.retain(|name| {
                reads.contains(&Input::Headers) || reads.contains(&Input::Header(name.to_ascii_lowercase()))
            });
        }
        http.retain(|name| Input::of_http(name).is_none_or(|input| reads.contains(&input)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::outline;
    use crate::store::directory;

    #[test]
    fn an_outline_is_read_as_it_was_written_and_no_other_bytes_lead_to_a_panic() {
        let files = directory::read(concat!(env!("CARGO_MANIFEST_DIR"), "/policies").as_ref()).unwrap();
        let store = Store::open(&files).unwrap();
        let outline = outline(&store);
        let bytes = serde_json::to_vec(&outline).unwrap();
        assert_eq!(serde_json::from_slice::<Outline>(&bytes).unwrap(), outline);
        let open = |Outline { has_schema, shapes, actions, routes, .. }: Outline| {
            outline::open(has_schema, shapes, actions, routes)
        };
        let opened = open(outline).unwrap();
        assert_eq!(opened.routes.routes(), store.routes.routes());
        assert_eq!(opened.reads, store.reads);
        for position in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[position] ^= 1;
            if let Ok(outline) = serde_json::from_slice::<Outline>(&altered) {
                let _ = open(outline);
            }
            assert!(serde_json::from_slice::<Outline>(&bytes[..position]).is_err());
        }
    }
}
