//! Random stores and requests, and what Cedar says of them. The unit tests of the library have this file, too.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::decide::Decision;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::Store;
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Effect, Entities, Entity, EntityUid, PolicyId, Request,
    Response, RestrictedExpression,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const SETTINGS: &str = "[store]\nname = 'slices'\nnamespace = ''\nvalidation = 'off'\n[api]\n\
    resource = 'Doc::\"d0\"'\n[[routes]]\nmethod = 'GET'\npath = '/'\naction = 'read'\n";

const SOURCE: &str = r#"{"principalEntityType": "User", "configuration": {"openIdConnectConfiguration": {
    "issuer": "https://auth.example.com", "tokenSelection": {"accessTokenOnly": {"audiences": ["x"]}},
    "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "Group"}}}}"#;

const PRINCIPALS: [&str; 9] = [
    "principal",
    "principal == User::\"u0\"",
    "principal in User::\"u1\"",
    "principal in Group::\"g0\"",
    "principal in Group::\"g2\"",
    "principal == Group::\"g0\"",
    "principal is Group in Group::\"g0\"",
    "principal is User",
    "principal is User in Group::\"g1\"",
];

const ACTIONS: [&str; 8] = [
    "action",
    "action == Action::\"read\"",
    "action == Action::\"write\"",
    "action == Action::\"any\"",
    "action in Action::\"any\"",
    "action in Action::\"write\"",
    "action in [Action::\"read\", Action::\"other\"]",
    "action in [Action::\"any\", Action::\"write\", Action::\"some\"]",
];

const RESOURCES: [&str; 9] = [
    "resource",
    "resource == Doc::\"d0\"",
    "resource == Doc::\"d1\"",
    "resource in Folder::\"f0\"",
    "resource in Folder::\"f1\"",
    "resource is Folder",
    "resource is Doc in Folder::\"f2\"",
    "resource in Group::\"g0\"",
    "resource == Folder::\"f1\"",
];

const CONDITIONS: [&str; 14] = [
    "",
    "when { principal.level > 1 }",
    "unless { resource.level > 1 }",
    "when { resource has level && resource.level > 0 }",
    "when { resource.owner in Group::\"g0\" }",
    "when { resource.owner.level == 1 }",
    "when { resource.hasTag(\"t\") && resource.getTag(\"t\").level < 2 }",
    "when { Group::\"g1\".level == 1 }",
    "when { Group::\"g2\" in Group::\"g0\" }",
    "when { context.x == 1 }",
    "when { principal in resource }",
    "unless { action in Action::\"any\" }",
    "when { resource.since > datetime(\"2024-01-01\") }",
    "when { [resource, Doc::\"d2\"].contains(Doc::\"d2\") && 9223372036854775807 + principal.level > 0 }",
];

#[derive(Clone, Debug)]
pub struct World {
    pub policies: Vec<String>,
    pub templates: Vec<String>,
    pub links: Vec<Value>,
    pub entities: Vec<Value>,
}

impl World {
    pub fn files(&self) -> StoreFiles {
        let mut files = StoreFiles::default();
        let mut insert = |path: &str, text: String| files.insert(path.to_owned(), text.into_bytes());
        insert("store.toml", SETTINGS.to_owned());
        insert("identity-sources/x.json", SOURCE.to_owned());
        insert("policies/p.cedar", self.policies.join("\n"));
        insert("templates/t.cedar", self.templates.join("\n"));
        insert("template-links.json", Value::from(self.links.clone()).to_string());
        insert("entities.json", Value::from(self.entities.clone()).to_string());
        files
    }
}

fn policy() -> impl Strategy<Value = String> {
    let effect = select(vec!["permit", "permit", "forbid"]);
    let scope = (select(&PRINCIPALS[..]), select(&ACTIONS[..]), select(&RESOURCES[..]));
    (effect, scope, select(&CONDITIONS[..])).prop_map(|(effect, (principal, action, resource), condition)| {
        format!("{effect} ({principal}, {action}, {resource}) {condition};")
    })
}

/// A template, with the slots that its links have to fill.
fn template() -> impl Strategy<Value = (String, bool, bool)> {
    let slots = select(vec![
        ("principal == ?principal", "resource", true, false),
        ("principal in ?principal", "resource in ?resource", true, true),
        ("principal is User in ?principal", "resource == Doc::\"d1\"", true, false),
        ("principal", "resource == ?resource", false, true),
        ("principal in Group::\"g1\"", "resource is Doc in ?resource", false, true),
    ]);
    let effect = select(vec!["permit", "forbid"]);
    (effect, slots, select(&ACTIONS[..]), select(&CONDITIONS[..])).prop_map(
        |(effect, (principal, resource, has_principal, has_resource), action, condition)| {
            let text = format!("{effect} ({principal}, {action}, {resource}) {condition};");
            (text, has_principal, has_resource)
        },
    )
}

fn uid(name: &str) -> Value {
    let (entity_type, id) = name.split_once(' ').unwrap();
    json!({"type": entity_type, "id": id})
}

/// An entity whose parents are some of these, all listed before it.
fn entity(name: &'static str, parents: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let parents = proptest::sample::subsequence(parents, 0..=parents.len());
    let references = select(vec!["User u0", "Group g1", "Group g3", "Group g3", "Group g3", "Doc unknown"]);
    let mostly = |references| proptest::option::weighted(0.8, references);
    let (owner, tag) = (mostly(references.clone()), mostly(references));
    (parents, proptest::option::weighted(0.8, 0..3_i64), owner, tag, any::<bool>()).prop_map(
        move |(parents, level, owner, tag, since)| {
            let mut attributes = json!({});
            if let Some(level) = level {
                attributes["level"] = level.into();
            }
            if let Some(owner) = owner {
                attributes["owner"] = json!({"__entity": uid(owner)});
            }
            if since {
                attributes["since"] = json!({"__extn": {"fn": "datetime", "arg": "2024-06-01"}});
            }
            let tags = tag.map(|tag| json!({"t": {"__entity": uid(tag)}})).unwrap_or(json!({}));
            // Actions have neither here, because the schema of a store cannot give them any.
            let (attributes, tags) =
                if name.starts_with("Action") { (json!({}), json!({})) } else { (attributes, tags) };
            let parents: Vec<Value> = parents.into_iter().map(uid).collect();
            json!({"uid": uid(name), "attrs": attributes, "tags": tags, "parents": parents})
        },
    )
}

fn entities() -> impl Strategy<Value = Vec<Value>> {
    let all = (
        entity("Group g0", &[]),
        entity("Group g1", &["Group g0"]),
        // A user may be in this group, and the group in that user. Cedar refuses such entities.
        entity("Group g2", &["Group g0", "Group g1", "User u2"]),
        // No policy names this group. Only attributes and tags refer to it.
        entity("Group g3", &["Group g0"]),
        entity("Folder f0", &[]),
        entity("Folder f1", &["Folder f0", "Folder f2", "Group g1"]),
        entity("Doc d0", &["Folder f0", "Folder f1"]),
        // The token says which groups a user is in.
        entity("Doc d1", &["Folder f1", "Folder f2", "User u0"]),
        entity("Action some", &[]),
        entity("Action any", &["Action some"]),
        entity("Action read", &["Action any", "Action some"]),
        entity("Action write", &["Action any"]),
    );
    all.prop_map(|(a, b, c, d, e, f, g, h, i, j, k, l)| vec![a, b, c, d, e, f, g, h, i, j, k, l])
        .prop_flat_map(|all| proptest::sample::subsequence(all, 8..=12))
}

pub fn world() -> impl Strategy<Value = World> {
    let users = select(vec!["User u0", "User u1", "Group g0", "Group g1", "Group g2"]);
    let things = select(vec!["Doc d0", "Doc d1", "Doc d2", "Folder f0", "Folder f2"]);
    let link = (any::<prop::sample::Index>(), users, things);
    (
        proptest::collection::vec(policy(), 0..14),
        proptest::collection::vec(template(), 1..4),
        proptest::collection::vec(link, 0..8),
        entities(),
    )
        .prop_map(|(policies, templates, links, entities)| {
            let links = links.into_iter().enumerate().map(|(number, (template, principal, resource))| {
                let template = template.index(templates.len());
                let (_, has_principal, has_resource) = &templates[template];
                let identifier = |name: &str| {
                    let (entity_type, id) = name.split_once(' ').unwrap();
                    json!({"entityType": entity_type, "entityId": id})
                };
                let mut link =
                    json!({"id": format!("link {number}"), "templateId": format!("t#{}", template + 1)});
                if *has_principal {
                    link["principal"] = identifier(principal);
                }
                if *has_resource {
                    link["resource"] = identifier(resource);
                }
                link
            });
            let links = links.collect();
            let templates = templates.into_iter().map(|(text, ..)| text).collect();
            World { policies, templates, links, entities }
        })
}

/// A principal in some groups, perhaps with an attribute.
pub fn principal() -> impl Strategy<Value = Entity> {
    let groups = proptest::sample::subsequence(vec!["g0", "g1", "g2", "g9"], 0..=4);
    (select(vec!["u0", "u1", "u2"]), groups, proptest::option::of(0..3_i64)).prop_map(
        |(id, groups, level)| {
            let parents = groups.into_iter().map(|id| format!("Group::{id:?}").parse().unwrap());
            let level = level.map(|level| ("level".to_owned(), RestrictedExpression::new_long(level)));
            let uid = format!("User::{id:?}").parse().unwrap();
            Entity::new(uid, level.into_iter().collect(), parents.collect::<HashSet<_>>()).unwrap()
        },
    )
}

/// What Cedar answers with all policies, and with these entities over those of the store. `None`: it refuses them.
pub fn ask_all(
    store: &Store,
    given: &[Entity],
    principal: &EntityUid,
    action: &EntityUid,
    resource: &EntityUid,
    context: Context,
) -> Option<Response> {
    let request = Request::new(principal.clone(), action.clone(), resource.clone(), context, None).unwrap();
    // What the store says of its own entities stays, whatever a request says of those between them.
    let stored = store.entities.iter().filter(|entity| given.iter().all(|given| given.uid() != entity.uid()));
    let flat = stored.map(|entity| {
        let mut json = entity.to_json_value().unwrap();
        let ancestors = store.entities.ancestors(&entity.uid()).unwrap();
        let uid = |uid: &EntityUid| json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()});
        json["parents"] = ancestors.map(uid).collect();
        Entity::from_json_value(json, None).unwrap()
    });
    let all: Vec<Entity> = flat.chain(given.iter().cloned()).collect();
    let entities = Entities::from_entities(all, None).ok()?;
    Some(Authorizer::new().is_authorized(&request, &store.policy_set(), &entities))
}

/// What Cedar decides with all policies and all entities.
pub fn naive(
    store: &Store,
    principal: Entity,
    action: &EntityUid,
    resource: &EntityUid,
    context: Context,
) -> Decision {
    let uid = principal.uid();
    naive_of(store, vec![principal], &uid, action, resource, context)
}

/// The same with entities over those of the store.
pub fn naive_of(
    store: &Store,
    given: Vec<Entity>,
    principal: &EntityUid,
    action: &EntityUid,
    resource: &EntityUid,
    context: Context,
) -> Decision {
    let Some(response) = ask_all(store, &given, principal, action, resource, context) else {
        return Decision::deny(Reason::RequestInvalid);
    };
    let mut policies: Vec<PolicyId> = response.diagnostics().reason().cloned().collect();
    let mut errors: Vec<PolicyId> = response
        .diagnostics()
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().clone())
        .collect();
    policies.sort();
    errors.sort();
    let forbids = |id: &PolicyId| store.stored_policy(id.as_ref()).unwrap().effect() == Effect::Forbid;
    let failed: Vec<PolicyId> = errors.iter().filter(|id| forbids(id)).cloned().collect();
    let (reason, policies) = match response.decision() {
        cedar_policy::Decision::Deny if !policies.is_empty() => (Reason::ForbiddenByPolicy, policies),
        _ if !failed.is_empty() => (Reason::ForbidError, failed),
        cedar_policy::Decision::Deny => (Reason::NoMatchingPermit, policies),
        cedar_policy::Decision::Allow => (Reason::AllowedByPolicy, policies),
    };
    Decision { reason, policies, errors }
}

/// Whether the request is allowed, the policies that determined it, and those that failed, each with its error.
pub type CedarAnswer = (bool, BTreeSet<String>, BTreeMap<String, String>);

pub fn answer_of(response: &Response) -> CedarAnswer {
    let errors = response.diagnostics().errors().map(|error| match error {
        AuthorizationError::PolicyEvaluationError(inner) => {
            (inner.policy_id().to_string(), error.to_string())
        }
    });
    let policies = response.diagnostics().reason().map(ToString::to_string).collect();
    (response.decision() == cedar_policy::Decision::Allow, policies, errors.collect())
}

/// A request with entities of its own, the principal among them.
#[derive(Clone, Debug)]
pub struct CedarRequest {
    pub principal: EntityUid,
    pub given: Vec<Entity>,
    pub action: EntityUid,
    pub resource: EntityUid,
    pub context: Context,
}

pub fn cedar_request() -> impl Strategy<Value = CedarRequest> {
    let parts = (
        principal(),
        entities(),
        proptest::sample::subsequence((0..12_usize).collect::<Vec<_>>(), 0..=6),
        select(vec!["read", "write", "any", "unheard-of"]),
        select(vec!["Doc d0", "Doc d1", "Doc d2", "Folder f1", "User u0"]),
        proptest::option::of(0..2_i64),
    );
    parts.prop_map(|(principal, others, chosen, action, resource, x)| {
        let uid = |text: &str| {
            let (entity_type, id) = text.split_once(' ').unwrap();
            format!("{entity_type}::{id:?}").parse::<EntityUid>().unwrap()
        };
        let x = x.map(|x| ("x".to_owned(), RestrictedExpression::new_long(x)));
        let others = chosen.iter().filter_map(|index| others.get(*index));
        let mut given: Vec<Entity> =
            others.map(|entity| Entity::from_json_value(entity.clone(), None).unwrap()).collect();
        given.push(principal.clone());
        CedarRequest {
            principal: principal.uid(),
            given,
            action: uid(&format!("Action {action}")),
            resource: uid(resource),
            context: Context::from_pairs(x).unwrap(),
        }
    })
}
