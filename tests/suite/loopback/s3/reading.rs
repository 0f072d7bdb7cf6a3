use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};

use super::answer::{error, failure, redirect};
use super::fault::S3Fault;
use super::{Shelf, is_signed};
use crate::loopback::{close_connection, dripping};

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
