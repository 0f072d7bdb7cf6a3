//! The clauses of a policy: the parts of its text that must all be met for it to apply.
//!
//! ```text
//! permit (principal in G::"a", action, resource)        one for each part of the scope
//! when { context has token && context.token.age > 17 }  one for each operand of `&&`
//! unless { resource.isPrivate || principal == X::"b" }; one for each operand of `||`
//! ```
//!
//! A condition is divided only where its value is that of all its parts: a `when` at `&&`, an `unless` at `||`. What
//! stands inside of brackets, or behind an `if`, stays whole.

use std::ops::Range;

/// What a clause must be for its policy to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClauseKind {
    /// The part of the scope about the principal.
    Principal,
    /// The part of the scope about the action.
    Action,
    /// The part of the scope about the resource.
    Resource,
    /// An expression that must be true.
    When,
    /// An expression that must be false.
    Unless,
}

/// A clause, as a range of bytes in the text of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    pub kind: ClauseKind,
    pub range: Range<usize>,
}

/// The clauses of a policy that Cedar can read, in the order in which Cedar evaluates them. For any other text they
/// are some parts of it, or none.
pub fn clauses(policy: &str) -> Vec<Clause> {
    let lexemes: Vec<Lexeme<'_>> = Lexemes { text: policy, offset: 0 }.collect();
    let mut found = Vec::new();
    let mut rest = lexemes.as_slice();
    // The brackets of annotations are behind an `@`; the scope is behind the effect.
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first.text {
            "@" => {
                rest = behind.get(1..).unwrap_or_default();
                if rest.first().is_some_and(|lexeme| lexeme.text == "(") {
                    rest = split_group(rest).1;
                }
            }
            "(" => {
                let (scope, behind) = split_group(std::slice::from_ref(first).len().min(1).checked_sub(1).map_or(rest, |_| group_from(&lexemes, first)));
                let kinds = [ClauseKind::Principal, ClauseKind::Action, ClauseKind::Resource];
                for (kind, part) in kinds.into_iter().zip(split(scope, ",")) {
                    found.extend(range_of(part).map(|range| Clause { kind, range }));
                }
                rest = behind;
            }
            "when" | "unless" => {
                let (body, behind) = split_group(rest);
                let (kind, operator) = match first.text {
                    "when" => (ClauseKind::When, "&&"),
                    _ => (ClauseKind::Unless, "||"),
                };
                operands(body, operator, &mut |part| {
                    found.extend(range_of(part).map(|range| Clause { kind, range }));
                });
                rest = behind;
            }
            ";" => break,
            _ => {}
        }
    }
    found
}
