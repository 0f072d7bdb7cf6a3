//! `tests/routes.yaml`: what the new policies decide, for every persona and route.

use cedar_authorizer::cedar::EntityUid;
use cedar_authorizer::gateway::route::{Method, Route, RouteId, RouteTable, Segment};

use super::super::plan::Plan;
use super::super::text;
use super::personas;
use crate::description::Operation;

/// The whole file.
pub fn file(plan: &Plan) -> String {
    let (reads, others) = requests(plan);
    let nobody = personas::without_groups(plan);
    let mut tests = Tests::default();
    match plan.groups.split_first() {
        Some((first, rest)) => {
            let first = first.name.clone();
            let rest: Vec<String> = rest.iter().map(|group| group.name.clone()).collect();
            let all: Vec<String> = [first.clone()].into_iter().chain(rest.iter().cloned()).collect();
            let lack = [rest.as_slice(), &[nobody.clone()]].concat();
            tests.add("groups read", &all, &reads, "reads", "allow");
            tests.add("nobody reads without a group", &[nobody], &reads, "reads", "deny");
            tests.add("the first group changes things", &[first], &others, "changes", "allow");
            tests.add("nobody else changes things", &lack, &others, "changes", "deny");
        }
        None => {
            tests.add("nobody reads before there are policies", &[nobody.clone()], &reads, "reads", "deny");
            tests.add(
                "nobody changes things before there are policies",
                &[nobody],
                &others,
                "changes",
                "deny",
            );
        }
    }
    format!(
        "# What the policies decide. `cedar-authorizer test` runs it. Change it with the policies.\n\
         tests:\n{}",
        tests.text
    )
}

#[derive(Default)]
struct Tests {
    text: String,
    /// The lists of requests that are written already. Other tests refer to them.
    written: Vec<&'static str>,
}

impl Tests {
    fn add(&mut self, name: &str, people: &[String], requests: &[String], list: &'static str, expect: &str) {
        if requests.is_empty() || people.is_empty() {
            return;
        }
        let people = match people {
            [one] => text::yaml(one),
            several => {
                let names: Vec<String> = several.iter().map(|name| text::yaml(name)).collect();
                format!("[{}]", names.join(", "))
            }
        };
        let requests = if self.written.contains(&list) {
            format!(" *{list}\n")
        } else {
            self.written.push(list);
            let lines: String =
                requests.iter().map(|request| format!("      - {}\n", text::yaml(request))).collect();
            format!(" &{list}\n{lines}")
        };
        self.text +=
            &format!("  - name: {name}\n    as: {people}\n    request:{requests}    expect: {expect}\n");
    }
}

/// A request for each route that one can lead to: those that look at things, and all others.
fn requests(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let mut table = RouteTable::default();
    let mut ids: Vec<Option<RouteId>> = Vec::new();
    for operation in &plan.routes {
        let action: Option<EntityUid> = plan.action(operation).parse().ok();
        let route = action
            .and_then(|action| Route::new(operation.method.name(), &operation.path.to_string(), &action));
        let id = RouteId(table.routes().len());
        ids.push(route.filter(|route| table.insert(route.clone()).is_ok()).map(|_| id));
    }
    let (mut reads, mut others) = (Vec::new(), Vec::new());
    for (operation, id) in plan.routes.iter().zip(ids) {
        let Some(request) = id.and_then(|id| request(operation, id, &table)) else { continue };
        if Plan::is_read(operation) { reads.push(request) } else { others.push(request) }
    }
    (reads, others)
}

/// A request that leads to this route and to no other. None leads to `$default` and `$connect`.
pub fn request(operation: &Operation, id: RouteId, table: &RouteTable) -> Option<String> {
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
