//! A request as it comes from a client, and what API Gateway refuses before it looks for a route.

use aws_lc_rs::rand;
use axum::body::{Body, HttpBody};
use hyper::upgrade::OnUpgrade;
use url::form_urlencoded;

use crate::local_server::connections::Pace;
use crate::serve::api::{Kind, ServedApi};
use crate::serve::gateway_response::Case;
use crate::test_bench::{CONNECT, HttpRequest, Received};

/// A request.
#[derive(Debug)]
pub struct ClientRequest {
    /// All but the body.
    pub head: ClientHead,
    /// The body.
    pub body: Body,
    /// The connection, once it is no longer HTTP. `None`: it stays HTTP.
    pub upgrade: Option<Upgrade>,
}

/// A connection that can stop being HTTP.
#[derive(Debug)]
pub struct Upgrade {
    /// The connection.
    pub connection: OnUpgrade,
    /// How much time its client has.
    pub pace: Pace,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct ClientHead {
    /// The method, in upper case.
    pub method: String,
    /// The path with its query, as the client sent it.
    pub target: String,
    /// The headers. A name may be there several times.
    pub headers: Vec<(String, String)>,
    /// The address of the client.
    pub source_ip: String,
    /// Whether the page sent it.
    pub is_of_page: bool,
}

impl ClientRequest {
    /// A request of the page, without a body.
    pub fn of_page(method: &str, target: &str, headers: Vec<(String, String)>, source_ip: &str) -> Self {
        let (method, target, source_ip) = (method.to_owned(), target.to_owned(), source_ip.to_owned());
        let head = ClientHead { method, target, headers, source_ip, is_of_page: true };
        Self { head, body: Body::empty(), upgrade: None }
    }
}

impl ClientHead {
    /// The path and the query.
    pub fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the client wants to go on with the WebSocket protocol (RFC 6455, 4.1).
    pub fn is_websocket(&self) -> bool {
        let lists = |name, token: &str| {
            let values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            let mut tokens = values.flat_map(|(_, value)| value.split(',')).map(str::trim);
            tokens.any(|listed| listed.eq_ignore_ascii_case(token))
        };
        self.method == "GET" && lists("connection", "upgrade") && lists("upgrade", "websocket")
    }

    /// Why API Gateway does not take the request, whatever its routes are.
    ///
    /// Source: Developer Guide, "Amazon API Gateway quotas": the bytes of headers, for HTTP APIs with the request line;
    /// the length of a URL; the size of a payload.
    pub fn refused(&self, kind: Kind, body: &Body) -> Option<Case> {
        let is_method = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase());
        if !self.target.starts_with('/') || !is_method(&self.method) {
            return Some(Case::BadRequest);
        }
        // The page has no connection of its own to hand over.
        if kind == Kind::WebSocket && !self.is_of_page && !self.is_websocket() {
            return Some(Case::BadRequest);
        }
        if self.target.len() > MAX_TARGET_BYTES {
            return Some(Case::PathTooLong);
        }
        let line = if kind.is_rest() { 0 } else { self.method.len() + self.target.len() };
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if line + headers > MAX_HEADER_BYTES {
            return Some(Case::HeadersTooLarge);
        }
        (body.size_hint().lower() > MAX_BODY_BYTES).then_some(Case::BodyTooLarge)
    }

    /// The same request as an API of this kind sees it.
    pub fn to_http(&self, api: &ServedApi, kind: Kind, id: &str, time_milliseconds: u64) -> HttpRequest {
        let (path, query) = self.path_and_query();
        let (verb, path) = match kind {
            Kind::WebSocket => ("", CONNECT),
            _ => (self.method.as_str(), path),
        };
        let host = self.header("host").unwrap_or_default();
        HttpRequest {
            api: kind.events(),
            verb: verb.to_owned(),
            path: path.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: self.headers.clone(),
            source_ip: self.source_ip.clone(),
            user_agent: None,
            host: Some(without_port(host).to_owned()),
            stage: api.stage.clone(),
            time_milliseconds,
            received: Some(Received { id: id.to_owned(), query: query.to_owned() }),
        }
    }
}

/// A domain name in an event has no port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// An id for a request, in the form of API Gateway's.
pub fn new_id() -> String {
    let mut bytes = [0; 16];
    // Without random numbers all ids are the same. Nothing depends on them.
    let _ = rand::fill(&mut bytes);
    let number = u128::from_be_bytes(bytes);
    let part = |shift: u32, digits: usize| {
        let mask = (1_u128 << (4 * digits)) - 1;
        format!("{:0digits$x}", (number >> shift) & mask)
    };
    [part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12)].join("-")
}

/// Of regional endpoints.
const MAX_TARGET_BYTES: usize = 10_240;

const MAX_HEADER_BYTES: usize = 10_240;

/// 10 MB.
pub const MAX_BODY_BYTES: u64 = 10 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> ClientHead {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ClientRequest::of_page(method, target, headers, "127.0.0.1").head
    }

    #[test]
    fn what_api_gateway_takes_has_limits() {
        let long = |bytes: usize| "a".repeat(bytes);
        let (most, more) = (long(10_239), long(10_240));
        for (method, target, headers, expected) in [
            ("GET", "/", &[][..], None),
            ("GET", "*", &[], Some(Case::BadRequest)),
            ("get", "/", &[], Some(Case::BadRequest)),
            ("", "/", &[], Some(Case::BadRequest)),
            ("GET", "", &[], Some(Case::BadRequest)),
            ("PURGE", "/", &[], None),
            ("GET", &format!("/{}", long(10_239)), &[], None),
            ("GET", &format!("/{}", long(10_240)), &[], Some(Case::PathTooLong)),
            ("GET", "/", &[("a", most.as_str())], None),
            ("GET", "/", &[("a", more.as_str())], Some(Case::HeadersTooLarge)),
        ] {
            let found = request(method, target, headers).refused(Kind::RestRequest, &Body::empty());
            assert_eq!(found, expected, "{method} {}", target.len());
        }
        // HTTP APIs count the request line, too.
        let request = request("GET", "/", &[("a", most.as_str())]);
        assert_eq!(request.refused(Kind::Http, &Body::empty()), Some(Case::HeadersTooLarge));
    }

    #[test]
    fn ids_have_the_form_of_api_gateway() {
        let (one, other) = (new_id(), new_id());
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_ne!(one, other);
    }

    #[test]
    fn a_websocket_says_so_in_two_headers() {
        let both = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")];
        assert!(request("GET", "/", &both).is_websocket());
        assert!(!request("POST", "/", &both).is_websocket());
        assert!(!request("GET", "/", &both[..1]).is_websocket());
    }
}
