use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, StreamExt};

use super::{Server, close_connection, exchange};

/// `GetObject` for any number of buckets, all versioned, in path style: the SDK's choice when the
/// endpoint is an IP address.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
pub struct S3 {
    server: Server,
    shelf: Arc<Shelf>,
}

/// What goes wrong with the GETs to come; a request that is not signed fails in any case.
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
    /// The `Content-Length` of the whole object, half of its bytes, and the end of the connection.
    Truncated,
    /// The end of the connection, with no answer.
    Reset,
}

impl S3 {
    /// With no objects in it, and no fault.
    pub fn start() -> Self {
        let shelf = Arc::new(Shelf {
            objects: Mutex::default(),
            fault: Mutex::new(S3Fault::None),
            requests: AtomicUsize::new(0),
        });
        let router = Router::new().route("/{bucket}/{*key}", get(get_object)).with_state(Arc::clone(&shelf));
        Self { server: Server::start(router), shelf }
    }

    /// The value of `AWS_ENDPOINT_URL_S3`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Stores a new version of an object, the current one from now on. Returns its version id.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> String {
        let mut objects = self.shelf.objects.lock().unwrap();
        let versions = objects.entry(format!("{bucket}/{key}")).or_default();
        let version = Version::new(versions.len() + 1, bytes.into());
        let id = version.id.clone();
        versions.push(version);
        id
    }

    /// Holds from the next request on, until another one is set.
    pub fn fault(&self, fault: S3Fault) {
        *self.shelf.fault.lock().unwrap() = fault;
    }

    /// How many GETs have come so far, with the SDK's retries and those that failed.
    pub fn requests(&self) -> usize {
        self.shelf.requests.load(Ordering::SeqCst)
    }
}

struct Shelf {
    /// By `bucket/key`, oldest version first, never empty.
    objects: Mutex<HashMap<String, Vec<Version>>>,
    fault: Mutex<S3Fault>,
    requests: AtomicUsize,
}

#[derive(Clone)]
struct Version {
    id: String,
    etag: String,
    bytes: Bytes,
}

impl Version {
    fn new(number: usize, bytes: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self {
            id: format!("version-{number}"),
            // As long as S3's MD5, and like it the same for the same bytes.
            etag: format!("\"{:016x}{:016x}\"", hasher.finish(), bytes.len()),
            bytes,
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
    let fault = *shelf.fault.lock().unwrap();
    match fault {
        S3Fault::None | S3Fault::Truncated => {}
        S3Fault::Forbidden => return failure(StatusCode::FORBIDDEN, "AccessDenied"),
        S3Fault::NotFound => return failure(StatusCode::NOT_FOUND, "NoSuchKey"),
        S3Fault::InternalError => {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        S3Fault::Slow(delay) => tokio::time::sleep(delay).await,
        S3Fault::Reset => close_connection(),
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
        _ => Body::from(version.bytes.clone()),
    };
    (
        version.headers(),
        [
            (header::CONTENT_LENGTH, length.to_string()),
            (header::CONTENT_TYPE, "binary/octet-stream".to_owned()),
        ],
        body,
    )
        .into_response()
}

/// These bytes, and then the end of the connection.
fn body_cut_after(bytes: Bytes) -> Body {
    let bytes = stream::once(async { Ok::<_, io::Error>(bytes) });
    let cut = stream::once(async {
        // hyper sends what it has before it waits; failing at once would take the bytes along.
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
    /// The version asked for, else the current one, else S3's code for what is missing.
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

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn failure(status: StatusCode, code: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>{code}, says the stand-in</Message>\
         <RequestId>4442587FB7D0A2F9</RequestId></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// The same for all versions. S3's dates have whole seconds, so two versions may share one, and a
/// client has to tell them apart by `ETag`.
const LAST_MODIFIED: &str = "Wed, 01 Jan 2025 00:00:00 GMT";

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
        let signed = format!("Authorization: AWS4-HMAC-SHA256 Credential=...\r\n{headers}");
        exchange(self.server.address, &format!("GET {path}"), &signed, "")
    }
}
