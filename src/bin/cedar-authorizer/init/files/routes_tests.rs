//! `tests/routes.yaml`: what the new policies decide, for every persona and route.

use cedar_authorizer::cedar::EntityUid;
use cedar_authorizer::gateway::route::{Method, Route, RouteId, RouteTable, Segment};

use super::super::plan::Plan;
use super::super::text;
use super::personas;
use crate::description::Operation;

/// The whole file. `None`: no request leads to any of the routes.
pub fn file(plan: &Plan) -> Option<String> {
    let Requests { reads, others, by_default } = requests(plan);
    let nobody = personas::without_groups(plan);
    let mut tests = Tests::default();
    match plan.groups.split_first() {
        Some((first, rest)) => {
            let first = [first.name.clone()];
            let rest: Vec<String> = rest.iter().map(|group| group.name.clone()).collect();
            let (all, lack) = (
                [&first, rest.as_slice()].concat(),
                [rest.as_slice(), std::slice::from_ref(&nobody)].concat(),
            );
            tests.add("groups read", &all, &reads, "allow");
            tests.add("nobody reads without a group", &[nobody], &reads, "deny");
            tests.add("the first group changes things", &first, &others, "allow");
            tests.add("nobody else changes things", &lack, &others, "deny");
            tests.add("the first group may take the default route", &first, &by_default, "allow");
            tests.add("nobody else may take the default route", &lack, &by_default, "deny");
        }
        None => {
            let nobody = [nobody];
            tests.add("nobody reads before there are policies", &nobody, &reads, "deny");
            tests.add("nobody changes things before there are policies", &nobody, &others, "deny");
            tests.add(
                "nobody may take the default route before there are policies",
                &nobody,
                &by_default,
                "deny",
            );
        }
    }
    let head =
        "# What the policies decide. `cedar-authorizer test` runs it. Change it with the policies.\ntests:\n";
    (!tests.text.is_empty()).then(|| format!("{head}{}", tests.text))
}

/// Requests that share their tests.
struct List {
    /// Its name in the file.
    name: &'static str,
    /// The kind of API, if it is not that of most tests.
    api: Option<&'static str>,
    requests: Vec<String>,
}

/// A request for each route that one can lead to.
struct Requests {
    /// Those that look at things.
    reads: List,
    /// All others.
    others: List,
    /// What no route takes, so that it goes to `$default`.
    by_default: List,
}

#[derive(Default)]
struct Tests {
    text: String,
    /// The lists of requests that are written already. Other tests refer to them.
    written: Vec<&'static str>,
}

impl Tests {
    fn add(&mut self, name: &str, people: &[String], list: &List, expect: &str) {
        if list.requests.is_empty() || people.is_empty() {
            return;
        }
        let people = match people {
            [one] => text::yaml(one),
            several => {
                let names: Vec<String> = several.iter().map(|name| text::yaml(name)).collect();
                format!("[{}]", names.join(", "))
            }
        };
        let requests = match list.requests.as_slice() {
            [one] => format!(" {}\n", text::yaml(one)),
            _ if self.written.contains(&list.name) => format!(" *{}\n", list.name),
            several => {
                self.written.push(list.name);
                let lines: String =
                    several.iter().map(|request| format!("      - {}\n", text::yaml(request))).collect();
                format!(" &{}\n{lines}", list.name)
            }
        };
        let api = list.api.map(|api| format!("    api: {api}\n")).unwrap_or_default();
        self.text +=
            &format!("  - name: {name}\n    as: {people}\n{api}    request:{requests}    expect: {expect}\n");
    }
}

fn requests(plan: &Plan) -> Requests {
    let mut table = RouteTable::default();
    let mut ids: Vec<Option<RouteId>> = Vec::new();
    for operation in &plan.routes {
        let action: Option<EntityUid> = plan.action(operation).parse().ok();
        let route = action
            .and_then(|action| Route::new(operation.method.name(), &operation.path.to_string(), &action));
        let id = RouteId(table.routes().len());
        ids.push(route.filter(|route| table.insert(route.clone()).is_ok()).map(|_| id));
    }
    let (mut reads, mut others, mut by_default) = (Vec::new(), Vec::new(), Vec::new());
    for (operation, id) in plan.routes.iter().zip(ids) {
        let Some(request) = id.and_then(|id| request(operation, id, &table)) else { continue };
        if Plan::is_read(operation) { reads.push(request) } else { others.push(request) }
    }
    if plan.routes.iter().any(|route| route.path.to_string() == DEFAULT) {
        let free = UNKNOWN.into_iter().find(|path| table.find("POST", path).is_err());
        by_default.extend(free.map(|path| format!("POST {path}")));
    }
    let list = |name, requests| List { name, api: None, requests };
    Requests {
        reads: list("reads", reads),
        others: list("changes", others),
        by_default: List { api: Some("http-2"), ..list("default", by_default) },
    }
}

/// A request that leads to this route and to no other. None leads to `$default`, unless no route takes it.
pub fn request(operation: &Operation, id: RouteId, table: &RouteTable) -> Option<String> {
    if operation.path.is_connect() {
        return Some(operation.path.to_string());
    }
    let methods = match operation.method {
        Method::Any => TRIED.to_vec(),
        method => vec![method],
    };
    let candidates = VALUES.into_iter().filter_map(|value| path(operation, value));
    candidates.flat_map(|path| methods.iter().map(move |method| (*method, path.clone()))).find_map(
        |(method, path)| {
            let verb = method.name().to_ascii_uppercase();
            (table.find(&verb, &path) == Ok(id)).then(|| format!("{verb} {path}"))
        },
    )
}

/// A path of the route, with a value for each parameter.
fn path(operation: &Operation, value: &str) -> Option<String> {
    let mut path = String::new();
    for segment in operation.path.segments() {
        path.push('/');
        match segment {
            Segment::Key(_) => return None,
            Segment::Static(text) => path += text,
            Segment::Parameter(_) => path += value,
            Segment::Greedy(_) => path += &format!("{value}/{value}"),
        }
    }
    Some(if path.is_empty() { "/".to_owned() } else { path })
}

/// The methods that are tried for a route of any, first those that change things.
const TRIED: [Method; 7] =
    [Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Get, Method::Head, Method::Options];

/// Values for parameters. The first is best, unless the API has a path with it.
const VALUES: [&str; 3] = ["1", "x1", "some-value"];

/// Paths that few APIs have. Only HTTP APIs have a default route.
const UNKNOWN: [&str; 2] = ["/no-such-route", "/"];

const DEFAULT: &str = "$default";
