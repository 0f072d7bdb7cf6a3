//! What is no template, what stands elsewhere, and what is malformed.

use super::*;

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
