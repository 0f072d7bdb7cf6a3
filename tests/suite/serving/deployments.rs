//! Every deployment is served from its template, and answers as the template says.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Reply, ServeProcess};
use crate::world::{StoreCopy, development_key_set, root, run, stderr, stdout, token};

const REST_TOKEN: &str = "template.yaml";
const REST_REQUEST: &str = "deploy/rest-request/template.yaml";
const PRIVATE: &str = "deploy/private-api/template.yaml";
const HTTP: &str = "deploy/http-api/template.yaml";
const WEB_SOCKET: &str = "deploy/websocket/template.yaml";

fn serve(template: &str, more: &[&str]) -> ServeProcess {
    let process = ServeProcess::start(&[["--template", template].as_slice(), more].concat());
    assert_eq!(process.errors(), "", "{template}: the template and the policy store agree");
    process
}

fn bearer(persona: &str) -> String {
    format!("Authorization: Bearer {}\r\n", token(persona, json!({})))
}

/// A request of a page of another origin.
fn from_page(process: &ServeProcess, method: &str, target: &str, headers: &str) -> Reply {
    let headers = format!("Origin: https://www.example.com\r\n{headers}");
    process.connect().ask(method, target, &headers, b"")
}

const ORIGIN: &str = "access-control-allow-origin";
const PREFLIGHT: &str =
    "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";

/// What the cache did with each of these requests of one caller.
fn cache(process: &ServeProcess, targets: &[&str]) -> Vec<String> {
    let headers = bearer("alice");
    let outcome = |target: &&str| {
        let reply = process.get(target, &headers);
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        process.last()["cache"]["outcome"].as_str().unwrap().to_owned()
    };
    targets.iter().map(outcome).collect()
}

#[test]
fn rest_apis_refuse_with_the_gateway_responses_of_their_templates() {
    for template in [REST_TOKEN, REST_REQUEST, PRIVATE] {
        let process = serve(template, &[]);
        let exposed = Some("WWW-Authenticate");

        let reply = from_page(&process, "GET", "/pets", "");
        assert_eq!((reply.status, reply.text()), (401, r#"{"message":"Unauthorized"}"#), "{template}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{template}");
        assert_eq!(reply.header("x-amzn-errortype"), Some("UnauthorizedException"), "{template}");
        assert_eq!(reply.header("access-control-expose-headers"), exposed, "{template}");
        assert_eq!(reply.header(ORIGIN), Some("*"), "{template}");

        let reply = from_page(&process, "POST", "/pets", &bearer("bob"));
        assert_eq!((reply.status, reply.text()), (403, r#"{"message":"Forbidden"}"#), "{template}");
        let challenge = r#"Bearer error="insufficient_scope""#;
        assert_eq!(reply.header("www-authenticate"), Some(challenge), "{template}");
        assert_eq!(reply.header(ORIGIN), Some("*"), "{template}");

        // `DEFAULT_4XX` has the header of CORS, and no text.
        let reply = from_page(&process, "DELETE", "/pets", &bearer("alice"));
        let expected = (403, r#"{"message":"Missing Authentication Token"}"#);
        assert_eq!((reply.status, reply.text()), expected, "{template}");
        assert_eq!(reply.header("www-authenticate"), None, "{template}");
        assert_eq!(reply.header(ORIGIN), Some("*"), "{template}");
    }
}

#[test]
fn preflights_of_rest_apis_are_the_open_methods_of_their_templates() {
    for template in [REST_TOKEN, REST_REQUEST, PRIVATE] {
        let process = serve(template, &[]);
        for target in ["/", "/pets", "/pets/7"] {
            let reply = from_page(&process, "OPTIONS", target, PREFLIGHT);
            assert_eq!((reply.status, reply.text()), (204, ""), "{template} {target}");
            assert_eq!(reply.header(ORIGIN), Some("*"), "{template} {target}");
            let methods = reply.header("access-control-allow-methods");
            assert_eq!(methods, Some("GET,POST,OPTIONS"), "{template} {target}");
            let headers = reply.header("access-control-allow-headers");
            assert_eq!(headers, Some("Authorization,Content-Type"), "{template} {target}");
            assert_eq!(reply.header("access-control-max-age"), Some("600"), "{template} {target}");
            let exchange = process.last();
            assert_eq!(
                (&exchange["effect"], &exchange["event"]),
                (&json!("open"), &Value::Null),
                "{template}"
            );
        }
        let reply = from_page(&process, "OPTIONS", "/toys", PREFLIGHT);
        assert_eq!(reply.status, 403, "{template}");
    }
}

#[test]
fn an_http_api_refuses_as_api_gateway_does_and_answers_preflights_itself() {
    let process = serve(HTTP, &[]);
    for (method, target, caller, status, body) in [
        ("GET", "/pets", None, 401, r#"{"message":"Unauthorized"}"#),
        ("POST", "/pets", Some("bob"), 403, r#"{"message":"Forbidden"}"#),
        ("GET", "/toys", Some("alice"), 404, r#"{"message":"Not Found"}"#),
    ] {
        let headers = caller.map(bearer).unwrap_or_default();
        let reply = from_page(&process, method, target, &headers);
        assert_eq!((reply.status, reply.text()), (status, body));
        assert_eq!(reply.header(ORIGIN), Some("*"), "{status}");
        assert_eq!(reply.header("www-authenticate"), None, "{status}");
        assert!(reply.header("apigw-requestid").is_some(), "{status}");
    }
    for target in ["/pets", "/toys"] {
        let reply = from_page(&process, "OPTIONS", target, PREFLIGHT);
        assert_eq!((reply.status, reply.text()), (204, ""), "{target}");
        assert_eq!(reply.header(ORIGIN), Some("*"), "{target}");
        assert_eq!(reply.header("access-control-allow-methods"), Some("GET,POST"), "{target}");
        assert_eq!(
            reply.header("access-control-allow-headers"),
            Some("authorization,content-type"),
            "{target}"
        );
        assert_eq!(reply.header("access-control-max-age"), Some("600"), "{target}");
    }
    let reply = from_page(&process, "GET", "/pets", &bearer("alice"));
    assert_eq!((reply.status, reply.header(ORIGIN)), (200, Some("*")));
}

#[test]
fn each_template_says_what_answers_are_kept_under() {
    let targets = ["/pets", "/pets/7", "/pets", "/"];
    for template in [REST_TOKEN, PRIVATE, HTTP] {
        assert_eq!(cache(&serve(template, &[]), &targets), ["miss", "hit", "hit", "hit"], "{template}");
    }
    assert_eq!(cache(&serve(REST_REQUEST, &[]), &targets), ["miss", "miss", "hit", "miss"]);
    // Arguments go before the template.
    assert_eq!(cache(&serve(REST_TOKEN, &["--ttl", "0"]), &targets), ["off", "off", "off", "off"]);
}

#[test]
fn parameters_and_the_stage_are_those_of_the_deployment() {
    let origin = ["--parameter", "AllowedOrigin=https://www.example.com", "--parameter", "StageName=live"];
    let process = serve(REST_REQUEST, &origin);
    let reply = from_page(&process, "GET", "/pets", "");
    assert_eq!(reply.header(ORIGIN), Some("https://www.example.com"));
    let reply = from_page(&process, "OPTIONS", "/pets", PREFLIGHT);
    assert_eq!(reply.header(ORIGIN), Some("https://www.example.com"));
    from_page(&process, "GET", "/pets", &bearer("alice"));
    let arn = process.last()["event"]["methodArn"].as_str().unwrap().to_owned();
    assert!(arn.ends_with("/live/GET/pets"), "{arn}");

    let process = serve(HTTP, &origin[..2]);
    let reply = from_page(&process, "GET", "/pets", "");
    assert_eq!(reply.header(ORIGIN), Some("https://www.example.com"));
    let reply = process.get("/pets", "Origin: https://evil.example\r\n");
    assert_eq!((reply.status, reply.header(ORIGIN)), (401, None));
    from_page(&process, "GET", "/pets", &bearer("alice"));
    let arn = process.last()["event"]["routeArn"].as_str().unwrap().to_owned();
    assert!(arn.ends_with("/$default/GET/pets"), "{arn}");
}

#[test]
fn a_web_socket_api_decides_about_connections() {
    // A deployment has no keys of its own: those of the user pool are fetched. The development key is for work without.
    let copy = StoreCopy::of(&root().join("deploy/websocket/policies"));
    copy.write("jwks/cognito.json", development_key_set().to_string().as_bytes());
    let store = copy.path().to_str().unwrap();
    let process = serve(WEB_SOCKET, &["--store", store]);
    let connect = |headers: &str| {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        process.get("/", &format!("{upgrade}{headers}")).status
    };
    let bearer = |persona| {
        let output = run(&["token", "--store", store, "--as", persona]);
        format!("Authorization: Bearer {}\r\n", stdout(&output).trim_end())
    };
    assert_eq!(connect(""), 401);
    assert_eq!(connect(&bearer("stranger")), 403);
    assert_eq!(connect(&bearer("member")), 101);
}

/// What `cdk synth` makes of `deploy/cdk`, if `.ci/run` has made it.
#[test]
#[expect(clippy::print_stderr, reason = "a test has no other way to say that it was skipped")]
fn the_cdk_construct_is_served_from_what_it_makes() {
    let Some(template) = std::env::var_os("CDK_TEMPLATE").map(PathBuf::from) else {
        eprintln!("skipped: CDK_TEMPLATE does not name a synthesized template");
        return;
    };
    let process = serve(template.to_str().unwrap(), &[]);
    let reply = from_page(&process, "GET", "/pets", "");
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(reply.header(ORIGIN), Some("*"));
    let reply = from_page(&process, "OPTIONS", "/pets/7", PREFLIGHT);
    assert_eq!((reply.status, reply.header("access-control-allow-methods")), (204, Some("GET,POST")));
    assert_eq!(cache(&process, &["/pets", "/pets/7"]), ["miss", "hit"]);
}

#[test]
fn a_template_that_cannot_be_served_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let two = b"Resources: {\
        A: {Type: AWS::Serverless::Api, Properties: {Auth: {Authorizers: {X: {FunctionArn: a}}}}}, \
        B: {Type: AWS::Serverless::Api, Properties: {Auth: {Authorizers: {X: {FunctionArn: a}}}}}}";
    let no_one = b"Resources: {A: {Type: AWS::Serverless::Api}}";
    let cases: [(&str, &[u8], &str); 6] = [
        ("two 'apis'.yaml", two, "has several APIs with a Lambda authorizer: `A`, `B`"),
        ("open.yaml", no_one, "has no API with a Lambda authorizer"),
        ("empty.yaml", b"", "has no API with a Lambda authorizer"),
        ("broken.yaml", b"Resources: [", "1:12: not YAML"),
        ("binary.yaml", b"\xff\xfe\0", "is not UTF-8"),
        ("control.yaml", b"\x1b[2J: 1", "1:1: not YAML"),
    ];
    for (name, text, expected) in cases {
        let path = written(name, text);
        let output = run(&["serve", "--port", "0", "--template", &path]);
        let errors = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""), "{name}: {errors}");
        assert!(errors.lines().next().unwrap().contains(expected), "{name}: {errors}");
        assert!(!errors.contains('\u{1b}'), "{name}: {errors:?}");
    }
    for path in ["no/such.yaml", "deploy"] {
        let output = run(&["serve", "--port", "0", "--template", path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&format!("cannot read `{path}`: ")), "{}", stderr(&output));
    }
    let output = run(&["serve", "--port", "0", "--template", REST_TOKEN, "--api", "Other"]);
    let expected = "error: `template.yaml` has no API with the name `Other`\n  help: it has `PetStoreApi`\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), expected));
}

#[test]
fn where_template_and_store_disagree_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let template = std::fs::read_to_string(root().join(REST_TOKEN)).unwrap();
    let template = template.replace("          /pets:\n", "          /toys:\n");
    let path = folder.path().join("template.yaml");
    std::fs::write(&path, template).unwrap();
    copy_nested(folder.path());
    let process = ServeProcess::start(&["--template", path.to_str().unwrap()]);
    let errors = process.errors();
    for expected in [
        "the policy store has no route `GET /toys`: it is always denied",
        "has not all routes of the policy store: `get /pets`, `post /pets`",
    ] {
        assert!(errors.contains(expected), "{errors}");
    }
    assert_eq!(process.get("/pets", &bearer("alice")).status, 403);
    let exchange = process.last();
    assert_eq!(exchange["effect"], "no-route");
    assert_eq!(process.get("/toys", &bearer("alice")).status, 403);
    assert_eq!(process.last()["effect"], "deny");
}

/// The template of the function, which the others nest.
fn copy_nested(folder: &Path) {
    std::fs::create_dir(folder.join("deploy")).unwrap();
    std::fs::copy(root().join("deploy/authorizer.yaml"), folder.join("deploy/authorizer.yaml")).unwrap();
}

#[test]
fn a_description_says_which_operations_are_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pets.yaml");
    let description = "openapi: 3.1.0\nsecurity: [{Key: []}]\npaths: {/: {get: {security: []}}, /pets: {get: {}, \
                       post: {}}, '/pets/{petId}': {get: {}}}\n";
    std::fs::write(&path, description).unwrap();
    let process = ServeProcess::start(&["--openapi", path.to_str().unwrap(), "--kind", "http"]);
    assert_eq!(process.get("/", "").status, 200);
    assert_eq!(process.last()["effect"], "open");
    assert_eq!(process.get("/pets", "").status, 401);
    assert_eq!(process.get("/pets", &bearer("alice")).status, 200);
}

/// A REST API whose TOKEN authorizer reads a header of its own, and only tokens of a form.
const OWN_HEADER: &str = "
Transform: AWS::Serverless-2016-10-31
Resources:
  Pets:
    Type: AWS::Serverless::Api
    Properties:
      StageName: live
      Auth:
        DefaultAuthorizer: Tokens
        Authorizers:
          Tokens: {FunctionArn: !GetAtt Authorizer.Arn, Identity: {Header: X-Token, ValidationExpression: 'Bearer [-_.0-9A-Za-z]+'}}
  Authorizer: {Type: AWS::Serverless::Function, Properties: {Environment: {Variables: {CACHE_KEY: token}}}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        List: {Type: Api, Properties: {Path: /pets, Method: get, RestApiId: !Ref Pets}}
";

#[test]
fn a_token_authorizer_is_asked_about_tokens_of_its_form_in_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.yaml");
    std::fs::write(&template, OWN_HEADER).unwrap();
    let process = ServeProcess::start(&["--template", template.to_str().unwrap()]);
    let alice = token("alice", json!({}));
    for (header, status, is_asked) in [
        (format!("X-Token: Bearer {alice}"), 200, true),
        (format!("Authorization: Bearer {alice}"), 401, false),
        ("X-Token: Bearer q7GhX-29aLmZp0_vRt5KwEyB83Nd".to_owned(), 401, true),
        ("X-Token: Bearer q7GhX-29aLmZp0/vRt5KwEyB83Nd".to_owned(), 401, false),
        ("X-Token: xBearer q7GhX".to_owned(), 401, false),
        ("X-Token: Bearer ".to_owned(), 401, false),
    ] {
        let target = "/pets?half=29aLmZp0";
        assert_eq!(process.get(target, &format!("{header}\r\n")).status, status, "{header}");
        let exchange = process.last();
        assert_eq!(exchange["answer"].is_null(), !is_asked, "{header} {exchange:#}");
        if header.contains("29aLmZp0") {
            assert!(!exchange.to_string().contains("29aLmZp0"), "{header} {exchange:#}");
        }
    }
}
