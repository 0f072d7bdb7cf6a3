use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};

use crate::http::{Request, Response};

/// The files of a folder, as `GetObject` and `HeadObject` give them. The first part of a path names the bucket and
/// counts for nothing, nor does the signature.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
pub struct Bucket {
    folder: PathBuf,
    objects: Mutex<HashMap<String, Object>>,
}

#[derive(Clone)]
pub struct Object {
    content: Arc<Vec<u8>>,
    modified: SystemTime,
    /// Of the content: the entity tag, and the version as well.
    hash: String,
}

impl Bucket {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, objects: Mutex::default() }
    }

    pub fn answer(&self, request: &Request) -> Response {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return refused(501, "NotImplemented");
        }
        let path = request.path.trim_start_matches('/');
        let key = path.split_once('/').map_or("", |(_, key)| key);
        let Ok(object) = self.object(key) else {
            return refused(404, "NoSuchKey");
        };
        object.answer(request)
    }

    /// Reads an object, unless it was read before.
    pub fn object(&self, key: &str) -> io::Result<Object> {
        let is_name = |part| matches!(part, Component::Normal(_));
        if key.is_empty() || !Path::new(key).components().all(is_name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let path = self.folder.join(key);
        let modified = fs::metadata(&path)?.modified()?;
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        match objects.get(key) {
            Some(object) if object.modified == modified => Ok(object.clone()),
            _ => {
                let content = fs::read(&path)?;
                let hash: String =
                    digest(&SHA256, &content).as_ref().iter().take(16).map(|b| format!("{b:02x}")).collect();
                let object = Object { content: Arc::new(content), modified, hash };
                objects.insert(key.to_owned(), object.clone());
                Ok(object)
            }
        }
    }
}

impl Object {
    /// Conditions count before the range (RFC 9110 13.2.2).
    fn answer(&self, request: &Request) -> Response {
        let tag = format!("\"{}\"", self.hash);
        let version = request.query.split('&').find_map(|pair| pair.strip_prefix("versionId="));
        if version.is_some_and(|version| version != self.hash) {
            return refused(404, "NoSuchVersion");
        }
        let names_it = |list: &str| list.split(',').any(|one| one.trim() == tag || one.trim() == "*");
        if request.header("if-match").is_some_and(|list| !names_it(list)) {
            return refused(412, "PreconditionFailed");
        }
        if request.header("if-none-match").is_some_and(names_it) {
            return Response::empty(304).with("ETag", tag);
        }
        let length = self.content.len();
        let response = match request.header("range").and_then(|range| parse_range(range, length)) {
            None => Response { range: 0..length, ..Response::empty(200) },
            Some(None) => {
                return refused(416, "InvalidRange").with("Content-Range", format!("bytes */{length}"));
            }
            Some(Some(range)) => {
                let (first, last) = (range.start, range.end - 1);
                let response = Response { range, ..Response::empty(206) };
                response.with("Content-Range", format!("bytes {first}-{last}/{length}"))
            }
        };
        let response = Response { content: Arc::clone(&self.content), ..response };
        response
            .with("Accept-Ranges", "bytes")
            .with("Content-Type", "application/octet-stream")
            .with("ETag", tag)
            .with("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            .with("x-amz-version-id", self.hash.as_str())
    }
}

/// One range of bytes (RFC 9110 14.1.2). `None`: not one range, so the whole is asked for. `Some(None)`: there are no
/// such bytes.
fn parse_range(header: &str, length: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let suffix: usize = last.parse().ok()?;
        return Some((suffix > 0 && length > 0).then(|| length.saturating_sub(suffix)..length));
    }
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() { usize::MAX - 1 } else { last.parse().ok()? };
    if last < first {
        return None;
    }
    Some((first < length).then(|| first..last.saturating_add(1).min(length)))
}

fn refused(status: u16, code: &str) -> Response {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>");
    Response::new(status, text.into_bytes()).with("Content-Type", "application/xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_that_of_rfc_9110() {
        for (header, expected) in [
            ("bytes=0-9", Some(Some(0..10))),
            ("bytes=90-", Some(Some(90..100))),
            ("bytes=90-1000", Some(Some(90..100))),
            ("bytes=-7", Some(Some(93..100))),
            ("bytes=-700", Some(Some(0..100))),
            ("bytes=100-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=9-0", None),
            ("bytes=0-1,4-5", None),
            ("pages=0-1", None),
            ("bytes=", None),
        ] {
            assert_eq!(parse_range(header, 100), expected, "{header}");
        }
        assert_eq!(parse_range("bytes=-7", 0), Some(None));
    }
}
