//! The rehearsal: calls that init makes up, before there is a real one.
//!
//! The first call of a process also does what is done once. Cedar sets up its extensions, policies are parsed that every
//! caller meets, keys are made ready, and the code of a call is read from the executable. Lambda gives init a whole CPU,
//! and a call a part of one. So init does all this, by answering calls that nobody made.
//!
//! Their tokens are signed by a key that is generated here, and verified as every token is, but with a key set of their
//! own. An understudy answers them: a function with the bundle of the real one and with nothing else of it; see
//! [`Function::rehearse`](super::lambda::Function::rehearse). Key, key set and understudy end with the rehearsal.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::jwks::KeyCache;
use crate::bundle::Bundle;
use crate::gateway::route::{Method, Route, Segment};
use crate::projection::{Projection, Record};
use crate::time::UnixTime;
use crate::token::bearer::Bearer;
use crate::token::identity_source::{IdentitySource, Provider};
use crate::token::key_set::{KeyOutline, KeyPlace, KeySet};
use crate::token::{self, TokenType};

/// Made-up calls to the routes of a bundle.
pub(super) struct Rehearsal {
    /// The key that signed their tokens, and no other one.
    pub(super) keys: Arc<KeySet>,
    /// Events as API Gateway sends them.
    pub(super) events: Vec<String>,
}

impl Rehearsal {
    /// `None`: the bundle takes no tokens, or there are no random numbers for a key.
    pub(super) fn of(bundle: &Bundle, now: UnixTime) -> Option<Self> {
        let source = bundle.identity_sources().first()?;
        let key = Ed25519KeyPair::generate().ok()?;
        let x = URL_SAFE_NO_PAD.encode(key.public_key());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": KEY_ID, "x": x}]});
        let keys = Arc::new(KeySet::parse(keys.to_string().as_bytes()).ok()?);
        // A connection of a WebSocket API has an event of its own, and there are few.
        let of_paths = bundle.bundled_routes().map(|bundled| bundled.route);
        let routes: Vec<&Route> = of_paths.filter(|route| !route.template.is_connect()).take(CALLS).collect();
        let claims = claims(bundle, source, &routes, now);
        let token = signed(&json!({"alg": "EdDSA", "kid": KEY_ID}), &claims, |input| key.sign(input));
        let (authorization, header) = (format!("Bearer {token}"), &bundle.token_location().header);
        let kinds = [token_event, rest_event, http_event];
        let count = if bundle.routes().routes().len() > MANY_ROUTES { 1 } else { CALLS };
        let calls = routes.iter().cycle().zip(kinds.iter().cycle()).take(count);
        let events =
            calls.map(|(route, event)| event(&Target::of(route), &authorization, header).to_string());
        let events = events.collect();
        Some(Self { keys, events })
    }
}

/// Shows the keys of a bundle tokens that they refuse: the first signature makes a key ready for all that follow.
pub(super) fn refuse(bundle: &Bundle, keys: &KeyCache, now: UnixTime) {
    let (sources, key_sets) = (bundle.identity_sources(), keys.snapshot(now));
    let places = sources.iter().enumerate().flat_map(|(position, source)| {
        let issuers = source.issuers().iter().enumerate();
        issuers.map(move |(number, issuer)| (KeyPlace { source: position, issuer: number }, issuer))
    });
    // A user pool has two issuers, which may have one key set.
    let mut known: Vec<&Arc<KeySet>> = Vec::new();
    let mut tokens = Vec::new();
    for (place, issuer) in places {
        let Some(keys) =
            key_sets.get(place).filter(|keys| !known.iter().any(|known| Arc::ptr_eq(known, keys)))
        else {
            continue;
        };
        known.push(keys);
        tokens.extend(keys.outlines().map(|key| forged(issuer, &key)));
    }
    for token in tokens.iter().take(MAX_KEYS) {
        if let Ok(bearer) = Bearer::parse(token) {
            // Nobody gets what comes of it. It is a refusal.
            let _ = token::verify(bearer, sources, &key_sets, bundle.leeway_seconds(), now);
        }
    }
}

/// A token that names a key, with a signature of the right length.
fn forged(issuer: &str, key: &KeyOutline<'_>) -> String {
    let header = match key.id {
        Some(id) => json!({"alg": key.algorithm, "kid": id}),
        None => json!({"alg": key.algorithm}),
    };
    let mut signature = vec![1; key.signature_bytes];
    // The number that an RSA signature stands for is below the modulus, or it is refused unseen.
    if let Some(first) = signature.first_mut() {
        *first = 0;
    }
    signed(&header, &json!({"iss": issuer}), |_| signature)
}

/// A compact JWS.
fn signed<S: AsRef<[u8]>>(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> S) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// Claims of a caller whom no policy names, with all that the schema reads of a token.
fn claims(bundle: &Bundle, source: &IdentitySource, routes: &[&Route], now: UnixTime) -> Value {
    let token_type = source.token_type().unwrap_or(TokenType::Access);
    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| {
        if !claims.contains_key(name) {
            claims.insert(name.to_owned(), value);
        }
    };
    let for_whom = source.accepted().first().map_or(NAME, String::as_str);
    add("iss", source.issuers().first().map_or(NAME, String::as_str).into());
    add("exp", now.as_seconds().saturating_add(LIFETIME_SECONDS).into());
    add("iat", now.as_seconds().into());
    add("jti", NAME.into());
    add("token_use", token_type.name().into());
    match (source.provider(), token_type) {
        (Provider::Cognito(_), TokenType::Access) => add("client_id", for_whom.into()),
        _ => add("aud", for_whom.into()),
    }
    add("sub", NAME.into());
    add(source.principal_id_claim(), NAME.into());
    if source.group_type().is_some() {
        add(source.group_claim(), json!([NAME]));
    }
    if token_type == TokenType::Access {
        add("scope", NAME.into());
    }
    for shape in routes.iter().filter_map(|route| shape(bundle, source, route, token_type)) {
        shape.sample(source).into_iter().for_each(|(name, value)| add(&name, value));
    }
    Value::Object(claims)
}

/// What the schema reads of a token. `None`: there is no schema, or it reads nothing.
fn shape(bundle: &Bundle, source: &IdentitySource, route: &Route, token_type: TokenType) -> Option<Record> {
    match (token_type, bundle.projection()) {
        (TokenType::Access, projection) => projection.context(&route.action)?.record("token").cloned(),
        (TokenType::Id, Projection::Schema(shapes)) => shapes.entity(source.principal_type()).cloned(),
        (TokenType::Id, Projection::Schemaless) => None,
    }
}

/// What a made-up call is for.
struct Target {
    verb: String,
    /// The key of the route in an HTTP API.
    key: String,
    template: String,
    path: String,
    parameters: Map<String, Value>,
}

impl Target {
    fn of(route: &Route) -> Self {
        let method = if route.method == Method::Any { Method::Get } else { route.method };
        let template = route.template.to_string();
        let is_path = template.starts_with('/');
        let segments = route.template.segments().iter().map(|segment| match segment {
            Segment::Static(text) => text.as_str(),
            Segment::Parameter(_) | Segment::Greedy(_) => NAME,
            Segment::Key(_) => "",
        });
        let path: Vec<&str> = segments.collect();
        Self {
            verb: method.name().to_ascii_uppercase(),
            key: if is_path {
                format!("{} {template}", route.method.name().to_ascii_uppercase())
            } else {
                template.clone()
            },
            path: format!("/{}", path.join("/")),
            parameters: route.template.parameters().map(|name| (name.to_owned(), NAME.into())).collect(),
            template,
        }
    }

    fn arn(&self) -> String {
        format!("{API}{}{}", self.verb, self.path)
    }
}

fn token_event(target: &Target, authorization: &str, _: &str) -> Value {
    json!({"type": "TOKEN", "methodArn": target.arn(), "authorizationToken": authorization})
}

fn rest_event(target: &Target, authorization: &str, header: &str) -> Value {
    json!({
        "type": "REQUEST", "methodArn": target.arn(), "resource": target.template, "path": target.path,
        "httpMethod": target.verb,
        "headers": {header: authorization, "Host": HOST, "User-Agent": NAME},
        "multiValueHeaders": {header: [authorization], "Host": [HOST], "User-Agent": [NAME]},
        "queryStringParameters": {}, "multiValueQueryStringParameters": {},
        "pathParameters": target.parameters, "stageVariables": {},
        "requestContext": {
            "resourcePath": target.template, "httpMethod": target.verb, "domainName": HOST, "requestId": NAME,
            "requestTimeEpoch": 0, "identity": {"sourceIp": ADDRESS, "userAgent": NAME},
        },
    })
}

fn http_event(target: &Target, authorization: &str, header: &str) -> Value {
    json!({
        "version": "2.0", "type": "REQUEST", "routeArn": target.arn(), "routeKey": target.key,
        "rawPath": target.path, "rawQueryString": "",
        "headers": {header.to_ascii_lowercase(): authorization, "host": HOST, "user-agent": NAME},
        "pathParameters": target.parameters,
        "requestContext": {
            "routeKey": target.key, "domainName": HOST, "requestId": NAME, "timeEpoch": 0,
            "http": {"method": target.verb, "path": target.path, "sourceIp": ADDRESS, "userAgent": NAME},
        },
    })
}

/// One of each kind of event that most APIs have. To make up more of them prepared nothing more that could be measured.
const CALLS: usize = 3;

/// An answer for the whole API decides each route. With more of them than this, it takes so long that init must not do it
/// three times.
const MANY_ROUTES: usize = 100;

/// Issuers publish two or three keys; see also `MAX_BYTES` in `src/token/key_set.rs`.
const MAX_KEYS: usize = 4;

/// The API that is called.
const API: &str = "arn:aws:execute-api:us-east-1:123456789012:rehearsal/rehearsal/";

/// Of everything in a made-up call that has a name.
const NAME: &str = "rehearsal";

const KEY_ID: &str = NAME;

/// RFC 2606 3 and RFC 5737 3: names and addresses of nobody.
const HOST: &str = "rehearsal.example";
const ADDRESS: &str = "192.0.2.1";

/// Longer than any init.
const LIFETIME_SECONDS: u64 = 60;

#[cfg(test)]
mod tests;
