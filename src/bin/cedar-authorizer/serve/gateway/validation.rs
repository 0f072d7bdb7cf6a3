//! The pattern that a token must match before a TOKEN authorizer is asked.

use regex_lite::Regex;

use crate::serve::api::{Kind, ServedAuthorizer};

/// A pattern that whole tokens match.
///
/// Whether API Gateway wants the whole of a token to match is not documented. The samples of AWS read as if it did:
/// `Bearer.*`. To want it is the safe reading: it lets fewer tokens through.
#[derive(Clone, Debug)]
pub struct ValidationExpression(Regex);

impl ValidationExpression {
    /// Reads a pattern. The error is for people.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let whole = Regex::new(&format!("^(?:{pattern})$"));
        whole
            .map(Self)
            .map_err(|error| format!("the validation expression `{pattern}` cannot be read: {error}"))
    }

    fn is_match(&self, token: &str) -> bool {
        self.0.is_match(token)
    }
}

/// Whether the authorizer is asked about a token.
pub fn allows(authorizer: &ServedAuthorizer, token: &str) -> bool {
    let Some(pattern) =
        authorizer.validation_expression.as_ref().filter(|_| authorizer.kind == Kind::RestToken)
    else {
        return true;
    };
    // It was read at the start.
    ValidationExpression::new(pattern).is_ok_and(|expression| expression.is_match(token))
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
        assert!(ValidationExpression::new("(").is_err());
        assert!(ValidationExpression::new("a(?=b)").is_err());
    }
}
