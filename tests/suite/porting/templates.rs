use std::fs;
use std::process::Command;

use super::{Workshop, data};
use crate::world::{root, sample_store, stderr, stdout};

const POOL: &str = "us-east-1_EXAMPLE";

#[test]
fn a_template_is_imported_with_what_only_a_deployment_knows_named() {
    let shop = Workshop::new();
    let template = data("cloudformation.yaml");
    let output = shop.expect(2, &["import", "cloudformation", &template, "--store", "shop"]);
    let said = stderr(&output);
    for (resource, reason) in [
        (
            "Source",
            "the ARN of the user pool: it depends on `Pool`, which only a deployment knows; give it by --user-pool",
        ),
        ("OfPool", "the text of the policy is not known: it depends on `Pool`"),
        ("Elsewhere", "a template-linked policy whose template is not in this file"),
        ("Twin", "the id `friends-see` is taken by another policy, so this one is `friends-see-2`"),
    ] {
        let is_it = |line: &str| line.contains(&format!(", {resource}: ")) && line.contains(reason);
        assert!(said.lines().any(is_it), "{resource}\n{said}");
    }
    assert!(said.contains(&format!("{template}:35, Source")), "{said}");
    assert!(said.contains("check: the store is valid"), "{said}");
    let files = shop.files("shop");
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "identity-sources/Login.json",
            "personas.toml",
            "policies/Dollars.cedar",
            "policies/friends-see-2.cedar",
            "policies/friends-see.cedar",
            "schema.cedarschema.json",
            "store.toml",
            "tests/routes.yaml",
        ]
    );
    assert!(files["policies/Dollars.cedar"].starts_with("@note(\"${Pool}x and STRICT\")\n"), "{files:?}");
    // Written as YAML, and still booleans.
    assert!(files["schema.cedarschema.json"].contains("\"required\": false"), "{files:?}");
    shop.expect(0, &["check", "--store", "shop"]);
}

#[test]
fn parameters_conditions_and_the_pool_are_filled_in() {
    let shop = Workshop::new();
    let template = data("cloudformation.yaml");
    let arguments = [
        "import",
        "cloudformation",
        &template,
        "--store",
        "shop",
        "--user-pool",
        POOL,
        "--parameter",
        "Night=yes",
        "--parameter",
        "Mode=OFF",
        "--token-type",
        "id",
    ];
    let output = shop.expect(2, &arguments);
    assert!(!stderr(&output).contains("Source"), "{}", stderr(&output));
    let files = shop.files("shop");
    assert!(files.contains_key("policies/Closed.cedar"));
    assert!(files["identity-sources/Source.json"].contains(&format!("userpool/{POOL}\"")), "{files:?}");
    assert!(files["store.toml"].contains("validation = \"off\"\n\n[tokens]"), "{}", files["store.toml"]);
    assert!(files["store.toml"].contains("type = \"id\""), "{}", files["store.toml"]);
}

#[test]
fn what_cdk_synthesises_is_imported() {
    let shop = Workshop::new();
    let output = shop.expect(0, &["import", "cloudformation", &data("cdk/cdk.out"), "--user-pool", POOL]);
    assert!(
        stdout(&output).contains(
            "imported into `policies`: a schema, 2 policies, 1 template, 1 template-linked policy, 1 identity source"
        ),
        "{}",
        stdout(&output)
    );
    // `@cdkId` and `@id` are ids; the rest has that of the resource.
    let files = shop.files("policies");
    for path in ["policies/see-pets.cedar", "policies/closed.cedar", "templates/Seller4D36EE2B.cedar"] {
        assert!(files.contains_key(path), "{files:?}");
    }
    assert!(files["policies/closed.cedar"].contains("@season(\"winter\")"));
    shop.expect(0, &["check"]);
    // Nothing is overwritten.
    let again = shop.expect(1, &["import", "cloudformation", &data("cdk/cdk.out")]);
    assert!(stderr(&again).contains("`policies` is a policy store already"), "{}", stderr(&again));
    shop.expect(0, &["import", "cloudformation", &data("cdk/cdk.out"), "--user-pool", POOL, "--force"]);
    assert_eq!(shop.files("policies.old"), files);
}

#[test]
fn a_plan_of_terraform_is_imported_with_its_modules() {
    let shop = Workshop::new();
    let plan = data("terraform/plan.json");
    let output = shop.expect(2, &["import", "terraform", &plan, "--store", "without"]);
    let said = stderr(&output);
    assert!(
        said.contains(
            "module.shop.aws_verifiedpermissions_policy.unknown: the text of the policy is not known"
        )
    );
    assert!(
        said.contains(
            "it depends on `var.user_pool_arn`, which is known after apply; give it by --user-pool"
        ),
        "{said}"
    );
    shop.expect(2, &["import", "terraform", &plan, "--store", "shop", "--user-pool", POOL]);
    let files = shop.files("shop");
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "identity-sources/users.json",
            "personas.toml",
            "policies/night.cedar",
            "policies/see-friends.cedar",
            "policies/staff-see.cedar",
            "schema.cedarschema.json",
            "store.toml",
            "template-links.json",
            "templates/sell.cedar",
            "tests/routes.yaml",
        ]
    );
    assert!(
        files["template-links.json"].contains("\"templateId\": \"sell#1\""),
        "{}",
        files["template-links.json"]
    );
    shop.expect(0, &["check", "--store", "shop"]);
}

#[test]
fn a_state_of_the_other_provider_is_imported() {
    let shop = Workshop::new();
    shop.expect(0, &["import", "terraform", &data("terraform/state-awscc.json"), "--store", "shop"]);
    let files = shop.files("shop");
    let source: serde_json::Value = serde_json::from_str(&files["identity-sources/login.json"]).unwrap();
    let provider = &source["configuration"]["openIdConnectConfiguration"];
    assert_eq!(provider["tokenSelection"]["identityTokenOnly"]["clientIds"], serde_json::json!(["shop"]));
    assert!(provider["tokenSelection"].get("accessTokenOnly").is_none(), "{source}");
    shop.expect(0, &["check", "--store", "shop"]);
}

#[test]
fn sources_that_are_none_are_refused_with_a_hint() {
    let shop = Workshop::new();
    let long = "[".repeat(100_000);
    for (name, content, message) in [
        ("empty.yaml", "", "is empty"),
        ("other.yaml", "a: b\n", "is no template: it has no `Resources`"),
        (
            "none.yaml",
            "Resources: {Q: {Type: 'AWS::SQS::Queue'}}\n",
            "nothing of Verified Permissions is in there",
        ),
        (
            "two.yaml",
            "Resources: {A: {Type: 'AWS::VerifiedPermissions::PolicyStore'}, B: {Type: 'AWS::VerifiedPermissions::PolicyStore'}}\n",
            "there are 2 policy stores: `A`, `B`",
        ),
        ("deep.yaml", long.as_str(), "not YAML: recursion limit"),
        (
            "unknown.yaml",
            "Resources: {A: {Type: 'AWS::VerifiedPermissions::PolicyStore', Condition: C}}\n",
            "whether `A` is deployed is not known",
        ),
    ] {
        fs::write(shop.path(name), content).unwrap();
        let output = shop.expect(1, &["import", "cloudformation", name]);
        assert!(stderr(&output).contains(message), "{name}: {}", stderr(&output));
    }
    for (name, content, message) in [
        ("empty.json", "", "is not JSON"),
        ("raw.json", "{\"version\": 4, \"terraform_version\": \"1.12.2\"}", "is a state file"),
        ("list.json", "[]", "is no plan or state"),
        ("bare.json", "{\"format_version\": \"1.0\"}", "has no resources"),
        (
            "odd.json",
            "{\"format_version\": \"1.0\", \"values\": {\"root_module\": {\"resources\": 7}}}",
            "nothing of Verified",
        ),
        ("deep.json", long.as_str(), "is not JSON"),
    ] {
        fs::write(shop.path(name), content).unwrap();
        let output = shop.expect(1, &["import", "terraform", name]);
        assert!(stderr(&output).contains(message), "{name}: {}", stderr(&output));
    }
    fs::write(shop.path("bytes.json"), [0xff, 0xfe, 0]).unwrap();
    let output = shop.expect(1, &["import", "terraform", "bytes.json"]);
    assert!(stderr(&output).contains("`bytes.json` is not UTF-8"));
    assert!(!shop.path("policies").exists());
}

#[test]
fn an_export_is_imported_as_the_same_store() {
    let shop = Workshop::new();
    let stores = root().join("tests/data/stores");
    for (number, store) in
        [sample_store(), stores.join("clinic"), stores.join("albums"), root().join("samples/tinytodo")]
            .iter()
            .enumerate()
    {
        let store = store.to_str().unwrap();
        for format in ["yaml", "json"] {
            let (first, second) = (format!("first-{number}-{format}"), format!("second-{number}-{format}"));
            let (one, two) = (format!("one.{format}"), format!("two.{format}"));
            shop.run(&["export", "cloudformation", "--store", store, "--output", &one, "--format", format]);
            shop.run(&["import", "cloudformation", &one, "--store", &first]);
            shop.run(&["export", "cloudformation", "--store", &first, "--output", &two, "--format", format]);
            assert_eq!(fs::read(shop.path(&one)).unwrap(), fs::read(shop.path(&two)).unwrap(), "{store}");
            shop.run(&["import", "cloudformation", &two, "--store", &second]);
            assert_eq!(shop.files(&first), shop.files(&second), "{store}");
        }
    }
}

#[test]
fn what_has_no_place_there_is_named_and_a_difference_is_an_exit_code() {
    let shop = Workshop::new();
    let store = sample_store();
    let store = store.to_str().unwrap();
    let output = shop.expect(2, &["export", "cloudformation", "--store", store]);
    assert!(stderr(&output).contains("decisions could differ: `entities.json`"), "{}", stderr(&output));
    let clinic = root().join("tests/data/stores/clinic");
    shop.expect(0, &["export", "terraform", "--store", clinic.to_str().unwrap()]);
    let broken = root().join("tests/data/stores/clinic_bad");
    shop.expect(3, &["export", "terraform", "--store", broken.to_str().unwrap()]);
    shop.expect(1, &["export", "terraform", "--store", "nowhere"]);
    shop.expect(1, &["export", "terraform", "--store", store, "--output", "no/such/folder/a.tf"]);
}

#[test]
fn the_limits_of_templates_are_said() {
    let shop = Workshop::new();
    fs::create_dir_all(shop.path("large/policies")).unwrap();
    fs::write(
        shop.path("large/store.toml"),
        "[store]\nname = \"large\"\nnamespace = \"\"\nvalidation = \"off\"\n",
    )
    .unwrap();
    for number in 0..600 {
        let text = format!("permit (principal, action, resource) when {{ context.x == {number} }};\n");
        fs::write(shop.path(&format!("large/policies/p{number}.cedar")), text).unwrap();
    }
    let long = format!("permit (principal, action, resource); // {}\n", "x".repeat(10_000));
    fs::write(shop.path("large/policies/long.cedar"), long).unwrap();
    let output = shop.expect(0, &["export", "cloudformation", "--store", "large", "--output", "large.yaml"]);
    let said = stderr(&output);
    assert!(said.contains("602 resources, and a template has at most 500"), "{said}");
    assert!(said.contains("above 51200 a template must come from S3"), "{said}");
    assert!(said.contains("`long` has 10042 characters, and at most 10000 are taken"), "{said}");
}

/// HCL as others read it, if Python has the package.
#[test]
#[expect(clippy::print_stderr, reason = "a test has no other way to say that it was skipped")]
fn terraform_is_hcl() {
    let shop = Workshop::new();
    let python = root().join("target/ci-tools/bin/python");
    let has = Command::new(&python).args(["-c", "import hcl2"]).status().is_ok_and(|status| status.success());
    if !has {
        eprintln!("skipped: python-hcl2 is not in target/ci-tools");
        return;
    }
    for store in
        ["policies", "samples/tinytodo", "tests/data/stores/kennel", "tests/data/stores/impostor_bad"]
    {
        let store = root().join(store);
        shop.run(&["export", "terraform", "--store", store.to_str().unwrap(), "--output", "a.tf"]);
        let program = "import hcl2, sys; hcl2.load(open(sys.argv[1]))";
        let output = Command::new(&python).args(["-c", program]).arg(shop.path("a.tf")).output().unwrap();
        assert!(output.status.success(), "{}\n{}", store.display(), stderr(&output));
    }
}
