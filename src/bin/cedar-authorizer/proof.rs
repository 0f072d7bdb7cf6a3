//! Proofs: what holds for every possible request, by Cedar's symbolic compiler and a solver.
//!
//! What a proof says is here; how it is made is behind the feature `prove`.

#[cfg(feature = "prove")]
mod comparison;
#[cfg(feature = "prove")]
mod example;
#[cfg(feature = "prove")]
mod existence;
#[cfg(feature = "prove")]
mod expression;
#[cfg(feature = "prove")]
mod facts;
#[cfg(feature = "prove")]
pub mod policies;
#[cfg(feature = "prove")]
pub mod property;
#[cfg(feature = "prove")]
mod request;
#[cfg(feature = "prove")]
mod schemas;
#[cfg(feature = "prove")]
mod shrink;
#[cfg(feature = "prove")]
pub mod solver;
#[cfg(feature = "prove")]
mod told;
#[cfg(feature = "prove")]
mod workers;

use serde::Serialize;
use serde_json::Value;

use crate::access::Access;
#[cfg(feature = "prove")]
pub use comparison::compare;
#[cfg(not(feature = "prove"))]
use {crate::output::Failure, crate::test_bench::TestBench};

/// How a solver is asked.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "prove"), expect(dead_code, reason = "without the feature nothing is proved"))]
pub struct Settings {
    /// How long it may think about one question, in seconds.
    pub seconds_per_query: u32,
}

/// What two stores allow, compared for every possible request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The solver, as it names itself: `cvc5 1.3.1`.
    pub solver: String,
    /// A request environment each, sorted.
    pub actions: Vec<ActionProof>,
    /// What was not asked because nothing can be said of it, e.g. an action that only one store has.
    pub notes: Vec<String>,
}

/// One request environment of the schema.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionProof {
    /// `PetStore::User`.
    pub principal_type: String,
    /// `PetStore::Action::"get /pets/{petId}"`.
    pub action: String,
    /// `PetStore::Application`.
    pub resource_type: String,
    /// A hash of the policies of both stores that this is about. Whoever agrees to a change has seen these and no others.
    pub policies: String,
    /// Whether something is allowed that was not.
    pub more: Finding,
    /// Whether something is not allowed that was.
    pub less: Finding,
}

/// What is known about one direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[cfg_attr(not(feature = "prove"), expect(dead_code, reason = "without the feature nothing is proved"))]
pub enum Finding {
    /// No request at all.
    Proved,
    /// This one, which was decided by both stores.
    Shown { example: Box<Counterexample> },
    /// Nothing: why, e.g. `the solver did not finish within 10 s`.
    Undecided { why: String },
}

/// A request that shows a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counterexample {
    pub access: Access,
    /// In words, a line each: who, with which claims and groups, when, from where.
    pub told: Vec<String>,
    /// The policies that determine the decision before.
    pub policies_before: Vec<String>,
    /// And now.
    pub policies_after: Vec<String>,
    /// The request in the form of docs/decision-log.md, "The Cedar request".
    pub request: Value,
}

/// A policy alone that is true of what the condition is true of.
#[cfg(feature = "prove")]
fn pattern_policy(condition: &Value) -> Result<cedar_authorizer::cedar::PolicySet, String> {
    policies::policy_set([condition.clone()].into_iter())
}

/// Why something cannot be part of a proof.
#[cfg(feature = "prove")]
fn in_words(error: &cedar_policy_symcc::err::Error) -> String {
    match error {
        cedar_policy_symcc::err::Error::PolicyNotWellTyped { errs } => {
            let first = errs.first().map(ToString::to_string).unwrap_or_default();
            format!("it does not fit the schema here: {first}")
        }
        other => other.to_string(),
    }
}

/// Compares two stores.
///
/// # Errors
/// This program cannot.
#[cfg(not(feature = "prove"))]
pub fn compare(_old: &TestBench, _new: &TestBench, _settings: &Settings) -> Result<Proof, Failure> {
    Err(unavailable())
}

/// What a program says that was built without the feature.
#[cfg(not(feature = "prove"))]
pub fn unavailable() -> Failure {
    let failure = Failure::could_not_run("this program was built without the feature `prove`");
    failure
        .hint("build one that has it: `cargo install --git URL --locked cedar-authorizer --features prove`")
}

#[cfg(feature = "prove")]
#[cfg(test)]
mod tests;
