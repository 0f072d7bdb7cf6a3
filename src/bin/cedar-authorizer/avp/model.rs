//! The shapes of the API: what each operation takes, answers and refuses.
//!
//! The table is compared with the model of the AWS SDK for Python in [`tests`]. A request is checked against it before
//! any handler sees it, so handlers trust shapes and look only at meaning.
//!
//! Source: the API reference of Verified Permissions, version 2021-12-01; Smithy, "Constraint traits".

mod authorization;
mod check;
mod identity_sources;
mod operations;
mod policies;
mod stores;
#[cfg(test)]
mod tests;
mod text;
mod values;

pub use check::check;

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name, as in `X-Amz-Target`.
    pub name: &'static str,
    /// The members of its input.
    pub input: Structure,
    /// The members of its output.
    #[cfg_attr(not(test), expect(dead_code, reason = "the comparison with the SDK's model reads it"))]
    pub output: Structure,
    /// Its errors other than [`COMMON_ERRORS`].
    #[cfg_attr(not(test), expect(dead_code, reason = "the comparison with the SDK's model reads it"))]
    pub errors: &'static [&'static str],
}

/// The members of a structure or a union.
#[derive(Clone, Copy, Debug)]
pub struct Structure {
    /// Each with its name.
    pub members: &'static [Member],
}

/// A member of a structure or a union.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether it may be absent.
    pub presence: Presence,
}

/// Whether a member may be absent. `null` is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It may be absent.
    Optional,
    /// It may not.
    Required,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `true` or `false`.
    Boolean,
    /// An integer of 32 bits, not below this.
    Integer { min: i32 },
    /// A list of values of one shape.
    List(&'static List),
    /// An integer of 64 bits.
    Long,
    /// An object with any keys, and values of one shape.
    Map(&'static Map),
    /// An object with these members.
    Structure(&'static Structure),
    /// A string.
    Text(Text),
    /// A moment, as ISO 8601. Only answers have it.
    Timestamp,
    /// An object with exactly one of these members.
    Union(&'static Structure),
}

/// A list.
#[derive(Debug)]
pub struct List {
    /// What it holds.
    pub element: Shape,
    /// How many of them.
    pub length: Length,
}

/// A map.
#[derive(Debug)]
pub struct Map {
    /// Its keys.
    pub key: Text,
    /// Its values.
    pub value: Shape,
    /// How many of them.
    pub length: Length,
}

/// A string.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// How many Unicode code points it has.
    pub length: Length,
    /// A regular expression that all of it matches.
    pub pattern: Option<&'static str>,
    /// The strings that it may be. Empty: any.
    pub values: &'static [&'static str],
}

/// How long a string, list or map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// At least this.
    pub min: usize,
    /// At most this.
    pub max: Option<usize>,
}

/// Errors that every operation may answer with.
#[cfg_attr(not(test), expect(dead_code, reason = "the comparison with the SDK's model reads it"))]
pub const COMMON_ERRORS: &[&str] =
    &["AccessDeniedException", "InternalServerException", "ThrottlingException", "ValidationException"];

impl Structure {
    const fn of(members: &'static [Member]) -> Self {
        Self { members }
    }
}

impl Length {
    /// Any length.
    const ANY: Self = Self { min: 0, max: None };

    const fn at_least(min: usize) -> Self {
        Self { min, max: None }
    }

    const fn between(min: usize, max: usize) -> Self {
        Self { min, max: Some(max) }
    }
}

impl Text {
    /// Any string.
    const ANY: Self = Self { length: Length::ANY, pattern: None, values: &[] };

    const fn of_length(length: Length) -> Self {
        Self { length, ..Self::ANY }
    }

    const fn matching(length: Length, pattern: &'static str) -> Self {
        Self { length, pattern: Some(pattern), values: &[] }
    }

    const fn one_of(values: &'static [&'static str]) -> Self {
        Self { values, ..Self::ANY }
    }
}

const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, presence: Presence::Required }
}

const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, presence: Presence::Optional }
}
