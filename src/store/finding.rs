//! Findings: what is wrong with a policy store, and where.

mod text;

use std::error::Error;
use std::{fmt, iter};

use serde::Serialize;

pub(super) use text::Text;

/// One problem in a policy store.
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
    /// The id of the policy, template or template link that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A problem with the severity of its code.
    pub fn new(code: Code, position: Position, message: impl fmt::Display) -> Self {
        // One problem is one line, whatever a parser wrote.
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { severity: code.severity(), code, position, message, policy: None, hint: None }
    }

    /// A problem that a reader of JSON has with a file. `serde_json` ends its message with the position,
    /// `... at line 3 column 14`. Other libraries pass on only this text.
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

    /// The same problem as one of this policy, template or template link.
    #[must_use]
    pub fn about(mut self, policy: impl fmt::Display) -> Self {
        self.policy = Some(policy.to_string());
        self
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
        let Self { severity, code, position, message, policy: _, hint: _ } = self;
        write!(f, "{position}: {severity}[{code}]: {message}")
    }
}

/// A place in a policy store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The path, relative to the store.
    pub file: String,
    /// The line, counted from 1. `None`: the file as a whole, or its absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The line of the last character. `None`: it is not known where the place ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_line: Option<usize>,
    /// The column behind the last character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_column: Option<usize>,
}

impl Position {
    /// A file as a whole.
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: None, column: None, end_line: None, end_column: None }
    }

    /// A line and column from a parser. `serde_json` uses zero for "nowhere".
    pub fn line(file: &str, line: usize, column: usize) -> Self {
        let known = |number: usize| (number > 0).then_some(number);
        Self { line: known(line), column: known(line).and(known(column)), ..Self::file(file) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, end_line: _, end_column: _ } = self;
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
    /// The store can be used, but perhaps does not do what was meant.
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

            /// The kind with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.name() == name)
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
    /// Neither the schema nor `store.toml` has a route, so the function denies every call. A store that is asked only
    /// in Cedar's terms needs none.
    RouteMissing, "route-missing", Warning;
    /// There is no route in the namespace of the store, but there are actions in other namespaces that read like
    /// routes.
    RouteElsewhere, "route-elsewhere", Error;
    /// A route leads to an action that the schema does not have, or not for its resource.
    RouteInvalid, "route-invalid", Error;
    /// Two actions are the same route.
    RouteConflict, "route-conflict", Error;
    /// No route leads to an action of the schema.
    ActionUnrouted, "action-unrouted", Warning;
    /// The resource of the API is not an entity of the schema.
    ResourceInvalid, "resource-invalid", Error;
    /// A resource is made of several parameters with no `/` between them, so two requests could be for one resource.
    ResourceAmbiguous, "resource-ambiguous", Warning;
    /// A policy or template cannot be read, or stands in the folder of the other.
    PolicyInvalid, "policy-invalid", Error;
    /// A policy or template is deeper than it may be: brackets, `if`, chained operators and accesses together.
    PolicyTooDeep, "policy-too-deep", Error;
    /// Two policies, templates or links have one id.
    PolicyDuplicate, "policy-duplicate", Error;
    /// A policy does not fit the schema.
    PolicyMismatch, "policy-mismatch", Error;
    /// Cedar warns of something in a policy.
    PolicyWarning, "policy-warning", Warning;
    /// A policy can never apply to a request through the API.
    PolicyNeverApplies, "policy-never-applies", Warning;
    /// All that a policy permits is forbidden by policies without conditions.
    PolicyShadowed, "policy-shadowed", Warning;
    /// A policy permits something to every caller with a token.
    PermitForEveryone, "permit-for-everyone", Warning;
    /// A policy permits something to every caller who claims the right thing: all that it reads is what a client may
    /// send as it likes.
    PermitUnverified, "permit-unverified", Warning;
    /// A policy reads more than the cache key has, so its routes are always denied.
    CacheKeyNeeded, "cache-key-needed", Warning;
    /// An `@accept` of a policy accepts nothing.
    AcceptanceUnused, "acceptance-unused", Warning;
    /// There are no policies, so every request is denied.
    PolicyMissing, "policy-missing", Warning;
    /// A template has no links, so it permits and forbids nothing.
    TemplateUnused, "template-unused", Warning;
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
    /// No policy names a group of the entities, nor a group that it is in.
    GroupUnnamed, "group-unnamed", Warning;
    /// A key set cannot be read, is missing, or has no usable key.
    KeySetInvalid, "key-set-invalid", Error;
    /// A key set has keys that cannot be used.
    KeySkipped, "key-skipped", Warning;
    /// A key set has keys with which others than their owner could sign.
    KeyWeak, "key-weak", Warning;
    /// Keys may not be fetched from where the issuer has them, so no token of it is accepted.
    KeysUnfetchable, "keys-unfetchable", Warning;
    /// A key set belongs to no identity source.
    KeySetUnused, "key-set-unused", Warning;
    /// A key set has the development key, whose private half everybody has.
    DevelopmentKey, "development-key", Warning;
    /// Patterns cannot tell these routes apart, so a caller who may call both is denied one, in part or as a whole,
    /// under a key without the path.
    GrantInexact, "grant-inexact", Warning;
    /// A grant for all that a caller may do can be larger than a response.
    GrantTooLarge, "grant-too-large", Warning;
    /// A grant for all that a caller may do can need more evaluations of conditions than one answer may take, and is
    /// then for one method.
    GrantExpensive, "grant-expensive", Warning;
    /// The bundle of the store would be larger than the function reads.
    BundleTooLarge, "bundle-too-large", Error;
    /// No bundle can be made of the store: something in it cannot be written exactly, or not be read again.
    BundleImpossible, "bundle-impossible", Error;
    /// Verified Permissions would not take the store: something is larger than its quotas allow.
    AvpLimit, "avp-limit", Warning;
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
    /// The description of the API cannot be read.
    DescriptionInvalid, "description-invalid", Error;
    /// Something in the description of the API was left out, because API Gateway cannot have it, or it is elsewhere.
    DescriptionPartial, "description-partial", Warning;
    /// The API has a route that no permit policy is about, so everybody is denied.
    RouteUnpermitted, "route-unpermitted", Warning;
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

/// Puts findings in the order of the files.
pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (&a.position, a.code, &a.message).cmp(&(&b.position, b.code, &b.message)));
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
    fn a_finding_prints_on_one_line() {
        let finding = Finding::new(Code::PolicyInvalid, Position::line("a.cedar", 2, 3), "no\n  good");
        assert_eq!(finding.to_string(), "a.cedar:2:3: error[policy-invalid]: no good");
    }
}
