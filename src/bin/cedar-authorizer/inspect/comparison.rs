//! What differs between two bundles.

use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys};
use serde_json::{Value, json};

use super::source::Source;
use crate::changes::Changes;
use crate::output::{Failure, Format, HINT, SUCCESS, WARNING, many, paint, plural, print, printable};

/// Two bundles, and what differs.
pub struct Comparison<'a> {
    old: (&'a Source, Bundle),
    new: (&'a Source, Bundle),
    changes: Changes,
}

impl<'a> Comparison<'a> {
    pub fn of(old: &'a Source, old_bytes: &[u8], new: &'a Source, new_bytes: &[u8]) -> Result<Self, Failure> {
        let (old, new) = ((old, open(old, old_bytes)?), (new, open(new, new_bytes)?));
        let changes = Changes::between(Some(&old.1), &new.1).map_err(Failure::invalid)?;
        Ok(Self { old, new, changes })
    }

    /// Whether a file is different. What only the manifest says, such as the revision, does not count.
    pub fn is_different(&self) -> bool {
        !self.changes.is_empty()
    }

    pub fn print(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Json => print(&format_args!(
                "{:#}",
                json!({
                    "old": identity(&self.old),
                    "new": identity(&self.new),
                    "status": if self.is_different() { "different" } else { "same" },
                    "changes": self.changes,
                })
            )),
            Format::Human => self.print_human(),
        }
    }

    fn print_human(&self) -> Result<(), Failure> {
        for (age, (source, bundle)) in [("old", &self.old), ("new", &self.new)] {
            let manifest = bundle.manifest();
            print(&format_args!(
                "{} {} revision {}, Cedar {}, {}: {}",
                paint(HINT, age),
                printable(&manifest.name),
                manifest.revision,
                printable(&manifest.cedar_version),
                plural(manifest.members.len(), "file"),
                printable(&source.to_string()),
            ))?;
        }
        self.changes.lines().iter().try_for_each(|line| print(&format_args!("  {}", printable(line))))?;
        let files = plural(self.changes.count_of_files(), "file");
        let policies = many(self.changes.count_of_policies(), "policy", "policies");
        match self.is_different() {
            true => print(&paint(WARNING, &format!("different: {files}, {policies}"))),
            false => print(&format_args!("{}: every file and policy", paint(SUCCESS, "the same"))),
        }
    }
}

/// A bundle that cannot be used is not compared: what it would do is not known.
fn open(source: &Source, bytes: &[u8]) -> Result<Bundle, Failure> {
    Bundle::open(bytes.to_vec(), DevelopmentKeys::Allow).map_err(|error| {
        let problems = bundle::survey(bytes).problems;
        let problem = match problems.first() {
            Some(problem) => problem.to_string(),
            None => error.to_string(),
        };
        // Findings have lines of their own.
        let lines: Vec<String> = problem.lines().map(printable).collect();
        Failure::invalid(format_args!("`{source}` cannot be used: {}", lines.join("\n")))
            .hint(format!("`cedar-authorizer inspect {source}` shows all that is wrong with it"))
    })
}

fn identity((source, bundle): &(&Source, Bundle)) -> Value {
    let manifest = bundle.manifest();
    json!({
        "bundle": source.to_string(),
        "name": manifest.name,
        "revision": manifest.revision,
        "cedarVersion": manifest.cedar_version,
    })
}
