use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};

use super::answer::failure;
use super::fault::{RangeFault, S3Fault};
use super::version::Version;
use super::{CHECKSUM, Shelf, VERSION_ID, is_signed};
use crate::loopback::dripping;

pub(super) async fn get_object(
    State(shelf): State<Arc<Shelf>>,
    Path((bucket, key)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    shelf.requests.fetch_add(1, Ordering::SeqCst);
    if !is_signed(&headers) {
        return failure(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let fault = shelf.fault_of_get(&key);
    if let Some(answer) = fault.answer().await {
        return answer;
    }
    if let Some(barrier) = shelf.meeting_of(&key) {
        barrier.wait().await;
    }
    shelf.replace(&bucket, &key);
    let version = match shelf.find(&bucket, &key, query.get("versionId")) {
        Ok(version) => version,
        Err(code) => return failure(StatusCode::NOT_FOUND, code),
    };
    // The order of RFC 9110 13.2.2, to which S3's reference refers.
    if headers.get(header::IF_MATCH).is_some_and(|tags| !names(tags, &version.etag)) {
        return failure(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tags| names(tags, &version.etag)) {
        return (StatusCode::NOT_MODIFIED, version.headers()).into_response();
    }
    let range = headers.get(header::RANGE);
    let range_fault = match fault {
        S3Fault::Range(fault) if range.is_some() => Some(fault),
        _ => None,
    };
    let range =
        range.filter(|_| !matches!(range_fault, Some(RangeFault::Ignored | RangeFault::IgnoredOfAnother)));
    let part = match range.map_or(Asked::Whole, |range| Asked::of(range, &version)) {
        Asked::Whole => None,
        Asked::Part(range) => Some(range),
        Asked::Unsatisfiable => return failure(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
    };
    let answer = Found { version, part }.answer(fault, range_fault);
    shelf.sent.fetch_add(answer.length, Ordering::SeqCst);
    answer.response
}

/// Whether a header with entity tags names this one.
fn names(tags: &HeaderValue, etag: &str) -> bool {
    tags.to_str().unwrap().split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim() == etag)
}

/// What a `Range` asks for.
enum Asked {
    Whole,
    Part(Range<usize>),
    Unsatisfiable,
}

impl Asked {
    /// RFC 9110 14.1.2. A header that is no range of bytes is ignored, and so are several ranges, which S3 does not
    /// support.
    fn of(range: &HeaderValue, version: &Version) -> Self {
        let length = version.bytes.len();
        let text = range.to_str().unwrap().strip_prefix("bytes=").unwrap_or_default();
        let Some((first, last)) = text.split_once('-') else {
            return Self::Whole;
        };
        let number = |text: &str| text.parse::<usize>().ok();
        let part = match (first, number(first), number(last)) {
            ("", _, Some(count)) => length - count.min(length)..length,
            (_, Some(first), None) if last.is_empty() => first..length,
            (_, Some(first), Some(last)) if first <= last => first..length.min(last.saturating_add(1)),
            _ => return Self::Whole,
        };
        if part.is_empty() { Self::Unsatisfiable } else { Self::Part(part) }
    }
}

/// What is sent.
struct Found {
    version: Version,
    part: Option<Range<usize>>,
}

struct Answer {
    response: Response,
    /// Of the body, if it arrives whole.
    length: usize,
}

impl Found {
    fn answer(self, fault: S3Fault, range_fault: Option<RangeFault>) -> Answer {
        let Self { version, mut part } = self;
        let total = version.bytes.len();
        match (range_fault, &mut part) {
            (Some(RangeFault::Later), Some(range)) => range.start += 1,
            (Some(RangeFault::Shorter), Some(range)) => range.end -= 1,
            _ => {}
        }
        let range = part.clone().unwrap_or(0..total);
        let mut bytes = version.bytes.slice(range.clone());
        match range_fault {
            Some(RangeFault::BodyShorter) => bytes = bytes.slice(1..),
            Some(RangeFault::BodyLonger) => bytes = [&bytes[..], b"x"].concat().into(),
            _ => {}
        }
        let mut headers = version.kept.clone();
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("binary/octet-stream"));
        for (name, value) in version.headers() {
            headers.insert(name, value.parse().unwrap());
        }
        let mut insert = |name: HeaderName, text: &str| headers.insert(name, text.parse().unwrap());
        insert(header::ACCEPT_RANGES, "bytes");
        insert(header::CONTENT_LENGTH, &bytes.len().to_string());
        if part.is_some() {
            let text = format!("bytes {}-{}/{total}", range.start, range.end - 1);
            insert(header::CONTENT_RANGE, &text);
        }
        match range_fault {
            Some(RangeFault::ContentRange(text)) => drop(insert(header::CONTENT_RANGE, text)),
            Some(RangeFault::NoContentRange) => drop(headers.remove(header::CONTENT_RANGE)),
            Some(RangeFault::OtherTag | RangeFault::IgnoredOfAnother) => {
                insert(header::ETAG, "\"0123456789abcdef0123456789abcdef\"");
            }
            Some(RangeFault::NoTag) => drop(headers.remove(header::ETAG)),
            Some(RangeFault::OtherVersion) => drop(insert(VERSION_ID, "version-0")),
            _ => {}
        }
        if part.is_some() {
            // The checksum is that of the whole object.
            headers.remove(CHECKSUM);
        }
        let length = bytes.len();
        let body = match fault {
            S3Fault::Truncated => body_cut_after(bytes.slice(..length / 2)),
            S3Fault::Drips(pause) => dripping(bytes, pause),
            _ => Body::from(bytes),
        };
        let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        Answer { response: (status, headers, body).into_response(), length }
    }
}

/// Lists in pages of two, so that a client has to ask for more than one.
pub(super) async fn list_objects(
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
