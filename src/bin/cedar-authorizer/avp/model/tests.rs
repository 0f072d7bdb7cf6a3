//! The table against the model of the AWS SDK for Python, and requests with faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::operations::all;
use super::*;
use crate::avp::error::ServiceError;
use crate::output::warn;

/// The model as the SDK ships it. The tests are skipped where the SDK is not installed, but not in CI.
fn botocore() -> Option<Value> {
    let tools = std::env::var_os("CI_TOOLS").map_or_else(|| "target/ci-tools".into(), PathBuf::from);
    let found = find(&Path::new(env!("CARGO_MANIFEST_DIR")).join(tools).join("aws-clients/lib"));
    let Some(path) = found else {
        assert!(std::env::var_os("AVP_CLIENTS").is_none_or(|when| when != "required"), "no botocore");
        warn(&"skipped: botocore is not installed (see .ci/run)");
        return None;
    };
    let output = Command::new("gzip").arg("-dc").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", path.display());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// `service-2.json.gz` of Verified Permissions in `lib`, the folder of a virtual environment.
fn find(lib: &Path) -> Option<PathBuf> {
    let folders =
        |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let data = folders(lib).map(|python| python.join("site-packages/botocore/data/verifiedpermissions"));
    data.flat_map(|data| folders(&data).collect::<Vec<_>>())
        .map(|version| version.join("service-2.json.gz"))
        .find(|file| file.is_file())
}

#[test]
fn the_table_is_the_model_of_the_sdk() {
    let Some(model) = botocore() else { return };
    let theirs = model["operations"].as_object().unwrap();
    let our_names: BTreeSet<&str> = all().map(|operation| operation.name).collect();
    assert_eq!(our_names, theirs.keys().map(String::as_str).collect());
    assert_eq!(all().count(), theirs.len(), "an operation is listed twice");
    let mut comparison = Comparison { shapes: &model["shapes"], seen: BTreeSet::new(), compared: 0 };
    for operation in all() {
        let their = &theirs[operation.name];
        for (ours, key) in [(&operation.input, "input"), (&operation.output, "output")] {
            let path = format!("{} {key}", operation.name);
            comparison.members(&path, ours, &their[key]["shape"]);
        }
        let errors = their["errors"].as_array().unwrap();
        let errors: BTreeSet<&str> = errors.iter().map(|error| error["shape"].as_str().unwrap()).collect();
        let ours = operation.errors.iter().chain(COMMON_ERRORS).copied().collect();
        assert_eq!(errors, ours, "errors of {}", operation.name);
    }
    assert!(comparison.compared > 400, "{}", comparison.compared);
}

/// A walk through both tables at once.
struct Comparison<'model> {
    shapes: &'model Value,
    /// Recursive shapes are compared once at each of our places.
    seen: BTreeSet<(String, *const Structure)>,
    compared: usize,
}

impl Comparison<'_> {
    #[track_caller]
    fn members(&mut self, path: &str, ours: &Structure, name: &Value) {
        let their = &self.shapes[name.as_str().unwrap()];
        assert_eq!(their["type"], "structure", "{path}");
        let theirs = their["members"].as_object().unwrap();
        let names: BTreeSet<&str> = ours.members.iter().map(|member| member.name).collect();
        assert_eq!(names, theirs.keys().map(String::as_str).collect(), "members of {path}");
        let required = ours.members.iter().filter(|member| member.presence == Presence::Required);
        let required: BTreeSet<&str> = required.map(|member| member.name).collect();
        let none = Vec::new();
        let their_required = their["required"].as_array().unwrap_or(&none);
        let their_required = their_required.iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(required, their_required, "required members of {path}");
        for member in ours.members {
            self.shape(&format!("{path}.{}", member.name), member.shape, &theirs[member.name]["shape"]);
        }
    }

    #[track_caller]
    fn shape(&mut self, path: &str, ours: Shape, name: &Value) {
        self.compared += 1;
        let their = &self.shapes[name.as_str().unwrap()];
        let kind = match ours {
            Shape::Boolean => "boolean",
            Shape::Integer { .. } => "integer",
            Shape::List(_) => "list",
            Shape::Long => "long",
            Shape::Map(_) => "map",
            Shape::Structure(_) | Shape::Union(_) => "structure",
            Shape::Text(_) => "string",
            Shape::Timestamp => "timestamp",
        };
        assert_eq!(their["type"], kind, "{path}");
        assert_eq!(their["union"] == true, matches!(ours, Shape::Union(_)), "{path}");
        match ours {
            Shape::Boolean | Shape::Long => {
                assert_eq!((&their["min"], &their["max"]), (&Value::Null, &Value::Null), "{path}");
            }
            Shape::Integer { min } => {
                assert_eq!((&their["min"], &their["max"]), (&json!(min), &Value::Null), "{path}");
            }
            Shape::List(list) => {
                self.length(path, list.length, their);
                self.shape(&format!("{path}[]"), list.element, &their["member"]["shape"]);
            }
            Shape::Map(map) => {
                self.length(path, map.length, their);
                self.shape(&format!("{path}{{}}"), Shape::Text(map.key), &their["key"]["shape"]);
                self.shape(&format!("{path}{{}}"), map.value, &their["value"]["shape"]);
            }
            Shape::Structure(structure) | Shape::Union(structure) => {
                if self.seen.insert((name.to_string(), std::ptr::from_ref(structure))) {
                    self.members(path, structure, name);
                }
            }
            Shape::Text(text) => {
                self.length(path, text.length, their);
                assert_eq!(their["pattern"].as_str(), text.pattern, "{path}");
                let none = Vec::new();
                let values = their["enum"].as_array().unwrap_or(&none);
                let values: BTreeSet<&str> = values.iter().map(|value| value.as_str().unwrap()).collect();
                assert_eq!(values, text.values.iter().copied().collect(), "{path}");
            }
            Shape::Timestamp => assert_eq!(their["timestampFormat"], "iso8601", "{path}"),
        }
    }

    #[track_caller]
    fn length(&self, path: &str, ours: Length, their: &Value) {
        let number = |key: &str| their[key].as_u64().map(|number| usize::try_from(number).unwrap());
        assert_eq!((ours.min, ours.max), (number("min").unwrap_or(0), number("max")), "{path}");
    }
}

/// The bodies of our errors have the members that the SDK knows, and those that it requires.
#[test]
fn errors_have_the_members_of_the_sdk() {
    let Some(model) = botocore() else { return };
    let mut theirs: BTreeMap<&str, &Value> = BTreeMap::new();
    for (name, shape) in model["shapes"].as_object().unwrap() {
        if shape["exception"] == true {
            theirs.insert(name, shape);
        }
    }
    for error in ServiceError::one_of_each() {
        let Some(their) = theirs.remove(error.name()) else {
            assert!(error.is_of_every_service(), "{error:?}");
            continue;
        };
        assert!(!error.is_of_every_service(), "{error:?}");
        assert_eq!(their["fault"] == true, error.status() >= 500, "{error:?}");
        let body = error.body();
        let members = body.as_object().unwrap();
        for member in members.keys().filter(|member| *member != "__type") {
            assert!(their["members"].get(member).is_some(), "{error:?} has no {member}");
        }
        for required in their["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(required.as_str().unwrap()), "{error:?} lacks {required}");
        }
    }
    assert!(theirs.is_empty(), "{:?}", theirs.keys());
}

#[test]
fn every_pattern_is_a_regular_expression() {
    fn of(shape: Shape, seen: &mut BTreeSet<*const Structure>, patterns: &mut BTreeSet<&'static str>) {
        match shape {
            Shape::List(list) => of(list.element, seen, patterns),
            Shape::Map(map) => {
                of(Shape::Text(map.key), seen, patterns);
                of(map.value, seen, patterns);
            }
            Shape::Structure(structure) | Shape::Union(structure) => {
                if seen.insert(std::ptr::from_ref(structure)) {
                    structure.members.iter().for_each(|member| of(member.shape, seen, patterns));
                }
            }
            Shape::Text(text) => patterns.extend(text.pattern),
            Shape::Boolean | Shape::Integer { .. } | Shape::Long | Shape::Timestamp => {}
        }
    }
    let mut patterns = BTreeSet::new();
    for operation in all() {
        for member in operation.input.members {
            of(member.shape, &mut BTreeSet::new(), &mut patterns);
        }
    }
    assert!(patterns.len() > 12, "{patterns:?}");
    for pattern in patterns {
        regex_lite::Regex::new(&format!("^(?:{pattern})$")).unwrap();
    }
}

/// The faults of a request, as `path message`.
#[track_caller]
fn faults(operation: &str, mut input: Value) -> Vec<String> {
    match check(operation, &mut input) {
        Ok(()) => Vec::new(),
        Err(ServiceError::Validation { fields, .. }) => {
            fields.into_iter().map(|field| format!("{} {}", field.path, field.message)).collect()
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn each_fault_is_named_with_its_path() {
    let entity = json!({"entityType": "User", "entityId": "alice"});
    let context = |value: Value| json!({"policyStoreId": "s", "context": {"contextMap": {"a": value}}});
    let rows: Vec<(&str, Value, &[&str])> = vec![
        ("ListPolicyStores", json!({}), &[]),
        ("ListPolicyStores", json!({"nextToken": null}), &[]),
        ("ListPolicyStores", json!({"maxResults": 0}), &["maxResults is less than 1"]),
        ("ListPolicyStores", json!({"maxResults": 1.0}), &["maxResults is not an integer of 32 bits"]),
        (
            "ListPolicyStores",
            json!({"maxResults": 2_147_483_648_u64}),
            &["maxResults is not an integer of 32 bits"],
        ),
        ("ListPolicyStores", json!({"nextTokens": "x"}), &["nextTokens is not a member that there is"]),
        ("GetPolicyStore", json!({}), &["policyStoreId is required"]),
        ("GetPolicyStore", json!({"policyStoreId": null}), &["policyStoreId is required"]),
        ("GetPolicyStore", json!({"policyStoreId": ""}), &["policyStoreId has 0 characters, fewer than 1"]),
        ("GetPolicyStore", json!({"policyStoreId": 7}), &["policyStoreId is not a string"]),
        (
            "GetPolicyStore",
            json!({"policyStoreId": "a b"}),
            &["policyStoreId does not match the pattern `[a-zA-Z0-9-/_]*`"],
        ),
        (
            "GetPolicyStore",
            json!({"policyStoreId": "a\n"}),
            &["policyStoreId does not match the pattern `[a-zA-Z0-9-/_]*`"],
        ),
        ("GetPolicyStore", json!({"policyStoreId": "s", "tags": "yes"}), &["tags is not a boolean"]),
        (
            "CreatePolicyStore",
            json!({"validationSettings": {"mode": "strict"}, "description": "é".repeat(150)}),
            &["validationSettings.mode is not one of `OFF`, `STRICT`"],
        ),
        (
            "CreatePolicyStore",
            json!({"validationSettings": {}, "description": "é".repeat(151), "tags": {"": "x", "k": 1}}),
            &[
                "validationSettings.mode is required",
                "description has 151 characters, more than 150",
                "tags. has 0 characters, fewer than 1",
                "tags.k is not a string",
            ],
        ),
        (
            "CreatePolicyStore",
            json!({"validationSettings": {"mode": "OFF"}, "encryptionSettings": {"default": {}}}),
            &[],
        ),
        (
            "CreatePolicy",
            json!({"policyStoreId": "s", "definition": {"static": {"statement": ""}}}),
            &["definition.static.statement has 0 characters, fewer than 1"],
        ),
        (
            "CreatePolicy",
            json!({"policyStoreId": "s", "definition": {}}),
            &["definition has no member: one of `static`, `templateLinked` is required"],
        ),
        (
            "CreatePolicy",
            json!({"policyStoreId": "s", "definition": {
                "static": {"statement": "permit(principal, action, resource);"},
                "templateLinked": {"policyTemplateId": "t"},
            }}),
            &["definition has 2 members, where one is chosen"],
        ),
        (
            "CreatePolicy",
            json!({"policyStoreId": "s", "definition": {
                "static": {"statement": "permit(principal, action, resource);"},
                "templateLinked": null,
            }}),
            &[],
        ),
        (
            "UpdatePolicy",
            json!({"policyStoreId": "s", "policyId": "p", "definition": {"templateLinked": {}}}),
            &[
                "definition.templateLinked is not a member that there is",
                "definition has no member: one of `static` is required",
            ],
        ),
        ("BatchGetPolicy", json!({"requests": []}), &["requests has 0 elements, fewer than 1"]),
        ("BatchGetPolicy", json!({"requests": {}}), &["requests is not a list"]),
        (
            "BatchIsAuthorized",
            json!({"policyStoreId": "s", "requests": [{}, {}, {}, {"action": {"actionType": "Act", "actionId": ""}}]}),
            &[
                "requests[3].action.actionType does not match the pattern `Action$|^.+::Action`",
                "requests[3].action.actionId has 0 characters, fewer than 1",
            ],
        ),
        (
            "IsAuthorized",
            context(json!({"long": 1.5})),
            &["context.contextMap.a.long is not an integer of 64 bits"],
        ),
        ("IsAuthorized", context(json!({"long": i64::MIN})), &[]),
        ("IsAuthorized", context(json!(null)), &["context.contextMap.a is not an object"]),
        ("IsAuthorized", context(json!({"set": [{"entityIdentifier": entity}, {"boolean": true}]})), &[]),
        (
            "IsAuthorized",
            context(json!({"record": {"b": {"set": [{"decimal": "1.2"}, {"decimal": "1.23456"}]}}})),
            &[
                r"context.contextMap.a.record.b.set[1].decimal does not match the pattern `-?\d{1,15}\.\d{1,4}`",
            ],
        ),
        ("IsAuthorized", context(json!({"datetime": "2026-11-22T03:50:00.123Z"})), &[]),
        (
            "IsAuthorized",
            context(json!({"datetime": "2026-11-22T03:50:00"})),
            &[
                r"context.contextMap.a.datetime does not match the pattern `\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{3})?(Z|[+-]\d{4}))?`",
            ],
        ),
        ("IsAuthorized", context(json!({"duration": "-1d2h3m4s5ms"})), &[]),
        ("IsAuthorized", context(json!({"ipaddr": "10.0.0.1/8"})), &[]),
        (
            "CreateIdentitySource",
            json!({"policyStoreId": "s", "configuration": {"cognitoUserPoolConfiguration": {
                "userPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_ABC",
                "issuer": "https://example.com",
            }}}),
            &["configuration.cognitoUserPoolConfiguration.issuer is not a member that there is"],
        ),
    ];
    for (operation, input, expected) in rows {
        assert_eq!(faults(operation, input.clone()), expected, "{operation} {input}");
    }
}

#[test]
fn the_message_counts_all_faults_but_only_the_first_are_listed() {
    let mut input = json!({"policyStoreId": "s", "requests": vec![json!({"principal": "eve-secret"}); 200]});
    let Err(ServiceError::Validation { message, fields }) = check("BatchIsAuthorized", &mut input) else {
        panic!()
    };
    assert_eq!(message, "200 invalid members: `requests[0].principal` is not an object");
    assert_eq!(fields.len(), 50);
    assert!(!format!("{fields:?}").contains("secret"));
}

#[test]
fn a_long_name_of_a_member_is_cut() {
    let name = "ä".repeat(1_000_000);
    let found = faults("ListPolicyStores", json!({ name: 1 }));
    assert_eq!(found, [format!("{} is not a member that there is", "ä".repeat(100))]);
}

#[test]
fn an_unknown_operation_is_no_operation() {
    assert_eq!(check("DropEverything", &mut json!({})), Err(ServiceError::UnknownOperation));
    assert_eq!(check("createpolicy", &mut json!({})), Err(ServiceError::UnknownOperation));
}
