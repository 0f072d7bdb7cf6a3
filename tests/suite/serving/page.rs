//! The endpoints of the page: what they answer, and whom they refuse.

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::eventually;
use super::{Bench, Reply};
use crate::world::{StoreCopy, root, run, sample_store, stdout, token};

fn attempt(who: &str, method: &str, path: &str) -> Value {
    json!({"as": who, "method": method, "path": path})
}

/// What a browser is told of how to use the page.
#[test]
fn every_answer_has_the_headers_that_protect_the_page() {
    let bench = Bench::start(&[]);
    for path in ["", "bench.css", "try.js", "api/state", "api/matrix", "api/nothing", "nothing", "a/b/c"] {
        let reply = bench.process.get(&format!("/_bench/{path}"), "");
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}");
        }
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
    }
    let picture = bench.send("GET", "schema.svg", "", b"");
    assert_eq!(picture.header("content-type"), Some("image/svg+xml"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";
    assert_eq!(picture.header("content-security-policy"), Some(policy));
    assert!(picture.text().starts_with("<svg"));
}

#[test]
fn other_machines_and_pages_of_other_sites_are_refused() {
    let bench = Bench::start(&["--edit"]);
    let address = bench.process.address();
    for (headers, is_admitted) in [
        (format!("Host: {address}\r\n"), true),
        (format!("Host: {address}\r\nOrigin: http://{address}\r\n"), true),
        ("Host: bench.example.com\r\n".to_owned(), false),
        (String::new(), false),
        (format!("Host: {address}\r\nOrigin: https://example.com\r\n"), false),
        (format!("Host: {address}\r\nOrigin: null\r\n"), false),
    ] {
        for path in ["", "bench.js", "api/state", "api/cache"] {
            let mut client = bench.process.connect();
            client.send(format!("GET /_bench/{path} HTTP/1.1\r\n{headers}\r\n").as_bytes());
            let status = client.read("GET").status;
            // Without a host, it is not even HTTP.
            assert_eq!(status == 200, is_admitted, "{path} {headers:?} {status}");
            assert!(is_admitted || [400, 403].contains(&status), "{path} {headers:?} {status}");
        }
    }
}

/// An image of another site asks without `Origin`. A link may still lead to the page.
#[test]
fn what_a_page_of_another_site_loads_is_refused() {
    let bench = Bench::start(&["--edit"]);
    for (site, status) in [("cross-site", 403), ("same-origin", 200), ("none", 200)] {
        let header = format!("Sec-Fetch-Site: {site}\r\n");
        for path in ["state", "matrix", "cache", "policies", "schema.svg"] {
            assert_eq!(bench.send("GET", path, &header, b"").status, status, "{site} {path}");
        }
        assert_eq!(bench.process.get("/_bench/", &header).status, 200, "{site}");
    }
}

/// A form of another site can send these without asking.
#[test]
fn what_a_form_can_send_changes_nothing() {
    let bench = Bench::start(&["--edit"]);
    let body = attempt("alice", "GET", "/").to_string();
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data\r\n",
    ] {
        for (method, path) in [
            ("POST", "try"),
            ("POST", "save-test"),
            ("POST", "policies/check"),
            ("PUT", "policies"),
            ("DELETE", "cache"),
        ] {
            let reply = bench.send(method, path, kind, body.as_bytes());
            assert_eq!(reply.status, 415, "{method} {path} {kind:?} {}", reply.text());
        }
    }
    assert!(!bench.store.path().join("tests/test-bench.yaml").exists());
    // JSON with its character set is JSON.
    let reply =
        bench.send("POST", "try", "Content-Type: application/json; charset=utf-8\r\n", body.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn nonsense_is_refused_with_a_message() {
    let bench = Bench::start(&["--edit"]);
    let huge = "x".repeat(1024 * 1024 + 1);
    for (body, status) in [
        ("", 400),
        ("null", 400),
        ("[", 400),
        ("{}", 400),
        (r#"{"method": "GET", "path": "/", "unknown": 1}"#, 400),
        (r#"{"method": "GET", "path": "pets"}"#, 400),
        (r#"{"method": "GET IT", "path": "/"}"#, 400),
        (r#"{"method": "GET", "path": "/ö"}"#, 400),
        (r#"{"method": "GET", "path": "/", "headers": [["a b", "c"]]}"#, 400),
        (r#"{"method": "GET", "path": "/", "headers": [["a", "b\r\nc: d"]]}"#, 400),
        (r#"{"method": "GET", "path": "/", "sourceIp": "nowhere"}"#, 400),
        (r#"{"method": "GET", "path": "/", "as": "nobody"}"#, 400),
        (r#"{"method": "GET", "path": "/", "claims": []}"#, 400),
        (r#"{"method": "GET", "path": "/", "token": "a\nb"}"#, 400),
        (r#"{"method": "GET", "path": "/", "token": ""}"#, 400),
        (&huge, 413),
    ] {
        let reply = bench.send("POST", "try", "Content-Type: application/json\r\n", body.as_bytes());
        let start: String = body.chars().take(80).collect();
        assert_eq!(reply.status, status, "{start} {}", reply.text());
        assert!(!refusal(&reply).0.is_empty(), "{start}");
    }
    // Nested too deeply for any reader.
    let deep =
        format!("{{\"method\": \"GET\", \"path\": \"/\", \"claims\": {{\"a\": {}}}}}", "[".repeat(100_000));
    let reply = bench.send("POST", "try", "Content-Type: application/json\r\n", deep.as_bytes());
    assert_eq!(reply.status, 400);
    for query in ["by=everybody", "by="] {
        assert_eq!(bench.send("GET", &format!("matrix?{query}"), "", b"").status, 400, "{query}");
    }
    // It still answers.
    assert_eq!(bench.get("state")["store"], "petstore");
}

#[test]
fn an_attempt_goes_through_the_gateway_and_is_explained() {
    let bench = Bench::start(&[]);
    let denied = bench.post("try", &attempt("carol", "POST", "/pets"));
    assert_eq!(denied["exchange"]["status"], 403);
    assert_eq!(denied["exchange"]["isOfPage"], true);
    assert_eq!(denied["verdict"]["sentence"], "no policy permits carol to `post /pets`.");
    assert_eq!(denied["verdict"]["code"], "no-matching-permit");
    assert_eq!(
        denied["explanation"]["change"]["edits"],
        json!(["add `petstore/pets.write` to the claim `scope`"])
    );
    let rows = denied["grant"]["routes"].as_array().unwrap();
    let kept: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["route"].as_str().unwrap(), row["kept"].as_str().unwrap())).collect();
    let expected =
        [("get /", "allow"), ("get /pets", "allow"), ("get /pets/{petId}", "allow"), ("post /pets", "deny")];
    assert_eq!(kept, expected);

    // The change that is named does allow it.
    let claims = &denied["explanation"]["change"]["claims"];
    let allowed = bench.post("try", &json!({"claims": claims, "method": "POST", "path": "/pets"}));
    assert_eq!(allowed["verdict"]["word"], "Allowed");

    // A second request of the same person has the same token, and gets the kept answer.
    std::thread::sleep(Duration::from_millis(1100));
    let again = bench.post("try", &attempt("carol", "GET", "/pets/7"));
    assert_eq!(again["exchange"]["cache"]["outcome"], "hit");
    assert_eq!(again["exchange"]["status"], 200);
    let sentence = again["cacheSentence"].as_str().unwrap();
    assert!(sentence.starts_with("The authorizer was not asked: its answer to request 1 "), "{sentence}");
    assert_eq!(bench.get("cache")["kept"].as_array().unwrap().len(), 2);
    assert_eq!(bench.ask("DELETE", "cache", &json!({})).json(), json!({"dropped": 2}));
    assert_eq!(bench.get("cache"), json!({"kept": [], "more": 0}));

    for (request, status, word, sentence) in [
        (json!({"method": "GET", "path": "/pets"}), 401, "Refused", "the call carries no token."),
        (
            json!({"as": "bob", "expiresIn": -60, "method": "GET", "path": "/pets"}),
            401,
            "Refused",
            "the token has expired.",
        ),
        (attempt("bob", "GET", "/toys"), 403, "No route", "this API has none for `GET /toys`."),
        (
            attempt("erin", "GET", "/pets"),
            403,
            "Denied",
            "`suspended-users-see-the-front-page-only` forbids erin to `get /pets`.",
        ),
        (
            attempt("olivia", "GET", "/pets"),
            200,
            "Allowed",
            "`employees-see-pets` permits olivia to `get /pets`.",
        ),
        (
            json!({"token": "nonsense", "method": "GET", "path": "/"}),
            401,
            "Refused",
            "the token is not a JWS in compact form with a JSON header and payload.",
        ),
    ] {
        let answer = bench.post("try", &request);
        assert_eq!(answer["exchange"]["status"], status, "{request}");
        assert_eq!(answer["verdict"]["word"], word, "{request}");
        assert_eq!(answer["verdict"]["sentence"], sentence, "{request}");
    }
}

/// A token of the development key is not one of the page's own, and is explained all the same.
#[test]
fn a_pasted_token_is_explained_by_its_claims() {
    let bench = Bench::start(&[]);
    let token = stdout(&run(&["token", "--as", "erin"])).trim_end().to_owned();
    let answer = bench.post("try", &json!({"token": token, "method": "GET", "path": "/pets"}));
    assert_eq!(answer["verdict"]["code"], "forbidden-by-policy");
    assert_eq!(answer["explanation"]["change"]["edits"], json!(["remove the group `suspended`"]));
}

/// The same command is in the answer that everybody can paste into a shell.
#[test]
fn the_command_line_of_an_attempt_gets_the_same_answer() {
    let bench = Bench::start(&[]);
    let request = json!({
        "as": "bob", "method": "GET", "path": "/pets/7", "query": [["q", "it's $(x)"]], "headers": [["X-A", "a b'c"]],
    });
    let answer = bench.post("try", &request);
    let curl = answer["curl"].as_str().unwrap();
    let output = Command::new("sh").arg("-c").arg(curl.replacen("curl ", "curl -s ", 1)).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(output.starts_with("HTTP/1.1 200"), "{curl}\n{output}");
    assert!(output.contains("a b'c") && output.contains("it%27s+%24%28x%29"), "{curl}\n{output}");
}

#[test]
fn tokens_are_in_no_exchange() {
    let bench = Bench::start(&[]);
    let answer = bench.post("try", &attempt("bob", "GET", "/pets"));
    let token = answer["token"].as_str().unwrap();
    assert!(answer["curl"].as_str().unwrap().contains(token));
    assert!(!answer["exchange"].to_string().contains(token));
    let stream = bench.stream_until("event: store");
    assert!(stream.contains("event: exchange"), "{stream}");
    assert!(!stream.contains(token) && !stream.contains("eyJ"), "{stream}");
    assert!(!bench.get("cache").to_string().contains("eyJ"));
}

#[test]
fn an_edit_is_weighed_before_it_is_saved() {
    let bench = Bench::start(&["--edit"]);
    let path = "policies/groups.cedar";
    let file = file(&bench, path);
    let text = file["text"].as_str().unwrap();
    let check = |text: &str| bench.post("policies/check", &json!({"files": {path: text}}));

    let broken = check(&text.replacen("permit (", "permit (\n  oops", 1));
    let errors: Vec<&Value> = findings(&broken, "error");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["position"]["file"], path);
    assert_eq!((&errors[0]["position"]["line"], &errors[0]["position"]["column"]), (&json!(5), &json!(3)));
    assert_eq!(broken["cells"], Value::Null);

    let taken = check(&text.replace("|customer", "|visitor"));
    let cells = taken["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2, "{cells:?}");
    assert!(
        cells
            .iter()
            .all(|cell| cell["caller"] == "bob" && cell["before"] == "allow" && cell["after"] == "deny")
    );
    let failed = taken["tests"]["newlyFailed"].as_array().unwrap();
    assert!(failed.iter().any(|name| name == "customers see pets [GET /pets]"), "{failed:?}");

    // Only a comment: nothing changes.
    let same = check(&format!("{text}// end\n"));
    assert_eq!(same["cells"], json!([]));
    assert_eq!(same["tests"]["failed"], json!([]));
    // Nothing was written.
    assert_eq!(fs::read_to_string(bench.store.path().join(path)).unwrap(), text);
}

#[test]
fn a_saved_file_is_in_force_at_the_next_call() {
    let bench = Bench::start(&["--edit"]);
    let path = "policies/groups.cedar";
    let file = file(&bench, path);
    let text = file["text"].as_str().unwrap();
    assert_eq!(bench.post("try", &attempt("bob", "GET", "/pets"))["exchange"]["status"], 200);
    let edited = text.replace("|customer", "|visitor");
    let saved =
        bench.ask("PUT", "policies", &json!({"path": path, "text": edited, "digest": file["digest"]}));
    assert_eq!(saved.status, 200, "{}", saved.text());
    assert_eq!(fs::read_to_string(bench.store.path().join(path)).unwrap(), edited);
    let begun = Instant::now();
    while bench.post("try", &attempt("bob", "GET", "/pets"))["exchange"]["status"] != 403 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the old policies are in force");
    }
    // The digest of the first text is that of an old file now.
    let stale = bench.ask("PUT", "policies", &json!({"path": path, "text": text, "digest": file["digest"]}));
    assert_eq!(stale.status, 409, "{}", stale.text());
    assert!(refusal(&stale).0.contains("has changed on disk"), "{}", stale.text());
    assert_eq!(fs::read_to_string(bench.store.path().join(path)).unwrap(), edited);
    // The new one is good.
    let back =
        bench.ask("PUT", "policies", &json!({"path": path, "text": text, "digest": saved.json()["digest"]}));
    assert_eq!(back.status, 200, "{}", back.text());
}

#[test]
fn without_edit_nothing_is_saved() {
    let bench = Bench::start(&[]);
    let file = file(&bench, "store.toml");
    let reply =
        bench.ask("PUT", "policies", &json!({"path": "store.toml", "text": "", "digest": file["digest"]}));
    assert_eq!(reply.status, 403);
    assert_eq!(refusal(&reply).1, "start `cedar-authorizer serve` with `--edit`");
    assert_ne!(fs::read_to_string(bench.store.path().join("store.toml")).unwrap(), "");
}

#[test]
fn only_files_of_the_store_are_shown_and_saved() {
    let store = StoreCopy::of(&sample_store());
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.cedar"), "permit (principal, action, resource);").unwrap();
    store.write("policies/.hidden.cedar", b"// hidden");
    store.write("notes.txt", b"notes");
    let bench = Bench::of(store, &["--edit"]);
    let listed = bench.get("policies");
    let names: Vec<&str> =
        listed["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert!(names.contains(&"policies/groups.cedar"), "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| !name.starts_with("jwks/") && !name.contains("hidden") && *name != "notes.txt")
    );
    let digest = file(&bench, "policies/groups.cedar")["digest"].clone();
    for path in [
        "jwks/cognito.json",
        "personas.toml",
        "notes.txt",
        "policies/new.cedar",
        "policies/.hidden.cedar",
        "policies/../store.toml",
        "../policies/groups.cedar",
        "policies//groups.cedar",
        "./policies/groups.cedar",
        "/etc/passwd",
        "policies",
        "policies/groups.cedar\0",
        "",
    ] {
        let edit = json!({"path": path, "text": "", "digest": digest});
        let reply = bench.ask("PUT", "policies", &edit);
        assert_eq!(reply.status, 404, "{path:?} {}", reply.text());
        let check = bench.ask("POST", "policies/check", &json!({"files": {path: ""}}));
        assert_eq!(check.status, 404, "{path:?} {}", check.text());
    }
    // A link out of the store makes the whole store unreadable. Nothing behind it is shown or written.
    #[cfg(unix)]
    {
        let link = bench.store.path().join("policies/link.cedar");
        std::os::unix::fs::symlink(outside.path().join("secret.cedar"), link).unwrap();
        let reply = bench.send("GET", "policies", "", b"");
        assert_eq!(reply.status, 409, "{}", reply.text());
        let edit = json!({"path": "policies/link.cedar", "text": "", "digest": digest});
        assert_eq!(bench.ask("PUT", "policies", &edit).status, 409);
        assert_ne!(fs::read_to_string(outside.path().join("secret.cedar")).unwrap(), "");
    }
}

/// What is saved as a test passes, and says what was seen.
#[test]
fn attempts_are_saved_as_tests_that_pass() {
    let bench = Bench::start(&[]);
    let file = bench.store.path().join("tests/test-bench.yaml");
    for request in [
        attempt("bob", "GET", "/pets"),
        attempt("bob", "GET", "/pets"),
        json!({"as": "carol", "claims": {"scope": "a \"b\": #c\u{2028}"}, "method": "POST", "path": "/pets?a=b%20c"}),
        json!({"claims": {"sub": "- x", "cognito:groups": ["employee"]}, "method": "GET", "path": "/pets/%7B7%7D",
               "headers": [["X-A", "1: 2"], ["X-A", "[3]"]], "sourceIp": "2001:db8::1"}),
        json!({"method": "GET", "path": "/"}),
        json!({"as": "bob", "expiresIn": -60, "method": "GET", "path": "/pets"}),
        attempt("bob", "GET", "/toys"),
    ] {
        let saved = bench.post("save-test", &request);
        assert_eq!(saved["file"], "tests/test-bench.yaml");
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("bob, GET /pets: allow (2)"), "{text}");
    assert!(text.contains("{ decision: unauthorized, reason: token-expired }"), "{text}");
    let output = run(&["test", "--store", bench.store.path().to_str().unwrap(), file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", stdout(&output));
    assert!(stdout(&output).contains("7 tests passed"), "{}", stdout(&output));

    // A file that somebody has broken, or that goes on after its tests, is left alone.
    for broken in
        ["tests: [", "tests:\n  - { name: a, as: bob, request: GET /, expect: allow }\nmore: 1\n", "- a\n"]
    {
        fs::write(&file, broken).unwrap();
        let reply = bench.ask("POST", "save-test", &attempt("bob", "GET", "/pets"));
        assert_eq!(reply.status, 409, "{broken:?} {}", reply.text());
        assert_eq!(fs::read_to_string(&file).unwrap(), broken);
    }
    // Windows line ends are read as well.
    fs::write(&file, "tests:\r\n  - name: a\r\n    as: bob\r\n    request: GET /\r\n    expect: allow\r\n")
        .unwrap();
    bench.post("save-test", &attempt("bob", "GET", "/pets"));
    // No token is kept.
    let token = json!({"token": "eyJhbGciOiJub25lIn0.e30.", "method": "GET", "path": "/"});
    assert_eq!(bench.ask("POST", "save-test", &token).status, 400);
}

/// What a client of a WebSocket API asks for is a connection, whatever the page calls it.
#[test]
fn attempts_of_a_websocket_api_are_those_of_its_clients() {
    let store = StoreCopy::of(&root().join("deploy/websocket/policies"));
    let bench = Bench::of(store, &["--template", "deploy/websocket/template.yaml"]);
    let sample = json!({"method": "GET", "path": "/"});
    assert_eq!(bench.get("state")["routes"][0]["sample"], sample);
    assert_eq!(bench.get("matrix")["matrix"]["rows"][0]["request"], sample);
    for (who, status) in [("member", "101"), ("stranger", "403")] {
        let request = json!({"as": who, "method": "GET", "path": "/", "query": [["room", "a b"]]});
        let curl =
            bench.post("try", &request)["curl"].as_str().unwrap().replacen("curl ", "curl -s -m 1 ", 1);
        let output = Command::new("sh").arg("-c").arg(&curl).output().unwrap();
        assert!(output.stdout.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{curl}\n{output:?}");
        bench.post("save-test", &request);
    }
    let file = bench.store.path().join("tests/test-bench.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(r#"query: {"room": ["a b"]}"#), "{text}");
    let output = run(&["test", "--store", bench.store.path().to_str().unwrap(), file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", stdout(&output));
}

#[test]
fn the_newest_kept_answers_are_shown() {
    let key = "method.request.header.Authorization,context.httpMethod,context.path";
    let bench = Bench::start(&["--cache-key", key]);
    let bob = token("bob", json!({}));
    for number in 1..=103 {
        assert_eq!(bench.process.get_as(&bob, &format!("/pets/{number}")).status, 200);
    }
    let cache = bench.get("cache");
    let kept = cache["kept"].as_array().unwrap();
    assert_eq!((kept.len(), &cache["more"]), (100, &json!(3)));
    assert_eq!((&kept[0]["madeFor"], &kept[99]["madeFor"]), (&json!(103), &json!(4)));
}

/// A page has no room for 30,000 cells. It has those that somebody looks for.
#[test]
fn a_matrix_that_is_too_large_is_shown_in_part() {
    let store = StoreCopy::of(&sample_store());
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    let routes: String = (0..100).map(|number| format!(", \"get /r{number}\"")).collect();
    store.write("schema.cedarschema", schema.replace("\"get /\"", &format!("\"get /\"{routes}")).as_bytes());
    let people: String = (0..300).map(|number| format!("[p{number}]\nsub = \"{number}\"\n")).collect();
    store.write("personas.toml", people.as_bytes());
    let bench = Bench::of(store, &[]);
    let count = |query: &str| {
        let report = bench.get(&format!("matrix?{query}"));
        (report["matrix"]["rows"].as_array().unwrap().len(), report["leftOut"].as_u64().unwrap())
    };
    assert_eq!(count("by=persona"), (66, 38));
    assert_eq!(count("by=persona&with=/R9"), (11, 0));
    assert_eq!(count("by=persona&with=nothing"), (0, 0));
    assert_eq!(count("by=group"), (104, 0));
    // Effects of an edit are those on groups.
    let path = "policies/groups.cedar";
    let edit = file(&bench, path)["text"].as_str().unwrap().replace("|customer", "|visitor");
    let effects = bench.post("policies/check", &json!({"files": {path: edit}}));
    assert!(
        effects["cells"].as_array().unwrap().iter().any(|cell| cell["caller"] == "customer"),
        "{effects}"
    );
    assert!(effects["notes"][0].as_str().unwrap().contains("answers of groups"), "{effects}");
}

/// What happens is told as it happens, and the stream ends with the server.
#[test]
fn the_stream_tells_of_requests_changes_and_flushes() {
    let bench = Bench::start(&["--edit"]);
    bench.post("try", &attempt("bob", "GET", "/pets"));
    let stream = bench.stream_until("event: store");
    assert!(stream.contains("content-type: text/event-stream"), "{stream}");
    assert!(stream.contains("id: 1\n"), "{stream}");
    bench.store.write("policies/broken.cedar", b"permit (");
    eventually(|| (!findings(&bench.get("state"), "error").is_empty()).then_some(()));
    let state = bench.get("state");
    assert_eq!(state["revision"], 1, "{state}");
    let stream = bench.stream_until("event: store");
    assert!(stream.contains("policies/broken.cedar"), "{stream}");

    // Whoever listens is told which files changed: up to three, by their names in the store.
    bench.store.remove("policies/broken.cedar");
    eventually(|| findings(&bench.get("state"), "error").is_empty().then_some(()));
    let (mut page, folder) = (bench.listen(), tempfile::tempdir().unwrap());
    for name in ["a", "b", "c", "d"] {
        fs::write(folder.path().join(format!("{name}.cedar")), "// nothing\n").unwrap();
    }
    fs::rename(folder.path(), bench.store.path().join("policies/new")).unwrap();
    let (mut received, mut some) = (String::new(), [0; 4096]);
    let begun = Instant::now();
    let names = r#"["policies/new/a.cedar","policies/new/b.cedar","policies/new/c.cedar"]"#;
    while !(received.contains(names) && received.contains(r#""more":1"#)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{received}");
        let count = page.read(&mut some).unwrap();
        received += &String::from_utf8_lossy(&some[..count]);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_server_although_a_page_listens() {
    let bench = Bench::start(&[]);
    let mut page = bench.listen();
    let mut some = [0; 64];
    assert!(page.read(&mut some).unwrap() > 0);
    let begun = Instant::now();
    bench.process.signal("INT");
    page.read_to_end(&mut Vec::new()).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[track_caller]
fn file(bench: &Bench, path: &str) -> Value {
    let listed = bench.get("policies");
    let found = listed["files"].as_array().unwrap().iter().find(|file| file["path"] == path).cloned();
    found.unwrap_or_else(|| panic!("there is no {path}"))
}

fn findings<'a>(of: &'a Value, severity: &str) -> Vec<&'a Value> {
    let all = of["findings"].as_array().unwrap();
    all.iter().filter(|finding| finding["severity"] == severity).collect()
}

/// The message and the hint of a refusal.
#[track_caller]
fn refusal(reply: &Reply) -> (String, String) {
    let json = reply.json();
    let text = |name: &str| json["error"][name].as_str().unwrap_or_default().to_owned();
    (text("message"), text("hint"))
}
