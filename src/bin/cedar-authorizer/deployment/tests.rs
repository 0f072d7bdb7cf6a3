//! Templates in each style, and what is read from them. A template is written out in full if its form matters.

mod faults;
mod styles;

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
