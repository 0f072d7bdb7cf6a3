//! The shape of a policy: its text without what the validator and the analysis of inputs do not look at.
//!
//! Policies for single users and documents are alike but for the entities in their scopes. Of these, only the types
//! matter to Cedar's validator (`validator/rbac.rs` and `validator/typecheck.rs` of Cedar 4.14.1): a scope compares
//! its entities with variables, never with each other. So policies of one shape are validated once. The ids that do
//! matter stay in the shape: those of actions, those of enumerated types, and those with characters that Cedar may
//! warn of.

use std::collections::BTreeSet;

/// Whether the ids of this entity type matter to the validator, because the schema lists them.
pub(super) type Enumerated = BTreeSet<String>;

/// The shape of a policy or template that Cedar can parse: two texts with one shape differ only in annotations, white
/// space, comments and the ids of the principal and the resource in the scope.
pub(super) fn shape(policy: &str, enumerated: &Enumerated) -> String {
    let mut shape = String::with_capacity(policy.len());
    let mut tokens = Tokens(policy).peekable();
    // Annotations: `@name`, `@name("text")`.
    while tokens.next_if_eq(&"@").is_some() {
        tokens.next();
        if tokens.next_if_eq(&"(").is_some() {
            while tokens.next().is_some_and(|token| token != ")") {}
        }
    }
    let mut depth = 0_usize;
    let mut is_scope = true;
    let mut entity_type = String::new();
    for token in tokens {
        if is_scope && token.starts_with('"') && is_open(&entity_type, token, enumerated) {
            shape.push_str("\"\" ");
            continue;
        }
        match token {
            "(" => depth += 1,
            ")" => {
                depth = depth.saturating_sub(1);
                is_scope &= depth > 0;
            }
            _ => {}
        }
        if is_scope {
            // The name before `::"id"`: words with `::` between them.
            match token {
                ":" => entity_type.push(':'),
                word if is_word(word) && entity_type.ends_with(':') => entity_type.push_str(word),
                word if is_word(word) => word.clone_into(&mut entity_type),
                _ => entity_type.clear(),
            }
        }
        shape.push_str(token);
        shape.push(' ');
    }
    shape
}

/// Whether the id of an entity of a scope may be any other. `entity_type` is what stands before it, as `A::B::`.
fn is_open(entity_type: &str, id: &str, enumerated: &Enumerated) -> bool {
    let Some(entity_type) = entity_type.strip_suffix("::") else {
        return false;
    };
    let base = entity_type.rsplit("::").next().unwrap_or(entity_type);
    base != "Action"
        && !enumerated.contains(entity_type)
        && id.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// The tokens of a policy: words, strings with their quotes, and single characters. Comments are left out.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = loop {
            let text = self.0.trim_start();
            match text.strip_prefix("//") {
                Some(comment) => {
                    self.0 = comment.trim_start_matches(|char| !matches!(char, '\n' | '\r'));
                }
                None => break text,
            }
        };
        let first = text.chars().next()?;
        let length = if first == '"' {
            string_length(text)
        } else if is_word(text) {
            let is_part = |char: char| char.is_alphanumeric() || char == '_';
            text.find(|char| !is_part(char)).unwrap_or(text.len())
        } else {
            first.len_utf8()
        };
        let (token, rest) = text.split_at_checked(length)?;
        self.0 = rest;
        Some(token)
    }
}

/// The length of the string at the beginning of a text, with its quotes.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, char)| {
        let ends = *char == '"' && !is_escaped;
        is_escaped = *char == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(quote, _)| quote + 1)
}
