//! The gateway: takes a request as API Gateway takes it, and answers as API Gateway answers.
//!
//! ```text
//! request -> route -> event -> cache -> authorizer -> IAM evaluation -> backend -> answer
//! ```

mod authorizer;
mod backend;
mod cache;
mod event;
mod masking;
mod request;
mod validation;
mod verdict;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use cedar_authorizer::gateway::call::{Call, InvalidEvent};
use cedar_authorizer::gateway::route::Route;
use cedar_authorizer::time::iso_8601;
use serde_json::{Map, Value};

pub use authorizer::{Elsewhere, take_line};
pub use backend::Backend;
pub use cache::{Kept, KeptAnswer, kept_in};
pub use request::{ClientHead, ClientRequest, Upgrade};
pub use validation::ValidationExpression;

use super::api::RouteProtection;
use super::exchange::{CacheUse, Effect, Exchange};
use super::gateway_response::{self, Case, Details};
use super::in_force::{InForce, InForceCell};
use super::record::Recorder;
use super::traffic::{News, Traffic};
use crate::gateway_cache::{Applied, apply};
use crate::locks::lock;
use crate::output::{WARNING, paint, printable, warn};
use crate::test_bench::{HttpRequest, chosen};
use authorizer::Said;
use cache::Found;
use masking::Secrets;
use verdict::Verdict;

/// API Gateway, on this machine.
pub struct Gateway {
    in_force: Arc<InForceCell>,
    traffic: Arc<Traffic>,
    /// The authorizer to ask. `None`: the function in this process.
    elsewhere: Option<Elsewhere>,
    backend: Backend,
    recorder: Option<Recorder>,
    exchanges: AtomicU64,
    /// What was wrong with the last request for which something was.
    last_problem: Mutex<Option<String>>,
}

/// What is known of a request while it is answered.
struct Asked<'a> {
    request: &'a HttpRequest,
    /// The number of the exchange.
    number: u64,
    route: Option<&'a Route>,
    secrets: Secrets,
}

/// The request may go on.
struct Passage {
    effect: Effect,
    /// The values of the authorizer for the backend, with `principalId`.
    context: Map<String, Value>,
}

/// API Gateway answers by itself.
struct Refused {
    effect: Effect,
    case: Case,
    principal: Option<String>,
    /// The `context` of the authorizer's answer.
    context: Option<Map<String, Value>>,
}

impl Refused {
    fn new(effect: Effect, case: Case) -> Self {
        Self { effect, case, principal: None, context: None }
    }
}

impl Gateway {
    pub fn new(
        in_force: Arc<InForceCell>,
        traffic: Arc<Traffic>,
        elsewhere: Option<Elsewhere>,
        backend: Backend,
        recorder: Option<Recorder>,
    ) -> Self {
        let (exchanges, last_problem) = (AtomicU64::new(0), Mutex::default());
        Self { in_force, traffic, elsewhere, backend, recorder, exchanges, last_problem }
    }

    /// Answers a request.
    pub async fn answer(&self, client: ClientRequest) -> (Response<Body>, Arc<Exchange>) {
        let begun = Instant::now();
        let in_force = self.in_force.settled().await;
        let (api, kind) = (&in_force.api, in_force.api.kind());
        let location = in_force.bench.bundle().token_location();
        let ClientRequest { head: client, body, upgrade } = client;
        let (id, milliseconds) = (request::new_id(), now_milliseconds());
        let request = client.to_http(api, kind, &id, milliseconds);
        let token_headers: Vec<&str> = api.authorizers.iter().filter_map(event::token_header).collect();
        let secrets = Secrets::of(&request.headers, &request.query, location, &token_headers);
        let route = chosen(&api.routes, kind.events().api(), &request.verb, &request.path);
        let number = self.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        let mut exchange = Exchange {
            id: number,
            time: iso_8601(milliseconds).unwrap_or_default(),
            microseconds: 0,
            method: secrets.mask(&client.method),
            target: secrets.mask(&client.target),
            route: route.map(ToString::to_string),
            status: 0,
            effect: Effect::Invalid,
            body: None,
            is_of_page: client.is_of_page,
            decision: None,
            cache: CacheUse::Off,
            event: None,
            answer: None,
            problem: None,
            log: None,
        };
        let asked = Asked { request: &request, number, route, secrets };
        let refused = client.refused(kind, &body).map(|case| Refused::new(Effect::Invalid, case));
        let preflight = match &refused {
            Some(_) => None,
            None => gateway_response::preflight(api, kind, route, &client.method, &client.headers),
        };
        let decided = match (refused, &preflight) {
            (Some(refused), _) => Err(refused),
            (None, Some(_)) => Ok(Passage { effect: Effect::Open, context: Map::new() }),
            (None, None) => self.decide(&in_force, &asked, &mut exchange).await,
        };
        exchange.microseconds = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let details = Details {
            request_id: &id,
            method: &client.method,
            path: client.path_and_query().0,
            query: &request.query,
            headers: &request.headers,
            source_ip: &request.source_ip,
            route,
            principal: None,
            context: None,
        };
        let own = |case: &Case, details: &Details<'_>| gateway_response::of(api, kind, case, details);
        let (status, headers, body) = match decided {
            Err(refused) => {
                exchange.effect = refused.effect;
                let principal = refused.principal.as_deref();
                let details = Details { principal, context: refused.context.as_ref(), ..details };
                let answer = own(&refused.case, &details);
                (answer.0, answer.1, Err(answer.2))
            }
            Ok(passage) => {
                exchange.effect = passage.effect;
                exchange.problem = backend::problem_of(&passage.context);
                match preflight {
                    Some((status, headers, body)) => (status, headers, Err(body)),
                    None => match self.backend.call(&client, body, upgrade, &passage.context, route).await {
                        Ok(mut response) => {
                            gateway_response::add_cors(api, kind, &request.headers, response.headers_mut());
                            let (head, body) = response.into_parts();
                            (head.status, head.headers, Ok(body))
                        }
                        Err(failed) => {
                            exchange.problem = failed.problem.or(exchange.problem);
                            let answer = own(&failed.case, &details);
                            (answer.0, answer.1, Err(answer.2))
                        }
                    },
                }
            }
        };
        exchange.status = status.as_u16();
        let body = match body {
            Ok(body) => body,
            Err(text) => {
                exchange.body = Some(asked.secrets.mask(&text));
                Body::from(text)
            }
        };
        exchange.problem = exchange.problem.map(|problem| asked.secrets.mask(&problem));
        self.report(exchange.problem.as_deref());
        if let Some(recorder) = &self.recorder {
            recorder.write(&exchange);
        }
        let exchange = Arc::new(exchange);
        self.traffic.add(Arc::clone(&exchange));
        (response(status, headers, body), exchange)
    }

    /// Prints what is wrong with the authorizer or the backend, once.
    fn report(&self, problem: Option<&str>) {
        let Some(problem) = problem else { return };
        let mut last = lock(&self.last_problem);
        if last.as_deref() != Some(problem) {
            warn(&format_args!("{}: {}", paint(WARNING, "warning"), printable(problem)));
            *last = Some(problem.to_owned());
        }
    }

    /// The answers of each cache that were kept last, the newest first, and how many there are in all.
    pub fn cached(&self, most: usize) -> (Vec<KeptAnswer>, usize) {
        let in_force = self.in_force.get();
        let now = SystemTime::now().into();
        let last = in_force.caches.iter().flat_map(|cache| cache::last(&lock(cache), most, now)).collect();
        (last, kept_in(&in_force))
    }

    /// Forgets all answers. Returns how many there were.
    pub fn flush(&self) -> usize {
        let dropped = self.in_force.get().caches.iter().map(|cache| lock(cache).flush()).sum();
        self.traffic.tell(News::Flush { dropped });
        dropped
    }

    /// Decides whether a request may go on.
    async fn decide(
        &self,
        in_force: &InForce,
        asked: &Asked<'_>,
        exchange: &mut Exchange,
    ) -> Result<Passage, Refused> {
        let route = asked.route.ok_or_else(|| Refused::new(Effect::NoRoute, Case::NoRoute))?;
        match in_force.api.protection(route) {
            Some(RouteProtection::Authorizer(index)) => {
                self.authorize(in_force, *index, asked, exchange).await
            }
            Some(RouteProtection::Nothing) => Ok(Passage { effect: Effect::Open, context: Map::new() }),
            Some(RouteProtection::Other(what)) => {
                exchange.problem =
                    Some(format!("the route is protected by {what}, which is not served here"));
                Err(Refused::new(Effect::Fault, Case::NotServed(what.clone())))
            }
            None => Err(Refused::new(Effect::Fault, Case::AuthorizerFailed)),
        }
    }

    /// Asks an authorizer, or the cache of its answers.
    async fn authorize(
        &self,
        in_force: &InForce,
        index: usize,
        asked: &Asked<'_>,
        exchange: &mut Exchange,
    ) -> Result<Passage, Refused> {
        let Some((authorizer, cache)) = in_force.authorizer(index) else {
            return Err(Refused::new(Effect::Fault, Case::AuthorizerFailed));
        };
        let kind = authorizer.kind;
        let location = in_force.bench.bundle().token_location();
        let mut event = event::event(asked.request, &in_force.api, authorizer, location);
        let call = match Call::from_event(event.clone()) {
            Ok(call) => call,
            Err(invalid) => {
                exchange.problem = Some(invalid.to_string());
                return Err(Refused::new(Effect::Invalid, case_of(invalid)));
            }
        };
        let identity = lock(cache).identity(&call);
        event::set_identity(&mut event, kind, identity.as_deref());
        let unauthorized = || Refused::new(Effect::Unauthorized, Case::Unauthorized);
        let now = SystemTime::now().into();
        let token = call.authorization(location).unwrap_or_default();
        // The cache must not stay locked while somebody is asked.
        let found = if validation::allows(authorizer, token) {
            cache::look_up(&lock(cache), &call, now)
        } else {
            Found::SourceMissing
        };
        // Most requests need no text, because the answer to an earlier one is kept.
        let text = if matches!(found, Found::Ask(_)) { event.to_string() } else { String::new() };
        asked.secrets.mask_all(&mut event);
        exchange.event = Some(event);
        let key = cache::key_parts(identity.unwrap_or_default(), &asked.secrets);
        let kept = match found {
            Found::SourceMissing => return Err(unauthorized()),
            Found::Kept { kept, age_seconds } => {
                exchange.cache = CacheUse::Hit { key, made_for: kept.made_for, age_seconds };
                kept
            }
            Found::Ask(slot) => {
                let said = self.ask(in_force, index, text, asked).await;
                let shown = masked(said.json.clone(), &asked.secrets);
                let decided = said.decided.clone().map(|decided| decided.masked(&asked.secrets));
                exchange.log = said.log.clone().map(|log| masked(log, &asked.secrets));
                let refused = match verdict::of(&said, kind) {
                    Verdict::Answer => None,
                    Verdict::Unauthorized => Some(unauthorized()),
                    Verdict::Fault(problem) => {
                        exchange.problem = Some(problem);
                        Some(Refused::new(Effect::Fault, Case::AuthorizerFailed))
                    }
                };
                if let Some(refused) = refused {
                    exchange.decision = decided;
                    exchange.answer = Some(shown);
                    if slot.is_some() {
                        exchange.cache = CacheUse::NotKept { key };
                    }
                    return Err(refused);
                }
                // Most answers have no token, and need not be kept twice.
                let answer = Arc::new(said.json);
                let shown = if *answer == shown { Arc::clone(&answer) } else { Arc::new(shown) };
                let kept =
                    Arc::new(Kept { answer, shown, made_for: asked.number, decided, key: key.clone() });
                if let Some(slot) = slot {
                    lock(cache).keep(slot, Arc::clone(&kept), now);
                    exchange.cache = CacheUse::Miss { key };
                }
                kept
            }
        };
        exchange.decision.clone_from(&kept.decided);
        exchange.answer = Some(Value::clone(&kept.shown));
        let principal = kept.answer.get("principalId").and_then(Value::as_str).map(str::to_owned);
        let denied = |case| Refused {
            effect: Effect::Deny,
            case,
            principal: principal.clone(),
            context: kept.answer.get("context").and_then(Value::as_object).cloned(),
        };
        match apply(&kept.answer, call.method_arn().as_str()) {
            Applied::Allow { mut context } => {
                if let Some(principal) = &principal {
                    context.insert("principalId".to_owned(), principal.as_str().into());
                }
                Ok(Passage { effect: Effect::Allow, context })
            }
            Applied::ExplicitDeny => Err(denied(Case::ExplicitDeny)),
            Applied::ImplicitDeny => Err(denied(Case::ImplicitDeny)),
        }
    }

    async fn ask(&self, in_force: &InForce, index: usize, event: String, asked: &Asked<'_>) -> Said {
        if let Some(elsewhere) = &self.elsewhere {
            return match elsewhere.ask(event).await {
                Ok(said) => said,
                Err(problem) => Said::error(verdict::UNREACHABLE, &problem),
            };
        }
        let id = asked.request.received.as_ref().map(|received| received.id.as_str()).unwrap_or_default();
        match in_force.functions.get(index) {
            Some(function) => authorizer::ask(function, &event, id, in_force.revision).await,
            None => Said::error("Missing", "there is no function for this authorizer"),
        }
    }
}

/// What a client gets whose request has no event.
fn case_of(invalid: InvalidEvent) -> Case {
    use cedar_authorizer::gateway::arn::InvalidArn;
    match invalid {
        InvalidEvent::MethodArn(InvalidArn::TooLong) => Case::PathTooLong,
        _ => Case::BadRequest,
    }
}

fn masked(mut value: Value, secrets: &Secrets) -> Value {
    secrets.mask_all(&mut value);
    value
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn now_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
