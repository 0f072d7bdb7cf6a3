//! Descriptions, and the APIs that are served from them.

use std::fs;
use std::time::Duration;

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::store::directory;

use super::*;

fn read_text(text: &str, kind: Kind) -> Result<ServedApi, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let policies = Store::open(&directory::read(&folder).unwrap()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    let authorizer = ServedAuthorizer {
        name: "authorizer".to_owned(),
        kind,
        key: CacheKey::Token,
        time_to_live: Duration::ZERO,
        validation_expression: None,
        function_key: None,
    };
    read(file.path(), &policies, authorizer)
}

/// Each route with its protection.
fn shown(text: &str) -> Vec<String> {
    let api = read_text(text, Kind::RestRequest).unwrap();
    let routes = api.routes.routes().iter();
    routes.map(|route| format!("{route} {:?}", api.protection(route).unwrap())).collect()
}

#[test]
fn security_says_which_operations_are_open() {
    let description = |paths: &str| format!("openapi: 3.1.0\ninfo: {{title: Pets}}\npaths: {{{paths}}}\n");
    let plain = "/pets: {get: {}, post: {security: [{Key: []}]}}, /open: {get: {security: []}}";
    assert_eq!(
        shown(&description(plain)),
        ["get /pets Nothing", "post /pets Authorizer(0)", "get /open Nothing"]
    );
    // Nobody says what is protected, except that one operation is not.
    let silent = "/pets: {get: {}, post: {}}, /open: {get: {security: []}}";
    assert_eq!(
        shown(&description(silent)),
        ["get /pets Authorizer(0)", "post /pets Authorizer(0)", "get /open Nothing"]
    );
    let for_all = format!("security: [{{Key: []}}]\n{}", description(plain));
    assert_eq!(shown(&for_all), ["get /pets Authorizer(0)", "post /pets Authorizer(0)", "get /open Nothing"]);
    let for_none = format!("security: []\n{}", description("/pets: {get: {}}"));
    assert_eq!(shown(&for_none), ["get /pets Nothing"]);
}

#[test]
fn what_cannot_be_served_is_said() {
    let text = "swagger: '2.0'\npaths: {'/pets/{a}-{b}': {get: {}}, /toys: {get: {}}}\n";
    let api = read_text(text, Kind::Http).unwrap();
    assert_eq!((api.name.as_str(), api.stage.as_str()), ("petstore", "$default"));
    let findings: Vec<String> = api.findings.iter().map(|finding| finding.message.clone()).collect();
    let expected = [
        "the description has not all routes of the policy store: `get /`, `get /pets`, `get /pets/{petId}`, `post /pets`",
        "`/pets/{a}-{b}` has two parameters in one segment, which API Gateway cannot have",
        "the policy store has no route `get /toys`: it is always denied",
    ];
    assert_eq!(findings, expected);
    for (text, kind, expected) in [
        ("", Kind::Http, "the description is empty"),
        ("a: 1", Kind::Http, "no description of an API: it has neither `openapi` nor `swagger`"),
        (text, Kind::WebSocket, "a WebSocket API has no OpenAPI description"),
    ] {
        let failure = read_text(text, kind).unwrap_err();
        assert!(failure.message().ends_with(expected), "{failure}");
    }
}
