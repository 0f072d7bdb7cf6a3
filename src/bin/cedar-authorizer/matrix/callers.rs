//! Whose access a matrix shows.

use std::collections::BTreeSet;

use cedar_authorizer::cedar::EntityUid;
use cedar_authorizer::store::Store;
use serde_json::json;

use super::By;
use crate::output::Failure;
use crate::test_bench::{Claims, TestBench};

/// A caller.
pub struct Caller {
    /// The name of the column.
    pub name: String,
    /// The group, of a caller who stands for one.
    pub group: Option<String>,
    /// The claims, without those that every token of the source has.
    pub claims: Claims,
    /// The name of the identity source. `None`: as the claims say.
    pub source: Option<String>,
}

/// The callers of a matrix, in the order of its columns.
pub fn callers(bench: &TestBench, by: Option<By>) -> Result<Vec<Caller>, Failure> {
    let has_personas = bench.personas().names().next().is_some();
    match by {
        Some(By::Persona) if !has_personas => Err(Failure::could_not_run("the policy store has no personas")
            .hint("add them to `personas.toml`, or use --by group")),
        Some(By::Persona) => Ok(personas(bench)),
        None if has_personas => Ok(personas(bench)),
        Some(By::Group) | None => Ok(groups(bench.store())),
    }
}

impl Caller {
    /// A persona.
    pub fn persona(name: &str, claims: &Claims) -> Self {
        Self { name: name.to_owned(), group: None, claims: claims.clone(), source: None }
    }
}

fn personas(bench: &TestBench) -> Vec<Caller> {
    bench.personas().iter().map(|(name, claims)| Caller::persona(name, claims)).collect()
}

/// Of each identity source, a caller in no group, and one in each group that policies or entities name.
pub fn groups(store: &Store) -> Vec<Caller> {
    let known = store.entities.iter().map(|entity| entity.uid());
    let all: BTreeSet<EntityUid> = store.entities_in_policies().into_iter().chain(known).collect();
    let mut callers = Vec::new();
    for source in &store.identity_sources {
        let name = |group: &str| match store.identity_sources.len() {
            1 => group.to_owned(),
            _ => format!("{}: {group}", source.name()),
        };
        let caller = |group: Option<&str>| Caller {
            name: name(group.unwrap_or("(no group)")),
            group: group.map(str::to_owned),
            claims: group
                .map(|group| (source.group_claim().to_owned(), json!([group])))
                .into_iter()
                .collect(),
            source: Some(source.name().to_owned()),
        };
        callers.push(caller(None));
        let of_type = all.iter().filter(|uid| Some(uid.type_name()) == source.group_type());
        let group = |uid: &EntityUid| match source.id_prefix() {
            Some(prefix) => Some(uid.id().unescaped().strip_prefix(prefix)?.strip_prefix('|')?.to_owned()),
            None => Some(uid.id().unescaped().to_owned()),
        };
        callers.extend(of_type.filter_map(group).map(|group| caller(Some(&group))));
    }
    callers
}
