//! What a line says of an event, in whichever format.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use super::DecisionLog;
use super::principal_ids::{PrincipalIds, hash};
use super::redaction::Redaction;
use super::{claims, request};
use crate::bundle::Bundle;
use crate::decide::Session;
use crate::decide::outcome::Outcome;
use crate::function::lambda::Answer;
use crate::function::masking::Tokens;
use crate::function::telemetry::invocation::{Durations, Invocation};
use crate::function::telemetry::trace_ids;
use crate::gateway::arn::MethodArn;
use crate::gateway::call::{Api, Call};
use crate::reason::{Reason, Status};
use crate::time::iso_8601;

/// What a line says. All texts are as they are shown.
pub(super) struct Facts<'a> {
    pub(super) service: &'a str,
    pub(super) milliseconds: u64,
    pub(super) level: &'static str,
    /// Lambda's.
    pub(super) request_id: Option<Cow<'a, str>>,
    pub(super) trace_id: Option<Cow<'a, str>>,
    pub(super) traceparent: Option<Cow<'a, str>>,
    pub(super) is_cold_start: bool,
    pub(super) api: Option<ApiFacts<'a>>,
    pub(super) tenant: Option<Cow<'a, str>>,
    pub(super) reason: Reason,
    pub(super) detail: Option<&'a str>,
    pub(super) decided: Option<Decided<'a>>,
    pub(super) bundle: Option<&'a Bundle>,
    pub(super) durations: &'a Durations,
    /// Only for an Allow.
    pub(super) sample_rate: Option<&'a str>,
}

/// The API that was called.
pub(super) struct ApiFacts<'a> {
    pub(super) kind: Api,
    pub(super) id: Cow<'a, str>,
    pub(super) stage: Cow<'a, str>,
    /// API Gateway's.
    pub(super) request_id: Option<Cow<'a, str>>,
    pub(super) verb: Option<&'a str>,
    /// The address of the client, unless the line must not say who it is.
    pub(super) source_ip: Option<&'a str>,
}

/// What is known if the token was verified.
pub(super) struct Decided<'a> {
    pub(super) route: Option<&'a str>,
    /// The id of the action.
    pub(super) action: Option<&'a str>,
    pub(super) principal_type: &'a str,
    pub(super) principal_id: Option<Cow<'a, str>>,
    pub(super) identity_source: Option<&'a str>,
    pub(super) resource_type: &'a str,
    pub(super) resource_id: Option<Cow<'a, str>>,
    pub(super) policies: Vec<Cow<'a, str>>,
    pub(super) errors: Vec<Cow<'a, str>>,
    pub(super) dropped: u64,
    /// JSON.
    pub(super) claims: Option<String>,
    /// JSON.
    pub(super) request: Option<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(invocation: &'a Invocation<'a>, log: &'a DecisionLog) -> Self {
        let reason = invocation.answer.reason();
        let status = reason.status();
        let is_refusal = matches!(invocation.answer, Answer::Denied(..));
        let level = match status {
            Status::Fault => "ERROR",
            Status::Deny if is_refusal => "WARN",
            Status::Unauthorized => "WARN",
            Status::Allow | Status::Deny => "INFO",
        };
        let since_1970 = invocation.received.duration_since(UNIX_EPOCH).unwrap_or_default();
        let texts = Texts::of(invocation);
        let is_plain = log.settings.principal_ids == PrincipalIds::Plain;
        let hidden_id =
            invocation.session.map(|session| session.token().principal_id()).filter(|_| !is_plain);
        let tokens = texts.tokens(invocation);
        let redaction = Redaction::new(&tokens, hidden_id, texts.all().into_iter().flatten());
        let shown = |text: &'a str| redaction.shown(text);
        // API Gateway and Lambda go on with the trace of a client, who may have put anything hexadecimal into it.
        let shown_of_trace = |text: &'a str| match invocation.session {
            Some(session) => redaction.shown_of_client(text, session, &log.settings.claims),
            None => redaction.shown(text),
        };
        Self {
            service: &log.service,
            milliseconds: u64::try_from(since_1970.as_millis()).unwrap_or_default(),
            level,
            request_id: texts.request_id.map(shown),
            trace_id: texts.trace_id.map(shown_of_trace),
            traceparent: texts.traceparent.map(shown_of_trace),
            is_cold_start: invocation.cold_start.is_some(),
            api: invocation.call.map(|call| ApiFacts {
                kind: call.api(),
                id: shown(call.method_arn().api_id()),
                stage: shown(call.method_arn().stage()),
                request_id: call.request_id().map(shown),
                verb: call.verb(),
                source_ip: call.source_ip().filter(|_| is_plain),
            }),
            tenant: texts.tenant.map(shown),
            reason,
            detail: invocation.detail,
            decided: match (invocation.answer, invocation.session, invocation.call) {
                (Answer::Decided(outcome, _), Some(session), Some(call)) => {
                    Some(Decided::of(outcome, session, call, invocation, log, &redaction, &tokens))
                }
                _ => None,
            },
            bundle: invocation.serving.map(|serving| &*serving.bundle),
            durations: &invocation.durations,
            sample_rate: log.sample_rate.as_deref().filter(|_| status == Status::Allow),
        }
    }

    /// The time of the event, as Cedar and ISO 8601 have it.
    pub(super) fn timestamp(&self) -> String {
        iso_8601(self.milliseconds).unwrap_or_default()
    }
}

impl<'a> Decided<'a> {
    fn of(
        outcome: &'a Outcome,
        session: &'a Session,
        call: &Call,
        invocation: &Invocation<'_>,
        log: &DecisionLog,
        redaction: &Redaction<'_>,
        tokens: &Tokens<'_>,
    ) -> Self {
        let (texts, settings) = (outcome.texts(), &log.settings);
        let principal = outcome.principal.id().unescaped();
        let principal_id = match (&settings.principal_ids, &log.key) {
            (PrincipalIds::Plain, _) => Some(redaction.shown(principal)),
            (PrincipalIds::Hashed(_), Some(key)) => Some(Cow::Owned(hash(key, principal))),
            (PrincipalIds::Hashed(_), None) | (PrincipalIds::Off, _) => None,
        };
        let resource = outcome.resource.id().unescaped();
        let is_of_path = outcome.route.as_ref().is_some_and(|route| route.resource.is_some());
        let resource_id = if outcome.resource == outcome.principal {
            principal_id.clone()
        } else if is_of_path {
            Some(redaction.shown_of_client(resource, session, &settings.claims))
        } else {
            Some(redaction.shown(resource))
        };
        let names = |policies: &'a [cedar_policy::PolicyId]| {
            policies.iter().map(|policy| redaction.shown(policy.as_ref())).collect()
        };
        let request = || request::of(outcome, session, call, invocation.cache_key, tokens);
        let request = settings.has_requests.then(request);
        Self {
            route: texts.route.as_deref(),
            action: outcome.route.as_ref().map(|route| route.action.id().unescaped()),
            principal_type: &texts.principal_type,
            principal_id,
            identity_source: session.source().ok().map(|source| source.name()),
            resource_type: &texts.resource_type,
            resource_id,
            policies: names(&outcome.decision.policies),
            errors: names(&outcome.decision.errors),
            dropped: u64::try_from(outcome.dropped).unwrap_or_default(),
            claims: claims::of(session, &settings.claims, redaction),
            request: request.flatten(),
        }
    }
}

/// The texts that come with an event.
struct Texts<'a> {
    request_id: Option<&'a str>,
    trace_id: Option<&'a str>,
    traceparent: Option<&'a str>,
    tenant: Option<&'a str>,
    call: Option<&'a Call>,
    outcome: Option<&'a Outcome>,
}

impl<'a> Texts<'a> {
    fn of(invocation: &'a Invocation<'a>) -> Self {
        let header = invocation.call.and_then(|call| call.headers().get("traceparent").ok().flatten());
        Self {
            request_id: invocation.context.request_id.as_deref(),
            trace_id: invocation.context.trace_id.as_deref().and_then(trace_ids::x_ray_root),
            traceparent: header.and_then(trace_ids::traceparent),
            tenant: invocation.tenant.map(|tenant| tenant.as_str()),
            call: invocation.call,
            outcome: match invocation.answer {
                Answer::Decided(outcome, _) => Some(outcome),
                Answer::Denied(..) | Answer::Refused(_) => None,
            },
        }
    }

    /// All of them that a line shows.
    fn all(&self) -> [Option<&'a str>; 9] {
        let arn = self.call.map(Call::method_arn);
        [
            self.request_id,
            self.trace_id,
            self.traceparent,
            self.tenant,
            arn.map(MethodArn::api_id),
            arn.map(MethodArn::stage),
            self.call.and_then(Call::request_id),
            self.outcome.map(|outcome| outcome.principal.id().unescaped()),
            self.outcome.map(|outcome| outcome.resource.id().unescaped()),
        ]
    }

    fn tokens(&self, invocation: &'a Invocation<'a>) -> Tokens<'a> {
        let tokens = invocation.tokens.clone();
        match (self.call, invocation.serving) {
            (Some(call), Some(serving)) => tokens.and_at(call, serving.bundle.token_location()),
            _ => tokens,
        }
    }
}
