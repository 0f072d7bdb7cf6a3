//! The configuration of the function. Nothing else reads the environment.

mod issuers;
mod tenancy;

use std::env;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

pub use issuers::{TrustedIssuers, TrustedPool};
use reqwest::Proxy;

use crate::bundle::signature::PublicKeys;
use crate::bundle::{DevelopmentKeys, MAX_REVISION};
use crate::function::jwks::RuntimeApi;
use crate::function::source::current::{Audience, Conditions};
use crate::function::source::{BundleUri, DEFAULT_CACHE_BYTES};
use crate::function::telemetry;
use crate::function::tenant::Tenancy;
use crate::gateway::cache_key::{CacheKey, CacheScope};
use crate::gateway::call::RouteKey;
use crate::gateway::response::SimpleResponses;

/// How the function is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the bundle is (`BUNDLE_URI`). With `{tenant}` in it, where the bundles of all tenants are.
    pub bundle_uri: BundleUri,
    /// The bundle that serves if the first one cannot be loaded at the start: a file in the package
    /// (`BUNDLE_FALLBACK_URI`). `None`: the function then does not start.
    pub fallback_uri: Option<BundleUri>,
    /// A candidate bundle that decides too, without effect (`SHADOW_BUNDLE_URI`). `None`: there is none.
    pub shadow_uri: Option<BundleUri>,
    /// How the tenant of a call is found, if each tenant has a bundle (`TENANT_FROM`, `ROOT_BUNDLE_URI` and
    /// `MAX_TENANTS`). `None`: one bundle answers all calls.
    pub tenancy: Option<Tenancy>,
    /// What a bundle must meet, and when the function looks for a newer one: `CACHE_KEY` (`token` by default),
    /// `ALLOW_DEVELOPMENT_KEYS`, `USER_POOL_ARN`, `USER_POOL_CLIENT_IDS`, `ISSUERS`, `BUNDLE_PUBLIC_KEYS`,
    /// `BUNDLE_NAME`, `BUNDLE_MIN_REVISION`, `BUNDLE_REFRESH_SECONDS` (60) and `BUNDLE_MAX_STALE_SECONDS` (a day).
    pub conditions: Conditions,
    /// How many bytes of the parts of large bundles are kept that were read last (`BUNDLE_CACHE_BYTES`, 16 MiB).
    pub bundle_cache_bytes: u64,
    /// The proxy for fetching keys (`JWKS_PROXY`). `None`: no proxy. `HTTPS_PROXY` is ignored, because it may be
    /// meant for other programs.
    pub jwks_proxy: Option<Proxy>,
    /// What HTTP APIs with payload format 2.0 get (`SIMPLE_RESPONSES`).
    pub simple_responses: SimpleResponses,
    /// What the function tells of each event (`DECISION_LOG`, `POWERTOOLS_METRICS_NAMESPACE`, ...).
    pub telemetry: telemetry::settings::Settings,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn from_env() -> Result<Self, InvalidConfig> {
        Self::from_lookup(variable)
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidConfig> {
        let mut problems = Problems(Vec::new());
        for (name, reason) in REQUIRED_BY_RUNTIME {
            if lookup(name).is_none() {
                problems.add(name, format_args!("not set; {reason}"));
            }
        }
        let cache_key = match lookup("CACHE_KEY") {
            Some(value) => problems.parse("CACHE_KEY", &value),
            None => Some(CacheKey::Token),
        };
        let bundle_uri = match lookup("BUNDLE_URI") {
            Some(value) => problems.parse("BUNDLE_URI", &value),
            None => {
                problems.add(
                    "BUNDLE_URI",
                    "not set; it says where the bundle is, e.g. s3://bucket/petstore.bundle",
                );
                None
            }
        };
        let development_keys = if problems.flag("ALLOW_DEVELOPMENT_KEYS", &lookup) {
            DevelopmentKeys::Allow
        } else {
            DevelopmentKeys::Refuse
        };
        let simple_responses = if problems.flag("SIMPLE_RESPONSES", &lookup) {
            SimpleResponses::Enabled
        } else {
            SimpleResponses::Disabled
        };
        if let Some(key) =
            cache_key.as_ref().filter(|key| key.through(RouteKey::OneMethod).scope() == CacheScope::Api)
            && simple_responses == SimpleResponses::Enabled
        {
            problems.add(
                "SIMPLE_RESPONSES",
                format_args!(
                    "with CACHE_KEY={key} API Gateway would apply one boolean to all routes; add \
                     `$context.httpMethod` and `$context.path` to the identity sources and to CACHE_KEY, or return \
                     IAM policies"
                ),
            );
        }
        let trusted_issuers = issuers::read(&lookup, &mut problems);
        let jwks_proxy = lookup("JWKS_PROXY").and_then(|value| {
            let runtime_api = lookup(RUNTIME_API).as_deref().and_then(RuntimeApi::parse);
            if runtime_api.is_some() && RuntimeApi::parse(&value) == runtime_api {
                problems.add("JWKS_PROXY", "the address of the Lambda Runtime API, which is no proxy");
            }
            let proxy = Proxy::all(&value).ok();
            if proxy.is_none() {
                problems.add("JWKS_PROXY", "not the URL of a proxy, such as http://proxy.example.com:3128");
            }
            proxy
        });
        let fallback_uri = lookup("BUNDLE_FALLBACK_URI").and_then(|value| {
            let uri = problems.parse("BUNDLE_FALLBACK_URI", &value);
            if matches!(uri, Some(BundleUri::S3 { .. })) {
                problems.add(
                    "BUNDLE_FALLBACK_URI",
                    "in S3; it must be a file of the package, file:///var/task/...",
                );
            }
            uri
        });
        let shadow_uri =
            lookup("SHADOW_BUNDLE_URI").and_then(|value| problems.parse("SHADOW_BUNDLE_URI", &value));
        let tenancy =
            tenancy::read(&lookup, &mut problems, bundle_uri.as_ref(), cache_key.as_ref(), simple_responses);
        let public_keys: Option<PublicKeys> =
            lookup("BUNDLE_PUBLIC_KEYS").and_then(|value| problems.parse("BUNDLE_PUBLIC_KEYS", &value));
        let name = lookup("BUNDLE_NAME");
        if name.as_ref().is_some_and(String::is_empty) {
            problems.add("BUNDLE_NAME", "empty; it is the `name` in `store.toml`");
        }
        let min_revision = problems.number("BUNDLE_MIN_REVISION", &lookup, 0);
        if min_revision > MAX_REVISION {
            problems.add("BUNDLE_MIN_REVISION", format_args!("more than {MAX_REVISION}, the highest"));
        }
        let refresh = problems.seconds("BUNDLE_REFRESH_SECONDS", &lookup, DEFAULT_REFRESH);
        let max_stale = problems.seconds("BUNDLE_MAX_STALE_SECONDS", &lookup, DEFAULT_MAX_STALE);
        if refresh.is_zero() || max_stale < refresh {
            problems.add(
                "BUNDLE_MAX_STALE_SECONDS",
                "below BUNDLE_REFRESH_SECONDS, or that is 0: no bundle would serve from one look to the next",
            );
        }
        let bundle_cache_bytes = problems.number("BUNDLE_CACHE_BYTES", &lookup, DEFAULT_CACHE_BYTES);
        if bundle_cache_bytes > MAX_CACHE_BYTES {
            problems.add(
                "BUNDLE_CACHE_BYTES",
                format_args!("more than {MAX_CACHE_BYTES}, all memory of a function"),
            );
        }
        let telemetry = telemetry::settings::Settings::read(&lookup, &mut problems);
        match (bundle_uri, cache_key, problems.0.is_empty()) {
            (Some(bundle_uri), Some(cache_key), true) => Ok(Self {
                bundle_uri,
                fallback_uri,
                shadow_uri,
                tenancy,
                conditions: Conditions {
                    key_trust: development_keys.into(),
                    public_keys,
                    name,
                    audience: Audience::NoTenant,
                    min_revision,
                    trusted_issuers,
                    cache_key,
                    refresh,
                    max_stale,
                },
                bundle_cache_bytes,
                jwks_proxy,
                simple_responses,
                telemetry,
            }),
            _ => Err(InvalidConfig(problems.0)),
        }
    }
}

/// An environment variable.
pub fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The address of the Lambda Runtime API.
pub fn runtime_api() -> Option<String> {
    variable(RUNTIME_API)
}

/// Whether Lambda makes a snapshot of the process when it is ready for events (SnapStart).
pub fn is_snap_start() -> bool {
    variable("AWS_LAMBDA_INITIALIZATION_TYPE").as_deref() == Some("snap-start")
}

/// Everything that is wrong with the environment, without the wrong values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is invalid:{}", .0.iter().map(|problem| format!("\n  {problem}")).collect::<String>())]
pub struct InvalidConfig(Vec<String>);

/// What is wrong: the name of each variable, and the form that it should have.
///
/// A wrong value is never repeated. It may be a private key or a password that was put into the wrong variable, and
/// the message goes to the log and to whoever called the function.
#[derive(Default)]
pub(super) struct Problems(Vec<String>);

/// The text of each.
#[cfg(test)]
impl IntoIterator for Problems {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Problems {
    pub(super) fn add(&mut self, name: &str, problem: impl Display) {
        self.0.push(format!("{name}: {problem}"));
    }

    /// A setting that is `true` or `false`. The default is `false`.
    pub(super) fn flag(&mut self, name: &str, lookup: impl Fn(&str) -> Option<String>) -> bool {
        match lookup(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.add(name, "neither `true` nor `false`");
                false
            }
        }
    }

    /// A setting that is a whole number.
    pub(super) fn number(
        &mut self,
        name: &str,
        lookup: impl Fn(&str) -> Option<String>,
        default: u64,
    ) -> u64 {
        match lookup(name).map(|value| value.parse()) {
            None => default,
            Some(Ok(number)) => number,
            Some(Err(_)) => {
                self.add(name, "not a whole number");
                default
            }
        }
    }

    /// A setting that is a number of seconds.
    fn seconds(&mut self, name: &str, lookup: impl Fn(&str) -> Option<String>, default: u64) -> Duration {
        let seconds = self.number(name, lookup, default);
        if seconds > MAX_SECONDS {
            self.add(name, format_args!("more than {MAX_SECONDS} seconds, a year"));
        }
        Duration::from_secs(seconds.min(MAX_SECONDS))
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, name: &str, value: &str) -> Option<T> {
        value.parse().map_err(|error| self.add(name, error)).ok()
    }
}

/// Without these, this is not Lambda.
const REQUIRED_BY_RUNTIME: [(&str, &str); 4] = [
    (RUNTIME_API, "the function runs in Lambda or under `cargo lambda watch`"),
    ("AWS_LAMBDA_FUNCTION_NAME", "Lambda sets it"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "Lambda sets it"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "Lambda sets it"),
];

/// Host and port, or a URL (Lambda Developer Guide, "Runtime API").
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

const DEFAULT_REFRESH: u64 = 60;

/// Ten gigabytes (Lambda Developer Guide, "Configure Lambda function memory").
const MAX_CACHE_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// An outage of S3 that lasts longer should not go unnoticed.
const DEFAULT_MAX_STALE: u64 = 24 * 3600;

const MAX_SECONDS: u64 = 365 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn config(variables: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
        let runtime = REQUIRED_BY_RUNTIME.map(|(name, _)| (name, "1"));
        let all = [&runtime, variables].concat();
        Config::from_lookup(|name| {
            let found = all.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const LEAST: [(&str, &str); 2] = [("BUNDLE_URI", "s3://bucket/key"), ("CACHE_KEY", "none")];

    #[test]
    fn the_least_that_is_needed_is_safe() {
        let Conditions { key_trust, trusted_issuers, public_keys, .. } = config(&LEAST).unwrap().conditions;
        assert_eq!(key_trust.development_keys, DevelopmentKeys::Refuse);
        assert!(key_trust.test_keys.is_none());
        assert_eq!(trusted_issuers, None);
        assert!(public_keys.is_none());
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let error = config(&[
            ("BUNDLE_URI", "http://x"),
            ("ALLOW_DEVELOPMENT_KEYS", "yes"),
            ("USER_POOL_CLIENT_IDS", " , "),
            ("BUNDLE_PUBLIC_KEYS", "x"),
            ("CACHE_KEY", "all"),
        ])
        .unwrap_err();
        let names: Vec<&str> = error.0.iter().map(|problem| problem.split(':').next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "CACHE_KEY",
                "BUNDLE_URI",
                "ALLOW_DEVELOPMENT_KEYS",
                "USER_POOL_CLIENT_IDS",
                "USER_POOL_CLIENT_IDS",
                "BUNDLE_PUBLIC_KEYS"
            ],
            "{error}"
        );
    }

    #[test]
    fn the_cache_key_is_the_token_unless_it_says_otherwise() {
        assert_eq!(config(&LEAST[..1]).unwrap().conditions.cache_key, CacheKey::Token);
        assert_eq!(config(&LEAST).unwrap().conditions.cache_key, CacheKey::None);
        for value in ["", "None", "header.Authorization"] {
            assert!(config(&[LEAST[0], ("CACHE_KEY", value)]).is_err(), "{value}");
        }
    }

    #[test]
    fn a_name_of_the_store_is_taken_as_it_is_and_is_not_empty() {
        let name = |value| config(&[LEAST[0], ("BUNDLE_NAME", value)]).map(|config| config.conditions.name);
        assert_eq!(config(&LEAST).unwrap().conditions.name, None);
        assert_eq!(name(" Pet store "), Ok(Some(" Pet store ".to_owned())));
        assert!(name("").unwrap_err().to_string().contains("BUNDLE_NAME: empty"));
    }

    #[test]
    fn no_bundle_has_a_revision_above_the_highest() {
        let least = |value| config(&[LEAST[0], ("BUNDLE_MIN_REVISION", value)]);
        assert_eq!(least("9007199254740991").unwrap().conditions.min_revision, MAX_REVISION);
        for value in ["9007199254740992", "18446744073709551616", "-1", "1.5"] {
            assert!(least(value).unwrap_err().to_string().contains("BUNDLE_MIN_REVISION"), "{value}");
        }
    }

    #[test]
    fn a_boolean_cannot_be_kept_for_all_routes() {
        let simple = |key: &str| config(&[LEAST[0], ("CACHE_KEY", key), ("SIMPLE_RESPONSES", "true")]);
        let with = |more: &str| format!("$request.header.Authorization{more}");
        // Only HTTP APIs have booleans, and they have no `resourcePath`.
        for more in [",$context.path", ",$context.httpMethod", ",context.httpMethod,context.resourcePath"] {
            assert!(simple(&with(more)).unwrap_err().to_string().contains("SIMPLE_RESPONSES"), "{more}");
        }
        let error = simple("token").unwrap_err().to_string();
        assert!(error.contains("`$context.httpMethod` and `$context.path`") && !error.contains("routeKey"));
        for more in [",$context.routeKey", ",$context.httpMethod,$context.path"] {
            assert!(simple(&with(more)).is_ok(), "{more}");
        }
        assert!(simple("none").is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        let names = [
            "BUNDLE_URI",
            "BUNDLE_FALLBACK_URI",
            "SHADOW_BUNDLE_URI",
            "ROOT_BUNDLE_URI",
            "TENANT_FROM",
            "MAX_TENANTS",
            "CACHE_KEY",
            "ALLOW_DEVELOPMENT_KEYS",
            "SIMPLE_RESPONSES",
            "USER_POOL_ARN",
            "BUNDLE_CACHE_BYTES",
            "BUNDLE_PUBLIC_KEYS",
            "BUNDLE_MIN_REVISION",
            "BUNDLE_REFRESH_SECONDS",
            "BUNDLE_MAX_STALE_SECONDS",
        ];
        for value in [
            "-----BEGIN PRIVATE KEY-----\nsekrit\n-----END PRIVATE KEY-----",
            "sekrit",
            "c2Vrcml0c2Vrcml0",
            "https://user:sekrit@proxy.example.com",
            "s3://user:sekrit@bucket/key",
            "s3://bucket/{sekrit}/../key",
            "file://sekrit",
            "claim:",
            "true sekrit",
            "-1",
        ] {
            for name in names {
                let Err(error) = config(&[LEAST[0], (name, value)]) else {
                    panic!("{name}={value}");
                };
                let message = error.to_string();
                assert!(message.contains(&format!("\n  {name}: ")), "{message}");
                for secret in ["sekrit", "c2Vrcml0", value] {
                    assert!(!message.contains(secret) || value == "-1" || value == "claim:", "{message}");
                }
            }
        }
    }

    #[test]
    fn the_runtime_api_is_no_proxy() {
        let with = |proxy| {
            let runtime = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
            config(&[LEAST[0], runtime, ("JWKS_PROXY", proxy)]).map(|_| ())
        };
        for proxy in ["127.0.0.1:9001", "http://localhost:9001", "http://user:secret@[::1]:9001/"] {
            let error = with(proxy).unwrap_err().to_string();
            assert!(error.contains("JWKS_PROXY: the address of the Lambda Runtime API"), "{error}");
        }
        assert_eq!(with("http://127.0.0.1:3128"), Ok(()));
    }

    #[test]
    fn outside_of_lambda_it_says_so() {
        let error = Config::from_lookup(|_| None).unwrap_err();
        assert!(error.to_string().contains("AWS_LAMBDA_RUNTIME_API: not set"), "{error}");
    }
}
