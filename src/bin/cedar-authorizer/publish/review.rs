//! The review of a publication: what it changes, compared with what was agreed to.

use std::path::Path;

use cedar_authorizer::bundle::{Bundle, StoreFiles};
use cedar_authorizer::store::Store;
use cedar_authorizer::store::publish::Companion;
use serde_json::Value;

use super::past::{Past, Replaced};
use super::shelf_failure;
use crate::diff::EvidenceArgs;
use crate::diff::agreement::Agreement;
use crate::diff::human::human;
use crate::diff::report::{Judged, Report};
use crate::diff::side::{self, Folder, Identity, ReadSide};
use crate::output::{ERROR, Failure, HINT, paint, plural, printable, warn};
use crate::test_bench::Personas;

/// How a publication is reviewed.
pub struct Review<'a> {
    pub past: &'a Past<'a>,
    pub evidence: &'a EvidenceArgs,
    /// `None`: nothing was agreed to.
    pub agreement: Option<&'a Agreement>,
    /// Whether nothing is published unless this agrees.
    pub is_required: bool,
}

/// Where the content of a publication is from.
pub enum Candidate<'a> {
    /// A policy store.
    Directory(&'a Path),
    /// An earlier revision. It has no personas and no tests.
    Rollback { name: String },
}

/// A publication that was reviewed.
pub struct Reviewed<'a> {
    judged: Judged,
    past: &'a Past<'a>,
}

impl<'a> Review<'a> {
    /// Compares what would be published with what it replaces.
    ///
    /// # Errors
    /// There is something in S3 that cannot be compared, or a view could not be made.
    pub fn of(
        &self,
        replaced: Option<&Replaced>,
        candidate: Candidate<'_>,
        (store, files): (Store, StoreFiles),
        (bytes, bundle): (&[u8], &Bundle),
    ) -> Result<Reviewed<'a>, Failure> {
        let trusted = self.past.trust.public_keys;
        let (name, folder) = match candidate {
            Candidate::Directory(path) => (path.display().to_string(), Some(path)),
            Candidate::Rollback { name } => (name, None),
        };
        let mut new = ReadSide::of_bundle(name, bytes, (store, files), bundle.clone(), trusted);
        if let Some(path) = folder {
            new.personas = Some(Personas::read(path)?);
            new.folder = Some(Folder::Given(path.to_owned()));
        }
        let report = match self.old(replaced)? {
            Some(old) => {
                let (old, new) = side::pair(old, new)?;
                Report::compare(&old, &new, &self.evidence.questions())?
            }
            None => Report::of_first(new.identity),
        };
        Ok(Reviewed { judged: report.judge(self.agreement), past: self.past })
    }

    /// The bundle that is replaced. `None`: there never was one.
    fn old(&self, replaced: Option<&Replaced>) -> Result<Option<ReadSide>, Failure> {
        let shelf = self.past.shelf;
        let uri = shelf.uri();
        let Some(replaced) = replaced else {
            let earlier = self.past.runtime.block_on(shelf.revisions()).map_err(shelf_failure)?;
            // Whoever removes the current bundle must not make this the first one.
            return match earlier.first().filter(|_| self.is_required) {
                None => Ok(None),
                Some(newest) => {
                    let message = format!("there is no bundle at `{uri}`, but there were revisions");
                    Err(Failure::could_not_run(message).hint(format!(
                        "bring back the last one: aws s3 cp {uri}.{newest} {uri}; or publish without --require diff"
                    )))
                }
            };
        };
        if replaced.bundle.is_none() {
            let message = format!("what is at `{uri}` cannot be opened, so nothing can be compared with it");
            return Err(Failure::invalid(message).hint("publish without --require and --report"));
        }
        side::open_bundle(&uri, replaced.object.bytes.to_vec(), self.past.trust.public_keys).map(Some)
    }
}

impl Reviewed<'_> {
    /// How many changes were not agreed to.
    pub fn open(&self) -> usize {
        self.judged.open()
    }

    /// The report for people.
    pub fn human(&self) -> String {
        human(&self.judged)
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        self.judged.json()
    }

    /// The report for programs about this bundle, which may have got another number than expected.
    ///
    /// # Errors
    /// The bundle cannot be opened.
    pub fn report_of(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let bundle = Bundle::open(bytes.to_vec(), self.past.trust).map_err(|error| error.to_string())?;
        let name = self.judged.report.new.name.clone();
        let new = Identity::of_bundle(name, bytes, &bundle, self.past.trust.public_keys);
        let mut judged = self.judged.clone();
        judged.report.new = new;
        Ok(format!("{:#}\n", judged.json()).into_bytes())
    }

    /// The report as it is stored beside the bundle.
    pub fn companion(&self) -> Companion<'_> {
        Companion {
            suffix: ".diff.json",
            content_type: "application/json",
            make: Box::new(|_, bytes| self.report_of(bytes)),
        }
    }
}

/// Says that nothing was published, and how to agree.
pub fn refuse(uri: &str, store: &str, open: usize) {
    let was = if open == 1 { "was" } else { "were" };
    let changes = plural(open, "change");
    warn(&format_args!(
        "{}: {changes} {was} not agreed to, so nothing was published",
        paint(ERROR, "refused")
    ));
    let hint = format!("cedar-authorizer diff {uri} {} --format agreement > agreed.txt", printable(store));
    warn(&format_args!("  {} if that is meant: {hint}, then --allow-only agreed.txt", paint(HINT, "help:")));
}
