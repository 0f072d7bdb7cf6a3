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

use serde::Serialize;

/// What a clause must be for its policy to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
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

impl ClauseKind {
    /// As Cedar writes it: the variable that the part of the scope is about, or the word before the condition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Action => "action",
            Self::Resource => "resource",
            Self::When => "when",
            Self::Unless => "unless",
        }
    }
}

/// A clause, as a range of bytes in the text of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Which part of the policy it is.
    pub kind: ClauseKind,
    /// Which `when` or `unless` of the policy it belongs to, counted from 1; 0 for the scope.
    pub condition: usize,
    /// Where its text is, without the bracket or the `when` before it.
    pub range: Range<usize>,
}

/// The clauses of a policy that Cedar can read, in the order in which Cedar evaluates them. For any other text they
/// are some parts of it, or none.
pub fn clauses(policy: &str) -> Vec<Clause> {
    let lexemes: Vec<Lexeme<'_>> = Lexemes { text: policy, offset: 0 }.collect();
    let mut found = Vec::new();
    let mut rest = lexemes.as_slice();
    let mut condition = 0;
    loop {
        let (kind, operator) = match rest {
            // `@id("...")`: its brackets are not those of the scope.
            [Lexeme { text: "@", .. }, _name, behind @ ..] => {
                rest = if is_open(behind) { group(behind).1 } else { behind };
                continue;
            }
            [Lexeme { text: "(", .. }, ..] => {
                let (scope, behind) = group(rest);
                let kinds = [ClauseKind::Principal, ClauseKind::Action, ClauseKind::Resource];
                let parts = split(scope, ",").into_iter().filter_map(range);
                found.extend(kinds.into_iter().zip(parts).map(|(kind, range)| Clause {
                    kind,
                    condition: 0,
                    range,
                }));
                rest = behind;
                continue;
            }
            [Lexeme { text: "when", .. }, ..] => (ClauseKind::When, "&&"),
            [Lexeme { text: "unless", .. }, ..] => (ClauseKind::Unless, "||"),
            [] | [Lexeme { text: ";", .. }, ..] => return found,
            [_, behind @ ..] => {
                rest = behind;
                continue;
            }
        };
        condition += 1;
        let (body, behind) = group(rest.get(1..).unwrap_or_default());
        let ranges = operands(body, operator).into_iter().filter_map(range);
        found.extend(ranges.map(|range| Clause { kind, condition, range }));
        rest = behind;
    }
}

/// A text without its comments, on one line.
pub fn on_one_line(text: &str) -> String {
    let mut end = 0;
    let mut kept = String::new();
    for lexeme in (Lexemes { text, offset: 0 }) {
        let is_apart = text.get(end..lexeme.offset).is_some_and(|between| !between.is_empty());
        if is_apart && end > 0 {
            kept.push(' ');
        }
        kept.push_str(lexeme.text);
        end = lexeme.offset + lexeme.text.len();
    }
    kept
}

/// The operands of an operator that is as good as all of them: those inside of brackets around the whole, too.
fn operands<'a, 'b>(expression: &'b [Lexeme<'a>], operator: &str) -> Vec<&'b [Lexeme<'a>]> {
    let is_whole = is_open(expression) && group(expression).1.is_empty();
    if is_whole && expression.first().is_some_and(|first| first.text == "(") {
        return operands(group(expression).0, operator);
    }
    // `a && b || c` is `(a && b) || c`; the operands of `||` need no such care.
    if operator == "&&" && split(expression, "||").len() > 1 {
        return vec![expression];
    }
    let parts = split(expression, operator);
    if parts.len() < 2 {
        return vec![expression];
    }
    parts.into_iter().flat_map(|part| operands(part, operator)).collect()
}

/// The parts between separators outside of brackets. An `if` takes everything behind it.
fn split<'a, 'b>(lexemes: &'b [Lexeme<'a>], separator: &str) -> Vec<&'b [Lexeme<'a>]> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (index, lexeme) in lexemes.iter().enumerate() {
        match lexeme.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "if" if depth == 0 => break,
            text if depth == 0 && text == separator => {
                parts.push(lexemes.get(start..index).unwrap_or_default());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(lexemes.get(start..).unwrap_or_default());
    parts
}

/// What is inside of the brackets with which the lexemes begin, and what is behind them.
fn group<'a, 'b>(lexemes: &'b [Lexeme<'a>]) -> (&'b [Lexeme<'a>], &'b [Lexeme<'a>]) {
    let mut depth = 0_usize;
    for (index, lexeme) in lexemes.iter().enumerate() {
        match lexeme.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            let part = |range| lexemes.get(range).unwrap_or_default();
            return (part(1..index.max(1)), lexemes.get(index + 1..).unwrap_or_default());
        }
    }
    (lexemes.get(1..).unwrap_or_default(), &[])
}

fn is_open(lexemes: &[Lexeme<'_>]) -> bool {
    lexemes.first().is_some_and(|first| matches!(first.text, "(" | "[" | "{"))
}

/// From the first to the last of these lexemes. `None`: there is none.
fn range(lexemes: &[Lexeme<'_>]) -> Option<Range<usize>> {
    let (first, last) = (lexemes.first()?, lexemes.last()?);
    Some(first.offset..last.offset + last.text.len())
}

/// A word, a string, or a symbol, of Cedar's grammar.
#[derive(Clone, Copy, Debug)]
struct Lexeme<'a> {
    offset: usize,
    text: &'a str,
}

/// The lexemes of a text, without white space and comments.
struct Lexemes<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Iterator for Lexemes<'a> {
    type Item = Lexeme<'a>;

    fn next(&mut self) -> Option<Lexeme<'a>> {
        loop {
            let rest = self.text.get(self.offset..)?;
            let first = rest.chars().next()?;
            let length = match first {
                _ if first.is_whitespace() => {
                    self.offset += first.len_utf8();
                    continue;
                }
                _ if rest.starts_with("//") => {
                    self.offset += rest.find('\n').unwrap_or(rest.len());
                    continue;
                }
                '"' => string_length(rest),
                _ if is_word(first) => rest.find(|char| !is_word(char)).unwrap_or(rest.len()),
                _ => {
                    let is_double = ["&&", "||"].iter().any(|double| rest.starts_with(double));
                    if is_double { 2 } else { first.len_utf8() }
                }
            };
            let offset = self.offset;
            self.offset += length;
            return Some(Lexeme { offset, text: rest.get(..length)? });
        }
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The length of the string with which a text begins, with its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (offset, char) in text.char_indices().skip(1) {
        match char {
            '"' if !is_escaped => return offset + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clauses of a policy, each as its kind and text.
    fn shown(policy: &str) -> Vec<String> {
        let show = |Clause { kind, range, .. }: Clause| format!("{kind:?} {}", policy.get(range).unwrap());
        clauses(policy).into_iter().map(show).collect()
    }

    #[test]
    fn a_policy_is_divided_where_its_value_is_that_of_all_parts() {
        let scope = ["Principal principal", "Action action", "Resource resource"];
        for (conditions, expected) in [
            ("", vec![]),
            ("when { a && b == \"x && y\" && !c }", vec!["When a", "When b == \"x && y\"", "When !c"]),
            ("when { (a && (b && c)) } unless { d }", vec!["When a", "When b", "When c", "Unless d"]),
            ("when { a && b || c }", vec!["When a && b || c"]),
            ("when { (a || b) && c }", vec!["When a || b", "When c"]),
            ("unless { a || b && c || (d) }", vec!["Unless a", "Unless b && c", "Unless d"]),
            ("unless { a && b }", vec!["Unless a && b"]),
            ("when { a && if b then c else d && e }", vec!["When a", "When if b then c else d && e"]),
            ("when { if a then b && c else d }", vec!["When if a then b && c else d"]),
            ("when { (if a then b else c) && d }", vec!["When if a then b else c", "When d"]),
            (
                "when { [a && b].contains(c) && {x: a && b}.x }",
                vec!["When [a && b].contains(c)", "When {x: a && b}.x"],
            ),
            ("when { (a).b && (c) == (d) }", vec!["When (a).b", "When (c) == (d)"]),
            ("when { a // && b\n && c }", vec!["When a", "When c"]),
            ("when { \"\\\"&&\" == a && b }", vec!["When \"\\\"&&\" == a", "When b"]),
        ] {
            let policy = format!("permit (principal, action, resource) {conditions};");
            assert_eq!(shown(&policy), [scope.to_vec(), expected].concat(), "{conditions}");
        }
    }

    #[test]
    fn annotations_and_comments_are_not_the_scope() {
        let policy = "@id(\"when (x, y) { z }\") @flag // (a)\n permit (\n  principal in G::\"(a, b)\",\n  action in \
                      [A::\"x\", A::\"y\"],\n  resource == ?resource,\n) when { true } ; permit (a, b, c);";
        assert_eq!(
            shown(policy),
            [
                "Principal principal in G::\"(a, b)\"",
                "Action action in [A::\"x\", A::\"y\"]",
                "Resource resource == ?resource",
                "When true"
            ]
        );
    }

    #[test]
    fn what_is_no_policy_does_no_harm() {
        for text in
            ["", "(", "when", "when {", "}", "permit (((", "@", "\"", "when { && } unless { || }", "é € \\"]
        {
            clauses(text);
        }
    }
}
