use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::{Workshop, data};
use crate::avp::server::AvpServer;
use crate::world::{root, stderr, stdout};

const PERSONAS: &str = "personas.toml";
const TESTS: &str = "tests/routes.yaml";

#[test]
fn the_petstore_comes_back_with_tests_of_what_it_decides() {
    let shop = Workshop::new();
    let mut files = BTreeMap::new();
    super::collect(&root().join("policies"), "", &mut files);
    for (path, content) in files {
        let path = shop.path("data/petstore").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let server = AvpServer::start(&["--data", shop.path("data").to_str().unwrap()]);
    let url = server.url();
    let import =
        ["import", "avp", "--policy-store-id", "petstore", "--endpoint-url", &url, "--store", "back"];
    let said = stderr(&shop.expect(0, &import));
    let next = said.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
    // Each of them works as it is printed.
    let verbs: Vec<Vec<&str>> =
        next.split(", ").map(|command| command.split(' ').skip(1).collect()).collect();
    assert_eq!(verbs.iter().map(|words| words[0]).collect::<Vec<_>>(), ["check", "test", "build"], "{next}");
    for words in &verbs {
        shop.expect(0, words);
    }
    let files = shop.files("back");
    assert_eq!(personas(&files), ["[customer]", "[employee]", "[suspended]", "[without-groups]"]);
    let tests = &files[TESTS];
    assert!(tests.starts_with("# What the policies decided when they were imported"), "{tests}");
    let pets = "  - name: imported routes 2, allow
    as: [customer, employee]
    request: &requests1
      - GET /pets
      - GET /pets/1
    expect: allow
  - name: imported routes 2, deny
    as: [suspended, without-groups]
    request: *requests1
    expect: deny
";
    assert!(tests.contains(pets), "{tests}");
}

#[test]
fn tests_of_what_cdk_synthesised_fail_when_a_policy_changes() {
    let shop = Workshop::new();
    let pool = "us-east-1_EXAMPLE";
    shop.expect(0, &["import", "cloudformation", &data("cdk/cdk.out"), "--user-pool", pool]);
    let files = shop.files("policies");
    assert_eq!(personas(&files), ["[friends]", "[without-groups]"]);
    // The pool is the beginning of the entity's id, not of the group in the token.
    assert!(files[PERSONAS].contains("\"cognito:groups\" = [\"friends\"]\n"), "{}", files[PERSONAS]);
    assert!(files[PERSONAS].contains("username = \"friends\"\n"), "{}", files[PERSONAS]);
    let output = shop.expect(0, &["test"]);
    assert!(stdout(&output).contains("ok: 4 tests passed"), "{}", stdout(&output));
    fs::remove_file(shop.path("policies/policies/see-pets.cedar")).unwrap();
    let output = shop.expect(2, &["test"]);
    assert!(stdout(&output).contains("imported routes 1, allow"), "{}", stdout(&output));
}

#[test]
fn a_store_without_groups_has_one_persona() {
    let shop = Workshop::new();
    template(&shop, "none.json", &["get /a"], &[], &[pool("c1")]);
    shop.expect(0, &["import", "cloudformation", "none.json", "--store", "none"]);
    let files = shop.files("none");
    assert_eq!(personas(&files), ["[without-groups]"]);
    assert!(files[TESTS].ends_with("      - GET /a\n    expect: deny\n"), "{}", files[TESTS]);
    shop.expect(0, &["test", "--store", "none"]);
}

#[test]
fn groups_may_have_any_name() {
    let shop = Workshop::new();
    let groups =
        ["without-groups", "", "a b", "a\n b", "true", "x: y", "&a", "é\"'", "\u{0}\u{7f}\u{85}\u{feff}"];
    let groups: Vec<String> = groups.iter().map(|group| format!("us-east-1_EXAMPLE|{group}")).collect();
    let routes = ["get /a", "any /b/{id+}", "get /c/{x}", "$default", "$connect"];
    template(&shop, "odd.json", &routes, &groups, &[pool("c1")]);
    shop.expect(0, &["import", "cloudformation", "odd.json", "--store", "odd"]);
    let files = shop.files("odd");
    let names = personas(&files);
    assert_eq!(names.len(), groups.len() + 1, "{names:?}");
    assert!(
        names.contains(&"[\"a b-2\"]".to_owned()) && names.last().unwrap() == "[without-groups-2]",
        "{names:?}"
    );
    let is_plain = |char: char| char == '\n' || !char.is_control();
    assert!(files[PERSONAS].chars().all(is_plain), "{}", files[PERSONAS]);
    // Only HTTP APIs have a default route.
    assert!(files[TESTS].contains("    api: http-2\n"), "{}", files[TESTS]);
    shop.expect(0, &["test", "--store", "odd"]);
}

#[test]
fn each_identity_source_has_its_personas() {
    let shop = Workshop::new();
    let provider = |prefix: &str, audience: &str| {
        json!({ "OpenIdConnectConfiguration": {
            "Issuer": "https://login.example.com/", "EntityIdPrefix": prefix,
            "GroupConfiguration": { "GroupClaim": "roles", "GroupEntityType": "S::Group" },
            "TokenSelection": { "AccessTokenOnly": { "Audiences": [audience], "PrincipalIdClaim": "sub" } },
        } })
    };
    let groups = ["us-east-1_EXAMPLE|staff", "one|staff", "two|boss"].map(str::to_owned);
    let sources = [pool("c1"), provider("one", "api1"), provider("two", "api2")];
    template(&shop, "three.json", &["get /a"], &groups, &sources);
    shop.expect(0, &["import", "cloudformation", "three.json", "--store", "three"]);
    let files = shop.files("three");
    // One issuer has two sources: the audience tells them apart.
    assert!(files[PERSONAS].contains("aud = \"api2\"\nroles = [\"boss\"]\n"), "{}", files[PERSONAS]);
    let allowed = "    as: [\"Src0: staff\", \"Src1: staff\", \"Src2: boss\"]\n";
    assert!(files[TESTS].contains(allowed), "{}", files[TESTS]);
    shop.expect(0, &["test", "--store", "three"]);
}

#[test]
fn without_routes_or_callers_nothing_is_recorded() {
    let shop = Workshop::new();
    let group = ["us-east-1_EXAMPLE|g".to_owned()];
    template(&shop, "no-routes.json", &["see"], &group, &[pool("c1")]);
    template(&shop, "no-source.json", &["get /a"], &group, &[]);
    for (name, next) in [("no-routes", "check, build"), ("no-source", "check")] {
        let file = format!("{name}.json");
        let said = stderr(&shop.expect(0, &["import", "cloudformation", &file, "--store", name]));
        let files = shop.files(name);
        assert!(!files.contains_key(PERSONAS) && !files.contains_key(TESTS), "{name} {files:?}");
        let line = said.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
        let verbs = line.split(", ").map(|command| command.split(' ').nth(1).unwrap());
        assert_eq!(verbs.collect::<Vec<_>>().join(", "), next, "{line}");
    }
}

#[test]
fn what_is_more_than_people_go_through_is_left_out_and_said() {
    let shop = Workshop::new();
    let groups: Vec<String> = (0..203).map(|number| format!("us-east-1_EXAMPLE|g{number}")).collect();
    template(&shop, "many.json", &["get /a"], &groups, &[pool("c1")]);
    shop.expect(0, &["import", "cloudformation", "many.json", "--store", "many"]);
    let files = shop.files("many");
    let names = personas(&files);
    assert_eq!((names.len(), names.last().unwrap().as_str()), (200, "[without-groups]"));
    let said = "# Only the first 200 personas are here; 4 more are left out.\n";
    assert!(files[TESTS].contains(said), "{}", files[TESTS]);
    shop.expect(0, &["test", "--store", "many"]);
}

/// The headings of the personas, in the order of the file.
fn personas(files: &BTreeMap<String, String>) -> Vec<String> {
    files[PERSONAS].lines().filter(|line| line.starts_with('[')).map(str::to_owned).collect()
}

/// A template with these routes, with a policy for each group that permits everything, and with these sources.
fn template(shop: &Workshop, name: &str, routes: &[&str], groups: &[String], sources: &[Value]) {
    let applies_to = json!({ "principalTypes": ["User"], "resourceTypes": ["Application"] });
    let actions: BTreeMap<&str, Value> =
        routes.iter().map(|route| (*route, json!({ "appliesTo": applies_to }))).collect();
    let schema = json!({ "S": {
        "entityTypes": { "User": { "memberOfTypes": ["Group"] }, "Group": {}, "Application": {} },
        "actions": actions,
    } });
    let mut resources = json!({ "Store": { "Type": "AWS::VerifiedPermissions::PolicyStore", "Properties": {
        "ValidationSettings": { "Mode": "STRICT" }, "Schema": { "CedarJson": schema.to_string() },
    } } });
    for (number, source) in sources.iter().enumerate() {
        resources[format!("Src{number}")] = json!({
            "Type": "AWS::VerifiedPermissions::IdentitySource",
            "Properties": {
                "PolicyStoreId": { "Ref": "Store" }, "PrincipalEntityType": "S::User", "Configuration": source,
            },
        });
    }
    for (number, group) in groups.iter().enumerate() {
        let id: String = group.chars().map(|char| char.escape_unicode().to_string()).collect();
        let statement = format!("permit (principal in S::Group::\"{id}\", action, resource);");
        resources[format!("Policy{number}")] = json!({
            "Type": "AWS::VerifiedPermissions::Policy",
            "Properties": {
                "PolicyStoreId": { "Ref": "Store" }, "Definition": { "Static": { "Statement": statement } },
            },
        });
    }
    fs::write(shop.path(name), json!({ "Resources": resources }).to_string()).unwrap();
}

fn pool(client: &str) -> Value {
    json!({ "CognitoUserPoolConfiguration": {
        "UserPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
        "ClientIds": [client],
        "GroupConfiguration": { "GroupEntityType": "S::Group" },
    } })
}
