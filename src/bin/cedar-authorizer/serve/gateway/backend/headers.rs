//! The headers that go on, and those that do not.

use std::collections::BTreeMap;

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
        if !is_only_here && !is_of_gateway(name) {
            append(&mut headers, name, value);
        }
    }
    let forwarded = client.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(FORWARDED_FOR));
    let forwarded: Vec<&str> =
        forwarded.map(|(_, value)| value.as_str()).chain([client.source_ip.as_str()]).collect();
    set(&mut headers, FORWARDED_FOR, &forwarded.join(", "));
    set(&mut headers, FORWARDED_PROTO, "http");
    if let Some(host) = client.header(header::HOST.as_str()) {
        set(&mut headers, FORWARDED_HOST, host);
    }
    for (name, value) in split(context).0 {
        match value {
            Value::String(text) => set(&mut headers, &header_of(name), text),
            other => set(&mut headers, &header_of(name), &other.to_string()),
        }
    }
    headers
}

/// The names of the values of the authorizer that have no header, because others would have the same.
pub fn left_out(context: &Map<String, Value>) -> Vec<&str> {
    split(context).1
}

/// The values of the authorizer that have a header, and the names of those that have none. Those that would have the
/// same header have none: a backend must not take one for the other. Only a name that needs no change keeps its header
/// if all others of it do.
fn split(context: &Map<String, Value>) -> (Vec<(&str, &Value)>, Vec<&str>) {
    let mut by_header: BTreeMap<String, Vec<(&str, &Value)>> = BTreeMap::new();
    for (name, value) in context.iter().filter(|(_, value)| !value.is_null()) {
        by_header.entry(as_servers_read(&header_of(name))).or_default().push((name, value));
    }
    let (mut sent, mut left_out) = (Vec::new(), Vec::new());
    for rivals in by_header.into_values() {
        let kept = match rivals.as_slice() {
            [(only, _)] => Some(*only),
            several => the_one(several.iter().map(|(name, _)| *name)),
        };
        for (name, value) in rivals {
            if kept == Some(name) { sent.push((name, value)) } else { left_out.push(name) }
        }
    }
    (sent, left_out)
}

/// The one of some names for the same header that it is for.
fn the_one<'a>(mut names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let is_kept_as_it_is = |name: &&str| {
        header_of(name).strip_prefix(OF_AUTHORIZER).is_some_and(|kept| kept.eq_ignore_ascii_case(name))
    };
    let mut kept = names.clone().filter(is_kept_as_it_is);
    let only = kept.next().filter(|_| kept.next().is_none());
    names.find(|name| *name == PRINCIPAL_ID).or(only)
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

/// Whether a client could pass a header off as one of the gateway.
fn is_of_gateway(name: &str) -> bool {
    let name = as_servers_read(name);
    name.starts_with(OF_AUTHORIZER)
        || [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO].contains(&name.as_str())
}

/// Many servers read `_` and `-` as the same (RFC 3875, 4.1.18), and some every other character that is no letter.
fn as_servers_read(name: &str) -> String {
    name.to_ascii_lowercase().replace(|char: char| !char.is_ascii_alphanumeric(), "-")
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

/// The gateway's own value, which no value of the authorizer takes the place of.
const PRINCIPAL_ID: &str = "principalId";

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
            ("x.authorizer.e", "1"),
        ];
        let found = headers(&forged, context);
        for (name, expected) in [
            ("x-authorizer-principalid", Some("alice")),
            ("x-authorizer-custom-tier", Some("3")),
            ("x-authorizer-a", Some("true")),
            ("x-authorizer-b", None),
            ("x-authorizer-c", Some("x%0D%0Ay: z")),
            ("x-authorizer-d", None),
            ("x.authorizer.e", None),
            ("x_authorizer_principalid", None),
        ] {
            assert_eq!(value(&found, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn no_value_takes_the_place_of_another() {
        for (context, expected, missing) in [
            (json!({"a:b": 1, "a-b": 2}), &[("a-b", "2")][..], &["a:b"][..]),
            (json!({"a-b": 2, "a:b": 1}), &[("a-b", "2")], &["a:b"]),
            (json!({"a:b": 1, "a/b": 2}), &[], &["a:b", "a/b"]),
            (json!({"A": 1, "a": 2}), &[], &["A", "a"]),
            (json!({"a_b": 1, "a-b": 2, "a b": 3, "c": 4}), &[("c", "4")], &["a_b", "a-b", "a b"]),
            (json!({"a:b": 1, "a-b": null}), &[("a-b", "1")], &[]),
            (json!({"é": 1, "è": 2}), &[], &["é", "è"]),
            (json!({"principalid": "root", "principalId": "u"}), &[("principalid", "u")], &["principalid"]),
            (json!({"": 1, "a": 2}), &[("", "1"), ("a", "2")], &[]),
        ] {
            let found = headers(&[], context.clone());
            let mut of_authorizer: Vec<(&str, &str)> = found
                .iter()
                .filter_map(|(name, value)| Some((name.strip_prefix(OF_AUTHORIZER)?, value.as_str())))
                .collect();
            of_authorizer.sort_unstable();
            assert_eq!(of_authorizer, expected, "{context}");
            let (mut left, mut missing) = (left_out(context.as_object().unwrap()), missing.to_vec());
            left.sort_unstable();
            missing.sort_unstable();
            assert_eq!(left, missing, "{context}");
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
            ("X-Forwarded-Proto", "https"),
            ("x_forwarded_host", "example.com"),
            ("X-Forwarded-For", "203.0.113.10"),
            ("Host", "localhost:3000"),
        ];
        let found = headers(&sent, json!({}));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["authorization", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]);
        assert_eq!(value(&found, "x-forwarded-for").as_deref(), Some("203.0.113.9, 203.0.113.10, 127.0.0.1"));
        assert_eq!(value(&found, "x-forwarded-host").as_deref(), Some("localhost:3000"));
    }
}
