//! An inquiry into a decision: what the policies say to a caller, why, and what would allow it.

use cedar_authorizer::decide::{CedarRequest, Decision, PrincipalRequest, Session};
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::route::{Route, Segment};
use cedar_authorizer::projection::Projection;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::TokenType;

use super::refusal;
use crate::explanation::report::Report;
use crate::explanation::{Asked, smallest_change};
use crate::nearest::nearest;
use crate::output::Failure;
use crate::progress;
use crate::test_bench::{Claims, HttpRequest, TestBench};

/// A token that is refused.
pub struct Refused {
    pub reason: Reason,
    /// What it says. `None`: it cannot be read.
    pub claims: Option<Claims>,
}

/// A decision, and what it was made on, or why nothing was asked.
pub type Answer = (Decision, Result<PrincipalRequest, Reason>);

/// Looks into the decisions of a store.
#[derive(Clone, Copy)]
pub struct Inquiry<'a> {
    pub bench: &'a TestBench,
    /// How many policies of each effect are reported that did not decide.
    pub most: usize,
}

impl Inquiry<'_> {
    /// A call of the caller with this session, or of one whose token is refused.
    pub fn of_call(&self, call: &Call, session: Result<Session, Refused>, now: UnixTime) -> Report {
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

    /// The session of whoever has a token with exactly these claims, or why that token is refused.
    pub fn signed(&self, claims: &Claims, now: UnixTime) -> Result<Result<Session, Refused>, Failure> {
        let signed = self.bench.sign(claims, now)?;
        let refused = |reason: &Reason| Refused { reason: *reason, claims: Some(claims.clone()) };
        Ok(signed.session.as_ref().map(Session::afresh).map_err(refused))
    }

    /// A report on a token that is refused.
    pub fn refused(&self, Refused { reason, claims }: Refused) -> Report {
        let mut report = Report::refused(reason, self.bench.explainer());
        let sources = self.bench.bundle().identity_sources();
        report.notes = claims.map(|claims| refusal::notes(reason, &claims, sources)).unwrap_or_default();
        report
    }

    /// A report on what a session is told, with the smallest change of its claims that would allow it.
    pub fn explained(&self, session: &Session, now: UnixTime, ask: &dyn Fn(&Session) -> Answer) -> Report {
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
            smallest_change(self.bench.explainer(), source, claims, &mut with_claims)
        });
        report.with_change(change.as_ref())
    }

    /// A report on a decision.
    pub fn report(&self, decision: &Decision, request: Result<PrincipalRequest, Reason>) -> Report {
        let request = request.ok().and_then(|asked| self.for_cedar(&asked));
        Report::new(decision, request.as_ref(), self.bench.explainer(), self.most)
    }

    /// The route that was probably meant by a request that no route takes.
    pub fn near_route(&self, http: &HttpRequest) -> Option<String> {
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

    fn for_cedar(&self, PrincipalRequest { principal, request }: &PrincipalRequest) -> Option<CedarRequest> {
        request.for_cedar(self.bench.bundle(), principal).ok()
    }
}
