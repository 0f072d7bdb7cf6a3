//! The function: an event in, a response or an error out.

use std::sync::Arc;

use lambda_runtime::Diagnostic;
use serde_json::json;
use tracing::{error, info, warn};

use crate::authorize::Outcome;
use crate::bundle::Bundle;
use crate::cache_key::{CacheKey, Span};
use crate::call::Call;
use crate::config::Config;
use crate::decision::list;
use crate::jwks::KeyClient;
use crate::reason::{Reason, Status};
use crate::response::{Response, SimpleResponses};
use crate::shadow::Shadow;
use crate::source::current::Current;
use crate::source::{Fetcher, LoadFailure};
use crate::time::UnixTime;

/// The function, ready for events.
#[derive(Debug)]
pub struct Function {
    current: Arc<Current>,
    shadow: Option<Shadow>,
    cache_key: CacheKey,
    simple_responses: SimpleResponses,
}

impl Function {
    /// Loads the bundle and the keys.
    ///
    /// # Errors
    /// [`LoadFailure`]: without a bundle nothing can be answered.
    pub async fn init(config: &Config, now: UnixTime) -> Result<Self, LoadFailure> {
        Self::with_fetcher(Fetcher::of(config.bundle_uri.clone()).await, config, now).await
    }

    /// The same with a reader of one's own in the place of what `BUNDLE_URI` and the environment say.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn with_fetcher(fetcher: Fetcher, config: &Config, now: UnixTime) -> Result<Self, LoadFailure> {
        let client = KeyClient::new(config.jwks_proxy.clone());
        let (fallback, conditions) = (config.fallback_uri.clone(), config.conditions.clone());
        let current = Current::load(fetcher, fallback, conditions.clone(), client.clone(), now).await?;
        let shadow = match config.shadow_uri.clone() {
            Some(uri) => Shadow::load(Fetcher::of(uri).await, conditions, client, now).await,
            None => None,
        };
        let cache_key = config.conditions.cache_key.clone();
        report_uncacheable(&current.serving().bundle, &cache_key);
        Ok(Self { current, shadow, cache_key, simple_responses: config.simple_responses })
    }

    /// The bundle in use.
    pub fn current(&self) -> &Current {
        &self.current
    }

    /// Answers an event, given as JSON. It never fails: a fault is an answer too.
    pub async fn answer(&self, event: &str, now: UnixTime) -> Answer {
        let call = match Call::from_json(event) {
            Ok(call) => call,
            Err(invalid) => return Answer::refused(invalid.reason(), &invalid.to_string()),
        };
        let serving = match self.current.get(now).await {
            Ok(serving) => serving,
            Err(reason) => return Answer::refused(reason, ""),
        };
        let decided = serving.decide(&call, &self.cache_key, now).await;
        if let Some(shadow) = &self.shadow {
            shadow.compare(&call, &decided, &self.cache_key, now).await;
        }
        match decided {
            Ok(outcome) => {
                let revision = serving.bundle.revision();
                let write = || Response::new(&outcome, revision, self.simple_responses);
                let response = outcome.response.get_or_init(write).clone();
                Answer::decided(outcome, response, revision)
            }
            Err(reason) => Answer::refused(reason, ""),
        }
    }
}

/// What an event leads to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A decision.
    Decided(Arc<Outcome>, Response),
    /// None: 401 or 500.
    Refused(Reason),
}

impl Answer {
    /// Why.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Decided(outcome, _) => outcome.decision.reason,
            Self::Refused(reason) => *reason,
        }
    }

    /// What the runtime is given: the response, or the error that API Gateway turns into 401 or
    /// 500. This is the one place where that is decided.
    ///
    /// # Errors
    /// The error for the runtime. API Gateway answers 401 if its message is `Unauthorized` to the
    /// letter, and 500 else (API Gateway Developer Guide, "Lambda authorizers").
    pub fn into_response(self) -> Result<Response, Diagnostic> {
        let reason = self.reason();
        match self {
            Self::Decided(_, response) => Ok(response),
            Self::Refused(_) if reason.status() == Status::Unauthorized => Err(Diagnostic {
                error_type: UNAUTHORIZED.to_owned(),
                error_message: UNAUTHORIZED.to_owned(),
            }),
            Self::Refused(_) => Err(Diagnostic {
                error_type: reason.code().to_owned(),
                error_message: reason.meaning().to_owned(),
            }),
        }
    }

    fn decided(outcome: Arc<Outcome>, response: Response, revision: u64) -> Self {
        let Outcome { decision, principal, route, resource, dropped, .. } = &*outcome;
        info!(
            reason = decision.reason.code(),
            %principal,
            action = route.as_ref().map(|route| route.action.to_string()),
            policies = list(&decision.policies),
            errors = list(&decision.errors),
            %resource,
            dropped,
            revision,
            "decided"
        );
        Self::Decided(outcome, response)
    }

    /// `detail` is for the log; like the reason it must say nothing of the token.
    fn refused(reason: Reason, detail: &str) -> Self {
        match reason.status() {
            Status::Fault => error!(reason = reason.code(), detail, "fault"),
            _ => warn!(reason = reason.code(), detail, "refused"),
        }
        Self::Refused(reason)
    }
}

/// Says which routes will be denied since they read what the cache key does not have. The key of a TOKEN
/// authorizer is narrower, but which routes have one only the template knows, which `check` reads.
fn report_uncacheable(bundle: &Bundle, cache_key: &CacheKey) {
    for (index, route) in bundle.routes().routes().iter().enumerate() {
        let reads = bundle.reads(index).into_iter().flatten();
        let beyond: Vec<String> = cache_key.lacking(reads, route).map(ToString::to_string).collect();
        if !beyond.is_empty() {
            let reason = Reason::NotCacheable.code();
            warn!(%route, %cache_key, reads = beyond.join(", "), reason, "route is denied under this CACHE_KEY");
        }
    }
    if bundle.separation().is_none() && cache_key.span() != Span::Method {
        warn!(%cache_key, "the routes cannot be told apart: each answer allows one method and path alone");
    }
}

/// Tells Lambda that init failed, so that its log and its caller have the whole message.
pub async fn report_init_error(runtime_api: &str, message: &str) {
    let url = format!("http://{runtime_api}/2018-06-01/runtime/init/error");
    let body = json!({"errorType": INIT_ERROR, "errorMessage": message, "stackTrace": []});
    let request = reqwest::Client::new()
        .post(url)
        .header("Lambda-Runtime-Function-Error-Type", INIT_ERROR)
        .body(body.to_string());
    if let Err(error) = request.send().await {
        error!(%error, "the failed init cannot be reported");
    }
}

/// The one message that API Gateway turns into 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// The form is Lambda's: a category and a reason (Lambda Developer Guide, "Runtime API").
const INIT_ERROR: &str = "CedarAuthorizer.InitError";
