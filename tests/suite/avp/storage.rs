//! What is on disk: layout, edits by people, crashes, restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::policies::{SCHEMA, create, link, listed, put_schema, statement, template};
use super::server::AvpServer;
use super::stores::{new_store, refused};
use crate::world::{files_in, run, sample_store, stderr, stdout};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn start(data: &Path) -> AvpServer {
    AvpServer::start(&["--data", data.to_str().unwrap(), "--write"])
}

/// Asks again and again, because the service rests between looks at its folder.
#[track_caller]
fn soon(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// All answers about all stores.
fn everything(server: &AvpServer) -> Value {
    let mut all = BTreeMap::new();
    for store in
        server.answer("ListPolicyStores", &json!({"maxResults": 50}))["policyStores"].as_array().unwrap()
    {
        let id = &store["policyStoreId"];
        let mut of_store = vec![store.clone()];
        let of = |members: Value| {
            let mut input = json!({"policyStoreId": id, "maxResults": 50});
            input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            input
        };
        of_store.push(server.answer("GetPolicyStore", &json!({"policyStoreId": id, "tags": true})));
        of_store.push(server.ask("GetSchema", &json!({"policyStoreId": id})).1);
        for (list, key, get, member, named) in [
            ("ListPolicies", "policies", "GetPolicy", "policyId", "policyId"),
            (
                "ListPolicyTemplates",
                "policyTemplates",
                "GetPolicyTemplate",
                "policyTemplateId",
                "policyTemplateId",
            ),
            (
                "ListIdentitySources",
                "identitySources",
                "GetIdentitySource",
                "identitySourceId",
                "identitySourceId",
            ),
        ] {
            let items = server.answer(list, &of(json!({})));
            for item in items[key].as_array().unwrap() {
                of_store.push(item.clone());
                of_store.push(server.answer(get, &json!({"policyStoreId": id, named: item[member]})));
            }
        }
        all.insert(id.as_str().unwrap().to_owned(), of_store);
    }
    json!({"stores": all, "aliases": server.answer("ListPolicyStoreAliases", &json!({"maxResults": 50}))})
}

/// Without the dates: what has no note has those of its file.
fn without_dates(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_dates(item.take())),
        Value::Object(members) => {
            members.retain(|name, _| !name.ends_with("Date"));
            members.values_mut().for_each(|member| *member = without_dates(member.take()));
        }
        _ => {}
    }
    value
}

const POOL: &str = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_1a2b3c4d5";

/// A store with one of everything. Returns its id.
fn full_store(server: &AvpServer) -> String {
    let store = new_store(server, "STRICT");
    put_schema(server, &store);
    create(
        server,
        &store,
        "// one\r\npermit (principal, action == Photos::Action::\"view\", resource); // no line end",
    );
    let text =
        "permit (principal == ?principal, action == Photos::Action::\"view\", resource == ?resource);\n";
    let template = template(server, &store, text);
    let mut named = link(&store, &template, Some("a"), Some("p"));
    named["name"] = json!("name/l");
    named["clientToken"] = json!("l");
    server.answer("CreatePolicy", &named);
    server.answer(
        "CreateIdentitySource",
        &json!({"policyStoreId": store, "principalEntityType": "Photos::User",
                "configuration": {"cognitoUserPoolConfiguration": {"userPoolArn": POOL, "clientIds": ["c"]}}}),
    );
    server.answer(
        "CreatePolicyStoreAlias",
        &json!({"policyStoreId": store, "aliasName": "policy-store-alias/full"}),
    );
    let arn = format!("arn:aws:verifiedpermissions::1:policy-store/{store}");
    server.answer("TagResource", &json!({"resourceArn": arn, "tags": {"a": "\u{1f600}"}}));
    store
}

#[test]
fn what_clients_create_is_a_store_for_every_other_verb() {
    let data = folder();
    let server = start(data.path());
    let store = full_store(&server);
    let folder = data.path().join(&store);
    let names: Vec<String> = files_in(&folder)
        .iter()
        .map(|path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned())
        .filter(|path| !path.starts_with(".avp/"))
        .collect();
    let id = &listed(&server, &store, json!({"policyType": "STATIC"}))[0];
    let text = fs::read(folder.join(format!("policies/{id}.cedar"))).unwrap();
    assert_eq!(
        text,
        b"// one\r\npermit (principal, action == Photos::Action::\"view\", resource); // no line end"
    );
    assert_eq!(fs::read_to_string(folder.join("schema.cedarschema.json")).unwrap(), SCHEMA);
    assert_eq!(names.len(), 6, "{names:?}");
    let check = run(&["check", "--store", folder.to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0), "{}{}", stdout(&check), stderr(&check));
    assert!(!stdout(&check).contains("file-unknown"), "{}", stdout(&check));
    let before = everything(&server);
    drop(server);
    let server = start(data.path());
    assert_eq!(everything(&server), before);
    // Idempotent over the restart.
    let template = server.answer("ListPolicyTemplates", &json!({"policyStoreId": store}));
    let template = template["policyTemplates"][0]["policyTemplateId"].as_str().unwrap();
    let mut again = link(&store, template, Some("a"), Some("p"));
    again["name"] = json!("name/l");
    again["clientToken"] = json!("l");
    server.answer("CreatePolicy", &again);
    assert_eq!(everything(&server), before);
    server.answer("DeletePolicyStore", &json!({"policyStoreId": "policy-store-alias/full"}));
    assert!(!folder.exists());
    let left: Vec<_> = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".avp.lock"]);
}

#[test]
fn without_write_nothing_gets_onto_the_disk() {
    let data = folder();
    copy(&sample_store(), &data.path().join("pets"));
    let before = contents(data.path());
    let server = AvpServer::start(&["--data", data.path().to_str().unwrap()]);
    create(&server, "pets", "permit (principal, action == PetStore::Action::\"get /\", resource);");
    server.answer("DeletePolicy", &json!({"policyStoreId": "pets", "policyId": "customers-see-pets"}));
    new_store(&server, "OFF");
    let count = listed(&server, "pets", json!({})).len();
    assert_eq!(contents(data.path()), before);
    // What people change on the disk is there, beside what clients change in memory.
    fs::write(data.path().join("pets/policies/more.cedar"), "forbid (principal, action, resource);").unwrap();
    soon("the new file is read", || listed(&server, "pets", json!({})).len() == count + 1);
    let gone = json!({"policyStoreId": "pets", "policyId": "customers-see-pets"});
    refused(&server, &[("GetPolicy", gone, "ResourceNotFoundException", "POLICY")]);
    unprotect(&server, "pets");
    server.answer("DeletePolicyStore", &json!({"policyStoreId": "pets"}));
    refused(
        &server,
        &[("GetPolicyStore", json!({"policyStoreId": "pets"}), "ResourceNotFoundException", "pets")],
    );
    let missing = run(&["avp", "--port", "0", "--data", data.path().join("none").to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(1), "{}", stderr(&missing));
    let store_itself = run(&["avp", "--port", "0", "--data", sample_store().to_str().unwrap()]);
    assert_eq!(store_itself.status.code(), Some(1), "{}", stderr(&store_itself));
}

fn copy(from: &Path, to: &Path) {
    for path in files_in(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

fn contents(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    files_in(folder).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_people_edit_is_there_at_the_next_request() {
    let data = folder();
    let server = start(data.path());
    let store = full_store(&server);
    let folder = data.path().join(&store);
    let id = listed(&server, &store, json!({"policyType": "STATIC"}))[0].clone();
    let file = folder.join(format!("policies/{id}.cedar"));
    let named = json!({"policyStoreId": store, "policyId": id});
    let text = || {
        server.answer("GetPolicy", &named)["definition"]["static"]["statement"].as_str().unwrap().to_owned()
    };
    let good = "forbid (principal, action == Photos::Action::\"edit\", resource);";
    fs::write(&file, good).unwrap();
    soon("the change is seen", || text() == good);

    // An invalid file: the last valid state goes on, and nothing is written.
    fs::write(&file, "forbid (principal,").unwrap();
    let other = statement(&store, "permit (principal, action == Photos::Action::\"view\", resource);");
    soon("the mistake is seen", || {
        let (status, answer) = server.ask("CreatePolicy", &other);
        status != 200
            && answer["__type"].as_str().unwrap().ends_with("#ConflictException")
            && answer.to_string().contains(&format!("policies/{id}.cedar:1:"))
    });
    assert_eq!(text(), good);
    fs::write(&file, good.replace("edit", "view")).unwrap();
    soon("the correction is seen", || text() != good);
    server.answer("CreatePolicy", &other);

    // Folders come and go.
    copy(&sample_store(), &data.path().join("pet store"));
    soon("the new folder is seen", || {
        server.ask("GetPolicyStore", &json!({"policyStoreId": "pet-store"})).0 == 200
    });
    fs::rename(&folder, data.path().join("renamed")).unwrap();
    soon("the renamed folder is seen", || {
        !data.path().join(&store).exists() && server.ask("GetPolicy", &named).0 == 200
    });
    create(&server, &store, "permit (principal, action == Photos::Action::\"view\", resource);");
    fs::remove_dir_all(data.path().join("pet store")).unwrap();
    soon("the removed folder is seen", || {
        server.ask("GetPolicyStore", &json!({"policyStoreId": "pet-store"})).0 == 400
    });
    assert_eq!(listed(&server, &store, json!({"policyType": "STATIC"})).len(), 3);
}

#[test]
fn a_change_touches_only_its_policy() {
    let data = folder();
    let text = "// head\r\n@id(\"a\")\r\npermit (principal, action, resource); // a\r\n\r\n// of b\r\n\
                permit (principal, action, resource)\r\nwhen { true };\r\n  // of c\r\nforbid (principal, action, resource);";
    let store = data.path().join("s");
    fs::create_dir_all(store.join("policies")).unwrap();
    fs::write(
        store.join("store.toml"),
        "[store]\r\nname = 's' # mine\r\nnamespace = ''\r\nvalidation = 'off'\r\n",
    )
    .unwrap();
    fs::write(store.join("policies/all.cedar"), text).unwrap();
    let links = "[ {\"id\":\"x\",  \"templateId\":\"t#2\", \"principal\": {\"entityType\":\"U\",\"entityId\":\"1\"}},\n  \
                 {\"id\":\"\u{fc} y\",  \"templateId\":\"t#1\", \"principal\": {\"entityType\":\"U\",\"entityId\":\"1\"}} ]";
    let templates = "permit (principal == ?principal, action, resource == A::\"1\");\n// two\npermit (principal == ?principal, action, resource == A::\"2\");\n";
    fs::create_dir_all(store.join("templates")).unwrap();
    fs::write(store.join("templates/t.cedar"), templates).unwrap();
    fs::write(store.join("template-links.json"), links).unwrap();
    let server = start(data.path());
    assert_eq!(listed(&server, "s", json!({})), ["a", "all/2", "all/3", "template-links/2", "x"]);
    let get = |id: &str| server.answer("GetPolicy", &json!({"policyStoreId": "s", "policyId": id}));
    assert_eq!(get("x")["definition"]["templateLinked"]["policyTemplateId"], "t/2");
    assert_eq!(
        get("all/2")["definition"]["static"]["statement"],
        "permit (principal, action, resource)\r\nwhen { true };"
    );
    let file = || fs::read_to_string(store.join("policies/all.cedar")).unwrap();

    let new = "permit (principal, action, resource) when { false }; // end";
    let update =
        json!({"policyStoreId": "s", "policyId": "all/2", "definition": {"static": {"statement": new}}});
    server.answer("UpdatePolicy", &update);
    assert_eq!(file(), text.replace("permit (principal, action, resource)\r\nwhen { true };", new));
    server.answer("DeletePolicy", &json!({"policyStoreId": "s", "policyId": "a"}));
    let left = text.replace("permit (principal, action, resource)\r\nwhen { true };", new);
    assert_eq!(file(), left.replace("@id(\"a\")\r\npermit (principal, action, resource);", ""));
    assert_eq!(listed(&server, "s", json!({"policyType": "STATIC"})), ["all/2", "all/3"], "ids stay");
    server.answer(
        "UpdatePolicy",
        &json!({"policyStoreId": "s", "policyId": "template-links/2", "name": "name/y"}),
    );
    assert_eq!(get("name/y")["policyId"], "template-links/2");
    server.answer("DeletePolicyTemplate", &json!({"policyStoreId": "s", "policyTemplateId": "t/1"}));
    assert_eq!(listed(&server, "s", json!({"policyType": "TEMPLATE_LINKED"})), ["x"]);
    assert!(fs::read_to_string(store.join("template-links.json")).unwrap().starts_with("[ {\"id\":\"x\","));
    server.answer(
        "UpdatePolicyStore",
        &json!({"policyStoreId": "s", "validationSettings": {"mode": "OFF"}, "description": "d"}),
    );
    let settings = fs::read_to_string(store.join("store.toml")).unwrap();
    assert!(settings.contains("name = 's' # mine\r\n"), "{settings}");
    let before = without_dates(everything(&server));
    drop(server);
    let server = start(data.path());
    assert_eq!(without_dates(everything(&server)), before);
    server.answer("DeletePolicy", &json!({"policyStoreId": "s", "policyId": "all/2"}));
    server.answer("DeletePolicy", &json!({"policyStoreId": "s", "policyId": "all/3"}));
    assert!(!store.join("policies/all.cedar").exists());
}

fn unprotect(server: &AvpServer, store: &str) {
    let change = json!({
        "policyStoreId": store,
        "validationSettings": {"mode": "STRICT"},
        "deletionProtection": "DISABLED",
    });
    server.answer("UpdatePolicyStore", &change);
}

#[test]
fn what_people_made_is_not_deleted_by_mistake() {
    let data = folder();
    copy(&sample_store(), &data.path().join("pets"));
    let before = contents(data.path());
    let server = start(data.path());
    let named = json!({"policyStoreId": "pets"});
    assert_eq!(server.answer("GetPolicyStore", &named)["deletionProtection"], "ENABLED");
    assert_eq!(server.refusal("DeletePolicyStore", &named).0, "InvalidStateException");
    assert!(before.iter().all(|(path, bytes)| fs::read(path).unwrap() == *bytes));
    unprotect(&server, "pets");
    server.answer("DeletePolicyStore", &named);
    assert!(!data.path().join("pets").exists());
}

#[test]
fn only_one_process_writes() {
    let data = folder();
    let server = start(data.path());
    let second = run(&["avp", "--port", "0", "--write", "--data", data.path().to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another process writes"), "{}", stderr(&second));
    let reader = AvpServer::start(&["--data", data.path().to_str().unwrap()]);
    let store = new_store(&server, "OFF");
    soon("the reader sees it", || reader.ask("GetPolicyStore", &json!({"policyStoreId": store})).0 == 200);
    drop(server);
    start(data.path());
}

/// A simple generator of numbers, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let data = folder();
    let store = new_store(&start(data.path()), "OFF");
    let text = "permit (principal == ?principal, action, resource == A::\"1\");";
    let template = template(&start(data.path()), &store, text);
    // Acknowledged: what must be there. Deleted: what must not.
    let (mut there, mut gone): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    let mut dice = Dice(7);
    for round in 0..12 {
        let server = start(data.path());
        let found: BTreeSet<String> = listed(&server, &store, json!({})).into_iter().collect();
        assert!(there.is_subset(&found), "lost in round {round}: {:?}", there.difference(&found));
        assert!(gone.is_disjoint(&found), "back in round {round}: {:?}", gone.intersection(&found));
        let stores = server.answer("ListPolicyStores", &json!({}))["policyStores"].as_array().unwrap().len();
        assert_eq!(stores, 1);
        there = found;
        let made = Mutex::new((Vec::new(), Vec::new()));
        let pid = server.id();
        thread::scope(|scope| {
            let (server, store, template, made, there) = (&server, &store, &template, &made, &there);
            for client in 0..4 {
                scope.spawn(move || {
                    let mut old: Vec<String> = there.iter().skip(client).step_by(4).cloned().collect();
                    for number in 0.. {
                        let input = match (client + number) % 3 {
                            0 => link(store, template, Some(&number.to_string()), None),
                            1 => statement(store, "permit (principal, action, resource);"),
                            _ => match old.pop() {
                                Some(id) => {
                                    let input = json!({"policyStoreId": store, "policyId": id});
                                    // Not known to be there from the moment on that it is asked for.
                                    made.lock().unwrap().1.push((id.clone(), false));
                                    if try_ask(server, "DeletePolicy", &input).is_none() {
                                        return;
                                    }
                                    made.lock().unwrap().1.push((id, true));
                                    continue;
                                }
                                None => continue,
                            },
                        };
                        match try_ask(server, "CreatePolicy", &input) {
                            Some(answer) => {
                                let id = answer["policyId"].as_str().unwrap().to_owned();
                                made.lock().unwrap().0.push(id);
                            }
                            None => return,
                        }
                    }
                });
            }
            thread::sleep(Duration::from_millis(30 + dice.roll(250) as u64));
            Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        });
        let (created, deleted) = made.into_inner().unwrap();
        there.extend(created);
        for (id, is_acknowledged) in deleted {
            there.remove(&id);
            if is_acknowledged {
                gone.insert(id);
            }
        }
        let check = run(&["check", "--store", data.path().join(&store).to_str().unwrap()]);
        assert!(!stdout(&check).contains("policy-invalid"), "{}", stdout(&check));
    }
    assert!(there.len() > 20, "{}", there.len());
}

/// Asks a server that may be killed meanwhile.
fn try_ask(server: &AvpServer, operation: &str, input: &Value) -> Option<Value> {
    use std::io::{Read, Write};
    let body = input.to_string();
    let mut socket = std::net::TcpStream::connect(server.address()).ok()?;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\nContent-Type: \
         application/x-amz-json-1.0\r\nX-Amz-Target: VerifiedPermissions.{operation}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 200") {
        return None;
    }
    serde_json::from_str(body).ok()
}

#[test]
fn a_change_that_was_interrupted_is_completed() {
    let data = folder();
    let server = start(data.path());
    let store = new_store(&server, "OFF");
    let id = create(&server, &store, "permit (principal, action, resource);");
    drop(server);
    let folder = data.path().join(&store);
    let journal = json!([
        [format!("policies/{id}.cedar"), "forbid (principal, action, resource);"],
        ["policies/b.cedar", "permit (principal, action, resource);"]
    ]);
    fs::write(folder.join(".avp/journal.json"), journal.to_string()).unwrap();
    fs::create_dir(data.path().join(".avp-new-half")).unwrap();
    let reader = AvpServer::start(&["--data", data.path().to_str().unwrap()]);
    assert_eq!(listed(&reader, &store, json!({})).len(), 2, "readers see it");
    let server = start(data.path());
    assert_eq!(
        server.answer("GetPolicy", &json!({"policyStoreId": store, "policyId": id}))["effect"],
        "Forbid"
    );
    assert!(folder.join("policies/b.cedar").exists() && !folder.join(".avp/journal.json").exists());
    assert!(!data.path().join(".avp-new-half").exists());
    drop(server);
    // What came with a store from elsewhere may not write elsewhere.
    let out = json!([["../out.txt", "x"], ["policies/c.cedar", "forbid (principal, action, resource);"]]);
    fs::write(folder.join(".avp/journal.json"), out.to_string()).unwrap();
    assert_eq!(listed(&start(data.path()), &store, json!({})).len(), 2);
    assert!(!data.path().join("out.txt").exists());
    // Nor where git would find the name of a program to run.
    let hook =
        json!([[".git/config", "[core]"], ["policies/c.cedar", "forbid (principal, action, resource);"]]);
    fs::write(folder.join(".avp/journal.json"), hook.to_string()).unwrap();
    assert_eq!(listed(&start(data.path()), &store, json!({})).len(), 2);
    assert!(!folder.join(".git").exists());
    // Nor through a link.
    let elsewhere = self::folder();
    std::os::unix::fs::symlink(elsewhere.path(), folder.join("templates")).unwrap();
    let through = json!([["templates/a/c.cedar", "forbid (principal, action, resource);"]]);
    fs::write(folder.join(".avp/journal.json"), through.to_string()).unwrap();
    let refused = run(&["avp", "--port", "0", "--write", "--data", data.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("leads out of the folder"), "{}", stderr(&refused));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn random_changes_are_the_same_after_a_restart() {
    for seed in 1..4 {
        let data = folder();
        let mut dice = Dice(seed);
        let mut server = start(data.path());
        let store = new_store(&server, "OFF");
        // The naive model: statements, and templates with their links.
        let mut policies: BTreeMap<String, String> = BTreeMap::new();
        let mut templates: BTreeMap<String, String> = BTreeMap::new();
        let mut links: BTreeMap<String, String> = BTreeMap::new();
        for step in 0..70 {
            let pick = |map: &BTreeMap<String, String>, dice: &mut Dice| {
                let number = dice.roll(map.len().max(1));
                map.keys().nth(number).cloned()
            };
            let policy = |number: usize| {
                format!("// {number}\r\npermit (principal, action, resource) when {{ {number} == {step} }};")
            };
            let template_text = |number: usize| {
                let id = ["", "@id(\"t\")\n", "@id(\"u v\") "][number % 3];
                format!(
                    "{id}permit (principal in ?principal, action, resource == A::\"{}\") when {{ {step} > 0 }}; //",
                    1
                )
            };
            match dice.roll(9) {
                0 | 1 => {
                    let text = policy(dice.roll(99));
                    policies.insert(create(&server, &store, &text), text);
                }
                2 => {
                    let text = template_text(dice.roll(3));
                    templates.insert(template(&server, &store, &text), text);
                }
                3 | 4 => {
                    if let Some(template) = pick(&templates, &mut dice) {
                        let made =
                            server.answer("CreatePolicy", &link(&store, &template, Some("\"\\"), None));
                        links.insert(made["policyId"].as_str().unwrap().to_owned(), template);
                    }
                }
                5 => {
                    if let Some(id) = pick(&policies, &mut dice) {
                        let text = policy(dice.roll(99));
                        let mut input = statement(&store, &text);
                        input["policyId"] = json!(id);
                        server.answer("UpdatePolicy", &input);
                        policies.insert(id, text);
                    }
                }
                6 => {
                    if let Some(id) = pick(&templates, &mut dice) {
                        let text = template_text(dice.roll(3));
                        server.answer(
                            "UpdatePolicyTemplate",
                            &json!({"policyStoreId": store, "policyTemplateId": id, "statement": text}),
                        );
                        templates.insert(id, text);
                    }
                }
                7 => {
                    let all: BTreeMap<String, String> =
                        policies.clone().into_iter().chain(links.clone()).collect();
                    if let Some(id) = pick(&all, &mut dice) {
                        server.answer("DeletePolicy", &json!({"policyStoreId": store, "policyId": id}));
                        policies.remove(&id);
                        links.remove(&id);
                    }
                }
                _ => {
                    if let Some(id) = pick(&templates, &mut dice).filter(|_| dice.roll(3) == 0) {
                        server.answer(
                            "DeletePolicyTemplate",
                            &json!({"policyStoreId": store, "policyTemplateId": id}),
                        );
                        templates.remove(&id);
                        links.retain(|_, template| *template != id);
                    }
                }
            }
            if dice.roll(12) == 0 {
                let before = everything(&server);
                drop(server);
                server = start(data.path());
                assert_eq!(everything(&server), before, "seed {seed}, step {step}");
            }
            let expected: Vec<String> =
                policies.keys().chain(links.keys()).cloned().collect::<BTreeSet<_>>().into_iter().collect();
            assert_eq!(listed(&server, &store, json!({})), expected, "seed {seed}, step {step}");
            for (id, text) in &policies {
                let got = server.answer("GetPolicy", &json!({"policyStoreId": store, "policyId": id}));
                assert_eq!(
                    got["definition"]["static"]["statement"],
                    text.as_str(),
                    "seed {seed}, step {step}"
                );
            }
            for (id, template) in &links {
                let got = server.answer("GetPolicy", &json!({"policyStoreId": store, "policyId": id}));
                assert_eq!(got["definition"]["templateLinked"]["policyTemplateId"], template.as_str());
            }
        }
    }
}

#[test]
fn a_thousand_clients_at_once_lose_nothing() {
    let data = folder();
    let server = start(data.path());
    let store = new_store(&server, "OFF");
    let ids = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for client in 0..1000 {
            let (server, store, ids) = (&server, &store, &ids);
            let work = move || {
                let text =
                    format!("permit (principal == A::\"{client}\", action, resource == B::\"{client}\");");
                let id = create(server, store, &text);
                assert!(ids.lock().unwrap().insert(id));
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, work).unwrap();
        }
    });
    let ids: Vec<String> = ids.into_inner().unwrap().into_iter().collect();
    assert_eq!(ids.len(), 1000);
    assert_eq!(listed(&server, &store, json!({})), ids);
    drop(server);
    assert_eq!(listed(&start(data.path()), &store, json!({})), ids);
}

#[test]
fn a_large_store_is_listed_by_every_filter() {
    let data = folder();
    large_store(&data.path().join("large"), 1000);
    let server = AvpServer::start(&["--data", data.path().to_str().unwrap()]);
    check_large(&server, 1000);
}

/// Half of the policies are links.
fn large_store(store: &Path, policies: usize) {
    fs::create_dir_all(store.join("policies")).unwrap();
    fs::create_dir_all(store.join("templates")).unwrap();
    fs::write(store.join("store.toml"), "[store]\nname = 'large'\nnamespace = ''\nvalidation = 'off'\n")
        .unwrap();
    let template = "permit (principal == ?principal, action, resource in ?resource);";
    fs::write(store.join("templates/t.cedar"), template).unwrap();
    let mut links = "[".to_owned();
    for number in 0..policies / 2 {
        let text = format!(
            "permit (principal == User::\"{number}\", action == Action::\"a\", resource) when {{ context.x > {number} }};"
        );
        fs::write(store.join(format!("policies/p{number}.cedar")), text).unwrap();
        let comma = if number == 0 { "" } else { "," };
        write!(
            links,
            "{comma}\n{{\"id\": \"l{number}\", \"templateId\": \"t#1\", \"principal\": {{\"entityType\": \"User\", \
             \"entityId\": \"{number}\"}}, \"resource\": {{\"entityType\": \"Album\", \"entityId\": \"{}\"}}}}",
            number % 10
        )
        .unwrap();
    }
    fs::write(store.join("template-links.json"), links + "\n]").unwrap();
}

/// Lists by every filter.
fn check_large(server: &AvpServer, policies: usize) {
    let user = json!({"identifier": {"entityType": "User", "entityId": "7"}});
    let album = json!({"identifier": {"entityType": "Album", "entityId": "7"}});
    let half = policies / 2;
    let cases = [
        (json!({}), policies),
        (json!({"principal": user}), 2),
        (json!({"resource": album}), half / 10),
        (json!({"resource": {"unspecified": true}}), half),
        (json!({"principal": {"unspecified": true}}), 0),
        (json!({"policyType": "STATIC"}), half),
        (json!({"policyType": "TEMPLATE_LINKED"}), half),
        (json!({"policyTemplateId": "t"}), half),
    ];
    for (filter, expected) in cases {
        assert_eq!(listed(server, "large", filter.clone()).len(), expected, "{filter}");
    }
}
