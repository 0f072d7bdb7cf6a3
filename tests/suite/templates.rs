//! `check --template`: the project's own template with one fault each, and small templates.

use std::fs;

use serde_json::{Value, json};

use crate::world::{StoreCopy, root, run, stdout};

/// The codes of the findings of `check` in a template, with their lines.
#[track_caller]
fn findings(store: &str, template: &str) -> (Vec<(String, u64)>, i32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    fs::write(&file, template).unwrap();
    let output = run(&["check", "--store", store, "--format", "json", "--template", file.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let of_template = |finding: &&Value| finding["position"]["file"] == json!(file.to_str().unwrap());
    let found = report["findings"].as_array().unwrap().iter().filter(of_template).map(|finding| {
        let code = finding["code"].as_str().unwrap().to_owned();
        (code, finding["position"]["line"].as_u64().unwrap())
    });
    (found.collect(), output.status.code().unwrap())
}

#[track_caller]
fn codes(store: &str, template: &str) -> Vec<String> {
    findings(store, template).0.into_iter().map(|(code, _)| code).collect()
}

fn template() -> String {
    fs::read_to_string(root().join("template.yaml")).unwrap()
}

#[test]
fn the_template_of_the_project_is_fine() {
    assert_eq!(findings("policies", &template()), (vec![], 0));
}

#[test]
fn what_disagrees_is_found_where_it_stands() {
    let ttl = "authorizerResultTtlInSeconds: 300";
    for (from, to, expected) in [
        ("CACHE_KEY: token", "CACHE_KEY: none", vec!["cache-key-mismatch"]),
        ("CACHE_KEY: token", "CACHE_KEY: tokens", vec!["cache-key-mismatch"]),
        ("          CACHE_KEY: token\n", "", vec![]),
        (ttl, "authorizerResultTtlInSeconds: 0", vec!["cache-key-unused"]),
        (ttl, "authorizerResultTtlInSeconds: 3600", vec!["ttl-too-long"]),
        (
            "identitySource: method.request.header.Authorization",
            "identitySource: method.request.header.X",
            vec!["token-not-in-key"],
        ),
        ("/pets/{petId}:", "/pets/{id}:", vec!["route-undeployed", "route-unknown"]),
        ("Resources:", "Resources: [", vec!["template-invalid"]),
        ("CACHE_KEY: token", "CACHE_KEY: !ImportValue key", vec!["template-unresolved"]),
    ] {
        let text = template();
        assert!(text.contains(from), "{from}");
        let (found, code) = findings("policies", &text.replacen(from, to, 1));
        let codes: Vec<&str> = found.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, expected, "{to}");
        let errors = ["cache-key-mismatch", "token-not-in-key", "route-unknown", "template-invalid"];
        assert_eq!(code == 3, codes.iter().any(|code| errors.contains(code)), "{to}");
    }
    let at = template().lines().position(|line| line.contains("TtlInSeconds: 300")).unwrap() as u64 + 1;
    let (found, _) = findings("policies", &template().replace("CACHE_KEY: token", "CACHE_KEY: none"));
    assert_eq!(found, [("cache-key-mismatch".to_owned(), at)]);
}

/// An HTTP API with one authorizer and some routes, for the store of this name.
fn http_api_of(store: &str, authorizer: &str, environment: &str, routes: &[(&str, &str, bool)]) -> String {
    let environment = match environment {
        "" => format!("BUNDLE_NAME: {store}"),
        environment => format!("BUNDLE_NAME: {store}, {environment}"),
    };
    let routes: String = routes
        .iter()
        .enumerate()
        .map(|(number, (method, path, is_protected))| {
            let auth = if *is_protected { "" } else { "\n            Auth: {Authorizer: NONE}" };
            format!(
                "        E{number}:\n          Type: HttpApi\n          Properties:\n            \
                 ApiId: !Ref Api\n            Method: {method}\n            Path: '{path}'{auth}\n"
            )
        })
        .collect();
    format!(
        "Transform: AWS::Serverless-2016-10-31
Resources:
  Authorizer:
    Type: AWS::Serverless::Function
    Properties: {{Environment: {{Variables: {{{environment}}}}}}}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Cedar
        Authorizers:
          Cedar: {{FunctionArn: !GetAtt Authorizer.Arn, {authorizer}}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
{routes}"
    )
}

fn http_api(authorizer: &str, environment: &str, routes: &[(&str, &str, bool)]) -> String {
    http_api_of("petstore", authorizer, environment, routes)
}

#[test]
fn a_function_without_the_name_of_its_store_is_told() {
    let text = template();
    let line = |text: &str, part: &str| text.lines().position(|line| line.contains(part)).unwrap() as u64 + 1;
    let variable = "          BUNDLE_NAME: !Ref BundleName\n";
    assert!(text.contains(variable));
    let without = text.replace(variable, "");
    let function = line(&without, "  AuthorizerFunction:");
    assert_eq!(findings("policies", &without), (vec![("bundle-name-missing".to_owned(), function)], 0));
    let other = text.replace("Default: petstore\n", "Default: kennel\n");
    let (found, code) = findings("policies", &other);
    assert_eq!((found[0].0.as_str(), found.len(), code), ("bundle-name-mismatch", 1, 3));
    assert_eq!(
        codes("policies", &text.replace("!Ref BundleName", "!ImportValue name")),
        ["template-unresolved"]
    );
    // One finding for a function, however many authorizers use it.
    let two = http_api("AuthorizerPayloadFormatVersion: '2.0'", "", &[("GET", "/", true)]).replace(
        "          Cedar: ",
        "          Other: {FunctionArn: !GetAtt Authorizer.Arn, AuthorizerPayloadFormatVersion: '2.0'}\n          \
         Cedar: ",
    );
    let two = two.replace("BUNDLE_NAME: petstore", "");
    let found = codes("policies", &two);
    assert_eq!(found.iter().filter(|code| *code == "bundle-name-missing").count(), 1, "{found:?}");
}

#[test]
fn simple_responses_must_fit_key_and_function() {
    let routes =
        [("GET", "/", true), ("GET", "/pets", true), ("POST", "/pets", true), ("GET", "/pets/{petId}", true)];
    let codes =
        |authorizer: &str, environment: &str| codes("policies", &http_api(authorizer, environment, &routes));
    let simple = "AuthorizerPayloadFormatVersion: '2.0', EnableSimpleResponses: true";
    let cached = "Identity: {Headers: [Authorization], ReauthorizeEvery: 300}";
    let by_route = "Identity: {Headers: [Authorization], Context: [routeKey], ReauthorizeEvery: 300}";
    for (authorizer, environment, expected) in [
        (format!("AuthorizerPayloadFormatVersion: '2.0', {cached}"), "", vec![]),
        (format!("{simple}, {cached}"), "SIMPLE_RESPONSES: 'true'", vec!["simple-responses-mismatch"]),
        (
            format!("{simple}, {by_route}"),
            "SIMPLE_RESPONSES: 'true', CACHE_KEY: '$request.header.Authorization,$context.routeKey'",
            vec![],
        ),
        (format!("{simple}, {by_route}"), "", vec!["simple-responses-mismatch"]),
        (
            format!("AuthorizerPayloadFormatVersion: '2.0', {cached}"),
            "SIMPLE_RESPONSES: 'true'",
            vec!["simple-responses-mismatch"],
        ),
        // Answers would be made for one header, but used for any.
        (
            format!("AuthorizerPayloadFormatVersion: '2.0', {cached}"),
            "CACHE_KEY: '$request.header.Authorization,$request.header.X-Tenant'",
            vec!["cache-key-mismatch"],
        ),
    ] {
        assert_eq!(codes(&authorizer, environment), expected, "{authorizer} {environment}");
    }
}

#[test]
fn a_route_that_reads_more_than_the_key_is_named() {
    let routes = [("GET", "/pets/{petId}", true), ("GET", "/report", true)];
    let codes = |sources: &str, key: &str| {
        let authorizer = format!(
            "AuthorizerPayloadFormatVersion: '2.0', \
             Identity: {{Headers: [Authorization], {sources} ReauthorizeEvery: 60}}"
        );
        let found = codes(
            "tests/data/stores/kennel",
            &http_api_of("kennel", &authorizer, &format!("CACHE_KEY: '{key}'"), &routes),
        );
        found.into_iter().filter(|code| code != "route-undeployed").collect::<Vec<_>>()
    };
    assert_eq!(codes("", "token"), ["route-not-cacheable", "route-not-cacheable"]);
    let by_path = "$request.header.Authorization,$context.httpMethod,$context.path";
    assert_eq!(codes("Context: [httpMethod, path],", by_path), ["route-not-cacheable"]);
}

/// The findings for one authorizer of an HTTP API over a store with these routes.
#[track_caller]
fn codes_of_routes(actions: &[&str], key: &str, routes: &[(&str, &str, bool)], simple: bool) -> Vec<String> {
    let store = StoreCopy::new();
    let schema = fs::read_to_string(store.path().join("schema.cedarschema")).unwrap();
    let names: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    let more = format!(
        "action {} appliesTo {{ principal: User, resource: Application, context: {{ token: Token }} }};\n}}",
        names.join(", ")
    );
    let schema = format!("{}{more}", schema.rsplit_once('}').unwrap().0);
    store.write("schema.cedarschema", schema.as_bytes());
    let context: Vec<&str> =
        key.split(',').skip(1).map(|name| name.trim_start_matches("$context.")).collect();
    let authorizer = format!(
        "AuthorizerPayloadFormatVersion: '2.0', EnableSimpleResponses: {simple}, Identity: {{Headers: [Authorization], \
         Context: [{}], ReauthorizeEvery: 60}}",
        context.join(", ")
    );
    let environment = format!("CACHE_KEY: '{key}', SIMPLE_RESPONSES: '{simple}'");
    let found = codes(store.path().to_str().unwrap(), &http_api(&authorizer, &environment, routes));
    found.into_iter().filter(|code| code != "route-undeployed").collect()
}

#[test]
fn a_route_for_any_method_needs_the_method_in_the_key() {
    let actions = ["get /toys", "delete /toys", "any /cats"];
    let by_route = "$request.header.Authorization,$context.routeKey";
    for simple in [true, false] {
        let codes = |more: &str, routes: &[(&str, &str, bool)]| {
            codes_of_routes(&actions, &format!("{by_route}{more}"), routes, simple)
        };
        for more in ["", ",$context.path"] {
            assert_eq!(codes(more, &[("ANY", "/toys", true)]), ["route-not-cacheable"], "{more}");
            assert!(codes(more, &[("ANY", "/cats", true), ("GET", "/toys", true)]).is_empty(), "{more}");
            assert!(
                codes(&format!(",$context.httpMethod{more}"), &[("ANY", "/toys", true)]).is_empty(),
                "{more}"
            );
        }
    }
    assert!(
        codes_of_routes(&actions, "$request.header.Authorization", &[("ANY", "/toys", true)], false)
            .iter()
            .all(|code| code == "cache-key-mismatch")
    );
}

#[test]
fn methods_that_the_store_leads_elsewhere_are_named() {
    let key = "$request.header.Authorization,$context.httpMethod";
    for (actions, routes, expected) in [
        (vec!["get /toys", "any /{proxy+}"], vec![("ANY", "/toys", true)], vec!["route-unknown"]),
        (vec!["get /toys/{id}", "$default"], vec![("ANY", "/toys/{id}", true)], vec!["route-unknown"]),
        (vec!["get /toys", "any /toys", "any /{proxy+}"], vec![("ANY", "/toys", true)], vec![]),
        (
            vec!["get /toys", "any /{proxy+}"],
            vec![("GET", "/toys", true), ("ANY", "/{proxy+}", true)],
            vec![],
        ),
        (vec!["get /toys"], vec![("ANY", "/toys", true)], vec![]),
    ] {
        assert_eq!(codes_of_routes(&actions, key, &routes, false), expected, "{actions:?}");
        let by_path = format!("{key},$context.path");
        assert!(codes_of_routes(&actions, &by_path, &routes, false).is_empty(), "{actions:?}");
    }
}

#[test]
fn an_open_route_is_named() {
    let routes = [
        ("GET", "/", true),
        ("GET", "/pets", false),
        ("GET", "/pets/{petId}", true),
        ("POST", "/pets", true),
    ];
    let authorizer =
        "AuthorizerPayloadFormatVersion: '2.0', Identity: {Headers: [Authorization], ReauthorizeEvery: 60}";
    assert_eq!(codes("policies", &http_api(authorizer, "", &routes)), ["route-unprotected"]);
}

#[test]
fn inputs_are_shown_for_each_route() {
    let output = run(&["check", "--store", "tests/data/stores/kennel", "--inputs", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let of = |route: &str| {
        report["routes"].as_array().unwrap().iter().find(|known| known["route"] == route).unwrap().clone()
    };
    assert_eq!(of("any /{proxy+}"), json!({"route": "any /{proxy+}", "reads": [], "cacheKey": "token"}));
    assert_eq!(of("get /pets/{petId}")["reads"], json!(["resource from the path"]));
    assert_eq!(of("get /report")["cacheKey"], "none");
}
