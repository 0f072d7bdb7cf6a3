use super::*;

#[track_caller]
fn read(text: &str) -> Description {
    Description::read(text.as_bytes()).unwrap()
}

/// A document with these paths, in YAML.
fn document(paths: &str) -> String {
    format!("openapi: 3.0.3\ninfo: {{ title: Pets }}\npaths:\n{paths}")
}

fn actions(description: &Description) -> Vec<String> {
    description.operations.iter().map(Operation::action_id).collect()
}

fn problems(description: &Description) -> Vec<String> {
    description.problems.iter().map(|problem| format!("{} {}", problem.place, problem.message)).collect()
}

#[track_caller]
fn refused(content: &[u8]) -> String {
    let yaml::Problem { place, message } = Description::read(content).unwrap_err();
    format!("{place} {message}")
}

#[test]
fn every_version_gives_the_same_operations() {
    let paths = "/pets: { get: { summary: All pets, parameters: [{ name: limit, in: query }] }, post: {} }\n  \
                 /pets/{petId}: { get: {} }";
    for head in ["openapi: 3.0.3", "openapi: 3.1.0", "openapi: \"3.2.0\"", "swagger: \"2.0\"", "swagger: 2.0"]
    {
        let description =
            read(&format!("{head}\nbasePath: /v1\ninfo:\n  title: Pet Store\npaths:\n  {paths}\n"));
        assert_eq!(description.title, "Pet Store");
        assert_eq!(actions(&description), ["get /pets", "post /pets", "get /pets/{petId}"]);
        assert_eq!(problems(&description), Vec::<String>::new());
        let first = &description.operations[0];
        assert_eq!(first.summary.as_deref(), Some("All pets"));
        assert_eq!(first.query, [QueryParameter { name: "limit".to_owned(), is_required: false }]);
        assert!(!description.has_extensions);
    }
}

#[test]
fn json_with_tabs_and_a_byte_order_mark_is_read() {
    let description =
        read("\u{feff}{\r\n\t\"openapi\":\t\"3.0.1\",\r\n\t\"paths\":\t{\"/a\": {\"get\":{}}}\r\n}");
    assert_eq!(actions(&description), ["get /a"]);
    assert_eq!(description.title, "");
}

#[test]
fn the_extensions_of_api_gateway_are_read() {
    let description = read(&document(
        "  /{proxy+}:\n    x-amazon-apigateway-any-method: {}\n  /$default:\n    x-amazon-apigateway-any-method: \
         { isDefaultRoute: true }\n  /a: { get: { x-amazon-apigateway-integration: {} } }\n",
    ));
    assert_eq!(actions(&description), ["any /{proxy+}", "$default", "get /a"]);
    assert!(description.has_extensions);
}

#[test]
fn what_api_gateway_cannot_have_is_left_out() {
    let description = read(&document(
        "  /a/{x}-{y}: { get: {} }\n  /a/{x}:run: { get: {} }\n  /b: { get: {}, trace: {}, x-mine: {} }\n  \
         /c/{id}: { get: {} }\n  /c/{other}: { post: {} }\n  /d//e: { get: {} }\n  f: { get: {} }\n  \
         /g/{i}/{i}: { get: {} }\n  /h/{p+}/i: { get: {} }\n  /j: [get]\n  /k: { get: yes }\n  /l: ~\n",
    ));
    assert_eq!(actions(&description), ["get /b", "get /c/{id}"]);
    assert!(description.is_partial());
    assert_eq!(
        problems(&description),
        [
            "4:3 `/a/{x}-{y}` has two parameters in one segment, which API Gateway cannot have",
            "5:3 `/a/{x}:run` has a parameter with other text in one segment, which API Gateway cannot have",
            "6:18 `trace /b`: API Gateway has no method `trace`",
            "8:3 `/c/{other}` and `/c/{id}`, line 7, differ only in the name of a parameter: to API Gateway they are \
             one path",
            "9:3 `/d//e`: a static segment is of letters, digits, `_`, `-`, `.`, `,`, `:`, `~` and `@`",
            "10:3 `f`: a path template begins with `/`",
            "11:3 `/g/{i}/{i}` has two parameters with the name `i`",
            "12:3 `/h/{p+}/i`: a `{name+}` segment must be the last one",
            "13:7 `/j` should be a map",
            "14:14 `get /k` should be a map",
        ]
    );
}

#[test]
fn what_is_there_twice_counts_once_and_is_said() {
    let description = read(&document(
        "  /a: { get: { operationId: one } }\n  /a/: { get: {}, put: { operationId: one } }\n  \
         /b: { get: {}, get: {}, GET: {} }\n  /b: { post: { x: 1, x: 2 } }\n",
    ));
    assert_eq!(actions(&description), ["get /a", "put /a", "post /b"]);
    assert_eq!(
        problems(&description),
        [
            "5:3 `/a/` is read as `/a`: no route ends with a slash in API Gateway",
            "5:10 `get /a` is there a second time, after line 4",
            "5:19 the operation id `one` is there a second time, after line 4",
            "6:18 `get` stands here a second time, after line 6",
            "7:3 `/b` stands here a second time, after line 6",
            "7:23 `x` stands here a second time, after line 7",
        ]
    );
}

#[test]
fn names_that_only_a_rest_api_refuses_are_said_once() {
    let description = read(&document(
        "  /a/{x}: { get: {} }\n  /a/{x}/b: { get: {} }\n  /a/{y}/c: { get: {} }\n  /a/{y}/d: { get: {} }\n",
    ));
    assert_eq!(actions(&description).len(), 4);
    assert!(!description.is_partial());
    let expected = "6:3 `/a/{y}/c` has `{y}` where the path of line 5 has `{x}`: a REST API cannot have both";
    assert_eq!(problems(&description), [expected]);
}

#[test]
fn references_in_the_document_are_followed() {
    let description = read(
        "openapi: 3.1.0\npaths:\n  /a/{id}:\n    $ref: '#/components/pathItems/a'\n    post: {}\n  /b:\n    \
         $ref: '#/paths/~1a~1%7Bid%7D'\n    parameters: [{ $ref: '#/components/parameters/0' }]\ncomponents:\n  \
         pathItems:\n    a: { get: {}, post: { summary: never } }\n  parameters: [{ name: q, in: query, required: \
         true }]\n",
    );
    assert_eq!(actions(&description), ["post /a/{id}", "get /a/{id}", "post /b", "get /b"]);
    assert_eq!(description.operations[0].summary, None);
    let query = [QueryParameter { name: "q".to_owned(), is_required: true }];
    assert_eq!(description.operations[2].query, query);
    assert_eq!(description.operations[0].query, []);
    assert_eq!(problems(&description), Vec::<String>::new());
}

#[test]
fn references_that_lead_nowhere_are_said() {
    let description = read(&document(
        "  /a: { $ref: '#/paths/~1b' }\n  /b: { $ref: '#/paths/~1a' }\n  /c: { $ref: other.yaml }\n  /d: { $ref: \
         '#/nothing' }\n  /e: { get: { parameters: [{ $ref: '#/x' }, { name: q }] } }\n  /f: { $ref: '#/paths/~1f' }\n",
    ));
    assert_eq!(actions(&description), ["get /e"]);
    assert_eq!(
        problems(&description),
        [
            "4:15 `/b`: `#/paths/~1b` leads in a circle",
            "5:15 `/a`: `#/paths/~1a` leads in a circle",
            "6:15 `/c`: `other.yaml` is in another file, which is not read",
            "7:15 `/d`: `#/nothing` leads nowhere",
            "8:37 a parameter: `#/x` leads nowhere",
            "8:46 a parameter needs `name` and `in`",
            "9:15 `/f`: `#/paths/~1f` leads in a circle",
        ]
    );
}

#[test]
fn what_is_no_description_is_refused_with_its_place() {
    assert_eq!(refused(b""), "1:1 the description is empty");
    assert_eq!(refused(b"# nothing\n"), "1:1 the description is empty");
    assert_eq!(refused(b"a: 1\nb: \xff\n"), "2:4 not UTF-8");
    assert_eq!(refused(b"a: 1\n"), "1:1 no description of an API: it has neither `openapi` nor `swagger`");
    let version = "1:10 `swagger: 1.2` is not read, only OpenAPI 3 and Swagger 2.0";
    assert_eq!(refused(b"swagger: '1.2'\n"), version);
    assert_eq!(refused(b"openapi: 3.0.0\npaths: 7\n"), "2:8 `paths` should be a map");
    assert!(refused(b"openapi: [\n").contains("not YAML: "));
    assert!(refused(b"\x00\x01\x02").contains("not YAML: "));
}

#[test]
fn aliases_and_references_that_multiply_are_refused() {
    let bomb = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let inner = vec![format!("*a{}", level - 1); 9].join(",");
        format!("{text}a{level}: &a{level} [{inner}]\n")
    });
    assert!(refused(bomb.as_bytes()).ends_with("more than 2000000 values, aliases written out"));
    // Each reference is small. Only what they lead to is large.
    let parameters: String = (0..3000).map(|n| format!("{{name: p{n}, in: query}},")).collect();
    let paths: String = (0..3000).map(|n| format!("  /p{n}: {{ $ref: '#/x' }}\n")).collect();
    let text = document(&format!("{paths}x: {{ get: {{ parameters: [{parameters}] }} }}\n"));
    assert!(
        refused(text.as_bytes()).ends_with("more than 2000000 values, references and aliases written out")
    );
}

#[test]
fn issuers_are_found_in_the_security_schemes() {
    let description = read(
        "openapi: 3.0.1\nsecurity: [{ pool: [] }]\npaths: { /a: { get: {}, put: { security: [] } } }\ncomponents:\n  \
         securitySchemes:\n    pool:\n      type: apiKey\n      x-amazon-apigateway-authorizer:\n        type: \
         cognito_user_pools\n        providerARNs: ['arn:aws:cognito-idp:eu-west-1:1:userpool/eu-west-1_a']\n    \
         jwt:\n      x-amazon-apigateway-authorizer: { type: jwt, jwtConfiguration: { issuer: 'https://x', audience: \
         [a, b] } }\n    oidc: { type: openIdConnect, openIdConnectUrl: \
         'https://y/.well-known/openid-configuration' }\n",
    );
    let pool = "arn:aws:cognito-idp:eu-west-1:1:userpool/eu-west-1_a".to_owned();
    let issuer = |url: &str, audiences: &[&str]| ProviderKind::Issuer {
        url: url.to_owned(),
        audiences: audiences.iter().map(|text| (*text).to_owned()).collect(),
    };
    let kinds: Vec<ProviderKind> =
        description.identity_providers.iter().map(|provider| provider.kind.clone()).collect();
    assert_eq!(
        kinds,
        [ProviderKind::UserPool(pool), issuer("https://x", &["a", "b"]), issuer("https://y", &[])]
    );
    assert_eq!(&*description.operations[0].security, ["pool".to_owned()]);
    assert!(description.operations[1].security.is_empty());
}
