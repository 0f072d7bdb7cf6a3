//! The headers that go on, and those that do not.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::serve::gateway::request::ClientHead;

/// The headers for the backend: those of the client that are not only for this connection, where the request comes
/// from, and the values of the authorizer.
pub fn for_backend(client: &ClientHead, context: &Map<String, Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let only_here = named_by_connection(&client.headers);
    for (name, value) in &client.headers {
        let is_only_here = ONLY_HERE.contains(&name.to_ascii_lowercase().as_str())
            || only_here.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !is_only_here && !is_of_authorizer(name) {
            append(&mut headers, name, value);
        }
    }
    let forwarded: Vec<&str> =
        [client.header(FORWARDED_FOR), Some(&client.source_ip)].into_iter().flatten().collect();
    set(&mut headers, FORWARDED_FOR, &forwarded.join(", "));
    set(&mut headers, FORWARDED_PROTO, "http");
    if let Some(host) = client.header(header::HOST.as_str()) {
        set(&mut headers, FORWARDED_HOST, host);
    }
    for (name, value) in context {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        set(&mut headers, &header_of(name), &text);
    }
    headers
}

/// Removes the headers of an answer that are only for the connection to the backend.
pub fn without_connection(headers: &mut HeaderMap) {
    let listed: Vec<(String, String)> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| Some((header::CONNECTION.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    for name in named_by_connection(&listed) {
        headers.remove(name.as_str());
    }
    for name in ONLY_HERE.iter().filter(|name| **name != header::CONTENT_LENGTH.as_str()) {
        headers.remove(*name);
    }
}

/// The header that carries a value of the authorizer.
fn header_of(name: &str) -> String {
    let allowed = |char: char| {
        if char.is_ascii_alphanumeric() || char == '_' { char.to_ascii_lowercase() } else { '-' }
    };
    format!("{OF_AUTHORIZER}{}", name.chars().map(allowed).collect::<String>())
}

/// Whether a client could pass a header off as one of the authorizer. Many servers read `_` and `-` as the same.
fn is_of_authorizer(name: &str) -> bool {
    name.to_ascii_lowercase().replace('_', "-").starts_with(OF_AUTHORIZER)
}

/// The names that the header `Connection` lists (RFC 9110, 7.6.1).
fn named_by_connection(headers: &[(String, String)]) -> Vec<String> {
    let lists = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header::CONNECTION.as_str()));
    lists.flat_map(|(_, value)| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Some(value)) = (HeaderName::try_from(name), value_of(value)) {
        headers.append(name, value);
    }
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Some(value)) = (HeaderName::try_from(name), value_of(value)) {
        headers.insert(name, value);
    }
}

/// A text as the value of a header. Control characters, which no header can have, are percent-encoded.
fn value_of(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes())
        .or_else(|_| HeaderValue::try_from(utf8_percent_encode(text, NOT_IN_HEADERS).to_string()))
        .ok()
}

/// RFC 9110, 7.6.1, and what HTTP itself writes for each connection.
const ONLY_HERE: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
];

const OF_AUTHORIZER: &str = "x-authorizer-";

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::serve::gateway::ClientRequest;

    fn headers(sent: &[(&str, &str)], context: Value) -> Vec<(String, String)> {
        let sent = sent.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let client = ClientRequest::of_page("GET", "/", sent, "127.0.0.1").head;
        let headers = for_backend(&client, context.as_object().unwrap());
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[track_caller]
    fn value(headers: &[(String, String)], name: &str) -> Option<String> {
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn values_of_the_authorizer_become_headers_that_no_client_can_forge() {
        let context =
            json!({"principalId": "alice", "custom:tier": 3, "a": true, "b": null, "c": "x\r\ny: z"});
        let forged = [
            ("X-Authorizer-PrincipalId", "root"),
            ("x_authorizer_principalid", "root"),
            ("X-Authorizer-D", "1"),
        ];
        let found = headers(&forged, context);
        for (name, expected) in [
            ("x-authorizer-principalid", Some("alice")),
            ("x-authorizer-custom-tier", Some("3")),
            ("x-authorizer-a", Some("true")),
            ("x-authorizer-b", None),
            ("x-authorizer-c", Some("x%0D%0Ay: z")),
            ("x-authorizer-d", None),
            ("x_authorizer_principalid", None),
        ] {
            assert_eq!(value(&found, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_for_one_connection_does_not_go_on() {
        let sent = [
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Keep-Alive", "5"),
            ("Upgrade", "h2c"),
            ("Authorization", "Bearer a"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("Host", "localhost:3000"),
        ];
        let found = headers(&sent, json!({}));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["authorization", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]);
        assert_eq!(value(&found, "x-forwarded-for").as_deref(), Some("203.0.113.9, 127.0.0.1"));
        assert_eq!(value(&found, "x-forwarded-host").as_deref(), Some("localhost:3000"));
    }
}
