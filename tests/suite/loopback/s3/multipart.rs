use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::answer::failure;
use super::fault::{S3Fault, Step};
use super::version::{Version, is_kept};
use super::writing::has_wrong_checksum;
use super::{CHECKSUM, Shelf, checksum, is_signed};

/// The least size of a part other than the last (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
const SMALLEST_PART: usize = 5 * 1024 * 1024;

/// The highest number of a part (likewise).
const LAST_PART: u16 = 10_000;

/// An upload that is neither completed nor aborted.
pub(super) struct Upload {
    bucket: String,
    key: String,
    /// Type and user metadata, as `CreateMultipartUpload` sent them.
    kept: HeaderMap,
    /// Whether each part has a SHA-256.
    is_hashed: bool,
    parts: BTreeMap<u16, Part>,
}

struct Part {
    etag: String,
    bytes: Bytes,
}

impl Part {
    fn new(bytes: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self { etag: format!("\"{:032x}\"", hasher.finish()), bytes }
    }
}

/// A status and S3's code for it.
type Refused = (StatusCode, &'static str);

const NO_SUCH_UPLOAD: Refused = (StatusCode::NOT_FOUND, "NoSuchUpload");

fn bad(code: &'static str) -> Refused {
    (StatusCode::BAD_REQUEST, code)
}

/// `CreateMultipartUpload` and `CompleteMultipartUpload`.
pub(super) async fn post(
    State(shelf): State<Arc<Shelf>>,
    Path((bucket, key)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let step = if query.contains_key("uploads") { Step::Create } else { Step::Complete };
    let fault = match shelf.begin(step, &headers).await {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    match query.get("uploadId") {
        None => fault.after(Ok(create(&shelf, bucket, key, &headers))),
        Some(id) => {
            if let S3Fault::Error(409, code) = fault {
                // Then the upload is gone, says S3's reference: "re-initiate the multipart upload".
                shelf.uploads.lock().unwrap().remove(id);
                return failure(StatusCode::CONFLICT, code);
            }
            fault.after(complete(&shelf, id, &headers, &body))
        }
    }
}

/// `AbortMultipartUpload`.
pub(super) async fn delete(
    State(shelf): State<Arc<Shelf>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let fault = match shelf.begin(Step::Abort, &headers).await {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    let upload = query.get("uploadId").and_then(|id| shelf.uploads.lock().unwrap().remove(id));
    fault.after(upload.map(|_| StatusCode::NO_CONTENT.into_response()).ok_or(NO_SUCH_UPLOAD))
}

/// `UploadPart` and `UploadPartCopy`.
pub(super) async fn put_part(
    shelf: &Shelf,
    id: &str,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    bytes: Bytes,
) -> Response {
    let source = headers.get("x-amz-copy-source");
    let step = if source.is_some() { Step::CopyPart } else { Step::UploadPart };
    let fault = match shelf.begin(step, headers).await {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    let number = query.get("partNumber").and_then(|text| text.parse().ok());
    let Some(number @ 1..=LAST_PART) = number else {
        return failure(StatusCode::BAD_REQUEST, "InvalidArgument");
    };
    fault.after(match source {
        Some(source) => copy_part(shelf, id, number, source.to_str().unwrap(), headers),
        None => upload_part(shelf, id, number, headers, bytes),
    })
}

fn create(shelf: &Shelf, bucket: String, key: String, headers: &HeaderMap) -> Response {
    let mut uploads = shelf.uploads.lock().unwrap();
    let id = format!("upload-{}", shelf.count(Step::Create));
    let answer = xml(
        "InitiateMultipartUploadResult",
        &format!("<Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>"),
    );
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    let kept = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let is_hashed = headers.get("x-amz-checksum-algorithm").is_some_and(|name| name == "SHA256");
    uploads.insert(id, Upload { bucket, key, kept, is_hashed, parts: BTreeMap::new() });
    answer
}

fn upload_part(
    shelf: &Shelf,
    id: &str,
    number: u16,
    headers: &HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let mut uploads = shelf.uploads.lock().unwrap();
    let upload = uploads.get_mut(id).ok_or(NO_SUCH_UPLOAD)?;
    if upload.is_hashed && !headers.contains_key(CHECKSUM) {
        return Err(bad("InvalidRequest"));
    }
    if has_wrong_checksum(headers, &bytes) {
        return Err(bad("BadDigest"));
    }
    let hash = checksum(&bytes);
    let part = Part::new(bytes);
    let answer = [(header::ETAG.as_str(), part.etag.clone()), (CHECKSUM, hash)].into_response();
    upload.parts.insert(number, part);
    Ok(answer)
}

fn copy_part(
    shelf: &Shelf,
    id: &str,
    number: u16,
    source: &str,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let mut uploads = shelf.uploads.lock().unwrap();
    let upload = uploads.get_mut(id).ok_or(NO_SUCH_UPLOAD)?;
    let (path, version_id) =
        source.split_once("?versionId=").map_or((source, None), |(path, id)| (path, Some(id.to_owned())));
    let path = percent_decode_str(path.trim_start_matches('/')).decode_utf8().unwrap();
    let (bucket, key) = path.split_once('/').ok_or(bad("InvalidArgument"))?;
    let version =
        shelf.find(bucket, key, version_id.as_ref()).map_err(|code| (StatusCode::NOT_FOUND, code))?;
    if headers.get("x-amz-copy-source-if-match").is_some_and(|tag| *tag != version.etag) {
        return Err((StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    }
    let bytes = match headers.get("x-amz-copy-source-range") {
        None => version.bytes.clone(),
        // "You can copy a range only if the source object is greater than 5 MB."
        Some(_) if version.bytes.len() <= SMALLEST_PART => return Err(bad("InvalidRequest")),
        Some(range) => {
            let text = range.to_str().unwrap().strip_prefix("bytes=").ok_or(bad("InvalidArgument"))?;
            let (first, last) = text.split_once('-').ok_or(bad("InvalidArgument"))?;
            match (first.parse::<usize>(), last.parse::<usize>()) {
                (Ok(first), Ok(last)) if first <= last && last < version.bytes.len() => {
                    version.bytes.slice(first..=last)
                }
                _ => return Err(bad("InvalidArgument")),
            }
        }
    };
    let hash = checksum(&bytes);
    let part = Part::new(bytes);
    let etag = quoted(&part.etag);
    let hash =
        if upload.is_hashed { format!("<ChecksumSHA256>{hash}</ChecksumSHA256>") } else { String::new() };
    upload.parts.insert(number, part);
    let result = format!("<LastModified>2025-01-01T00:00:00.000Z</LastModified><ETag>{etag}</ETag>{hash}");
    Ok(xml("CopyPartResult", &result))
}

fn complete(shelf: &Shelf, id: &str, headers: &HeaderMap, body: &str) -> Result<Response, Refused> {
    let mut uploads = shelf.uploads.lock().unwrap();
    let upload = uploads.get(id).ok_or(NO_SUCH_UPLOAD)?;
    let listed: Vec<&str> = body.split("<Part>").skip(1).collect();
    let numbers: Vec<u16> =
        listed.iter().filter_map(|part| element(part, "PartNumber")?.parse().ok()).collect();
    if numbers.is_empty() || numbers.len() != listed.len() {
        return Err(bad("MalformedXML"));
    }
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(bad("InvalidPartOrder"));
    }
    let (mut bytes, mut hashes) = (Vec::new(), Vec::new());
    for (at, (text, number)) in listed.iter().zip(&numbers).enumerate() {
        let part = upload.parts.get(number).ok_or(bad("InvalidPart"))?;
        let etag = element(text, "ETag").ok_or(bad("MalformedXML"))?;
        if etag.trim_matches('"') != part.etag.trim_matches('"') {
            return Err(bad("InvalidPart"));
        }
        match element(text, "ChecksumSHA256") {
            None if upload.is_hashed => return Err(bad("InvalidRequest")),
            Some(hash) if hash != checksum(&part.bytes) => return Err(bad("InvalidPart")),
            _ => {}
        }
        if at + 1 < numbers.len() && part.bytes.len() < SMALLEST_PART {
            return Err(bad("EntityTooSmall"));
        }
        hashes.extend_from_slice(digest(&SHA256, &part.bytes).as_ref());
        bytes.extend_from_slice(&part.bytes);
    }
    let mut kept = upload.kept.clone();
    let count = numbers.len();
    if upload.is_hashed {
        let composite = STANDARD.encode(digest(&SHA256, &hashes).as_ref());
        kept.insert(CHECKSUM, format!("{composite}-{count}").parse().unwrap());
    }
    let version = shelf.store(&upload.bucket, &upload.key, headers, |number| {
        let mut version = Version::new(number, bytes.into(), &kept);
        version.etag = format!("\"{}-{count}\"", version.etag.trim_matches('"'));
        version
    })?;
    let Upload { bucket, key, .. } = uploads.remove(id).unwrap();
    let etag = quoted(&version.etag);
    let result = format!("<Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>{etag}</ETag>");
    Ok((version.headers(), xml("CompleteMultipartUploadResult", &result)).into_response())
}

impl Shelf {
    /// Counts a step. Its fault, or the answer that comes instead of it. 409 is left to the step itself.
    async fn begin(&self, step: Step, headers: &HeaderMap) -> Result<S3Fault, Response> {
        *self.steps.lock().unwrap().entry(step).or_default() += 1;
        if !is_signed(headers) {
            return Err(failure(StatusCode::FORBIDDEN, "AccessDenied"));
        }
        let fault = self.step_faults.lock().unwrap().get(&step).copied().unwrap_or(S3Fault::None);
        if let (Step::Complete, S3Fault::Error(409, _)) = (step, fault) {
            return Ok(fault);
        }
        fault.answer().await.map_or(Ok(fault), Err)
    }

    /// How often a step has come so far.
    pub(super) fn count(&self, step: Step) -> usize {
        self.steps.lock().unwrap().get(&step).copied().unwrap_or_default()
    }
}

/// The text of an element, of which entity tags have quotes.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.replace("&quot;", "\""))
}

fn quoted(etag: &str) -> String {
    etag.replace('"', "&quot;")
}

fn xml(root: &str, content: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</{root}>"
    );
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
