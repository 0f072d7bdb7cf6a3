//! The parts of a bundle in S3 that calls need, fetched when they need them.
//!
//! Every range is asked for with the entity tag of the object that the bundle was opened from. So a part is of that very
//! object, or S3 refuses it; and its hash was signed with the bundle. If the object was replaced, nothing more of it can be
//! fetched, and the function looks for the new one at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::error;

use super::s3::Reader;
use crate::bundle::Bundle;
use crate::bundle::chunks::{ChunkId, PlacedChunk};
use crate::cache::lock;
use crate::function::under_way::{UnderWay, WorkState};
use crate::time::UnixTime;

/// An object in S3 from which a bundle was opened.
#[derive(Clone, Debug)]
pub(crate) struct S3Object {
    pub(crate) reader: Reader,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
    pub(crate) etag: String,
}

/// Fetches the chunks of one bundle.
#[derive(Debug)]
pub(crate) struct AwayParts {
    object: Arc<S3Object>,
    under_way: Mutex<HashMap<ChunkId, Arc<UnderWay<bool>>>>,
    is_replaced: Arc<AtomicBool>,
}

impl AwayParts {
    /// Fetches from this object.
    pub(crate) fn new(object: S3Object) -> Self {
        Self { object: Arc::new(object), under_way: Mutex::default(), is_replaced: Arc::default() }
    }

    /// Whether the object was found to be another one, so that nothing more of it can be fetched.
    pub(crate) fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Relaxed)
    }

    /// Fetches the chunks of the bundle that were asked for. If it is false, some are still not here; the log says why.
    ///
    /// A fetch goes on after the call that began it has given up, and later calls can wait for it.
    pub(crate) async fn fetch(&self, bundle: &Arc<Bundle>, now: UnixTime) -> bool {
        let wanted = bundle.wanted();
        let mut fetches = wanted.iter().map(|chunk| self.begin(chunk, bundle, now));
        let mut all = true;
        loop {
            let batch: Vec<_> = fetches.by_ref().take(LANES).collect();
            if batch.is_empty() {
                return all;
            }
            for fetch in batch {
                all &= fetch.within(LIMIT).await.unwrap_or(false);
            }
            if !all {
                return false;
            }
        }
    }

    /// Begins to fetch a chunk, unless that is under way.
    fn begin(&self, chunk: &PlacedChunk, bundle: &Arc<Bundle>, now: UnixTime) -> Arc<UnderWay<bool>> {
        let mut under_way = lock(&self.under_way);
        under_way.retain(|_, fetch| match fetch.state(now) {
            WorkState::Running => true,
            WorkState::Ended => false,
            WorkState::Overdue => {
                fetch.give_up();
                false
            }
        });
        let begin = || {
            let (object, is_replaced) = (Arc::clone(&self.object), Arc::clone(&self.is_replaced));
            let (chunk, bundle) = (chunk.clone(), Arc::clone(bundle));
            let work = async move { fetch(&object, &chunk, &bundle, &is_replaced).await };
            UnderWay::begin(LIMIT, now, work)
        };
        Arc::clone(under_way.entry(chunk.id).or_insert_with(begin))
    }
}

/// Fetches a chunk and gives it to the bundle.
async fn fetch(object: &S3Object, chunk: &PlacedChunk, bundle: &Bundle, is_replaced: &AtomicBool) -> bool {
    let S3Object { reader, bucket, key, version_id, etag } = object;
    let read =
        reader.read_range(bucket, key, version_id.as_deref(), etag, chunk.range.clone(), ATTEMPTS).await;
    let revision = bundle.revision();
    match read {
        Ok(bytes) => {
            let is_whole = bundle.supply(chunk, &bytes).is_ok();
            if !is_whole {
                error!(code = "bundle-altered", revision, "a part of the bundle is not as it was built");
            }
            is_whole
        }
        Err(failure) => {
            if failure.is_gone() {
                // Nothing is wrong: there is a new bundle, or there will be.
                is_replaced.store(true, Ordering::Relaxed);
            }
            error!(code = failure.code(), %failure, revision, "a part of the bundle cannot be fetched");
            false
        }
    }
}

/// A connection may be dead after a freeze.
const ATTEMPTS: u32 = 2;

/// The limit for a part. Those who wait for the call have ten seconds in all, with an HTTP API.
const LIMIT: Duration = Duration::from_secs(3);

/// So many parts are fetched at the same time, each over a connection of its own.
const LANES: usize = 8;
