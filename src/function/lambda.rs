//! The function: an event in, a response or an error out.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lambda_runtime::Diagnostic;
use reqwest::redirect::Policy;
use serde_json::json;
use tokio::time::timeout;
use tracing::error;

use crate::bundle::Tenant;
use crate::cache::lock;
use crate::decide::Session;
use crate::decide::outcome::Outcome;
use crate::function::config::Config;
use crate::function::jwks::{KeyCache, KeyClient};
use crate::function::log;
use crate::function::masking::Tokens;
use crate::function::rehearsal::{self, Rehearsal};
use crate::function::serving::{DecidedCall, Serving};
use crate::function::shadow::Shadow;
use crate::function::source::current::Current;
use crate::function::source::{BundleUri, Fetcher, LoadFailure};
use crate::function::telemetry::Telemetry;
use crate::function::telemetry::counters::Counters;
use crate::function::telemetry::invocation::{Invocation, LambdaContext, Stopwatch};
use crate::function::tenant::Tenancy;
use crate::function::tenants::{Tenants, Unserved};
use crate::function::token_cache::MAX_TOKENS;
use crate::function::{tls, warm_up};
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::gateway::response::{Response, SimpleResponses};
use crate::reason::{Reason, Status};
use crate::time::UnixTime;

/// The function, ready for events.
#[derive(Debug)]
pub struct Function {
    bundles: Bundles,
    cache_key: CacheKey,
    simple_responses: SimpleResponses,
    counters: Arc<Counters>,
    telemetry: Telemetry,
    /// How long the start took. `None`: an event was answered since.
    cold_start: Mutex<Option<Duration>>,
}

/// Which bundles answer.
#[derive(Debug)]
enum Bundles {
    One {
        current: Arc<Current>,
        shadow: Option<Shadow>,
    },
    PerTenant(Arc<Tenants>),
    /// That of a rehearsal.
    Understudy(Arc<Serving>),
}

impl Function {
    /// Loads the bundle and its keys. The bundle of a tenant is loaded when it is first needed.
    ///
    /// # Errors
    /// [`LoadFailure`]: the function cannot answer without a bundle.
    pub async fn init(config: &Config, now: UnixTime) -> Result<Self, LoadFailure> {
        Self::with_fetcher(Fetcher::from_env(config.bundle_uri.clone()).await, config, now).await
    }

    /// The same, but with a fetcher from the caller instead of the one that `BUNDLE_URI` and the environment call for.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn with_fetcher(fetcher: Fetcher, config: &Config, now: UnixTime) -> Result<Self, LoadFailure> {
        Self::load(fetcher, config, None, now).await
    }

    /// The same as [`init`](Self::init), but with the keys that were fetched before for the same issuers, as long as
    /// they are not too old. So a bundle that takes the place of another one needs no fetch.
    ///
    /// # Errors
    /// [`LoadFailure`].
    pub async fn init_with_keys(
        config: &Config,
        before: Option<&KeyCache>,
        now: UnixTime,
    ) -> Result<Self, LoadFailure> {
        Self::load(Fetcher::from_env(config.bundle_uri.clone()).await, config, before, now).await
    }

    async fn load(
        fetcher: Fetcher,
        config: &Config,
        before: Option<&KeyCache>,
        now: UnixTime,
    ) -> Result<Self, LoadFailure> {
        let begun = Instant::now();
        let fetcher = fetcher.keeping(config.bundle_cache_bytes);
        let counters = Arc::new(Counters::default());
        let client = KeyClient::new(config.jwks_proxy.clone()).counting(Arc::clone(&counters));
        let (fallback, conditions) = (config.fallback_uri.clone(), config.conditions.clone());
        let warm_up = matches!(fetcher.uri(), BundleUri::S3 { .. }).then(warm_up::begin);
        let early = client.clone();
        // Bundles that wait for the first call of their tenant would need their keys later.
        let is_loaded_now = config.tenancy.as_ref().is_none_or(Tenancy::has_root);
        if let Some(issuers) = conditions.trusted_issuers.as_ref().filter(|_| is_loaded_now) {
            early.begin(issuers.key_locations());
        }
        let cache_key = conditions.cache_key.clone();
        let bundles = if let Some(tenancy) = &config.tenancy {
            Bundles::PerTenant(Tenants::load(fetcher, tenancy, conditions, client, now).await?)
        } else {
            let shadow = async {
                let uri = config.shadow_uri.clone()?;
                Shadow::load(Fetcher::from_env(uri).await, conditions.clone(), client.clone(), now).await
            };
            let (conditions, client) = (conditions.clone(), client.clone());
            let current =
                Current::load_with_keys(fetcher, fallback, conditions, MAX_TOKENS, client, before, now);
            // Load both at once. The shadow must not take init time away from the bundle that serves.
            let (current, shadow) = tokio::join!(current, shadow);
            let current = current?;
            current.serving().report_uncacheable(&cache_key);
            Bundles::One { current, shadow }
        };
        early.end_early();
        if let Some(warm_up) = warm_up {
            // It reports nothing, and the function works without it.
            let _ = warm_up.await;
        }
        Ok(Self {
            bundles,
            cache_key,
            simple_responses: config.simple_responses,
            counters,
            telemetry: Telemetry::default(),
            cold_start: Mutex::new(Some(begun.elapsed())),
        })
    }

    /// The same function, which tells of each event. Otherwise it keeps silent.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Answers made-up calls, so that the first real one finds done what is done once. This is for init, which has a
    /// whole CPU; it takes about a millisecond of it. What cannot be rehearsed is left to the first call.
    ///
    /// No real call can reach any of it. An understudy answers: a function of its own, with keys of its own, that
    /// remembers and counts for itself, tells nobody, and ends here. It shares the bundle with this function, whose parts
    /// are read when they are first needed, and Cedar, which is set up once in a process.
    pub async fn rehearse(&self, now: SystemTime) {
        let begun = Instant::now();
        warm_up::set_up_cedar();
        warm_up::set_up_thread();
        let serving = match &self.bundles {
            Bundles::One { current, .. } => Some(current.serving()),
            Bundles::PerTenant(tenants) => tenants.root().map(|root| root.serving()),
            Bundles::Understudy(_) => None,
        };
        if let Some(serving) = serving {
            rehearsal::refuse(&serving.bundle, &serving.keys, now.into());
            serving.bundle.policy_index().prepare(PREPARED_POLICIES);
            if let Some(Rehearsal { keys, events }) = Rehearsal::of(&serving.bundle, now.into()) {
                let understudy = self.understudy(serving.understudy(&keys, now.into()));
                let context = LambdaContext {
                    request_id: Some(String::new()),
                    trace_id: Some(TRACE_OF_NOBODY.to_owned()),
                };
                let calls = async {
                    for event in events.iter().take_while(|_| begun.elapsed() < REHEARSAL_LIMIT) {
                        let answer = understudy.answer_to(event, &context, now).await;
                        // It is sent like this.
                        let _ = answer.into_response().map(Bytes::from);
                    }
                };
                let _ = timeout(REHEARSAL_LIMIT, calls).await;
            }
            log::hide(&Tokens::default());
        }
        if let Some(init) = lock(&self.cold_start).as_mut() {
            *init += begun.elapsed();
        }
    }

    /// A function that answers from this bundle as this function would, and shares nothing else with it.
    fn understudy(&self, serving: Serving) -> Self {
        Self {
            bundles: Bundles::Understudy(Arc::new(serving)),
            cache_key: self.cache_key.clone(),
            simple_responses: self.simple_responses,
            counters: Arc::default(),
            telemetry: self.telemetry.in_silence(),
            cold_start: Mutex::new(Some(Duration::ZERO)),
        }
    }

    /// The bundle in use. `None`: each tenant has one of its own.
    pub fn current(&self) -> Option<&Current> {
        match &self.bundles {
            Bundles::One { current, .. } => Some(current),
            Bundles::PerTenant(_) | Bundles::Understudy(_) => None,
        }
    }

    /// Answers an event, given as JSON, that does not come from Lambda. This never fails: a fault is an answer too.
    pub async fn answer(&self, event: &str, now: UnixTime) -> Answer {
        let received = UNIX_EPOCH.checked_add(Duration::from_secs(now.as_seconds())).unwrap_or(UNIX_EPOCH);
        self.answer_to(event, &LambdaContext::default(), received).await
    }

    /// Answers an event of Lambda, given as JSON, and tells of it. `received` is the current time.
    pub async fn answer_to(&self, event: &str, context: &LambdaContext, received: SystemTime) -> Answer {
        let mut stopwatch = Stopwatch::start();
        let call = Call::from_json(event);
        let tokens = call.as_ref().map_or_else(|_| Tokens::of_event(event), Tokens::of_call);
        log::hide(&tokens);
        let answered = match &call {
            Ok(call) => self.answer_call(call, received.into(), &mut stopwatch).await,
            Err(invalid) => Answered {
                tenant: None,
                serving: None,
                session: None,
                answer: Answer::Refused(invalid.reason()),
                detail: Some(invalid.to_string()),
            },
        };
        let Answered { tenant, serving, session, answer, detail } = answered;
        let in_use = serving.clone().or_else(|| self.current().map(Current::serving));
        self.telemetry.tell(&Invocation {
            received,
            context,
            cold_start: lock(&self.cold_start).take(),
            call: call.as_ref().ok(),
            tokens: &tokens,
            cache_key: &self.cache_key,
            tenant: tenant.as_ref(),
            serving: serving.as_deref(),
            in_use: in_use.as_deref(),
            session: session.as_deref(),
            answer: &answer,
            detail: detail.as_deref(),
            durations: stopwatch.stop(),
            counts: self.counters.take(),
        });
        answer
    }

    async fn answer_call(&self, call: &Call, now: UnixTime, stopwatch: &mut Stopwatch) -> Answered {
        let mut answered = self.answer_with_bundle(call, now, stopwatch).await;
        for _ in 0..MAX_REPLACED {
            // The bundle was replaced while the call needed a part of it. It is answered by the new one, from the beginning.
            let is_replaced = answered.serving.as_ref().is_some_and(|serving| serving.is_replaced());
            if !is_replaced || answered.answer.reason() != Reason::BundleAway {
                break;
            }
            answered = self.answer_with_bundle(call, now, stopwatch).await;
        }
        answered
    }

    async fn answer_with_bundle(&self, call: &Call, now: UnixTime, stopwatch: &mut Stopwatch) -> Answered {
        let found = self.serving(call, now).await;
        stopwatch.durations.bundle = Some(stopwatch.lap());
        let (tenant, serving) = match found {
            Ok(found) => found,
            Err(Unserved { reason, tenant }) => {
                let answer = if reason.status() == Status::Deny {
                    Answer::Denied(reason, Response::denied(call, reason, self.simple_responses))
                } else {
                    Answer::Refused(reason)
                };
                return Answered { tenant, serving: None, session: None, answer, detail: None };
            }
        };
        let decided = serving.decide_in(call, &self.cache_key, now, stopwatch).await;
        if let Bundles::One { shadow: Some(shadow), .. } = &self.bundles {
            stopwatch.lap();
            shadow.compare(call, &decided, &self.cache_key, now).await;
            stopwatch.durations.shadow = Some(stopwatch.lap());
        }
        let (session, answer) = match decided {
            Ok(DecidedCall { session, outcome }) => {
                let simple = outcome.as_simple().filter(|_| self.simple_responses.are_for(call.api()));
                let outcome = simple.map_or(outcome, Arc::new);
                let response = session.respond(call, &outcome, self.simple_responses);
                stopwatch.durations.respond = Some(stopwatch.lap());
                // The log must say what API Gateway is told.
                let outcome = if response.is_shortened() { Arc::new(outcome.shortened()) } else { outcome };
                (Some(session), Answer::Decided(outcome, response))
            }
            Err(reason) => (None, Answer::Refused(reason)),
        };
        Answered { tenant, serving: Some(serving), session, answer, detail: None }
    }

    /// The bundle for a call, and the tenant that it belongs to.
    async fn serving(&self, call: &Call, now: UnixTime) -> Result<(Option<Tenant>, Arc<Serving>), Unserved> {
        match &self.bundles {
            Bundles::One { current, .. } => Ok((None, current.get(now).await?)),
            Bundles::PerTenant(tenants) => {
                let (tenant, serving) = tenants.get(call, now).await?;
                Ok((Some(tenant), serving))
            }
            Bundles::Understudy(serving) => Ok((None, Arc::clone(serving))),
        }
    }
}

/// What comes of an event.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A decision.
    Decided(Arc<Outcome>, Response),
    /// No decision, because there is no tenant to decide for: 403.
    Denied(Reason, Response),
    /// No decision: 401 or 500.
    Refused(Reason),
}

impl Answer {
    /// The reason code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Decided(outcome, _) => outcome.decision.reason,
            Self::Denied(reason, _) | Self::Refused(reason) => *reason,
        }
    }

    /// What the runtime gets: the response, or the error that API Gateway turns into 401 or 500. This is the only
    /// place that decides it.
    ///
    /// # Errors
    /// The error for the runtime. API Gateway answers 401 if the message is exactly `Unauthorized`, and 500
    /// otherwise (API Gateway Developer Guide, "Lambda authorizers").
    pub fn into_response(self) -> Result<Response, Diagnostic> {
        let reason = self.reason();
        match self {
            Self::Decided(_, response) | Self::Denied(_, response) => Ok(response),
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
}

/// An answer, and what is known of how it came about.
struct Answered {
    tenant: Option<Tenant>,
    serving: Option<Arc<Serving>>,
    session: Option<Arc<Session>>,
    answer: Answer,
    /// Like the reason, it must not reveal anything of the token.
    detail: Option<String>,
}

/// Tells Lambda that init failed, so that the log and the caller get the whole message.
pub async fn report_init_error(runtime_api: &str, message: &str) {
    let url = format!("http://{runtime_api}/2018-06-01/runtime/init/error");
    let body = json!({"errorType": INIT_ERROR, "errorMessage": message, "stackTrace": []});
    // The Runtime API is on this machine, so the system's proxy is not used.
    let client = tls::client().no_proxy().redirect(Policy::none()).build();
    let sent = match client {
        Ok(client) => {
            let request = client.post(url).header("Lambda-Runtime-Function-Error-Type", INIT_ERROR);
            request.body(body.to_string()).send().await.map(|_| ())
        }
        Err(error) => Err(error),
    };
    if let Err(error) = sent.map_err(reqwest::Error::without_url) {
        error!(%error, "the failed init cannot be reported");
    }
}

/// How often a call begins again because its bundle was replaced meanwhile.
const MAX_REPLACED: u32 = 3;

/// How long made-up calls may take. One is begun only within this time, and init has ten times as much.
const REHEARSAL_LIMIT: Duration = Duration::from_secs(1);

/// All policies of a small bundle are ready before the first call. Each takes a few hundredths of a millisecond.
const PREPARED_POLICIES: usize = 64;

/// Lambda's header of a trace, in a rehearsal.
const TRACE_OF_NOBODY: &str = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0";

/// API Gateway turns exactly this message into 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// Lambda's form: a category and a reason (Lambda Developer Guide, "Runtime API").
const INIT_ERROR: &str = "CedarAuthorizer.InitError";
