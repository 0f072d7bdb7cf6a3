//! The function: an event in, a response or an error out.

use cedar_policy::PolicyId;
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use crate::authorize::{Outcome, authorize};
use crate::bundle::Bundle;
use crate::cache_key::{CacheKey, Span};
use crate::call::Call;
use crate::config::Config;
use crate::jwks::{KeyCache, KeyClient};
use crate::reason::{Reason, Status};
use crate::response::{Response, SimpleResponses};
use crate::source::LoadFailure;
use crate::time::UnixTime;
use crate::token::bearer::Bearer;
use crate::token::{self, Unverified};
use crate::token_cache::{KnownToken, TokenCache};

/// The function, ready for events.
#[derive(Debug)]
pub struct Function {
    bundle: Bundle,
    keys: KeyCache,
    tokens: TokenCache,
    cache_key: CacheKey,
    simple_responses: SimpleResponses,
}

impl Function {
    /// Loads the bundle and the keys.
    ///
    /// # Errors
    /// [`InitFailure`]: without a bundle nothing can be answered.
    pub async fn init(config: &Config, now: UnixTime) -> Result<Self, InitFailure> {
        let bundle = config.bundle_uri.load(config.development_keys).await?;
        if let Some(trusted) = &config.trusted_pool {
            let strangers = bundle.identity_sources().iter().filter(|source| !trusted.covers(source));
            let names: Vec<&str> = strangers.map(|source| source.name()).collect();
            if !names.is_empty() {
                return Err(InitFailure::UntrustedIdentitySource(names.join("`, `")));
            }
        }
        if !config.cache_key.holds_token(bundle.token_location()) {
            return Err(InitFailure::CacheKeyWithoutToken(bundle.token_location().header.clone()));
        }
        report_uncacheable(&bundle, &config.cache_key);
        let client = KeyClient::new(config.jwks_proxy.clone());
        let keys = KeyCache::load(&bundle, config.development_keys, client, now).await;
        let manifest = bundle.manifest();
        info!(bundle = manifest.name, revision = manifest.revision, uri = %config.bundle_uri, "bundle loaded");
        Ok(Self {
            bundle,
            keys,
            tokens: TokenCache::default(),
            cache_key: config.cache_key.clone(),
            simple_responses: config.simple_responses,
        })
    }

    /// Answers an event. It never fails: a fault is an answer too.
    pub async fn answer(&self, event: Value, now: UnixTime) -> Answer {
        let call = match Call::from_event(event) {
            Ok(call) => call,
            Err(invalid) => return Answer::refused(invalid.reason(), &invalid.to_string()),
        };
        let decided = match self.authenticate(&call, now).await {
            Ok(KnownToken { token, remembered }) => {
                authorize(&call, &self.bundle, &token, &self.cache_key, &remembered)
            }
            Err(reason) => Err(reason),
        };
        match decided {
            Ok(outcome) => {
                let revision = self.bundle.revision();
                let response = Response::new(&outcome, revision, self.simple_responses);
                Answer::decided(outcome, response, revision)
            }
            Err(reason) => Answer::refused(reason, ""),
        }
    }

    /// Verifies the token of a call, if need be with keys that are fetched for it.
    async fn authenticate(&self, call: &Call, now: UnixTime) -> Result<KnownToken, Reason> {
        let (sources, leeway) = (self.bundle.identity_sources(), self.bundle.leeway_seconds());
        let bearer = Bearer::parse(call.authorization(self.bundle.token_location())?)?;
        let mut key_sets = self.keys.snapshot(now);
        let known = match self.tokens.get(bearer, &key_sets, leeway, now) {
            Some(known) => known,
            None => {
                let mut verified = token::verify(bearer, sources, &key_sets, leeway, now);
                if let Err(Unverified::KeyMissing(place)) = verified {
                    self.keys.refresh(place, now).await;
                    key_sets = self.keys.snapshot(now);
                    verified = token::verify(bearer, sources, &key_sets, leeway, now);
                }
                let known = KnownToken::new(verified.map_err(|unverified| match unverified {
                    Unverified::Refused(reason) => reason,
                    // With some keys at hand the token is not of them; without any, nobody can say.
                    Unverified::KeyMissing(place) => {
                        match key_sets.get(place).is_some_and(|keys| !keys.is_empty()) {
                            true => Reason::KeyUnknown,
                            false => Reason::KeysUnavailable,
                        }
                    }
                })?);
                self.tokens.insert(bearer, &known, &key_sets);
                known
            }
        };
        self.keys.refresh_if_stale(known.token.keys(), now).await;
        Ok(known)
    }
}

/// What an event leads to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A decision.
    Decided(Box<Outcome>, Box<Response>),
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
            Self::Decided(_, response) => Ok(*response),
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

    fn decided(outcome: Outcome, response: Response, revision: u64) -> Self {
        let Outcome { decision, principal, route, resource, dropped, .. } = &outcome;
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
        Self::Decided(Box::new(outcome), Box::new(response))
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

/// Why the function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum InitFailure {
    /// There is no usable bundle.
    #[error(transparent)]
    Bundle(#[from] LoadFailure),
    /// Answers would go to callers with another token.
    #[error(
        "CACHE_KEY does not have the token, so API Gateway would give one caller's answers to others: add `method.request.header.{0}`"
    )]
    CacheKeyWithoutToken(String),
    /// The bundle accepts tokens that this deployment does not.
    #[error(
        "the bundle accepts tokens of another user pool or client than USER_POOL_ARN and USER_POOL_CLIENT_IDS name: identity source `{0}`"
    )]
    UntrustedIdentitySource(String),
}

/// Says which routes will be denied since they read what the cache key does not have. The key of a TOKEN
/// authorizer is narrower, but which routes have one only the template knows, which `check` reads.
fn report_uncacheable(bundle: &Bundle, cache_key: &CacheKey) {
    for (index, route) in bundle.routes().routes().iter().enumerate() {
        let inputs = bundle.reads(index).into_iter().flatten();
        let beyond: Vec<String> = inputs
            .filter(|input| input.matters_to(route) && !cache_key.covers(input))
            .map(ToString::to_string)
            .collect();
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

fn list(policies: &[PolicyId]) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The one message that API Gateway turns into 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// The form is Lambda's: a category and a reason (Lambda Developer Guide, "Runtime API").
const INIT_ERROR: &str = "CedarAuthorizer.InitError";
