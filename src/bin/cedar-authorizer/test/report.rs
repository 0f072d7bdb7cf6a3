//! The report of a run, in several forms.

mod coverage_page;
mod human;
mod json;
mod junit;

pub use coverage_page::coverage_page;
pub use human::{Style, human};
pub use json::json;
pub use junit::junit;

use super::case::Case;
use super::coverage::Coverage;
use super::run::CaseResult;

/// Everything that a run has to tell.
pub struct Report<'a> {
    /// The policy store, as it was given.
    pub store: String,
    /// The cases that were run, with what became of them, in the order of the files.
    pub cases: Vec<(&'a Case, &'a CaseResult)>,
    /// How many cases were not run, because one before them failed.
    pub not_run: usize,
    /// How many cases were left out by the filter.
    pub left_out: usize,
    /// What was tried of the store, if that was asked for.
    pub coverage: Option<Coverage>,
}

impl Report<'_> {
    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|(_, result)| !result.is_passed()).count()
    }
}
