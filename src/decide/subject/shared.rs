//! Work that the decisions on several requests of one principal have in common, so that it is done once.
//!
//! An answer for the whole API needs a decision on every route. Routes differ in their actions, but seldom in
//! their resources and contexts, and most conditions read nothing that differs. The text of a condition says what
//! it reads ([`Dependence`]). If two requests are alike in all of that, they have the same verdict. In the same
//! way, if two requests have a [`PolicyList`] and the resource in common, the same policies of that list matter
//! to both.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use cedar_policy::{AuthorizationError, Context, Effect, Entities, Entity, EntityUid, PolicyId, Request};

use super::{GivenEntities, Subject, ask_cedar, is_bare};
use crate::bundle::policies::{Dependence, FiledPolicy, ListedPolicies, PolicyList, PolicyLists};
use crate::bundle::{Bundle, Unreadable};
use crate::decide::context::Prepared;
use crate::decide::decision::Verdict;
use crate::decide::resource::Resource;
use crate::reason::Reason;

/// The context of a request, with numbers that identify it. Contexts with the same number are the same.
#[derive(Clone, Debug)]
pub(crate) struct NumberedContext {
    context: LazyContext,
    /// The number of its `token`.
    token: u32,
    /// The number of the whole context.
    whole: u32,
}

/// A context in Cedar's form, or one that gets this form when a condition first needs it.
#[derive(Clone, Debug)]
enum LazyContext {
    Made(Context),
    Prepared(Rc<Prepared>),
}

impl NumberedContext {
    pub(crate) fn new(prepared: Rc<Prepared>, token: u32, whole: u32) -> Self {
        Self { context: LazyContext::Prepared(prepared), token, whole }
    }

    /// The context. `None`: Cedar does not accept it.
    pub(crate) fn into_context(self) -> Option<Context> {
        self.context.make()
    }

    /// How many values were dropped because the schema declares another type.
    pub(crate) fn dropped(&self) -> usize {
        match &self.context {
            LazyContext::Made(_) => 0,
            LazyContext::Prepared(prepared) => prepared.dropped,
        }
    }
}

/// The only context of a single request, so its numbers do not matter.
impl From<Context> for NumberedContext {
    fn from(context: Context) -> Self {
        Self { context: LazyContext::Made(context), token: 0, whole: 0 }
    }
}

impl LazyContext {
    /// `None`: Cedar does not accept it.
    fn make(self) -> Option<Context> {
        match self {
            Self::Made(context) => Some(context),
            Self::Prepared(prepared) => prepared.context(),
        }
    }
}

/// Results of earlier requests. They are valid for one principal, its token and one bundle.
#[derive(Debug, Default)]
pub(crate) struct SharedWork {
    resources: HashMap<EntityUid, u32>,
    /// Resources with attributes from the path.
    given: Vec<(Entity, u32)>,
    actions: HashMap<EntityUid, u32>,
    verdicts: HashMap<Question, Verdict>,
    /// By list and by the number of the resource.
    found: HashMap<(PolicyList, u32), Rc<MatchedList>>,
    spent: Effort,
    budget: Option<Effort>,
}

/// A policy, and the numbers of what its condition depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    policy: FiledPolicy,
    action: Option<u32>,
    resource: Option<u32>,
    token: Option<u32>,
    context: Option<u32>,
}

/// The policies of a list that matter to requests on one resource.
#[derive(Debug)]
struct MatchedList {
    members: ListedPolicies,
    /// The results for the policies with conditions, by effect and by the number of the `token` in the context.
    evaluated: RefCell<Vec<(Effect, u32, Evaluated)>>,
}

/// The result for the conditions of a list.
#[derive(Clone, Debug)]
struct Evaluated {
    /// Whether a policy applies whose verdict is the same for all requests on the resource.
    applies: bool,
    /// The other policies with conditions, whose verdicts may differ between requests.
    differ: Rc<[FiledPolicy]>,
}

/// An amount of work, in units of about a nanosecond. It is counted, not measured, so it is the same each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Effort(u64);

impl Effort {
    /// The most work that an answer for the whole API may take.
    pub(crate) const BUDGET: Self = Self(BUDGET);

    /// The work of evaluating this many conditions for this many requests, and of looking at policies this many
    /// times.
    pub(crate) fn estimate(conditions: u64, requests: u64, looks: u64) -> Self {
        let each = [(conditions, CONDITION), (requests, REQUEST), (looks, LOOK)];
        Self(each.into_iter().fold(0, |sum, (count, each)| sum.saturating_add(count.saturating_mul(each))))
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// The work would exceed [`Effort::BUDGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooExpensive;

/// Why there are no verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotEvaluated {
    /// Cedar does not accept the request.
    Invalid,
    Unreadable(Unreadable),
    TooExpensive,
}

impl From<Unreadable> for NotEvaluated {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// Why it is not known whether something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// A fault: something cannot be read or fetched.
    Fault(Reason),
    TooExpensive,
}

impl From<TooExpensive> for Undecided {
    fn from(TooExpensive: TooExpensive) -> Self {
        Self::TooExpensive
    }
}

impl From<Unreadable> for Undecided {
    fn from(unreadable: Unreadable) -> Self {
        Self::Fault(unreadable.into())
    }
}

impl From<TooExpensive> for NotEvaluated {
    fn from(TooExpensive: TooExpensive) -> Self {
        Self::TooExpensive
    }
}

impl SharedWork {
    /// Limits the work from now on. Earlier work does not count.
    pub(crate) fn limit(&mut self, budget: Effort) {
        (self.spent, self.budget) = (Effort::default(), Some(budget));
    }

    fn spend(&mut self, effort: Effort) -> Result<(), TooExpensive> {
        self.spent = self.spent.plus(effort);
        if self.budget.is_some_and(|budget| self.spent > budget) { Err(TooExpensive) } else { Ok(()) }
    }

    /// The number of a resource.
    fn resource(&mut self, resource: &Resource) -> u32 {
        let next = number(self.resources.len().saturating_add(self.given.len()));
        match &resource.entity {
            None => match self.resources.get(&resource.uid) {
                Some(known) => *known,
                None => *self.resources.entry(resource.uid.clone()).or_insert(next),
            },
            Some(entity) => {
                let known = self.given.iter().find(|(known, _)| known.deep_eq(entity));
                known.map(|(_, number)| *number).unwrap_or_else(|| {
                    self.given.push((entity.clone(), next));
                    next
                })
            }
        }
    }

    /// The number of an action.
    fn action(&mut self, action: &EntityUid) -> u32 {
        let next = number(self.actions.len());
        match self.actions.get(action) {
            Some(known) => *known,
            None => *self.actions.entry(action.clone()).or_insert(next),
        }
    }
}

/// A count as a number. It always fits: a call makes only a few of anything, and a bundle does not have that many
/// bytes.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Subject {
    /// Whether the principal may do something. Unlike [`Subject::decide`], this does not say which policies
    /// decide, and it stops at the first one that settles the question. If something cannot be made, the answer is no.
    ///
    /// # Errors
    /// [`Undecided`].
    pub(crate) fn is_allowed(
        &self,
        bundle: &Bundle,
        action: &EntityUid,
        resource: &Resource,
        shared: &mut SharedWork,
        context: impl FnOnce() -> Result<NumberedContext, Reason>,
    ) -> Result<bool, Undecided> {
        let index = bundle.policy_index();
        let lists = index.lists(&self.policies, action, &resource.uid, bundle.entities())?;
        let number = shared.resource(resource);
        let (mut all, mut may_permit) = (Vec::with_capacity(lists.lists.len()), false);
        for list in &lists.lists {
            let found = self.find(bundle, list, &lists, number, shared)?;
            if found.members.forbids {
                return Ok(false);
            }
            may_permit |= found.members.permits || !found.members.conditional_permits.is_empty();
            all.push(found);
        }
        if !may_permit || !self.may_request(bundle, action, &resource.uid) {
            return Ok(false);
        }
        // If the context of a route lacks something, the route is denied, even if no condition reads it.
        let (Ok(given), Ok(context)) = (self.given(resource), context()) else {
            return Ok(false);
        };
        let is_permitted = all.iter().any(|found| found.members.permits);
        if is_permitted && all.iter().all(|found| found.members.conditional_forbids.is_empty()) {
            return Ok(true);
        }
        let mut evaluation = Evaluation::new(self, bundle, action, resource, given, context, shared);
        match evaluation.allows(&all, is_permitted) {
            Ok(is_allowed) => Ok(is_allowed),
            Err(NotEvaluated::TooExpensive) => Err(Undecided::TooExpensive),
            Err(NotEvaluated::Unreadable(unreadable)) => Err(unreadable.into()),
            Err(NotEvaluated::Invalid) => Ok(false),
        }
    }

    /// The policies of a list that matter to requests on a resource.
    fn find(
        &self,
        bundle: &Bundle,
        list: &PolicyList,
        lists: &PolicyLists,
        resource: u32,
        shared: &mut SharedWork,
    ) -> Result<Rc<MatchedList>, Undecided> {
        let at = (list.clone(), resource);
        if let Some(known) = shared.found.get(&at) {
            return Ok(Rc::clone(known));
        }
        let members = bundle.policy_index().members(list, &self.policies, lists)?;
        shared.spend(Effort::estimate(0, 0, members.looked_at))?;
        let found = Rc::new(MatchedList { members, evaluated: RefCell::default() });
        shared.found.insert(at, Rc::clone(&found));
        Ok(found)
    }
}

/// The evaluation of conditions for one request.
pub(super) struct Evaluation<'a> {
    subject: &'a Subject,
    bundle: &'a Bundle,
    action: &'a EntityUid,
    resource: &'a EntityUid,
    /// The number of the resource.
    number: u32,
    /// Whether the path gives an entity attributes, which any condition may read.
    is_given: bool,
    /// Taken when the entities are gathered.
    given: Option<GivenEntities>,
    token: u32,
    whole: u32,
    /// Taken when the request is made.
    context: Option<LazyContext>,
    request: Option<Request>,
    /// `None`: they are not gathered yet, or those of the subject are used.
    entities: Option<Entities>,
    shared: &'a mut SharedWork,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        subject: &'a Subject,
        bundle: &'a Bundle,
        action: &'a EntityUid,
        resource: &'a Resource,
        given: GivenEntities,
        NumberedContext { context, token, whole }: NumberedContext,
        shared: &'a mut SharedWork,
    ) -> Self {
        Self {
            subject,
            bundle,
            action,
            resource: &resource.uid,
            number: shared.resource(resource),
            is_given: resource.entity.is_some(),
            given: Some(given),
            token,
            whole,
            context: Some(context),
            request: None,
            entities: None,
            shared,
        }
    }

    /// Whether no forbid applies, and a permit does. `is_permitted` says that a permit is already known to apply.
    fn allows(&mut self, all: &[Rc<MatchedList>], is_permitted: bool) -> Result<bool, NotEvaluated> {
        for found in all {
            if self.applies(found, Effect::Forbid)? {
                return Ok(false);
            }
        }
        let mut is_permitted = is_permitted;
        for found in all {
            is_permitted = is_permitted || self.applies(found, Effect::Permit)?;
        }
        Ok(is_permitted)
    }

    /// Whether a policy of a list applies: a permit whose condition holds, or a forbid whose condition holds or fails.
    fn applies(&mut self, found: &MatchedList, effect: Effect) -> Result<bool, NotEvaluated> {
        let conditional = match effect {
            Effect::Permit => &found.members.conditional_permits,
            Effect::Forbid => &found.members.conditional_forbids,
        };
        if conditional.is_empty() {
            return Ok(false);
        }
        let token = self.token;
        let is_known =
            |(of_effect, of_token, _): &&(Effect, u32, Evaluated)| *of_effect == effect && *of_token == token;
        let known = found.evaluated.borrow().iter().find(is_known).map(|(_, _, known)| known.clone());
        let Evaluated { applies, differ } = match known {
            Some(known) => known,
            None => {
                let (mut alike, mut differ) = (Vec::new(), Vec::new());
                for policy in conditional {
                    let Dependence { action, context, .. } = policy.depends()?;
                    if action || context { &mut differ } else { &mut alike }.push(policy.clone());
                }
                let applies = self.any_applies(&alike, effect)?;
                let evaluated = Evaluated { applies, differ: differ.into() };
                found.evaluated.borrow_mut().push((effect, token, evaluated.clone()));
                evaluated
            }
        };
        Ok(applies || self.any_applies(&differ, effect)?)
    }

    /// Whether any of these policies applies. All of them have this effect.
    fn any_applies(&mut self, policies: &[FiledPolicy], effect: Effect) -> Result<bool, NotEvaluated> {
        let applies = |verdict: &Option<Verdict>| match verdict {
            Some(Verdict::Holds) => true,
            Some(Verdict::Fails) => effect == Effect::Forbid,
            Some(Verdict::HoldsNot) | None => false,
        };
        Ok(self.verdicts(policies)?.iter().any(applies))
    }

    /// The verdicts on these policies, in their order. `None`: a forbid holds, so Cedar does not say whether this
    /// permit holds.
    pub(super) fn verdicts(
        &mut self,
        policies: &[FiledPolicy],
    ) -> Result<Vec<Option<Verdict>>, NotEvaluated> {
        let mut questions = Vec::with_capacity(policies.len());
        for policy in policies {
            questions.push(self.question(policy)?);
        }
        let is_open = |question: &&Question| !self.shared.verdicts.contains_key(question);
        let open: Vec<Question> = questions.iter().filter(is_open).cloned().collect();
        if !open.is_empty() {
            self.ask(&open)?;
        }
        Ok(questions.iter().map(|question| self.shared.verdicts.get(question).copied()).collect())
    }

    fn question(&mut self, policy: &FiledPolicy) -> Result<Question, Unreadable> {
        let Dependence { action, resource, token, context } = policy.depends()?;
        Ok(Question {
            policy: policy.clone(),
            action: action.then(|| self.shared.action(self.action)),
            resource: (resource || self.is_given).then_some(self.number),
            token: token.then_some(self.token),
            context: context.then_some(self.whole),
        })
    }

    /// Asks Cedar to evaluate conditions, and keeps the verdicts.
    fn ask(&mut self, open: &[Question]) -> Result<(), NotEvaluated> {
        let (conditions, requests) = (open.len() as u64, u64::from(self.request.is_none()));
        self.shared.spend(Effort::estimate(conditions, requests, conditions))?;
        let index = self.bundle.policy_index();
        let policies = index.policies(open.iter().map(|question| question.policy.clone()).collect())?;
        self.make_ready()?;
        let entities =
            self.entities.as_ref().map_or_else(|| self.subject.entities(self.bundle), |own| Ok(Some(own)));
        let (Some(request), Some(entities)) = (&self.request, entities?) else {
            return Err(NotEvaluated::Invalid);
        };

        let response = ask_cedar(request, &policies, entities);
        let diagnostics = response.diagnostics();
        let holding: HashSet<&PolicyId> = diagnostics.reason().collect();
        let failing = diagnostics.errors().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
        });
        let failing: HashSet<&PolicyId> = failing.collect();
        // If any forbids hold, Cedar names only them. Otherwise it names the permits that hold.
        let is_forbid =
            |id: &&&PolicyId| policies.policy(id).is_none_or(|policy| policy.effect() == Effect::Forbid);
        let permits_are_named = holding.iter().next().is_none_or(|id| !is_forbid(&id));
        for question in open {
            let (id, effect) = (question.policy.id(), question.policy.effect());
            let verdict = match () {
                () if failing.contains(id) => Verdict::Fails,
                () if holding.contains(id) => Verdict::Holds,
                () if effect == Effect::Forbid || permits_are_named => Verdict::HoldsNot,
                () => continue,
            };
            self.shared.verdicts.insert(question.clone(), verdict);
        }
        Ok(())
    }

    /// Makes the request and its entities when a condition first needs them.
    fn make_ready(&mut self) -> Result<(), NotEvaluated> {
        let (Some(context), Some(given)) = (self.context.take(), self.given.take()) else {
            return Ok(());
        };
        let Self { subject, bundle, action, resource, .. } = *self;
        if self.is_given || resource != bundle.resource() || !is_bare(action, bundle)? {
            let roots = bundle.named_entities().iter().chain([action, resource]);
            let own = subject.gather(bundle, given, roots)?;
            self.entities = Some(own.ok_or(NotEvaluated::Invalid)?);
        }
        // No schema is needed: the request was checked against it before, and the context was made to fit it.
        let principal = subject.principal.uid.clone();
        let request = |context| Request::new(principal, action.clone(), resource.clone(), context, None).ok();
        self.request = context.make().and_then(request);
        Ok(())
    }
}

impl Subject {
    /// The entities for requests whose action has no groups and whose resource is that of the API. `None`: Cedar
    /// does not accept them.
    fn entities(&self, bundle: &Bundle) -> Result<Option<&Entities>, Unreadable> {
        let roots = || bundle.named_entities().iter().chain([bundle.resource()]);
        if let Some(known) = self.entities.get() {
            return Ok(known.as_ref());
        }
        // A failure is not kept: what is away now can be here the next time.
        let gathered = self.gather(bundle, GivenEntities::default(), roots())?;
        Ok(self.entities.get_or_init(|| gathered).as_ref())
    }
}

/// The most work that an answer for the whole API may take: twenty milliseconds. A shadow bundle may take as much
/// time of a call.
const BUDGET: u64 = 20_000_000;

/// The work of evaluating a condition, including asking Cedar and reading its answer. Measured on 2026-11-21 in a
/// release build at 2.0 GHz: 300,000 evaluations of a short condition took 700 ms, including everything else that
/// an answer takes.
const CONDITION: u64 = 2000;

/// The work of making a request and gathering its entities.
const REQUEST: u64 = 10_000;

/// The work of comparing a scope, or of finding out what a condition depends on.
const LOOK: u64 = 100;
