//! Single policies and templates as text, in the way Verified Permissions keeps them.

use std::ops::Range;
use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet, Template};
use miette::Diagnostic;

use super::finding::{Position, Text};
use super::schema::{part_of, with_expectation};
use crate::bundle::nesting;

/// A policy of its own, or one with slots.
#[derive(Clone, Debug)]
pub enum Statement {
    /// It has no slots.
    Static(Policy),
    /// It has slots.
    Template(Template),
}

impl Statement {
    pub(super) fn id(&self) -> &PolicyId {
        match self {
            Self::Static(policy) => policy.id(),
            Self::Template(template) => template.id(),
        }
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        match self {
            Self::Static(policy) => annotation(policy.annotations(), name),
            Self::Template(template) => annotation(template.annotations(), name),
        }
    }

    pub(super) fn with_id(&self, id: PolicyId) -> Self {
        match self {
            Self::Static(policy) => Self::Static(policy.new_id(id)),
            Self::Template(template) => Self::Template(template.new_id(id)),
        }
    }
}

/// The value of an annotation. Cedar's own function for it parses the name each time, which takes half as long as to
/// read the policy.
pub(super) fn annotation<'a>(
    mut all: impl Iterator<Item = (&'a str, &'a str)>,
    name: &str,
) -> Option<&'a str> {
    all.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// What is wrong with a statement, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .place.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default())]
pub struct InvalidStatement {
    /// What is wrong, in one line.
    pub message: String,
    /// Line and column in the text, counted from 1. `None`: it is the text as a whole.
    pub place: Option<(usize, usize)>,
}

impl InvalidStatement {
    fn new(message: &str, position: &Position) -> Self {
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { message, place: position.line.zip(position.column) }
    }

    /// A mistake that Cedar found in a part of a text. `offset` is where that part begins.
    pub fn from_diagnostic(diagnostic: &dyn Diagnostic, text: &str, offset: usize) -> Self {
        let text = Text::new("", text);
        let position = match part_of(diagnostic) {
            Some(part) => text.at(part.start + offset),
            None => text.whole(),
        };
        let help = diagnostic.help().map(|help| format!("; {help}")).unwrap_or_default();
        Self::new(&format!("{}{help}", with_expectation(diagnostic)), &position)
    }
}

/// Reads all statements of a text, with the places where each begins and ends. Comments between them belong to none.
///
/// Work on deep policies needs [room](crate::bundle::with_room).
///
/// # Errors
/// All mistakes of the text. A text that is [too deep](nesting::TooDeep) is not shown to Cedar.
pub fn read(text: &str) -> Result<Vec<(Range<usize>, Statement)>, Vec<InvalidStatement>> {
    let parts = nesting::statements(text).map_err(|too_deep| {
        let position = Text::new("", text).at(too_deep.offset);
        vec![InvalidStatement::new(&too_deep.to_string(), &position)]
    })?;
    let mut statements = Vec::new();
    let mut mistakes = Vec::new();
    for part in parts {
        match PolicySet::from_str(text.get(part.clone()).unwrap_or_default()) {
            Ok(set) => {
                let policies = set.policies().cloned().map(Statement::Static);
                let templates = set.templates().cloned().map(Statement::Template);
                statements.extend(policies.chain(templates).map(|statement| (part.clone(), statement)));
            }
            Err(errors) => mistakes.extend(
                errors.iter().map(|error| InvalidStatement::from_diagnostic(error, text, part.start)),
            ),
        }
    }
    if mistakes.is_empty() { Ok(statements) } else { Err(mistakes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_with_their_places() {
        let text = "// before\npermit (principal, action, resource); // ;\n@id(\"a;\")\nforbid (principal == ?principal, \
                    action, resource);// behind";
        let read = read(text).unwrap();
        let texts: Vec<&str> = read.iter().map(|(part, _)| text.get(part.clone()).unwrap()).collect();
        assert_eq!(texts[0], "permit (principal, action, resource);");
        assert!(texts[1].starts_with("@id") && texts[1].ends_with(';'), "{texts:?}");
        assert!(matches!(read[..], [(_, Statement::Static(_)), (_, Statement::Template(_))]));
        assert!(super::read("// nothing").unwrap().is_empty());
    }

    #[test]
    fn mistakes_have_the_place_in_the_whole_text() {
        let mistakes = read("permit (principal, action, resource);\n  permit (principal, acton, resource);");
        assert_eq!(mistakes.unwrap_err()[0].place, Some((2, 22)));
        let deep = format!("\npermit (principal, action, resource) when {{ {} }};", "(".repeat(2000));
        assert!(read(&deep).unwrap_err()[0].message.contains("levels deep"));
    }
}
