//! What is asked, and the answer of the policies.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cedar_authorizer::bundle::DevelopmentKeys;
use cedar_authorizer::cedar::{Context, Entities, Entity, EntityUid};
use cedar_authorizer::decide::{AuthorizationRequest, Decision, Gate, PrincipalRequest, Session};
use cedar_authorizer::function::jwks::KeyClient;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::key_set::KeySets;
use chrono::DateTime;
use clap::Args;
use serde_json::Value;

use super::caller::{Caller, CallerArgs};
use super::inquiry::{Inquiry, Refused};
use super::refusal;
use crate::explanation::report::Report;
use crate::output::{Failure, warn};
use crate::progress;
use crate::runtime::runtime;
use crate::test_bench::{ApiKind, HttpRequest};

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

/// Asks the policies of a store.
pub struct Question<'a> {
    pub inquiry: Inquiry<'a>,
    pub caller: &'a CallerArgs,
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
        let call = self.inquiry.bench.call(&http, None).map_err(Failure::could_not_run)?;
        let mut report = self.inquiry.of_call(&call, self.session(at.into())?, at.into());
        if report.reason == Reason::RouteUnmapped {
            report.notes.extend(self.inquiry.near_route(&http));
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
            match call.authorization(self.inquiry.bench.bundle().token_location()) {
                Ok(authorization) => self.verified(authorization, now)?,
                Err(reason) => Err(Refused { reason, claims: None }),
            }
        };
        Ok(self.inquiry.of_call(&call, session, now))
    }

    /// A request in Cedar's terms.
    pub fn in_cedars_terms(&self, action: &EntityUid, cedar: &CedarArgs) -> Result<Report, Failure> {
        let (store, bundle) = (self.inquiry.bench.store(), self.inquiry.bench.bundle());
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
            let decision = self.inquiry.bench.gate().is_authorized(principal, &request);
            let decision = decision.unwrap_or_else(Decision::deny);
            let asked = PrincipalRequest { principal: principal.clone(), request };
            return Ok(self.inquiry.report(&decision, Ok(asked)));
        }
        let request = request.with_entities(entities);
        let now: UnixTime = SystemTime::now().into();
        let session = match self.session(now)? {
            Ok(session) => session,
            Err(refused) => return Ok(self.inquiry.refused(refused)),
        };
        let ask = |session: &Session| {
            let decision = session.is_authorized(&request).unwrap_or_else(Decision::deny);
            (decision, session.request_of_caller(&request))
        };
        Ok(self.inquiry.explained(&session, now, &ask))
    }

    /// The caller as a session, or why the token is refused.
    fn session(&self, now: UnixTime) -> Result<Result<Session, Refused>, Failure> {
        match self.caller.caller(self.inquiry.bench, now)? {
            Caller::Claims(claims) => self.inquiry.signed(&claims, now),
            Caller::Token(token) => self.verified(&token, now),
        }
    }

    /// Verifies a real token. Keys that the store does not have are fetched.
    fn verified(&self, token: &str, now: UnixTime) -> Result<Result<Session, Refused>, Failure> {
        let (runtime, client) = (runtime()?, KeyClient::new(None));
        let sources = self.inquiry.bench.bundle().identity_sources();
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
        let gate = Gate::new(self.inquiry.bench.bundle().clone(), keys);
        let claims = || refusal::unverified_claims(token);
        let refused = |reason| Refused { reason, claims: claims() };
        Ok(gate.authenticate(token, now).map_err(|unverified| refused(unverified.reason())))
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
