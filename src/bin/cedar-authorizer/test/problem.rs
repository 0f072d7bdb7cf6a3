//! What is wrong with a test file.

use std::cell::{Cell, RefCell};
use std::fmt::Display;

use crate::output::{ERROR, HINT, paint, printable};
use crate::yaml::{self, Place};

/// What is wrong with a test file, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the person who runs the tests would name it.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// The problem for people.
    pub fn shown(&self) -> String {
        let Self { file, place, message, hint } = self;
        let message = printable(message);
        let hint = hint.iter().map(|hint| format!("\n  {} {}", paint(HINT, "help:"), printable(hint)));
        format!(
            "{}: {message}\n  {} {}:{place}{}",
            paint(ERROR, "error"),
            paint(HINT, "-->"),
            printable(file),
            hint.collect::<String>()
        )
    }
}

/// The problems of one file.
#[derive(Debug)]
pub struct Problems {
    file: String,
    found: RefCell<Vec<Problem>>,
    /// How many cases the file may still have.
    room: Cell<usize>,
}

impl Problems {
    /// No problems yet. `room` is how many cases the file may have.
    pub fn new(file: &str, room: usize) -> Self {
        Self { file: file.to_owned(), found: RefCell::default(), room: Cell::new(room) }
    }

    /// Takes room for so many cases. `false`: there is not enough.
    pub fn take_room(&self, cases: usize) -> bool {
        let left = self.room.get().checked_sub(cases);
        self.room.set(left.unwrap_or_default());
        left.is_some()
    }

    /// Adds a problem.
    pub fn add(&self, place: Place, message: impl Display) {
        self.push(place, message, None);
    }

    /// Adds a problem with advice.
    pub fn add_with(&self, place: Place, message: impl Display, hint: impl Into<String>) {
        self.push(place, message, Some(hint.into()));
    }

    /// Adds what the YAML parser found.
    pub fn add_yaml(&self, problem: yaml::Problem) {
        self.add(problem.place, problem.message);
    }

    /// All problems, in the order of their places.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.place);
        found.dedup();
        found
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.borrow().len()
    }

    fn push(&self, place: Place, message: impl Display, hint: Option<String>) {
        let (file, message) = (self.file.clone(), message.to_string());
        self.found.borrow_mut().push(Problem { file, place, message, hint });
    }
}
