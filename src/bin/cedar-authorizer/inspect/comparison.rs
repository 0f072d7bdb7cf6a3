//! The differences between two bundles.

use cedar_authorizer::bundle::signature::{KeyId, PublicKeys, SignatureStatus};
use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys, Trust};
use serde_json::{Value, json};

use super::report::signers;
use super::source::Source;
use crate::changes::Changes;
use crate::output::{Failure, HINT, OutputFormat, SUCCESS, WARNING, many, paint, plural, print, printable};
use crate::publish::signatures;

/// Two bundles, and how they differ.
pub struct Comparison<'a> {
    old: Side<'a>,
    new: Side<'a>,
    changes: Changes,
}

/// One of the two bundles.
struct Side<'a> {
    source: &'a Source,
    bundle: Bundle,
    signatures: Vec<(KeyId, SignatureStatus)>,
}

impl<'a> Comparison<'a> {
    /// One of the keys in `trusted` must have signed each bundle. Without `trusted`, signatures are not checked.
    pub fn between(
        (old, old_bytes): (&'a Source, Vec<u8>),
        (new, new_bytes): (&'a Source, Vec<u8>),
        trusted: Option<&PublicKeys>,
    ) -> Result<Self, Failure> {
        let (old, new) = (Side::open(old, old_bytes, trusted)?, Side::open(new, new_bytes, trusted)?);
        let changes = Changes::between(Some(&old.bundle), &new.bundle).map_err(Failure::invalid)?;
        Ok(Self { old, new, changes })
    }

    /// Whether any file differs. Differences in the manifest alone, such as the revision, do not count.
    pub fn is_different(&self) -> bool {
        !self.changes.is_empty()
    }

    pub fn print(&self, format: OutputFormat) -> Result<(), Failure> {
        match format {
            OutputFormat::Json => print(&format_args!(
                "{:#}",
                json!({
                    "old": self.old.identity(),
                    "new": self.new.identity(),
                    "status": if self.is_different() { "different" } else { "same" },
                    "changes": self.changes,
                })
            )),
            OutputFormat::Human => self.print_human(),
        }
    }

    fn print_human(&self) -> Result<(), Failure> {
        for (age, Side { source, bundle, signatures }) in [("old", &self.old), ("new", &self.new)] {
            let manifest = bundle.manifest();
            let tenant = manifest.tenant.as_ref().map(|tenant| format!(", for the tenant {tenant}"));
            print(&format_args!(
                "{} {} revision {}, Cedar {}{}, {}, signed by {}: {}",
                paint(HINT, age),
                printable(&manifest.name),
                manifest.revision,
                printable(&manifest.cedar_version),
                tenant.unwrap_or_default(),
                plural(bundle.files().len(), "file"),
                signers(signatures),
                printable(&source.to_string()),
            ))?;
        }
        self.changes.lines().iter().try_for_each(|line| print(&format_args!("  {}", printable(line))))?;
        let files = plural(self.changes.count_of_files(), "file");
        let policies = many(self.changes.count_of_policies(), "policy", "policies");
        if self.is_different() {
            print(&paint(WARNING, &format!("different: {files}, {policies}")))
        } else {
            print(&format_args!("{}: every file and policy", paint(SUCCESS, "the same")))
        }
    }
}

impl<'a> Side<'a> {
    /// Opens one of the bundles. If it cannot be opened, it is not compared, because nobody knows what it would do.
    /// An expired bundle is compared: it should be possible to see what comes after it.
    fn open(source: &'a Source, bytes: Vec<u8>, trusted: Option<&PublicKeys>) -> Result<Self, Failure> {
        let trusted = source.trusted(trusted);
        let trust = Trust { development_keys: DevelopmentKeys::Allow, public_keys: trusted };
        let survey = bundle::survey(&bytes);
        let signatures = survey.check_signatures(trusted);
        let bundle = Bundle::open(bytes, trust).map_err(|error| {
            let problem = match survey.problems.first() {
                Some(problem) => problem.to_string(),
                None => error.to_string(),
            };
            // Each finding has a line of its own.
            let lines: Vec<String> = problem.lines().map(printable).collect();
            Failure::invalid(format_args!("`{source}` cannot be used: {}", lines.join("\n")))
                .hint(format!("`cedar-authorizer inspect {source}` shows all that is wrong with it"))
        })?;
        Ok(Self { source, bundle, signatures })
    }

    fn identity(&self) -> Value {
        let manifest = self.bundle.manifest();
        json!({
            "bundle": self.source.to_string(),
            "name": manifest.name,
            "tenant": manifest.tenant,
            "revision": manifest.revision,
            "signatures": signatures(&self.signatures),
            "cedarVersion": manifest.cedar_version,
        })
    }
}
