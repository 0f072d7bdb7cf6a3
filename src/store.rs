//! A policy store: schema, policies, entities and identity sources as files, kept in git.
//!
//! ```text
//! store.toml                 settings
//! schema.cedarschema         or schema.cedarschema.json
//! policies/**/*.cedar        static policies, or as AVP's definitions in *.json
//! templates/**/*.cedar       policy templates
//! template-links.json        templates filled in
//! entities.json              group nesting and resources
//! identity-sources/*.json    in the shape of AVP's CreateIdentitySource
//! jwks/<name>.json           keys of the identity source of the same name
//! ```
//!
//! Reading one yields *all* its problems, each with a code and a position; see [`Finding`].

pub mod build;
pub mod directory;
mod entities;
pub mod finding;
mod grants;
pub mod guess;
mod identity_sources;
pub mod inputs;
pub mod links;
mod lints;
mod policies;
#[cfg(feature = "cli")]
pub mod publish;
mod room;
pub mod schema;
pub mod settings;
pub mod sources;
pub mod statement;
pub mod stored_policy;

use std::collections::{BTreeSet, HashSet};
use std::{io, mem};

use cedar_policy::{Entities, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Schema};

use crate::bundle::StoreFiles;
use crate::bundle::files::{IDENTITY_SOURCE_FOLDER, POLICY_FOLDER, SETTINGS_FILE, is_in};
use crate::gateway::cache_key::CacheScope;
use crate::gateway::input::Input;
use crate::gateway::route::{Route, RouteTable};
use crate::projection::Projection;
use crate::token::identity_source::IdentitySource;
use finding::{Code, Finding, Position, Severity};
use guess::nearest;
use links::TemplateLinks;
pub use lints::{Checks, open_routes, unpermitted_routes};
use policies::StorePolicies;
use room::with_room_on_all;
use schema::{SchemaUnusable, StoreSchema};
use settings::{RouteSetting, Settings, Validation};
use stored_policy::StoredPolicy;

/// A policy store that can be used: none of its problems is an error.
#[derive(Clone, Debug)]
pub struct Store {
    /// `store.toml`.
    pub settings: Settings,
    /// The schema. `None`: the store has none, and validation is off.
    pub schema: Option<Schema>,
    /// What is read in a token.
    pub projection: Projection,
    /// The routes of the API.
    pub routes: RouteTable,
    /// Static policies and templates.
    pub policies: PolicySet,
    /// Template links.
    pub links: TemplateLinks,
    /// The entities of the store and the actions of the schema.
    pub entities: Entities,
    /// Of these entities, those that policies name in their conditions.
    pub named_entities: Vec<EntityUid>,
    /// For each route, what its policies read in a call.
    pub reads: Vec<BTreeSet<Input>>,
    /// The identity sources, in the order of their names.
    pub identity_sources: Vec<IdentitySource>,
}

impl Store {
    /// Reads a policy store for use. The validation of policies is left out: it takes time, and changes nothing
    /// for a store that has passed it before.
    ///
    /// # Errors
    /// All the problems that make it unusable.
    pub fn open(files: &StoreFiles) -> Result<Self, Vec<Finding>> {
        with_room_on_all(|| Self::open_with_room(files)).unwrap_or_else(|error| Err(vec![no_room(&error)]))
    }

    fn open_with_room(files: &StoreFiles) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let store = Parts::read(files, &mut findings).into_store();
        findings.retain(|finding| finding.severity == Severity::Error);
        store.filter(|_| findings.is_empty()).map(|(store, _)| store).ok_or(findings)
    }

    /// Reads a policy store for requests in Cedar's terms ([`build::cedar_gate`]). It has these policies instead of
    /// those of its files, and no routes. It needs neither a schema nor an identity source, and an identity source of
    /// a user pool has the token type `None`.
    ///
    /// # Errors
    /// All the problems that make it unusable.
    pub fn open_with_policies(files: &StoreFiles, policies: PolicySet) -> Result<Self, Vec<Finding>> {
        let read = || {
            let mut findings = Vec::new();
            let store = Parts::with_policies(files, policies, &mut findings).into_store();
            findings.retain(|finding| finding.severity == Severity::Error);
            store.filter(|_| findings.is_empty()).map(|(store, _)| store).ok_or(findings)
        };
        with_room_on_all(read).unwrap_or_else(|error| Err(vec![no_room(&error)]))
    }

    /// Reads and checks a policy store. Returns all its problems, in the order of the files. Also returns the
    /// store, unless one of the problems is an error.
    pub fn check(files: &StoreFiles) -> (Option<Self>, Vec<Finding>) {
        Self::check_for(files, &Checks::default())
    }

    /// Reads and checks a policy store as [`Store::check`] does, with further checks.
    pub fn check_for(files: &StoreFiles, checks: &Checks) -> (Option<Self>, Vec<Finding>) {
        with_room_on_all(|| Self::check_with_room(files, checks))
            .unwrap_or_else(|error| (None, vec![no_room(&error)]))
    }

    fn check_with_room(files: &StoreFiles, checks: &Checks) -> (Option<Self>, Vec<Finding>) {
        let mut findings = Vec::new();
        let parts = Parts::read(files, &mut findings);
        let impossible = parts.validate(files, &mut findings);
        let is_usable = findings.iter().all(|finding| finding.severity != Severity::Error);
        let schema = parts.schema.as_ref().ok().and_then(Option::as_ref).cloned();
        let store = parts.into_store().filter(|_| is_usable).map(|(store, origins)| {
            // An answer for one method and path needs no grant for others.
            if checks.cache_key.as_ref().is_none_or(|key| key.scope() != CacheScope::Method) {
                grants::check(&store, schema.as_ref(), &origins, &mut findings);
            }
            lints::check(files, &store, schema.as_ref(), &origins, &impossible, checks, &mut findings);
            lints::accept(&store, &origins, checks, &mut findings);
            store
        });
        finding::sort(&mut findings);
        (store, findings)
    }
}

impl Store {
    /// The policies that decide about requests: static ones, and links with their templates.
    pub fn stored_policies(&self) -> impl Iterator<Item = StoredPolicy<'_>> {
        stored_policy::all(&self.policies, &self.links)
    }

    /// How many policies decide about requests.
    pub fn policy_count(&self) -> usize {
        self.policies.num_of_policies() + self.links.len()
    }

    /// The policy that decides about requests by this name.
    pub fn stored_policy(&self, id: &str) -> Option<StoredPolicy<'_>> {
        match self.links.get(id) {
            Some(link) => StoredPolicy::linked(link, &self.policies),
            None => self.policies.policy(&PolicyId::new(id)).map(StoredPolicy::Static),
        }
    }

    /// All policies, with the links as Cedar has them. A link then takes more than three kilobytes: this is for
    /// explanations, proofs and tests, not for what is done with every store.
    pub fn policy_set(&self) -> PolicySet {
        let mut set = self.policies.clone();
        for link in self.links.iter() {
            // INVARIANT: each link was compared with its template when it was read.
            let _ = set.link(link.template_id.clone(), PolicyId::new(link.id), link.values());
        }
        set
    }

    /// The entities that policies name in their scopes and conditions, and those in the slots of links.
    pub fn entities_in_policies(&self) -> BTreeSet<EntityUid> {
        let of_policies = self.policies.policies().flat_map(|policy| policy.entity_literals());
        let linked = self.links.templates().iter();
        let of_templates = linked.flat_map(|template| links::literals_of(template, &self.policies));
        of_policies.chain(of_templates).chain(self.links.entities().map(|entity| entity.uid())).collect()
    }
}

fn no_room(error: &io::Error) -> Finding {
    let at = Position::file(POLICY_FOLDER);
    Finding::new(Code::FileUnreadable, at, format_args!("there is no room to read policies: {error}"))
}

/// The files in a folder and in the folders below it.
fn in_folder<'a>(
    files: &'a StoreFiles,
    folder: &'a str,
    extension: &'a str,
) -> impl Iterator<Item = &'a str> {
    files.iter().map(|(path, _)| path).filter(move |path| is_in(path, folder, extension))
}

/// The text of a file; a file that is not UTF-8 is a finding.
fn read_text<'a>(files: &'a StoreFiles, path: &str, findings: &mut Vec<Finding>) -> Option<&'a str> {
    match std::str::from_utf8(files.get(path)?) {
        Ok(text) => Some(text),
        Err(_) => {
            findings.push(Finding::new(Code::FileUnreadable, Position::file(path), "the file is not UTF-8"));
            None
        }
    }
}

/// The parts of a policy store that could be read, however much is wrong with the rest.
struct Parts<'a> {
    settings: Option<Settings>,
    schema: Result<Option<StoreSchema>, SchemaUnusable>,
    routes: RouteTable,
    policies: StorePolicies<'a>,
    entities: Option<Entities>,
    identity_sources: Vec<IdentitySource>,
}

impl<'a> Parts<'a> {
    fn read(files: &'a StoreFiles, findings: &mut Vec<Finding>) -> Self {
        let settings = read_settings(files, findings);
        let needs_schema = settings.as_ref().is_none_or(|settings| settings.validation == Validation::Strict);
        let schema = StoreSchema::read(files, needs_schema, findings);
        let routes = match (&settings, &schema) {
            (Some(settings), Ok(schema)) => read_routes(settings, schema.as_ref(), findings),
            _ => RouteTable::default(),
        };
        let known_schema = schema.as_ref().ok().and_then(Option::as_ref);
        let mut policies = StorePolicies::read(files, findings);
        policies.analyse(known_schema);
        Self {
            policies,
            entities: match &schema {
                Ok(schema) => entities::read(files, schema.as_ref(), findings),
                Err(SchemaUnusable) => None,
            },
            identity_sources: identity_sources::read(
                files,
                settings.as_ref().map(|settings| settings.token_type),
                known_schema,
                findings,
            ),
            settings,
            schema,
            routes,
        }
    }

    /// The parts that matter to requests in Cedar's terms, with these policies.
    fn with_policies(files: &'a StoreFiles, policies: PolicySet, findings: &mut Vec<Finding>) -> Self {
        let settings = read_settings(files, findings);
        let schema = StoreSchema::read(files, false, findings);
        let entities = match &schema {
            Ok(schema) => entities::read(files, schema.as_ref(), findings),
            Err(SchemaUnusable) => None,
        };
        let has_sources = in_folder(files, IDENTITY_SOURCE_FOLDER, ".json").next().is_some();
        // Neither the settings nor the schema have a say in which tokens there are.
        let identity_sources =
            if has_sources { identity_sources::read(files, None, None, findings) } else { Vec::new() };
        let (mut policies, routes) = (StorePolicies::from(policies), RouteTable::default());
        policies.analyse(schema.as_ref().ok().and_then(Option::as_ref));
        Self { settings, schema, routes, policies, entities, identity_sources }
    }

    /// Runs the checks that need several files at once, or time. Returns the policies that can never apply.
    fn validate(&self, files: &StoreFiles, findings: &mut Vec<Finding>) -> HashSet<PolicyId> {
        for (path, _) in files.iter().filter(|(path, _)| !StoreFiles::is_known(path)) {
            let finding = Finding::new(Code::FileUnknown, Position::file(path), "nothing reads this file");
            findings.push(finding.hint("docs/stores.md has the layout of a policy store"));
        }
        let (Some(settings), Ok(schema)) = (&self.settings, &self.schema) else {
            return HashSet::new();
        };
        settings.check_resources(findings);
        let impossible = match (settings.validation, schema) {
            (Validation::Strict, Some(schema)) => self.policies.validate(schema, findings),
            _ => {
                let at = Position::file(SETTINGS_FILE);
                let message = "policies are not validated against a schema";
                findings.push(Finding::new(Code::ValidationOff, at, message));
                HashSet::new()
            }
        };
        let resource_type = settings.resource.type_name();
        if let Some(schema) = schema
            && !schema.schema.entity_types().any(|known| known == resource_type)
        {
            let at = Position::file(SETTINGS_FILE);
            let message = format!("the schema has no entity type `{resource_type}`, that of the resource");
            findings.push(Finding::new(Code::ResourceInvalid, at, message).hint("set `resource` in `[api]`"));
        }
        if let Some(schema) = schema {
            self.check_routes(settings, schema, findings);
        }
        let sources: Vec<&IdentitySource> = self.identity_sources.iter().collect();
        self.policies.check_claims(&sources, findings);
        if let Some(entities) = &self.entities {
            self.policies.check_groups(&sources, entities, findings);
            entities::check_principals(files, entities, &sources, findings);
        }
        impossible
    }

    /// Finds routes that are always denied, because the action does not apply to the resource that they make.
    fn check_routes(&self, settings: &Settings, schema: &StoreSchema, findings: &mut Vec<Finding>) {
        let known_actions: HashSet<&EntityUid> = schema.schema.actions().collect();
        let known_types: HashSet<&EntityTypeName> = schema.schema.entity_types().collect();
        for route in self.routes.routes() {
            let made = route.resource.as_ref();
            let resource_type = made.map_or(settings.resource.type_name(), |resource| &resource.entity_type);
            let mut problem = |message: String| {
                let position = settings.position_of(route, Some(schema));
                findings.push(Finding::new(Code::RouteInvalid, position, message));
            };
            // If the schema does not have the action or type at all, another check has said so.
            let is_known = known_actions.contains(&route.action) && known_types.contains(resource_type);
            let mut types = schema.schema.resources_for_action(&route.action).into_iter().flatten();
            if is_known && !types.any(|known| known == resource_type) {
                problem(format!("`{}` does not apply to resources of type `{resource_type}`", route.action));
            }
            for name in made.into_iter().flat_map(|resource| resource.attributes.keys()) {
                let shape = schema.shapes.entity(resource_type);
                if !shape.is_some_and(|shape| shape.attributes().any(|(known, _)| known == name)) {
                    problem(format!("in the schema, `{resource_type}` has no attribute `{name}`"));
                }
            }
        }
    }

    /// The store, and where its policies stand.
    fn into_store(self) -> Option<(Store, StorePolicies<'a>)> {
        let Self { settings, schema, routes, mut policies, entities, identity_sources } = self;
        let (schema, projection) = match schema.ok()? {
            Some(StoreSchema { schema, shapes, .. }) => (Some(schema), Projection::Schema(shapes)),
            None => (None, Projection::Schemaless),
        };
        let entities = entities?;
        let mut named_entities = policies.named_entities();
        let settings = settings?;
        let reads = policies.reads(
            routes.routes(),
            &entities,
            &settings,
            &projection,
            &identity_sources,
            &named_entities,
        );
        named_entities.retain(|uid| entities.get(uid).is_some());
        let store = Store {
            settings,
            reads,
            schema,
            projection,
            routes,
            policies: mem::take(&mut policies.set),
            links: mem::take(&mut policies.links),
            entities,
            named_entities,
            identity_sources,
        };
        Some((store, policies))
    }
}

/// Reads `store.toml`.
fn read_settings(files: &StoreFiles, findings: &mut Vec<Finding>) -> Option<Settings> {
    if let Some(text) = read_text(files, SETTINGS_FILE, findings) {
        return Settings::parse(text, findings);
    }
    let finding =
        Finding::new(Code::SettingsInvalid, Position::file(SETTINGS_FILE), "there is no `store.toml`");
    findings.push(finding.hint("a policy store is a directory with a `store.toml`; name it by --store"));
    None
}

/// Reads the routes: those of `store.toml`, and the actions of the namespace whose ids are routes. If both have
/// the same method and path, the one in `store.toml` counts.
fn read_routes(settings: &Settings, schema: Option<&StoreSchema>, findings: &mut Vec<Finding>) -> RouteTable {
    let action_type = settings.action_type();
    let mut table = RouteTable::default();
    let Ok(type_name) = action_type.parse::<EntityTypeName>() else {
        return table;
    };
    let known_actions: Option<HashSet<&EntityUid>> = schema.map(|schema| schema.schema.actions().collect());
    for RouteSetting { method, template, action, resource, position } in &settings.routes {
        let action = EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(action));
        if known_actions.as_ref().is_some_and(|known| !known.contains(&action)) {
            let message = format!("the schema has no action `{action}`");
            let finding = Finding::new(Code::RouteInvalid, position.clone(), message);
            let of_type = known_actions.iter().flatten().filter(|known| *known.type_name() == type_name);
            let mut ids: Vec<&str> = of_type.map(|known| known.id().unescaped()).collect();
            ids.sort_unstable();
            let near = nearest(action.id().unescaped(), ids);
            findings.push(match near {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding,
            });
        }
        let route = Route { method: *method, template: template.clone(), action, resource: resource.clone() };
        if let (Some(schema), Some(resource)) = (schema, resource) {
            let known = schema.schema.entity_types().any(|known| *known == resource.entity_type);
            if !known {
                let message = format!("the schema has no entity type `{}`", resource.entity_type);
                findings.push(Finding::new(Code::ResourceInvalid, position.clone(), message));
            }
        }
        if let Err(conflict) = table.insert(route) {
            let message = format!("`{method} {template}` is the same route as `{}`", conflict.with);
            findings.push(Finding::new(Code::RouteConflict, position.clone(), message));
        }
    }
    let explicit = table.routes().to_vec();

    let mut actions: Vec<_> = schema.into_iter().flat_map(|schema| schema.schema.actions()).collect();
    actions.sort();
    let of_namespace = actions.into_iter().filter(|action| *action.type_name() == type_name);
    let implicit = of_namespace.filter_map(Route::from_action);
    let annotated = schema.into_iter().flat_map(|schema| schema.annotated.iter().cloned());
    for route in implicit.chain(annotated.filter(|route| *route.action.type_name() == type_name)) {
        let action = route.action.clone();
        if let Err(conflict) = table.insert(route)
            && !explicit.contains(&conflict.with)
            && conflict.with.action != action
        {
            let position = schema.map(|schema| schema.find(action.id().unescaped()));
            let message = format!("{action} is the same route as `{}`", conflict.with);
            let position = position.unwrap_or_else(|| Position::file(SETTINGS_FILE));
            findings.push(Finding::new(Code::RouteConflict, position, message));
        }
    }
    if table.routes().is_empty() {
        findings.push(no_routes(&action_type, schema));
    }
    table
}

/// What is said of a store without routes. `action_type` is the type of the actions that would be routes.
fn no_routes(action_type: &str, schema: Option<&StoreSchema>) -> Finding {
    let mut actions = schema.into_iter().flat_map(|schema| schema.schema.actions());
    if let Some((schema, elsewhere)) = schema.zip(actions.find(|action| Route::from_action(action).is_some()))
    {
        let message =
            format!("`{elsewhere}` reads like a route, but routes are actions of type `{action_type}`");
        let position = schema.find(elsewhere.id().unescaped());
        return Finding::new(Code::RouteElsewhere, position, message)
            .hint("set `namespace` in `[store]` to the namespace of the routes");
    }
    let file = schema.map_or(SETTINGS_FILE, |schema| schema.file);
    let message = format!(
        "there is neither an action `{action_type}::\"<method> <path>\"` nor a `[[routes]]`, so every call is denied"
    );
    Finding::new(Code::RouteMissing, Position::file(file), message)
        .hint("an action such as \"get /pets/{petId}\" is a route, its method in lower case")
}
