//! The API that a store is made for, whatever it was read from.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::text;
use crate::description::{Description, IdentityProvider, Operation, Problem, ProblemKind, WrittenPath};
use crate::output::{self, Failure, HINT, WARNING, paint, warn};
use crate::progress;

/// What is known of an API.
pub struct Api {
    /// What it calls itself; may be empty.
    pub title: String,
    /// What it was read from, for people.
    pub origin: String,
    /// Its operations.
    pub operations: Vec<Operation>,
    /// Its paths as they are written.
    pub written: Vec<WrittenPath>,
    /// Who issues the tokens for it.
    pub providers: Vec<IdentityProvider>,
    /// Whether it has other routes.
    pub extent: Extent,
    /// What was left out, and what is suspicious.
    pub problems: Vec<Problem>,
}

/// Whether an API has routes that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It has none: what was read defines the API.
    Whole,
    /// It may have some.
    Unknown,
}

impl Api {
    /// Reads an OpenAPI document from a file.
    pub fn of_openapi(path: &Path) -> Result<Self, Failure> {
        let content = read(path)?;
        Self::of_description(&content, &path.display().to_string(), Extent::Unknown)
    }

    /// Reads an OpenAPI document. `extent`: what is known of it beforehand.
    pub fn of_description(content: &[u8], origin: &str, extent: Extent) -> Result<Self, Failure> {
        let message = format!("reading `{}`, {} KiB", text::comment(origin), content.len().div_ceil(1024));
        let read = progress::during(message, || Description::read(content));
        let description = read.map_err(|error| {
            let message = output::printable(&error.message);
            let origin = output::printable(origin);
            Failure::could_not_run(format_args!("`{origin}`, {}: {message}", error.place))
                .hint("`--openapi` takes OpenAPI 3.0 or 3.1, or Swagger 2.0, as JSON or YAML")
        })?;
        // Who writes API Gateway's extensions into a document imports it.
        let is_source = description.has_extensions || extent == Extent::Whole;
        let extent = if is_source && !description.is_partial() { Extent::Whole } else { Extent::Unknown };
        let Description { title, operations, written, identity_providers: providers, problems, .. } =
            description;
        Ok(Self { title, origin: origin.to_owned(), operations, written, providers, extent, problems })
    }

    /// Shows what was left out, and what is suspicious.
    pub fn show_problems(&self) {
        for Problem { place, kind, message } in self.problems.iter().take(MAX_SHOWN) {
            let what = match kind {
                ProblemKind::LeftOut => "left out",
                ProblemKind::Suspicious => "warning",
            };
            let (what, arrow) = (paint(WARNING, what), paint(HINT, "-->"));
            let (message, origin) = (output::printable(message), output::printable(&self.origin));
            warn(&format_args!("{what}: {message}\n  {arrow} {origin}:{place}"));
        }
        if let Some(more) = self.problems.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            warn(&format_args!("... and {more} more"));
        }
    }

    /// How many things were left out.
    pub fn left_out(&self) -> usize {
        self.problems.iter().filter(|problem| problem.kind == ProblemKind::LeftOut).count()
    }
}

/// Reads a file, which may also be a pipe.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let unreadable = |error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}"));
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= MAX_BYTES) {
        Ok(content)
    } else {
        Err(Failure::could_not_run(format_args!("`{name}` has more than {} MiB", MAX_BYTES >> 20)))
    }
}

/// The largest descriptions have some 20 MB.
pub const MAX_BYTES: u64 = 128 << 20;

/// More would push what matters off the screen.
const MAX_SHOWN: usize = 50;
