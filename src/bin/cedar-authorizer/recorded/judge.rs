//! Recorded requests, decided again.

use std::collections::HashSet;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::cedar::EntityUid;
use cedar_authorizer::decide::{Decision, Gate};
use cedar_authorizer::reason::Reason;
use quick_cache::sync::Cache;

use super::Verdict;
use super::left_out::Why;
use super::request::RecordedRequest;

/// Decides recorded requests as the function would, with one bundle.
#[derive(Debug)]
pub struct Judge<'a> {
    gate: &'a Gate,
    /// The actions of its routes. None: it has no routes.
    actions: HashSet<EntityUid>,
}

impl<'a> Judge<'a> {
    pub fn new(gate: &'a Gate) -> Self {
        let routes = gate.bundle().bundled_routes();
        Self { gate, actions: routes.map(|route| route.route.action.clone()).collect() }
    }

    /// Decides a request. To an action that no route leads to, no call can come: it is decided as a call without a
    /// route.
    pub fn decide(&self, recorded: &RecordedRequest) -> Verdict {
        let RecordedRequest { principal, request } = recorded;
        if !self.actions.is_empty() && !self.actions.contains(&request.action) {
            return Verdict::of(&Decision::deny(Reason::RouteUnmapped));
        }
        let decision = self.gate.is_authorized(principal, request);
        Verdict::of(&decision.unwrap_or_else(Decision::deny))
    }
}

impl Verdict {
    fn of(decision: &Decision) -> Self {
        let mut policies: Vec<String> = decision.policies.iter().map(ToString::to_string).collect();
        policies.sort();
        Self::new(decision.reason, policies)
    }

    /// A decision for this reason.
    pub fn new(reason: Reason, policies: Vec<String>) -> Self {
        Self { decision: reason.status().name().to_owned(), reason: reason.code().to_owned(), policies }
    }
}

/// A request, decided with several bundles.
#[derive(Debug)]
pub struct Judged {
    pub principal: String,
    pub action: String,
    /// The id of the action alone.
    pub action_id: String,
    pub resource: String,
    /// One of each bundle.
    pub verdicts: Vec<Verdict>,
}

/// Bundles that decide the same requests. What was decided a short while ago is remembered: traffic repeats itself.
#[derive(Debug)]
pub struct Court<'a> {
    judges: Vec<Judge<'a>>,
    known: Cache<[u8; 32], Arc<Judged>>,
}

impl<'a> Court<'a> {
    pub fn new(gates: &[&'a Gate]) -> Self {
        let judges = gates.iter().map(|gate| Judge::new(gate)).collect();
        Self { judges, known: Cache::new(MAX_KNOWN) }
    }

    /// Decides a request.
    ///
    /// # Errors
    /// Why it cannot be decided.
    pub fn judge(&self, request: &str) -> Result<Arc<Judged>, Why> {
        let is_memorable = request.len() <= LONGEST_KNOWN;
        let key = is_memorable.then(|| digest(&SHA256, request.as_bytes()));
        let key: Option<[u8; 32]> = key.and_then(|digest| digest.as_ref().try_into().ok());
        if let Some(known) = key.and_then(|key| self.known.get(&key)) {
            return Ok(known);
        }
        let recorded = RecordedRequest::read(request)?;
        let judged = Arc::new(Judged {
            principal: recorded.principal.to_string(),
            action: recorded.request.action.to_string(),
            action_id: recorded.request.action.id().unescaped().to_owned(),
            resource: recorded.request.resource.to_string(),
            verdicts: self.judges.iter().map(|judge| judge.decide(&recorded)).collect(),
        });
        if let Some(key) = key {
            self.known.insert(key, Arc::clone(&judged));
        }
        Ok(judged)
    }
}

/// How many decisions are remembered. With requests of the greatest length they take some 100 MB, usually a tenth.
const MAX_KNOWN: usize = 8192;

/// Longer requests are rare, and decided anew each time.
const LONGEST_KNOWN: usize = 8 * 1024;
