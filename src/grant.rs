//! The grant: the IAM statements that answer API Gateway.
//!
//! API Gateway keeps the whole answer and applies it to every later request with the same [cache
//! key](crate::gateway::cache_key). So a grant must be right for all those requests. If the key has method and
//! path, the grant is only about the requested method; otherwise it is about every route of the API.
//!
//! ```text
//! Allow  Resource     the patterns of the routes that the token may call
//! Deny   Resource     what these patterns match beyond those routes, as far as separation can say it
//! Deny   Resource     spellings of paths that could be read in two ways
//! Deny   NotResource  the patterns of the first statement: an explicit denial for all the rest
//! ```
//!
//! The last statement only makes denials explicit. Without it, what is not allowed would be denied as well, but
//! implicitly, and then a resource policy of the API can allow it (Developer Guide, "How API Gateway resource
//! policies affect authorization workflow"). It is not documented that API Gateway honours `NotResource`, so
//! nothing that is allowed depends on it.

mod pattern;
pub(crate) mod separation;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::gateway::arn::{ANY_STAGE, MethodArn};
use crate::gateway::route::RouteId;
use crate::reason::Reason;
pub use pattern::matches;
pub use separation::{Overlap, Selection, Separation};

/// IAM statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Grant {
    statements: Vec<Statement>,
}

impl Grant {
    /// Allows the requested method and nothing else.
    ///
    /// # Errors
    /// [`NotGrantable`], if the ARN as a resource would allow more than itself, or is too long for one.
    pub fn allow(arn: &MethodArn) -> Result<Self, NotGrantable> {
        // The other parts of the ARN are names.
        if arn.stage() == ANY_STAGE || WILDCARDS.iter().any(|text| arn.path().contains(text)) {
            return Err(NotGrantable::Pattern);
        }
        if arn.as_str().chars().count() > MAX_RESOURCE_CHARACTERS {
            Err(NotGrantable::TooLong)
        } else {
            Ok(Self { statements: vec![Statement::on(Effect::Allow, vec![arn.as_str().to_owned()])] })
        }
    }

    /// Denies the requested method.
    pub fn deny(arn: &MethodArn) -> Self {
        Self { statements: vec![Statement::on(Effect::Deny, vec![deniable(arn.as_str())])] }
    }

    /// Denies all of the API at its stage.
    pub fn deny_api(arn: &MethodArn) -> Self {
        let all = format!("{}*", arn.api_prefix());
        Self { statements: vec![Statement::on(Effect::Deny, vec![deniable(&all)])] }
    }

    /// Denies everything, for an answer that is only used for one API.
    pub fn deny_all() -> Self {
        Self { statements: vec![Statement::on(Effect::Deny, vec!["*".to_owned()])] }
    }

    /// Allows what is selected of an API, and denies the rest of it. `api` is the ARN of the API up to and
    /// including the slash after the stage.
    pub fn of_api(api: &str, selection: &Selection) -> Self {
        let Selection { allow, deny, is_wild, is_entangled, harmed: _ } = selection;
        let of_api = |pattern: &str| format!("{api}{pattern}");
        // A resource that is too long is not allowed at all: a shortened one would allow more.
        let is_whole = |resource: &String| deniable(resource) == *resource;
        let allowed: Vec<String> = allow.iter().map(|pattern| of_api(pattern)).filter(is_whole).collect();
        if allowed.is_empty() {
            return Self { statements: vec![Statement::on(Effect::Deny, vec![of_api("*")])] };
        }
        let mut statements = vec![Statement::on(Effect::Allow, allowed.clone())];
        if !deny.is_empty() {
            let denied = deny.iter().map(|pattern| deniable(&of_api(pattern))).collect();
            statements.push(Statement::on(Effect::Deny, denied));
        }
        match (is_wild, is_entangled) {
            (false, _) => {}
            (true, false) => statements.push(Statement {
                effect: Effect::Deny,
                patterns: Patterns::Odd(OddSpellings::starting_with(&anywhere(api))),
                is_of_odd_paths: true,
            }),
            (true, true) => {
                let spellings = ENTANGLED_SPELLINGS.iter().map(|pattern| of_api(pattern)).collect();
                statements
                    .push(Statement { is_of_odd_paths: true, ..Statement::on(Effect::Deny, spellings) });
            }
        }
        if !allow.contains("*") {
            let patterns = Patterns::Own(Scope::NotResource(allowed));
            statements.push(Statement { effect: Effect::Deny, patterns, is_of_odd_paths: false });
        }
        Self { statements }
    }

    /// Allows the routes that a token may call, and denies the rest of the API.
    ///
    /// If that is longer than [`MAX_BYTES`], only the first half of the routes is allowed, then a quarter and so
    /// on, until it fits. The routes keep their order, but `requested` comes first. `None`: not even one route
    /// fits.
    pub fn of_routes(
        api: &str,
        separation: &Separation,
        routes: &[RouteId],
        requested: Option<RouteId>,
    ) -> Option<ApiGrant> {
        Self::of_routes_within(MAX_BYTES, api, separation, routes, requested)
    }

    /// The same with this limit in bytes.
    pub fn of_routes_within(
        room: usize,
        api: &str,
        separation: &Separation,
        routes: &[RouteId],
        requested: Option<RouteId>,
    ) -> Option<ApiGrant> {
        let mut routes: Vec<RouteId> = routes.to_vec();
        let position = requested.and_then(|requested| routes.iter().position(|route| *route == requested));
        if let Some(before) = position.and_then(|position| routes.get_mut(..=position)) {
            before.rotate_right(1);
        }
        let all = routes.len();
        loop {
            let kept: BTreeSet<RouteId> = routes.iter().copied().collect();
            let selection = separation.select(|route| kept.contains(&route));
            let grant = Self::of_api(api, &selection);
            if grant.size() <= room {
                let (grant, allowed, left_out) = (Arc::new(grant), routes.len(), all - routes.len());
                return Some(ApiGrant { grant, allowed, left_out, harmed: selection.harmed });
            }
            match routes.len() {
                0 | 1 => return None,
                count => routes.truncate(count / 2),
            }
        }
    }

    /// The same grant, but with the requested method denied.
    #[must_use]
    pub fn except(mut self, arn: &MethodArn) -> Self {
        if self.allows(arn) {
            self.statements.push(Statement::on(Effect::Deny, vec![deniable(arn.as_str())]));
        }
        self
    }

    /// Whether IAM allows a method with these statements.
    pub fn allows(&self, arn: &MethodArn) -> bool {
        let is_odd = is_odd(arn.path());
        let applies = |effect: Effect| {
            let mut of_effect = self.statements.iter().filter(|statement| statement.effect == effect);
            of_effect.any(|statement| (is_odd || !statement.is_of_odd_paths) && statement.applies_to(arn))
        };
        applies(Effect::Allow) && !applies(Effect::Deny)
    }

    /// The statements.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Its length in the response, in bytes.
    pub fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }
}

/// A grant of several routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiGrant {
    /// The grant.
    pub grant: Arc<Grant>,
    /// How many routes it allows.
    pub allowed: usize,
    /// How many of the routes were left out for lack of room.
    pub left_out: usize,
    /// The routes with paths that are denied, although allowed, because no pattern tells them apart.
    pub harmed: BTreeSet<RouteId>,
}

/// One IAM statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    effect: Effect,
    patterns: Patterns,
    /// Whether it can apply only to paths that [are odd](is_odd). Few are, and other paths need not be compared.
    is_of_odd_paths: bool,
}

/// Where a statement has its patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Patterns {
    Own(Scope),
    Odd(Arc<OddSpellings>),
}

/// The JSON form of a statement. Every member is always written, because a default could be the wrong value.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    action: &'static str,
    effect: Effect,
    #[serde(flatten)]
    scope: &'a Scope,
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.patterns {
            Patterns::Odd(odd) if odd.json.is_some() => odd.json.serialize(serializer),
            _ => Written { action: INVOKE, effect: self.effect, scope: self.scope() }.serialize(serializer),
        }
    }
}

/// The patterns of [`ODD_SPELLINGS`] in a partition, and the JSON of the statement that denies them. It is the
/// same in nearly every grant.
#[derive(Debug)]
struct OddSpellings {
    scope: Scope,
    json: Option<Box<RawValue>>,
}

impl OddSpellings {
    /// `anywhere` is the beginning of each pattern.
    fn starting_with(anywhere: &str) -> Arc<Self> {
        // A function serves the APIs of only one partition, its own.
        static KNOWN: OnceLock<(String, Arc<OddSpellings>)> = OnceLock::new();
        match KNOWN.get_or_init(|| (anywhere.to_owned(), Arc::new(Self::new(anywhere)))) {
            (known, odd) if known == anywhere => Arc::clone(odd),
            _ => Arc::new(Self::new(anywhere)),
        }
    }

    fn new(anywhere: &str) -> Self {
        let patterns = ODD_SPELLINGS.iter().map(|pattern| format!("{anywhere}{pattern}"));
        let scope = Scope::Resource(patterns.collect());
        let written = Written { action: INVOKE, effect: Effect::Deny, scope: &scope };
        let json = serde_json::value::to_raw_value(&written).ok();
        Self { scope, json }
    }
}

impl PartialEq for OddSpellings {
    fn eq(&self, other: &Self) -> bool {
        self.scope == other.scope
    }
}

impl Eq for OddSpellings {}

/// What a statement applies to: method ARNs that one of the patterns matches, or that none of them matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "IAM's own words")]
pub enum Scope {
    Resource(Vec<String>),
    NotResource(Vec<String>),
}

impl Statement {
    fn on(effect: Effect, resource: Vec<String>) -> Self {
        Self { effect, patterns: Patterns::Own(Scope::Resource(resource)), is_of_odd_paths: false }
    }

    /// Whether it allows or denies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// What it applies to.
    pub fn scope(&self) -> &Scope {
        match &self.patterns {
            Patterns::Own(scope) => scope,
            Patterns::Odd(odd) => &odd.scope,
        }
    }

    /// Whether it applies only to spellings of paths that can be read in two ways.
    pub fn is_of_odd_paths(&self) -> bool {
        self.is_of_odd_paths
    }

    fn applies_to(&self, arn: &MethodArn) -> bool {
        let matches = |pattern: &String| matches_arn(pattern, arn);
        match self.scope() {
            Scope::Resource(patterns) => patterns.iter().any(matches),
            Scope::NotResource(patterns) => !patterns.iter().any(matches),
        }
    }
}

/// Whether a pattern matches an ARN. Most patterns begin with the ARN of the API. It has no wildcards, unless it is for
/// any stage, so only what is behind it is looked through for them.
fn matches_arn(pattern: &str, arn: &MethodArn) -> bool {
    match pattern.strip_prefix(arn.api_prefix()) {
        Some(rest) if arn.stage() != ANY_STAGE => matches(rest, arn.method()),
        _ => matches(pattern, arn.as_str()),
    }
}

/// What a statement does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "IAM's own words")]
pub enum Effect {
    Allow,
    Deny,
}

/// Why an ARN cannot be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGrantable {
    /// It contains what IAM reads as a pattern or a policy variable.
    #[error("the method ARN is a pattern to IAM")]
    Pattern,
    /// It is longer than the resource of a policy may be.
    #[error("the method ARN is longer than {MAX_RESOURCE_CHARACTERS} characters")]
    TooLong,
}

impl From<NotGrantable> for Reason {
    fn from(not_grantable: NotGrantable) -> Self {
        match not_grantable {
            NotGrantable::Pattern => Self::PathUnsafe,
            NotGrantable::TooLong => Self::ResourceTooLong,
        }
    }
}

/// Makes a pattern fit for a denial. Wildcards in a path stay, because each of them also matches itself. The
/// start of a policy variable is replaced by wildcards, because IAM would put the value of the variable there. A
/// pattern that is too long is cut. The result may deny more than was asked, which is safe, and never less.
fn deniable(pattern: &str) -> String {
    let resource = pattern.replace("${", "??");
    if resource.chars().count() > MAX_RESOURCE_CHARACTERS {
        let head: String = resource.chars().take(MAX_RESOURCE_CHARACTERS - 1).collect();
        head + "*"
    } else {
        resource
    }
}

/// What IAM reads as more than itself in a `Resource`.
///
/// Source: IAM User Guide, "IAM JSON policy elements: Resource".
const WILDCARDS: [&str; 3] = ["*", "?", "${"];

/// Whether a path has anything that a spelling of [`ODD_SPELLINGS`] or [`ENTANGLED_SPELLINGS`] needs.
fn is_odd(path: &str) -> bool {
    let mut before = 0;
    let is_odd = |byte: u8| {
        let is_odd =
            matches!(byte, b'%' | b'\\' | b'#' | b';') || (before == b'/' && matches!(byte, b'/' | b'.'));
        before = byte;
        is_odd
    };
    path.ends_with('/') || path.bytes().any(is_odd)
}

/// The beginning of a pattern for any API of the partition. `api` is the ARN of the API. A Deny may cover more
/// than it must, and this is half as long as that ARN.
///
/// Source: the managed policy `AmazonAPIGatewayInvokeFullAccess`, which has `arn:aws:execute-api:*:*:*`.
fn anywhere(api: &str) -> String {
    let partition = api.split(':').nth(1).unwrap_or("*");
    format!("arn:{partition}:execute-api:*:*:")
}

/// Spellings of paths that API Gateway, the backend or anything between them could read in another way; how they
/// are read is not documented. The function denies a request with such a path as [`Reason::PathUnsafe`], so its
/// answers to other requests must not allow such paths either:
///
/// - empty segments and dot segments, encoded or not, also with what some servers read as their parameters
///   (`..;a`);
/// - encoded slashes, question marks and number signs, backslashes, and control characters;
/// - anything that is encoded twice;
/// - characters in more bytes than UTF-8 allows, which careless decoders read as a slash or a dot.
///
/// Each begins with a `*`, which also stands for API, stage and method.
#[rustfmt::skip]
const ODD_SPELLINGS: [&str; 40] = [
    "*//*", "*/./*", "*/.", "*/..*", "*%2e*", "*%2E*",
    "*/;*", "*/%3b*", "*/%3B*", "*/.;*", "*/.%3b*", "*/.%3B*",
    "*%2f*", "*%2F*", "*%5c*", "*%5C*", "*\\*",
    "*%3f*", "*%3F*", "*%23*", "*#*",
    "*%0*", "*%1*", "*%7f*", "*%7F*", "*%c2%8*", "*%C2%8*", "*%c2%9*", "*%C2%9*",
    "*%25*",
    "*%c0*", "*%C0*", "*%c1*", "*%C1*", "*%e0%8*", "*%E0%8*", "*%e0%9*", "*%E0%9*", "*%f0%8*", "*%F0%8*",
];

/// The same, for grants where another reading of an allowed path could be a denied route. Any encoded character
/// could be a letter of a static segment, and a slash at the end might not count.
const ENTANGLED_SPELLINGS: [&str; 10] =
    ["*//*", "*/?*/", "*/./*", "*/.", "*/..*", "*/;*", "*/.;*", "*\\*", "*#*", "*%*"];

/// The largest grant. A response has 8 KB (AWS service quotas, L-20859C74); the rest is for its context.
pub const MAX_BYTES: usize = 7 * 1024;

/// API Gateway Developer Guide, "Control access to a REST API with IAM permissions".
const INVOKE: &str = "execute-api:Invoke";

/// API Gateway Developer Guide, "Output from an API Gateway Lambda authorizer".
pub const MAX_RESOURCE_CHARACTERS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(path: &str) -> MethodArn {
        format!("arn:aws:execute-api:us-east-1:123456789012:a/s/GET/{path}").parse().unwrap()
    }

    fn denied(arn: &MethodArn) -> String {
        match Grant::deny(arn).statements()[0].scope() {
            Scope::Resource(resource) => resource[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn allows_the_very_arn() {
        let arn = arn("pets/7");
        let grant = Grant::allow(&arn).unwrap();
        assert_eq!(
            grant.statements(),
            [Statement {
                effect: Effect::Allow,
                patterns: Patterns::Own(Scope::Resource(vec![arn.to_string()])),
                is_of_odd_paths: false,
            }]
        );
    }

    #[test]
    fn an_arn_beyond_the_limit_is_never_allowed_and_denied_by_its_beginning() {
        let longest = arn(&"x".repeat(MAX_RESOURCE_CHARACTERS - arn("").as_str().len()));
        assert!(Grant::allow(&longest).is_ok());
        let longer = arn(&"é".repeat(MAX_RESOURCE_CHARACTERS));
        assert_eq!(Grant::allow(&longer), Err(NotGrantable::TooLong));
        let resource = denied(&longer);
        assert_eq!(resource.chars().count(), MAX_RESOURCE_CHARACTERS);
        assert!(resource.ends_with("é*"));
    }

    #[test]
    fn a_pattern_matches_an_arn_exactly_if_it_matches_the_text_of_the_arn() {
        let starts =
            ["arn:aws:execute-api:r:1:a/s/", "arn:aws:execute-api:r:1:a/*/", "arn:aws:execute-api:*:*:", "*"];
        let ends = [
            "",
            "*",
            "GET/pets",
            "GET/?*",
            "GET/*/pets",
            "*/pets",
            "?ET/pets",
            "a/s/GET/pets",
            "GET/x/GET/pets",
        ];
        for stage in ["s", ANY_STAGE, "$default"] {
            for method in ["GET/pets", "GET/x/pets", "POST/", "GET/x/GET/pets"] {
                let arn: MethodArn = format!("arn:aws:execute-api:r:1:a/{stage}/{method}").parse().unwrap();
                for pattern in starts.iter().flat_map(|start| ends.map(|end| format!("{start}{end}"))) {
                    assert_eq!(
                        matches_arn(&pattern, &arn),
                        matches(&pattern, arn.as_str()),
                        "{pattern} {arn}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_pattern_is_never_allowed() {
        for path in ["*", "a?", "${aws:username}", "a/*/b"] {
            assert_eq!(Grant::allow(&arn(path)), Err(NotGrantable::Pattern), "{path}");
        }
        assert!(Grant::allow(&arn("urn:a:b")).is_ok());
    }

    #[test]
    fn a_denial_holds_no_policy_variable() {
        assert!(denied(&arn("pets/${aws:username}")).ends_with("pets/??aws:username}"));
    }

    #[test]
    fn a_statement_is_written_the_same_whether_or_not_it_was_written_before() {
        for partition in ["aws", "aws-cn", "aws"] {
            let api = format!("arn:{partition}:execute-api:r:1:a/s/");
            let selection =
                Selection { allow: ["GET/?*".to_owned()].into(), is_wild: true, ..Selection::default() };
            let grant = Grant::of_api(&api, &selection);
            let odd = grant.statements().iter().find(|statement| statement.is_of_odd_paths()).unwrap();
            let patterns: Vec<String> =
                ODD_SPELLINGS.iter().map(|text| format!("arn:{partition}:execute-api:*:*:{text}")).collect();
            let expected =
                serde_json::json!({"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": patterns});
            assert_eq!(serde_json::to_value(odd).unwrap(), expected);
            let text = serde_json::to_string(&grant).unwrap();
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read[1], expected);
            assert_eq!((text.matches("\"Action\"").count(), text.matches("\"Effect\"").count()), (3, 3));
        }
    }
}
