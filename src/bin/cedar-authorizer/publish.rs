//! `publish`: puts a new revision of the bundle into S3.

mod past;
mod review;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use cedar_authorizer::bundle::signature::{KeyId, PublicKeys, SignatureStatus};
use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys, MAX_REVISION, Trust};
use cedar_authorizer::function::source::BundleUri;
use cedar_authorizer::store;
use cedar_authorizer::store::publish::{Attempt, NotPublished, Progress, Published, Shelf, ShelfFailure};
use clap::{Args, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::build;
use crate::changes::Changes;
use crate::diff::agreement::Agreement;
use crate::diff::{EvidenceArgs, write_file};
use crate::edition::{self, EditionArgs};
use crate::output::{Exit, Failure, HINT, OutputFormat, SUCCESS, paint, print, warn};
use crate::progress;
use crate::runtime::runtime;
use crate::store::StoreArgs;
use crate::trust::TrustArgs;
use past::{Owner, Past};
use review::{Candidate, Review, Reviewed};

/// Publish a new revision of the bundle to S3
///
/// Checks the store, gives it the revision after the current one, and replaces the current one only if nobody else
/// did so in the meantime. If two publish at once, one of them is refused and overwrites nothing. Every revision is
/// kept as `<key>.<revision>`, where --rollback finds it. If interrupted, either the old or the new bundle stays in
/// place. Run it again to continue.
///
/// With --sign-key, --public-keys or BUNDLE_PUBLIC_KEYS, one of these keys must have signed the bundles in S3 that
/// count: the current one, and that of a rollback. Without any, signatures are not checked.
///
/// With --require diff, what would be published is compared with the current bundle, as `diff` does. If access changes
/// in a way that --allow-only does not agree to, nothing is published. --report keeps the comparison in a file, and in S3
/// as `<key>.<revision>.diff.json`. With --rollback there are no personas and no tests.
///
/// Endpoint, region and credentials are set as for every AWS SDK: AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID,
/// AWS_ENDPOINT_URL_S3 and so on. This needs s3:GetObject, s3:PutObject and s3:AbortMultipartUpload on the key and on
/// `<key>.*`, and s3:ListBucket on the bucket.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer publish --to s3://bucket/petstore.bundle --dry-run
  cedar-authorizer publish --to s3://bucket/petstore.bundle
  cedar-authorizer publish --to s3://bucket/petstore.bundle --sign-key bundle-key.pem
  cedar-authorizer publish --to s3://bucket/petstore.bundle --sign-key bundle-key.pem --rollback 41
  cedar-authorizer publish --to s3://bucket/acme.bundle --sign-key bundle-key.pem --tenant acme
  cedar-authorizer publish --to s3://bucket/petstore.bundle --require diff --allow-only agreed.txt --report diff.json
  cedar-authorizer publish --to s3://bucket/petstore.bundle --format json

Exit codes: 0 published, or nothing to publish; 1 could not run, or somebody else published at the
same time; 2 with --require diff: access changes in a way that was not agreed to; 3 invalid store or
bundle")]
pub struct Publish {
    #[command(flatten)]
    store: StoreArgs,

    /// Where the bundle is, for functions with this BUNDLE_URI
    #[arg(long, value_name = "s3://BUCKET/KEY", value_parser = destination)]
    to: Destination,

    /// Publish the content of an earlier revision again, under a new number
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u64).range(..=MAX_REVISION),
        conflicts_with_all = ["store", "pin_jwks"]
    )]
    rollback: Option<u64>,

    /// Do everything except write, and say what would be published
    #[arg(long)]
    dry_run: bool,

    /// Publish an unchanged store, or replace another store or a bundle that cannot be opened
    ///
    /// With trusted keys, even this makes no rollback to a bundle that none of them signed.
    #[arg(long)]
    force: bool,

    /// Fetch the keys of the identity sources and keep them in the bundle
    ///
    /// The function then needs no network access to the issuers. Publish again before they rotate their keys.
    #[arg(long)]
    pin_jwks: bool,

    /// What must hold, or nothing is published
    #[arg(long, value_enum, value_name = "WHAT")]
    require: Option<Requirement>,

    /// Changes that were agreed to, as `diff --format agreement` prints them
    #[arg(long, value_name = "FILE", requires = "require")]
    allow_only: Option<PathBuf>,

    /// Write what changes to this file, and beside the bundle in S3, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    #[command(flatten)]
    evidence: EvidenceArgs,

    #[command(flatten)]
    edition: EditionArgs,

    #[command(flatten)]
    trust: TrustArgs,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// What must hold for a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Requirement {
    /// Access changes only as --allow-only says
    Diff,
}

#[derive(Clone, Debug)]
struct Destination {
    bucket: String,
    key: String,
}

impl Publish {
    pub fn run(self) -> Result<Exit, Failure> {
        if self.evidence.is_given() && !self.is_reviewed() {
            let message = "--replay and --prove are for a comparison, and none was asked for";
            return Err(Failure::could_not_run(message).hint("add --require diff or --report FILE"));
        }
        let agreement = self.allow_only.as_deref().map(Agreement::read).transpose()?;
        let stamp = self.edition.read(edition::source_date()?)?;
        let given_keys = self.trust.read()?;
        let is_signed = stamp.public_keys().next().is_some();
        if given_keys.is_some() && !is_signed {
            let message = "the bundle would not be signed, and only signed bundles are accepted";
            return Err(Failure::could_not_run(message).hint(
                "sign it by --sign-key; without --public-keys and BUNDLE_PUBLIC_KEYS it may be unsigned",
            ));
        }
        let given_keys = given_keys.iter().flat_map(PublicKeys::iter);
        let trusted = PublicKeys::new(given_keys.chain(stamp.public_keys()).cloned());
        let trust = Trust { development_keys: DevelopmentKeys::Allow, public_keys: trusted.as_ref() };
        // If the store has errors, no request is worth making.
        let given = match (self.rollback, self.pin_jwks) {
            (Some(_), _) => None,
            (None, true) => Some(build::open_pinned(&self.store)?),
            (None, false) => Some(self.store.open()?),
        };
        let runtime = runtime()?;
        let Destination { bucket, key } = &self.to;
        let shelf = runtime.block_on(Shelf::open(bucket, key));
        let past = Past {
            shelf: &shelf,
            runtime: &runtime,
            trust,
            is_forced: self.force,
            is_rollback: self.rollback.is_some(),
        };
        let owner =
            given.as_ref().map(|(store, _)| Owner { name: &store.settings.name, tenant: stamp.tenant() });
        let reading = format!("reading `{}`", shelf.uri());
        let replaced = progress::during(reading, || past.current(owner))?;
        let old = replaced.as_ref().and_then(|replaced| replaced.bundle.as_ref());
        let (store, files, stamp) = match (given, self.rollback) {
            (None, Some(revision)) => {
                let reading = format!("reading revision {revision} of `{}`", shelf.uri());
                let (store, files, tenant) =
                    progress::during(reading, || past.revision(revision, old, stamp.tenant()))?;
                (store, files, stamp.for_tenant(tenant))
            }
            (given, _) => {
                let (store, files) =
                    given.ok_or_else(|| Failure::could_not_run("there is nothing to publish"))?;
                (store, files, stamp)
            }
        };

        let previous = replaced.as_ref().map(|replaced| replaced.revision);
        let revision = previous.unwrap_or_default().saturating_add(1);
        let (bytes, bundle) = build::make(&store, &files, stamp.edition(revision), trust)?;
        if let Some(old) = old {
            self.same_owner(old, &bundle, &shelf)?;
        }
        let changes = Changes::between(old, &bundle).map_err(Failure::invalid)?;
        let review = if self.is_reviewed() {
            let content = match self.rollback {
                Some(revision) => Candidate::Rollback { name: shelf.history_uri(revision) },
                None => Candidate::Directory(&self.store.store),
            };
            let review = Review {
                past: &past,
                evidence: &self.evidence,
                agreement: agreement.as_ref(),
                is_required: self.require == Some(Requirement::Diff),
            };
            let (store, files) = (store.clone(), files.clone());
            Some(review.of(replaced.as_ref(), content, (store, files), (&bytes, &bundle))?)
        } else {
            None
        };
        let report = PublishReport {
            args: &self,
            shelf: &shelf,
            previous,
            bundle: &bundle,
            old,
            signatures: replaced
                .as_ref()
                .map(|replaced| bundle::survey(&replaced.object.bytes).check_signatures(trust.public_keys)),
            changes,
            review: review.as_ref(),
        };
        if trust.public_keys.is_none() && (replaced.is_some() || self.rollback.is_some()) {
            warn(&format_args!(
                "{} the signatures of what is in S3 were not checked; --public-keys or BUNDLE_PUBLIC_KEYS says \
                 whom to trust",
                paint(HINT, "note:")
            ));
        }

        let object = replaced.as_ref().map(|replaced| &replaced.object);
        // An opened bundle has no invalid signature of a trusted key. The keys of the new bundle are trusted.
        let is_same = report.changes.is_empty()
            && old.is_some_and(|old| old.manifest().not_after == bundle.manifest().not_after)
            && object.is_some_and(|object| signers(&object.bytes) == signers(&bytes));
        let is_unchanged = is_same && !self.force;
        let open = review.as_ref().map_or(0, |review| review.open());
        let is_refused = self.require == Some(Requirement::Diff) && open > 0 && !is_unchanged;
        if is_unchanged || is_refused || self.dry_run {
            self.keep_report(review.as_ref(), &bytes)?;
        }
        if is_unchanged {
            report.print(previous.unwrap_or_default(), PublishOutcome::Unchanged)?;
        } else if is_refused {
            report.print(revision, PublishOutcome::Refused)?;
            review::refuse(&shelf.uri(), &self.store.name(), open);
            return Ok(Exit::Denied);
        } else if self.dry_run {
            report.print(revision, PublishOutcome::WouldPublish)?;
        } else {
            let bar = bar(bytes.len());
            let companion =
                review.as_ref().filter(|_| self.report.is_some()).map(|review| review.companion());
            let attempt = Attempt {
                replaced: object,
                kept_as: old.map(Bundle::revision),
                first: revision,
                id: &attempt_id()?,
                companion: companion.as_ref(),
            };
            let published = runtime.block_on(shelf.publish(
                attempt,
                |revision| store::build::bundle(&store, &files, stamp.edition(revision)),
                progress(&bar),
            ));
            bar.finish_and_clear();
            let published = published.map_err(not_published)?;
            self.keep_report(review.as_ref(), &published.bytes)?;
            report.print(published.revision, PublishOutcome::Published(&published))?;
        }
        Ok(Exit::Fine)
    }

    /// Whether what changes is compared.
    fn is_reviewed(&self) -> bool {
        self.require.is_some() || self.report.is_some()
    }

    /// Writes the file of --report. `bytes` are those of the bundle.
    fn keep_report(&self, review: Option<&Reviewed<'_>>, bytes: &[u8]) -> Result<(), Failure> {
        let Some((path, review)) = self.report.as_ref().zip(review) else { return Ok(()) };
        let report = review.report_of(bytes).map_err(Failure::could_not_run)?;
        write_file(path, &report)
    }

    /// Refuses another store or tenant under the same key. That is a mistake: one API would get the
    /// policies of another.
    fn same_owner(&self, old: &Bundle, new: &Bundle, shelf: &Shelf) -> Result<(), Failure> {
        let (old, new) = (Owner::from_manifest(old.manifest()), Owner::from_manifest(new.manifest()));
        if old == new || self.force {
            return Ok(());
        }
        let uri = shelf.uri();
        if old.name != new.name {
            let message = format!("`{uri}` has the store `{}`, and this is `{}`", old.name, new.name);
            return Err(
                Failure::could_not_run(message).hint("name another key by --to; --force if it was renamed")
            );
        }
        let message = format!("`{uri}` has the bundle of {}, and this is for {}", old.whose(), new.whose());
        let hint = match old.tenant {
            Some(tenant) => format!("--tenant {tenant}, or name another key by --to; --force replaces it"),
            None => "name another key by --to; --force if tenants are new here".to_owned(),
        };
        Err(Failure::could_not_run(message).hint(hint))
    }
}

/// The ids of the keys that a bundle claims to be signed with.
fn signers(bytes: &[u8]) -> BTreeSet<String> {
    let signatures = bundle::survey(bytes).signatures;
    signatures
        .iter()
        .flat_map(|signatures| signatures.unverified_key_ids())
        .map(ToString::to_string)
        .collect()
}

/// What came of publishing.
enum PublishOutcome<'a> {
    Published(&'a Published),
    Refused,
    Unchanged,
    WouldPublish,
}

/// Everything that there is to report.
struct PublishReport<'a> {
    args: &'a Publish,
    shelf: &'a Shelf,
    previous: Option<u64>,
    bundle: &'a Bundle,
    old: Option<&'a Bundle>,
    /// The signatures of the replaced bundle.
    signatures: Option<Vec<(KeyId, SignatureStatus)>>,
    changes: Changes,
    /// `None`: it was not asked for.
    review: Option<&'a Reviewed<'a>>,
}

impl PublishReport<'_> {
    fn print(&self, revision: u64, outcome: PublishOutcome<'_>) -> Result<(), Failure> {
        match self.args.format {
            OutputFormat::Json => self.print_json(revision, outcome),
            OutputFormat::Human => self.print_human(revision, outcome),
        }
    }

    fn print_json(&self, revision: u64, outcome: PublishOutcome<'_>) -> Result<(), Failure> {
        let (status, published) = match outcome {
            PublishOutcome::Published(published) => ("published", Some(published)),
            PublishOutcome::Refused => ("refused", None),
            PublishOutcome::Unchanged => ("unchanged", None),
            PublishOutcome::WouldPublish => ("would-publish", None),
        };
        let mut report = json!({
            "status": status,
            "uri": self.shelf.uri(),
            "name": self.bundle.manifest().name,
            "tenant": self.bundle.manifest().tenant,
            "revision": revision,
            "previousRevision": self.previous,
            "previousSignatures": self.signatures.as_deref().map(signatures),
            "rollbackTo": self.args.rollback,
            "changes": self.changes,
            "history": published.map(|_| self.shelf.history_uri(revision)),
            "bytes": published.map(|published| published.bytes.len()),
            "sha256": published.map(|published| &published.sha256),
            "versionId": published.and_then(|published| published.version_id.as_ref()),
        });
        if let Some((review, report)) = self.review.zip(report.as_object_mut()) {
            report.insert("diff".to_owned(), review.json());
        }
        print(&format_args!("{report:#}"))
    }

    fn print_human(&self, revision: u64, outcome: PublishOutcome<'_>) -> Result<(), Failure> {
        if let Some(review) = self.review {
            print(&format_args!("{}\n", review.human()))?;
        }
        let name = &self.bundle.manifest().name;
        let (verdict, size) = match outcome {
            // What is refused is said on stderr, and why stands above.
            PublishOutcome::Refused => return Ok(()),
            PublishOutcome::Published(published) => {
                ("published", format!(", {} bytes", published.bytes.len()))
            }
            PublishOutcome::Unchanged => ("unchanged", String::new()),
            PublishOutcome::WouldPublish => ("would publish", String::new()),
        };
        let content = self.args.rollback.map(|revision| format!(" with the content of revision {revision}"));
        let files = self.bundle.files().len();
        print(&format_args!(
            "{}: {name} revision {revision}{}, {files} files{size}, at {}",
            paint(SUCCESS, verdict),
            content.unwrap_or_default(),
            self.shelf.uri(),
        ))?;
        if self.old.is_none() {
            // Everything is new, so listing it says nothing.
            return Ok(());
        }
        self.changes.lines().iter().try_for_each(|line| print(&format_args!("  {line}")))
    }
}

/// Signatures in the form that every report uses.
pub fn signatures(signatures: &[(KeyId, SignatureStatus)]) -> Value {
    let signature = |(key_id, status): &(KeyId, SignatureStatus)| json!({"keyId": key_id.to_string(), "status": status.name()});
    signatures.iter().map(signature).collect()
}

fn shelf_failure(failure: ShelfFailure) -> Failure {
    let hint = failure.hint();
    advise(Failure::could_not_run(failure), hint)
}

fn not_published(reason: NotPublished) -> Failure {
    let hint = reason.hint();
    let failure = match reason {
        NotPublished::Bundle(error) => Failure::invalid(error),
        reason => Failure::could_not_run(reason),
    };
    advise(failure, hint)
}

fn advise(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn destination(text: &str) -> Result<Destination, &'static str> {
    match text.parse() {
        Ok(BundleUri::S3 { bucket, key, version_id: None }) if !key.ends_with('/') => {
            Ok(Destination { bucket, key })
        }
        _ => Err("not of the form s3://bucket/key"),
    }
}

/// A random id for this attempt.
fn attempt_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Failure::could_not_run("the system has no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Draws a bar on stderr, if that is a terminal.
fn bar(bytes: usize) -> ProgressBar {
    let bar = ProgressBar::new(bytes as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} publishing {wide_bar} {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    // The last bytes are sent long before the answer arrives, and something should move until then.
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn progress(bar: &ProgressBar) -> Progress {
    let bar = bar.clone();
    Arc::new(move |sent, total| {
        bar.set_length(total as u64);
        bar.set_position(sent as u64);
    })
}
