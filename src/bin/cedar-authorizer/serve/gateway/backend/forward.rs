//! Requests to a server, and its answers. Both are passed on as they come, piece by piece.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use reqwest::{Method, RequestBuilder, Url};

use super::{Failed, Server, headers};
use crate::serve::gateway::request::{ClientHead, MAX_BODY_BYTES};
use crate::serve::gateway_response::Case;

impl Server {
    /// Sends a request on.
    pub async fn forward(
        &self,
        client: &ClientHead,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Body>, Failed> {
        let url = self.url_of(&client.target).ok_or_else(|| Failed::new(Case::BadRequest, None))?;
        let method = Method::from_bytes(client.method.as_bytes());
        let method = method.map_err(|_| Failed::new(Case::BadRequest, None))?;
        let fault = Arc::new(OnceLock::new());
        let mut request = self.client.request(method, url).headers(headers);
        if !body.is_end_stream() {
            if let Some(length) = body.size_hint().exact() {
                request = request.header(header::CONTENT_LENGTH, length);
            }
            request = request.body(limited(body, Arc::clone(&fault)));
        }
        let response = self.answer_to(request).await.map_err(|failed| match fault.get() {
            Some(case) => Failed::new(Case::clone(case), None),
            None => failed,
        })?;
        let status = response.status();
        if status.is_informational() {
            let problem = format!("the backend answered {status}, which nobody asked for");
            return Err(Failed::new(Case::BackendFailed, problem));
        }
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = status;
        *answer.headers_mut() = response.headers().clone();
        headers::without_connection(answer.headers_mut());
        if status == StatusCode::NO_CONTENT {
            // RFC 9110, 8.6. Whoever believed it would wait for a body.
            answer.headers_mut().remove(header::CONTENT_LENGTH);
        }
        *answer.body_mut() = Body::from_stream(response.bytes_stream());
        Ok(answer)
    }

    /// Waits for the head of the answer.
    pub(super) async fn answer_to(&self, request: RequestBuilder) -> Result<reqwest::Response, Failed> {
        let sent = tokio::time::timeout(self.patience, request.send()).await;
        let Ok(answered) = sent else {
            let problem = format!("the backend did not answer within {} seconds", self.patience.as_secs());
            return Err(Failed::new(Case::BackendTimeout, problem));
        };
        answered.map_err(|error| Failed::new(Case::BackendFailed, problem(&error)))
    }

    /// The URL at the backend for the target of a request. `None`: in a URL it would be another path.
    ///
    /// The library that sends requests resolves dot segments and turns backslashes. The route was chosen for the path as
    /// it was sent, so a path that does not survive this must not go on.
    pub(super) fn url_of(&self, target: &str) -> Option<Url> {
        let base = self.url.as_str().trim_end_matches('/');
        let url: Url = format!("{base}{target}").parse().ok()?;
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let expected = format!("{}{path}", self.url.path().trim_end_matches('/'));
        let same = |one: &str, other: &str| percent_decode_str(one).eq(percent_decode_str(other));
        let is_same_query = match (url.query(), query) {
            (Some(found), Some(query)) => same(found, query),
            (found, query) => found == query,
        };
        (same(url.path(), &expected) && is_same_query && url.fragment().is_none()).then_some(url)
    }
}

fn problem(error: &reqwest::Error) -> String {
    let what = if error.is_connect() { "cannot be reached" } else { "broke off" };
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let cause = causes.last().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("the backend {what}{cause}")
}

/// A body that ends with an error where it becomes longer than API Gateway takes. If it is the client's fault that it
/// does not come to its end, `fault` says so.
fn limited(body: Body, fault: Arc<OnceLock<Case>>) -> reqwest::Body {
    let mut bytes: u64 = 0;
    let fail = move |case, error| {
        // The first fault is the one that counts.
        let _ = fault.set(case);
        error
    };
    reqwest::Body::wrap_stream(body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(|error| fail(Case::BadRequest, std::io::Error::other(error)))?;
        bytes = bytes.saturating_add(piece.len() as u64);
        if bytes > MAX_BODY_BYTES {
            return Err(fail(Case::BodyTooLarge, std::io::Error::other("the body is too large")));
        }
        Ok(piece)
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Backend;
    use super::*;

    #[test]
    fn a_path_reaches_the_backend_as_it_was_routed_or_not_at_all() {
        for (base, target, expected) in [
            ("http://localhost:1", "/a?b=c&b", Some("http://localhost:1/a?b=c&b")),
            ("http://localhost:1/", "/", Some("http://localhost:1/")),
            ("http://localhost:1/base/", "/a/", Some("http://localhost:1/base/a/")),
            ("http://localhost:1", "/a%2Fb/%41", Some("http://localhost:1/a%2Fb/%41")),
            ("http://localhost:1", "//a//b", Some("http://localhost:1//a//b")),
            ("http://localhost:1", "/{id}", Some("http://localhost:1/%7Bid%7D")),
            ("http://localhost:1", "/?", Some("http://localhost:1/?")),
            ("http://localhost:1", "/a/../b", None),
            ("http://localhost:1", "/a/./b", None),
            ("http://localhost:1", "/a/%2e%2E/b", None),
            ("http://localhost:1", "/a/.%2e", None),
            ("http://localhost:1", r"/a\b", None),
            ("http://localhost:1", "/a#b", None),
            ("http://localhost:1", "/a\tb", None),
        ] {
            let backend = Backend::server(base.parse().unwrap(), Duration::ZERO).unwrap();
            let Backend::Server(server) = backend else { panic!() };
            let found = server.url_of(target);
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{base} {target}");
        }
    }
}
