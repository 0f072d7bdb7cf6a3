//! Reads files with policies and templates, and says where the mistakes are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::slice;
use std::str::FromStr;

use cedar_policy::{ParseError, Policy, PolicyId, PolicySet};
use rayon::prelude::*;
use serde::Deserialize;

use crate::bundle::nesting;
use crate::store::finding::{Code, Finding, Text};
use crate::store::schema::{part_of, with_expectation};
use crate::store::statement::Statement;

/// A file with policies or templates, read on its own.
pub(super) struct ReadFile<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) form: Form,
    /// The policies; or all mistakes.
    pub(super) content: Result<Vec<PlacedStatement>, Vec<Finding>>,
}

/// A policy or template, and where it came from. See [`PolicySource`](super::PolicySource).
pub(super) struct PlacedStatement {
    pub(super) part: Option<Range<usize>>,
    pub(super) origin: usize,
    pub(super) statement: Statement,
}

/// The form of a file with policies.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Cedar's syntax.
    Cedar { folder: &'static str },
    /// The JSON that AVP's `CreatePolicy` takes as its definition.
    Definition,
}

impl<'a> ReadFile<'a> {
    pub(super) fn read(file: &'a str, text: &'a str, form: Form) -> Self {
        let content = match form {
            Form::Cedar { .. } => read_cedar(file, text),
            Form::Definition => {
                let alone = |statement| vec![PlacedStatement { part: None, origin: 0, statement }];
                read_definition(file, text).map(alone)
            }
        };
        Self { file, text, form, content }
    }
}

/// Reads static policies and templates in Cedar's syntax.
fn read_cedar(file: &str, text: &str) -> Result<Vec<PlacedStatement>, Vec<Finding>> {
    let places = Text::new(file, text);
    let starts = nesting::policies(text)
        .map_err(|too_deep| vec![Finding::new(Code::PolicyTooDeep, places.at(too_deep.offset), too_deep)])?;
    let stem = stem(file);
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let parts: Vec<(usize, Range<usize>)> =
        starts.iter().zip(ends).map(|(start, end)| *start..end).enumerate().collect();
    let read_some = |some: &[(usize, Range<usize>)]| match read_together(&places, text, stem, some) {
        Ok(statements) => vec![Ok(statements)],
        // What one of them makes of another's mistake is not what its author should hear.
        Err(_) if some.len() > 1 => {
            some.iter().map(|one| read_together(&places, text, stem, slice::from_ref(one))).collect()
        }
        Err(errors) => vec![Err(errors)],
    };
    let read: Vec<_> = parts.par_chunks(AT_ONCE).flat_map_iter(read_some).collect();
    let mut statements = Vec::new();
    let mut mistakes = Vec::new();
    for part in read {
        match part {
            Ok(found) => statements.extend(found),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(statements) } else { Err(mistakes) }
}

/// Reads some policies of a text, each with its number and part, which follow each other.
///
/// # Errors
/// All mistakes.
fn read_together(
    places: &Text<'_>,
    text: &str,
    stem: &str,
    some: &[(usize, Range<usize>)],
) -> Result<Vec<PlacedStatement>, Vec<Finding>> {
    let (Some((_, first)), Some((_, last))) = (some.first(), some.last()) else {
        return Ok(Vec::new());
    };
    let origin = first.start;
    let set = PolicySet::from_str(text.get(origin..last.end).unwrap_or_default()).map_err(|errors| {
        let mistake = |error: &ParseError| {
            let found = part_of(error).map(|found| places.span(origin + found.start..origin + found.end));
            let position = found.unwrap_or_else(|| places.whole());
            Finding::new(Code::PolicyInvalid, position, with_expectation(error))
        };
        errors.iter().map(mistake).collect::<Vec<_>>()
    })?;
    let mut read: BTreeMap<usize, PlacedStatement> = BTreeMap::new();
    let policies = set.policies().cloned().map(Statement::Static);
    for statement in policies.chain(set.templates().cloned().map(Statement::Template)) {
        let index = number_of(statement.id());
        if let Some((index, (number, part))) = index.and_then(|index| Some((index, some.get(index)?.clone())))
        {
            let id = id_of(number, statement.annotation("id"), stem);
            let statement = statement.with_id(id);
            read.insert(index, PlacedStatement { part: Some(part), origin, statement });
        }
    }
    if read.len() != some.len() || read.len() != set.num_of_policies() + set.num_of_templates() {
        let message = "where one policy ends and the next one begins is not clear";
        return Err(vec![Finding::new(Code::PolicyInvalid, places.at(origin), message)]);
    }
    Ok(read.into_values().collect())
}

/// The number in an id that Cedar gives to policies of a text: `policy0`, `policy1` and so on.
fn number_of(id: &PolicyId) -> Option<usize> {
    let id: &str = id.as_ref();
    id.strip_prefix("policy")?.parse().ok()
}

/// So many policies are read together. For each text that it reads, Cedar's lexer compiles its tables anew, which
/// takes longer than to read a policy. And Cedar's validator hashes the whole text for each mistake that it finds in a
/// policy, so there should not be too many.
const AT_ONCE: usize = 16;

/// Reads a static policy in the JSON that AVP's `CreatePolicy` takes as its definition.
fn read_definition(file: &str, text: &str) -> Result<Statement, Vec<Finding>> {
    let Definition { r#static: StaticPolicy { statement, description: _ } } =
        serde_json::from_str(text).map_err(|error| vec![Finding::json(Code::PolicyInvalid, file, error)])?;
    let position = || Text::new(file, text).find_string(STATEMENT);
    nesting::policies(&statement)
        .map_err(|too_deep| vec![Finding::new(Code::PolicyTooDeep, position(), too_deep)])?;
    let policy = Policy::parse(None, &statement).map_err(|errors| {
        let position = position();
        let mistake =
            |error: &ParseError| Finding::new(Code::PolicyInvalid, position.clone(), with_expectation(error));
        errors.iter().map(mistake).collect::<Vec<_>>()
    })?;
    let id = PolicyId::new(policy.annotation("id").unwrap_or(stem(file)));
    Ok(Statement::Static(policy.new_id(id)))
}

/// The name of a file without its folders and extension.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The id: that of the annotation `@id`, otherwise the stem of the file and the number of the policy in it, from
/// 1.
fn id_of(number: usize, annotation: Option<&str>, stem: &str) -> PolicyId {
    match annotation {
        Some(id) => PolicyId::new(id),
        None => PolicyId::new(format!("{stem}#{}", number + 1)),
    }
}

/// AVP's `PolicyDefinition`. Its templates have files of their own here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) r#static: StaticPolicy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaticPolicy {
    pub(super) statement: String,
    #[serde(default)]
    #[expect(dead_code, reason = "part of AVP's definition")]
    description: Option<String>,
}

/// The member with the text of a policy in JSON.
pub(super) const STATEMENT: &str = "statement";

#[cfg(test)]
mod tests;
