//! Update: adds to a store what its API gained, and names what the API lost. Nothing else of the store changes.

mod decisions;
mod schema_text;
mod tokens;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::cedar::EntityTypeName;
use cedar_authorizer::gateway::route::{Method, Route};
use cedar_authorizer::store::finding::Severity;
use cedar_authorizer::store::{Checks, Store, build};

use super::api::Api;
use super::files::avp_schema;
use super::plan::{expand_any, is_asked};
use crate::description::Operation;
use crate::output::{self, Exit, Failure, SUCCESS, WARNING, paint, plural, print, warn};
use crate::progress;
use crate::store::{StoreArgs, checking, count};
use schema_text::Model;

/// How an API and a store differ.
struct Difference {
    /// Routes of the API that the store does not have.
    gained: Vec<Operation>,
    /// Routes of the store that the API does not have.
    lost: Vec<String>,
    /// Routes of the API that cannot be beside one of the store, and that one.
    renamed: Vec<(String, String)>,
}

/// Updates a store.
pub fn update(api: Api, store: &StoreArgs, is_expanded: bool) -> Result<Exit, Failure> {
    let (checked, files) = store.open_to_ask()?;
    let difference = Difference::between(api, &checked, &files, is_expanded);
    let Difference { gained, lost, renamed } = &difference;
    for (route, known) in renamed {
        let (what, route, known) =
            (paint(WARNING, "renamed"), output::printable(route), output::printable(known));
        warn(&format_args!(
            "{what}: the API has `{route}` where the store has `{known}`: change the name in the store"
        ));
    }
    for route in gained {
        print(&format_args!("+ {}", route.action_id()))?;
    }
    for route in lost {
        print(&format_args!("- {}", output::printable(route)))?;
    }
    if !gained.is_empty() {
        add(gained, &checked, &files, store)?;
    }
    let name = store.name();
    let name = output::printable(&name);
    if !lost.is_empty() {
        warn(&format_args!(
            "the API has no longer {}: remove what is marked with `-` from `{name}` yourself",
            plural(lost.len(), "route")
        ));
    }
    if gained.is_empty() && lost.is_empty() && renamed.is_empty() {
        print(&paint(SUCCESS, &format!("`{name}` has all routes of the API, and no others")))?;
    }
    Ok(if lost.is_empty() && renamed.is_empty() { Exit::Fine } else { Exit::Denied })
}

impl Difference {
    fn between(api: Api, store: &Store, files: &StoreFiles, is_expanded: bool) -> Self {
        let known = &store.routes;
        let known_keys: HashSet<String> = known.routes().iter().map(ToString::to_string).collect();
        let has_any = known.routes().iter().any(|route| route.method == Method::Any);
        let is_expanded = is_expanded || files.get(JSON_SCHEMA).is_some() && !has_any;
        // Before anything is left out: a route that the authorizer is not asked about is no lost one.
        let of_api: HashSet<String> = api.operations.iter().map(key).collect();
        let paths: HashSet<String> =
            api.operations.iter().map(|operation| operation.path.to_string()).collect();
        let operations: Vec<Operation> = api.operations.into_iter().filter(is_asked).collect();
        let operations = if is_expanded { expand_any(operations) } else { operations };
        let mut lost = Vec::new();
        for route in known.routes() {
            let path = route.template.to_string();
            let is_there = match route.method {
                // Its policies serve whatever the API has there.
                Method::Any => paths.contains(&path),
                _ => of_api.contains(&route.to_string()) || of_api.contains(&format!("any {path}")),
            };
            if !is_there {
                lost.push(route.action.id().unescaped().to_owned());
            }
        }
        let (mut table, mut gained, mut renamed) = (known.clone(), Vec::new(), Vec::new());
        for operation in operations {
            let path = operation.path.to_string();
            let all =
                || avp_schema::METHODS.iter().all(|method| known_keys.contains(&format!("{method} {path}")));
            let is_known = known_keys.contains(&key(&operation))
                || known_keys.contains(&format!("any {path}"))
                || operation.method == Method::Any && all();
            if is_known {
                continue;
            }
            let Some(first) = known.routes().first() else { continue };
            let Some(route) = Route::new(operation.method.name(), &path, &first.action) else { continue };
            match table.insert(route) {
                Ok(()) => gained.push(operation),
                Err(conflict) => renamed.push((operation.action_id(), conflict.with.to_string())),
            }
        }
        // What has another name now is not lost.
        lost.retain(|lost| renamed.iter().all(|(_, known)| known != lost));
        Self { gained, lost, renamed }
    }
}

/// Adds actions to the schema, and tests of what the policies decide about them.
fn add(gained: &[Operation], store: &Store, files: &StoreFiles, args: &StoreArgs) -> Result<(), Failure> {
    let (file, edit) = match files.get(JSON_SCHEMA) {
        Some(_) => (JSON_SCHEMA, schema_text::with_json_actions as Edit),
        None => (CEDAR_SCHEMA, schema_text::with_actions as Edit),
    };
    let unclear = || {
        Failure::could_not_run(format_args!(
            "cannot find the place for new actions in `{}/{file}`",
            args.name()
        ))
        .hint("add them yourself: their ids are above")
    };
    let text = files.get(file).and_then(|content| str::from_utf8(content).ok()).ok_or_else(unclear)?;
    let routes: Vec<&Operation> = gained.iter().collect();
    let updated = model(store).and_then(|model| edit(text, &routes, &model.as_model()));
    let updated = updated.ok_or_else(unclear)?;

    let mut changed = files.clone();
    changed.insert(file.to_owned(), updated.clone().into_bytes());
    let checks = Checks::default();
    let (checked, findings) = progress::during(checking(&changed), || build::check(&changed, &checks));
    args.warn_of(&changed, findings.iter().filter(|finding| finding.severity == Severity::Error));
    let Some(checked) = checked else {
        let errors = plural(count(&findings, Severity::Error), "error");
        return Err(Failure::invalid(format_args!("the store would have {errors}, so nothing was changed")));
    };
    let tests = decisions::of_routes(gained, checked, &changed, &args.store)?;
    replace(&args.store.join(file), updated.as_bytes())?;
    if let Some(tests) = tests {
        let folder = args.store.join("tests");
        fs::create_dir_all(&folder).map_err(|error| unwritten(&folder, &error))?;
        let is_free = |name: &str| fs::symlink_metadata(folder.join(format!("{name}.yaml"))).is_err();
        let path = folder.join(format!("{}.yaml", super::plan::unused("routes-added", is_free)));
        replace(&path, tests.as_bytes())?;
        let (path, routes) = (path.display().to_string(), plural(gained.len(), "route"));
        warn(&format_args!(
            "what the policies decide about {routes} is in `{}`: go through it",
            output::printable(&path)
        ));
    }
    Ok(())
}

/// What a route of the store applies to.
struct OwnedModel<'a> {
    namespace: &'a str,
    action: String,
    principals: Vec<String>,
    resource: String,
}

impl OwnedModel<'_> {
    fn as_model(&self) -> Model<'_> {
        let Self { namespace, action, principals, resource } = self;
        Model { namespace, action, principals, resource }
    }
}

/// The first route that acts on the API as a whole.
fn model(store: &Store) -> Option<OwnedModel<'_>> {
    let (schema, namespace) = (store.schema.as_ref()?, store.settings.namespace.as_str());
    let resource = store.settings.resource.type_name();
    let routes = store.routes.routes().iter().filter(|route| route.resource.is_none());
    let applies = |route: &&Route| {
        let mut types = schema.resources_for_action(&route.action).into_iter().flatten();
        types.any(|known| known == resource)
    };
    let route = routes.clone().find(applies)?;
    let own = |name: &EntityTypeName| {
        let text = name.to_string();
        let inside = text.strip_prefix(namespace).and_then(|rest| rest.strip_prefix("::"));
        inside.filter(|rest| !rest.contains("::")).map_or_else(|| text.clone(), str::to_owned)
    };
    let mut principals: Vec<String> =
        schema.principals_for_action(&route.action).into_iter().flatten().map(own).collect();
    principals.sort();
    principals.dedup();
    let action = route.action.id().unescaped().to_owned();
    (!principals.is_empty()).then(|| OwnedModel { namespace, action, principals, resource: own(resource) })
}

/// Replaces a file as a whole, or not at all. A link stays a link.
fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = real.parent().unwrap_or(path);
    let failed = |error: &std::io::Error| unwritten(path, error);
    let beside = tempfile::Builder::new().prefix(".cedar-authorizer-init-").tempdir_in(folder);
    let beside = beside.map_err(|error| failed(&error))?;
    let new = beside.path().join("new");
    fs::write(&new, content).map_err(|error| failed(&error))?;
    if let Ok(metadata) = fs::metadata(&real) {
        fs::set_permissions(&new, metadata.permissions()).map_err(|error| failed(&error))?;
    }
    fs::rename(&new, &real).map_err(|error| failed(&error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display().to_string();
    Failure::could_not_run(format_args!("cannot write `{}`: {error}", output::printable(&path)))
}

/// A route as text. `$default` is of any method.
fn key(operation: &Operation) -> String {
    format!("{} {}", operation.method, operation.path)
}

type Edit = fn(&str, &[&Operation], &Model<'_>) -> Option<String>;

const CEDAR_SCHEMA: &str = "schema.cedarschema";
const JSON_SCHEMA: &str = "schema.cedarschema.json";
