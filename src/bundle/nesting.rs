//! How deep the text of a policy or schema goes, and room on the stack for it.
//!
//! Cedar's parser, validator and evaluator recurse for each level of an expression, and so does the code that
//! drops one. Without a limit, a text of a few kilobytes overflows the stack, which ends the process. So a text
//! that is deeper than [`MAX_DEPTH`] is refused before Cedar sees it. All other texts are processed [with
//! room](super::with_room).

use std::ops::Range;

use super::stack::MAX_DEPTH;

/// How many brackets may be open at once in a schema. Types within types become JSON within JSON: four levels for
/// each record. `serde_json` reads 128 levels.
pub const MAX_SCHEMA_DEPTH: usize = 24;

/// The text is deeper than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is more than {max} levels deep, of brackets, `if`, chained operators and accesses together")]
pub struct TooDeep {
    /// Where it is, as a byte offset.
    pub offset: usize,
    /// How deep it may be.
    pub max: usize,
}

/// Where each policy of a text begins, in order. The text need not be valid Cedar.
///
/// # Errors
/// [`TooDeep`].
pub fn policies(text: &str) -> Result<Vec<usize>, TooDeep> {
    Ok(statements(text)?.into_iter().map(|statement| statement.start).collect())
}

/// Where each policy of a text begins and ends, in order. It ends behind its semicolon. The text need not be valid
/// Cedar; a policy without a semicolon ends with the text.
///
/// # Errors
/// [`TooDeep`].
pub fn statements(text: &str) -> Result<Vec<Range<usize>>, TooDeep> {
    let mut statements: Vec<Range<usize>> = Vec::new();
    let mut is_between = true;
    let mut policy = Group::default();
    let mut open: Vec<Group> = Vec::new();
    let too_deep = |offset| TooDeep { offset, max: MAX_DEPTH };
    for (offset, lexeme) in Lexemes::new(text) {
        if is_between {
            is_between = false;
            policy.offset = offset;
            statements.push(offset..text.len());
        }
        let is_outermost = open.is_empty();
        let group = open.last_mut().unwrap_or(&mut policy);
        match lexeme {
            Lexeme::Open => {
                group.operators += 1;
                open.push(Group { offset, ..Group::default() });
                if open.len() > MAX_DEPTH {
                    return Err(too_deep(offset));
                }
            }
            Lexeme::Close => {
                if let Some(mut closed) = open.pop() {
                    let depth = closed.depth();
                    if depth > MAX_DEPTH {
                        return Err(too_deep(closed.offset));
                    }
                    let outer = open.last_mut().unwrap_or(&mut policy);
                    outer.inner = outer.inner.max(depth);
                }
            }
            Lexeme::Semicolon if is_outermost => {
                if policy.depth() > MAX_DEPTH {
                    return Err(too_deep(policy.offset));
                }
                policy = Group::default();
                is_between = true;
                if let Some(statement) = statements.last_mut() {
                    statement.end = offset + 1;
                }
            }
            Lexeme::Comma | Lexeme::Semicolon => group.end_element(),
            Lexeme::Or => {
                group.end_conjunction();
                group.ors += 1;
            }
            Lexeme::And => {
                group.end_operand();
                group.ands += 1;
            }
            Lexeme::If => group.ifs += 1,
            Lexeme::Branch => group.end_operand(),
            Lexeme::Operator => group.operators += 1,
            Lexeme::Other => {}
        }
    }
    // Brackets that are never closed are an error, which Cedar reports. Until then their content counts.
    let unclosed = open.iter_mut().map(|group| (group.offset, group.depth()));
    let mut all = unclosed.chain([(policy.offset, policy.depth())]);
    match all.find(|(_, depth)| *depth > MAX_DEPTH) {
        Some((offset, _)) => Err(too_deep(offset)),
        None => Ok(statements),
    }
}

/// Checks that a schema in Cedar's syntax nests no more brackets than [`MAX_SCHEMA_DEPTH`].
///
/// # Errors
/// [`TooDeep`].
pub fn schema(text: &str) -> Result<(), TooDeep> {
    let mut depth: usize = 0;
    for (offset, lexeme) in (Lexemes { brackets: Brackets::OfSchema, ..Lexemes::new(text) }) {
        match lexeme {
            Lexeme::Open => depth += 1,
            Lexeme::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_SCHEMA_DEPTH {
            return Err(TooDeep { offset, max: MAX_SCHEMA_DEPTH });
        }
    }
    Ok(())
}

/// The part between two brackets, or a whole policy, as far as it was read.
///
/// Each level of the tree that Cedar builds is a lexeme here. Of operands side by side, the deepest counts. Of
/// the operators that chain them, each counts, because they are nested in one another.
#[derive(Debug, Default)]
struct Group {
    /// Where it begins.
    offset: usize,
    /// The deepest of the elements before this one. Commas separate elements.
    of_elements: usize,
    /// The `if`s in this element.
    ifs: usize,
    ors: usize,
    /// The deepest of the conjunctions before this one.
    of_conjunctions: usize,
    ands: usize,
    /// The deepest of the operands before this one.
    of_operands: usize,
    /// The operators in this operand.
    operators: usize,
    /// The deepest of the groups in this operand.
    inner: usize,
}

impl Group {
    fn end_operand(&mut self) {
        self.of_operands = self.of_operands.max(self.operators + self.inner);
        (self.operators, self.inner) = (0, 0);
    }

    fn end_conjunction(&mut self) {
        self.end_operand();
        self.of_conjunctions = self.of_conjunctions.max(self.ands + self.of_operands);
        (self.ands, self.of_operands) = (0, 0);
    }

    fn end_element(&mut self) {
        self.end_conjunction();
        self.of_elements = self.of_elements.max(self.ifs + self.ors + self.of_conjunctions);
        (self.ifs, self.ors, self.of_conjunctions) = (0, 0, 0);
    }

    /// How deep it is, once it has ended.
    fn depth(&mut self) -> usize {
        self.end_element();
        self.of_elements
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lexeme {
    Open,
    Close,
    Comma,
    Semicolon,
    Or,
    And,
    If,
    /// `then` or `else`.
    Branch,
    /// An operator that can be part of a chain.
    Operator,
    Other,
}

/// Which characters count as brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brackets {
    /// `<` is a comparison.
    OfPolicies,
    /// `<` is a bracket.
    OfSchema,
}

/// The lexemes of Cedar (Cedar Policy Language Reference, "Grammar specification") with their offsets, in as much
/// detail as the depth of a text needs.
#[derive(Clone, Debug)]
struct Lexemes<'a> {
    bytes: &'a [u8],
    position: usize,
    brackets: Brackets,
    /// Whether the last lexeme was a dot. Then a name follows.
    after_dot: bool,
}

impl<'a> Lexemes<'a> {
    fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), position: 0, brackets: Brackets::OfPolicies, after_dot: false }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    /// Takes the next byte if it is this one.
    fn take_if(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == Some(byte);
        self.position += usize::from(is_it);
        is_it
    }

    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_part) {
            self.position += 1;
        }
    }

    /// Reads the rest of a string after its first quote.
    fn take_string(&mut self) {
        while let Some(byte) = self.take() {
            match byte {
                b'"' => return,
                b'\\' => self.position += 1,
                _ => {}
            }
        }
    }

    /// Reads the rest of a word, and tells what it means.
    fn word(&mut self, start: usize) -> Lexeme {
        self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match self.bytes.get(start..self.position) {
            _ if self.after_dot => Lexeme::Other,
            Some(b"if") => Lexeme::If,
            Some(b"then" | b"else") => Lexeme::Branch,
            _ => Lexeme::Other,
        }
    }
}

impl Iterator for Lexemes<'_> {
    type Item = (usize, Lexeme);

    fn next(&mut self) -> Option<(usize, Lexeme)> {
        loop {
            let start = self.position;
            let byte = self.take()?;
            let of_schema = self.brackets == Brackets::OfSchema;
            let lexeme = match byte {
                _ if byte.is_ascii_whitespace() || byte == b'\x0b' => continue,
                b'/' if self.take_if(b'/') => {
                    self.take_while(|byte| !matches!(byte, b'\n' | b'\r'));
                    continue;
                }
                b'"' => {
                    self.take_string();
                    Lexeme::Other
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(start),
                b'(' | b'[' | b'{' => Lexeme::Open,
                b')' | b']' | b'}' => Lexeme::Close,
                b'<' if of_schema => Lexeme::Open,
                b'>' if of_schema => Lexeme::Close,
                b',' => Lexeme::Comma,
                b';' => Lexeme::Semicolon,
                b'|' if self.take_if(b'|') => Lexeme::Or,
                b'&' if self.take_if(b'&') => Lexeme::And,
                b'.' | b'!' | b'+' | b'-' | b'*' | b'/' | b'%' => Lexeme::Operator,
                _ => Lexeme::Other,
            };
            self.after_dot = byte == b'.';
            return Some((start, lexeme));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::bundle::with_room;
    use cedar_policy::PolicySet;

    use super::*;

    /// The depth of a condition, without the two levels of scope and braces. It is measured by what is left of
    /// the limit.
    #[track_caller]
    fn depth(condition: &str) -> usize {
        let deeper = |by: usize| {
            let (before, behind) = ("(".repeat(by), ")".repeat(by));
            policies(&format!("permit (principal, action, resource) when {{ {before}{condition}{behind} }};"))
        };
        (0..=MAX_DEPTH - 2).rev().take_while(|by| deeper(*by).is_err()).count()
    }

    #[test]
    fn each_level_counts_once() {
        for (condition, expected) in [
            ("true", 0),
            ("((true))", 2),
            ("true && true && true", 2),
            ("(a || b) && (c || d) && e", 4),
            ("a && b || c && d || e", 3),
            ("a.b.c == 1 || a.b.c == 2", 3),
            ("if a then b else if c then d else e", 2),
            ("[1, 2, (3), 4].contains(5)", 4),
            ("1 + 2 * 3 - 4 == 5", 3),
            ("!(a.if.then.else)", 5),
            ("\"((((\\\"((((\" == a // ((((", 0),
        ] {
            assert_eq!(depth(&format!("{condition}\n")), expected, "{condition}");
        }
    }

    #[test]
    fn policies_begin_where_cedar_has_them() {
        let text = "// ; none\npermit(principal, action, resource); @id(\";\")\nforbid(principal, action, resource)\n\
                    when { context.a == \";\" } ; // ;\n  permit(principal, action, resource) ;\n";
        let starts = policies(text).unwrap();
        let words: Vec<&str> = starts.iter().map(|start| text.get(*start..*start + 3).unwrap()).collect();
        assert_eq!(words, ["per", "@id", "per"]);
        assert_eq!(text.parse::<PolicySet>().unwrap().policies().count(), starts.len());
        let ends = statements(text).unwrap();
        assert!(ends.iter().all(|part| text.get(part.clone()).unwrap().ends_with(';')), "{ends:?}");
        assert_eq!(statements("permit (a) // ;").unwrap(), [0..15]);
    }

    #[test]
    fn what_is_too_deep_is_named_by_its_place() {
        let long = vec!["true"; MAX_DEPTH + 1].join(" && ");
        let text = format!(
            "permit (principal, action, resource);\nforbid (principal, action, resource) when {{ {long} }};"
        );
        assert_eq!(policies(&text), Err(TooDeep { offset: text.find("forbid").unwrap(), max: MAX_DEPTH }));
        assert!(policies(&"(".repeat(1_000_000)).is_err());
        assert!(policies(&format!("{}1", "!".repeat(2000))).is_err());
        let chain = vec!["true"; MAX_DEPTH - 1].join(" || ");
        assert!(policies(&format!("permit (principal, action, resource) when {{ {chain} }};")).is_ok());
        let clauses = "when { true } ".repeat(2000);
        assert!(policies(&format!("permit (principal, action, resource) {clauses};")).is_err());
        // None of these is deep.
        assert!(policies(&"permit (principal, action, resource);\n".repeat(5000)).is_ok());
        let list = "1, ".repeat(5000);
        assert!(
            policies(&format!("permit (principal, action, resource) when {{ [{list}].contains(1) }};"))
                .is_ok()
        );
    }

    #[test]
    fn brackets_of_a_schema_count() {
        let nested = |depth: usize| {
            format!("entity A {{ a: {}Long{} }};", "Set<".repeat(depth - 1), ">".repeat(depth - 1))
        };
        assert!(schema(&nested(MAX_SCHEMA_DEPTH)).is_ok());
        assert!(schema(&nested(MAX_SCHEMA_DEPTH + 1)).is_err());
        assert!(schema(&"namespace A { entity B; }\n".repeat(1000)).is_ok());
    }

    #[test]
    fn a_panic_goes_on_in_the_caller() {
        let result = std::panic::catch_unwind(|| with_room(|| assert_eq!(1, 2)));
        assert!(result.is_err());
        assert_eq!(with_room(|| 7).unwrap(), 7);
    }
}
