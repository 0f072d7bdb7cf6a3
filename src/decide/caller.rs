//! The caller of a session, with one request: whether they may take a route.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::asked::RequestedResource;
use super::authorization_request::{AuthorizationRequest, PrincipalRequest};
use super::context::{self, Inputs};
use super::decision::Decision;
use super::principal;
use super::session::Session;
use super::subject::{NumberedContext, SharedWork, Subject, Undecided};
use crate::bundle::BundledRoute;
use crate::gateway::request::RequestFields;
use crate::projection::Record;
use crate::reason::{Reason, Status};
use crate::token::identity_source::IdentitySource;

/// A decision, and how many values were dropped on the way because the schema declares another type.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    pub(crate) dropped: usize,
}

impl Decided {
    /// Turns any other reason than a fault into a denial. A fault is no decision.
    ///
    /// # Errors
    /// Only faults.
    pub(super) fn or_deny(decided: Result<Self, Reason>) -> Result<Self, Reason> {
        match decided {
            Err(reason) if reason.status() == Status::Fault => Err(reason),
            Err(reason) => Ok(Self { decision: Decision::deny(reason), dropped: 0 }),
            Ok(decided) => Ok(decided),
        }
    }
}

/// The user of a session as a principal, with a count of dropped claims.
#[derive(Debug)]
pub(crate) struct IdentifiedSubject {
    pub(crate) subject: Subject,
    dropped: usize,
}

/// The caller of a session, with a request.
pub(super) struct Caller<'a> {
    session: &'a Session,
    source: &'a IdentitySource,
    subject: Result<&'a IdentifiedSubject, Reason>,
    request: RequestFields<'a>,
    contexts: RefCell<Contexts>,
    /// Work that decisions on several routes have in common.
    shared: RefCell<SharedWork>,
}

/// What the contexts of several routes have in common.
#[derive(Default)]
struct Contexts {
    /// Contexts that are the same for all routes, by their shapes.
    of_token: Vec<(Record, NumberedContext)>,
    /// The shapes of `context.token`. `None`: there is no such member, or it is as the token has it.
    tokens: Vec<Option<Record>>,
    /// How many contexts were made.
    count: u32,
}

impl<'a> Caller<'a> {
    /// # Errors
    /// [`Reason::IssuerUnknown`], if the token belongs to no identity source of the bundle.
    pub(super) fn new(session: &'a Session, request: RequestFields<'a>) -> Result<Self, Reason> {
        let source = session.source()?;
        let subject = session.memo().subject(|| {
            let bundle = session.bundle();
            let (principal, dropped) = principal::from_token(session.token(), source, bundle.projection())?;
            Ok(IdentifiedSubject { subject: Subject::new(bundle, principal)?, dropped })
        });
        let (contexts, shared) = (RefCell::default(), RefCell::default());
        Ok(Self { session, source, subject, request, contexts, shared })
    }

    /// The source that vouches for the caller.
    pub(super) fn source(&self) -> &'a IdentitySource {
        self.source
    }

    /// Whether the caller may take a route.
    ///
    /// # Errors
    /// The reason why the policies cannot decide this.
    pub(super) fn decide(
        &self,
        route: BundledRoute<'_>,
        RequestedResource { resource, path_parameters }: &RequestedResource,
    ) -> Result<Decided, Reason> {
        let IdentifiedSubject { subject, dropped } = self.subject?;
        let context = self.context(route, path_parameters)?;
        let dropped = dropped + context.dropped();
        let (bundle, action) = (self.session.bundle(), &route.route.action);
        let mut shared = self.shared.borrow_mut();
        let decision = subject.decide_among(bundle, action, resource, &mut shared, || Some(context))?;
        Ok(Decided { decision, dropped })
    }

    /// The request to take a route in Cedar's terms, as the policies see it, and the principal.
    ///
    /// # Errors
    /// The reason why the policies cannot decide this.
    pub(super) fn authorization_request(
        &self,
        route: BundledRoute<'_>,
        RequestedResource { resource, path_parameters }: &RequestedResource,
    ) -> Result<PrincipalRequest, Reason> {
        let IdentifiedSubject { subject, .. } = self.subject?;
        let context = self.context(route, path_parameters)?;
        let (principal, entities) = subject.entities_of_request(resource)?;
        let context = context.into_context().ok_or(Reason::RequestInvalid)?;
        let request = AuthorizationRequest::new(route.route.action.clone(), resource.uid.clone());
        Ok(PrincipalRequest { principal, request: request.with_context(context).with_entities(entities) })
    }

    /// Whether the caller may take a route, whatever its path says. If the policies cannot decide this, the answer is no.
    ///
    /// # Errors
    /// [`Undecided`]: faults, and too much work after a call of [`limit`](Self::limit).
    pub(super) fn is_allowed(&self, route: BundledRoute<'_>) -> Result<bool, Undecided> {
        let IdentifiedSubject { subject, .. } = match self.subject {
            Ok(identified) => identified,
            Err(reason) if reason.status() == Status::Fault => return Err(Undecided::Fault(reason)),
            Err(_) => return Ok(false),
        };
        let bundle = self.session.bundle();
        let RequestedResource { resource, path_parameters } =
            RequestedResource::of_any_path(route.route, bundle).map_err(Undecided::Fault)?;
        let context = || self.context(route, &path_parameters);
        let mut shared = self.shared.borrow_mut();
        subject.is_allowed(bundle, &route.route.action, &resource, &mut shared, context)
    }

    /// Limits the evaluation from now on to what an answer for the whole API may take.
    pub(super) fn limit(&self) {
        self.shared.borrow_mut().limit(super::subject::Effort::BUDGET);
    }

    /// The context of a request. If it is the same for all routes, it is made only once.
    fn context(
        &self,
        BundledRoute { route, reads, .. }: BundledRoute<'_>,
        path_parameters: &BTreeMap<String, String>,
    ) -> Result<NumberedContext, Reason> {
        let projection = self.session.bundle().projection();
        let inputs = Inputs {
            request: self.request,
            route,
            reads,
            path_parameters,
            token: self.session.token(),
            source: self.source,
        };
        let shape = projection.context(&route.action);
        let of_token = shape.as_ref().filter(|shape| context::is_of_token_alone(shape));
        let mut contexts = self.contexts.borrow_mut();
        if let Some(shape) = of_token
            && let Some((_, known)) = contexts.of_token.iter().find(|(known, _)| *known == **shape)
        {
            return Ok(known.clone());
        }
        let prepared = Rc::new(context::prepare(inputs, projection)?);
        let token = contexts.token(shape.as_ref().and_then(|shape| context::token_shape(shape)));
        let context = NumberedContext::new(prepared, token, contexts.count);
        contexts.count = contexts.count.saturating_add(1);
        if let Some(shape) = of_token {
            contexts.of_token.push((Record::clone(shape), context.clone()));
        }
        Ok(context)
    }
}

impl Contexts {
    /// The number of a `context.token` of this shape.
    fn token(&mut self, shape: Option<&Record>) -> u32 {
        let known = self.tokens.iter().position(|known| known.as_ref() == shape);
        let position = known.unwrap_or_else(|| {
            self.tokens.push(shape.cloned());
            self.tokens.len() - 1
        });
        u32::try_from(position).unwrap_or(u32::MAX)
    }
}
