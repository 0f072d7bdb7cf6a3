//! Two stores, compared for every possible request.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::cedar::{Effect, Schema};
use cedar_policy_symcc::{CompiledPolicySet, CompiledSchema, Env, SymEnv};
use serde_json::Value;

use super::example::{Example, Examples};
use super::existence::guarded;
use super::facts::facts;
use super::policies::{Environment, Provable, ProvablePolicy, deciding};
use super::request::Readable;
use super::schemas::{Relation, notices};
use super::solver::{Inquirer, Program};
use super::{ActionProof, Counterexample, Finding, Proof, Settings, in_words, workers};
use crate::access::Access;
use crate::output::{Failure, plural};
use crate::progress;
use crate::test_bench::TestBench;

/// Compares two stores.
///
/// # Errors
/// There is no solver, or the stores have no schema.
pub fn compare(old: &TestBench, new: &TestBench, settings: &Settings) -> Result<Proof, Failure> {
    let program = Program::find()?;
    let comparison = Comparison::new(old, new)?;
    let environments: Vec<Environment> = comparison.common().cloned().collect();
    let what = format!("proving: {}", plural(environments.len(), "action"));
    let actions = progress::during(what, || {
        workers::each(&program, settings, &environments, |inquirer, environment| {
            comparison.environment(inquirer, environment)
        })
    })?;
    Ok(Proof { solver: program.name, actions, notes: comparison.notes() })
}

/// Two stores.
struct Comparison<'a> {
    old: Provable<'a>,
    new: Provable<'a>,
    of_old: CompiledSchema,
    of_new: CompiledSchema,
}

/// The policies of one environment, as conditions.
struct Conditions {
    permits: Vec<Value>,
    forbids: Vec<Value>,
}

/// Both sides, ready to be asked about.
struct Sides {
    old: CompiledPolicySet,
    new: CompiledPolicySet,
}

/// The findings of one environment.
struct Findings {
    more: Finding,
    less: Finding,
}

impl<'a> Comparison<'a> {
    fn new(old: &'a TestBench, new: &'a TestBench) -> Result<Self, Failure> {
        let (old, new) = (Provable::new(old)?, Provable::new(new)?);
        let compiled = |store: &Provable<'_>| {
            CompiledSchema::new(&store.schema).map_err(|error| {
                Failure::could_not_run(format_args!(
                    "nothing can be proved of the schema of `{}`: {error}",
                    store.bench.name()
                ))
            })
        };
        let (of_old, of_new) = (compiled(&old)?, compiled(&new)?);
        Ok(Self { old, new, of_old, of_new })
    }

    /// The environments of both stores.
    fn common(&self) -> impl Iterator<Item = &Environment> {
        self.old.environments.intersection(&self.new.environments)
    }

    fn environment(&self, inquirer: &mut Inquirer<'_>, environment: &Environment) -> ActionProof {
        let Findings { more, less } =
            self.findings(inquirer, environment).unwrap_or_else(|why| Findings::undecided(&why));
        ActionProof {
            principal_type: environment.principal.to_string(),
            action: environment.action.to_string(),
            resource_type: environment.resource.to_string(),
            policies: self.policies(environment),
            more,
            less,
        }
    }

    /// A hash of the policies of both stores.
    fn policies(&self, environment: &Environment) -> String {
        let sides = [self.old.slice(environment), self.new.slice(environment)];
        fingerprint(&sides.map(|slice| texts(&slice)))
    }

    /// # Errors
    /// Why nothing can be said.
    fn findings(&self, inquirer: &mut Inquirer<'_>, environment: &Environment) -> Result<Findings, String> {
        let (old, new) = (self.old.slice(environment), self.new.slice(environment));
        let types = |schema: &CompiledSchema| {
            schema.sym_env(&environment.for_cedar()).map_err(|error| error.to_string())
        };
        let (of_old, of_new) = (types(&self.of_old)?, types(&self.of_new)?);
        let relation = Relation::between(&of_old, &of_new, environment);
        // What is equal to the letter decides equally, as long as it is asked the same.
        if relation == Relation::Same && texts(&old) == texts(&new) {
            return Ok(Findings { more: Finding::Proved, less: Finding::Proved });
        }
        let doubt = match &relation {
            Relation::Same => None,
            Relation::NewHasMore(more) => noticed(&old, more),
            Relation::OldHasMore(more) => noticed(&new, more),
            Relation::Apart(place) => Some(format!("the schemas differ: `{place}`")),
        };
        let (schema, types) = match &relation {
            Relation::OldHasMore(_) => (&self.old, of_old),
            _ => (&self.new, of_new),
        };
        let question = Question { comparison: self, environment, schema: &schema.schema, types };
        let findings = question.findings(inquirer, &old, &new);
        let Some(doubt) = doubt else { return findings };
        // A request that shows a difference does so whatever the schemas say: it was decided by both stores.
        let findings = findings.unwrap_or_else(|why| Findings::undecided(&why));
        Ok(findings.without_proofs(&doubt))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for environment in self.new.environments.difference(&self.old.environments) {
            notes.push(format!(
                "{} is new: all that is allowed under it is new (policies {})",
                described(environment, &self.old),
                self.policies(environment)
            ));
        }
        for environment in self.old.environments.difference(&self.new.environments) {
            notes.push(format!(
                "{} is gone: all that was allowed under it is not any more (policies {})",
                described(environment, &self.new),
                self.policies(environment)
            ));
        }
        let differing = |path: &dyn Fn(&str) -> bool| {
            let files = |store: &Provable<'a>| {
                let files = store.bench.files().iter().filter(|(name, _)| path(name));
                files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect::<BTreeSet<_>>()
            };
            let (old, new) = (files(&self.old), files(&self.new));
            (old != new).then(|| fingerprint(&[old, new]))
        };
        if let Some(files) = differing(&|path| path == "entities.json") {
            notes.push(format!(
                "`entities.json` differs: proofs are about policies, so what other groups, parents and attributes of \
                 the store's entities change is not in them (files {files})"
            ));
        }
        let is_setting = |path: &str| path == "store.toml" || path.starts_with("identity-sources/");
        if let Some(files) = differing(&is_setting) {
            notes.push(format!(
                "the settings or identity sources differ: which route leads to which action and resource, and whose \
                 tokens are accepted, is not in the proofs (files {files})"
            ));
        }
        notes
    }
}

/// The beginning of a hash that stands for both sides: long enough that nobody finds another pair with the same.
fn fingerprint(sides: &[impl serde::Serialize; 2]) -> String {
    // Texts and bytes can always be written as JSON.
    let text = serde_json::to_vec(sides).unwrap_or_default();
    hex::encode(digest(&SHA256, &text)).chars().take(FINGERPRINT).collect()
}

/// What is only in one store: an action, or one for this type of caller or resource.
fn described(environment: &Environment, other: &Provable<'_>) -> String {
    let Environment { action, principal, resource } = environment;
    if other.environments.iter().any(|known| known.action == *action) {
        format!("{action} for `{principal}` on `{resource}`")
    } else {
        action.to_string()
    }
}

/// The conditions of a slice, in an order of their own.
fn texts(slice: &[&ProvablePolicy]) -> Vec<(bool, String)> {
    let mut texts: Vec<_> =
        slice.iter().map(|policy| (policy.effect == Effect::Permit, policy.condition.to_string())).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn noticed(slice: &[&ProvablePolicy], more: &[String]) -> Option<String> {
    let policy = slice.iter().find(|policy| notices(&policy.condition, more))?;
    Some(format!("the schemas differ, and policy `{}` could tell", policy.id))
}

/// One environment, asked about under one schema.
struct Question<'a> {
    comparison: &'a Comparison<'a>,
    environment: &'a Environment,
    schema: &'a Schema,
    types: SymEnv,
}

impl Question<'_> {
    /// Asks about what differs, and about the whole only if that does not settle it.
    fn findings(
        &self,
        inquirer: &mut Inquirer<'_>,
        old: &[&ProvablePolicy],
        new: &[&ProvablePolicy],
    ) -> Result<Findings, String> {
        let Some((of_old, of_new)) = differing_permits(old, new) else {
            return self.asked(inquirer, old, new);
        };
        // What both stores permit and forbid alike makes no difference by itself. Without it there are more requests
        // that could show one, so what is proved of the rest is proved of the whole; but a request that is found may
        // be decided alike after all.
        let of_rest = self.asked(inquirer, &of_old, &of_new)?;
        if of_rest.is_settled() {
            return Ok(of_rest);
        }
        let of_whole = self.asked(inquirer, old, new)?;
        Ok(Findings {
            more: settled(of_rest.more, of_whole.more),
            less: settled(of_rest.less, of_whole.less),
        })
    }

    fn asked(
        &self,
        inquirer: &mut Inquirer<'_>,
        old: &[&ProvablePolicy],
        new: &[&ProvablePolicy],
    ) -> Result<Findings, String> {
        let Sides { old, new } = &self.sides(old, new)?;
        let equal = inquirer.ask(async |solver| solver.check_equivalent_opt(old, new).await);
        if equal == Ok(true) {
            return Ok(Findings { more: Finding::Proved, less: Finding::Proved });
        }
        let more = inquirer.ask(async |solver| solver.check_implies_with_counterexample_opt(new, old).await);
        let less = inquirer.ask(async |solver| solver.check_implies_with_counterexample_opt(old, new).await);
        Ok(Findings { more: self.finding(more, Access::Gained), less: self.finding(less, Access::Lost) })
    }

    /// # Errors
    /// A policy cannot be part of a proof.
    fn sides(&self, old: &[&ProvablePolicy], new: &[&ProvablePolicy]) -> Result<Sides, String> {
        let (of_old, of_new) = (self.conditions(old)?, self.conditions(new)?);
        let comparison = self.comparison;
        let benches = [comparison.old.bench, comparison.new.bench];
        let all = [&of_old, &of_new].into_iter().flat_map(|side| side.permits.iter().chain(&side.forbids));
        let facts = facts(&all.collect::<Vec<_>>(), self.environment, &benches, &self.types);
        let side = |Conditions { permits, forbids }: &Conditions| {
            let policies = deciding(permits, forbids, &facts)?;
            self.compiled(&policies)
        };
        let old = side(&of_old).map_err(|why| self.blamed(old, why))?;
        let new = side(&of_new).map_err(|why| self.blamed(new, why))?;
        Ok(Sides { old, new })
    }

    fn conditions(&self, slice: &[&ProvablePolicy]) -> Result<Conditions, String> {
        let of = |effect: Effect| {
            let policies = slice.iter().filter(|policy| policy.effect == effect);
            let guarded = policies.map(|policy| {
                guarded(&policy.condition, &self.types)
                    .map_err(|why| format!("policy `{}`: {why}", policy.id))
            });
            guarded.collect::<Result<Vec<_>, _>>()
        };
        Ok(Conditions { permits: of(Effect::Permit)?, forbids: of(Effect::Forbid)? })
    }

    fn compiled(&self, policies: &cedar_authorizer::cedar::PolicySet) -> Result<CompiledPolicySet, String> {
        let environment = self.environment.for_cedar();
        CompiledPolicySet::compile_with_custom_symenv(policies, &environment, self.schema, self.types.clone())
            .map_err(|error| in_words(&error))
    }

    /// Names the policy that cannot be part of a proof.
    fn blamed(&self, slice: &[&ProvablePolicy], why: String) -> String {
        let fails = |policy: &&&ProvablePolicy| {
            let alone = guarded(&policy.condition, &self.types)
                .and_then(|condition| deciding(&[condition], &[], &[]))
                .and_then(|policies| self.compiled(&policies));
            alone.is_err()
        };
        match slice.iter().find(fails) {
            Some(policy) => format!("policy `{}`: {why}", policy.id),
            None => why,
        }
    }

    fn finding(&self, answer: Result<Option<Env>, String>, wanted: Access) -> Finding {
        let env = match answer {
            Ok(None) => return Finding::Proved,
            Ok(Some(env)) => env,
            Err(why) => return Finding::Undecided { why },
        };
        match self.counterexample(&env, wanted) {
            Ok(example) => Finding::Shown { example: Box::new(example) },
            Err(why) => Finding::Undecided { why },
        }
    }

    /// # Errors
    /// It does not hold.
    fn counterexample(&self, env: &Env, wanted: Access) -> Result<Counterexample, String> {
        let Comparison { old, new, .. } = self.comparison;
        let decided = |Readable { principal, request }: &Readable| {
            let decide = |bench: &TestBench| bench.gate().is_authorized(principal, request).ok();
            Some((decide(old.bench)?, decide(new.bench)?))
        };
        let holds = |readable: &Readable| {
            decided(readable).is_some_and(|(before, after)| match wanted {
                Access::Gained => !before.is_allowed() && after.is_allowed(),
                Access::Lost => before.is_allowed() && !after.is_allowed(),
                Access::Same => before == after,
            })
        };
        let benches = [old.bench, new.bench];
        let examples =
            Examples { environment: self.environment, benches: &benches, schema: self.plain_schema() };
        let Example { request, told } = examples.example(env, holds)?;
        let readable = super::request::read(&request).ok_or("the example cannot be read")?;
        let (before, after) = decided(&readable).ok_or("the example cannot be decided")?;
        let names = |policies: Vec<cedar_authorizer::cedar::PolicyId>| {
            policies.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        Ok(Counterexample {
            access: wanted,
            told,
            policies_before: names(before.policies),
            policies_after: names(after.policies),
            request,
        })
    }

    /// The schema as the store has it.
    fn plain_schema(&self) -> &Schema {
        let Comparison { old, new, .. } = self.comparison;
        let store = if std::ptr::eq(self.schema, &old.schema) { old } else { new };
        store.bench.store().schema.as_ref().unwrap_or(self.schema)
    }
}

/// The permits that only one side has, if both sides forbid the same. `None`: they do not, or share no permit.
fn differing_permits<'p>(
    old: &[&'p ProvablePolicy],
    new: &[&'p ProvablePolicy],
) -> Option<(Vec<&'p ProvablePolicy>, Vec<&'p ProvablePolicy>)> {
    let texts = |slice: &[&'p ProvablePolicy], effect: Effect| -> BTreeSet<String> {
        let policies = slice.iter().filter(|policy| policy.effect == effect);
        policies.map(|policy| policy.condition.to_string()).collect()
    };
    let (of_old, of_new) = (texts(old, Effect::Permit), texts(new, Effect::Permit));
    if texts(old, Effect::Forbid) != texts(new, Effect::Forbid) || of_old.is_disjoint(&of_new) {
        return None;
    }
    let only = |slice: &[&'p ProvablePolicy], others: &BTreeSet<String>| -> Vec<&'p ProvablePolicy> {
        let is_only = |policy: &&&ProvablePolicy| {
            policy.effect == Effect::Permit && !others.contains(&policy.condition.to_string())
        };
        slice.iter().filter(is_only).copied().collect()
    };
    Some((only(old, &of_new), only(new, &of_old)))
}

/// What is known of a part, if that settles it, otherwise what is known of the whole.
fn settled(of_part: Finding, of_whole: Finding) -> Finding {
    if matches!(of_part, Finding::Undecided { .. }) { of_whole } else { of_part }
}

impl Findings {
    /// Whether nothing is left open.
    fn is_settled(&self) -> bool {
        let is_open = |finding: &Finding| matches!(finding, Finding::Undecided { .. });
        !is_open(&self.more) && !is_open(&self.less)
    }

    fn undecided(why: &str) -> Self {
        let undecided = || Finding::Undecided { why: why.to_owned() };
        Self { more: undecided(), less: undecided() }
    }

    /// The same, with nothing proved.
    fn without_proofs(self, why: &str) -> Self {
        let doubted = |finding| match finding {
            Finding::Proved => Finding::Undecided { why: why.to_owned() },
            other => other,
        };
        Self { more: doubted(self.more), less: doubted(self.less) }
    }
}

/// 128 bits, in hexadecimal digits.
const FINGERPRINT: usize = 32;
