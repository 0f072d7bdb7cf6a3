//! `check --template`: the project's own templates with one fault each, and small templates.

use std::fs;

use serde_json::{Value, json};

use crate::world::{StoreCopy, files_in, root, run, stdout};

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

/// The template of the project. The templates that it nests are named by their whole paths, so that it can be elsewhere.
fn template() -> String {
    let text = fs::read_to_string(root().join("template.yaml")).unwrap();
    text.replace("Location: deploy/", &format!("Location: {}/", root().join("deploy").display()))
}

#[test]
fn the_template_of_the_project_is_fine() {
    assert_eq!(findings("policies", &template()), (vec![], 0));
}

#[test]
fn every_variant_is_fine() {
    for (template, store) in [
        ("template.yaml", "policies"),
        ("deploy/rest-request/template.yaml", "policies"),
        ("deploy/private-api/template.yaml", "policies"),
        ("deploy/http-api/template.yaml", "policies"),
        ("deploy/websocket/template.yaml", "deploy/websocket/policies"),
    ] {
        let output = run(&["check", "--store", store, "--format", "json", "--template", template]);
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let found = report["findings"].as_array().unwrap();
        let of_template = found.iter().filter(|finding| finding["position"]["file"] == template);
        assert_eq!((of_template.count(), output.status.code()), (0, Some(0)), "{template}");
    }
}

/// An outer template with one function in a nested one, which is in the file `inner.yaml`.
const OUTER: &str = "Resources:
  Nested:
    Type: AWS::Serverless::Application
    Properties:
      Location: inner.yaml
      Parameters:
        Key: KEY
  Api: {Type: AWS::ApiGateway::RestApi}
  Cedar:
    Type: AWS::ApiGateway::Authorizer
    Properties:
      RestApiId: !Ref Api
      Type: TOKEN
      AuthorizerUri: !Sub arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Nested.Outputs.Arn}/invocations
      IdentitySource: method.request.header.Authorization
";

const INNER: &str = "Parameters:
  Key: {Type: String, Default: token}
Resources:
  Function:
    Type: AWS::Lambda::Function
    Properties: {Environment: {Variables: {BUNDLE_NAME: petstore, CACHE_KEY: !Ref Key}}}
  Alias: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref Function}}
Outputs:
  Arn: {Value: !Ref Alias}
";

/// The findings of an outer and an inner template, as codes with lines of the outer one and messages.
#[track_caller]
fn of_nested(outer: &str, inner: Option<&str>) -> Vec<(String, u64, String)> {
    let folder = tempfile::tempdir().unwrap();
    if let Some(inner) = inner {
        fs::write(folder.path().join("inner.yaml"), inner).unwrap();
    }
    let file = folder.path().join("outer.yaml");
    fs::write(&file, outer).unwrap();
    let output =
        run(&["check", "--store", "policies", "--format", "json", "--template", file.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let of_template = |finding: &&Value| finding["position"]["file"] == json!(file.to_str().unwrap());
    let found = report["findings"].as_array().unwrap().iter().filter(of_template).map(|finding| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        (text("code"), finding["position"]["line"].as_u64().unwrap(), text("message"))
    });
    found.collect()
}

#[test]
fn a_function_of_a_nested_stack_is_followed() {
    let with = |key: &str| OUTER.replace("KEY", key);
    assert_eq!(of_nested(&with("token"), Some(INNER)), []);
    assert_eq!(
        of_nested(&with("token").replace("        Key: token\n", "        Other: x\n"), Some(INNER)),
        []
    );
    let stack =
        OUTER.replace("Serverless::Application", "CloudFormation::Stack").replace("Location", "TemplateURL");
    assert_eq!(of_nested(&stack.replace("KEY", "token"), Some(INNER)), []);
    let found = of_nested(&with("none"), Some(INNER));
    assert_eq!((found[0].0.as_str(), found.len()), ("cache-key-mismatch", 1), "{found:?}");
    assert!(found[0].2.contains("`Nested.Function`"), "{found:?}");
    let without_cache =
        |key| with(key).replace("IdentitySource:", "AuthorizerResultTtlInSeconds: 0\n      IdentitySource:");
    assert_eq!(of_nested(&without_cache("none"), Some(INNER)), []);
    // The place is where the parameter is given.
    let unused = of_nested(&without_cache("token"), Some(INNER));
    assert_eq!((unused[0].0.as_str(), unused[0].1, unused.len()), ("cache-key-unused", 7, 1), "{unused:?}");
}

#[test]
fn a_nested_stack_that_cannot_be_read_is_said() {
    let outer = OUTER.replace("KEY", "token");
    let circle = format!("{}Outputs:\n  Arn: {{Value: !GetAtt Nested.Outputs.Arn}}\n", outer);
    let itself = circle.replace("inner.yaml", "outer.yaml");
    for (outer, inner, message) in [
        (outer.clone(), None, "cannot read"),
        (
            outer.replace("inner.yaml", "https://bucket.s3.amazonaws.com/inner.yaml"),
            Some(INNER),
            "is no file beside this template",
        ),
        (
            outer.replace("Location: inner.yaml", "Location: {ApplicationId: x, SemanticVersion: 1.0.0}"),
            Some(INNER),
            "`Location`",
        ),
        (outer.replace("      Location: inner.yaml\n", ""), Some(INNER), "the stack has no template"),
        (outer.clone(), Some("Resources: ["), "inner.yaml`, "),
        (outer.clone(), Some(""), "the template is empty"),
        (outer.replace("Outputs.Arn", "Outputs.Other"), Some(INNER), "has no such output"),
        (
            outer.replace("Key: token", "Key: !ImportValue key"),
            Some(INNER),
            "parameter `Key` is given by the outer stack",
        ),
        // A name of the outer template.
        (
            outer.replace("Key: token", "Key: !Ref Api"),
            Some(INNER),
            "parameter `Key` is given by the outer stack",
        ),
        (outer.replace("inner.yaml", "."), None, "not a file, or too large"),
        (outer.replace("inner.yaml", "/dev/zero"), None, "not a file, or too large"),
        (itself, None, "nested too deeply, or in a circle"),
    ] {
        let found = of_nested(&outer, inner);
        let unresolved =
            found.iter().any(|(code, _, text)| code == "template-unresolved" && text.contains(message));
        assert!(unresolved, "{message}: {found:?}");
    }
}

/// The URI of an authorizer as CDK writes it: partition and region are taken from the ARN of the function.
#[test]
fn the_uri_of_an_authorizer_of_cdk_is_understood() {
    let arn = "!GetAtt Function.Arn";
    let part = |index: u8| format!("!Select [{index}, !Split [':', {arn}]]");
    let uri = format!(
        "!Join ['', ['arn:', {}, ':apigateway:', {}, ':lambda:path/2015-03-31/functions/', {arn}, '/invocations']]",
        part(1),
        part(3)
    );
    let function = "  Function:
    Type: AWS::Lambda::Function
    Properties: {Environment: {Variables: {BUNDLE_NAME: petstore, CACHE_KEY: none}}}
";
    let (before, rest) = OUTER.split_once("  Nested:").unwrap();
    let (_, api) = rest.split_once("  Api:").unwrap();
    let (start, uri_of_outer) = api.split_once("AuthorizerUri: ").unwrap();
    let (_, end) = uri_of_outer.split_once('\n').unwrap();
    let found = of_nested(&format!("{before}{function}  Api:{start}AuthorizerUri: {uri}\n{end}"), None);
    assert_eq!((found[0].0.as_str(), found.len()), ("cache-key-mismatch", 1), "{found:?}");
}

/// The names under a line that ends with `section`, two deeper than it, in a template.
fn names_under<'t>(text: &'t str, section: &str) -> Vec<&'t str> {
    let mut lines = text.lines().skip_while(|line| !line.ends_with(section));
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(lines.next().unwrap());
    lines
        .take_while(|line| line.trim().is_empty() || indent(line) > depth)
        .filter(|line| indent(line) == depth + 2 && !line.trim_start().starts_with('#'))
        .filter_map(|line| Some(line.trim_start().split_once(':')?.0))
        .collect()
}

/// The default of a parameter, in either form.
fn default_of(text: &str, parameter: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("  {parameter}:")));
    let first = lines.next()?;
    let value = match first.split_once("Default: ") {
        Some((_, rest)) => rest.split([',', '}']).next()?,
        None => lines
            .take_while(|line| line.starts_with("    "))
            .find_map(|line| line.strip_prefix("    Default: "))?,
    };
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// CloudFormation has no way to hand on all parameters, so each template names them again.
#[test]
fn every_variant_hands_on_every_parameter_with_its_default() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let nested =
        [("authorizer", read("deploy/authorizer.yaml")), ("monitoring", read("deploy/monitoring.yaml"))];
    for path in [
        "template.yaml",
        "deploy/rest-request/template.yaml",
        "deploy/private-api/template.yaml",
        "deploy/http-api/template.yaml",
        "deploy/websocket/template.yaml",
    ] {
        let outer = read(path);
        for (name, inner) in &nested {
            let section = outer.split_once(&format!("{name}.yaml\n")).unwrap().1;
            let given = names_under(section, "Parameters:");
            let declared = names_under(inner, "Parameters:");
            assert_eq!(given, declared, "{path} and {name}.yaml");
            for parameter in declared {
                let own = default_of(&outer, parameter);
                let is_own = section.contains(&format!("        {parameter}: !Ref {parameter}\n"));
                if let Some(default) = default_of(inner, parameter).filter(|_| is_own) {
                    assert_eq!(own, Some(default), "{parameter} of {path}");
                }
            }
        }
    }
}

/// A variable that the function does not know would be ignored, and so would what the operator meant.
#[test]
fn every_variable_of_the_templates_is_known_to_the_function() {
    let text = fs::read_to_string(root().join("deploy/authorizer.yaml")).unwrap();
    let variables = names_under(&text, "Variables:");
    assert!(variables.len() > 10, "{variables:?}");
    let sources: String = files_in(&root().join("src/function"))
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for variable in variables {
        assert!(sources.contains(&format!("\"{variable}\"")), "{variable}");
    }
}

const SAMPLE_ROUTES: [(&str, &str, bool); 4] =
    [("GET", "/", true), ("GET", "/pets", true), ("POST", "/pets", true), ("GET", "/pets/{petId}", true)];

#[test]
fn what_disagrees_is_found_where_it_stands() {
    let ttl = "authorizerResultTtlInSeconds: 300";
    for (from, to, expected) in [
        ("CacheKey: token", "CacheKey: none", vec!["cache-key-mismatch"]),
        ("CacheKey: token", "CacheKey: tokens", vec!["cache-key-mismatch"]),
        ("        CacheKey: token\n", "", vec!["template-unresolved"]),
        (ttl, "authorizerResultTtlInSeconds: 0", vec!["cache-key-unused"]),
        (ttl, "authorizerResultTtlInSeconds: 3600", vec!["ttl-too-long"]),
        (
            "identitySource: method.request.header.Authorization",
            "identitySource: method.request.header.X",
            vec!["token-not-in-key"],
        ),
        ("/pets/{petId}:", "/pets/{id}:", vec!["route-undeployed", "route-unknown"]),
        ("Resources:", "Resources: [", vec!["template-invalid"]),
        ("CacheKey: token", "CacheKey: !ImportValue key", vec!["template-unresolved"]),
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
    let (found, _) = findings("policies", &template().replace("CacheKey: token", "CacheKey: none"));
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
    let other = text.replace("Default: petstore,", "Default: kennel,");
    // Where the value is given, in the outer template.
    let given = line(&other, "BundleName: !Ref BundleName");
    assert_eq!(findings("policies", &other), (vec![("bundle-name-mismatch".to_owned(), given)], 3));
    assert_eq!(
        codes("policies", &text.replace("!Ref BundleName", "!ImportValue name")),
        ["template-unresolved"]
    );
    let cached =
        "AuthorizerPayloadFormatVersion: '2.0', Identity: {Headers: [Authorization], ReauthorizeEvery: 60}";
    let without = http_api(cached, "", &SAMPLE_ROUTES).replace("BUNDLE_NAME: petstore", "OTHER: x");
    let function = line(&without, "  Authorizer:");
    assert_eq!(findings("policies", &without), (vec![("bundle-name-missing".to_owned(), function)], 0));
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
    let codes = |authorizer: &str, environment: &str| {
        codes("policies", &http_api(authorizer, environment, &SAMPLE_ROUTES))
    };
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
