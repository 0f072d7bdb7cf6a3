//! Whatever stands in an event, with the token of somebody: no panic, and what is allowed is of the event's own API
//! and stage. The input is put over an event that is allowed, so that its parts reach a decision one by one.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::decide::Gate;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::{Call, Target};
use cedar_authorizer::reason::Status;
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::key_set::{KeySet, KeySets};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The sample store trusts the key that signed the tokens of the sample events.
static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let files = directory::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap();
    let (store, _) = Store::check(&files);
    Bundle::open(build::bundle(&store.unwrap(), &files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
});

static GATE: LazyLock<Gate> = LazyLock::new(|| Gate::new(BUNDLE.clone(), KEYS.clone()));

static KEYS: LazyLock<KeySets> = LazyLock::new(|| {
    let keys = KeySet::parse(include_bytes!("../../policies/jwks/cognito.json")).unwrap();
    KeySets::new(vec![vec![Arc::new(keys)]])
});

static EVENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let texts = [
        include_str!("../../events/rest-get-pet-allow.json"),
        include_str!("../../events/token-get-pet-allow.json"),
        include_str!("../../events/http1-get-pets-allow.json"),
        include_str!("../../events/http2-get-pet-allow.json"),
        include_str!("../../events/websocket-connect-unmapped-deny.json"),
    ];
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
});

static CACHE_KEYS: LazyLock<Vec<CacheKey>> = LazyLock::new(|| {
    let texts = [
        "none",
        "token",
        "method.request.header.Authorization,context.httpMethod,context.path",
        "$request.header.Authorization,$context.routeKey",
        "method.request.header.Authorization,context.identity.sourceIp",
    ];
    texts.iter().map(|text| text.parse().unwrap()).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((&[event, cache_key, form], text)) = data.split_first_chunk::<3>() else {
        return;
    };
    let Ok(over) = serde_json::from_slice::<Value>(text) else {
        return;
    };
    let mut event = EVENTS[usize::from(event) % EVENTS.len()].clone();
    put_over(&mut event, over);
    let cache_key = &CACHE_KEYS[usize::from(cache_key) % CACHE_KEYS.len()];
    let form = if form % 2 == 0 { SimpleResponses::Disabled } else { SimpleResponses::Enabled };
    judge(&event, cache_key, form);
});

/// Members of objects replace those of the same name.
fn put_over(event: &mut Value, over: Value) {
    match (event, over) {
        (Value::Object(event), Value::Object(over)) => {
            for (name, value) in over {
                put_over(event.entry(name).or_insert(Value::Null), value);
            }
        }
        (event, over) => *event = over,
    }
}

fn judge(event: &Value, cache_key: &CacheKey, form: SimpleResponses) {
    let Ok(call) = Call::from_event(event.clone()) else {
        return;
    };
    let now = UnixTime::from_seconds(1_704_067_201);
    let Ok(authorization) = call.authorization(BUNDLE.token_location()) else {
        return;
    };
    let Ok(session) = GATE.authenticate(authorization, now) else {
        return;
    };
    let Ok(outcome) = session.authorize(&call, cache_key) else {
        return;
    };
    let is_allowed = outcome.decision.reason.status() == Status::Allow;
    let response = serde_json::to_value(outcome.respond(form)).unwrap();
    assert!(response.to_string().len() <= 8 * 1024, "larger than API Gateway takes");
    // What is remembered of a token says the same again.
    let again = session.authorize(&call, cache_key).unwrap();
    assert_eq!(serde_json::to_value(session.respond(&call, &again, form)).unwrap(), response);
    if is_allowed {
        assert!(!outcome.decision.policies.is_empty(), "allowed by no policy");
        let route = outcome.route.as_ref().unwrap();
        if let Target::Route { template, .. } = call.target() {
            assert_eq!(route.template.to_string(), *template);
        }
    }
    if let Some(is_authorized) = response.get("isAuthorized") {
        assert_eq!(*is_authorized, Value::Bool(is_allowed));
        return;
    }

    // Read out of the event here, since reading it is what is judged.
    let of_event = |name: &str| event.get(name).and_then(Value::as_str);
    let arn = of_event("routeArn").or(of_event("methodArn")).unwrap();
    let parts: Vec<&str> = arn.splitn(3, '/').collect();
    let api = format!("{}/{}/", parts[0], parts[1]);
    assert!(response["principalId"].as_str().is_some_and(|principal| !principal.is_empty()));
    let statements = response["policyDocument"]["Statement"].as_array().unwrap();
    assert!(!statements.is_empty());
    let mut allowed: Vec<&str> = Vec::new();
    for statement in statements {
        let effect = statement["Effect"].as_str().unwrap();
        let scope = statement.get("Resource").or(statement.get("NotResource")).unwrap();
        for resource in scope.as_array().unwrap() {
            let resource = resource.as_str().unwrap();
            assert!(resource.chars().count() <= 512 && !resource.contains("${"), "{resource}");
            // A denial may speak of more: one that is too long is cut, and odd spellings are denied for any API.
            assert!(resource.starts_with(&api) || effect == "Deny", "{resource}");
            if effect == "Allow" {
                allowed.push(resource);
            }
        }
        assert!(effect == "Deny" || statement.get("Resource").is_some(), "allows all but something");
    }
    assert!(allowed.is_empty() || !api.contains(['*', '?']), "a pattern before the path: {api}");
    assert_eq!(outcome.grant.allows(call.method_arn()), is_allowed);
    if *cache_key == CacheKey::None {
        let itself: &[&str] = if is_allowed { &[arn] } else { &[] };
        assert_eq!(allowed, itself, "more than the request");
    }
}
