//! Templates in each style, and what is read from them. A template is written out in full if its form matters.

use std::fmt::Display;

use super::*;

/// `NAME kind`, then the authorizers, the routes and the problems, one per line.
fn shown(text: &str, parameters: &[(&str, &str)]) -> Vec<String> {
    let parameters = parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let Deployment { apis, problems, .. } = Deployment::read(text, &parameters, None);
    let mut lines = Vec::new();
    for api in apis {
        lines.push(format!("{} {:?}", api.name, api.kind));
        for authorizer in &api.authorizers {
            let function = authorizer.function.as_ref().map_or("elsewhere", |function| &function.name);
            lines.push(format!(
                "{} {:?} {} ttl {} of {function}",
                authorizer.name,
                authorizer.kind,
                show(&authorizer.identity_sources.clone().map(|sources| sources.join("+"))),
                show(&authorizer.ttl_seconds),
            ));
        }
        for DeployedRoute { verb, path, protection, position: _ } in api.routes {
            lines.push(format!("{verb} {path}: {protection:?}"));
        }
    }
    lines.extend(
        problems
            .iter()
            .map(|Problem { place, kind, message }| format!("{place} {}: {message}", code_of(*kind))),
    );
    lines
}

fn show<T: Display>(setting: &Setting<T>) -> String {
    match setting {
        Setting::Absent => "-".to_owned(),
        Setting::Given { value, .. } => value.to_string(),
        Setting::Unresolved { .. } => "?".to_owned(),
    }
}

fn code_of(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Invalid => "template-invalid",
        ProblemKind::NotRead => "template-not-read",
        ProblemKind::Syntax => "template-syntax",
        ProblemKind::Unresolved => "template-unresolved",
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text, &[]), expected);
}

/// The one authorizer of a template.
#[track_caller]
fn authorizer(text: &str) -> DeployedAuthorizer {
    let deployment = Deployment::read(text, &BTreeMap::new(), None);
    assert_eq!(deployment.problems, []);
    let mut all: Vec<_> = deployment.apis.into_iter().flat_map(|api| api.authorizers).collect();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// A REST API of CloudFormation whose authorizer has this `AuthorizerResultTtlInSeconds`, on line 13.
fn with_ttl(ttl: &str) -> String {
    format!(
        "\
Parameters:
  Ttl: {{Type: Number, Default: 60}}
  Open: {{Type: Number}}
  Stored: {{Type: AWS::SSM::Parameter::Value<String>, Default: /ttl}}
  List: {{Type: CommaDelimitedList, Default: '1, 2'}}
Mappings: {{Stages: {{prod: {{Ttl: 300}}}}}}
Conditions: {{Yes: !Equals [a, a], No: !Not [!Condition Yes], Unknown: !Equals [!Ref Open, 1], \
    Mixed: !And [!Condition Unknown, Condition: No], Region: !Equals [!Ref AWS::Region, x], \
    Round: !Not [Condition: Round]}}
Resources:
  Api: {{Type: AWS::ApiGateway::RestApi}}
  Auth:
    Type: AWS::ApiGateway::Authorizer
    Properties: {{RestApiId: !Ref Api, Type: REQUEST, \
      IdentitySource: 'method.request.header.Authorization, context.path',
      AuthorizerResultTtlInSeconds: {ttl}}}
"
    )
}

#[test]
fn sam_rest_api_with_default_authorizer_and_globals() {
    check(
        "\
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Environment: {Variables: {CACHE_KEY: none}}}
  Api: {Auth: {DefaultAuthorizer: Cedar}}
Resources:
  Pets:
    Type: AWS::Serverless::Api
    Properties:
      Auth:
        AddDefaultAuthorizerToCorsPreflight: false
        Authorizers:
          Cedar:
            FunctionArn: !GetAtt Authorizer.Arn
            FunctionPayloadType: REQUEST
            Identity: {Context: [path, httpMethod], Headers: [Authorization], QueryStrings: [q], ReauthorizeEvery: 0}
          Tokens: {FunctionArn: !Sub '${Authorizer.Arn}:live', Identity: {Header: X-Token}}
          Pool: {UserPoolArn: arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_x}
  Authorizer: {Type: AWS::Serverless::Function}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        List: {Type: Api, Properties: {Path: /pets, Method: get, RestApiId: !Ref Pets}}
        Open: {Type: Api, Properties: {Path: /open, Method: any, RestApiId: !Ref Pets, Auth: {Authorizer: NONE}}}
        Pool: {Type: Api, Properties: {Path: /pool, Method: GET, RestApiId: Pets, Auth: {Authorizer: Pool}}}
        Iam: {Type: Api, Properties: {Path: /iam, Method: GET, RestApiId: !Ref Pets, Auth: {Authorizer: AWS_IAM}}}
        Preflight: {Type: Api, Properties: {Path: /pets, Method: options, RestApiId: !Ref Pets}}
        Typo: {Type: Api, Properties: {Path: /typo, Method: GET, RestApiId: !Ref Pets, Auth: {Authorizer: Ceder}}}
        Queue: {Type: SQS, Properties: {Queue: q}}
",
        &[
            "Pets Rest",
            "Cedar Request method.request.header.Authorization+method.request.querystring.q+context.path+\
             context.httpMethod ttl 0 of Authorizer",
            "Tokens Token method.request.header.X-Token ttl - of Authorizer",
            "GET /pets: Lambda(\"Cedar\")",
            "ANY /open: Nothing",
            "GET /pool: Other(\"COGNITO_USER_POOLS\")",
            "GET /iam: Other(\"AWS_IAM\")",
            "OPTIONS /pets: Nothing",
            "GET /typo: Unresolved",
            "28:9 template-invalid: `Pets` has no authorizer `Ceder`",
        ],
    );
}

#[test]
fn sam_apis_that_no_resource_defines() {
    check(
        "\
Globals:
  HttpApi:
    Auth:
      DefaultAuthorizer: Cedar
      Authorizers:
        Cedar:
          FunctionArn: !Ref Live
          AuthorizerPayloadFormatVersion: 2.0
          EnableSimpleResponses: true
          Identity: {Headers: [Authorization], Context: [routeKey], ReauthorizeEvery: 60}
Resources:
  Authorizer: {Type: AWS::Lambda::Function}
  Live: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref Authorizer}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        All: {Type: HttpApi}
        Pets: {Type: HttpApi, Properties: {Path: /pets, Method: Post}}
        Cors: {Type: HttpApi, Properties: {Path: /pets, Method: OPTIONS}}
        Rest: {Type: Api, Properties: {Path: /rest, Method: get}}
        Half: {Type: Api, Properties: {Path: /rest}}
",
        &[
            "ServerlessHttpApi Http",
            "Cedar Request $request.header.Authorization+$context.routeKey ttl 60 of Authorizer",
            "ANY $default: Lambda(\"Cedar\")",
            "POST /pets: Lambda(\"Cedar\")",
            "OPTIONS /pets: Nothing",
            "ServerlessRestApi Rest",
            "GET /rest: Nothing",
            "22:9 template-invalid: `Half` of `Events` of `Backend` needs `Path` and `Method`",
        ],
    );
}

#[test]
fn sam_adds_events_to_a_definition_of_a_rest_api_only_when_told_to() {
    let template = |merge: &str| {
        format!(
            "\
Resources:
  Pets:
    Type: AWS::Serverless::Api
    Properties:
      {merge}
      Auth: {{DefaultAuthorizer: Cedar, Authorizers: {{Cedar: {{FunctionArn: arn}}}}}}
      DefinitionBody: {{paths: {{/pets: {{get: {{}}, options: {{security: [{{NONE: []}}]}}}}}}}}
  Backend:
    Type: AWS::Serverless::Function
    Properties: {{Events: {{A: {{Type: Api, Properties: {{Path: /a, Method: get, RestApiId: !Ref Pets}}}}}}}}
"
        )
    };
    let common = [
        "Pets Rest",
        "Cedar Token method.request.header.Authorization ttl - of elsewhere",
        "GET /pets: Lambda(\"Cedar\")",
        "OPTIONS /pets: Nothing",
    ];
    check(&template("Name: x"), &common);
    check(&template("MergeDefinitions: true"), &[&common[..], &["GET /a: Lambda(\"Cedar\")"]].concat());
}

#[test]
fn sam_event_overrides_the_default_authorizer_of_a_definition_only_when_told_to() {
    for (auth, expected) in [
        ("Authorizer: NONE", "GET /pets: Lambda(\"Cedar\")"),
        ("Authorizer: NONE, OverrideApiAuth: false", "GET /pets: Lambda(\"Cedar\")"),
        ("Authorizer: NONE, OverrideApiAuth: true", "GET /pets: Nothing"),
        ("Authorizer: AWS_IAM, OverrideApiAuth: true", "GET /pets: Other(\"AWS_IAM\")"),
        ("Authorizer: NONE, OverrideApiAuth: !ImportValue x", "GET /pets: Unresolved"),
    ] {
        let template = format!(
            "\
Resources:
  Pets:
    Type: AWS::Serverless::Api
    Properties:
      Auth: {{DefaultAuthorizer: Cedar, Authorizers: {{Cedar: {{FunctionArn: arn}}}}}}
      DefinitionBody: {{paths: {{/pets: {{get: {{}}}}}}}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        A: {{Type: Api, Properties: {{Path: /pets, Method: get, RestApiId: !Ref Pets, Auth: {{{auth}}}}}}}
"
        );
        assert_eq!(shown(&template, &[])[2], expected, "{auth}");
    }
}

#[test]
fn sam_web_socket_api() {
    check(
        "\
Resources:
  Chat:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      Auth: {AuthType: CUSTOM, AuthArn: !GetAtt F.Arn, IdentitySource: [route.request.querystring.token]}
      Routes: {$connect: {FunctionArn: x}, say: {FunctionArn: x}}
  F: {Type: AWS::Serverless::Function}
",
        &[
            "Chat WebSocket",
            "ChatConnectAuthorizer Request route.request.querystring.token ttl - of F",
            "ANY $connect: Lambda(\"ChatConnectAuthorizer\")",
            "ANY say: Nothing",
        ],
    );
}

#[test]
fn openapi_2_and_3_with_anchors_and_merges() {
    check(
        "\
Resources:
  Two:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        swagger: '2.0'
        securityDefinitions:
          Tokens:
            type: apiKey
            name: X-Token
            in: header
            x-amazon-apigateway-authtype: custom
            x-amazon-apigateway-authorizer: &authorizer
              type: token
              authorizerUri: !Sub
                - arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${arn}/invocations
                - {arn: !GetAtt [F, Arn]}
          Requests:
            type: apiKey
            x-amazon-apigateway-authorizer:
              <<: *authorizer
              type: request
              identitySource: method.request.header.A, context.path
          Key: {type: apiKey, name: x-api-key, in: header}
          Sigv4: {type: apiKey, x-amazon-apigateway-authtype: awsSigv4}
        security: [{Tokens: []}]
        paths:
          /a:
            parameters: [{name: a}]
            get: {}
            put: {security: [{Key: []}, {Requests: []}]}
            post: {security: [{Key: []}]}
            delete: {security: [{Sigv4: []}]}
            options: {security: []}
            x-amazon-apigateway-any-method: {security: [{Requests: []}]}
  Three:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Body:
        openapi: 3.0.1
        components:
          securitySchemes:
            Cedar:
              type: apiKey
              x-amazon-apigateway-authorizer: {type: request, identitySource: $request.header.Authorization}
            Jwt: {type: oauth2, x-amazon-apigateway-authorizer: {type: jwt}}
        paths:
          /$default: {x-amazon-apigateway-any-method: {security: [{Cedar: []}]}}
          /jwt: {get: {security: [{Jwt: [read]}]}}
  F: {Type: AWS::Serverless::Function}
",
        &[
            "Two Rest",
            "Tokens Token method.request.header.X-Token ttl - of F",
            "Requests Request method.request.header.A+context.path ttl - of F",
            "GET /a: Lambda(\"Tokens\")",
            "PUT /a: Lambda(\"Requests\")",
            "POST /a: Nothing",
            "DELETE /a: Other(\"AWS_IAM\")",
            "OPTIONS /a: Nothing",
            "ANY /a: Lambda(\"Requests\")",
            "Three Http",
            "Cedar Request $request.header.Authorization ttl - of elsewhere",
            "ANY $default: Lambda(\"Cedar\")",
            "GET /jwt: Other(\"JWT\")",
        ],
    );
}

#[test]
fn cloudformation_rest_api() {
    check(
        "\
Resources:
  Api: {Type: AWS::ApiGateway::RestApi}
  Auth:
    Type: AWS::ApiGateway::Authorizer
    Properties: {RestApiId: !Ref Api, Type: TOKEN, IdentitySource: method.request.header.Authorization, \
        AuthorizerUri: !Sub 'x/${F.Arn}/y'}
  F: {Type: AWS::Lambda::Function, Properties: {Environment: {Variables: {CACHE_KEY: none}}}}
  Pets: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Api, \
      ParentId: !GetAtt Api.RootResourceId, PathPart: pets}}
  Pet: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Api, ParentId: !Ref Pets, PathPart: '{id}'}}
  Circle: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Api, ParentId: !Ref Circle, PathPart: x}}
  Root:
    Type: AWS::ApiGateway::Method
    Properties: {RestApiId: !Ref Api, ResourceId: !GetAtt Api.RootResourceId, HttpMethod: GET, AuthorizationType: NONE}
  GetPet:
    Type: AWS::ApiGateway::Method
    Properties: {RestApiId: !Ref Api, ResourceId: !Ref Pet, HttpMethod: any, AuthorizationType: CUSTOM, \
        AuthorizerId: !Ref Auth}
  Lost:
    Type: AWS::ApiGateway::Method
    Properties: {RestApiId: !Ref Api, ResourceId: !Ref Circle, HttpMethod: GET}
  Other:
    Type: AWS::ApiGateway::Method
    Properties: {RestApiId: abc123, ResourceId: !GetAtt X.RootResourceId, HttpMethod: GET, \
        AuthorizationType: CUSTOM, AuthorizerId: def456}
",
        &[
            "Api Rest",
            "Auth Token method.request.header.Authorization ttl - of F",
            "GET /: Nothing",
            "ANY /pets/{id}: Lambda(\"Auth\")",
            "abc123 Rest",
            "GET /: Unresolved",
            "16:3 template-not-read: the path of `Lost` does not lead to the root of an API in this template",
            "19:3 template-invalid: `abc123` has no authorizer `def456`",
        ],
    );
}

#[test]
fn cloudformation_http_and_web_socket_apis() {
    check(
        "\
Resources:
  Http: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: HTTP, Target: x}}
  Socket: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET}}
  A: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: !Ref Http, AuthorizerType: REQUEST, \
      IdentitySource: [$request.header.Authorization, $context.routeKey], AuthorizerResultTtlInSeconds: 5}}
  J: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: !Ref Http, AuthorizerType: JWT}}
  B: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: !Ref Socket, AuthorizerType: REQUEST, \
      IdentitySource: [route.request.header.Auth]}}
  C: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: !ImportValue Api, AuthorizerType: REQUEST}}
  D: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: abc, AuthorizerType: REQUEST}}
  R1: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Http, RouteKey: GET /pets, \
      AuthorizationType: CUSTOM, AuthorizerId: !Ref A}}
  R2: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Http, RouteKey: ANY /jwt, \
      AuthorizationType: JWT, AuthorizerId: !Ref J}}
  R3: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Socket, RouteKey: $connect, \
      AuthorizationType: CUSTOM, AuthorizerId: !Ref B}}
",
        &[
            "Http Http",
            "A Request $request.header.Authorization+$context.routeKey ttl 5 of elsewhere",
            "ANY $default: Nothing",
            "GET /pets: Lambda(\"A\")",
            "ANY /jwt: Other(\"JWT\")",
            "Socket WebSocket",
            "B Request route.request.header.Auth ttl - of elsewhere",
            "ANY $connect: Lambda(\"B\")",
            "7:64 template-unresolved: `ApiId` of `C` is not known: `ImportValue` is known to a deployment only",
            "8:3 template-not-read: `D` belongs to `abc`, an API that is not in this template",
        ],
    );
}

#[test]
fn settings_have_their_places() {
    let authorizer = authorizer(
        "\
Parameters: {Ttl: {Type: Number, Default: 7}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Cedar:
            FunctionArn: !GetAtt F.Arn
            AuthorizerPayloadFormatVersion: \"2.0\"
            EnableSimpleResponses: true
            Identity:
              ReauthorizeEvery: !Ref Ttl
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment:
        Variables:
          SIMPLE_RESPONSES: 'true'
          CACHE_KEY: {Ref: Ttl}
",
    );
    assert_eq!(authorizer.position, Place { line: 8, column: 11 });
    assert_eq!(authorizer.ttl_seconds, Setting::Given { value: 7, place: Place { line: 13, column: 33 } });
    assert_eq!(authorizer.payload_version.value().map(String::as_str), Some("2.0"));
    assert_eq!(authorizer.simple_responses.value(), Some(&true));
    assert_eq!(authorizer.identity_sources, Setting::Absent);
    let function = authorizer.function.unwrap();
    assert_eq!(function.name, "F");
    assert_eq!(
        function.cache_key,
        Setting::Given { value: "7".to_owned(), place: Place { line: 20, column: 22 } }
    );
    assert_eq!(function.simple_responses.value().map(String::as_str), Some("true"));
}

#[test]
fn what_is_left_out_depends_on_the_kind_of_api() {
    let absent = authorizer(&with_ttl("!Ref AWS::NoValue"));
    let given = authorizer(&with_ttl("5"));
    for (authorizer, kind, expected) in [
        (&absent, ApiKind::Rest, Some(300)),
        (&absent, ApiKind::Http, Some(0)),
        (&given, ApiKind::Rest, Some(5)),
        (&given, ApiKind::Http, Some(5)),
        (&given, ApiKind::WebSocket, Some(0)),
    ] {
        assert_eq!(authorizer.effective_ttl(kind), expected, "{kind:?}");
    }
}

#[test]
fn intrinsic_functions_are_resolved() {
    for (ttl, expected) in [
        ("5", "5"),
        ("'5'", "5"),
        ("", "-"),
        ("!Ref Ttl", "60"),
        ("{Ref: Ttl}", "60"),
        ("!Sub '${Ttl}0'", "600"),
        ("!Sub ['${a}${Ttl}', {a: 1}]", "160"),
        ("{'Fn::Sub': '${Ttl}'}", "60"),
        ("!FindInMap [Stages, prod, Ttl]", "300"),
        ("!If [Yes, 1, 2]", "1"),
        ("!If [No, 1, 2]", "2"),
        ("!If [Mixed, 1, 2]", "2"),
        ("{'Fn::If': [No, 1, !Ref Ttl]}", "60"),
        ("!If [No, 1, !Ref AWS::NoValue]", "-"),
        ("!Join ['', [1, !Ref Ttl]]", "160"),
        ("!Select [1, !Ref List]", "2"),
        ("!Select [0, !Split [x, 4x5]]", "4"),
    ] {
        let read = Deployment::read(&with_ttl(ttl), &BTreeMap::new(), None);
        assert_eq!(read.problems, [], "{ttl}");
        assert_eq!(show(&read.apis[0].authorizers[0].ttl_seconds), expected, "{ttl}");
    }
}

#[test]
fn what_cannot_be_resolved_is_a_problem_at_its_place() {
    for (ttl, code, reason) in [
        ("!Ref Open", "unresolved", "parameter `Open` has no default and was not given"),
        ("!Ref Stored", "unresolved", "parameter `Stored` is the name of a value in the SSM parameter store"),
        ("!If [Unknown, 1, 2]", "unresolved", "parameter `Open` has no default and was not given"),
        ("!If [Region, 1, 2]", "unresolved", "it depends on `AWS::Region`, which only a deployment knows"),
        ("!If [Nowhere, 1, 2]", "unresolved", "there is no condition `Nowhere`"),
        ("!If [Round, 1, 2]", "unresolved", "intrinsic functions are nested too deeply, or in a circle"),
        ("!FindInMap [Stages, dev, Ttl]", "unresolved", "there is no `Stages.dev.Ttl` in the mappings"),
        ("!FindInMap [Stages]", "invalid", "`FindInMap` is malformed"),
        ("!Sub '${Ttl'", "invalid", "`Sub` is malformed"),
        ("!Select [9, !Ref List]", "unresolved", "`Select` goes beyond its list"),
        ("!ImportValue x", "unresolved", "`ImportValue` is known to a deployment only"),
        ("{'Fn::Transform': {Name: 'AWS::Include'}}", "not-read", "`Fn::Transform` is not read"),
        ("!Ref Api", "invalid", "it should be a whole number, 0 or more"),
        ("-1", "invalid", "it should be a whole number, 0 or more"),
        ("[1]", "invalid", "it should be a whole number, 0 or more"),
    ] {
        let read = Deployment::read(&with_ttl(ttl), &BTreeMap::new(), None);
        let found: Vec<String> = read
            .problems
            .iter()
            .map(|Problem { place, kind, message }| format!("{place} {}: {message}", code_of(*kind)))
            .collect();
        let expected =
            format!("13:37 template-{code}: `AuthorizerResultTtlInSeconds` of `Auth` is not known: {reason}");
        assert_eq!(found, [expected], "{ttl}");
        let authorizer = &read.apis[0].authorizers[0];
        assert!(authorizer.ttl_seconds.is_unresolved(), "{ttl}");
        assert_eq!(authorizer.effective_ttl(ApiKind::Rest), None, "{ttl}");
    }
}

#[test]
fn given_parameters_go_before_defaults() {
    let line = |ttl, parameters: &[_]| shown(&with_ttl(ttl), parameters)[1].clone();
    assert!(line("!Ref Ttl", &[("Ttl", "9")]).contains(" ttl 9 "));
    assert!(line("!Ref Open", &[("Open", "9")]).contains(" ttl 9 "));
    assert!(line("!If [Region, 1, 2]", &[("AWS::Region", "x")]).contains(" ttl 1 "));
}

#[test]
fn a_resource_whose_condition_does_not_hold_is_not_there() {
    let template = |condition: &str| {
        format!(
            "\
Parameters: {{P: {{Type: String}}}}
Conditions: {{Never: !Equals [a, b], Perhaps: !Equals [!Ref P, a]}}
Resources:
  Api: {{Type: AWS::Serverless::Api, Condition: {condition}}}
"
        )
    };
    check(&template("Never"), &[]);
    check(
        &template("Perhaps"),
        &[
            "Api Rest",
            "4:48 template-unresolved: whether `Api` is deployed is not known: parameter `P` has no default and was \
             not given",
        ],
    );
}

#[test]
fn protection_is_not_guessed() {
    let rest = |properties: &str| {
        format!(
            "\
Parameters: {{P: {{Type: String}}}}
Conditions: {{Perhaps: !Equals [!Ref P, a]}}
Resources:
  Api: {{Type: AWS::Serverless::Api, Properties: {{{properties}}}}}
  F: {{Type: AWS::Serverless::Function, Properties: {{Events: {{E: {{Type: Api, \
      Properties: {{Path: /, Method: get, RestApiId: !Ref Api}}}}}}}}}}
"
        )
    };
    for properties in [
        "Auth: {DefaultAuthorizer: !Ref P}",
        "Auth: !If [Perhaps, {DefaultAuthorizer: A}, {DefaultAuthorizer: B}]",
        "Auth: {DefaultAuthorizer: A, Authorizers: !If [Perhaps, {}, {}]}",
        "Auth: {DefaultAuthorizer: A, Authorizers: {A: {FunctionArn: x, FunctionPayloadType: !Ref P}}}",
        "MergeDefinitions: true, DefinitionBody: {security: !Ref P}",
        "'Fn::Transform': {Name: Some::Macro}",
    ] {
        let lines = shown(&rest(properties), &[]);
        assert_eq!(lines[..2], ["Api Rest", "GET /: Unresolved"], "{properties}");
        assert_eq!(lines.len(), 3, "{lines:?}");
    }
}

#[test]
fn whether_preflight_is_protected_is_not_guessed() {
    check(
        "\
Parameters: {P: {Type: String}}
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      Auth: {DefaultAuthorizer: AWS_IAM, AddDefaultAuthorizerToCorsPreflight: !Ref P}
      DefinitionBody: {paths: {/: {get: {}, options: {}}}}
",
        &[
            "Api Rest",
            "GET /: Other(\"AWS_IAM\")",
            "OPTIONS /: Unresolved",
            "6:79 template-unresolved: `AddDefaultAuthorizerToCorsPreflight` of `Auth` of `Api` is not known: \
             parameter `P` has no default and was not given",
        ],
    );
}

#[test]
fn definitions_elsewhere_are_problems() {
    let template = |kind: &str, properties: &str| {
        format!("Resources:\n  Api: {{Type: AWS::{kind}, Properties: {{{properties}}}}}\n")
    };
    for (kind, properties, message) in [
        (
            "Serverless::Api",
            "DefinitionUri: api.yaml",
            "`DefinitionUri` of `Api`: a definition in another file is not read",
        ),
        (
            "ApiGatewayV2::Api",
            "BodyS3Location: {}",
            "`BodyS3Location` of `Api`: a definition in another file is not read",
        ),
        (
            "Serverless::Api",
            "DefinitionBody: {'Fn::Transform': {Name: AWS::Include}}",
            "`DefinitionBody` of `Api` is not known: `Fn::Transform` is not read",
        ),
        (
            "ApiGateway::RestApi",
            "Body: {info: {}, 'Fn::Transform': {Name: AWS::Include}}",
            "part of `Body` of `Api` is elsewhere: `Fn::Transform` is not read",
        ),
        (
            "ApiGateway::RestApi",
            "Body: {paths: {/a: {$ref: b.yaml}}}",
            "`$ref` of `/a` of `paths` of `Body` of `Api` is not read",
        ),
    ] {
        let problems = Deployment::read(&template(kind, properties), &BTreeMap::new(), None).problems;
        let found: Vec<_> = problems.iter().map(|problem| (problem.kind, problem.message.as_str())).collect();
        assert_eq!(found, [(ProblemKind::NotRead, message)], "{properties}");
    }
}

#[test]
fn json_is_yaml() {
    check(
        "{\n\t\"Resources\": {\n\t\t\"Api\": {\"Type\": \"AWS::Serverless::Api\", \"Properties\": {\"Auth\": {\
         \"Authorizers\": {\"A\": {\"FunctionArn\": {\"Fn::GetAtt\": [\"F\", \"Arn\"]}}}}}},\n\
         \t\t\"F\": {\"Type\": \"AWS::Serverless::Function\"}\n\t}\n}\n",
        &["Api Rest", "A Token method.request.header.Authorization ttl - of F"],
    );
}

#[test]
fn a_key_that_stands_twice_is_a_problem_and_the_last_counts() {
    check(
        "Resources:\n  Api: {Type: AWS::Serverless::Api}\n  Api: {Type: AWS::Serverless::HttpApi}\n",
        &["Api Http", "3:3 template-invalid: `Api` stands here a second time, after line 2"],
    );
}

#[test]
fn the_own_keys_of_a_map_go_before_merged_ones() {
    check(
        "\
Shared: &shared {Type: AWS::Serverless::HttpApi, Properties: {Name: x}}
More: &more {Type: AWS::Serverless::Function}
Resources:
  Own: {<<: *shared, Type: AWS::Serverless::Api}
  Merged: {<<: [*shared, *more]}
",
        &["Own Rest", "Merged Http"],
    );
}

#[test]
fn what_is_no_template_says_so() {
    let nested = |open: &str, close: &str, times| format!("{}1{}", open.repeat(times), close.repeat(times));
    let bomb: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)).collect();
    let keys: String = (0..1_000).map(|n| format!("k{n}: 1, ")).collect();
    let merges = format!("a: &a {{{keys}}}\nb: {{{}}}\n", "<<: *a, ".repeat(1_000));
    let many_merges = format!("a: &a {{{keys}}}\nb: [{}]\n", "{<<: *a}, ".repeat(1_000));
    for (text, code, message) in [
        ("", "invalid", "the template is empty"),
        ("# nothing\n", "invalid", "the template is empty"),
        ("~", "invalid", "the template is empty"),
        ("Hello", "invalid", "no template: it has no `Resources`"),
        ("[]", "invalid", "no template: it has no `Resources`"),
        ("Resources: 5", "invalid", "no template: it has no `Resources`"),
        ("a: [b", "syntax", "not YAML: "),
        ("a: *b", "syntax", "not YAML: "),
        ("\u{1}\u{2}", "syntax", "not YAML: "),
        ("a: &a [*a]", "syntax", "an alias inside of what it stands for"),
        ("a: 1\n---\nb: 2\n", "syntax", "a second document"),
        (&nested("[", "]", 200), "syntax", "nested more than 100 deep"),
        (&nested("[", "]", 100_000), "syntax", "not YAML: "),
        (&nested("{a: ", "}", 200), "syntax", "nested more than 100 deep"),
        (&nested("- ", "", 200), "syntax", "nested more than 100 deep"),
        (&format!("a0: &a0 x\n{bomb}"), "syntax", "more than 200000 values, aliases written out"),
        (&merges, "syntax", "more than 200000 values, aliases written out"),
        (&many_merges, "syntax", "more than 200000 values, aliases written out"),
    ] {
        let Deployment { apis, problems, .. } = Deployment::read(text, &BTreeMap::new(), None);
        assert_eq!(apis, [], "{text:.40}");
        assert_eq!(problems.len(), 1, "{text:.40}: {problems:?}");
        assert_eq!(code_of(problems[0].kind), format!("template-{code}"), "{text:.40}");
        assert!(problems[0].message.starts_with(message), "{text:.40}: {}", problems[0].message);
    }
}

#[test]
fn texts_and_conditions_that_multiply_come_to_an_end() {
    let sub = (0..40).fold("x".to_owned(), |inner, _| format!("!Sub ['${{a}}${{a}}', {{a: {inner}}}]"));
    let lines = shown(&with_ttl(&sub), &[]);
    assert!(lines.last().is_some_and(|line| line.ends_with("its text is too long")), "{lines:?}");
    let pairs: String =
        (1..60).map(|n| format!("  C{n}: !And [Condition: C{0}, Condition: C{0}]\n", n - 1)).collect();
    let resources = "Resources:\n  A: {Type: AWS::Serverless::Api, Condition: C59}\n";
    let text = format!("Conditions:\n  C0: !Equals [a, a]\n{pairs}{resources}");
    let problems = Deployment::read(&text, &BTreeMap::new(), None).problems;
    assert_eq!(problems.len(), 1);
}

#[test]
fn malformed_pieces_never_panic_and_are_reported() {
    for text in [
        "Resources: {A: 5}",
        "Resources: {A: {Type: AWS::Serverless::Api, Properties: 5}}",
        "Resources: {A: {Type: AWS::Serverless::Api, Properties: {Auth: [1], DefinitionBody: x}}}",
        "Resources: {A: {Type: AWS::Serverless::Api, Properties: {Auth: {Authorizers: {X: 5}}}}}",
        "Resources: {A: {Type: AWS::Serverless::Api, Properties: {DefinitionBody: {paths: {/a: {get: 5}}}}}}",
        "Resources: {A: {Type: AWS::Serverless::Function, Properties: {Events: [1]}}}",
        "Resources: {A: {Type: AWS::ApiGateway::Authorizer}}",
        "Resources: {A: {Type: AWS::ApiGateway::Method, \
         Properties: {RestApiId: !Ref X, HttpMethod: GET, ResourceId: x}}}",
        "Resources: {A: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: [x]}}}",
        "Resources: {'Fn::ForEach::X': [Y, [a], {}]}",
        "Resources: {[a]: {Type: x}}",
        "Resources: {<<: 5}",
    ] {
        let problems = Deployment::read(text, &BTreeMap::new(), None).problems;
        assert!(!problems.is_empty(), "{text}");
    }
}
