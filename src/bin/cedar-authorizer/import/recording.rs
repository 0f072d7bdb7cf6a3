//! `personas.toml` and `tests/routes.yaml` of an imported store: what its policies decide today, for somebody of each
//! group.

use std::collections::BTreeSet;
use std::path::Path;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::Store;
use cedar_authorizer::token::TokenType;
use cedar_authorizer::token::identity_source::{IdentitySource, Provider};
use serde_json::{Value, json};

use crate::init::files::Files;
use crate::init::files::personas::{self, Persona, WITHOUT_GROUPS};
use crate::init::plan::unused;
use crate::init::text::comment;
use crate::matrix::callers::{self, Caller};
use crate::matrix::cells;
use crate::output::Failure;
use crate::progress;
use crate::test::record;
use crate::test_bench::{DEFAULT_TIME, Personas, TestBench, default_claims, token_type};

/// Both files, or none: without an identity source there are no callers, and without routes no requests.
pub fn files(store: Store, files: StoreFiles) -> Result<Files, Failure> {
    let (callers, without_caller) = first(callers::groups(&store), MAX_PERSONAS);
    let (routes, without_request) = first(store.routes.routes().iter().collect(), MAX_ROUTES);
    let requests: Vec<_> =
        routes.into_iter().filter_map(|route| cells::request(&store.routes, route)).collect();
    if callers.is_empty() || requests.is_empty() {
        return Ok(Files::new());
    }
    let people = personas::write(&people(callers, &store.identity_sources));
    let personas = Personas::parse(Path::new(PERSONAS), &people)?;
    let bench = TestBench::new(store.settings.name.clone(), store, files, personas)?;
    let head = head(without_caller, without_request);
    let recorded = progress::during("recording what the policies decide", || {
        record(&bench, &requests, &head, "imported routes")
    })?;
    let both = recorded.map(|tests| [(PERSONAS, people), (TESTS, tests)]);
    Ok(both.into_iter().flatten().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect())
}

/// As many as are wanted, and how many are left out.
fn first<T>(mut all: Vec<T>, wanted: usize) -> (Vec<T>, usize) {
    let rest = all.len().saturating_sub(wanted);
    all.truncate(wanted);
    (all, rest)
}

/// A persona for each caller. Those without groups are the last.
fn people(mut callers: Vec<Caller>, sources: &[IdentitySource]) -> Vec<Persona> {
    callers.sort_by_key(|caller| caller.group.is_none());
    let mut taken = BTreeSet::new();
    let person = |(index, caller): (usize, Caller)| {
        let name = unused(&short_name(&caller, sources.len()), |name| !taken.contains(name));
        taken.insert(name.clone());
        let mut claims = Vec::new();
        if let Some(source) = sources.iter().find(|source| caller.source.as_deref() == Some(source.name())) {
            claims.push((source.principal_id_claim().to_owned(), json!(personas::id(index + 1))));
            if sources.len() > 1 {
                claims.extend(of_source(source));
            }
            if let Provider::Cognito(_) = source.provider() {
                let claim = personas::cognito_user_name(token_type(source) == TokenType::Id);
                claims.push((claim.to_owned(), json!(name)));
            }
        }
        claims.extend(caller.claims);
        Persona { name, claims }
    };
    callers.into_iter().enumerate().map(person).collect()
}

/// A name that fits on a line and in a terminal, whatever the id of the group is.
fn short_name(caller: &Caller, sources: usize) -> String {
    let group = caller.group.as_deref().map_or_else(|| WITHOUT_GROUPS.to_owned(), comment);
    let group = if group.is_empty() { "no-name" } else { &group };
    match &caller.source {
        Some(source) if sources > 1 => format!("{}: {group}", comment(source)),
        _ => group.to_owned(),
    }
}

/// The claims by which the tokens of a source are known.
fn of_source(source: &IdentitySource) -> Vec<(String, Value)> {
    let all = default_claims(source, token_type(source), DEFAULT_TIME, 0);
    let is_of_source = |name: &String| ["iss", "aud", "client_id"].contains(&name.as_str());
    all.into_iter().filter(|(name, value)| is_of_source(name) && value.is_string()).collect()
}

/// The comment at the beginning of the tests.
fn head(personas: usize, routes: usize) -> String {
    let mut head = HEAD.to_owned();
    let left_out = [(personas, "persona", MAX_PERSONAS), (routes, "route", MAX_ROUTES)];
    for (count, what, wanted) in left_out.into_iter().filter(|(count, ..)| *count > 0) {
        head += &format!("# Only the first {wanted} {what}s are here; {count} more are left out.\n");
    }
    head
}

const HEAD: &str = "# What the policies decided when they were imported, for each persona and route. It is a record, and nobody has said
# yet that it is right: go through it. `cedar-authorizer test` runs it. Change it with the policies.
";

const PERSONAS: &str = "personas.toml";
const TESTS: &str = "tests/routes.yaml";

/// More than people go through. Both together are fewer cases than `test` takes.
const MAX_PERSONAS: usize = 200;
const MAX_ROUTES: usize = 2000;
