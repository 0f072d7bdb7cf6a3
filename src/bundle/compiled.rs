//! The compiled part of a bundle: what follows from the store alone and takes too long to work out in a
//! cold start.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::grant::Separation;
use crate::inputs::Input;
use crate::store::Store;

/// The member that has it.
pub(super) const FILE: &str = "compiled/routes.json";

/// What is worked out when a bundle is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compiled {
    /// For each route, in the order of the route table, what its policies read of a call.
    pub(super) reads: Vec<BTreeSet<Input>>,
    /// How the routes are told apart. `None`: they overlap in too many ways.
    pub(super) separation: Option<Separation>,
}

impl Compiled {
    pub(super) fn of(store: &Store) -> Self {
        let routes = store.routes.routes();
        Self {
            reads: store.reads.clone(),
            separation: Separation::of(routes, store.settings.is_complete).ok(),
        }
    }

    /// Whether it can be of a store with so many routes.
    pub(super) fn fits(&self, routes: usize) -> bool {
        let names_known = self.separation.as_ref().is_none_or(|separation| separation.fits(routes));
        self.reads.len() == routes && names_known
    }
}
