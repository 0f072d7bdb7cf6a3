//! Which policies have one [shape](super::shape), and what is known of each shape.

use std::collections::HashMap;

use cedar_policy::{Policy, PolicyId, Template};
use rayon::prelude::*;
use serde_json::Value;

use super::StorePolicies;
use super::facts::Facts;
use super::shape::{Enumerated, shape};

/// The shapes of static policies and templates.
#[derive(Default)]
pub(super) struct Shapes {
    numbers: HashMap<PolicyId, usize>,
    /// By the numbers of shapes. `None`: Cedar cannot write it as JSON.
    facts: Vec<Option<Facts>>,
}

/// A policy with a text of its own.
#[derive(Clone, Copy)]
enum WithText<'a> {
    Static(&'a Policy),
    Template(&'a Template),
}

impl Shapes {
    pub(super) fn of(policies: &StorePolicies<'_>, enumerated: &Enumerated) -> Self {
        let templates = policies.set.templates().map(WithText::Template);
        let all: Vec<WithText<'_>> = policies.set.policies().map(WithText::Static).chain(templates).collect();
        let shape = |policy: &WithText<'_>| Some(shape(policies.cedar_text(policy.id())?, enumerated));
        let shapes: Vec<Option<String>> = all.par_iter().map(shape).collect();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut first: Vec<WithText<'_>> = Vec::new();
        let mut numbers = HashMap::with_capacity(all.len());
        for (policy, shape) in all.into_iter().zip(shapes) {
            let mut new = || {
                first.push(policy);
                first.len() - 1
            };
            let number = match shape {
                Some(shape) => *known.entry(shape).or_insert_with(new),
                None => new(),
            };
            numbers.insert(policy.id().clone(), number);
        }
        drop(known);
        let facts = first.par_iter().map(|policy| Some(Facts::of(&policy.json()?))).collect();
        Self { numbers, facts }
    }

    /// What is known of all shapes.
    pub(super) fn facts(&self) -> impl Iterator<Item = &Facts> {
        self.facts.iter().flatten()
    }

    /// The same, by their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = Option<&Facts>> {
        self.facts.iter().map(Option::as_ref)
    }

    /// The static policies and templates, each with the number of its shape.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&PolicyId, usize)> {
        self.numbers.iter().map(|(id, number)| (id, *number))
    }

    pub(super) fn number(&self, policy: &PolicyId) -> Option<usize> {
        self.numbers.get(policy).copied()
    }

    pub(super) fn of_policy(&self, policy: &PolicyId) -> Option<&Facts> {
        self.facts.get(self.number(policy)?)?.as_ref()
    }
}

impl<'a> WithText<'a> {
    fn id(self) -> &'a PolicyId {
        match self {
            Self::Static(policy) => policy.id(),
            Self::Template(template) => template.id(),
        }
    }

    fn json(self) -> Option<Value> {
        match self {
            Self::Static(policy) => policy.to_json().ok(),
            Self::Template(template) => template.to_json().ok(),
        }
    }
}
