//! Templates in each style, and the answers that are read from them.

use std::collections::BTreeMap;

use super::super::Deployment;
use super::*;

/// Each API with its stage, its CORS, its gateway responses and its preflights, then the problems, one per line.
fn shown(text: &str) -> Vec<String> {
    let deployment = Deployment::read(text, &BTreeMap::new(), None);
    assert_eq!(deployment.problems, []);
    let mut lines = Vec::new();
    for api in deployment.apis {
        let Answers { stage, gateway_responses, cors, preflights } = api.answers;
        lines.push(format!("{} at {}", api.name, stage.as_deref().unwrap_or("-")));
        if let Some(cors) = cors {
            lines.push(format!(
                "cors {} | {} | {} | {} | {} | {:?}",
                cors.allow_origins.join(" "),
                cors.allow_methods.join(" "),
                cors.allow_headers.join(" "),
                cors.expose_headers.join(" "),
                cors.allow_credentials,
                cors.max_age_seconds
            ));
        }
        for (name, response) in gateway_responses {
            let status = response.status.map_or("-".to_owned(), |status| status.to_string());
            let headers: Vec<String> =
                response.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let body = response.json_template.unwrap_or_default();
            lines.push(format!("{name} {status} [{}] {body}", headers.join(" ")).trim_end().to_owned());
        }
        for preflight in preflights {
            let headers: Vec<String> =
                preflight.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            lines.push(format!(
                "OPTIONS {} {:?} {} [{}]",
                preflight.path,
                preflight.protection,
                preflight.status,
                headers.join(" ")
            ));
        }
    }
    let problems = deployment.problems_of_answers.into_iter();
    lines
        .extend(problems.map(|problem| format!("{} {:?}: {}", problem.place, problem.kind, problem.message)));
    lines
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text), expected);
}

#[test]
fn gateway_responses_of_sam_take_the_place_of_those_of_the_definition() {
    check(
        "\
Parameters: {Origin: {Type: String, Default: 'https://a.example'}, Open: {Type: String}}
Resources:
  Pets:
    Type: AWS::Serverless::Api
    Properties:
      StageName: dev
      DefinitionBody:
        paths: {}
        x-amazon-apigateway-gateway-responses:
          UNAUTHORIZED:
            statusCode: 401
            responseParameters:
              gatewayresponse.header.WWW-Authenticate: \"'Bearer'\"
              gatewayresponse.path.x: \"'ignored'\"
            responseTemplates: {application/json: '{\"message\":\"no\"}', text/plain: ignored}
          DEFAULT_4XX: &cors
            responseParameters:
              gatewayresponse.header.Access-Control-Allow-Origin: !Sub \"'${Origin}'\"
              gatewayresponse.header.X-Open: !Sub \"'${Open}'\"
              gatewayresponse.header.X-Later: !Sub \"'${Site.DomainName}'\"
          DEFAULT_5XX: *cors
          UNAUTHORISED: {statusCode: 401}
          ACCESS_DENIED: {statusCode: 42}
      GatewayResponses:
        UNAUTHORIZED:
          StatusCode: 418
          ResponseParameters: {Headers: {X-Of: method.request.header.Origin}}
",
        &[
            "Pets at dev",
            "ACCESS_DENIED - []",
            "DEFAULT_4XX - [Access-Control-Allow-Origin='https://a.example']",
            "DEFAULT_5XX - [Access-Control-Allow-Origin='https://a.example']",
            "UNAUTHORIZED 418 [X-Of=method.request.header.Origin]",
            "19:46 Unresolved: `gatewayresponse.header.X-Open` of `responseParameters` of `DEFAULT_4XX` of \
             `x-amazon-apigateway-gateway-responses` of `DefinitionBody` of `Pets` is not known: parameter `Open` has \
             no default and was not given",
            "19:46 Unresolved: `gatewayresponse.header.X-Open` of `responseParameters` of `DEFAULT_5XX` of \
             `x-amazon-apigateway-gateway-responses` of `DefinitionBody` of `Pets` is not known: parameter `Open` has \
             no default and was not given",
            "20:47 Unresolved: `gatewayresponse.header.X-Later` of `responseParameters` of `DEFAULT_4XX` of \
             `x-amazon-apigateway-gateway-responses` of `DefinitionBody` of `Pets` is not known: it depends on `Site`, \
             which only a deployment knows",
            "20:47 Unresolved: `gatewayresponse.header.X-Later` of `responseParameters` of `DEFAULT_5XX` of \
             `x-amazon-apigateway-gateway-responses` of `DefinitionBody` of `Pets` is not known: it depends on `Site`, \
             which only a deployment knows",
            "22:11 Invalid: `UNAUTHORISED` is no type of gateway responses",
            "23:39 Invalid: `statusCode` of `ACCESS_DENIED` of `x-amazon-apigateway-gateway-responses` of \
             `DefinitionBody` of `Pets` is no status",
        ],
    );
}

/// A REST API of SAM with these properties, and events for `GET /pets`, `POST /pets`, `ANY /any` and `OPTIONS /own`.
fn with_events(properties: &str) -> String {
    format!(
        "\
Resources:
  Pets: {{Type: AWS::Serverless::Api, Properties: {{StageName: dev, {properties}}}}}
  Backend:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Get: {{Type: Api, Properties: {{Path: /pets, Method: get, RestApiId: !Ref Pets}}}}
        Post: {{Type: Api, Properties: {{Path: /pets, Method: post, RestApiId: !Ref Pets}}}}
        Any: {{Type: Api, Properties: {{Path: /any, Method: any, RestApiId: !Ref Pets}}}}
        Own: {{Type: Api, Properties: {{Path: /own, Method: options, RestApiId: !Ref Pets}}}}
"
    )
}

#[test]
fn cors_of_sam_adds_a_preflight_to_each_path_without_one() {
    check(
        &with_events(r#"Cors: "'*'""#),
        &[
            "Pets at dev",
            "OPTIONS /any Nothing 200 [Access-Control-Allow-Origin=* \
             Access-Control-Allow-Methods=DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT]",
            "OPTIONS /pets Nothing 200 [Access-Control-Allow-Origin=* Access-Control-Allow-Methods=GET,OPTIONS,POST]",
        ],
    );
    let cors = r#"Cors: {AllowOrigin: "'https://a.example'", AllowHeaders: "'authorization'", AllowMethods: "'GET'",
      MaxAge: "'600'", AllowCredentials: true}"#;
    let all = "Access-Control-Allow-Origin=https://a.example Access-Control-Allow-Headers=authorization \
               Access-Control-Max-Age=600 Access-Control-Allow-Credentials=true Access-Control-Allow-Methods=GET";
    check(
        &with_events(cors),
        &[
            "Pets at dev",
            &format!("OPTIONS /any Nothing 200 [{all}]"),
            &format!("OPTIONS /pets Nothing 200 [{all}]"),
        ],
    );
    check(
        &with_events("Cors: {AllowOrigin: '*', MaxAge: 600}"),
        &[
            "Pets at dev",
            "OPTIONS /any Nothing 200 [Access-Control-Allow-Methods=DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT]",
            "OPTIONS /pets Nothing 200 [Access-Control-Allow-Methods=GET,OPTIONS,POST]",
            "2:87 Invalid: `AllowOrigin` of `Cors` of `Pets` should be static text in single quotes",
            "2:100 Invalid: `MaxAge` of `Cors` of `Pets` should be static text in single quotes",
        ],
    );
}

#[test]
fn the_default_authorizer_takes_the_preflights_of_sam_unless_told_not_to() {
    let template = |add: &str| {
        with_events(&format!(
            "Cors: \"'*'\", Auth: {{DefaultAuthorizer: Cedar, {add} Authorizers: {{Cedar: {{FunctionArn: arn}}}}}}"
        ))
    };
    for (add, protection) in [
        ("", "Lambda(\"Cedar\")"),
        ("AddDefaultAuthorizerToCorsPreflight: true,", "Lambda(\"Cedar\")"),
        ("AddDefaultAuthorizerToCorsPreflight: false,", "Nothing"),
    ] {
        let lines = shown(&template(add));
        assert!(lines[2].starts_with(&format!("OPTIONS /pets {protection} 200 [")), "{lines:#?}");
    }
}

#[test]
fn cors_of_sam_http_apis_goes_before_that_of_the_definition() {
    check(
        "\
Globals: {HttpApi: {CorsConfiguration: {AllowHeaders: [authorization], MaxAge: 10}}}
Resources:
  Pets:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefinitionBody:
        paths: {}
        x-amazon-apigateway-cors:
          {allowOrigins: ['https://*'], allowMethods: 'GET, POST', exposeHeaders: [date], maxAge: 600, allowCredentials: true}
  All: {Type: AWS::Serverless::HttpApi, Properties: {StageName: live, CorsConfiguration: true}}
  None: {Type: AWS::Serverless::HttpApi, Properties: {CorsConfiguration: false}}
  Backend: {Type: AWS::Serverless::Function, Properties: {Events: {A: {Type: HttpApi}}}}
",
        &[
            "Pets at $default",
            "cors https://* | GET POST | authorization | date | true | Some(10)",
            "All at live",
            "cors * |  |  |  | false | None",
            "None at $default",
            "ServerlessHttpApi at $default",
            "cors  |  | authorization |  | false | Some(10)",
        ],
    );
}

#[test]
fn an_api_that_sam_makes_for_events() {
    check(
        "\
Globals: {Api: {Cors: \"'*'\", GatewayResponses: {DEFAULT_5XX: {StatusCode: 503}}}}
Resources:
  Backend:
    Type: AWS::Serverless::Function
    Properties: {Events: {A: {Type: Api, Properties: {Path: /a, Method: get}}}}
",
        &[
            "ServerlessRestApi at Prod",
            "DEFAULT_5XX 503 []",
            "OPTIONS /a Nothing 200 [Access-Control-Allow-Origin=* Access-Control-Allow-Methods=GET,OPTIONS]",
        ],
    );
}

#[test]
fn resources_of_cloudformation() {
    check(
        "\
Resources:
  Pets: {Type: AWS::ApiGateway::RestApi}
  Stage: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: !Ref Pets, StageName: prod}}
  Second: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: !Ref Pets, StageName: test}}
  Item: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Pets, PathPart: '{id}', ParentId: !GetAtt Pets.RootResourceId}}
  Options:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Pets
      HttpMethod: OPTIONS
      ResourceId: !Ref Item
      AuthorizationType: NONE
      Integration:
        Type: MOCK
        IntegrationResponses:
          - {StatusCode: 500, SelectionPattern: '5..'}
          - {StatusCode: 204, ResponseParameters: {method.response.header.Access-Control-Allow-Origin: \"'*'\",
             method.response.header.X: integration.response.header.X, other: \"'x'\"}}
  Get:
    Type: AWS::ApiGateway::Method
    Properties: {RestApiId: !Ref Pets, HttpMethod: GET, ResourceId: !Ref Item, AuthorizationType: NONE, Integration: {Type: MOCK}}
  Refused:
    Type: AWS::ApiGateway::GatewayResponse
    Properties:
      RestApiId: !Ref Pets
      ResponseType: ACCESS_DENIED
      StatusCode: '403'
      ResponseParameters: {gatewayresponse.header.X: \"'y'\"}
      ResponseTemplates: {application/json: '{}'}
  Chat: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET}}
  ChatStage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Chat, StageName: live}}
  Http:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      ProtocolType: HTTP
      CorsConfiguration: {AllowOrigins: [a, b], AllowMethods: [GET], MaxAge: x}
  Elsewhere: {Type: AWS::ApiGateway::GatewayResponse, Properties: {RestApiId: abc, ResponseType: UNAUTHORIZED}}
",
        &[
            "Pets at prod",
            "ACCESS_DENIED 403 [X='y'] {}",
            "OPTIONS /{id} Nothing 204 [Access-Control-Allow-Origin=*]",
            "Chat at live",
            "Http at -",
            "cors a b | GET |  |  | false | None",
            "18:40 Invalid: `method.response.header.X` of `ResponseParameters` of an item of `IntegrationResponses` of \
             `Integration` of `Options` should be static text in single quotes",
            "36:78 Invalid: `MaxAge` of `CorsConfiguration` of `Http` is not known: it should be a whole number, 0 or \
             more",
        ],
    );
}

#[test]
fn mock_methods_of_a_definition() {
    check(
        "\
Resources:
  Pets:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        securityDefinitions: {Key: {type: apiKey, x-amazon-apigateway-authorizer: {type: request}}}
        security: [{Key: []}]
        paths:
          /a: {options: {security: [], x-amazon-apigateway-integration: {type: mock, responses: {
            default: {statusCode: '204', responseParameters: {method.response.header.A: \"'b'\"}}, '5..': {statusCode: '500'}}}}}
          /b: {options: {x-amazon-apigateway-integration: {type: MOCK, responses: {'200': {statusCode: 200}}}}}
          /c: {options: {x-amazon-apigateway-integration: {type: aws_proxy}}, get: {x-amazon-apigateway-integration: {type: mock}}}
          /d: {options: {x-amazon-apigateway-integration: {type: mock}}}
          /e: {options: }
",
        &["Pets at -", "OPTIONS /a Nothing 204 [A=b]", "OPTIONS /b Lambda(\"Key\") 200 []"],
    );
}
