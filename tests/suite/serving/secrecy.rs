//! Nothing that `serve` shows or records has a token.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use super::ServeProcess;
use crate::world::token;

/// Fails if a text has eight characters in a row of a token.
#[track_caller]
fn assert_has_nothing_of(token: &str, text: &str) {
    let runs: HashSet<&[u8]> = token.as_bytes().windows(8).collect();
    if let Some(run) = text.as_bytes().windows(8).find(|run| runs.contains(run)) {
        let run = String::from_utf8_lossy(run);
        let line = text.lines().find(|line| line.contains(&*run)).unwrap_or(text);
        panic!("`{run}` of a token: {line}");
    }
}

/// At most so many bytes of an ASCII text.
fn begin(text: &str, bytes: usize) -> &str {
    text.split_at(text.len().min(bytes)).0
}

#[test]
fn a_token_is_neither_in_the_record_nor_on_stderr_nor_in_the_traffic() {
    let jwt = token("alice", json!({}));
    let opaque = "q7GhX-29aLmZp0_vRt5KwEyB83Nd";
    for (kind, text) in [
        ("rest-request", jwt.as_str()),
        ("rest-token", &jwt),
        ("http", &jwt),
        ("http-1", &jwt),
        ("rest-request", opaque),
        ("http", opaque),
    ] {
        let server = ServeProcess::start(&["--kind", kind]);
        let mut client = server.connect();
        let headers = format!(
            "Authorization: Bearer {text}\r\nCookie: a=b; t={text}; s=hush-this-is-secret\r\nX-Other: {text}\r\nUser-Agent: curl {text}\r\n"
        );
        let half = text.split_at(text.len() / 2).1;
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let encoded_half: String = half.bytes().map(|byte| format!("%25{byte:02X}")).collect();
        let targets = [
            "/pets?a=hush-this-is-secret".to_owned(),
            format!("/pets/{text}"),
            format!("/pets?token={text}"),
            format!("/pets?{text}=1"),
            format!("/pets/{half}"),
            format!("/pets/x{half}/y?z={half}"),
            format!("/pets/{}", begin(half, 8)),
            format!("/pets/a.{}.b?c", begin(text.split_at(3).1, 9)),
            format!("/pets/{}", begin(&encoded, 900)),
            format!("/pets/{}", begin(&encoded_half, 900)),
        ];
        for target in &targets {
            client.ask("GET", target, &headers, b"");
        }
        // A method is a word that the client chooses, too.
        client.ask(begin(text, 20), "/pets", &headers, b"");
        let exchanges = server.exchanges();
        assert_eq!(exchanges.len(), targets.len() + 1, "{kind}");
        assert_eq!(exchanges[5]["target"], "/pets/x***/y?z=***", "{kind}");
        let record = json!(exchanges).to_string();
        let mut page = server.connect();
        page.send(b"GET /_bench/api/traffic HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let traffic = page.rest_for(Duration::from_secs(2));
        assert!(traffic.matches("event: exchange").count() == targets.len() + 1, "{traffic}");
        for shown in [record, server.errors(), traffic] {
            assert!(!shown.contains("hush-this-is-secret"), "{shown}");
            assert_has_nothing_of(text, &shown);
        }
    }
}
