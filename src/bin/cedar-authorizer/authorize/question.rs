//! What is asked, and the answer of the policies.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cedar_authorizer::bundle::DevelopmentKeys;
use cedar_authorizer::cedar::{Context, Entities, Entity, EntityUid};
use cedar_authorizer::decide::{
    AuthorizationRequest, CedarRequest, Decision, Gate, PrincipalRequest, Session,
};
use cedar_authorizer::function::jwks::KeyClient;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::route::{Route, Segment};
use cedar_authorizer::projection::Projection;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::TokenType;
use cedar_authorizer::token::key_set::KeySets;
use chrono::DateTime;
use clap::Args;
use serde_json::Value;

use super::caller::{Caller, CallerArgs};
use super::refusal;
use crate::explanation::report::Report;
use crate::explanation::{Asked, Explainer, smallest_change};
use crate::nearest::nearest;
use crate::output::{Failure, warn};
use crate::progress;
use crate::runtime::runtime;
use crate::test_bench::{ApiKind, Claims, HttpRequest, TestBench};

/// A request to the API.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// The method of the request
    #[arg(value_name = "METHOD", requires = "path")]
    method: Option<String>,

    /// The path of the request, as the client sends it; it may have a query
    #[arg(value_name = "PATH")]
    path: Option<String>,

    /// A header of the request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header, requires = "method")]
    headers: Vec<(String, String)>,

    /// A query parameter, decoded; may be repeated
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = query, requires = "method")]
    query: Vec<(String, String)>,

    /// The address of the client [default: 203.0.113.1]
    #[arg(long, value_name = "ADDRESS", requires = "method")]
    source_ip: Option<String>,

    /// What the client claims to be
    #[arg(long, value_name = "TEXT", requires = "method")]
    user_agent: Option<String>,

    /// The domain name in the request
    #[arg(long, value_name = "NAME", requires = "method")]
    host: Option<String>,

    /// The stage of the API
    #[arg(long, value_name = "NAME", requires = "method")]
    stage: Option<String>,

    /// When the request is made, as 2026-01-01T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, requires = "method")]
    time: Option<SystemTime>,

    /// The kind of API that gets the request
    #[arg(long, value_enum, value_name = "KIND", default_value_t, requires = "method")]
    api: ApiKind,
}

/// A request in Cedar's terms.
#[derive(Debug, Args)]
pub struct CedarArgs {
    /// The action as an entity, for a request in Cedar's terms
    #[arg(long, value_name = "UID", conflicts_with = "method")]
    action: Option<EntityUid>,

    /// The resource as an entity [default: the resource of the API]
    #[arg(long, value_name = "UID", requires = "action")]
    resource: Option<EntityUid>,

    /// The context as a JSON object
    #[arg(long, value_name = "JSON", requires = "action")]
    context: Option<String>,

    /// More entities, in Cedar's JSON form; `-` reads them from stdin
    #[arg(long, value_name = "FILE", requires = "action")]
    entities: Option<std::path::PathBuf>,

    /// What the principal is in; may be repeated
    #[arg(long = "parent", value_name = "UID", requires = "principal")]
    parents: Vec<EntityUid>,
}

impl CedarArgs {
    /// The action that is asked about.
    pub fn action(&self) -> Option<&EntityUid> {
        self.action.as_ref()
    }
}

/// A token that is refused.
struct Refused {
    reason: Reason,
    /// What it says. `None`: it cannot be read.
    claims: Option<Claims>,
}

/// A decision, and what it was made on, or why nothing was asked.
type Answer = (Decision, Result<PrincipalRequest, Reason>);

/// Asks the policies of a store.
pub struct Question<'a> {
    pub bench: &'a TestBench,
    pub explainer: &'a Explainer,
    pub caller: &'a CallerArgs,
    /// How many policies of each effect are reported that did not decide.
    pub most: usize,
}

impl Question<'_> {
    /// A request to the API.
    pub fn of_request(&self, request: &RequestArgs) -> Result<Report, Failure> {
        let (Some(method), Some(path)) = (&request.method, &request.path) else {
            return Err(Failure::could_not_run("nothing is asked")
                .hint("say what: METHOD PATH, --event FILE, or --action UID; `--help` has examples"));
        };
        let at = request.time.unwrap_or_else(SystemTime::now);
        let milliseconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let text = format!("{} {path}", method.to_ascii_uppercase());
        let mut http = HttpRequest::parse(&text, u64::try_from(milliseconds).unwrap_or(u64::MAX))
            .map_err(Failure::could_not_run)?;
        http.api = request.api;
        http.headers.extend(request.headers.iter().cloned());
        http.query.extend(request.query.iter().cloned());
        http.user_agent.clone_from(&request.user_agent);
        http.host.clone_from(&request.host);
        if let Some(address) = &request.source_ip {
            http.source_ip.clone_from(address);
        }
        if let Some(stage) = &request.stage {
            http.stage.clone_from(stage);
        }
        let call = self.bench.call(&http, None).map_err(Failure::could_not_run)?;
        let mut report = self.of_call(&call, self.session(at.into())?, at.into());
        if report.reason == Reason::RouteUnmapped {
            report.notes.extend(self.near_route(&http));
        }
        Ok(report)
    }

    /// An event of API Gateway. Without a caller, its own token counts.
    pub fn of_event(&self, path: &Path) -> Result<Report, Failure> {
        let event: Value = serde_json::from_str(&read_text(path)?).map_err(|error| {
            Failure::could_not_run(format_args!("`{}` is not JSON: {error}", path.display()))
        })?;
        let call = Call::from_event(event).map_err(Failure::could_not_run)?;
        let now: UnixTime = SystemTime::now().into();
        let session = if self.caller.has_token() {
            self.session(now)?
        } else {
            match call.authorization(self.bench.bundle().token_location()) {
                Ok(authorization) => self.verified(authorization, now)?,
                Err(reason) => Err(Refused { reason, claims: None }),
            }
        };
        Ok(self.of_call(&call, session, now))
    }

    /// A request in Cedar's terms.
    pub fn in_cedars_terms(&self, action: &EntityUid, cedar: &CedarArgs) -> Result<Report, Failure> {
        let (store, bundle) = (self.bench.store(), self.bench.bundle());
        let schema = store.schema.as_ref();
        let resource = cedar.resource.clone().unwrap_or_else(|| bundle.resource().clone());
        let mut request = AuthorizationRequest::new(action.clone(), resource);
        if let Some(text) = &cedar.context {
            let read = Context::from_json_str(text, None);
            let context = read.map_err(|error| Failure::could_not_run(format_args!("--context: {error}")))?;
            request = request.with_context(context);
        }
        let mut entities = match &cedar.entities {
            Some(path) => Entities::from_json_str(&read_text(path)?, schema)
                .map_err(|error| Failure::could_not_run(format_args!("`{}`: {error}", path.display())))?
                .iter()
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        if let Some(principal) = &self.caller.principal {
            if !cedar.parents.is_empty() {
                entities.retain(|entity| entity.uid() != *principal);
                entities
                    .push(Entity::new_no_attrs(principal.clone(), cedar.parents.iter().cloned().collect()));
            }
            let request = request.with_entities(entities);
            let decision = self.bench.gate().is_authorized(principal, &request);
            let decision = decision.unwrap_or_else(Decision::deny);
            let asked = PrincipalRequest { principal: principal.clone(), request };
            return Ok(self.report(&decision, Ok(asked)));
        }
        let request = request.with_entities(entities);
        let now: UnixTime = SystemTime::now().into();
        let session = match self.session(now)? {
            Ok(session) => session,
            Err(refused) => return Ok(self.refused(refused)),
        };
        let ask = |session: &Session| {
            let decision = session.is_authorized(&request).unwrap_or_else(Decision::deny);
            (decision, session.request_of_caller(&request))
        };
        Ok(self.explained(&session, now, &ask))
    }

    /// A call of the caller with this session, or of one whose token is refused.
    fn of_call(&self, call: &Call, session: Result<Session, Refused>, now: UnixTime) -> Report {
        let session = match session {
            Ok(session) => session,
            Err(refused) => return self.refused(refused),
        };
        let ask = |session: &Session| {
            let outcome = session.authorize(call, &CacheKey::None);
            let decision = outcome.map_or_else(Decision::deny, |outcome| outcome.decision.clone());
            (decision, session.authorization_request_of_call(call))
        };
        let mut report = self.explained(&session, now, &ask);
        let outcome = session.authorize(call, &CacheKey::None).ok();
        let route = outcome.and_then(|outcome| outcome.route.clone());
        if report.reason == Reason::RequiredClaimMissing {
            report.notes.extend(route.as_ref().and_then(|route| self.missing_claims(&session, route)));
        }
        report.route = route.as_ref().map(ToString::to_string);
        report
    }

    /// The route that was probably meant by a request that no route takes.
    fn near_route(&self, http: &HttpRequest) -> Option<String> {
        let routes = self.bench.store().routes.routes();
        // Parameters stand for whatever the path has in their place.
        let with_path = |route: &Route| {
            let mut asked = http.path.trim_start_matches('/').split('/');
            let segments = route.template.segments().iter().map(|segment| {
                let asked = asked.next().filter(|asked| !asked.is_empty());
                match segment {
                    Segment::Static(text) | Segment::Key(text) => text.clone(),
                    Segment::Parameter(name) | Segment::Greedy(name) => asked.unwrap_or(name).to_owned(),
                }
            });
            let path = segments.collect::<Vec<_>>().join("/");
            format!("{} /{path}", route.method)
        };
        let filled: Vec<String> = routes.iter().map(with_path).collect();
        let asked = format!("{} {}", http.verb.to_ascii_lowercase(), http.path);
        let near = nearest(&asked, filled.iter().map(String::as_str))?;
        let (_, route) = filled.iter().zip(routes).find(|(filled, _)| *filled == near)?;
        Some(format!("the nearest route is `{route}`"))
    }

    /// The claims that the schema requires and the token does not have.
    fn missing_claims(&self, session: &Session, route: &Route) -> Option<String> {
        let (store, source) = (self.bench.store(), session.source().ok()?);
        let context = store.projection.context(&route.action);
        let shape = match source.token_type() {
            Some(TokenType::Access) => context.as_ref()?.record("token")?,
            _ => match &store.projection {
                Projection::Schema(shapes) => shapes.entity(source.principal_type())?,
                Projection::Schemaless => return None,
            },
        };
        let claims = session.token().claims();
        let required = shape.attributes().filter(|(_, is_required)| *is_required).map(|(name, _)| name);
        let (there, missing): (Vec<&str>, Vec<&str>) = required.partition(|name| claims.contains_key(*name));
        let list =
            |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Some(match missing.as_slice() {
            [] => format!("one of the required claims has another type than in the schema: {}", list(&there)),
            missing => format!("the schema requires claims that the token does not have: {}", list(missing)),
        })
    }

    /// The caller as a session, or why the token is refused.
    fn session(&self, now: UnixTime) -> Result<Result<Session, Refused>, Failure> {
        match self.caller.caller(self.bench, now)? {
            Caller::Claims(claims) => self.signed(&claims, now),
            Caller::Token(token) => self.verified(&token, now),
        }
    }

    fn signed(&self, claims: &Claims, now: UnixTime) -> Result<Result<Session, Refused>, Failure> {
        let signed = self.bench.sign(claims, now)?;
        let refused = |reason: &Reason| Refused { reason: *reason, claims: Some(claims.clone()) };
        Ok(signed.session.as_ref().map(Session::afresh).map_err(refused))
    }

    /// A report on a token that is refused.
    fn refused(&self, Refused { reason, claims }: Refused) -> Report {
        let mut report = Report::refused(reason, self.explainer);
        let sources = self.bench.bundle().identity_sources();
        report.notes = claims.map(|claims| refusal::notes(reason, &claims, sources)).unwrap_or_default();
        report
    }

    /// Verifies a real token. Keys that the store does not have are fetched.
    fn verified(&self, token: &str, now: UnixTime) -> Result<Result<Session, Refused>, Failure> {
        let (runtime, client) = (runtime()?, KeyClient::new(None));
        let sources = self.bench.bundle().identity_sources();
        let keys = progress::during("fetching the keys of the issuer", || {
            KeySets::collect(sources, |location| {
                match runtime.block_on(client.fetch_keys(location, DevelopmentKeys::Allow)) {
                    Ok((keys, _)) => Some(Arc::new(keys)),
                    Err(failure) => {
                        warn(&format_args!("cannot fetch keys: {failure}"));
                        None
                    }
                }
            })
        });
        let gate = Gate::new(self.bench.bundle().clone(), keys);
        let claims = || refusal::unverified_claims(token);
        let refused = |reason| Refused { reason, claims: claims() };
        Ok(gate.authenticate(token, now).map_err(|unverified| refused(unverified.reason())))
    }

    /// A report on what a session is told, with the smallest change of its claims that would allow it.
    fn explained(&self, session: &Session, now: UnixTime, ask: &dyn Fn(&Session) -> Answer) -> Report {
        let (decision, request) = ask(session);
        let report = self.report(&decision, request);
        if decision.is_allowed() {
            return report;
        }
        let Ok(source) = session.source() else {
            return report;
        };
        let mut with_claims = |claims: &Claims| {
            let session = self.signed(claims, now).ok()?.ok()?;
            let (decision, request) = ask(&session);
            Some(Asked { decision, request: request.ok().and_then(|asked| self.for_cedar(&asked)) })
        };
        let claims = session.token().claims();
        let change = progress::during("looking for the smallest change", || {
            smallest_change(self.explainer, source, claims, &mut with_claims)
        });
        report.with_change(change.as_ref())
    }

    fn report(&self, decision: &Decision, request: Result<PrincipalRequest, Reason>) -> Report {
        let request = request.ok().and_then(|asked| self.for_cedar(&asked));
        Report::new(decision, request.as_ref(), self.explainer, self.most)
    }

    fn for_cedar(&self, PrincipalRequest { principal, request }: &PrincipalRequest) -> Option<CedarRequest> {
        request.for_cedar(self.bench.bundle(), principal).ok()
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let (name, text) = if path.as_os_str() == "-" {
        ("stdin".to_owned(), io::read_to_string(io::stdin()))
    } else {
        (format!("`{}`", path.display()), fs::read_to_string(path))
    };
    text.map_err(|error| Failure::could_not_run(format_args!("cannot read {name}: {error}")))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("not of the form `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn query(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn time(text: &str) -> Result<SystemTime, String> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| error.to_string())?;
    let milliseconds = u64::try_from(time.timestamp_millis()).map_err(|_| "before 1970")?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
}
