//! A whole template in each style.

use super::*;

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
