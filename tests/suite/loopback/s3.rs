use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cedar_authorizer::function::source::s3::{Reader, S3Settings};
use futures_util::stream::{self, StreamExt};
use tokio::sync::Barrier;

use super::{Server, close_connection, dripping, exchange};

/// `GetObject`, `PutObject` and `ListObjectsV2` for any number of buckets. All buckets are versioned. They are
/// addressed in path style, as the SDK does if the endpoint is an IP address.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub struct S3 {
    server: Server,
    shelf: Arc<Shelf>,
}

/// What goes wrong with the next GETs, or with the PUTs of a key. A request that is not signed fails in any case.
#[derive(Clone, Copy)]
pub enum S3Fault {
    None,
    /// 403 `AccessDenied`.
    Forbidden,
    /// 404 `NoSuchKey`, though the object is there.
    NotFound,
    /// 500 `InternalError`, which the SDK retries.
    InternalError,
    /// The right answer, but only after this time.
    Slow(Duration),
    /// The `Content-Length` of the whole object, but only half of its bytes before the connection ends.
    Truncated,
    /// The right answer, but its body comes one byte at a time, each after this time. A body that has begun
    /// continues like this, whatever fault is set later.
    Drips(Duration),
    /// The connection ends with no answer. Nothing was stored.
    Reset,
    /// An error with this status and code.
    Error(u16, &'static str),
    /// This status and this body, whatever it is.
    Answer(u16, &'static str),
    /// A redirect to another region, which the SDK does not follow.
    Region(&'static str),
    /// Of a PUT: the object was stored, but the connection ends with no answer.
    AnswerLost,
    /// Of a PUT: nothing was stored, and there is no answer until the client goes away.
    Hang,
}

impl S3 {
    /// Starts the server with no objects and no fault.
    pub fn start() -> Self {
        let shelf = Arc::new(Shelf {
            objects: Mutex::default(),
            fault: Mutex::new(S3Fault::None),
            get_faults: Mutex::default(),
            put_faults: Mutex::default(),
            meeting: Mutex::default(),
            requests: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/{bucket}", get(list_objects))
            .route("/{bucket}/", get(list_objects))
            .route("/{bucket}/{*key}", get(get_object).put(put_object))
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

    /// Sets a fault for the PUTs of a key. It holds from the next one on, until another one is set.
    pub fn fault_put(&self, key: &str, fault: S3Fault) {
        self.shelf.put_faults.lock().unwrap().insert(key.to_owned(), fault);
    }

    /// Makes the next GETs of a key wait until this many of them have come. Later ones do not wait.
    pub fn meet(&self, key: &str, count: usize) {
        *self.shelf.meeting.lock().unwrap() =
            Some(Meeting { key: key.to_owned(), awaited: count, barrier: Arc::new(Barrier::new(count)) });
    }

    /// How many PUTs have come so far, including the SDK's retries and those that failed.
    pub fn puts(&self) -> usize {
        self.shelf.puts.load(Ordering::SeqCst)
    }

    /// How many GETs have come so far, including the SDK's retries and those that failed.
    pub fn requests(&self) -> usize {
        self.shelf.requests.load(Ordering::SeqCst)
    }
}

struct Shelf {
    /// By `bucket/key`, oldest version first, never empty.
    objects: Mutex<HashMap<String, Vec<Version>>>,
    fault: Mutex<S3Fault>,
    get_faults: Mutex<HashMap<String, S3Fault>>,
    put_faults: Mutex<HashMap<String, S3Fault>>,
    meeting: Mutex<Option<Meeting>>,
    requests: AtomicUsize,
    puts: AtomicUsize,
}

struct Meeting {
    key: String,
    awaited: usize,
    barrier: Arc<Barrier>,
}

#[derive(Clone)]
struct Version {
    id: String,
    etag: String,
    bytes: Bytes,
    /// Type, checksum and user metadata, as the PUT sent them.
    kept: HeaderMap,
}

impl Version {
    fn new(number: usize, bytes: Bytes, headers: &HeaderMap) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self {
            id: format!("version-{number}"),
            // As long as S3's MD5, and like MD5 the same for the same bytes.
            etag: format!("\"{:016x}{:016x}\"", hasher.finish(), bytes.len()),
            bytes,
            kept: headers
                .iter()
                .filter(|(name, _)| is_kept(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("ETag", self.etag.clone()),
            ("Last-Modified", LAST_MODIFIED.to_owned()),
            ("x-amz-version-id", self.id.clone()),
        ]
    }
}

/// Whether S3 stores this header with the bytes and sends it back. Only headers that the tests look at count.
fn is_kept(name: &HeaderName) -> bool {
    name == header::CONTENT_TYPE || name == CHECKSUM || name.as_str().starts_with("x-amz-meta-")
}

async fn get_object(
    State(shelf): State<Arc<Shelf>>,
    Path((bucket, key)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    shelf.requests.fetch_add(1, Ordering::SeqCst);
    if !is_signed(&headers) {
        return failure(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let of_key = shelf.get_faults.lock().unwrap().get(&key).copied();
    let fault = of_key.unwrap_or_else(|| *shelf.fault.lock().unwrap());
    match fault {
        S3Fault::None | S3Fault::Truncated | S3Fault::Drips(_) | S3Fault::AnswerLost => {}
        S3Fault::Forbidden => return failure(StatusCode::FORBIDDEN, "AccessDenied"),
        S3Fault::NotFound => return failure(StatusCode::NOT_FOUND, "NoSuchKey"),
        S3Fault::InternalError => {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        S3Fault::Slow(delay) => tokio::time::sleep(delay).await,
        S3Fault::Reset => close_connection(),
        S3Fault::Error(status, code) => return error(status, code),
        S3Fault::Answer(status, body) => {
            return (StatusCode::from_u16(status).unwrap(), body).into_response();
        }
        S3Fault::Region(region) => return redirect(region),
        S3Fault::Hang => std::future::pending().await,
    }
    if let Some(barrier) = shelf.meeting_of(&key) {
        barrier.wait().await;
    }
    let version = match shelf.find(&bucket, &key, query.get("versionId")) {
        Ok(version) => version,
        Err(code) => return failure(StatusCode::NOT_FOUND, code),
    };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|etag| *etag == version.etag) {
        return (StatusCode::NOT_MODIFIED, version.headers()).into_response();
    }
    let length = version.bytes.len();
    let body = match fault {
        S3Fault::Truncated => body_cut_after(version.bytes.slice(..length / 2)),
        S3Fault::Drips(pause) => dripping(version.bytes.clone(), pause),
        _ => Body::from(version.bytes.clone()),
    };
    let mut kept = version.kept.clone();
    kept.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("binary/octet-stream"));
    (version.headers(), [(header::CONTENT_LENGTH, length.to_string())], kept, body).into_response()
}

/// Lists in pages of two, so that a client has to ask for more than one.
async fn list_objects(
    State(shelf): State<Arc<Shelf>>,
    Path(bucket): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    shelf.requests.fetch_add(1, Ordering::SeqCst);
    if !is_signed(&headers) || query.get("list-type").is_none_or(|kind| kind != "2") {
        return failure(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let prefix = format!("{bucket}/{}", query.get("prefix").map_or("", String::as_str));
    let objects = shelf.objects.lock().unwrap();
    let keys = objects.keys().filter(|path| path.starts_with(&prefix));
    let mut keys: Vec<&str> = keys.filter_map(|path| path.split_once('/')).map(|(_, key)| key).collect();
    keys.sort_unstable();
    let start = query.get("continuation-token").map_or(0, |token| token.parse().unwrap());
    let page: String =
        keys.iter().skip(start).take(2).map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let rest = if keys.len() > start + 2 {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>", start + 2)
    } else {
        "<IsTruncated>false</IsTruncated>".to_owned()
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rest}{page}</ListBucketResult>"
    );
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

async fn put_object(
    State(shelf): State<Arc<Shelf>>,
    Path((bucket, key)): Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    shelf.puts.fetch_add(1, Ordering::SeqCst);
    if !is_signed(&headers) {
        return failure(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let fault = shelf.put_faults.lock().unwrap().get(&key).copied().unwrap_or(S3Fault::None);
    match fault {
        S3Fault::None | S3Fault::AnswerLost => {}
        S3Fault::Forbidden => return failure(StatusCode::FORBIDDEN, "AccessDenied"),
        S3Fault::NotFound => return failure(StatusCode::NOT_FOUND, "NoSuchKey"),
        S3Fault::InternalError => {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        S3Fault::Slow(delay) => tokio::time::sleep(delay).await,
        S3Fault::Truncated | S3Fault::Drips(_) | S3Fault::Reset => close_connection(),
        S3Fault::Error(status, code) => return error(status, code),
        S3Fault::Answer(status, body) => {
            return (StatusCode::from_u16(status).unwrap(), body).into_response();
        }
        S3Fault::Region(region) => return redirect(region),
        S3Fault::Hang => std::future::pending().await,
    }
    if headers.get(CHECKSUM).is_some_and(|sent| sent.as_bytes() != checksum(&bytes).as_bytes()) {
        return failure(StatusCode::BAD_REQUEST, "BadDigest");
    }
    let stored = shelf.store(&bucket, &key, &headers, bytes);
    match (fault, stored) {
        (S3Fault::AnswerLost, Ok(_)) => close_connection(),
        (_, Ok(version)) => version.headers().into_response(),
        (_, Err((status, code))) => failure(status, code),
    }
}

/// The checksum of these bytes, as in `x-amz-checksum-sha256`.
fn checksum(bytes: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, bytes).as_ref())
}

/// A body of these bytes, after which the connection ends.
fn body_cut_after(bytes: Bytes) -> Body {
    let bytes = stream::once(async { Ok::<_, io::Error>(bytes) });
    let cut = stream::once(async {
        // hyper sends what it has before it waits. If this failed at once, the bytes would be lost.
        tokio::task::yield_now().await;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    Body::from_stream(bytes.chain(cut))
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
        bytes: Bytes,
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
        let version = Version::new(versions.len() + 1, bytes, headers);
        versions.push(version.clone());
        Ok(version)
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

fn error(status: u16, code: &str) -> Response {
    failure(StatusCode::from_u16(status).unwrap(), code)
}

fn redirect(region: &'static str) -> Response {
    let answer = failure(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect");
    ([("x-amz-bucket-region", region)], answer).into_response()
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn failure(status: StatusCode, code: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>{code}, says the stand-in</Message>\
         <RequestId>4442587FB7D0A2F9</RequestId></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// The same for all versions. S3's dates have whole seconds, so two versions may share one. A client has to tell
/// them apart by `ETag`.
const LAST_MODIFIED: &str = "Wed, 01 Jan 2025 00:00:00 GMT";

const CHECKSUM: &str = "x-amz-checksum-sha256";

#[test]
fn a_put_is_done_if_its_condition_holds() {
    let s3 = S3::start();
    let status = |key: &str, headers: &str, body: &str| {
        s3.signed(&format!("PUT /bucket/{key}"), headers, body).split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("key", "If-Match: \"x\"\r\n", "early"), "404");
    assert_eq!(status("key", "If-None-Match: *\r\n", "first"), "200");
    assert_eq!(status("key", "If-None-Match: *\r\n", "again"), "412");
    let old = s3.get("/bucket/key", "");
    let (_, etag) = old.split_once("etag: ").unwrap();
    let condition = format!("If-Match: {}\r\n", etag.split_once("\r\n").unwrap().0);
    assert_eq!(status("key", &condition, "second"), "200");
    assert_eq!(status("key", &condition, "third"), "412");
    assert_eq!(s3.object("bucket", "key").unwrap().0, "second");
    assert_eq!((s3.puts(), s3.keys("bucket")), (5, vec!["key".to_owned()]));
}

#[test]
fn a_put_keeps_its_metadata_and_checks_its_checksum() {
    let s3 = S3::start();
    let headers =
        |body: &str| format!("{CHECKSUM}: {}\r\nx-amz-meta-revision: 7\r\n", checksum(body.as_bytes()));
    let wrong = s3.signed("PUT /bucket/key", &headers("other"), "body");
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.contains("<Code>BadDigest</Code>"), "{wrong}");
    assert!(s3.object("bucket", "key").is_none());
    assert!(s3.signed("PUT /bucket/key", &headers("body"), "body").starts_with("HTTP/1.1 200 "));
    assert!(s3.get("/bucket/key", "").contains("x-amz-meta-revision: 7\r\n"));
}

#[test]
fn a_get_with_the_current_etag_is_not_modified() {
    let s3 = S3::start();
    s3.put("bucket", "policies/petstore.bundle", "old");
    let old = s3.get("/bucket/policies/petstore.bundle", "");
    let (_, etag) = old.split_once("etag: ").unwrap();
    let (etag, _) = etag.split_once("\r\n").unwrap();
    let condition = format!("If-None-Match: {etag}\r\n");

    let same = s3.get("/bucket/policies/petstore.bundle", &condition);
    assert!(same.starts_with("HTTP/1.1 304 "), "{same}");
    assert!(same.ends_with("\r\n\r\n"), "{same}");

    s3.put("bucket", "policies/petstore.bundle", "new");
    let new = s3.get("/bucket/policies/petstore.bundle", &condition);
    assert!(new.starts_with("HTTP/1.1 200 "), "{new}");
    assert!(new.ends_with("\r\n\r\nnew"), "{new}");
    assert_eq!(s3.requests(), 3);
}

#[test]
fn an_old_version_can_be_read_by_its_id() {
    let s3 = S3::start();
    let id = s3.put("bucket", "key", "old");
    s3.put("bucket", "key", "new");
    let old = s3.get(&format!("/bucket/key?x-id=GetObject&versionId={id}"), "");
    assert!(old.ends_with("\r\n\r\nold"), "{old}");
    let none = s3.get("/bucket/key?versionId=version-3", "");
    assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
    assert!(none.contains("<Code>NoSuchVersion</Code>"), "{none}");
}

#[test]
fn a_request_without_a_signature_is_refused() {
    let s3 = S3::start();
    s3.put("bucket", "key", "secret");
    let refused = exchange(s3.server.address, "GET /bucket/key", "", "");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}

#[test]
fn a_truncated_object_ends_before_its_stated_length() {
    let s3 = S3::start();
    s3.put("bucket", "key", "first second");
    s3.fault(S3Fault::Truncated);
    let truncated = s3.get("/bucket/key", "");
    assert!(truncated.contains("content-length: 12\r\n"), "{truncated}");
    assert!(truncated.ends_with("\r\n\r\nfirst "), "{truncated}");
}

#[test]
fn a_reset_connection_carries_nothing_and_the_server_lives_on() {
    let s3 = S3::start();
    s3.put("bucket", "key", "bytes");
    s3.fault(S3Fault::Reset);
    assert_eq!(s3.get("/bucket/key", ""), "");
    s3.fault(S3Fault::None);
    assert!(s3.get("/bucket/key", "").ends_with("bytes"));
}

impl S3 {
    /// A signed GET for the tests above.
    fn get(&self, path: &str, headers: &str) -> String {
        self.signed(&format!("GET {path}"), headers, "")
    }

    fn signed(&self, request_line: &str, headers: &str, body: &str) -> String {
        let signed = format!("Authorization: AWS4-HMAC-SHA256 Credential=...\r\n{headers}");
        exchange(self.server.address, request_line, &signed, body)
    }
}
