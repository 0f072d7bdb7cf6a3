//! Findings: what is wrong with a policy store, and where.

use std::error::Error;
use std::{fmt, iter};

use serde::Serialize;

/// One problem of a policy store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: Code,
    /// Where it is.
    pub position: Position,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A problem of a code's own severity.
    pub fn new(code: Code, position: Position, message: impl fmt::Display) -> Self {
        // One problem is one line, whatever a parser had to say.
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { severity: code.severity(), code, position, message, hint: None }
    }

    /// A problem that a reader of JSON had with a file. `serde_json` writes the position at the
    /// end of its message, `... at line 3 column 14`, which is all that others hand on.
    pub fn json(code: Code, file: &str, error: impl fmt::Display) -> Self {
        let message = error.to_string();
        let number = |text: &str| text.parse().ok();
        let place = message.rsplit_once(" at line ").and_then(|(message, place)| {
            let (line, column) = place.split_once(" column ")?;
            Some((message, Position::line(file, number(line)?, number(column)?)))
        });
        let (message, position) = place.unwrap_or((&message, Position::file(file)));
        Self::new(code, position, message)
    }

    /// The same problem with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, position, message, hint: _ } = self;
        write!(f, "{position}: {severity}[{code}]: {message}")
    }
}

/// A place in a policy store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The path, relative to the store.
    pub file: String,
    /// The line, counted from 1. `None`: the file as a whole, or its absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl Position {
    /// A file as a whole.
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: None, column: None }
    }

    /// A line and column that a parser gave. Zero is what `serde_json` says for "nowhere".
    pub fn line(file: &str, line: usize, column: usize) -> Self {
        let known = |number: usize| (number > 0).then_some(number);
        Self { file: file.to_owned(), line: known(line), column: known(line).and(known(column)) }
    }

    /// A byte offset into the text of the file.
    pub fn offset(file: &str, text: &str, offset: usize) -> Self {
        let Some((before, _)) = text.split_at_checked(offset) else {
            return Self::file(file);
        };
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column =
            before.chars().count() - before.get(..line_start).map_or(0, |head| head.chars().count()) + 1;
        Self::line(file, line, column)
    }

    /// Where a text first stands in the file, else the file as a whole.
    pub fn find(file: &str, text: &str, needle: &str) -> Self {
        match text.find(needle) {
            Some(offset) => Self::offset(file, text, offset),
            None => Self::file(file),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        f.write_str(file)?;
        [line, column].into_iter().flatten().try_for_each(|number| write!(f, ":{number}"))
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The store cannot be used.
    Error,
    /// The store can be used, but perhaps not as it was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident, $code:literal, $severity:ident;)+) => {
        /// The kinds of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Code { $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+ }

        impl Code {
            /// Every code, in the order of the documented table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable kebab-case name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// How bad a problem of this kind is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// One sentence for people, as in the documented table.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// A file cannot be read, is not UTF-8, or is too large.
    FileUnreadable, "file-unreadable", Error;
    /// A file is not part of the layout of a policy store, so nothing reads it.
    FileUnknown, "file-unknown", Warning;
    /// `store.toml` is missing, or has something that it should not have.
    SettingsInvalid, "settings-invalid", Error;
    /// Strict validation is off.
    ValidationOff, "validation-off", Warning;
    /// There is no schema, or there are two.
    SchemaMissing, "schema-missing", Error;
    /// The schema cannot be read.
    SchemaInvalid, "schema-invalid", Error;
    /// Cedar warns of something in the schema.
    SchemaWarning, "schema-warning", Warning;
    /// The namespace has no action that is a route.
    RouteMissing, "route-missing", Error;
    /// A route leads to an action that the schema does not have, or not for its resource.
    RouteInvalid, "route-invalid", Error;
    /// Two actions are the same route.
    RouteConflict, "route-conflict", Error;
    /// The resource of the API is not an entity of the schema.
    ResourceInvalid, "resource-invalid", Error;
    /// A policy or template cannot be read, or stands in the folder of the other.
    PolicyInvalid, "policy-invalid", Error;
    /// Two policies, templates or links have one id.
    PolicyDuplicate, "policy-duplicate", Error;
    /// A policy does not fit the schema.
    PolicyMismatch, "policy-mismatch", Error;
    /// Cedar warns of something in a policy.
    PolicyWarning, "policy-warning", Warning;
    /// There are no policies, so every request is denied.
    PolicyMissing, "policy-missing", Warning;
    /// A template link cannot be read, or does not fit its template.
    LinkInvalid, "link-invalid", Error;
    /// The entities cannot be read, or do not fit the schema.
    EntitiesInvalid, "entities-invalid", Error;
    /// An entity is of a type that tokens make.
    EntityOfPrincipal, "entity-of-principal", Error;
    /// There is no identity source, so no token can be accepted.
    IdentitySourceMissing, "identity-source-missing", Error;
    /// An identity source cannot be read.
    IdentitySourceInvalid, "identity-source-invalid", Error;
    /// An identity source names a type that the schema does not have, or has otherwise.
    IdentitySourceMismatch, "identity-source-mismatch", Error;
    /// Two identity sources with one issuer could both accept the same token.
    IssuerDuplicate, "issuer-duplicate", Error;
    /// Users of one identity source could pass for users or groups of another, or of the same.
    IdentityAmbiguous, "identity-ambiguous", Error;
    /// An identity source accepts tokens for every client or audience of its issuer.
    ClientsUnrestricted, "clients-unrestricted", Warning;
    /// A policy reads a claim that no identity source provides.
    ClaimUnprovided, "claim-unprovided", Warning;
    /// A policy names a group that no identity source makes.
    GroupUnprovided, "group-unprovided", Warning;
    /// A key set cannot be read, is missing, or has no usable key.
    KeySetInvalid, "key-set-invalid", Error;
    /// A key set has keys that cannot be used.
    KeySkipped, "key-skipped", Warning;
    /// A key set belongs to no identity source.
    KeySetUnused, "key-set-unused", Warning;
    /// A key set has the development key, whose private half everybody has.
    DevelopmentKey, "development-key", Warning;
    /// Patterns cannot tell these routes apart, so a caller who may call both is denied one, in part or as a whole, under a key without the path.
    GrantInexact, "grant-inexact", Warning;
    /// A grant for all that a caller may do can be larger than a response.
    GrantTooLarge, "grant-too-large", Warning;
    /// The template cannot be read.
    TemplateInvalid, "template-invalid", Error;
    /// Something in the template cannot be known from its text, so it was not checked.
    TemplateUnresolved, "template-unresolved", Warning;
    /// `BUNDLE_NAME` is not set, so the function accepts the bundle of any store.
    BundleNameMissing, "bundle-name-missing", Warning;
    /// `BUNDLE_NAME` is the name of another store.
    BundleNameMismatch, "bundle-name-mismatch", Error;
    /// Answers are kept under another key than `CACHE_KEY` says.
    CacheKeyMismatch, "cache-key-mismatch", Error;
    /// `CACHE_KEY` names a key, but no answers are kept.
    CacheKeyUnused, "cache-key-unused", Warning;
    /// The key under which answers are kept does not have the token.
    TokenNotInKey, "token-not-in-key", Error;
    /// A route reads more than the key under which its answers are kept.
    RouteNotCacheable, "route-not-cacheable", Error;
    /// Answers are kept for as long as a token lives.
    TtlTooLong, "ttl-too-long", Warning;
    /// Simple responses do not go with the key, the payload format or `SIMPLE_RESPONSES`.
    SimpleResponsesMismatch, "simple-responses-mismatch", Error;
    /// The API has a route that the policy store does not have.
    RouteUnknown, "route-unknown", Error;
    /// The policy store has routes that the API does not have.
    RouteUndeployed, "route-undeployed", Warning;
    /// A route of the policy store has no authorizer.
    RouteUnprotected, "route-unprotected", Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error with its causes, separated by colons.
pub(super) fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_becomes_a_line_and_a_column_in_characters() {
        let text = "ab\ncäd\n";
        for (offset, expected) in [(0, "f:1:1"), (1, "f:1:2"), (3, "f:2:1"), (6, "f:2:3"), (99, "f")] {
            assert_eq!(Position::offset("f", text, offset).to_string(), expected);
        }
        assert_eq!(Position::find("f", text, "d").to_string(), "f:2:3");
        assert_eq!(Position::find("f", text, "x").to_string(), "f");
        assert_eq!(Position::line("f", 0, 0).to_string(), "f");
    }

    #[test]
    fn a_finding_prints_on_one_line() {
        let finding = Finding::new(Code::PolicyInvalid, Position::line("a.cedar", 2, 3), "no\n  good");
        assert_eq!(finding.to_string(), "a.cedar:2:3: error[policy-invalid]: no good");
    }
}
