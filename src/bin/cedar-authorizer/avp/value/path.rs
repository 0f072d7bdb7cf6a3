//! Where in a request a value is.

use std::fmt;

use crate::avp::error::ServiceError;

/// A member of a request, with dots between levels: `requests.0.context.contextMap.ip`. It is written only if
/// something is wrong there.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Member(&'a str),
    Element(usize),
}

impl<'a> Path<'a> {
    /// A member of the request itself.
    pub const fn of(member: &'a str) -> Self {
        Self { parent: None, step: Step::Member(member) }
    }

    /// A member of what is here.
    pub fn then(&'a self, member: &'a str) -> Path<'a> {
        Self { parent: Some(self), step: Step::Member(member) }
    }

    /// An element of the list that is here.
    pub fn at(&'a self, element: usize) -> Path<'a> {
        Self { parent: Some(self), step: Step::Element(element) }
    }

    /// What the client is told if something is wrong here.
    pub fn invalid(&self, message: impl fmt::Display) -> ServiceError {
        ServiceError::invalid(self.to_string(), message)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        match self.step {
            Step::Member(name) => f.write_str(name),
            Step::Element(number) => write!(f, "{number}"),
        }
    }
}
