//! The pattern that a token must match before a TOKEN authorizer is asked.

use std::fmt;

use regex_lite::Regex;

use crate::serve::api::{Kind, ServedAuthorizer};

/// A pattern that whole tokens match.
///
/// Whether API Gateway wants the whole of a token to match is not documented. The samples of AWS read as if it did:
/// `Bearer.*`. To want it is the safe reading: it lets fewer tokens through.
#[derive(Clone, Debug)]
pub struct ValidationExpression {
    pattern: String,
    whole: Regex,
}

impl ValidationExpression {
    /// Reads a pattern. The error is for people.
    pub fn new(pattern: &str) -> Result<Self, String> {
        // First alone: in the group, `a)|(?:b` would be a pattern that lets through what only ends in `b`.
        let whole = Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$")));
        let whole =
            whole.map_err(|error| format!("the validation expression `{pattern}` cannot be read: {error}"));
        Ok(Self { pattern: pattern.to_owned(), whole: whole? })
    }

    fn is_match(&self, token: &str) -> bool {
        self.whole.is_match(token)
    }
}

impl fmt::Display for ValidationExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

impl PartialEq for ValidationExpression {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for ValidationExpression {}

/// Whether the authorizer is asked about a token.
pub fn allows(authorizer: &ServedAuthorizer, token: &str) -> bool {
    match &authorizer.validation_expression {
        Some(expression) if authorizer.kind == Kind::RestToken => expression.is_match(token),
        Some(_) | None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_token_has_to_match() {
        for (pattern, token, expected) in [
            ("Bearer .*", "Bearer a", true),
            ("^Bearer [-0-9a-zA-Z.]*$", "Bearer a.b", true),
            ("Bearer", "Bearer a", false),
            ("a|b", "ab", false),
            (r"\w{3}", "abc", true),
            ("", "a", false),
        ] {
            assert_eq!(
                ValidationExpression::new(pattern).unwrap().is_match(token),
                expected,
                "{pattern} {token}"
            );
        }
        for pattern in ["(", "a(?=b)", "a)|(?:b", "a)(b", "(?x)a #"] {
            assert!(ValidationExpression::new(pattern).is_err(), "{pattern}");
        }
    }
}
