//! Whether a property holds.

use cedar_authorizer::cedar::{
    AuthorizationError, Authorizer, Decision, Effect, Policy, PolicyId, PolicySet,
};
use cedar_authorizer::decide::CedarRequest;
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet, CompiledSchema, Env, SymEnv};
use serde_json::{Value, json};

use super::{Claim, Property};
use crate::output::{Failure, plural};
use crate::proof::example::{Example, Examples};
use crate::proof::existence::guarded;
use crate::proof::expression::all;
use crate::proof::facts::facts;
use crate::proof::pattern_policy;
use crate::proof::policies::{Environment, Provable, ProvablePolicy, deciding, policy, policy_set};
use crate::proof::request::Readable;
use crate::proof::solver::{Inquirer, Program};
use crate::proof::{Settings, workers};
use crate::{progress, proof};

/// What came of a property in one environment.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub environment: Environment,
    pub answer: Answer,
}

/// What is known.
#[derive(Clone, Debug)]
pub enum Answer {
    /// There is no request against it.
    Holds,
    /// There is no request that it is about.
    Empty,
    /// This request speaks against it; for `matters`, for it.
    Shown { example: Example, why: String, policies: Vec<String> },
    /// Nothing, and why.
    Undecided(String),
}

/// Decides properties, each in all environments that it is about.
///
/// # Errors
/// The system gives no thread or runtime; the schema cannot be used.
pub fn decide(
    store: &Provable<'_>,
    properties: &[Property],
    program: &Program,
    settings: &Settings,
) -> Result<Vec<Vec<Verdict>>, Failure> {
    let schema = CompiledSchema::new(&store.schema).map_err(Failure::could_not_run)?;
    let mut work = Vec::new();
    for (number, property) in properties.iter().enumerate() {
        let about = store.environments.iter().filter(|environment| property.claim.is_about(environment));
        work.extend(about.map(|environment| (number, property, environment)));
    }
    let what = format!("proving {}", plural(properties.len(), "property"));
    let answers = progress::during(what, || {
        workers::each(program, settings, &work, |inquirer, (_, property, environment)| {
            let types = schema.sym_env(&environment.for_cedar()).map_err(|error| error.to_string());
            let answer = types
                .and_then(|types| Question { store, environment, types }.answer(inquirer, &property.claim));
            answer.unwrap_or_else(Answer::Undecided)
        })
    })?;
    let mut verdicts = vec![Vec::new(); properties.len()];
    for ((number, _, environment), answer) in work.into_iter().zip(answers) {
        if let Some(of_property) = verdicts.get_mut(number) {
            of_property.push(Verdict { environment: environment.clone(), answer });
        }
    }
    Ok(verdicts)
}

/// One environment of a store.
struct Question<'a> {
    store: &'a Provable<'a>,
    environment: &'a Environment,
    types: SymEnv,
}

type Asked = Result<Answer, String>;

impl Question<'_> {
    fn answer(&self, inquirer: &mut Inquirer<'_>, claim: &Claim) -> Asked {
        match claim {
            Claim::Never(pattern) => self.never(inquirer, &pattern.condition(&self.types)?),
            Claim::Always(pattern) => self.always(inquirer, &pattern.condition(&self.types)?),
            Claim::NeverErrors(ids) => {
                for id in ids {
                    let answer = self.never_errors(inquirer, id)?;
                    if !matches!(answer, Answer::Holds) {
                        return Ok(answer);
                    }
                }
                Ok(Answer::Holds)
            }
            Claim::NeverApplies(id) => self.never_applies(inquirer, id),
            Claim::Disjoint(first, second) => self.disjoint(inquirer, first, second),
            Claim::Equivalent(first, second) => self.equivalent(inquirer, first, second),
            Claim::ChangesNothing(id) | Claim::Matters(id) => self.changes_nothing(inquirer, id),
        }
    }

    fn never(&self, inquirer: &mut Inquirer<'_>, pattern: &Value) -> Asked {
        let matching = self.guarded(pattern)?;
        let (permits, forbids) =
            (self.conditions(Effect::Permit, None)?, self.conditions(Effect::Forbid, None)?);
        let facts = self.facts(&[&permits, &forbids, std::slice::from_ref(&matching)]);
        let mut assumptions = facts.clone();
        assumptions.push(matching.clone());
        let allowed = self.set(&deciding(&permits, &forbids, &assumptions)?)?;
        let found = inquirer
            .ask(async |solver| solver.check_always_denies_with_counterexample_opt(&allowed).await)?;
        let Some(env) = found else { return self.unless_empty(inquirer, facts, matching) };
        let pattern = pattern_policy(pattern)?;
        self.shown(&env, |readable| {
            let decision =
                self.store.bench.gate().is_authorized(&readable.principal, &readable.request).ok()?;
            let is_it = decision.is_allowed() && self.applies(&pattern, readable) == Some(Ok(true));
            is_it.then(|| ("is allowed".to_owned(), names(&decision.policies)))
        })
    }

    fn always(&self, inquirer: &mut Inquirer<'_>, pattern: &Value) -> Asked {
        let matching = self.guarded(pattern)?;
        let (permits, forbids) =
            (self.conditions(Effect::Permit, None)?, self.conditions(Effect::Forbid, None)?);
        let facts = self.facts(&[&permits, &forbids, std::slice::from_ref(&matching)]);
        let mut whole = facts.clone();
        whole.push(matching.clone());
        let asked = self.set(&policy_set([all(whole)].into_iter())?)?;
        let allowed = self.set(&deciding(&permits, &forbids, &[])?)?;
        let found = inquirer
            .ask(async |solver| solver.check_implies_with_counterexample_opt(&asked, &allowed).await)?;
        let Some(env) = found else { return self.unless_empty(inquirer, facts, matching) };
        let pattern = pattern_policy(pattern)?;
        self.shown(&env, |readable| {
            let decision =
                self.store.bench.gate().is_authorized(&readable.principal, &readable.request).ok()?;
            let is_it = !decision.is_allowed() && self.applies(&pattern, readable) == Some(Ok(true));
            is_it.then(|| (format!("is denied ({})", decision.reason.code()), names(&decision.policies)))
        })
    }

    /// What holds of no request at all says nothing.
    fn unless_empty(&self, inquirer: &mut Inquirer<'_>, mut facts: Vec<Value>, matching: Value) -> Asked {
        facts.push(matching);
        let asked = self.one(all(facts))?;
        let is_empty = inquirer.ask(async |solver| solver.check_never_matches_opt(&asked).await)?;
        Ok(if is_empty { Answer::Empty } else { Answer::Holds })
    }

    fn never_errors(&self, inquirer: &mut Inquirer<'_>, id: &PolicyId) -> Asked {
        let Some(known) = self.find(id) else { return Ok(Answer::Holds) };
        let asked = self.of_policy(known)?;
        let found = inquirer
            .ask(async |solver| solver.check_never_errors_with_counterexample_opt(&asked).await)
            .map_err(|why| format!("policy `{id}`: {why}"))?;
        let Some(env) = found else { return Ok(Answer::Holds) };
        let plain = pattern_policy(&known.condition)?;
        self.shown(&env, |readable| match self.applies(&plain, readable)? {
            Err(error) => Some((format!("cannot be evaluated: {error}"), vec![id.to_string()])),
            Ok(_) => None,
        })
    }

    fn never_applies(&self, inquirer: &mut Inquirer<'_>, id: &PolicyId) -> Asked {
        let Some(known) = self.find(id) else { return Ok(Answer::Holds) };
        let asked = self.of_policy(known)?;
        let found =
            inquirer.ask(async |solver| solver.check_never_matches_with_counterexample_opt(&asked).await)?;
        let Some(env) = found else { return Ok(Answer::Holds) };
        let plain = pattern_policy(&known.condition)?;
        self.shown(&env, |readable| {
            let applies = self.applies(&plain, readable)? == Ok(true);
            applies.then(|| ("is what it applies to".to_owned(), vec![id.to_string()]))
        })
    }

    fn disjoint(&self, inquirer: &mut Inquirer<'_>, first: &PolicyId, second: &PolicyId) -> Asked {
        let (Some(one), Some(other)) = (self.find(first), self.find(second)) else {
            return Ok(Answer::Holds);
        };
        let (asked, also) = (self.of_policy(one)?, self.of_policy(other)?);
        let found = inquirer
            .ask(async |solver| solver.check_matches_disjoint_with_counterexample_opt(&asked, &also).await)?;
        let Some(env) = found else { return Ok(Answer::Holds) };
        let (one, other) = (pattern_policy(&one.condition)?, pattern_policy(&other.condition)?);
        self.shown(&env, |readable| {
            let both =
                self.applies(&one, readable)? == Ok(true) && self.applies(&other, readable)? == Ok(true);
            both.then(|| ("is what both apply to".to_owned(), vec![first.to_string(), second.to_string()]))
        })
    }

    fn equivalent(&self, inquirer: &mut Inquirer<'_>, first: &PolicyId, second: &PolicyId) -> Asked {
        let never = json!({"Value": false});
        let condition = |id| self.find(id).map_or_else(|| never.clone(), |known| known.condition.clone());
        let (one, other) = (condition(first), condition(second));
        let (asked, also) = (self.of_condition(&one)?, self.of_condition(&other)?);
        let found = inquirer.ask(async |solver| {
            solver.check_matches_equivalent_with_counterexample_opt(&asked, &also).await
        })?;
        let Some(env) = found else { return Ok(Answer::Holds) };
        let (one, other) = (pattern_policy(&one)?, pattern_policy(&other)?);
        self.shown(&env, |readable| {
            let of_one = self.applies(&one, readable)? == Ok(true);
            let of_other = self.applies(&other, readable)? == Ok(true);
            let which = if of_one { first } else { second };
            (of_one != of_other)
                .then(|| ("is what one of them alone applies to".to_owned(), vec![which.to_string()]))
        })
    }

    fn changes_nothing(&self, inquirer: &mut Inquirer<'_>, id: &PolicyId) -> Asked {
        if self.find(id).is_none() {
            return Ok(Answer::Holds);
        }
        let with = (self.conditions(Effect::Permit, None)?, self.conditions(Effect::Forbid, None)?);
        let without =
            (self.conditions(Effect::Permit, Some(id))?, self.conditions(Effect::Forbid, Some(id))?);
        let facts = self.facts(&[&with.0, &with.1]);
        let (asked, other) = (
            self.set(&deciding(&with.0, &with.1, &facts)?)?,
            self.set(&deciding(&without.0, &without.1, &facts)?)?,
        );
        let found = inquirer
            .ask(async |solver| solver.check_equivalent_with_counterexample_opt(&asked, &other).await)?;
        let Some(env) = found else { return Ok(Answer::Holds) };
        let all = &self.store.bench.store().policy_set();
        let others =
            PolicySet::from_policies(self.static_policies(id)?).map_err(|error| error.to_string())?;
        self.shown(&env, |readable| {
            let (with, without) = (self.is_allowed(all, readable)?, self.is_allowed(&others, readable)?);
            let what = if with {
                "is allowed, and would be denied without it"
            } else {
                "is denied, and would be allowed without it"
            };
            (with != without).then(|| (what.to_owned(), vec![id.to_string()]))
        })
    }

    fn find(&self, id: &PolicyId) -> Option<&ProvablePolicy> {
        self.store.slice(self.environment).into_iter().find(|known| known.id == *id)
    }

    /// All policies but one, with template links written out.
    fn static_policies(&self, without: &PolicyId) -> Result<Vec<Policy>, String> {
        let set = self.store.bench.store().policy_set();
        let policies = set.policies().filter(|known| known.id() != without);
        let written = policies.map(|known| {
            let json = known.to_json().map_err(|error| error.to_string())?;
            Policy::from_json(Some(known.id().clone()), json).map_err(|error| error.to_string())
        });
        written.collect()
    }

    fn conditions(&self, effect: Effect, without: Option<&PolicyId>) -> Result<Vec<Value>, String> {
        let slice = self.store.slice(self.environment).into_iter();
        let wanted = slice.filter(|known| known.effect == effect && Some(&known.id) != without);
        wanted
            .map(|known| {
                self.guarded(&known.condition).map_err(|why| format!("policy `{}`: {why}", known.id))
            })
            .collect()
    }

    fn guarded(&self, condition: &Value) -> Result<Value, String> {
        guarded(condition, &self.types)
    }

    fn facts(&self, conditions: &[&[Value]]) -> Vec<Value> {
        let all: Vec<&Value> = conditions.iter().flat_map(|conditions| conditions.iter()).collect();
        facts(&all, self.environment, &[self.store.bench], &self.types)
    }

    fn set(&self, policies: &PolicySet) -> Result<CompiledPolicySet, String> {
        let (environment, types) = (self.environment.for_cedar(), self.types.clone());
        CompiledPolicySet::compile_with_custom_symenv(policies, &environment, &self.store.schema, types)
            .map_err(|error| proof::in_words(&error))
    }

    fn one(&self, condition: Value) -> Result<CompiledPolicy, String> {
        let (environment, types) = (self.environment.for_cedar(), self.types.clone());
        CompiledPolicy::compile_with_custom_symenv(
            &policy(0, condition)?,
            &environment,
            &self.store.schema,
            types,
        )
        .map_err(|error| proof::in_words(&error))
    }

    /// A policy, where the groups are as the store has them.
    fn of_policy(&self, known: &ProvablePolicy) -> Result<CompiledPolicy, String> {
        self.of_condition(&known.condition).map_err(|why| format!("policy `{}`: {why}", known.id))
    }

    fn of_condition(&self, condition: &Value) -> Result<CompiledPolicy, String> {
        let condition = self.guarded(condition)?;
        let mut whole = self.facts(&[std::slice::from_ref(&condition)]);
        whole.push(condition);
        self.one(all(whole))
    }

    /// Tries what the solver found. `what` says what a request shows, and by which policies, or nothing.
    fn shown(&self, env: &Env, what: impl Fn(&Readable) -> Option<(String, Vec<String>)>) -> Asked {
        let store = self.store.bench.store();
        let schema = store.schema.as_ref().unwrap_or(&self.store.schema);
        let benches = [self.store.bench];
        let examples = Examples { environment: self.environment, benches: &benches, schema };
        let example = examples.example(env, |readable| what(readable).is_some())?;
        let readable = proof::request::read(&example.request).ok_or("the example cannot be read")?;
        let (why, policies) = what(&readable).ok_or("the example does not hold")?;
        Ok(Answer::Shown { example, why, policies })
    }

    fn for_cedar(&self, Readable { principal, request }: &Readable) -> Option<CedarRequest> {
        request.for_cedar(self.store.bench.bundle(), principal).ok()
    }

    /// Whether one policy applies to a request, or why it cannot be evaluated.
    fn applies(&self, policy: &PolicySet, readable: &Readable) -> Option<Result<bool, String>> {
        let CedarRequest { request, entities } = self.for_cedar(readable)?;
        let response = Authorizer::new().is_authorized(&request, policy, &entities);
        let error = response.diagnostics().errors().next().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => error.inner().to_string(),
        });
        Some(error.map_or(Ok(response.decision() == Decision::Allow), Err))
    }

    /// Whether policies would allow a request, by the rules of the function.
    fn is_allowed(&self, policies: &PolicySet, readable: &Readable) -> Option<bool> {
        let CedarRequest { request, entities } = self.for_cedar(readable)?;
        let response = Authorizer::new().is_authorized(&request, policies, &entities);
        let fails_closed = response.diagnostics().errors().any(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => {
                policies.policy(error.policy_id()).is_none_or(|known| known.effect() == Effect::Forbid)
            }
        });
        Some(response.decision() == Decision::Allow && !fails_closed)
    }
}

fn names(policies: &[PolicyId]) -> Vec<String> {
    policies.iter().map(ToString::to_string).collect()
}
