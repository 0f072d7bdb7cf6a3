//! A simple model of API Gateway: which route a request takes, and how the policy of an authorizer applies to it,
//! fresh or from the cache. It is written to be obviously right, not to be fast. It uses only AWS's documentation and
//! the measurements of others, so that the authorizer can be tested against it.
//!
//! Paths are compared as they are. Nobody knows what API Gateway makes of percent-encodings in routes and ARNs, so
//! all [`readings`] of a path count.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// The routes of an API: a verb in upper case or `ANY`, and a template such as `/pets/{id}`,
/// `/files/{path+}` or `/`.
#[derive(Clone, Debug)]
pub struct Api {
    routes: Vec<(String, String)>,
}

impl Api {
    /// Panics if API Gateway would refuse the table.
    pub fn new(routes: Vec<(String, String)>) -> Self {
        let mut known = HashSet::new();
        for (verb, template) in &routes {
            assert_eq!(*verb, verb.to_uppercase());
            let template = segments(template).unwrap_or_else(|| panic!("an empty segment: `{template}`"));
            let (_, parents) = template.split_last().unwrap_or((&"", &[]));
            assert!(parents.iter().all(|parent| generality(parent) != Generality::Greedy), "{template:?}");
            // The name of a parameter makes no difference.
            let resource: Vec<&str> = template
                .iter()
                .map(|segment| match generality(segment) {
                    Generality::Static => segment,
                    Generality::Parameter => "{}",
                    Generality::Greedy => "{+}",
                })
                .collect();
            assert!(known.insert((verb, resource)), "twice: `{verb}` {template:?}");
        }
        Self { routes }
    }

    /// The index of the route that API Gateway takes.
    ///
    /// "A method request against a specific resource takes precedence over a method request against a generic
    /// resource at the same level of the resource hierarchy" (Developer Guide, "Set up a method request"). API
    /// Gateway resolves resource and method together. So a resource without the verb is passed over for a more
    /// general one that has it (measured: ministackorg/ministack#1423, floci-io/floci#3399).
    pub fn route(&self, verb: &str, path: &str) -> Option<usize> {
        let candidates = self.candidates(verb, path);
        candidates.into_iter().min().map(|(_, _, index)| index)
    }

    /// The route that an HTTP API takes: "full match" goes before "match a route and method with a greedy path
    /// variable" (Developer Guide, "Create routes for HTTP APIs"), whatever their first segments are.
    pub fn route_http(&self, verb: &str, path: &str) -> Option<usize> {
        let candidates = self.candidates(verb, path);
        candidates.iter().min_by_key(|found| by_level(found)).map(|found| found.2)
    }

    /// The same, but of several routes with a greedy variable, the one with the most segments wins. The guide leaves
    /// this open ("match a route and method with a greedy path variable").
    pub fn route_http_longest(&self, verb: &str, path: &str) -> Option<usize> {
        let candidates = self.candidates(verb, path);
        candidates.iter().min_by_key(|found| by_length(found)).map(|found| found.2)
    }

    /// All routes that a request may take, in a REST or an HTTP API, with a slash at the end or without.
    pub fn possible_routes(&self, verb: &str, path: &str) -> BTreeSet<usize> {
        let without_slash = path.strip_suffix('/').filter(|path| !path.is_empty());
        let mut taken = BTreeSet::new();
        for path in [Some(path), without_slash].into_iter().flatten() {
            let candidates = self.candidates(verb, path);
            taken.extend(candidates.iter().min().map(|found| found.2));
            taken.extend(candidates.iter().min_by_key(|found| by_level(found)).map(|found| found.2));
            taken.extend(candidates.iter().min_by_key(|found| by_length(found)).map(|found| found.2));
        }
        taken
    }

    /// All routes that cover a path and take the verb, each as a [`Candidate`].
    fn candidates(&self, verb: &str, path: &str) -> Vec<Candidate> {
        let Some(path) = segments(path) else {
            return Vec::new();
        };
        let candidates = self.routes.iter().enumerate().filter_map(|(index, (its_verb, template))| {
            let template = segments(template)?;
            let serves = (its_verb == verb || its_verb == "ANY") && covers(&template, &path);
            serves.then_some((generalities(&template), its_verb == "ANY", index))
        });
        candidates.collect()
    }

    /// The template of the route of a request, and the parameters as they are in the path. A slash at the end belongs
    /// to none of them.
    pub fn template_and_parameters(
        &self,
        verb: &str,
        path: &str,
    ) -> Option<(String, HashMap<String, String>)> {
        let (_, template) = &self.routes[self.route_trailing_slash(verb, path)?];
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut rest: Vec<&str> = path.split('/').skip(1).collect();
        let mut parameters = HashMap::new();
        for segment in segments(template)? {
            let name = segment.trim_matches(['{', '}', '+']).to_owned();
            match generality(segment) {
                Generality::Greedy => drop(parameters.insert(name, rest.join("/"))),
                Generality::Parameter => drop(parameters.insert(name, rest.remove(0).to_owned())),
                Generality::Static => drop(rest.remove(0)),
            }
        }
        Some((template.clone(), parameters))
    }

    /// Like [`Api::route`], but a trailing slash leads to the same resource. There is one report on each kind of API
    /// (aws-powertools/powertools-lambda-python#1552), so nothing may depend on this alone.
    pub fn route_trailing_slash(&self, verb: &str, path: &str) -> Option<usize> {
        match path.strip_suffix('/') {
            None | Some("" | "/") => self.route(verb, path),
            Some(path) => self.route(verb, path),
        }
    }
}

/// Everything that somebody on the way may take a path for: the path as it is, decoded once, and so on until nothing
/// is left to decode. Bytes that are not UTF-8 become replacement characters.
///
/// None if one of these cannot be the path of an API. It then has an empty segment, a dot segment (perhaps with
/// parameters, `..;a`), a backslash, a control character, or the beginning of a query or a fragment. Or a decoder
/// that accepts overlong UTF-8 could find one of these in it.
pub fn readings(path: &str) -> Option<Vec<String>> {
    let mut readings = Vec::new();
    let mut bytes = path.as_bytes().to_vec();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let without_slash =
            text.strip_suffix('/').filter(|rest| !rest.is_empty() && !rest.ends_with('/')).unwrap_or(&text);
        let is_odd = |segment: &&str| {
            // No client can send a question mark as part of a path, unless it is encoded.
            let is_query = !path.contains('?') && segment.contains('?');
            // Some servers take the text after a semicolon for parameters of the segment.
            let name = segment.split(';').next();
            is_query || [Some(""), Some("."), Some("..")].contains(&name) || segment.contains(['\\', '#'])
        };
        let is_overlong = |pair: &[u8]| matches!(pair, [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]);
        if segments(without_slash)?.iter().any(is_odd)
            || text.chars().any(char::is_control)
            || bytes.iter().any(|byte| [0xC0, 0xC1].contains(byte))
            || bytes.windows(2).any(is_overlong)
        {
            return None;
        }
        readings.push(text);
        let decoded = decode_once(&bytes);
        if decoded == bytes {
            return Some(readings);
        }
        bytes = decoded;
    }
}

fn decode_once(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    match bytes {
        [] => Vec::new(),
        [b'%', high, low, rest @ ..] if digit(high).is_some() && digit(low).is_some() => {
            let byte = digit(high).unwrap() * 16 + digit(low).unwrap();
            [vec![u8::try_from(byte).unwrap()], decode_once(rest)].concat()
        }
        [first, rest @ ..] => [vec![*first], decode_once(rest)].concat(),
    }
}

/// How general a template is, whether the route takes ANY, and its index.
type Candidate = (Vec<Generality>, bool, usize);

/// The order of an HTTP API that compares level by level: templates without a greedy variable come first.
fn by_level((template, is_any, _): &Candidate) -> (bool, Vec<Generality>, bool) {
    (template.last() == Some(&Generality::Greedy), template.clone(), *is_any)
}

/// The order of an HTTP API that prefers the longest of the greedy templates.
fn by_length((template, is_any, _): &Candidate) -> (bool, Reverse<usize>, Vec<Generality>, bool) {
    let is_greedy = template.last() == Some(&Generality::Greedy);
    let length = if is_greedy { template.len() } else { 0 };
    (is_greedy, Reverse(length), template.clone(), *is_any)
}

/// The kinds of segment of a template, in the order in which API Gateway prefers them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Generality {
    Static,
    Parameter,
    Greedy,
}

fn generality(segment: &str) -> Generality {
    match segment {
        _ if segment.starts_with('{') && segment.ends_with("+}") => Generality::Greedy,
        _ if segment.starts_with('{') && segment.ends_with('}') => Generality::Parameter,
        _ => Generality::Static,
    }
}

fn generalities(template: &[&str]) -> Vec<Generality> {
    template.iter().map(|segment| generality(segment)).collect()
}

fn covers(template: &[&str], path: &[&str]) -> bool {
    match (template, path) {
        ([], []) => true,
        ([first, template @ ..], [segment, path @ ..]) => match generality(first) {
            Generality::Static => first == segment && covers(template, path),
            Generality::Parameter => covers(template, path),
            Generality::Greedy => true,
        },
        _ => false,
    }
}

/// None if one is empty: `//`, or a trailing slash.
fn segments(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix('/').unwrap_or_else(|| panic!("not a path: `{path}`"));
    let segments = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    (!segments.contains(&"")).then_some(segments)
}

/// The method ARN of a request: with the concrete path and without a query.
pub fn arn(verb: &str, path: &str) -> String {
    assert!(path.starts_with('/'), "not a path: `{path}`");
    format!("{API}{verb}{path}")
}

const API: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/";
const BEFORE_API_ID: &str = "arn:aws:execute-api:us-east-1:123456789012:";

/// What a policy says about an ARN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    Allow,
    ExplicitDeny,
    /// No statement applies. This is not the same as a deny: an Allow in the API's resource policy still lets the
    /// request through (Developer Guide, "API Gateway authorization flow", Table A).
    ImplicitDeny,
}

/// Whether API Gateway supports Deny with NotResource. It is used (aws/aws-lambda-dotnet#2165), but not documented
/// for authorizers. So answers must be right if it is honoured, and safe if it is ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotResource {
    Honoured,
    Ignored,
}

/// Evaluates a policy like IAM: Deny wins over Allow, and Allow over nothing. Panics on a policy that an authorizer
/// should never send, wherever the fault is.
pub fn evaluate(policy_document: &Value, arn: &str, not_resource: NotResource) -> Effect {
    assert_eq!(policy_document["Version"], "2012-10-17", "the Version of {policy_document}");
    let statements = policy_document["Statement"].as_array().unwrap_or_else(|| panic!("{policy_document}"));
    assert!(!statements.is_empty(), "an empty list: {policy_document}");
    let effects: Vec<Effect> =
        statements.iter().filter_map(|statement| effect(statement, arn, not_resource)).collect();
    if effects.contains(&Effect::ExplicitDeny) {
        Effect::ExplicitDeny
    } else if effects.contains(&Effect::Allow) {
        Effect::Allow
    } else {
        Effect::ImplicitDeny
    }
}

/// None if the statement does not apply to the ARN.
fn effect(statement: &Value, arn: &str, not_resource: NotResource) -> Option<Effect> {
    for key in statement.as_object().unwrap_or_else(|| panic!("not a statement: {statement}")).keys() {
        // Above all no Condition: AWS does not document which keys it may have in an authorizer's answer.
        let known = ["Sid", "Effect", "Action", "Resource", "NotResource"];
        assert!(known.contains(&key.as_str()), "`{key}` in {statement}");
    }
    let effect = match statement["Effect"].as_str() {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::ExplicitDeny,
        _ => panic!("the Effect of {statement}"),
    };
    assert_eq!(texts(&statement["Action"]), ["execute-api:Invoke"], "the Action of {statement}");
    let applies = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(resource), None) => names(resource, arn),
        // If NotResource is ignored, an Allow still applies: that is the less safe assumption.
        (None, Some(others)) => {
            !names(others, arn) && (effect == Effect::Allow || not_resource == NotResource::Honoured)
        }
        _ => panic!("either Resource or NotResource: {statement}"),
    };
    applies.then_some(effect)
}

fn names(resource: &Value, arn: &str) -> bool {
    let patterns = texts(resource);
    for pattern in &patterns {
        // Developer Guide, "Output from an API Gateway Lambda authorizer".
        assert!(pattern.chars().count() <= 512, "longer than 512 characters: `{pattern}`");
        // IAM has policy variables and escapes. For an authorizer's answer, nobody knows their meaning.
        assert!(!pattern.contains("${"), "an unknown meaning: `{pattern}`");
    }
    patterns.iter().any(|pattern| matches(pattern, arn))
}

/// One string, or a list of at least one.
fn texts(value: &Value) -> Vec<&str> {
    let texts = match value {
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        one => one.as_str().map(|text| vec![text]),
    };
    texts.filter(|texts| !texts.is_empty()).unwrap_or_else(|| panic!("not one string or more: {value}"))
}

/// `*` matches any run of characters, including `/`, `:` and none. `?` matches exactly one. All others match
/// themselves (IAM User Guide, "IAM JSON policy elements: Resource"). It is assumed that case matters.
pub fn matches(pattern: &str, arn: &str) -> bool {
    // A shortcut for the prefix that nearly all ARNs share.
    let (pattern, arn) = match (pattern.strip_prefix(API), arn.strip_prefix(API)) {
        (Some(pattern), Some(arn)) => (pattern, arn),
        _ => (pattern, arn),
    };
    // A shortcut for patterns for any API of the partition that end with a text anywhere.
    let (pattern, arn) =
        match (pattern.strip_prefix("arn:aws:execute-api:*:*:"), arn.strip_prefix(BEFORE_API_ID)) {
            (Some(pattern), Some(arn)) if pattern.starts_with('*') => (pattern, arn),
            _ => (pattern, arn),
        };
    let text = pattern.strip_prefix('*').and_then(|rest| rest.strip_suffix('*'));
    if let Some(text) = text.filter(|text| !text.contains(['*', '?'])) {
        return arn.contains(text);
    }
    let arn: Vec<char> = arn.chars().collect();
    // Whether the pattern so far matches the first 0, 1, 2.. characters of the ARN.
    let mut matched = vec![false; arn.len() + 1];
    matched[0] = true;
    for character in pattern.chars() {
        let mut before = false;
        matched = (0..=arn.len())
            .map(|end| {
                before |= matched[end];
                match character {
                    '*' => before,
                    '?' => end > 0 && matched[end - 1],
                    _ => end > 0 && matched[end - 1] && arn[end - 1] == character,
                }
            })
            .collect();
    }
    matched[arn.len()]
}

/// API Gateway's cache of an authorizer's answers. The caller makes the key from the values of the identity sources,
/// in their order.
#[derive(Debug, Default)]
pub struct AuthorizerCache {
    answers: HashMap<String, Value>,
}

impl AuthorizerCache {
    /// The whole answer is kept, allow or deny, whatever the ARN of the next request is. An error is never kept
    /// (medium evidence: ministackorg/ministack#1367).
    pub fn get_or_call(&mut self, key: &str, call: impl FnOnce() -> Option<Value>) -> Option<Value> {
        if let Some(kept) = self.answers.get(key) {
            return Some(kept.clone());
        }
        let answer = call()?;
        assert_is_response(&answer);
        self.answers.insert(key.to_owned(), answer.clone());
        Some(answer)
    }

    /// Ends the time to live of all answers at once.
    pub fn expire(&mut self) {
        self.answers.clear();
    }
}

/// What API Gateway requires of an answer before it looks at the policy.
pub fn assert_is_response(response: &Value) {
    // Service Quotas, L-20859C74.
    assert!(response.to_string().len() <= 8 * 1024, "larger than 8 KB: {response}");
    // Without one, the gateway may answer 500 (ministackorg/ministack#1367).
    let is_named = response["principalId"].as_str().is_some_and(|id| !id.is_empty());
    assert!(is_named, "the principalId of {response}");
}

/// Whether a request for this ARN reaches the backend. The policy of an answer, fresh or from the cache, is evaluated
/// for each request. An error lets nothing through.
pub fn passes(response: Option<&Value>, arn: &str, not_resource: NotResource) -> bool {
    let Some(response) = response else { return false };
    evaluate(&response["policyDocument"], arn, not_resource) == Effect::Allow
}

// Only a few, so that templates collide.
const STATICS: [&str; 3] = ["a", "b", "c"];
const FRESH: [&str; 3] = ["me", "7", "aa"];
// Segments that a router, a policy or an ARN could take for something other than text.
const HOSTILE: [&str; 12] =
    ["..", ".", "%2F", "a%2Fb", "%2A", "*", "?", "a*", ":", "a:b", "$connect", "{p1}"];
/// Segments that can be read in another way than they are written.
const SPELLINGS: [&str; 54] = [
    "..;a",
    ";a",
    ".;a",
    "%3ba",
    ".%3Ba",
    "a;b",
    "x%2f..%2f..%2fb",
    "..%5c..",
    "7%2fa",
    "x%252f%252e%252e",
    "7%00",
    "%61",
    "%62",
    "a%2e",
    "%2e%2E",
    "%2F%62",
    "%2fa",
    "a%5Cb",
    "a\\b",
    "a%0ab",
    "a%1F",
    "%7f",
    "%7F",
    "a%3fb",
    "%3F",
    "a%23",
    "a#b",
    "%2561",
    "%25252561",
    "100%25",
    "100%",
    "%",
    "%zz",
    "%u002f",
    "%c0%af",
    "%C0%AE",
    "%c1%9c",
    "%e0%80%af",
    "%E0%9f%bf",
    "%f0%80%80%af",
    "%F0%8f%bf%bf",
    "%ff",
    "%80",
    "%c3",
    "M%C3%BCsli",
    "%e2%80%99",
    "%c2%85",
    "a%20b",
    "%63%",
    "..%2f",
    "%2e",
    ".%2e",
    "%2e/a",
    "a;b=%2f",
];

/// Small tables of 1 to 12 routes with up to 5 levels, valid for [`Api::new`]. Their templates are made from two
/// concrete paths, so that they cover one another.
pub fn route_tables() -> impl Strategy<Value = Vec<(String, String)>> {
    let paths = vec(vec(select(&STATICS[..]), 4), 2);
    let parameters = vec(weighted(0.4), 0..=4);
    let end = prop_oneof![2 => Just(""), 1 => Just("/{rest+}")];
    let verbs = subsequence(&["GET", "POST", "DELETE", "ANY"][..], 1..=2);
    (paths, vec((0..2usize, parameters, end, verbs), 1..=10)).prop_map(|(paths, resources)| {
        let mut known = HashSet::new();
        let routes = resources.into_iter().flat_map(|(path, parameters, end, verbs)| {
            let template = template(&paths[path], &parameters) + end;
            let template = if template.is_empty() { "/".to_owned() } else { template };
            verbs.into_iter().map(move |verb| (verb.to_owned(), template.clone()))
        });
        routes.filter(|route| known.insert(route.clone())).take(12).collect()
    })
}

/// The start of a path, with parameters at some of its levels. They are named by their depth, because all parameters
/// at one place must have the same name.
fn template(path: &[&str], parameters: &[bool]) -> String {
    let levels = path.iter().zip(parameters).enumerate().map(|(depth, (text, is_parameter))| {
        if *is_parameter { format!("/{{p{}}}", depth + 1) } else { format!("/{text}") }
    });
    levels.collect()
}

/// Up to 16 requests, each a verb and a path. They are made from the routes of a table, so that they can be confused.
pub fn requests(table: &[(String, String)]) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let mut statics: Vec<String> = table
        .iter()
        .flat_map(|(_, template)| segments(template).unwrap())
        .filter(|segment| generality(segment) == Generality::Static)
        .map(str::to_owned)
        .collect();
    // For a table that has only parameters.
    statics.push("a".to_owned());
    let word = prop_oneof![
        6 => select(statics.clone()),
        2 => select(&FRESH[..]).prop_map(str::to_owned),
        2 => select(&HOSTILE[..]).prop_map(str::to_owned),
        2 => select(&SPELLINGS[..]).prop_map(str::to_owned),
        // Several segments in place of one.
        1 => vec(select(statics), 2..=3).prop_map(|words| words.join("/")),
    ];
    let change = prop_oneof![
        6 => Just(Change::Nothing),
        2 => word.clone().prop_map(Change::Extend),
        2 => (0..5usize, word.clone()).prop_map(|(at, word)| Change::Replace(at, word)),
        1 => (0..5usize).prop_map(Change::Truncate),
        1 => Just(Change::Extend(String::new())),
        1 => (0..5usize).prop_map(|at| Change::Replace(at, String::new())),
    ];
    let verb = (any::<bool>(), select(&["GET", "POST", "DELETE", "PUT"][..]));
    let request = (select(table.to_vec()), verb, vec(word.clone(), 5), vec(word, 1..=3), change).prop_map(
        |((verb, template), (other, other_verb), words, rest, change)| {
            let verb = if other || verb == "ANY" { other_verb.to_owned() } else { verb };
            (verb, change.apply(fill(&template, &words, &rest)))
        },
    );
    vec(request, 1..=16)
}

fn fill(template: &str, words: &[String], rest: &[String]) -> Vec<String> {
    let filled =
        segments(template).unwrap().into_iter().zip(words).map(|(segment, word)| match generality(segment) {
            Generality::Static => segment.to_owned(),
            Generality::Parameter => word.clone(),
            Generality::Greedy => rest.join("/"),
        });
    filled.collect()
}

/// How a path differs from its template. An empty word makes a trailing slash or an empty segment.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Extend(String),
    Replace(usize, String),
    Truncate(usize),
}

impl Change {
    fn apply(self, mut path: Vec<String>) -> String {
        match self {
            Self::Nothing => {}
            Self::Extend(word) => path.push(word),
            Self::Replace(at, word) => {
                if let Some(segment) = path.get_mut(at) {
                    *segment = word;
                }
            }
            Self::Truncate(length) => path.truncate(length),
        }
        format!("/{}", path.join("/"))
    }
}

fn api(routes: &[&str]) -> Api {
    let route = |route: &&str| {
        let (verb, template) = route.split_once(' ').unwrap();
        (verb.to_owned(), template.to_owned())
    };
    Api::new(routes.iter().map(route).collect())
}

#[track_caller]
fn takes(api: &Api, rows: &[(&str, &str)]) {
    for (request, expected) in rows {
        let (verb, path) = request.split_once(' ').unwrap();
        let taken = api.route(verb, path).map(|index| {
            let (verb, template) = &api.routes[index];
            format!("{verb} {template}")
        });
        assert_eq!(taken.as_deref().unwrap_or("none"), *expected, "{request}");
    }
}

// ministackorg/ministack#1423, measured in eu-central-1. `/jobs` itself has no method, so it is not in the table.
#[test]
fn a_resource_without_the_verb_leaves_the_request_to_the_proxy() {
    let api = api(&["ANY /{proxy+}", "GET /jobs/{op}", "OPTIONS /cors_only"]);
    takes(
        &api,
        &[
            ("GET /jobs", "ANY /{proxy+}"),
            ("POST /jobs", "ANY /{proxy+}"),
            ("POST /jobs/reboot", "ANY /{proxy+}"),
            ("GET /cors_only", "ANY /{proxy+}"),
            ("GET /jobs/reboot", "GET /jobs/{op}"),
            ("OPTIONS /cors_only", "OPTIONS /cors_only"),
            ("GET /", "none"),
        ],
    );
}

// floci-io/floci#3399, measured in us-west-2.
#[test]
fn a_static_resource_without_the_verb_leaves_the_request_to_the_parameter() {
    let api = api(&["PATCH /users/me", "GET /users/{userId}", "GET /things/real", "ANY /things/{proxy+}"]);
    takes(
        &api,
        &[
            ("GET /users/me", "GET /users/{userId}"),
            ("PATCH /users/me", "PATCH /users/me"),
            ("PATCH /users/you", "none"),
            ("DELETE /users/me", "none"),
            ("GET /things/real", "GET /things/real"),
            ("POST /things/real", "ANY /things/{proxy+}"),
            ("GET /things", "none"),
        ],
    );
}

// Developer Guide, "Set up a method request", for REST APIs. An HTTP API prefers any full match to a greedy one, so
// it would send the first request to `/{p1}/b` ("Create routes for HTTP APIs").
#[test]
fn a_static_level_decides_over_all_below_it() {
    let api = api(&["GET /{p1}/b", "GET /a/{rest+}", "ANY /{p1}/{p2}"]);
    takes(
        &api,
        &[
            ("GET /a/b", "GET /a/{rest+}"),
            ("GET /x/b", "GET /{p1}/b"),
            ("POST /a/b", "ANY /{p1}/{p2}"),
            ("GET /x/y", "ANY /{p1}/{p2}"),
            ("GET /a", "none"),
        ],
    );
}

// From the same page.
#[test]
fn the_specific_comes_first_level_by_level() {
    let routes = ["GET /{p1}/b", "GET /a/{rest+}", "GET /a/{p2}/c", "ANY /a/b", "GET /", "POST /a/b"];
    takes(
        &api(&routes),
        &[
            // A resource with ANY takes every verb.
            ("GET /a/b", "ANY /a/b"),
            ("POST /a/b", "POST /a/b"),
            ("GET /x/b", "GET /{p1}/b"),
            ("GET /a/x", "GET /a/{rest+}"),
            ("GET /a/b/c", "GET /a/{p2}/c"),
            ("GET /a/b/d", "GET /a/{rest+}"),
            ("GET /", "GET /"),
            ("GET /a", "none"),
            ("GET /A/b", "GET /{p1}/b"),
            ("GET /a%2Fb", "none"),
            ("GET /../b", "GET /{p1}/b"),
        ],
    );
}

#[test]
fn empty_segments_have_no_route_but_a_trailing_slash_may() {
    let api = api(&["GET /", "GET /a", "ANY /{proxy+}"]);
    for path in ["//", "/a/", "//a", "/a//b", "/a//"] {
        assert_eq!(api.route("GET", path), None, "{path}");
    }
    for (path, expected) in
        [("/", Some(0)), ("/a", Some(1)), ("/a/", Some(1)), ("/b/c/", Some(2)), ("//", None), ("/a//", None)]
    {
        assert_eq!(api.route_trailing_slash("GET", path), expected, "{path}");
    }
}

#[test]
fn of_several_proxies_the_longest_may_be_taken() {
    let api = api(&["ANY /{proxy+}", "ANY /a/{proxy+}", "ANY /{p1}/b/{proxy+}", "GET /{p1}/b/c"]);
    for (request, by_level, longest) in [
        ("POST /a/b/c", Some(1), Some(2)),
        ("POST /a/c/c", Some(1), Some(1)),
        ("POST /x/b/c", Some(2), Some(2)),
        ("GET /a/b/c", Some(3), Some(3)),
        ("GET /x", Some(0), Some(0)),
    ] {
        let (verb, path) = request.split_once(' ').unwrap();
        assert_eq!(
            (api.route_http(verb, path), api.route_http_longest(verb, path)),
            (by_level, longest),
            "{request}"
        );
    }
}

#[test]
fn a_path_may_be_read_as_it_is_or_decoded() {
    for (path, expected) in [
        ("/", Some(&["/"][..])),
        ("/a/", Some(&["/a/"])),
        ("/%61%20b", Some(&["/%61%20b", "/a b"])),
        ("/%2561", Some(&["/%2561", "/%61", "/a"])),
        ("/100%", Some(&["/100%"])),
        ("/%ff", Some(&["/%ff", "/\u{fffd}"])),
        ("/?", Some(&["/?"])),
        ("/%3f", None),
        ("/a%2fb", Some(&["/a%2fb", "/a/b"])),
        ("/a%2f%2fb", None),
        ("/a/%2e%2e", None),
        ("/a/..", None),
        ("//", None),
        ("/%5c", None),
        ("/%00", None),
        ("/%c0%af", None),
        ("/%e0%9f", None),
        ("/a#", None),
        ("/..;a", None),
        ("/%3ba", None),
        ("/a;b", Some(&["/a;b"])),
        ("/%c2%85", None),
    ] {
        let found = readings(path);
        let expected = expected.map(|texts| texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn tables_that_api_gateway_refuses_are_refused() {
    for routes in [
        &["GET /a/{p}", "GET /a/{q}"][..],
        &["GET /{p+}", "GET /{q+}"],
        &["GET /{p+}/a"],
        &["GET /a/"],
        &["GET a"],
        &["get /a"],
    ] {
        assert!(std::panic::catch_unwind(|| api(routes)).is_err(), "{routes:?}");
    }
}

// The ARNs of the Developer Guide's page on input. The ARN of the root ends with the slash.
#[test]
fn an_arn_has_the_concrete_path() {
    assert_eq!(arn("GET", "/a:b/7"), "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/GET/a:b/7");
    assert!(arn("GET", "/").ends_with("/prod/GET/"));
}

// IAM User Guide, "Resource"; powertools-lambda-python#5800 for `$connect`.
#[test]
fn a_star_crosses_slashes_and_a_question_mark_is_one_character() {
    for (pattern, text, expected) in [
        ("api/stage/GET/user/*", "api/stage/GET/user/1", true),
        ("api/stage/GET/user/*", "api/stage/GET/user/1/sensitive", true),
        ("api/stage/GET/user/*", "api/stage/GET/user/", true),
        ("api/stage/GET/user/*", "api/stage/GET/user", false),
        ("api/stage/*/business/op", "api/stage/GET/x/business/op", true),
        ("api/stage/*/*", "api/stage/$connect", false),
        ("api/stage/*", "api/stage/$connect", true),
        ("*", "arn:aws:execute-api", true),
        ("*", "", true),
        ("a*c:d", "ab:c:d", true),
        ("a?c", "abc", true),
        ("a?c", "a/c", true),
        ("a?c", "aéc", true),
        ("a?c", "ac", false),
        ("a?c", "abbc", false),
        ("a**b*", "ab", true),
        ("*ab*", "xaby", true),
        ("*ab*", "ab", true),
        ("*ab*", "a-b", false),
        ("**", "a", true),
        ("*a*b", "aabab", true),
        ("*a*b", "aaba", false),
        // Only the pattern has wildcards.
        ("a", "*", false),
        ("a?", "a*", true),
        ("GET/A", "GET/a", false),
        ("a.c", "abc", false),
        ("a[b]", "ab", false),
        ("", "", true),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "`{pattern}` and `{text}`");
    }
}

fn policy(statements: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(effect: &str, element: &str, resource: impl Into<Value>) -> Value {
    let resource: Value = resource.into();
    json!({"Effect": effect, "Action": "execute-api:Invoke", element: resource})
}

#[test]
fn deny_is_over_allow_and_allow_over_nothing() {
    let allow = statement("Allow", "Resource", vec![arn("GET", "/a*"), arn("GET", "/b")]);
    let deny = statement("Deny", "Resource", arn("GET", "/a/secret"));
    for statements in [json!([allow, deny]), json!([deny, allow])] {
        for (verb, path, expected) in [
            ("GET", "/a/1", Effect::Allow),
            ("GET", "/b", Effect::Allow),
            ("GET", "/a/secret", Effect::ExplicitDeny),
            ("POST", "/a/secret", Effect::ImplicitDeny),
            ("GET", "/c", Effect::ImplicitDeny),
        ] {
            for not_resource in [NotResource::Honoured, NotResource::Ignored] {
                let effect = evaluate(&policy(statements.clone()), &arn(verb, path), not_resource);
                assert_eq!(effect, expected, "{verb} {path}");
            }
        }
    }
}

// As in aws/aws-lambda-dotnet#2165: everything that is not named is denied.
#[test]
fn a_deny_of_all_others_may_be_ignored() {
    let only_a = statement("Deny", "NotResource", vec![arn("GET", "/a"), arn("GET", "/a/*")]);
    let all = statement("Allow", "Resource", "*");
    let both = policy(json!([all, only_a]));
    for (path, honoured) in [("/a", Effect::Allow), ("/a/b", Effect::Allow), ("/b", Effect::ExplicitDeny)] {
        assert_eq!(evaluate(&both, &arn("GET", path), NotResource::Honoured), honoured, "{path}");
        assert_eq!(evaluate(&both, &arn("GET", path), NotResource::Ignored), Effect::Allow, "{path}");
    }
    let denies_only = policy(json!([only_a]));
    assert_eq!(evaluate(&denies_only, &arn("GET", "/b"), NotResource::Ignored), Effect::ImplicitDeny);
    let allows_others = policy(json!([statement("Allow", "NotResource", arn("GET", "/a"))]));
    for not_resource in [NotResource::Honoured, NotResource::Ignored] {
        assert_eq!(evaluate(&allows_others, &arn("GET", "/b"), not_resource), Effect::Allow);
        assert_eq!(evaluate(&allows_others, &arn("GET", "/a"), not_resource), Effect::ImplicitDeny);
    }
}

#[test]
fn the_forms_of_a_statement_that_iam_knows_are_read() {
    let longest = arn("GET", "/") + &"é".repeat(512 - arn("GET", "/").chars().count());
    for statement in [
        json!({"Sid": "1", "Effect": "Allow", "Action": ["execute-api:Invoke"], "Resource": ["*"]}),
        statement("Allow", "Resource", "*"),
        json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": [longest, "*"]}),
    ] {
        let effect = evaluate(&policy(json!([statement])), &arn("GET", "/"), NotResource::Honoured);
        assert_eq!(effect, Effect::Allow, "{statement}");
    }
}

#[test]
fn a_malformed_policy_is_refused() {
    let good = statement("Allow", "Resource", "*");
    // A fault also counts after a statement that decides.
    let mut malformed: Vec<Value> = [
        json!({"Action": "execute-api:Invoke", "Resource": "*"}),
        statement("allow", "Resource", "*"),
        json!({"Effect": "Allow", "Action": "execute-api:Invoke"}),
        json!({"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": "*", "NotResource": "*"}),
        json!({"Effect": "Allow", "Resource": "*"}),
        json!({"Effect": "Allow", "Action": "*", "Resource": "*"}),
        json!({"Effect": "Allow", "Action": [], "Resource": "*"}),
        json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*", "Condition": {}}),
        json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*", "Principal": "*"}),
        statement("Allow", "Resource", Vec::<String>::new()),
        statement("Deny", "NotResource", Vec::<String>::new()),
        statement("Allow", "Resource", Value::Null),
        json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": ["*", 1]}),
        statement("Allow", "Resource", "a".repeat(513)),
        statement("Deny", "NotResource", "a".repeat(513)),
        statement("Allow", "Resource", arn("GET", "/${aws:username}")),
        json!("Allow"),
    ]
    .into_iter()
    .map(|bad| policy(json!([good, bad])))
    .collect();
    malformed.extend([
        json!({"Version": "2008-10-17", "Statement": [good]}),
        json!({"Statement": [good]}),
        json!({"Version": "2012-10-17"}),
        policy(json!([])),
        policy(good),
        Value::Null,
    ]);
    for policy in malformed {
        for not_resource in [NotResource::Honoured, NotResource::Ignored] {
            let effect = || evaluate(&policy, &arn("GET", "/a"), not_resource);
            assert!(std::panic::catch_unwind(effect).is_err(), "{policy}");
        }
    }
}

fn response(statements: Value) -> Value {
    json!({"principalId": "alice", "policyDocument": policy(statements), "context": {"decision": "1"}})
}

// Developer Guide, "Use API Gateway Lambda authorizers": the answer is kept, and its policy is evaluated for each
// request. If the token is the key, the policy for the first route breaks the second (auth0#8, serverless#6176).
#[test]
fn a_kept_policy_is_evaluated_against_each_arn() {
    let mut cache = AuthorizerCache::default();
    let kept = response(json!([statement("Allow", "Resource", arn("GET", "/a"))]));
    let first = cache.get_or_call("token", || Some(kept.clone()));
    let second = cache.get_or_call("token", || panic!("called again"));
    assert_eq!((&first, &second), (&Some(kept.clone()), &Some(kept)));
    assert!(passes(first.as_ref(), &arn("GET", "/a"), NotResource::Honoured));
    assert!(passes(second.as_ref(), &arn("GET", "/a"), NotResource::Honoured));
    assert!(!passes(second.as_ref(), &arn("GET", "/b"), NotResource::Honoured));
    assert!(!passes(second.as_ref(), &arn("POST", "/a"), NotResource::Honoured));
}

#[test]
fn an_answer_is_kept_for_its_key_until_it_expires() {
    let mut cache = AuthorizerCache::default();
    let allow = response(json!([statement("Allow", "Resource", "*")]));
    let deny = response(json!([statement("Deny", "Resource", "*")]));
    assert_eq!(cache.get_or_call("one", || Some(deny.clone())), Some(deny.clone()));
    assert_eq!(cache.get_or_call("two", || Some(allow.clone())), Some(allow.clone()));
    // A deny is kept too.
    assert_eq!(cache.get_or_call("one", || Some(allow.clone())), Some(deny));
    cache.expire();
    assert_eq!(cache.get_or_call("one", || Some(allow.clone())), Some(allow));
}

#[test]
fn an_error_is_not_kept_and_lets_nothing_through() {
    let mut cache = AuthorizerCache::default();
    let error = cache.get_or_call("token", || None);
    assert!(!passes(error.as_ref(), &arn("GET", "/"), NotResource::Honoured));
    let allow = response(json!([statement("Allow", "Resource", "*")]));
    let answer = cache.get_or_call("token", || Some(allow));
    assert!(passes(answer.as_ref(), &arn("GET", "/"), NotResource::Honoured));
}

#[test]
fn an_answer_that_api_gateway_could_refuse_is_refused() {
    let good = response(json!([statement("Allow", "Resource", "*")]));
    let mut anonymous = good.clone();
    anonymous["principalId"] = json!("");
    let mut large = good.clone();
    large["context"]["decision"] = json!("a".repeat(8 * 1024));
    let mut without_policy = good;
    without_policy["policyDocument"] = Value::Null;
    for response in [anonymous, large, without_policy] {
        let pass = || {
            assert_is_response(&response);
            passes(Some(&response), &arn("GET", "/"), NotResource::Honoured)
        };
        assert!(std::panic::catch_unwind(pass).is_err(), "{response}");
    }
}

fn apis_with_requests() -> impl Strategy<Value = (Api, Vec<(String, String)>)> {
    route_tables()
        .prop_flat_map(|table| (requests(&table), Just(Api::new(table))))
        .prop_map(|(requests, api)| (api, requests))
}

proptest! {
    #[test]
    fn tables_and_requests_are_of_the_promised_shape((api, requests) in apis_with_requests()) {
        prop_assert!((1..=12).contains(&api.routes.len()));
        for (_, template) in &api.routes {
            prop_assert!(segments(template).unwrap().len() <= 5);
        }
        for (verb, path) in requests {
            prop_assert_ne!(&verb, "ANY");
            // The slash only adds requests that have a route.
            if let Some(index) = api.route(&verb, &path) {
                prop_assert_eq!(api.route_trailing_slash(&verb, &path), Some(index));
            }
        }
    }

    #[test]
    fn the_order_of_the_table_does_not_matter((api, requests) in apis_with_requests()) {
        let backwards = Api::new(api.routes.iter().rev().cloned().collect());
        for (verb, path) in requests {
            let route = api.route(&verb, &path).map(|index| &api.routes[index]);
            let other = backwards.route(&verb, &path).map(|index| &backwards.routes[index]);
            prop_assert_eq!(route, other);
        }
    }
}

// If requests were never confused, every property of a policy would hold.
#[test]
fn requests_collide() {
    let mut runner = TestRunner::deterministic();
    let (mut all, mut routed, mut contested, mut passed_over) = (0, 0, 0, 0);
    for _ in 0..400 {
        let (api, requests) = apis_with_requests().new_tree(&mut runner).unwrap().current();
        for (verb, path) in requests {
            all += 1;
            let Some(index) = api.route(&verb, &path) else { continue };
            let path = segments(&path).unwrap();
            let templates = api.routes.iter().map(|(_, template)| segments(template).unwrap());
            let resources: BTreeSet<Vec<Generality>> = templates
                .filter(|template| covers(template, &path))
                .map(|template| generalities(&template))
                .collect();
            let taken = generalities(&segments(&api.routes[index].1).unwrap());
            routed += 1;
            contested += usize::from(resources.len() > 1);
            passed_over += usize::from(resources.first() < Some(&taken));
        }
    }
    let counts = format!("of {all}, {routed} routed, {contested} contested, {passed_over} past a resource");
    assert!(all / 2 < routed && routed < all * 9 / 10, "{counts}");
    assert!(contested > routed / 3 && passed_over > routed / 20, "{counts}");
}
