/// Answers that are errors.
mod answer;
/// What goes wrong on purpose.
mod fault;
/// Multipart uploads.
mod multipart;
/// `GetObject` and `ListObjectsV2`.
mod reading;
#[cfg(test)]
mod tests;
/// Objects as they are stored.
mod version;
/// `PutObject`.
mod writing;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cedar_authorizer::function::source::s3::{Reader, S3Settings};
use tokio::sync::Barrier;

use super::Server;
pub use fault::{RangeFault, S3Fault, Step};
use multipart::{Upload, delete, post};
use reading::{get_object, list_objects};
use version::Version;
use writing::put;

/// `GetObject`, `PutObject`, `ListObjectsV2` and multipart uploads for any number of buckets. All buckets are
/// versioned. They are addressed in path style, as the SDK does if the endpoint is an IP address.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
pub struct S3 {
    server: Server,
    shelf: Arc<Shelf>,
}

impl S3 {
    /// Starts the server with no objects and no fault.
    pub fn start() -> Self {
        let shelf = Arc::new(Shelf {
            objects: Mutex::default(),
            fault: Mutex::new(S3Fault::None),
            get_faults: Mutex::default(),
            coming_get_faults: Mutex::default(),
            put_faults: Mutex::default(),
            step_faults: Mutex::default(),
            uploads: Mutex::default(),
            meeting: Mutex::default(),
            replacement: Mutex::default(),
            requests: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
            steps: Mutex::default(),
            sent: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/{bucket}", get(list_objects))
            .route("/{bucket}/", get(list_objects))
            .route("/{bucket}/{*key}", get(get_object).put(put).post(post).delete(delete))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shelf));
        Self { server: Server::start(router), shelf }
    }

    /// The value of `AWS_ENDPOINT_URL_S3`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Where it is, for a server in front of it.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Stores a new version of an object, which becomes the current one. Returns its version id.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> String {
        let mut objects = self.shelf.objects.lock().unwrap();
        let versions = objects.entry(format!("{bucket}/{key}")).or_default();
        let version = Version::new(versions.len() + 1, bytes.into(), &HeaderMap::new());
        let id = version.id.clone();
        versions.push(version);
        id
    }

    /// A reader of this server, like the one of the function.
    pub fn reader(&self) -> Reader {
        let variable = |name: &str| match name {
            "AWS_REGION" => Some("us-east-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            "AWS_ENDPOINT_URL_S3" => Some(self.endpoint()),
            _ => None,
        };
        Reader::new(S3Settings::from_lookup(variable).unwrap())
    }

    /// The current version of an object: its bytes, and the headers that came with its PUT.
    pub fn object(&self, bucket: &str, key: &str) -> Option<(Bytes, HeaderMap)> {
        let version = self.shelf.find(bucket, key, None).ok()?;
        Some((version.bytes, version.kept))
    }

    /// The keys of a bucket, in order.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let objects = self.shelf.objects.lock().unwrap();
        let prefix = format!("{bucket}/");
        let mut keys: Vec<String> =
            objects.keys().filter_map(|path| path.strip_prefix(&prefix).map(str::to_owned)).collect();
        keys.sort();
        keys
    }

    /// Changes the bytes of the current version, and drops its checksum. Nothing else changes.
    pub fn alter(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        let mut objects = self.shelf.objects.lock().unwrap();
        let version = objects.get_mut(&format!("{bucket}/{key}")).and_then(|versions| versions.last_mut());
        let version = version.unwrap();
        version.kept.remove(CHECKSUM);
        version.bytes = bytes.into();
    }

    /// Changes a header of the current version, and nothing else.
    pub fn note(&self, bucket: &str, key: &str, name: &'static str, value: &str) {
        let mut objects = self.shelf.objects.lock().unwrap();
        let version = objects.get_mut(&format!("{bucket}/{key}")).and_then(|versions| versions.last_mut());
        version.unwrap().kept.insert(name, value.parse().unwrap());
    }

    /// Removes an object with all its versions.
    pub fn remove(&self, bucket: &str, key: &str) {
        self.shelf.objects.lock().unwrap().remove(&format!("{bucket}/{key}")).unwrap();
    }

    /// Sets a fault for all GETs of objects. It holds from the next one on, until another one is set.
    pub fn fault(&self, fault: S3Fault) {
        *self.shelf.fault.lock().unwrap() = fault;
    }

    /// Sets a fault for the GETs of a key, instead of the one for all GETs. It holds from the next one on, until
    /// another one is set.
    pub fn fault_get(&self, key: &str, fault: S3Fault) {
        self.shelf.get_faults.lock().unwrap().insert(key.to_owned(), fault);
    }

    /// Sets a fault for each of the next GETs of a key, one after the other. What comes after them is as before.
    pub fn fault_gets(&self, key: &str, faults: &[S3Fault]) {
        let coming = faults.iter().copied().collect();
        self.shelf.coming_get_faults.lock().unwrap().insert(key.to_owned(), coming);
    }

    /// Sets a fault for a step of multipart uploads. It holds from the next one on, until another one is set.
    pub fn fault_step(&self, step: Step, fault: S3Fault) {
        self.shelf.step_faults.lock().unwrap().insert(step, fault);
    }

    /// Sets a fault for the PUTs of a key. It holds from the next one on, until another one is set.
    pub fn fault_put(&self, key: &str, fault: S3Fault) {
        self.shelf.put_faults.lock().unwrap().insert(key.to_owned(), fault);
    }

    /// Replaces an object before this many more GETs of it are answered, counted from 1. Older versions of it are
    /// forgotten.
    pub fn replace_before_get(&self, bucket: &str, key: &str, get: usize, bytes: impl Into<Bytes>) {
        let path = format!("{bucket}/{key}");
        *self.shelf.replacement.lock().unwrap() = Some(Replacement { path, gets: get, bytes: bytes.into() });
    }

    /// Whether an object is still to be replaced.
    pub fn is_to_be_replaced(&self) -> bool {
        self.shelf.replacement.lock().unwrap().is_some()
    }

    /// Makes the next GETs of a key wait until this many of them have come. Later ones do not wait.
    pub fn meet(&self, key: &str, count: usize) {
        *self.shelf.meeting.lock().unwrap() =
            Some(Meeting { key: key.to_owned(), awaited: count, barrier: Arc::new(Barrier::new(count)) });
    }

    /// How many PUTs of objects have come so far, including the SDK's retries and those that failed.
    pub fn puts(&self) -> usize {
        self.shelf.puts.load(Ordering::SeqCst)
    }

    /// How many GETs have come so far, including the SDK's retries and those that failed.
    pub fn requests(&self) -> usize {
        self.shelf.requests.load(Ordering::SeqCst)
    }

    /// How often a step of multipart uploads has come so far, including the SDK's retries and those that failed.
    pub fn steps(&self, step: Step) -> usize {
        self.shelf.count(step)
    }

    /// How many uploads are neither completed nor aborted.
    pub fn uploads(&self) -> usize {
        self.shelf.uploads.lock().unwrap().len()
    }

    /// How many bytes of objects the GETs so far were answered with. Those of a body that breaks off count.
    pub fn sent(&self) -> usize {
        self.shelf.sent.load(Ordering::SeqCst)
    }

    /// How many bytes of objects and parts have come so far, including the SDK's retries and those that failed.
    pub fn received(&self) -> usize {
        self.shelf.received.load(Ordering::SeqCst)
    }

    /// The entity tag of the current version of an object.
    pub fn etag(&self, bucket: &str, key: &str) -> String {
        self.shelf.find(bucket, key, None).unwrap().etag
    }
}

struct Shelf {
    /// By `bucket/key`, oldest version first, never empty.
    objects: Mutex<HashMap<String, Vec<Version>>>,
    fault: Mutex<S3Fault>,
    get_faults: Mutex<HashMap<String, S3Fault>>,
    coming_get_faults: Mutex<HashMap<String, VecDeque<S3Fault>>>,
    put_faults: Mutex<HashMap<String, S3Fault>>,
    step_faults: Mutex<HashMap<Step, S3Fault>>,
    /// By id.
    uploads: Mutex<HashMap<String, Upload>>,
    meeting: Mutex<Option<Meeting>>,
    replacement: Mutex<Option<Replacement>>,
    requests: AtomicUsize,
    puts: AtomicUsize,
    steps: Mutex<HashMap<Step, usize>>,
    sent: AtomicUsize,
    received: AtomicUsize,
}

struct Meeting {
    key: String,
    awaited: usize,
    barrier: Arc<Barrier>,
}

/// A new version of an object that is to come.
struct Replacement {
    /// `bucket/key`
    path: String,
    /// Before so many more GETs.
    gets: usize,
    bytes: Bytes,
}

/// The checksum of these bytes, as in `x-amz-checksum-sha256`.
fn checksum(bytes: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, bytes).as_ref())
}

/// Whether there is a signature at all: a client that forgot to sign must not pass for one that
/// may read.
fn is_signed(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "))
}

impl Shelf {
    /// Stores a version if the conditions hold.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
    fn store(
        &self,
        bucket: &str,
        key: &str,
        headers: &HeaderMap,
        make: impl FnOnce(usize) -> Version,
    ) -> Result<Version, (StatusCode, &'static str)> {
        // Locked until the end, so that one of two conditional PUTs comes first.
        let mut objects = self.objects.lock().unwrap();
        let path = format!("{bucket}/{key}");
        let current = objects.get(&path).and_then(|versions| versions.last());
        if headers.contains_key(header::IF_NONE_MATCH) && current.is_some() {
            return Err((StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
        }
        if let Some(etag) = headers.get(header::IF_MATCH) {
            let current = current.ok_or((StatusCode::NOT_FOUND, "NoSuchKey"))?;
            if *etag != current.etag {
                return Err((StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
            }
        }
        let versions = objects.entry(path).or_default();
        let version = make(versions.len() + 1);
        versions.push(version.clone());
        Ok(version)
    }

    /// What goes wrong with a GET that has come.
    fn fault_of_get(&self, key: &str) -> S3Fault {
        let mut coming = self.coming_get_faults.lock().unwrap();
        let next = coming.get_mut(key).and_then(VecDeque::pop_front);
        let of_key = next.or_else(|| self.get_faults.lock().unwrap().get(key).copied());
        of_key.unwrap_or_else(|| *self.fault.lock().unwrap())
    }

    /// The barrier at which a GET of this key has to wait.
    fn meeting_of(&self, key: &str) -> Option<Arc<Barrier>> {
        let mut meeting = self.meeting.lock().unwrap();
        let Meeting { barrier, awaited, .. } = meeting.as_mut().filter(|meeting| meeting.key == key)?;
        let barrier = Arc::clone(barrier);
        *awaited -= 1;
        if *awaited == 0 {
            *meeting = None;
        }
        Some(barrier)
    }

    /// Replaces an object if that is due with a GET of it.
    fn replace(&self, bucket: &str, key: &str) {
        let mut replacement = self.replacement.lock().unwrap();
        let Some(coming) = replacement.as_mut().filter(|coming| coming.path == format!("{bucket}/{key}"))
        else {
            return;
        };
        coming.gets -= 1;
        if coming.gets == 0
            && let Some(Replacement { path, bytes, .. }) = replacement.take()
        {
            let version = Version::new(1, bytes, &HeaderMap::new());
            self.objects.lock().unwrap().insert(path, vec![version]);
        }
    }

    /// The version with this id, or the current one if no id is given. Otherwise S3's code for what is missing.
    fn find(&self, bucket: &str, key: &str, id: Option<&String>) -> Result<Version, &'static str> {
        let objects = self.objects.lock().unwrap();
        let versions = objects.get(&format!("{bucket}/{key}"));
        let versions = versions.ok_or("NoSuchKey")?;
        let Some(id) = id else {
            return Ok(versions.last().cloned().expect("put leaves a version"));
        };
        let version = versions.iter().find(|version| version.id == *id);
        version.cloned().ok_or("NoSuchVersion")
    }
}

const CHECKSUM: &str = "x-amz-checksum-sha256";

const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");
