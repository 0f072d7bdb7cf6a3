//! `invoke`: runs the function on an event file.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use cedar_authorizer::bundle::DevelopmentKeys;
use cedar_authorizer::decide::outcome::{Breadth, Narrow};
use cedar_authorizer::function::config::Config;
use cedar_authorizer::function::lambda::{Answer, Function};
use cedar_authorizer::function::source::current::{Audience, Conditions};
use cedar_authorizer::function::source::{BundleUri, DEFAULT_CACHE_BYTES, LoadFailure};
use cedar_authorizer::function::telemetry::settings::Settings;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::grant::{Grant, Scope, Statement};
use cedar_authorizer::reason::{Reason, Status};
use cedar_authorizer::store::build::UnusableStore;
use clap::Args;
use serde_json::{Value, json};

use crate::output::{ERROR, Exit, Failure, HINT, OutputFormat, SUCCESS, paint, print, warn};
use crate::progress;
use crate::runtime::runtime;
use crate::store::StoreArgs;
use crate::trust::TrustArgs;

/// Run the function on an event of API Gateway
///
/// Runs the function's own handler on a policy store or bundle and prints what Lambda would hand to API Gateway: an
/// IAM policy, or an error that becomes 401 (`Unauthorized`) or 500. The development key is trusted here, so tokens
/// of `cedar-authorizer token` are accepted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer invoke events/token-get-pets-allow.json
  cedar-authorizer invoke events/token-post-pets-deny.json --explain
  cedar-authorizer invoke --cache-key none events/token-get-pets-allow.json
  cedar-authorizer invoke --bundle petstore.bundle - < event.json

Exit codes: 0 allowed, 1 could not run (or 500), 2 denied (403 or 401), 3 invalid store or bundle")]
pub struct Invoke {
    /// The event, a JSON file; `-` reads it from stdin
    #[arg(value_name = "EVENT.json")]
    event: PathBuf,

    #[command(flatten)]
    store: StoreArgs,

    /// A bundle instead of a policy store
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    trust: TrustArgs,

    /// Say why: the route, the principal, the policies and the reason
    #[arg(long)]
    explain: bool,

    /// What API Gateway keys its cache by, as in CACHE_KEY: `none`, `token` or identity sources
    #[arg(long, value_name = "KEY", default_value = "token")]
    cache_key: CacheKey,

    /// Answer HTTP APIs as with SIMPLE_RESPONSES=true
    #[arg(long)]
    simple: bool,

    /// The form of the result; `json` has the response and the explanation in one object
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Invoke {
    pub fn run(self) -> Result<Exit, Failure> {
        let event = read_event(&self.event)?;
        let path = self.bundle.as_deref().unwrap_or(&self.store.store);
        let absolute = path.canonicalize().map_err(|error| {
            Failure::could_not_run(format_args!("cannot read `{}`: {error}", path.display()))
                .hint("name a policy store by --store DIR, or a bundle by --bundle FILE")
        })?;
        let public_keys = match self.bundle {
            Some(_) => self.trust.read()?,
            None if self.trust.is_given() => {
                let message = "--public-keys needs --bundle: a policy store has no signatures";
                return Err(Failure::could_not_run(message));
            }
            None => None,
        };
        let simple_responses = if self.simple { SimpleResponses::Enabled } else { SimpleResponses::Disabled };
        let config = Config {
            bundle_uri: BundleUri::File(absolute),
            fallback_uri: None,
            shadow_uri: None,
            tenancy: None,
            conditions: Conditions {
                key_trust: DevelopmentKeys::Allow.into(),
                public_keys,
                name: None,
                audience: Audience::Any,
                min_revision: 0,
                trusted_issuers: None,
                cache_key: self.cache_key.clone(),
                refresh: Duration::MAX,
                max_stale: Duration::MAX,
            },
            bundle_cache_bytes: DEFAULT_CACHE_BYTES,
            jwks_proxy: None,
            simple_responses,
            telemetry: Settings::default(),
        };
        let runtime = runtime()?;
        let loading = format!("loading `{}`", path.display());
        let function =
            progress::during(loading, || runtime.block_on(Function::init(&config, SystemTime::now().into())));
        let answer = runtime.block_on(async {
            let function = function.map_err(init_failure)?;
            Ok(function.answer(&event.to_string(), SystemTime::now().into()).await)
        })?;

        let explanation = explanation(&answer, &self.cache_key);
        let reason = answer.reason();
        let (name, response) = response(answer)?;
        match self.format {
            OutputFormat::Json => {
                print(&format_args!("{:#}", json!({name: response, "explanation": explanation})))?
            }
            OutputFormat::Human => {
                print(&format_args!("{response:#}"))?;
                if self.explain {
                    explain(reason, &explanation);
                }
            }
        }
        Ok(match reason.status() {
            Status::Allow => Exit::Fine,
            Status::Deny | Status::Unauthorized => Exit::Denied,
            Status::Fault => Exit::CouldNotRun,
        })
    }
}

fn read_event(path: &Path) -> Result<Value, Failure> {
    let (name, text) = match path.to_str() {
        Some("-") => {
            let mut text = String::new();
            ("standard input".to_owned(), io::stdin().read_to_string(&mut text).map(|_| text))
        }
        _ => (format!("`{}`", path.display()), fs::read_to_string(path)),
    };
    let text = text.map_err(|error| Failure::could_not_run(format_args!("cannot read {name}: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::could_not_run(format_args!("{name} is not JSON: {error}")))
}

fn init_failure(failure: LoadFailure) -> Failure {
    match failure {
        LoadFailure::InvalidBundle(_)
        | LoadFailure::Store(UnusableStore::Invalid { .. })
        | LoadFailure::Expired => Failure::invalid(failure),
        failure => Failure::could_not_run(failure),
    }
}

/// What Lambda hands to API Gateway, and its name in the JSON form.
fn response(answer: Answer) -> Result<(&'static str, Value), Failure> {
    match answer.into_response() {
        Ok(response) => {
            let response = serde_json::to_value(response).map_err(Failure::could_not_run)?;
            Ok(("response", response))
        }
        Err(error) => Ok(("error", serde_json::to_value(error).map_err(Failure::could_not_run)?)),
    }
}

fn explanation(answer: &Answer, cache_key: &CacheKey) -> Value {
    let reason = answer.reason();
    let status = match reason.status() {
        Status::Allow => "the request goes on to the backend",
        Status::Deny => "the client gets 403",
        Status::Unauthorized => "the client gets 401",
        Status::Fault => "the client gets 500",
    };
    let mut explanation = json!({
        "reason": reason.code(),
        "meaning": reason.meaning(),
        "effect": status,
    });
    if let (Answer::Decided(outcome, _), Some(object)) = (answer, explanation.as_object_mut()) {
        let ids = |policies: &[cedar_policy::PolicyId]| {
            policies.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        object.extend([
            ("principal".to_owned(), json!(outcome.principal.to_string())),
            ("route".to_owned(), json!(outcome.route.as_ref().map(ToString::to_string))),
            ("action".to_owned(), json!(outcome.route.as_ref().map(|route| route.action.to_string()))),
            ("resource".to_owned(), json!(outcome.resource.to_string())),
            ("policies".to_owned(), json!(ids(&outcome.decision.policies))),
            ("errors".to_owned(), json!(ids(&outcome.decision.errors))),
            ("dropped".to_owned(), json!(outcome.dropped)),
            ("cacheKey".to_owned(), json!(cache_key.for_api(outcome.api).to_string())),
            ("breadth".to_owned(), json!(breadth(outcome.breadth))),
            ("statements".to_owned(), json!(statements(&outcome.grant))),
        ]);
    }
    explanation
}

/// Why a grant is as wide as it is.
pub fn breadth(breadth: Breadth) -> String {
    let routes = |count: usize| format!("{count} {}", if count == 1 { "route" } else { "routes" });
    match breadth {
        Breadth::Method => {
            "this method and path: no other request gets this answer out of the cache".to_owned()
        }
        Breadth::Fallback(narrow) => {
            let because = match narrow {
                Narrow::Inseparable => "the routes cannot be told apart",
                Narrow::TooLarge => "it does not fit",
                Narrow::TooExpensive => {
                    "too many conditions would have to be evaluated for all routes, see `check`"
                }
            };
            format!(
                "this method and path, though the cache key asks for more: {because}; other requests are denied until \
                 API Gateway forgets it"
            )
        }
        Breadth::Api { allowed, left_out, harmed } => {
            let mut text = format!(
                "the whole API, {} allowed: every request with this key gets this answer out of the cache",
                routes(allowed)
            );
            if left_out > 0 {
                text += &format!("; no room for {} more, which the caller may call", routes(left_out));
            }
            if harmed > 0 {
                text += &format!("; {} denied in part or as a whole, see `check`", routes(harmed));
            }
            text
        }
    }
}

/// The statements, without the beginning that all their patterns share.
fn statements(grant: &Grant) -> Vec<String> {
    let statement = |statement: &Statement| {
        if statement.is_of_odd_paths() {
            return format!("{:?} spellings of paths that can be read in two ways", statement.effect());
        }
        let (scope, patterns) = match statement.scope() {
            Scope::Resource(patterns) => ("", patterns),
            Scope::NotResource(patterns) => ("all but ", patterns),
        };
        let short = |pattern: &String| pattern.splitn(3, '/').nth(2).unwrap_or(pattern).to_owned();
        let patterns: Vec<String> = patterns.iter().map(short).collect();
        format!("{:?} {scope}{}", statement.effect(), patterns.join(" "))
    };
    grant.statements().iter().map(statement).collect()
}

/// Prints an explanation for people.
fn explain(reason: Reason, explanation: &Value) {
    let (style, verdict) = match reason.status() {
        Status::Allow => (SUCCESS, "allowed"),
        Status::Deny => (ERROR, "denied"),
        Status::Unauthorized => (ERROR, "unauthorized"),
        Status::Fault => (ERROR, "fault"),
    };
    let text = |name: &str| match explanation.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(items)) if items.is_empty() => Some("none".to_owned()),
        Some(Value::Array(items)) => {
            Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        Some(Value::Null) => Some("none".to_owned()),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    warn(&format_args!("{}: {}", paint(style, verdict), text("effect").unwrap_or_default()));
    let reason_line = format!("{}: {}", reason.code(), reason.meaning());
    let rows = [
        ("reason", Some(reason_line)),
        ("principal", text("principal")),
        ("route", text("route")),
        ("action", text("action")),
        ("resource", text("resource")),
        ("policies", text("policies")),
        ("errors", text("errors").filter(|errors| errors != "none")),
        ("dropped values", text("dropped").filter(|count| count != "0")),
        ("cache key", text("cacheKey")),
        ("grant", text("breadth")),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            warn(&format_args!("  {} {value}", paint(HINT, &format!("{name:<14}"))));
        }
    }
    for statement in explanation.get("statements").and_then(Value::as_array).into_iter().flatten() {
        warn(&format_args!("  {:<14} {}", "", statement.as_str().unwrap_or_default()));
    }
}
