// Bundles are made of stores.
#![cfg(feature = "authoring")]

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use tokio::runtime;

use super::*;
use crate::bundle::{DevelopmentKeys, StoreFiles};
use crate::cache::lock;
use crate::function::config::Config;
use crate::function::lambda::{Answer, Function};
use crate::function::serving::Serving;
use crate::function::source::BundleUri;
use crate::function::source::DEFAULT_CACHE_BYTES;
use crate::function::source::current::{Audience, Conditions, Current};
use crate::function::telemetry::Telemetry;
use crate::function::telemetry::settings::Settings;
use crate::gateway::call::Call;
use crate::gateway::response::SimpleResponses;
use crate::reason::{Reason, ReasonClass};
use crate::store::{Store, build, directory};

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn files(store: &str) -> StoreFiles {
    directory::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(store)).unwrap()
}

fn bundle(files: &StoreFiles) -> Bundle {
    let (store, findings) = Store::check(files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    Bundle::open(build::bundle(&store, files, 1).unwrap(), DevelopmentKeys::Allow).unwrap()
}

fn function(store: &str, cache_key: &str) -> Function {
    let config = Config {
        bundle_uri: BundleUri::File(Path::new(env!("CARGO_MANIFEST_DIR")).join(store)),
        fallback_uri: None,
        shadow_uri: None,
        tenancy: None,
        conditions: Conditions {
            key_trust: DevelopmentKeys::Allow.into(),
            public_keys: None,
            name: None,
            audience: Audience::NoTenant,
            min_revision: 0,
            trusted_issuers: None,
            cache_key: cache_key.parse().unwrap(),
            refresh: Duration::from_secs(60),
            max_stale: Duration::from_secs(3600),
        },
        bundle_cache_bytes: DEFAULT_CACHE_BYTES,
        jwks_proxy: None,
        simple_responses: SimpleResponses::Disabled,
        telemetry: Settings::default(),
    };
    block_on(Function::init(&config, NOW)).unwrap()
}

fn serving(function: &Function) -> Arc<Serving> {
    function.current().map(Current::serving).unwrap()
}

/// What the policies say to made-up calls, if the policies are asked.
fn reasons(bundle: Bundle) -> Vec<Reason> {
    let Rehearsal { keys, events } = Rehearsal::of(&bundle, NOW).unwrap();
    let own = KeyCache::of_final_keys(bundle.identity_sources(), &keys);
    let serving = Serving::new(bundle, own, 1, NOW);
    let reason = |event: &String| {
        let call = Call::from_json(event).unwrap();
        let decided = block_on(serving.decide(&call, &"none".parse().unwrap(), NOW)).unwrap();
        decided.outcome.decision.reason
    };
    events.iter().map(reason).collect()
}

#[test]
fn the_policies_decide_on_what_is_made_up() {
    for store in ["policies", "tests/data/stores/albums", "tests/data/stores/clinic"] {
        let reasons = reasons(bundle(&files(store)));
        assert_eq!(reasons.len(), CALLS, "{store}");
        for reason in reasons {
            assert_eq!(reason.class(), ReasonClass::Policy, "{store}: {reason:?}");
        }
    }
}

#[test]
fn a_schema_that_asks_for_claims_gets_them() {
    let required = "decimal: decimal, ip: ipaddr, at: datetime, took: duration, count: Long, good: Bool,
                    list: Set<String>, inner: { deep: String }";
    let sources = [
        json!({"cognitoUserPoolConfiguration": {
            "userPoolArn": "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Ab1", "clientIds": ["c"],
            "groupConfiguration": {"groupEntityType": "N::G"},
        }}),
        json!({"openIdConnectConfiguration": {
            "issuer": "https://idp.example.com", "entityIdPrefix": "p",
            "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "N::G"},
            "tokenSelection": {"identityTokenOnly": {"clientIds": ["c"], "principalIdClaim": "email"}},
        }}),
        json!({"openIdConnectConfiguration": {
            "issuer": "https://idp.example.com",
            "tokenSelection": {"accessTokenOnly": {"audiences": ["a"], "principalIdClaim": "uid"}},
        }}),
    ];
    for configuration in sources {
        for kind in ["access", "id"] {
            let is_oidc = configuration.get("openIdConnectConfiguration");
            let selects = is_oidc.map(|oidc| oidc["tokenSelection"].get("identityTokenOnly").is_some());
            if selects.is_some_and(|is_id| is_id != (kind == "id")) {
                continue;
            }
            let custom = if is_oidc.is_none() { ", custom: { tenant: String }" } else { "" };
            let attributes = format!("{{ {required}{custom} }}");
            let (user, context) = if kind == "id" {
                (attributes, String::new())
            } else {
                (String::new(), format!("token: {attributes}"))
            };
            let mut files = StoreFiles::default();
            let mut insert = |path: &str, text: String| files.insert(path.to_owned(), text.into_bytes());
            insert(
                "store.toml",
                format!("[store]\nname = 'n'\nnamespace = 'N'\n[tokens]\ntype = '{kind}'\n"),
            );
            insert(
                "schema.cedarschema",
                format!(
                    "namespace N {{ entity Application; entity G; entity User in [G] {user};
                     action \"get /a/{{b}}\" appliesTo {{ principal: User, resource: Application,
                     context: {{ {context} }} }}; }}"
                ),
            );
            let source = json!({"principalEntityType": "N::User", "configuration": configuration});
            insert("identity-sources/s.json", source.to_string());
            insert("policies/a.cedar", "permit (principal, action, resource);".to_owned());
            let reasons = reasons(bundle(&files));
            assert!(
                reasons.iter().all(|reason| *reason == Reason::AllowedByPolicy),
                "{source} {kind}: {reasons:?}"
            );
        }
    }
}

#[test]
fn an_api_with_many_routes_is_called_once() {
    for (routes, calls) in [(0, 0), (1, CALLS), (MANY_ROUTES, CALLS), (MANY_ROUTES + 1, 1)] {
        let actions: Vec<String> = (0..routes).map(|number| format!("\"get /r{number}\"")).collect();
        let actions = if actions.is_empty() { "read".to_owned() } else { actions.join(", ") };
        let is_kept = |path: &str| {
            path == "store.toml" || path.starts_with("identity-sources/") || path.starts_with("jwks/")
        };
        let (sample, mut files) = (files("policies"), StoreFiles::default());
        for (path, content) in sample.iter().filter(|(path, _)| is_kept(path)) {
            files.insert(path.to_owned(), content.to_vec());
        }
        let schema = format!(
            "namespace PetStore {{ entity Application; entity UserGroup; entity User in [UserGroup];
             action {actions} appliesTo {{ principal: User, resource: Application, context: {{}} }}; }}"
        );
        files.insert("schema.cedarschema".to_owned(), schema.into_bytes());
        assert_eq!(Rehearsal::of(&bundle(&files), NOW).unwrap().events.len(), calls, "{routes}");
    }
}

#[test]
fn no_key_of_the_function_takes_a_made_up_token() {
    for cache_key in ["none", "token"] {
        let function = function("policies", cache_key);
        block_on(function.rehearse(UNIX_EPOCH + Duration::from_secs(NOW.as_seconds())));
        let Rehearsal { events, .. } = Rehearsal::of(&serving(&function).bundle, NOW).unwrap();
        for event in events {
            let answer = block_on(function.answer(&event, NOW));
            assert!(matches!(answer, Answer::Refused(Reason::KeyUnknown)), "{event}");
        }
    }
}

#[test]
fn a_rehearsal_leaves_no_trace() {
    static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    let settings = Settings::default();
    let function = function("policies", "token")
        .with_telemetry(Telemetry::new(settings, |lines| lock(&LINES).extend_from_slice(lines)));
    let before = serving(&function);
    let place = KeyPlace { source: 0, issuer: 0 };
    let keys = before.keys.usable(place, NOW).unwrap();
    for _ in 0..3 {
        block_on(function.rehearse(UNIX_EPOCH + Duration::from_secs(NOW.as_seconds())));
    }
    assert!(lock(&LINES).is_empty());
    let after = serving(&function);
    assert!(Arc::ptr_eq(&before, &after) && after.has_seen_no_token());
    assert!(Arc::ptr_eq(&keys, &after.keys.usable(place, NOW).unwrap()));
    assert_eq!(after.age(NOW), Duration::ZERO);
    // The first event is still that of a cold start.
    block_on(function.answer("{}", NOW));
    let lines = String::from_utf8(lock(&LINES).clone()).unwrap();
    assert!(lines.contains("\"coldStart\":true") && lines.lines().count() == 1, "{lines}");
}

#[test]
fn every_kind_of_key_is_shown_a_token_of_its_own_kind() {
    let jwk = |kind: &str| -> Value {
        let text = match kind {
            "RSA" => return development_key(),
            "P-256" => {
                r#"{"kty": "EC", "crv": "P-256", "kid": "e", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
            }
            _ => r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        };
        serde_json::from_str(text).unwrap()
    };
    let bundle = bundle(&files("policies"));
    let issuer = bundle.identity_sources()[0].issuers()[0].clone();
    for kind in ["RSA", "P-256", "Ed25519"] {
        let keys = KeySet::parse(json!({"keys": [jwk(kind)]}).to_string().as_bytes()).unwrap();
        let outlines: Vec<KeyOutline<'_>> = keys.outlines().collect();
        let [outline] = outlines.as_slice() else { panic!("{kind}") };
        let token = forged(&issuer, outline);
        let key_sets = token::key_set::KeySets::new(vec![vec![Arc::new(keys.clone())]]);
        let refused =
            token::verify(Bearer::parse(&token).unwrap(), bundle.identity_sources(), &key_sets, 0, NOW);
        assert_eq!(refused.unwrap_err().reason(), Reason::SignatureInvalid, "{kind}");
    }
}

fn development_key() -> Value {
    let text =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/jwks/cognito.json")).unwrap();
    let keys: Value = serde_json::from_slice(&text).unwrap();
    keys["keys"][0].clone()
}
