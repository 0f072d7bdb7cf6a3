//! Publishing bundles to S3. A revision can be taken only once, and nobody overwrites a bundle that they have not
//! seen.
//!
//! ```text
//! <key>              the current bundle, which functions load
//! <key>.<revision>   every bundle that was meant to become current: the history
//! <key>.<revision><suffix>   what a publisher says of this bundle: its [`Companion`]
//! ```
//!
//! 1. The current bundle is read, with its entity tag. If it is usable but is not in the history (because of an
//!    `aws s3 cp`), it is added there.
//! 2. The next one is stored as `<key>.<revision>`, on the condition that nothing is there.
//! 3. If it has a companion, that is stored beside it, on the condition that nothing is there.
//! 4. The bundle is stored as `<key>`, on the condition that the entity tag is still that of step 1.
//!
//! If a bundle has most of its bytes in common with the one that it replaces, it is composed of that object and of the bytes
//! that are new (`compose`, and [`append`]); only these are sent. To whoever reads it, that makes no difference.
//!
//! So the current bundle is always in the history, with its companion if it has one, and only one of all who have
//! seen the same bundle can replace it. Each PUT takes effect completely or not at all: if interrupted between two
//! steps, either the old or the new bundle stays in place. If step 2 finds a number taken, somebody else is between
//! steps 2 and 4, or was interrupted there. If the same bundle is stored under that number, and the same companion or
//! none, it is used. Otherwise the number is skipped, and step 4 decides who was first. So numbers rise, but may have
//! gaps. A companion beside a bundle that never became current says so itself: it names the bundle.

mod attempt;
mod compose;
mod failure;
mod object;
mod put;
mod upload;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use bytes::Bytes;

use crate::store::build::{Appended, CannotBuild, append};
pub use attempt::{Attempt, Companion, MakeCompanion, Published};
pub use compose::{Composed, MIN_COPIED_BYTES, Notes, Source};
use failure::S3Cause;
pub use failure::{NotPublished, ShelfFailure};
pub use object::Object;
use object::is_same;
pub use put::Condition;
use put::{ANSWER_TIMEOUT, Put, Upload};
pub use upload::Progress;

/// The place in S3 where the bundles of one policy store are published.
#[derive(Clone, Debug)]
pub struct Shelf {
    client: Client,
    bucket: String,
    key: String,
}

impl Shelf {
    /// Finds endpoint, region and credentials as every AWS SDK does.
    pub async fn open(bucket: &str, key: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
        Self::new(Client::new(&config), bucket, key)
    }

    /// Finds endpoint, region and credentials in this client.
    pub fn new(client: Client, bucket: &str, key: &str) -> Self {
        Self { client, bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// The URI of the current bundle.
    pub fn uri(&self) -> String {
        self.uri_of(&self.key)
    }

    /// The URI of a bundle of the history.
    pub fn history_uri(&self, revision: u64) -> String {
        self.uri_of(&self.history_key(revision))
    }

    /// The current bundle. `None`: there is none yet.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn current(&self) -> Result<Option<Object>, ShelfFailure> {
        self.read(&self.key).await
    }

    /// A version of the bundle, in a bucket with versioning. `None`: there is no version with this id.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn version(&self, id: &str) -> Result<Option<Object>, ShelfFailure> {
        self.read_version(&self.key, Some(id)).await
    }

    /// A bundle of the history.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn history(&self, revision: u64) -> Result<Option<Object>, ShelfFailure> {
        self.read(&self.history_key(revision)).await
    }

    /// The revisions in the history, newest first, whatever is stored under their names.
    ///
    /// # Errors
    /// [`ShelfFailure`].
    pub async fn revisions(&self) -> Result<Vec<u64>, ShelfFailure> {
        let prefix = format!("{}.", self.key);
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
        let mut pages = list.into_paginator().send();
        let mut revisions = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| self.failed("list", &format!("{prefix}*"), S3Cause::from_sdk(&error)))?;
            let keys = page.contents().iter().filter_map(|object| object.key()?.strip_prefix(&prefix));
            revisions.extend(keys.filter_map(|text| {
                let revision: u64 = text.parse().ok()?;
                // Each number has only one spelling, and so only one object.
                (revision.to_string() == text).then_some(revision)
            }));
        }
        revisions.sort_unstable_by(|a, b| b.cmp(a));
        Ok(revisions)
    }

    /// Publishes the bundle that `build` makes, under the first free revision. `progress` is told how many bytes of an
    /// object are on their way, of how many.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub async fn publish(
        &self,
        attempt: Attempt<'_>,
        build: impl Fn(u64) -> Result<Vec<u8>, CannotBuild>,
        progress: Progress,
    ) -> Result<Published, NotPublished> {
        let Attempt { replaced, kept_as, id, .. } = attempt;
        if let (Some(Object { id: None, bytes, .. }), Some(revision)) = (replaced, kept_as) {
            let upload = Upload::bundle(self.history_key(revision), bytes, revision, id);
            // Here too, an object under a number that is taken stays as it is.
            self.put(&upload, Condition::Absent, &progress).await?;
        }
        let TakenRevision { revision, bytes, base } = self.take_revision(&attempt, build, &progress).await?;
        let upload = Upload::bundle(self.key.clone(), &bytes, revision, id).based_on(base.as_ref());
        let condition = match replaced {
            Some(object) => Condition::Unchanged(&object.etag),
            None => Condition::Absent,
        };
        for _ in 0..MAX_CONFLICTS {
            let put = self.store(&upload, condition, &progress).await;
            if let Put::Done { version_id } = put.map_err(|source| source.at_current(revision))? {
                return Ok(Published::new(revision, bytes, version_id));
            }
            let current = self.current().await.map_err(|source| source.at_current(revision))?;
            if !is_same(current.as_ref(), replaced) {
                return match current {
                    // The answer to an earlier attempt of the SDK was lost.
                    Some(Object { id: Some(stored), bytes: found, version_id, .. })
                        if stored == id && found == bytes =>
                    {
                        Ok(Published::new(revision, bytes, version_id))
                    }
                    current => Err(self.overtaken(current)),
                };
            }
        }
        Err(NotPublished::Contended { uri: self.uri() })
    }

    /// Stores the bundle in the history, and its companion, under the first revision that is free for both.
    async fn take_revision(
        &self,
        attempt: &Attempt<'_>,
        build: impl Fn(u64) -> Result<Vec<u8>, CannotBuild>,
        progress: &Progress,
    ) -> Result<TakenRevision, NotPublished> {
        let Attempt { replaced, first, id, companion, .. } = *attempt;
        let end = first.saturating_add(MAX_TAKEN);
        for revision in first..end {
            let (bytes, base) = self.on_base(replaced, build(revision)?.into());
            let upload =
                Upload::bundle(self.history_key(revision), &bytes, revision, id).based_on(base.as_ref());
            if self.take(&upload, replaced, progress).await? == Taken::ByAnother {
                continue;
            }
            let Some(Companion { suffix, content_type, make }) = companion else {
                return Ok(TakenRevision { revision, bytes, base });
            };
            let content = Bytes::from(make(revision, &bytes).map_err(NotPublished::Companion)?);
            let key = format!("{}{suffix}", self.history_key(revision));
            let upload = Upload { key, bytes: &content, content_type, revision, id, base: None };
            if self.take(&upload, replaced, progress).await? == Taken::ByUs {
                return Ok(TakenRevision { revision, bytes, base });
            }
        }
        Err(NotPublished::Taken { uri: self.uri(), first, last: end.saturating_sub(1) })
    }

    /// A bundle as it is stored: on the base of the one that it replaces, if that saves much.
    fn on_base(&self, replaced: Option<&Object>, bytes: Bytes) -> (Bytes, Option<Source>) {
        let appended = replaced.and_then(|object| Some((object, append(&object.bytes, &bytes)?)));
        match appended {
            Some((Object { etag, .. }, Appended { bytes, kept })) if kept >= MIN_COPIED_BYTES => {
                (bytes, Some(Source { key: self.key.clone(), etag: etag.clone(), range: 0..kept }))
            }
            _ => (bytes, None),
        }
    }

    /// Stores an object that belongs to a revision, unless another one is there.
    async fn take(
        &self,
        upload: &Upload<'_>,
        replaced: Option<&Object>,
        progress: &Progress,
    ) -> Result<Taken, NotPublished> {
        for _ in 0..MAX_CONFLICTS {
            if let Put::Done { .. } = self.store(upload, Condition::Absent, progress).await? {
                return Ok(Taken::ByUs);
            }
            let current = self.current().await?;
            if !is_same(current.as_ref(), replaced) {
                return Err(self.overtaken(current));
            }
            match self.read(&upload.key).await {
                Ok(Some(stored)) if stored.bytes == *upload.bytes => return Ok(Taken::ByUs),
                Ok(Some(_)) => return Ok(Taken::ByAnother),
                // What caused the conflict is gone: the number is still free.
                Ok(None) => {}
                Err(failure) if failure.is_too_large() => return Ok(Taken::ByAnother),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(NotPublished::Contended { uri: self.uri_of(&upload.key) })
    }

    fn overtaken(&self, current: Option<Object>) -> NotPublished {
        NotPublished::Overtaken { uri: self.uri(), revision: current.and_then(|object| object.revision) }
    }

    fn history_key(&self, revision: u64) -> String {
        format!("{}.{revision}", self.key)
    }

    fn failed(&self, operation: &'static str, key: &str, cause: S3Cause) -> ShelfFailure {
        ShelfFailure { operation, uri: self.uri_of(key), cause, left: None }
    }

    fn uri_of(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

/// A bundle that was stored in the history.
struct TakenRevision {
    revision: u64,
    bytes: Bytes,
    /// The object whose bytes it begins with.
    base: Option<Source>,
}

/// Whose object is under the key of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Ours, or the same.
    ByUs,
    ByAnother,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Each taken number means that somebody was interrupted or came second. That does not happen a hundred times in
/// a row.
const MAX_TAKEN: u64 = 100;

/// S3 may answer 409 although nothing has changed afterwards (User Guide, "Conditional writes").
const MAX_CONFLICTS: usize = 3;
