//! The backend that there is without one: it shows what it got.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cedar_authorizer::gateway::route::Route;
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::Failed;
use crate::local_server::connections::PATIENCE;
use crate::serve::gateway::request::{ClientHead, MAX_BODY_BYTES};
use crate::serve::gateway_response::Case;

/// Answers with the request as JSON.
pub async fn answer(
    client: &ClientHead,
    headers: HeaderMap,
    context: &Map<String, Value>,
    route: Option<&Route>,
    body: Body,
) -> Result<Response<Body>, Failed> {
    let read = timeout(PATIENCE, read(body)).await;
    let body = read.unwrap_or(Err(Case::BadRequest)).map_err(|case| Failed::new(case, None))?;
    let mut shown = Map::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match shown.get_mut(name.as_str()) {
            Some(Value::String(known)) => *known = format!("{known}, {value}"),
            _ => {
                shown.insert(name.to_string(), value.into());
            }
        }
    }
    let mut answer = json!({
        "mock": "there is no --backend; it would get this",
        "method": client.method,
        "target": client.target,
        "route": route.map(ToString::to_string),
        "headers": shown,
        "authorizer": context,
    });
    if !body.is_empty()
        && let Some(members) = answer.as_object_mut()
    {
        match str::from_utf8(&body) {
            Ok(text) => members.insert("body".to_owned(), text.into()),
            Err(_) => members.insert("bodyBase64".to_owned(), STANDARD.encode(&body).into()),
        };
    }
    let mut response = Response::new(Body::from(format!("{answer:#}\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn read(body: Body) -> Result<Vec<u8>, Case> {
    let mut pieces = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(piece) = pieces.next().await {
        read.extend_from_slice(&piece.map_err(|_| Case::BadRequest)?);
        if read.len() as u64 > MAX_BODY_BYTES {
            return Err(Case::BodyTooLarge);
        }
    }
    Ok(read)
}
