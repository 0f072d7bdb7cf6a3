//! The walkthroughs of LocalStack's guide and the examples of the User Guide: commands as printed, in a shell.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{aws, cli, filled, has, tools, with_tokens};
use crate::avp::server::AvpServer;
use crate::world::{stderr, stdout};

/// A shell in an empty folder, in which `aws` and `awslocal` are the AWS CLI and ask a service of the test.
struct Shell {
    folder: TempDir,
    server: AvpServer,
    /// Values for `$NAME` in commands, in place of the ids of the printed ones.
    values: Vec<(&'static str, String)>,
}

impl Shell {
    /// `None`: the CLI is not installed.
    fn start() -> Option<Self> {
        cli()?;
        let (server, token) = with_tokens(&[]);
        Some(Self { folder: tempfile::tempdir().unwrap(), server, values: vec![("TOKEN", token)] })
    }

    fn file(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// Runs a command and returns its answer. Nothing is `null`.
    #[track_caller]
    fn run(&self, command: &str) -> Value {
        let output = self.output(command);
        assert!(output.status.success(), "{command}\n{}", stderr(&output));
        let answer = stdout(&output);
        if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).unwrap() }
    }

    /// Runs a command that fails, and returns what it says.
    #[track_caller]
    fn refusal(&self, command: &str) -> String {
        let output = self.output(command);
        assert!(!output.status.success(), "{command}\n{}", stdout(&output));
        stderr(&output)
    }

    fn output(&self, command: &str) -> std::process::Output {
        let program = tools().join("bin/aws");
        let functions = r#"aws() { "$PROGRAM" --endpoint-url "$ENDPOINT" "$@"; }; awslocal() { aws "$@"; }"#;
        let mut shell = aws(Command::new("bash"));
        shell.args(["-euc", &format!("{functions}\n{command}")]).current_dir(self.folder.path());
        shell.env("PROGRAM", program).env("ENDPOINT", self.server.url());
        shell.envs(self.values.iter().map(|(name, value)| (*name, value))).output().unwrap()
    }

    /// Keeps a member of an answer.
    #[track_caller]
    fn keep(&mut self, name: &'static str, answer: &Value, member: &str) {
        self.values.retain(|(known, _)| *known != name);
        self.values.push((name, answer[member].as_str().unwrap().to_owned()));
    }

    /// Compares with the answer of the guide, in which `$NAME` stands for its ids.
    #[track_caller]
    fn expect(&self, answer: &Value, expected: &Value) {
        let values: Value =
            self.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let expected = filled(expected, &values);
        assert!(has(answer, &expected), "{answer}\n{expected}");
        let date =
            |name: &str| answer[name].as_str().is_none_or(|date| date.len() == 27 && date.ends_with('Z'));
        assert!(date("createdDate") && date("lastUpdatedDate"), "{answer}");
    }
}

#[test]
fn localstacks_first_walkthrough_runs_as_printed() {
    let Some(mut shell) = Shell::start() else { return };
    let store = shell.run(
        r#"awslocal verifiedpermissions create-policy-store \
             --validation-settings mode=OFF \
             --description "A local Policy Store""#,
    );
    shell.keep("PS", &store, "policyStoreId");
    shell.expect(&store, &json!({"policyStoreId": "$PS"}));
    let arn = format!(
        "arn:aws:verifiedpermissions::000000000000:policy-store/{}",
        store["policyStoreId"].as_str().unwrap()
    );
    assert_eq!(store["arn"], arn);
    let stores = shell.run("awslocal verifiedpermissions list-policy-stores");
    shell.expect(&stores, &json!({"policyStores": [{"policyStoreId": "$PS"}]}));
    shell.file(
        "static_policy.json",
        r#"{
            "static": {
                "description":  "Grant the User alice access to view the trip Album",
                "statement": "permit(principal == User::\"alice\", action == Action::\"view\", resource == Album::\"trip\");"
            }
        }"#,
    );
    let policy = shell.run(
        "awslocal verifiedpermissions create-policy \
             --definition file://static_policy.json \
             --policy-store-id $PS",
    );
    shell.keep("POLICY", &policy, "policyId");
    shell.expect(
        &policy,
        &json!({
            "policyStoreId": "$PS",
            "policyType": "STATIC",
            "principal": {"entityType": "User", "entityId": "alice"},
            "resource": {"entityType": "Album", "entityId": "trip"},
            "actions": [{"actionType": "Action", "actionId": "view"}],
            "effect": "Permit",
        }),
    );
    let decision = shell.run(
        "awslocal verifiedpermissions is-authorized \
             --policy-store-id $PS \
             --principal entityType=User,entityId=alice \
             --action actionType=Action,actionId=view \
             --resource entityType=Album,entityId=trip",
    );
    let expected =
        json!({"decision": "ALLOW", "determiningPolicies": [{"policyId": policy["policyId"]}], "errors": []});
    assert_eq!(decision, expected);
}

/// The user pool, its client and its user come from `cedar-authorizer token`, whose user pool and client differ.
#[test]
fn localstacks_walkthrough_with_cognito_runs_as_printed() {
    let Some(mut shell) = Shell::start() else { return };
    let store = shell.run(
        r#"awslocal verifiedpermissions create-policy-store \
             --validation-settings mode=OFF \
             --description "Policy Store with Cognito""#,
    );
    shell.keep("PS", &store, "policyStoreId");
    shell.file(
        "identity_source.json",
        r#"{
            "cognitoUserPoolConfiguration": {
                "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_EXAMPLE",
                "clientIds":["1example23456789"],
                "groupConfiguration": {"groupEntityType": "UserGroup"}
            }
        }"#,
    );
    shell.run(
        r#"awslocal verifiedpermissions create-identity-source \
             --policy-store-id $PS \
             --principal-entity-type "User" \
             --configuration file://identity_source.json"#,
    );
    // As printed, but for the group: Verified Permissions puts the user pool before it.
    shell.file(
        "policy_cognito.json",
        r#"{
            "static": {
                "description":  "Grant any User that is part of the UserGroup `` access to view the trip Album",
                "statement": "permit(principal in UserGroup::\"us-east-1_EXAMPLE|AVPGroup\", action == Action::\"create\", resource == Album::\"vacations\");"
            }
        }"#,
    );
    let policy = shell.run(
        "awslocal verifiedpermissions create-policy \
             --definition file://policy_cognito.json \
             --policy-store-id $PS",
    );
    shell.expect(
        &policy,
        &json!({
            "policyStoreId": "$PS",
            "policyType": "STATIC",
            "principal": {"entityType": "UserGroup", "entityId": "us-east-1_EXAMPLE|AVPGroup"},
            "resource": {"entityType": "Album", "entityId": "vacations"},
            "actions": [{"actionType": "Action", "actionId": "create"}],
            "effect": "Permit",
        }),
    );
    let decision = shell.run(
        "awslocal verifiedpermissions is-authorized-with-token \
             --policy-store-id $PS \
             --action actionType=Action,actionId=create \
             --resource entityType=Album,entityId=vacations \
             --identity-token $TOKEN",
    );
    let expected = json!({
        "decision": "ALLOW",
        "determiningPolicies": [{"policyId": policy["policyId"]}],
        "errors": [],
        "principal": {"entityType": "User", "entityId": "us-east-1_EXAMPLE|3ab9e816"},
    });
    assert_eq!(decision, expected);
    // Another service accepts any signature.
    let forged = shell.refusal(
        "awslocal verifiedpermissions is-authorized-with-token --policy-store-id $PS \
             --action actionType=Action,actionId=create --resource entityType=Album,entityId=vacations \
             --identity-token ${TOKEN%?????}AAAAA",
    );
    assert!(forged.contains("ValidationException"), "{forged}");
}

/// The guide's commands. Where it forgets a backslash, an option or a quote, they have it.
#[test]
fn the_examples_of_the_user_guide_run() {
    let Some(mut shell) = Shell::start() else { return };
    let store = shell.run(
        r#"aws verifiedpermissions create-policy-store \
             --validation-settings "mode=STRICT""#,
    );
    shell.keep("PS", &store, "policyStoreId");
    // An action applies to resources, which the guide's does not say.
    shell.file(
        "schema.json",
        r#"{"cedarJson": "{\"MySampleNamespace\": {\"actions\": {\"remoteAccess\": {\"appliesTo\": {\"principalTypes\": [\"Employee\"], \"resourceTypes\": [\"Employee\"]}}},\"entityTypes\": {\"Employee\": {\"shape\": {\"attributes\": {\"jobLevel\": {\"type\": \"Long\"},\"name\": {\"type\": \"String\"}}, \"type\": \"Record\"}}}}}"}"#,
    );
    let schema = shell.run(
        "aws verifiedpermissions put-schema \
             --definition file://schema.json \
             --policy-store $PS",
    );
    shell.expect(&schema, &json!({"policyStoreId": "$PS", "namespaces": ["MySampleNamespace"]}));
    let updated = shell.run(
        r#"aws verifiedpermissions update-policy-store \
             --validation-settings "mode=OFF" \
             --policy-store-id $PS"#,
    );
    shell.expect(&updated, &json!({"policyStoreId": "$PS"}));

    // With the capitals of the guide the CLI itself refuses the definition.
    let statement = "permit(principal,action,resource) when {principal.owner == resource.owner};";
    let capitals = shell.refusal(&format!(
        r#"aws verifiedpermissions create-policy \
             --definition "{{ \"static\": {{ \"Description\": \"MyTestPolicy\", \"Statement\": \"{statement}\"}}}}" \
             --policy-store-id $PS"#
    ));
    assert!(capitals.contains("Parameter validation failed"), "{capitals}");
    let policy = shell.run(&format!(
        r#"aws verifiedpermissions create-policy \
             --definition "{{ \"static\": {{ \"description\": \"MyTestPolicy\", \"statement\": \"{statement}\"}}}}" \
             --policy-store-id $PS"#
    ));
    shell.expect(&policy, &json!({"policyStoreId": "$PS", "policyType": "STATIC"}));
    shell.file(
        "definition.txt",
        r#"{
            "static": {
                "description": "Grant everyone of janeFriends UserGroup access to the vacationFolder Album",
                "statement": "permit(principal in UserGroup::\"janeFriends\", action, resource in Album::\"vacationFolder\" );"
            }
        }"#,
    );
    let create = "aws verifiedpermissions create-policy \
                      --definition file://definition.txt \
                      --policy-store-id $PS";
    let friends = json!({"entityType": "UserGroup", "entityId": "janeFriends"});
    let folder = json!({"entityType": "Album", "entityId": "vacationFolder"});
    let policy = shell.run(create);
    shell.expect(&policy, &json!({"policyType": "STATIC", "principal": friends, "resource": folder}));

    // The guide's text begins with `"VacationAccess"`, which is no Cedar.
    shell.file(
        "template1.txt",
        "permit(\n    principal in ?principal,\n    action == PhotoFlash::Action::\"view\",\n    resource == PhotoFlash::Photo::\"VacationPhoto94.jpg\"\n);\n",
    );
    let template = shell.run(
        r#"aws verifiedpermissions create-policy-template \
             --description "Template for vacation picture access" \
             --statement file://template1.txt \
             --policy-store-id $PS"#,
    );
    shell.keep("PT", &template, "policyTemplateId");
    let template_id = template["policyTemplateId"].as_str().unwrap();
    shell.file(
        "definition.txt",
        &format!(
            r#"{{
                "templateLinked": {{
                    "policyTemplateId": "{template_id}",
                    "principal": {{"entityType": "PhotoFlash::User", "entityId": "alice"}}
                }}
            }}"#
        ),
    );
    let link = shell.run(create);
    shell.expect(
        &link,
        &json!({
            "policyType": "TEMPLATE_LINKED",
            "principal": {"entityType": "PhotoFlash::User", "entityId": "alice"},
            "resource": {"entityType": "PhotoFlash::Photo", "entityId": "VacationPhoto94.jpg"},
        }),
    );
    shell.file(
        "template1.txt",
        "permit(\n    principal in ?principal,\n    action == PhotoFlash::Action::\"view\",\n    resource == PhotoFlash::Photo::\"VacationPhoto94.jpg\")\nwhen {\n    principal has department && principal.department == \"research\"\n};\n",
    );
    let template = shell.run(
        r#"aws verifiedpermissions update-policy-template \
             --policy-template-id $PT \
             --description "My updated template description" \
             --statement file://template1.txt \
             --policy-store-id $PS"#,
    );
    shell.expect(&template, &json!({"policyStoreId": "$PS", "policyTemplateId": "$PT"}));

    let create = r#"aws verifiedpermissions create-identity-source \
                      --configuration file://config.txt \
                      --principal-entity-type "User" \
                      --policy-store-id $PS"#;
    let update = "aws verifiedpermissions update-identity-source --identity-source-id $IS \
                      --update-configuration file://config.txt \
                      --policy-store-id $PS";
    for (first, second) in [
        (
            json!({"cognitoUserPoolConfiguration": {
                "userPoolArn": "arn:aws:cognito-idp:us-west-2:123456789012:userpool/us-west-2_1a2b3c4d5",
                "clientIds": ["a1b2c3d4e5f6g7h8i9j0kalbmc"],
                "groupConfiguration": {"groupEntityType": "MyCorp::UserGroup"},
            }}),
            json!({"cognitoUserPoolConfiguration": {
                "userPoolArn": "arn:aws:cognito-idp:us-west-2:123456789012:userpool/us-west-2_1a2b3c4d5",
                "clientIds": ["a1b2c3d4e5f6g7h8i9j0kalbmc"],
                "groupConfiguration": {"groupEntityType": "MyCorp::UserGroup"},
            }}),
        ),
        (
            json!({"openIdConnectConfiguration": {
                "issuer": "https://auth.example.com",
                "tokenSelection": {"accessTokenOnly": {
                    "audiences": ["https://auth.example.com"],
                    "principalIdClaim": "sub",
                }},
                "entityIdPrefix": "MyOIDCProvider",
                "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "MyCorp::UserGroup"},
            }}),
            json!({"openIdConnectConfiguration": {
                "issuer": "https://auth2.example.com",
                "tokenSelection": {"identityTokenOnly": {
                    "clientIds": ["2example10111213"],
                    "principalIdClaim": "sub",
                }},
                "entityIdPrefix": "MyOIDCProvider",
                "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "MyCorp::UserGroup"},
            }}),
        ),
    ] {
        shell.file("config.txt", &first.to_string());
        let source = shell.run(create);
        shell.keep("IS", &source, "identitySourceId");
        shell.file("config.txt", &second.to_string());
        shell.expect(&shell.run(update), &json!({"identitySourceId": "$IS", "policyStoreId": "$PS"}));
        // A store has one identity source.
        shell.run(
            "aws verifiedpermissions delete-identity-source --identity-source-id $IS --policy-store-id $PS",
        );
    }
    let nothing = shell.run(
        "aws verifiedpermissions delete-policy-store \
             --policy-store-id $PS",
    );
    assert_eq!(nothing, Value::Null);
}
