use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::Workshop;
use crate::avp::server::AvpServer;
use crate::loopback::Server;
use crate::world::{root, stderr, stdout};

/// A store that AVP can hold as a whole.
fn clinic(shop: &Workshop) {
    let from = root().join("tests/data/stores/clinic");
    let mut files = BTreeMap::new();
    super::collect(&from, "", &mut files);
    for (path, content) in files {
        let path = shop.path("clinic").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

struct Cloud {
    server: AvpServer,
    id: String,
}

impl Cloud {
    /// The service with the store, made by an export.
    #[track_caller]
    fn with_clinic(shop: &Workshop) -> Self {
        clinic(shop);
        let server = AvpServer::start(&[]);
        let url = server.url();
        let arguments = [
            "export",
            "avp",
            "--store",
            "clinic",
            "--create",
            "--yes",
            "--format",
            "json",
            "--endpoint-url",
            &url,
        ];
        let output = shop.expect(0, &arguments);
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(report["status"], "applied");
        Self { server, id: report["policyStoreId"].as_str().unwrap().to_owned() }
    }

    #[track_caller]
    fn export(&self, shop: &Workshop, code: i32, more: &[&str]) -> Value {
        let url = self.server.url();
        let mut arguments = vec!["export", "avp", "--store", "clinic", "--policy-store-id", &self.id];
        arguments.extend(["--format", "json", "--endpoint-url", &url]);
        arguments.extend(more);
        serde_json::from_str(&stdout(&shop.expect(code, &arguments))).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let list = self.server.answer("ListPolicies", &json!({ "policyStoreId": self.id }));
        let name = |policy: &Value| policy["name"].as_str().unwrap_or_default().to_owned();
        let mut names: Vec<String> = list["policies"].as_array().unwrap().iter().map(name).collect();
        names.sort();
        names
    }
}

#[test]
fn a_store_goes_there_and_comes_back_the_same() {
    let shop = Workshop::new();
    let cloud = Cloud::with_clinic(&shop);
    // A second run has nothing to do.
    let again = cloud.export(&shop, 0, &["--yes"]);
    assert_eq!((&again["status"], &again["changes"]), (&json!("unchanged"), &json!([])), "{again}");
    assert!(again["unchanged"].as_u64().unwrap() > 2, "{again}");
    let url = cloud.server.url();
    let import = ["import", "avp", "--policy-store-id", &cloud.id, "--endpoint-url", &url, "--store", "back"];
    let output = shop.expect(0, &import);
    assert!(stderr(&output).contains("check: the store is valid"), "{}", stderr(&output));
    shop.expect(0, &["check", "--store", "back"]);
    // Both make the same template.
    shop.run(&["export", "cloudformation", "--store", "clinic", "--output", "one.yaml"]);
    shop.run(&["export", "cloudformation", "--store", "back", "--output", "two.yaml"]);
    let text = |name: &str| fs::read_to_string(shop.path(name)).unwrap();
    let without_identity = |text: String| text.split("  IdentitySource").next().unwrap().to_owned();
    assert_eq!(without_identity(text("one.yaml")), without_identity(text("two.yaml")));
    // From there, too, nothing has to be done.
    let url = cloud.server.url();
    let back =
        ["export", "avp", "--store", "back", "--policy-store-id", &cloud.id, "--yes", "--endpoint-url", &url];
    let output = shop.expect(0, &back);
    assert!(
        stdout(&output).contains("0 to create, 0 to update, 0 to replace, 0 to delete"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn changes_are_planned_made_and_only_then_there() {
    let shop = Workshop::new();
    let cloud = Cloud::with_clinic(&shop);
    let before = cloud.names();
    fs::write(
        shop.path("clinic/policies/closed.cedar"),
        "@id(\"closed\")\nforbid (principal, action, resource) when { principal == principal };\n",
    )
    .unwrap();
    let plan = cloud.export(&shop, 0, &["--dry-run"]);
    assert_eq!(plan["changes"], json!([{ "action": "create", "what": "policy `closed`" }]), "{plan}");
    assert_eq!(cloud.names(), before, "a dry run changes nothing");
    // Nobody can be asked here.
    let url = cloud.server.url();
    let asked =
        ["export", "avp", "--store", "clinic", "--policy-store-id", &cloud.id, "--endpoint-url", &url];
    let output = shop.expect(1, &asked);
    assert!(stderr(&output).contains("make them by --yes"), "{}", stderr(&output));
    cloud.export(&shop, 0, &["--yes"]);
    assert!(cloud.names().contains(&"name/closed".to_owned()));
    // Its effect changes, which no update can do.
    fs::write(
        shop.path("clinic/policies/closed.cedar"),
        "@id(\"closed\")\npermit (principal, action, resource) when { principal == principal };\n",
    )
    .unwrap();
    let plan = cloud.export(&shop, 0, &["--yes"]);
    assert_eq!(plan["changes"], json!([{ "action": "replace", "what": "policy `closed`" }]), "{plan}");
    assert_eq!(cloud.export(&shop, 0, &["--yes"])["status"], "unchanged");
    // A condition changes: an update.
    fs::write(
        shop.path("clinic/policies/closed.cedar"),
        "@id(\"closed\")\npermit (principal, action, resource) when { resource == resource };\n",
    )
    .unwrap();
    let plan = cloud.export(&shop, 0, &["--yes"]);
    assert_eq!(plan["changes"], json!([{ "action": "update", "what": "policy `closed`" }]), "{plan}");
    // What is there only is reported, and deleted only if that is asked for.
    fs::remove_file(shop.path("clinic/policies/closed.cedar")).unwrap();
    let plan = cloud.export(&shop, 2, &["--yes"]);
    assert_eq!(plan["changes"], json!([]), "{plan}");
    assert!(plan["kept"][0].as_str().unwrap().contains("name/closed"), "{plan}");
    let plan = cloud.export(&shop, 0, &["--yes", "--delete"]);
    assert_eq!(plan["changes"][0]["action"], "delete", "{plan}");
    assert_eq!(cloud.names(), before);
}

#[test]
fn tags_are_set_again_and_those_of_others_stay() {
    let shop = Workshop::new();
    let Cloud { server, id } = Cloud::with_clinic(&shop);
    let arn = server.answer("GetPolicyStore", &json!({ "policyStoreId": id }))["arn"].clone();
    server.answer("TagResource", &json!({ "resourceArn": arn, "tags": { "team": "blue" } }));
    let url = server.url();
    shop.expect(0, &["import", "avp", "--policy-store-id", &id, "--endpoint-url", &url, "--store", "tagged"]);
    server.answer("UntagResource", &json!({ "resourceArn": arn, "tagKeys": ["team"] }));
    server.answer("TagResource", &json!({ "resourceArn": arn, "tags": { "cost": "7" } }));
    let export = ["export", "avp", "--store", "tagged", "--policy-store-id", &id, "--endpoint-url", &url];
    let output = shop.expect(0, &[&export[..], &["--yes"]].concat());
    assert!(stdout(&output).contains("~ update the tags"), "{}", stdout(&output));
    let tags = server.answer("ListTagsForResource", &json!({ "resourceArn": arn }));
    assert_eq!(tags["tags"], json!({ "team": "blue", "cost": "7" }));
    let output = shop.expect(0, &[&export[..], &["--yes"]].concat());
    assert!(stdout(&output).contains("0 to create, 0 to update"), "{}", stdout(&output));
}

#[test]
fn a_hundred_and_fifty_policies_come_in_pages() {
    let shop = Workshop::new();
    let server = AvpServer::start(&[]);
    let store = server.answer("CreatePolicyStore", &json!({ "validationSettings": { "mode": "OFF" } }));
    let id = store["policyStoreId"].as_str().unwrap();
    for number in 0..150 {
        let statement = format!(
            "@id(\"{}\")\npermit (principal, action, resource) when {{ context.x == {number} }};",
            number.min(148)
        );
        let definition = json!({ "static": { "statement": statement } });
        server.answer("CreatePolicy", &json!({ "policyStoreId": id, "definition": definition }));
    }
    let url = server.url();
    let import = ["import", "avp", "--policy-store-id", id, "--endpoint-url", &url, "--store", "many"];
    let output = shop.expect(0, &import);
    assert!(stdout(&output).contains("no schema, 150 policies"), "{}", stdout(&output));
    // Two have one `@id`: AVP does not mind, and `check` does.
    assert!(stderr(&output).contains("@id(\"148\") is that of `"), "{}", stderr(&output));
    assert!(shop.files("many")["store.toml"].contains("validation = \"off\""));
}

#[test]
fn what_cannot_be_asked_says_why() {
    let shop = Workshop::new();
    let server = AvpServer::start(&[]);
    let url = server.url();
    for (arguments, message) in [
        (
            &["--policy-store-id", "nowhere", "--endpoint-url", &url][..],
            "GetPolicyStore: ResourceNotFoundException",
        ),
        (&["--policy-store-id", "a", "--endpoint-url", "ftp://example.com"], "--endpoint-url gives no URL"),
    ] {
        let arguments: Vec<&str> = ["import", "avp"].iter().chain(arguments).copied().collect();
        let output = shop.expect(1, &arguments);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    assert!(!shop.path("policies").exists());
}

#[test]
fn a_store_is_imported_although_requests_are_throttled() {
    let shop = Workshop::new();
    let data = shop.path("data");
    clinic(&shop);
    fs::create_dir(&data).unwrap();
    fs::rename(shop.path("clinic"), data.join("clinic")).unwrap();
    // Every tenth request is refused.
    let server = AvpServer::start(&["--data", data.to_str().unwrap(), "--throttle", "10"]);
    let answer = |operation: &str, input: Value| {
        let mut answers = std::iter::repeat_with(|| server.ask(operation, &input));
        answers.find_map(|(status, answer)| (status == 200).then_some(answer)).unwrap()
    };
    let id = answer("ListPolicyStores", json!({}))["policyStores"][0]["policyStoreId"].clone();
    let policies =
        answer("ListPolicies", json!({ "policyStoreId": id }))["policies"].as_array().unwrap().len();
    let id = id.as_str().unwrap();
    let url = server.url();
    let import = ["import", "avp", "--policy-store-id", id, "--endpoint-url", &url, "--store", "imported"];
    shop.expect(0, &import);
    let files = shop.files("imported").into_keys();
    assert_eq!(files.filter(|path| path.starts_with("policies/")).count(), policies);
    assert!(policies > 1);
}

#[test]
fn a_policy_that_is_gone_before_it_is_read_is_left_out_and_named() {
    let shop = Workshop::new();
    let Cloud { server, id } = Cloud::with_clinic(&shop);
    let api = changed(server, |operation, answer| {
        if operation != "BatchGetPolicy" {
            return;
        }
        let gone = answer["results"].as_array_mut().unwrap().remove(0);
        answer["errors"] = json!([{
            "code": "POLICY_NOT_FOUND", "message": "The policy is gone\u{1b}[2J.",
            "policyStoreId": gone["policyStoreId"], "policyId": gone["policyId"],
        }]);
    });
    let url = format!("http://{}", api.address);
    let import = ["import", "avp", "--policy-store-id", &id, "--endpoint-url", &url, "--store", "imported"];
    let output = shop.expect(2, &import);
    let said = stdout(&output) + &stderr(&output);
    assert!(said.contains("POLICY_NOT_FOUND: The policy is gone"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(shop.path("imported/store.toml").exists());
}

#[test]
fn an_older_service_says_details_of_its_identity_sources() {
    let shop = Workshop::new();
    let Cloud { server, id } = Cloud::with_clinic(&shop);
    let pool = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_CLINIC";
    let api = changed(server, move |operation, answer| {
        if operation != "ListIdentitySources" {
            return;
        }
        for source in answer["identitySources"].as_array_mut().unwrap() {
            source.as_object_mut().unwrap().remove("configuration");
            source["details"] = json!({"userPoolArn": pool, "clientIds": ["1example23456789"], "discoveryUrl": "https://x",
                       "openIdIssuer": "COGNITO"});
        }
    });
    let url = format!("http://{}", api.address);
    let import = ["import", "avp", "--policy-store-id", &id, "--endpoint-url", &url, "--store", "imported"];
    let output = shop.run(&import);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", stderr(&output));
    let files = shop.files("imported");
    let sources: Vec<&String> = files
        .iter()
        .filter(|(path, _)| path.starts_with("identity-sources/"))
        .map(|(_, text)| text)
        .collect();
    assert!(!sources.is_empty());
    assert!(
        sources.iter().all(|text| text.contains(pool) && text.contains("1example23456789")),
        "{sources:?}"
    );
}

/// The service, whose answers are changed on their way.
fn changed(server: AvpServer, change: impl Fn(&str, &mut Value) + Clone + Send + Sync + 'static) -> Server {
    let server = Arc::new(server);
    Server::start(Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let (server, change) = (Arc::clone(&server), change.clone());
        async move {
            let target = headers["x-amz-target"].to_str().unwrap();
            let operation = target.rsplit('.').next().unwrap().to_owned();
            let input: Value = serde_json::from_slice(&body).unwrap();
            let (status, mut answer) = server.ask(&operation, &input);
            if status == 200 {
                change(&operation, &mut answer);
            }
            (StatusCode::from_u16(status).unwrap(), answer.to_string())
        }
    }))
}
