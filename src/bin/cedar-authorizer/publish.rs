//! `publish`: a new revision of the bundle in S3.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys};
use cedar_authorizer::source::BundleUri;
use cedar_authorizer::source::s3::publish::{NotPublished, Object, Progress, Published, Shelf, ShelfFailure};
use cedar_authorizer::store::{Store, StoreFiles};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::build;
use crate::changes::Changes;
use crate::edition::{self, EditionArgs};
use crate::output::{Exit, Failure, Format, SUCCESS, paint, print};
use crate::progress;
use crate::store::StoreArgs;

/// Publish a new revision of the bundle to S3
///
/// Checks the store, gives it the revision after the current one, and replaces that only if nobody
/// else has in the meantime: of two who publish at once one comes second, and overwrites nothing.
/// Every revision is kept as `<key>.<revision>`, where --rollback finds it. To end this program
/// at any moment leaves the old bundle or the new one, and to publish again goes on from there.
///
/// Endpoint, region and credentials are those of every AWS SDK: AWS_PROFILE, AWS_REGION,
/// AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on. It takes s3:GetObject and s3:PutObject on the
/// key and on `<key>.*`, and s3:ListBucket on the bucket.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer publish --to s3://bucket/petstore.bundle --dry-run
  cedar-authorizer publish --to s3://bucket/petstore.bundle
  cedar-authorizer publish --to s3://bucket/petstore.bundle --sign-key bundle-key.pem
  cedar-authorizer publish --to s3://bucket/petstore.bundle --rollback 41
  cedar-authorizer publish --to s3://bucket/petstore.bundle --format json

Exit codes: 0 published, or nothing to publish; 1 could not run, or somebody else published at the
same time; 3 invalid store or bundle")]
pub struct Publish {
    #[command(flatten)]
    store: StoreArgs,

    /// Where the bundle is, for functions with this BUNDLE_URI
    #[arg(long, value_name = "s3://BUCKET/KEY", value_parser = destination)]
    to: Destination,

    /// Publish the content of an earlier revision again, under a new one
    #[arg(long, value_name = "N", conflicts_with_all = ["store", "pin_jwks"])]
    rollback: Option<u64>,

    /// Do everything but write, and say what would be published
    #[arg(long)]
    dry_run: bool,

    /// Publish what has not changed, replace another store, or a bundle that cannot be opened
    #[arg(long)]
    force: bool,

    /// Fetch the keys of the identity sources and keep them in the bundle
    ///
    /// The function then needs no way out to the issuers. Publish anew before they rotate their keys.
    #[arg(long)]
    pin_jwks: bool,

    #[command(flatten)]
    edition: EditionArgs,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Debug)]
struct Destination {
    bucket: String,
    key: String,
}

impl Publish {
    pub fn run(self) -> Result<Exit, Failure> {
        let stamp = self.edition.read(edition::source_date()?)?;
        // A store with errors is not worth a request.
        let given = match (self.rollback, self.pin_jwks) {
            (Some(_), _) => None,
            (None, true) => Some(build::open_pinned(&self.store)?),
            (None, false) => Some(self.store.open()?),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::could_not_run)?;
        let Destination { bucket, key } = &self.to;
        let shelf = runtime.block_on(Shelf::open(bucket, key));
        let reading = format!("reading `{}`", shelf.uri());
        let object =
            progress::during(reading, || runtime.block_on(shelf.current())).map_err(shelf_failure)?;
        let replaced = object.as_ref().map(|object| self.open_current(object, &shelf)).transpose()?;
        let (store, files) = match (given, self.rollback) {
            (None, Some(revision)) => from_history(&runtime, &shelf, revision)?,
            (given, _) => given.ok_or_else(|| Failure::could_not_run("there is nothing to publish"))?,
        };

        let previous = replaced.as_ref().map(|replaced| replaced.revision);
        let revision = previous.unwrap_or_default().checked_add(1);
        let revision =
            revision.ok_or_else(|| Failure::invalid("there is no revision after the current one"))?;
        let (bytes, bundle) = build::make(&store, &files, stamp.edition(revision))?;
        let old = replaced.as_ref().and_then(|replaced| replaced.bundle.as_ref());
        if let Some(old) = old {
            self.same_store(old, &bundle, &shelf)?;
        }
        let changes = Changes::between(old, &bundle).map_err(Failure::invalid)?;
        let report = Report { args: &self, shelf: &shelf, previous, bundle: &bundle, old, changes };

        let is_same = report.changes.is_empty()
            && old.is_some_and(|old| old.manifest().not_after == bundle.manifest().not_after)
            && object.as_ref().is_some_and(|object| signers(&object.bytes) == signers(&bytes));
        if is_same && !self.force {
            report.print(previous.unwrap_or_default(), Outcome::Unchanged)?;
        } else if self.dry_run {
            report.print(revision, Outcome::WouldPublish)?;
        } else {
            let bar = bar(bytes.len());
            let published = runtime.block_on(shelf.publish(
                object.as_ref(),
                revision,
                &attempt_id()?,
                |revision| bundle::build(&store, &files, stamp.edition(revision)),
                progress(&bar),
            ));
            bar.finish_and_clear();
            let published = published.map_err(not_published)?;
            report.print(published.revision, Outcome::Published(&published))?;
        }
        Ok(Exit::Fine)
    }

    /// The bundle that is to be replaced. One that cannot be opened still has a revision, in the
    /// metadata, if `publish` put it there.
    fn open_current(&self, object: &Object, shelf: &Shelf) -> Result<Replaced, Failure> {
        match Bundle::open(object.bytes.clone(), DevelopmentKeys::Allow) {
            Ok(bundle) => Ok(Replaced { revision: bundle.revision(), bundle: Some(bundle) }),
            Err(_) if self.force && object.revision.is_some() => {
                Ok(Replaced { revision: object.revision.unwrap_or_default(), bundle: None })
            }
            Err(error) => {
                let message = format!("what is at `{}` now cannot be opened: {error}", shelf.uri());
                Err(Failure::invalid(message).hint(match object.revision {
                    Some(revision) => {
                        format!("--force replaces it by revision {}", revision.saturating_add(1))
                    }
                    None => "its revision is not known; move it away, or name another key".to_owned(),
                }))
            }
        }
    }

    /// Two stores under one key are a slip of the hand, with which one API gets the policies of another.
    fn same_store(&self, old: &Bundle, new: &Bundle, shelf: &Shelf) -> Result<(), Failure> {
        let (old, new) = (&old.manifest().name, &new.manifest().name);
        if old == new || self.force {
            return Ok(());
        }
        let message = format!("`{}` has the store `{old}`, and this is `{new}`", shelf.uri());
        Err(Failure::could_not_run(message).hint("name another key by --to; --force if it was renamed"))
    }
}

/// What is published so far.
struct Replaced {
    revision: u64,
    /// `None`: it cannot be opened.
    bundle: Option<Bundle>,
}

/// The store of an earlier revision. What the function could open then is not checked against
/// what `check` has learned since: somebody wants to go back.
fn from_history(runtime: &Runtime, shelf: &Shelf, revision: u64) -> Result<(Store, StoreFiles), Failure> {
    let uri = shelf.history_uri(revision);
    let object = runtime.block_on(shelf.history(revision)).map_err(shelf_failure)?.ok_or_else(|| {
        Failure::could_not_run(format_args!("there is no revision {revision}: `{uri}` does not exist"))
            .hint(format!("`aws s3 ls {}.` has those that there are", shelf.uri()))
    })?;
    let invalid = |error: &dyn std::fmt::Display| Failure::invalid(format_args!("`{uri}`: {error}"));
    let bundle =
        Bundle::open(object.bytes.clone(), DevelopmentKeys::Allow).map_err(|error| invalid(&error))?;
    if bundle.revision() != revision {
        return Err(invalid(&format_args!("the bundle says that it is revision {}", bundle.revision())));
    }
    let files = bundle::unpack(&object.bytes).map_err(|error| invalid(&error))?;
    let store = Store::open(&files).map_err(|_| invalid(&"the policy store in the bundle is invalid"))?;
    Ok((store, files))
}

/// The ids of the keys that a bundle says it is signed with.
fn signers(bytes: &[u8]) -> BTreeSet<String> {
    let signatures = bundle::survey(bytes).signatures;
    signatures
        .iter()
        .flat_map(|signatures| signatures.unverified_key_ids())
        .map(ToString::to_string)
        .collect()
}

/// What came of it.
enum Outcome<'a> {
    Published(&'a Published),
    Unchanged,
    WouldPublish,
}

/// All that there is to say of it.
struct Report<'a> {
    args: &'a Publish,
    shelf: &'a Shelf,
    previous: Option<u64>,
    bundle: &'a Bundle,
    old: Option<&'a Bundle>,
    changes: Changes,
}

impl Report<'_> {
    fn print(&self, revision: u64, outcome: Outcome<'_>) -> Result<(), Failure> {
        match self.args.format {
            Format::Json => self.print_json(revision, outcome),
            Format::Human => self.print_human(revision, outcome),
        }
    }

    fn print_json(&self, revision: u64, outcome: Outcome<'_>) -> Result<(), Failure> {
        let (status, published) = match outcome {
            Outcome::Published(published) => ("published", Some(published)),
            Outcome::Unchanged => ("unchanged", None),
            Outcome::WouldPublish => ("would-publish", None),
        };
        let report = json!({
            "status": status,
            "uri": self.shelf.uri(),
            "name": self.bundle.manifest().name,
            "revision": revision,
            "previousRevision": self.previous,
            "rollbackTo": self.args.rollback,
            "changes": self.changes,
            "history": published.map(|_| self.shelf.history_uri(revision)),
            "bytes": published.map(|published| published.bytes.len()),
            "sha256": published.map(|published| &published.sha256),
            "versionId": published.and_then(|published| published.version_id.as_ref()),
        });
        print(&format_args!("{report:#}"))
    }

    fn print_human(&self, revision: u64, outcome: Outcome<'_>) -> Result<(), Failure> {
        let name = &self.bundle.manifest().name;
        let (verdict, size) = match outcome {
            Outcome::Published(published) => ("published", format!(", {} bytes", published.bytes.len())),
            Outcome::Unchanged => ("unchanged", String::new()),
            Outcome::WouldPublish => ("would publish", String::new()),
        };
        let content = self.args.rollback.map(|revision| format!(" with the content of revision {revision}"));
        let files = self.bundle.manifest().members.len();
        print(&format_args!(
            "{}: {name} revision {revision}{}, {files} files{size}, at {}",
            paint(SUCCESS, verdict),
            content.unwrap_or_default(),
            self.shelf.uri(),
        ))?;
        if self.old.is_none() {
            // Everything is new: that says nothing.
            return Ok(());
        }
        self.changes.lines().iter().try_for_each(|line| print(&format_args!("  {line}")))
    }
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

/// What no other attempt has.
fn attempt_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Failure::could_not_run("the system has no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Draws on stderr, and only if that is a terminal.
fn bar(bytes: usize) -> ProgressBar {
    let bar = ProgressBar::new(bytes as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} publishing {wide_bar} {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    // The last bytes are on their way long before the answer is here: something should move.
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
