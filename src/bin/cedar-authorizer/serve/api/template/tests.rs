//! Templates, and the APIs that are served from them.

use std::fs;
use std::path::Path;

use cedar_authorizer::store::directory;

use super::*;
use crate::serve::api::RouteProtection;

fn store() -> Store {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    Store::open(&directory::read(&folder).unwrap()).unwrap()
}

fn read_bytes(content: &[u8], api: Option<&str>) -> Result<ServedApi, Failure> {
    read_with(&store(), content, api)
}

fn read_with(store: &Store, content: &[u8], api: Option<&str>) -> Result<ServedApi, Failure> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, content).unwrap();
    let (path, api) = (file.path().to_owned(), api.map(str::to_owned));
    read(&TemplateArgs { path, parameters: vec![("Given".to_owned(), "60".to_owned())], api }, store)
}

/// The API, its authorizers, its routes, and what is not as the template says, one per line.
fn shown(text: &str) -> Vec<String> {
    let api = read_bytes(text.as_bytes(), None).unwrap();
    let mut lines = vec![format!("{} at {}", api.name, api.stage)];
    for authorizer in &api.authorizers {
        let ServedAuthorizer { name, kind, key, time_to_live, validation_expression, function_key } =
            authorizer;
        let seconds = time_to_live.as_secs();
        let expression = validation_expression.as_ref().map_or("-".to_owned(), ToString::to_string);
        let function_key = function_key.as_ref().map_or("-".to_owned(), ToString::to_string);
        lines.push(format!("{name} {kind:?} {key} {seconds} s {expression} {function_key}"));
    }
    for (index, route) in api.routes.routes().iter().enumerate() {
        let preflight = if api.preflight(route).is_some() { " (preflight)" } else { "" };
        lines.push(format!("{route}: {:?}{preflight}", api.protections[index]));
        assert_eq!(api.protection(route), api.protections.get(index));
    }
    let findings = api.findings.iter();
    lines.extend(findings.map(|finding| {
        let place = format!("{}", finding.position);
        let place = place.split_once(':').map_or("", |(_, place)| place);
        format!("{place} {}: {}", finding.code, finding.message)
    }));
    lines
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text), expected);
}

#[test]
fn a_rest_api_with_everything() {
    check(
        "\
Parameters: {Given: {Type: Number}, Open: {Type: Number}}
Resources:
  Pets:
    Type: AWS::Serverless::Api
    Properties:
      StageName: live
      Cors: \"'*'\"
      Auth:
        DefaultAuthorizer: Tokens
        AddDefaultAuthorizerToCorsPreflight: false
        Authorizers:
          Tokens: {FunctionArn: !GetAtt Authorizer.Arn, Identity: {Header: X-Token, ValidationExpression: '^Bearer .*'}}
          Requests: {FunctionArn: arn, FunctionPayloadType: REQUEST, Identity: {Headers: [A], Context: [path], ReauthorizeEvery: !Ref Given}}
          Unknown: {FunctionArn: arn, FunctionPayloadType: REQUEST, Identity: {ReauthorizeEvery: !Ref Open}}
          Uncached: {FunctionArn: arn, FunctionPayloadType: REQUEST, Identity: {ReauthorizeEvery: 0}}
  Authorizer: {Type: AWS::Serverless::Function, Properties: {Environment: {Variables: {CACHE_KEY: token}}}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Root: {Type: Api, Properties: {Path: /, Method: get, RestApiId: !Ref Pets}}
        List: {Type: Api, Properties: {Path: /pets, Method: any, RestApiId: !Ref Pets, Auth: {Authorizer: Requests}}}
        Open: {Type: Api, Properties: {Path: '/pets/{petId}', Method: get, RestApiId: !Ref Pets, Auth: {Authorizer: NONE}}}
        Rest: {Type: Api, Properties: {Path: '/{proxy+}', Method: get, RestApiId: !Ref Pets, Auth: {Authorizer: AWS_IAM}}}
        Typo: {Type: Api, Properties: {Path: /typo, Method: get, RestApiId: !Ref Pets, Auth: {Authorizer: Tokns}}}
        Trace: {Type: Api, Properties: {Path: /, Method: trace, RestApiId: !Ref Pets}}
        Same: {Type: Api, Properties: {Path: '/pets/{id}', Method: post, RestApiId: !Ref Pets}}
        Bad: {Type: Api, Properties: {Path: '/pets/{id}.json', Method: get, RestApiId: !Ref Pets}}
",
        &[
            "Pets at live",
            "Tokens RestToken method.request.header.x-token 300 s ^Bearer .* token",
            "Requests RestRequest method.request.header.a,context.path 60 s - -",
            "Unknown RestRequest method.request.header.authorization 300 s - -",
            "Uncached RestRequest none 0 s - -",
            "get /: Authorizer(0)",
            "any /pets: Authorizer(1)",
            "get /pets/{petId}: Nothing",
            "get /{proxy+}: Other(\"AWS_IAM\")",
            "get /typo: Other(\"an authorizer that the template does not make known\")",
            "options /: Nothing (preflight)",
            "options /pets: Nothing (preflight)",
            "options /pets/{petId}: Nothing (preflight)",
            "options /typo: Nothing (preflight)",
            "options /{proxy+}: Nothing (preflight)",
            "14:98 template-unresolved: `ReauthorizeEvery` of `Identity` of `Unknown` of `Authorizers` of `Auth` of `Pets` \
             is not known: parameter `Open` has no default and was not given",
            "23:9 route-unprotected: `GET /pets/{petId}` has no authorizer: everybody may call it",
            "25:9 template-unresolved: `Pets` has no authorizer `Tokns`",
            "26:9 template-unresolved: `TRACE /` is not served: API Gateway has no such method",
            "26:9 route-unknown: the policy store has no route `TRACE /`: it is always denied",
            "27:9 template-unresolved: `/pets/{id}` and `/pets/{petId}`, line 23, differ only in the name of a \
             parameter: to API Gateway they are one path",
            "27:9 route-unknown: the policy store has no route `POST /pets/{id}`: it is always denied",
            "28:9 template-unresolved: `/pets/{id}.json` has a parameter with other text in one segment, which API \
             Gateway cannot have",
            "28:9 route-unknown: the policy store has no route `GET /pets/{id}.json`: it is always denied",
        ],
    );
}

#[test]
fn the_kinds_of_http_apis() {
    check(
        "\
Resources:
  Pets:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          One: {FunctionArn: arn, AuthorizerPayloadFormatVersion: '1.0'}
          Two: {FunctionArn: arn, AuthorizerPayloadFormatVersion: '2.0', Identity: {Headers: [Authorization], ReauthorizeEvery: 60}}
          Simple: {FunctionArn: arn, AuthorizerPayloadFormatVersion: '2.0', EnableSimpleResponses: true, Identity: {Context: [wrong name]}}
          Jwt: {JwtConfiguration: {issuer: 'https://a.example', audience: [a]}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Rest: {Type: HttpApi, Properties: {ApiId: !Ref Pets, Auth: {Authorizer: Two}}}
        Jwt: {Type: HttpApi, Properties: {Path: /jwt, Method: get, ApiId: !Ref Pets, Auth: {Authorizer: Jwt}}}
",
        &[
            "Pets at $default",
            "One HttpV1 none 0 s - -",
            "Two Http method.request.header.authorization 60 s - -",
            "Simple HttpSimple none 0 s - -",
            "any $default: Authorizer(1)",
            "get /jwt: Other(\"JWT\")",
            "2:3 route-undeployed: `Pets` has not all routes of the policy store: `get /`, `get /pets`, \
             `get /pets/{petId}`, `post /pets`",
            "9:126 template-unresolved: `$context.wrong name` of the authorizer `Simple` is no identity source",
            "15:9 route-unknown: the policy store has no route `ANY $default`: it is always denied",
        ],
    );
}

#[test]
fn preflights_that_ask_the_authorizer_are_said() {
    check(
        "\
Resources:
  Pets:
    Type: AWS::Serverless::Api
    Properties: {Cors: \"'*'\", Auth: {DefaultAuthorizer: Cedar, Authorizers: {Cedar: {FunctionArn: arn}}}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Root: {Type: Api, Properties: {Path: /, Method: get, RestApiId: !Ref Pets}}
        List: {Type: Api, Properties: {Path: /pets, Method: any, RestApiId: !Ref Pets}}
        Item: {Type: Api, Properties: {Path: '/pets/{petId}', Method: get, RestApiId: !Ref Pets}}
",
        &[
            "Pets at prod",
            "Cedar RestToken method.request.header.authorization 300 s - -",
            "get /: Authorizer(0)",
            "any /pets: Authorizer(0)",
            "get /pets/{petId}: Authorizer(0)",
            "options /: Authorizer(0) (preflight)",
            "options /pets: Authorizer(0) (preflight)",
            "options /pets/{petId}: Authorizer(0) (preflight)",
            "9:9 template-unresolved: preflight requests ask the authorizer `Cedar`, and they have no token: pages of other \
             origins get no answer",
        ],
    );
}

#[test]
fn a_web_socket_api_without_connect_lets_everybody_connect() {
    let template = |route: &str| {
        format!(
            "\
Resources:
  Chat: {{Type: AWS::ApiGatewayV2::Api, Properties: {{ProtocolType: WEBSOCKET}}}}
  Auth: {{Type: AWS::ApiGatewayV2::Authorizer, Properties: {{ApiId: !Ref Chat, AuthorizerType: REQUEST, \
     AuthorizerUri: a, IdentitySource: [route.request.header.Authorization]}}}}
  Send: {{Type: AWS::ApiGatewayV2::Route, Properties: {{ApiId: !Ref Chat, RouteKey: send}}}}
  Stage: {{Type: AWS::ApiGatewayV2::Stage, Properties: {{ApiId: !Ref Chat, StageName: live}}}}
{route}"
        )
    };
    check(
        &template(""),
        &[
            "Chat at live",
            "Auth WebSocket method.request.header.authorization 0 s - -",
            "any $connect: Nothing",
        ],
    );
    let connect = "  Connect: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Chat, RouteKey: $connect, \
                   AuthorizationType: CUSTOM, AuthorizerId: !Ref Auth}}\n";
    let lines = shown(&template(connect));
    assert_eq!(lines[2], "any $connect: Authorizer(0)");
}

/// Two REST APIs with an authorizer, and an HTTP API without.
const SEVERAL: &str = "\
Resources:
  A: {Type: AWS::Serverless::Api, Properties: {Auth: {Authorizers: {X: {FunctionArn: arn}}}}}
  B: {Type: AWS::Serverless::Api, Properties: {Auth: {Authorizers: {X: {FunctionArn: arn}}}}}
  C: {Type: AWS::Serverless::HttpApi}
";

#[track_caller]
fn refused(content: &[u8], api: Option<&str>, expected: &str) {
    let failure = read_bytes(content, api).unwrap_err();
    // The name of the file is a random one.
    let message: Vec<&str> = failure.message().split('`').filter(|part| !part.contains("/.tmp")).collect();
    assert_eq!(message.join("`"), expected);
}

#[test]
fn which_api_is_served() {
    refused(SEVERAL.as_bytes(), None, "` has several APIs with a Lambda authorizer: `A`, `B`");
    refused(SEVERAL.as_bytes(), Some("C"), "`C` of ` has no Lambda authorizer");
    refused(SEVERAL.as_bytes(), Some("\u{1b}[0mD"), "` has no API with the name `\\u{1b}[0mD`");
    assert_eq!(read_bytes(SEVERAL.as_bytes(), Some("B")).unwrap().name, "B");
    let one = SEVERAL.replace("  B: {Type: AWS::Serverless::Api", "  B: {Type: AWS::Serverless::Table");
    assert_eq!(read_bytes(one.as_bytes(), None).unwrap().name, "A");
    refused(
        b"Resources: {C: {Type: AWS::Serverless::HttpApi}}",
        None,
        "` has no API with a Lambda authorizer",
    );
    refused(b"", None, "` has no API with a Lambda authorizer");
    refused(b"{", None, "`, 1:1: not YAML: unclosed bracket '{'");
    refused(b"a: \xff", None, "` is not UTF-8");
}

#[test]
fn every_route_has_a_protection_whatever_the_template_is() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("template.yaml")).unwrap();
    let store = store();
    // A piece of the template at a time is missing.
    for skipped in 0..text.lines().count() {
        let lines = text.lines().enumerate().filter(|(index, _)| *index != skipped);
        let damaged: Vec<&str> = lines.map(|(_, line)| line).collect();
        let Ok(api) = read_with(&store, damaged.join("\n").as_bytes(), None) else { continue };
        assert_eq!(api.routes.routes().len(), api.protections.len(), "line {}", skipped + 1);
        for route in api.routes.routes() {
            assert!(api.protection(route).is_some(), "line {}", skipped + 1);
            let is_guarded = matches!(api.protection(route), Some(RouteProtection::Authorizer(index)) if *index < api.authorizers.len());
            let is_open = api.protection(route) == Some(&RouteProtection::Nothing);
            assert!(is_guarded || is_open || route.to_string().starts_with("get"), "line {}", skipped + 1);
        }
    }
}
