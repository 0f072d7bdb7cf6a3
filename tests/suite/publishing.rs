//! `publish` against a stand-in for S3: the protocol, its races and its faults.

mod review;

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::store::build::Edition;
use cedar_authorizer::store::build::PrivateKey;
use cedar_authorizer::time::UnixTime;
use serde_json::{Value, json};

use crate::bundle_life::{FAULTS_OF_S3, build, faults};
use crate::loopback::{Answer, Function, KeyServer, S3, S3Fault};
use crate::oracle::{NotResource, passes};
use crate::signing::SigningKey;
use crate::world::{
    CLI, FUNCTION, Head, ISSUED_AT, Parts, StoreCopy, bundle_bytes, event, root, run, stderr, stdout, token,
};

const BUCKET: &str = "bundles";
const KEY: &str = "shop/petstore.bundle";
const URI: &str = "s3://bundles/shop/petstore.bundle";

fn history(revision: u64) -> String {
    format!("{KEY}.{revision}")
}

/// `publish`. Its environment says only where S3 is and who asks.
fn command(s3: &S3, arguments: &[&str]) -> Command {
    let mut command = Command::new(CLI);
    command
        .args(["publish", "--to", URI])
        .args(arguments)
        .current_dir(root())
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL_S3", s3.endpoint())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn publish(s3: &S3, arguments: &[&str]) -> Output {
    command(s3, arguments).output().unwrap()
}

/// Publishes a store and returns the report.
#[track_caller]
fn published(s3: &S3, arguments: &[&str]) -> Value {
    let output = publish(s3, &[arguments, &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[track_caller]
fn refused(output: &Output, exit: i32, texts: &[&str]) {
    assert_eq!(output.status.code(), Some(exit), "{}{}", stdout(output), stderr(output));
    for text in texts {
        assert!(stderr(output).contains(text), "{text}: {}", stderr(output));
    }
    assert!(stdout(output).is_empty(), "{}", stdout(output));
}

#[track_caller]
fn bundle(s3: &S3, key: &str) -> Bundle {
    let (bytes, _) = s3.object(BUCKET, key).unwrap();
    Bundle::open(bytes.clone(), DevelopmentKeys::Allow).unwrap()
}

#[track_caller]
fn member(s3: &S3, key: &str, path: &str) -> String {
    let bundle = bundle(s3, key);
    bundle.files().into_iter().find(|file| file.path == path).unwrap().sha256
}

/// The sample store with one more policy.
fn store(mark: &str) -> StoreCopy {
    let store = StoreCopy::new();
    remark(&store, mark);
    store
}

fn remark(store: &StoreCopy, mark: &str) {
    let policy =
        format!("@id(\"mark\")\nforbid (principal == PetStore::User::\"{mark}\", action, resource);\n");
    store.write("policies/mark.cedar", policy.as_bytes());
}

fn path(store: &StoreCopy) -> &str {
    store.path().to_str().unwrap()
}

#[test]
fn the_first_revision_is_1_and_stands_in_the_history() {
    let s3 = S3::start();
    let output = publish(&s3, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with("published: petstore revision 1, "), "{text}");
    assert!(text.ends_with(&format!(" bytes, at {URI}\n")), "{text}");
    assert!(!stderr(&output).contains("publishing"), "a bar where there is no terminal");
    assert_eq!(s3.keys(BUCKET), [KEY.to_owned(), history(1)]);

    let (bytes, headers) = s3.object(BUCKET, KEY).unwrap();
    assert_eq!(bytes, bundle_bytes(1));
    assert_eq!(s3.object(BUCKET, &history(1)).unwrap().0, bytes);
    assert_eq!(headers["content-type"], "application/vnd.cedar-authorizer.bundle");
    assert_eq!(headers["x-amz-meta-revision"], "1");
    assert_eq!(headers["x-amz-meta-sha256"].len(), 64);
    assert!(headers.contains_key("x-amz-checksum-sha256"));
    assert_eq!((s3.requests(), s3.puts()), (1, 2));
}

#[test]
fn the_function_loads_what_is_published() {
    let s3 = S3::start();
    published(&s3, &[]);
    published(&s3, &["--force"]);
    let endpoint = s3.endpoint();
    let environment = [
        ("CACHE_KEY", "none"),
        ("ALLOW_DEVELOPMENT_KEYS", "true"),
        ("BUNDLE_URI", URI),
        ("AWS_ENDPOINT_URL_S3", &endpoint),
    ];
    let function = Function::start(FUNCTION, environment).unwrap();
    let Answer::Response(response) = function.invoke(&event(&token("alice", json!({})), "GET", "/pets"))
    else {
        panic!("no response");
    };
    assert_eq!(response["context"]["revision"], 2);
}

#[test]
fn each_publication_is_the_next_revision_and_says_what_changed() {
    let s3 = S3::start();
    let store = store("a");
    assert_eq!(published(&s3, &["--store", path(&store)])["revision"], 1);

    remark(&store, "b");
    store.write("policies/more.cedar", b"@id(\"more\")\nforbid (principal, action, resource);\n");
    let report = published(&s3, &["--store", path(&store)]);
    assert_eq!((&report["revision"], &report["previousRevision"]), (&json!(2), &json!(1)));
    let difference = |added: &[&str], removed: &[&str], changed: &[&str]| json!({"added": added, "removed": removed, "changed": changed});
    assert_eq!(
        report["changes"],
        json!({
            "files": difference(
                &["policies/more.cedar"],
                &[],
                &["compiled/map.table", "policies/mark.cedar"],
            ),
            "policies": difference(&["more"], &[], &["mark"]),
        })
    );
    assert_eq!(report["history"], format!("{URI}.2"));
    assert_eq!(report["versionId"], "version-2");

    // Another comment makes another file, but the same policy.
    store.remove("policies/more.cedar");
    let mark = fs::read_to_string(store.path().join("policies/mark.cedar")).unwrap();
    store.write("policies/mark.cedar", format!("// Why.\n{mark}").as_bytes());
    let output = publish(&s3, &["--store", path(&store)]);
    assert!(
        stdout(&output).ends_with("\n  changed policies/mark.cedar\n  removed policy more\n"),
        "{}",
        stdout(&output)
    );
    for revision in 1..=3 {
        assert_eq!(bundle(&s3, &history(revision)).revision(), revision);
    }
    assert_eq!(s3.object(BUCKET, KEY).unwrap().0, s3.object(BUCKET, &history(3)).unwrap().0);
}

#[test]
fn what_has_not_changed_is_published_only_by_force() {
    let s3 = S3::start();
    published(&s3, &[]);
    let report = published(&s3, &[]);
    assert_eq!((&report["status"], &report["revision"]), (&json!("unchanged"), &json!(1)));
    assert!(stdout(&publish(&s3, &[])).starts_with("unchanged: petstore revision 1, "));
    assert_eq!(s3.puts(), 2);
    assert_eq!(published(&s3, &["--force"])["revision"], 2);

    // The same policies with another expiry, or signed with another key, are a change.
    assert_eq!(published(&s3, &["--expires-in", "30"])["revision"], 3);
    assert_eq!(published(&s3, &[])["revision"], 4);
    let keys = Keys::new();
    let ([a, b], trusted) = ([keys.file("a"), keys.file("b")], keys.public(&["a", "b"]));
    let trust = ["--public-keys", &trusted];
    // Until now nobody has vouched for it.
    refused(&publish(&s3, &["--sign-key", &a]), 3, &["the bundle is not signed", "by revision 5"]);
    assert_eq!(published(&s3, &["--sign-key", &a, "--force"])["revision"], 5);
    assert_eq!(published(&s3, &["--sign-key", &a])["status"], "unchanged");
    refused(&publish(&s3, &["--sign-key", &b]), 3, &["not signed by a trusted key", "--public-keys"]);
    assert_eq!(published(&s3, &[&["--sign-key", &b], &trust[..]].concat())["revision"], 6);
    assert_eq!(published(&s3, &["--sign-key", &b])["status"], "unchanged");
    let both = ["--sign-key", &a, "--sign-key", &b];
    assert_eq!(published(&s3, &both)["revision"], 7);
    assert_eq!(published(&s3, &both)["status"], "unchanged");
    // Without any key nothing is checked, and the output says so.
    let output = publish(&s3, &[]);
    assert!(stderr(&output).contains("signatures of what is in S3 were not checked"), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("published: petstore revision 8, "), "{}", stdout(&output));
}

/// Keys for signing, by name.
struct Keys(tempfile::TempDir);

impl Keys {
    /// `a`, `b` and `stranger`.
    fn new() -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        for name in ["a", "b", "stranger"] {
            fs::write(keys.file(name), PrivateKey::generate().unwrap().to_pem().unwrap().as_bytes()).unwrap();
        }
        keys
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn private(&self, name: &str) -> PrivateKey {
        fs::read_to_string(self.file(name)).unwrap().parse().unwrap()
    }

    /// The public keys, in the form of `BUNDLE_PUBLIC_KEYS`.
    fn public(&self, names: &[&str]) -> String {
        names.iter().map(|name| self.private(name).public_key().to_string()).collect::<Vec<_>>().join(",")
    }

    /// The sample store at this revision, signed.
    fn bundle(&self, names: &[&str], revision: u64) -> Vec<u8> {
        let signing_keys: Vec<PrivateKey> = names.iter().map(|name| self.private(name)).collect();
        build(Edition { revision, signing_keys: &signing_keys, ..Edition::default() })
    }
}

/// The same bundle, but its first signature is for another manifest.
fn with_broken_signature(bundle: &[u8], other: &[u8]) -> Vec<u8> {
    let envelope = |bytes: &[u8]| {
        let Head { sections: [_, envelope, _], hashes: [_, hash, _], .. } = Head::of(bytes);
        (envelope, hash)
    };
    let ((at, hash), (of_other, _)) = (envelope(bundle), envelope(other));
    assert_eq!(at.len(), of_other.len());
    let mut broken = bundle.to_vec();
    broken.splice(at, other[of_other.clone()].iter().copied());
    broken[hash].copy_from_slice(digest(&SHA256, &other[of_other]).as_ref());
    broken
}

/// The sample store under another name.
fn kennel() -> StoreCopy {
    let store = StoreCopy::new();
    let settings = fs::read_to_string(store.path().join("store.toml")).unwrap();
    store.write("store.toml", settings.replace("name = \"petstore\"", "name = \"kennel\"").as_bytes());
    store
}

#[test]
fn a_rollback_signs_only_what_a_trusted_key_has_signed_as_this_revision_of_this_store() {
    let (s3, keys) = (S3::start(), Keys::new());
    let key = keys.file("a");
    let store = store("x");
    published(&s3, &["--store", path(&store), "--sign-key", &key]);
    remark(&store, "y");
    published(&s3, &["--store", path(&store), "--sign-key", &key]);
    let genuine = s3.object(BUCKET, &history(1)).unwrap().0.to_vec();
    let of_2 = s3.object(BUCKET, &history(2)).unwrap().0.to_vec();
    let signing = [keys.private("a")];
    let other_store = crate::bundle_life::build_changed(
        "store.toml",
        |text| text.replace("name = \"petstore\"", "name = \"kennel\""),
        Edition { revision: 1, signing_keys: &signing, ..Edition::default() },
    );
    let tenant = "acme".parse().unwrap();
    let other_tenant =
        build(Edition { revision: 1, tenant: Some(&tenant), signing_keys: &signing, ..Edition::default() });
    let mut claimed = Parts::of(&keys.bundle(&["a"], 2));
    claimed.manifest["revision"] = 1.into();

    for (forged, message) in [
        (bundle_bytes(1), "the bundle is not signed"),
        (keys.bundle(&["stranger"], 1), "not signed by a trusted key"),
        (with_broken_signature(&genuine, &of_2), "is not valid"),
        (claimed.together(), "the bundle is not signed"),
        // Each of these is signed, but as something else.
        (of_2.clone(), "says that it is revision 2"),
        (other_store, "of the store `kennel`"),
        (other_tenant, "for the tenant `acme`"),
    ] {
        s3.put(BUCKET, &history(1), forged);
        for more in [[].as_slice(), &["--force"], &["--dry-run"], &["--force", "--dry-run"]] {
            let output = publish(&s3, &[&["--rollback", "1", "--sign-key", &key], more].concat());
            refused(&output, 3, &[message, "petstore.bundle.1`"]);
        }
    }
    assert_eq!((s3.puts(), bundle(&s3, KEY).revision()), (4, 2));

    s3.put(BUCKET, &history(1), genuine);
    // A current bundle that nobody vouches for must not say which store the earlier one has to be of.
    for (current, message) in [
        (bundle_bytes(2), "the bundle is not signed"),
        (with_broken_signature(&of_2, &keys.bundle(&["a"], 1)), "is not valid"),
        (keys.bundle(&["stranger"], 2), "not signed by a trusted key"),
        (b"<html>".to_vec(), "not a bundle"),
    ] {
        s3.put(BUCKET, KEY, current);
        for more in [[].as_slice(), &["--force"]] {
            let output = publish(&s3, &[&["--rollback", "1", "--sign-key", &key], more].concat());
            refused(&output, 3, &[message, "--force does not help a rollback", "aws s3 cp"]);
        }
    }
    s3.remove(BUCKET, KEY);
    for more in [[].as_slice(), &["--force"]] {
        let output = publish(&s3, &[&["--rollback", "1", "--sign-key", &key], more].concat());
        refused(&output, 1, &["there is no bundle at", "publish the store itself"]);
    }
    assert_eq!(s3.puts(), 4);
    s3.put(BUCKET, KEY, of_2);
    assert_eq!(published(&s3, &["--rollback", "1", "--sign-key", &key])["revision"], 3);
}

#[test]
fn after_a_rotation_the_next_key_signs_what_the_old_one_signed() {
    let (s3, keys) = (S3::start(), Keys::new());
    let (a, b) = (keys.file("a"), keys.file("b"));
    let store = store("x");
    published(&s3, &["--store", path(&store), "--sign-key", &a]);
    remark(&store, "y");
    published(&s3, &["--store", path(&store), "--sign-key", &a]);
    let rollback = ["--rollback", "1", "--sign-key", &b];
    refused(&publish(&s3, &rollback), 3, &["not signed by a trusted key", "--public-keys"]);
    let old = keys.public(&["a"]);
    let report = published(&s3, &[&rollback[..], &["--public-keys", &old]].concat());
    assert_eq!((&report["revision"], &report["rollbackTo"]), (&json!(3), &json!(1)));
    let id = keys.private("a").public_key().key_id().to_string();
    assert_eq!(report["previousSignatures"], json!([{"keyId": id, "status": "valid"}]));
    // Also with keys from the environment, like the function.
    let mut command = command(&s3, &["--rollback", "2", "--sign-key", &b]);
    let output = command.env("BUNDLE_PUBLIC_KEYS", &old).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    assert_eq!(bundle(&s3, KEY).revision(), 4);
}

#[test]
fn a_bundle_whose_signature_is_broken_is_not_unchanged() {
    let (s3, keys) = (S3::start(), Keys::new());
    let key = keys.file("a");
    published(&s3, &["--sign-key", &key]);
    let good = s3.object(BUCKET, KEY).unwrap().0;
    assert_eq!(published(&s3, &["--sign-key", &key])["status"], "unchanged");
    s3.alter(BUCKET, KEY, with_broken_signature(&good, &keys.bundle(&["a"], 2)));
    for more in [[].as_slice(), &["--dry-run"]] {
        let output = publish(&s3, &[&["--sign-key", &key], more].concat());
        refused(&output, 3, &["cannot be opened", "is not valid", "--force replaces it by revision 2"]);
    }
    let report = published(&s3, &["--sign-key", &key, "--force"]);
    assert_eq!((&report["status"], &report["revision"]), (&json!("published"), &json!(2)));
    assert_eq!(report["previousSignatures"][0]["status"], "invalid");

    // One of the two signatures is broken.
    let two = keys.bundle(&["a", "b"], 3);
    s3.put(BUCKET, KEY, with_broken_signature(&two, &keys.bundle(&["a", "b"], 9)));
    let both = ["--sign-key", &key, "--sign-key", &keys.file("b")];
    refused(&publish(&s3, &both), 3, &["is not valid"]);
}

#[test]
fn what_is_published_is_signed_if_signatures_are_asked_for() {
    let (s3, keys) = (S3::start(), Keys::new());
    let trusted = keys.public(&["a"]);
    refused(&publish(&s3, &["--public-keys", &trusted]), 1, &["would not be signed", "--sign-key"]);
    for (text, message) in
        [("", "no public key"), ("x", "key 1 is"), (&format!("{trusted},{trusted}"), "same")]
    {
        let output = publish(&s3, &["--sign-key", &keys.file("a"), "--public-keys", text]);
        refused(&output, 1, &["--public-keys: ", message]);
    }
    // A private key is never shown.
    let pem = fs::read_to_string(keys.file("a")).unwrap();
    let output = publish(&s3, &["--sign-key", &keys.file("a"), "--public-keys", &pem]);
    refused(&output, 1, &["a private key"]);
    assert!(!stderr(&output).contains(pem.lines().nth(1).unwrap()), "{}", stderr(&output));
    assert_eq!(s3.requests(), 0);
}

#[test]
fn no_revision_that_somebody_else_writes_there_is_in_the_way() {
    let keys = Keys::new();
    let key = keys.file("a");
    let unsigned = |revision: u64| {
        let mut parts = Parts::of(&bundle_bytes(1));
        parts.manifest["revision"] = revision.into();
        parts.together()
    };
    const HIGHEST: u64 = (1 << 53) - 1;
    for revision in [u64::MAX, u64::MAX - 1, HIGHEST + 1, HIGHEST, HIGHEST - 1, 1 << 52, (1 << 32) + 1] {
        for sign in [[].as_slice(), &["--sign-key", &key]] {
            let s3 = S3::start();
            let store = store("x");
            let publish = |more: &[&str]| publish(&s3, &[&["--store", path(&store)], sign, more].concat());
            let published =
                |more: &[&str]| published(&s3, &[&["--store", path(&store)], sign, more].concat());
            // As the first bundle, after others, and with its number in the history.
            s3.put(BUCKET, KEY, unsigned(revision));
            let opens_without_keys = sign.is_empty() && revision < HIGHEST;
            if !opens_without_keys {
                refused(&publish(&[]), 3, &["--force replaces it by revision 1"]);
                assert_eq!(published(&["--force"])["revision"], 1);
                remark(&store, "y");
                assert_eq!(published(&[])["revision"], 2);
                s3.put(BUCKET, KEY, unsigned(revision));
                s3.put(BUCKET, &history(revision), unsigned(revision));
                s3.put(BUCKET, &history(HIGHEST - 1), unsigned(HIGHEST - 1));
                s3.put(BUCKET, &history(7), "<html>");
                s3.put(BUCKET, &format!("{KEY}.0009"), unsigned(9));
                refused(&publish(&[]), 3, &["--force replaces it by revision 3"]);
                assert_eq!(published(&["--force"])["revision"], 3);
                assert_eq!(published(&[])["status"], "unchanged");
            }
        }
    }
}

#[test]
fn metadata_of_somebody_else_does_not_use_the_numbers_up() {
    let (s3, keys) = (S3::start(), Keys::new());
    let key = keys.file("a");
    published(&s3, &["--sign-key", &key]);
    for revision in [u64::MAX, (1 << 53) - 2, (1 << 32) + 1] {
        s3.note(BUCKET, KEY, "x-amz-meta-revision", &revision.to_string());
        s3.alter(BUCKET, KEY, "<html>");
        refused(&publish(&s3, &["--sign-key", &key]), 3, &["--force replaces it by revision 2"]);
        // Neither does a bundle in the history: its signature is valid, but for another number.
        s3.put(BUCKET, &history(1 << 40), s3.object(BUCKET, &history(1)).unwrap().0);
        refused(&publish(&s3, &["--sign-key", &key]), 3, &["--force replaces it by revision 2"]);
    }
    assert_eq!(published(&s3, &["--sign-key", &key, "--force"])["revision"], 2);
}

#[test]
fn an_interrupted_publication_leaves_a_revision_that_can_be_gone_back_to_if_it_was_signed() {
    let (s3, keys) = (S3::start(), Keys::new());
    let key = keys.file("a");
    let store = store("x");
    published(&s3, &["--store", path(&store), "--sign-key", &key]);
    remark(&store, "y");
    s3.fault_put(KEY, S3Fault::Forbidden);
    refused(&publish(&s3, &["--store", path(&store), "--sign-key", &key]), 1, &["AccessDenied"]);
    s3.fault_put(KEY, S3Fault::None);
    let orphan = s3.object(BUCKET, &history(2)).unwrap().0;
    // Somebody writes another bundle under its number. It stays there and is not signed.
    s3.put(BUCKET, &history(2), bundle_bytes(2));
    refused(&publish(&s3, &["--rollback", "2", "--sign-key", &key]), 3, &["the bundle is not signed"]);
    assert_eq!(published(&s3, &["--store", path(&store), "--sign-key", &key])["revision"], 3);
    s3.put(BUCKET, &history(2), orphan);
    remark(&store, "z");
    assert_eq!(published(&s3, &["--store", path(&store), "--sign-key", &key])["revision"], 4);
    assert_eq!(published(&s3, &["--rollback", "2", "--sign-key", &key])["revision"], 5);
}

#[test]
fn a_bundle_for_a_tenant_stays_one_for_that_tenant() {
    let (s3, keys) = (S3::start(), Keys::new());
    let sign = ["--sign-key", &keys.file("a")];
    let store = store("x");
    let with = |more: &[&'static str]| [&["--store", path(&store)], &sign[..], more].concat();
    let report = published(&s3, &with(&["--tenant", "acme"]));
    assert_eq!((&report["tenant"], &report["name"]), (&json!("acme"), &json!("petstore")));
    let tenant = || bundle(&s3, KEY).manifest().tenant.as_ref().map(ToString::to_string);
    assert_eq!(tenant().as_deref(), Some("acme"));
    assert_eq!(published(&s3, &with(&["--tenant", "acme"]))["status"], "unchanged");
    for more in [[].as_slice(), &["--tenant", "globex"]] {
        refused(&publish(&s3, &with(more)), 1, &["the bundle of the tenant `acme`", "--tenant acme"]);
    }
    remark(&store, "y");
    published(&s3, &with(&["--tenant", "acme"]));
    // A rollback is for the same tenant as before.
    let rollback = [&["--rollback", "1"], &sign[..]].concat();
    refused(&publish(&s3, &[&rollback[..], &["--tenant", "globex"]].concat()), 3, &["for the tenant `acme`"]);
    assert_eq!(published(&s3, &rollback)["tenant"], "acme");
    assert_eq!(tenant().as_deref(), Some("acme"));
    assert_eq!(published(&s3, &with(&["--tenant", "globex", "--force"]))["revision"], 4);
    for name in ["", "../x", "a/b", ".a", "a b", "{tenant}", "$default"] {
        refused(&publish(&s3, &with(&["--tenant", name])), 1, &["not the name of a tenant"]);
    }
}

#[test]
fn another_store_signed_with_the_same_key_is_not_taken_for_this_one() {
    let (s3, keys) = (S3::start(), Keys::new());
    let key = keys.file("a");
    let other = S3::start();
    let kennel = kennel();
    published(&other, &["--store", path(&kennel), "--sign-key", &key]);
    published(&s3, &["--sign-key", &key]);
    s3.put(BUCKET, KEY, other.object(BUCKET, KEY).unwrap().0);
    refused(&publish(&s3, &["--sign-key", &key]), 1, &["has the store `kennel`, and this is `petstore`"]);
    for more in [[].as_slice(), &["--force"]] {
        let output = publish(&s3, &[&["--rollback", "1", "--sign-key", &key], more].concat());
        refused(&output, 3, &["of the store `petstore`", "of `kennel`"]);
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let s3 = S3::start();
    let store = store("a");
    let dry = |revision: u64| {
        let report = published(&s3, &["--store", path(&store), "--dry-run"]);
        assert_eq!((&report["status"], &report["revision"]), (&json!("would-publish"), &json!(revision)));
        report
    };
    dry(1);
    assert!(s3.keys(BUCKET).is_empty());
    published(&s3, &["--store", path(&store)]);
    remark(&store, "b");
    assert_eq!(dry(2)["changes"]["policies"]["changed"], json!(["mark"]));
    let output = publish(&s3, &["--rollback", "1", "--dry-run"]);
    assert!(stdout(&output).starts_with("unchanged: "), "{}", stdout(&output));
    assert_eq!((s3.puts(), bundle(&s3, KEY).revision()), (2, 1));
}

#[test]
fn a_rollback_is_the_old_content_under_a_new_revision() {
    let s3 = S3::start();
    let store = store("a");
    published(&s3, &["--store", path(&store)]);
    remark(&store, "b");
    published(&s3, &["--store", path(&store)]);

    let output = publish(&s3, &["--rollback", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.starts_with("published: petstore revision 3 with the content of revision 1, ")
            && text.contains("\n  changed policy mark\n"),
        "{text}"
    );
    assert_eq!(bundle(&s3, KEY).revision(), 3);
    let mark = |key: &str| member(&s3, key, "policies/mark.cedar");
    assert_eq!(mark(KEY), mark(&history(1)));
    assert_ne!(mark(KEY), mark(&history(2)));
    assert_eq!(published(&s3, &["--rollback", "3"])["status"], "unchanged");
}

#[test]
fn a_rollback_to_what_is_not_there_or_not_whole_is_refused() {
    let s3 = S3::start();
    published(&s3, &[]);
    refused(&publish(&s3, &["--rollback", "7"]), 1, &["there is no revision 7", "petstore.bundle.7`"]);

    let mut altered = bundle_bytes(7);
    // The last byte of the last member.
    let last = altered.len() - 33;
    altered[last] ^= 1;
    for (bytes, message) in [
        (altered, "was altered"),
        (bundle_bytes(8), "the bundle says that it is revision 8"),
        (b"<html>".to_vec(), "not a bundle"),
    ] {
        s3.put(BUCKET, &history(7), bytes);
        refused(&publish(&s3, &["--rollback", "7"]), 3, &[message, "petstore.bundle.7`"]);
    }
    assert_eq!((s3.puts(), bundle(&s3, KEY).revision()), (2, 1));
}

#[test]
fn of_two_who_saw_the_same_bundle_one_publishes() {
    let s3 = S3::start();
    let stores = [store("a"), store("b")];
    let mut revision = 0;
    for round in 0..20 {
        for (store, name) in stores.iter().zip(["a", "b"]) {
            remark(store, &format!("{name}{round}"));
        }
        let before = s3.object(BUCKET, KEY);
        s3.meet(KEY, 2);
        let children: Vec<Child> =
            stores.iter().map(|store| command(&s3, &["--store", path(store)]).spawn().unwrap()).collect();
        let outputs: Vec<Output> =
            children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let (won, lost): (Vec<_>, Vec<_>) =
            outputs.iter().zip(["a", "b"]).partition(|(output, _)| output.status.success());
        assert_eq!((won.len(), lost.len()), (1, 1), "{outputs:?}");

        let current = bundle(&s3, KEY);
        // One more if the other one, which came second, had already taken a number of its own.
        assert!([revision + 1, revision + 2].contains(&current.revision()), "{revision}");
        revision = current.revision();
        assert_eq!(s3.object(BUCKET, KEY).unwrap().0, s3.object(BUCKET, &history(revision)).unwrap().0);
        let named = format!("PetStore::User::\"{}{round}\"", won[0].1);
        assert!(current.policies().unwrap().to_string().contains(&named), "{named}");
        if let Some((before, _)) = before {
            let old = Bundle::open(before.clone(), DevelopmentKeys::Allow).unwrap().revision();
            assert_eq!(s3.object(BUCKET, &history(old)).unwrap().0, before);
        }
        let is_current = format!("revision {revision} is current now, and nothing was overwritten");
        refused(lost[0].0, 1, &["somebody else published", &is_current, "publish again"]);
    }
}

#[test]
fn of_many_at_any_moment_each_wins_a_revision_of_its_own_or_nothing() {
    const PUBLISHERS: usize = 4;
    const ROUNDS: usize = 8;
    let s3 = S3::start();
    let mut won: Vec<(u64, String)> = thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let s3 = &s3;
                scope.spawn(move || {
                    let store = store("none");
                    let mut won = Vec::new();
                    for round in 0..ROUNDS {
                        let mark = format!("p{publisher}r{round}");
                        remark(&store, &mark);
                        let output = publish(s3, &["--store", path(&store), "--format", "json"]);
                        if output.status.success() {
                            let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
                            won.push((report["revision"].as_u64().unwrap(), mark));
                        } else {
                            refused(&output, 1, &["somebody else published"]);
                        }
                    }
                    won
                })
            })
            .collect();
        publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect()
    });
    won.sort();
    assert!(!won.is_empty());
    assert!(won.is_sorted_by(|a, b| a.0 < b.0), "a revision was won twice: {won:?}");
    for (revision, mark) in &won {
        let bundle = bundle(&s3, &history(*revision));
        assert_eq!(bundle.revision(), *revision);
        assert!(bundle.policies().unwrap().to_string().contains(&format!("\"{mark}\"")));
    }
    let last = won.last().unwrap().0;
    assert_eq!(bundle(&s3, KEY).revision(), last);
    assert_eq!(s3.object(BUCKET, KEY).unwrap().0, s3.object(BUCKET, &history(last)).unwrap().0);
}

#[test]
fn who_is_killed_between_the_two_writes_leaves_the_old_bundle_and_the_way_free() {
    for signal in ["INT", "KILL"] {
        let s3 = S3::start();
        let store = store("a");
        published(&s3, &["--store", path(&store)]);
        remark(&store, "b");
        s3.fault_put(KEY, S3Fault::Hang);
        let mut child = command(&s3, &["--store", path(&store)]).spawn().unwrap();
        let begun = Instant::now();
        while s3.puts() < 4 {
            assert!(begun.elapsed() < Duration::from_secs(30), "the second write never came");
            thread::sleep(Duration::from_millis(5));
        }
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success() && !child.wait().unwrap().success());
        assert_eq!(bundle(&s3, KEY).revision(), 1);
        assert_eq!(s3.keys(BUCKET).len(), 3);
        s3.fault_put(KEY, S3Fault::None);

        // The same content again is already there, under its number.
        if signal == "INT" {
            assert_eq!(published(&s3, &["--store", path(&store)])["revision"], 2);
            assert_eq!(s3.keys(BUCKET).len(), 3);
        }
        // Other content skips the number.
        remark(&store, "c");
        let orphan = s3.object(BUCKET, &history(2)).unwrap().0;
        assert_eq!(published(&s3, &["--store", path(&store)])["revision"], 3);
        assert_eq!(s3.object(BUCKET, &history(2)).unwrap().0, orphan);
        assert_eq!(bundle(&s3, KEY).revision(), 3);
    }
}

#[test]
fn an_answer_that_is_lost_is_not_taken_for_somebody_else() {
    for key in [KEY.to_owned(), history(1)] {
        let s3 = S3::start();
        s3.fault_put(&key, S3Fault::AnswerLost);
        let report = published(&s3, &[]);
        assert_eq!((&report["revision"], &report["versionId"]), (&json!(1), &json!("version-1")));
        assert_eq!((s3.puts(), bundle(&s3, KEY).revision()), (3, 1));
    }
}

#[test]
fn what_cannot_be_read_is_not_replaced() {
    let region = "the bucket is in eu-central-1";
    let rows = [
        (S3Fault::Forbidden, ["AccessDenied", "s3:ListBucket"]),
        (S3Fault::Error(404, "NoSuchBucket"), ["there is no such bucket", "create the bucket"]),
        (
            S3Fault::Error(403, "RequestTimeTooSkewed"),
            ["the clock of this machine is wrong", "set the clock"],
        ),
        (S3Fault::Error(403, "InvalidAccessKeyId"), ["no usable credentials", "AWS_PROFILE"]),
        (S3Fault::Error(400, "ExpiredToken"), ["no usable credentials", "AWS_PROFILE"]),
        (S3Fault::Region("eu-central-1"), [region, "set AWS_REGION=eu-central-1"]),
        (S3Fault::InternalError, ["InternalError", "cannot read"]),
        (S3Fault::Reset, ["no answer", "is the network up?"]),
        (S3Fault::Truncated, ["the answer broke off", "cannot read"]),
    ];
    side_by_side(rows, |(fault, texts)| {
        let s3 = S3::start();
        s3.put(BUCKET, KEY, bundle_bytes(1));
        s3.fault(fault);
        refused(&publish(&s3, &["--force"]), 1, &[&texts[..], &[URI]].concat());
        assert_eq!(s3.puts(), 0);
    });
}

#[test]
fn what_cannot_be_written_leaves_the_old_bundle() {
    let unknown = "it is not known whether revision 2 is current now";
    let rows = [
        (S3Fault::Forbidden, "AccessDenied", "s3:PutObject"),
        (S3Fault::Error(404, "NoSuchBucket"), "there is no such bucket", "there is no such bucket"),
        (S3Fault::InternalError, "InternalError", unknown),
        (S3Fault::Reset, "no answer", unknown),
        (S3Fault::Error(409, "ConditionalRequestConflict"), "somebody else", "nothing was overwritten"),
        (S3Fault::Error(412, "PreconditionFailed"), "somebody else", "nothing was overwritten"),
    ];
    let rows = rows.into_iter().flat_map(|(fault, at_history, at_current)| {
        [(fault, history(2), at_history), (fault, KEY.to_owned(), at_current)]
    });
    side_by_side(rows, |(fault, key, text)| {
        let s3 = S3::start();
        published(&s3, &[]);
        let before = s3.object(BUCKET, KEY);
        s3.fault_put(&key, fault);
        refused(&publish(&s3, &["--force"]), 1, &[text]);
        assert_eq!(s3.object(BUCKET, KEY), before);
        assert_eq!(s3.keys(BUCKET).contains(&history(2)), key == KEY);
        s3.fault_put(&key, S3Fault::None);
        assert_eq!(published(&s3, &["--force"])["revision"], 2);
    });
}

/// Runs all rows of a table at once. Most of their time, the SDK waits for its next attempt.
fn side_by_side<T: Send>(rows: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for row in rows {
            scope.spawn(|| test(row));
        }
    });
}

#[test]
fn without_network_region_or_credentials_it_says_so() {
    let s3 = S3::start();
    for (variable, value, texts) in [
        ("AWS_ENDPOINT_URL_S3", Some("http://127.0.0.1:1"), ["no answer", "AWS_ENDPOINT_URL_S3"]),
        ("AWS_REGION", None, ["no region is set", "set AWS_REGION"]),
        ("AWS_ACCESS_KEY_ID", None, ["no usable credentials", "AWS_PROFILE"]),
    ] {
        let mut command = command(&s3, &[]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
        refused(&command.output().unwrap(), 1, &texts);
    }
    assert_eq!(s3.requests(), 0);
}

#[test]
fn an_invalid_store_is_not_worth_a_request() {
    let s3 = S3::start();
    let store = StoreCopy::new();
    store.write("entities.json", b"[{]");
    refused(&publish(&s3, &["--store", path(&store)]), 3, &["error[entities-invalid]", "is invalid"]);
    refused(&publish(&s3, &["--store", "no/such/store"]), 1, &["cannot read `no/such/store`"]);
    assert_eq!(s3.requests(), 0);
}

#[test]
fn what_is_no_bundle_is_replaced_only_by_force_and_only_if_its_revision_is_known() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, "<html>");
    for arguments in [[].as_slice(), &["--force"]] {
        refused(&publish(&s3, arguments), 3, &["cannot be opened", "not a bundle", "move it away"]);
    }
    s3.remove(BUCKET, KEY);
    published(&s3, &[]);
    // With the metadata of `publish`, as if another version of it had written this.
    s3.alter(BUCKET, KEY, "<html>");
    refused(&publish(&s3, &[]), 3, &["cannot be opened", "--force replaces it by revision 2"]);
    assert_eq!(published(&s3, &["--force"])["revision"], 2);
}

#[test]
fn another_store_is_replaced_only_by_force() {
    let s3 = S3::start();
    published(&s3, &[]);
    let store = StoreCopy::new();
    let settings = fs::read_to_string(store.path().join("store.toml")).unwrap();
    let renamed = settings.replace("name = \"petstore\"", "name = \"kennel\"");
    assert_ne!(settings, renamed);
    store.write("store.toml", renamed.as_bytes());
    refused(
        &publish(&s3, &["--store", path(&store)]),
        1,
        &["has the store `petstore`, and this is `kennel`", "--force if it was renamed"],
    );
    assert_eq!(published(&s3, &["--store", path(&store), "--force"])["revision"], 2);
}

#[test]
fn a_bundle_that_was_copied_there_by_hand_joins_the_history() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, bundle_bytes(41));
    let store = store("a");
    assert_eq!(published(&s3, &["--store", path(&store)])["revision"], 42);
    assert_eq!(s3.keys(BUCKET), [KEY.to_owned(), history(41), history(42)]);
    assert_eq!(s3.object(BUCKET, &history(41)).unwrap().0, bundle_bytes(41));
    assert_eq!(published(&s3, &["--rollback", "41"])["revision"], 43);
}

#[test]
fn without_a_current_bundle_it_goes_on_behind_the_history() {
    let s3 = S3::start();
    for _ in 0..3 {
        published(&s3, &["--force"]);
    }
    s3.remove(BUCKET, KEY);
    let store = store("a");
    assert_eq!(published(&s3, &["--store", path(&store)])["revision"], 4);

    s3.remove(BUCKET, KEY);
    for revision in 5..=100 {
        s3.put(BUCKET, &history(revision), "x");
    }
    remark(&store, "b");
    refused(
        &publish(&s3, &["--store", path(&store)]),
        1,
        &["the revisions 1 to 100", "are all taken", &format!("aws s3 cp {URI}.100 {URI}")],
    );
    assert_eq!(s3.object(BUCKET, KEY), None);
}

#[test]
fn publish_pins_the_keys_that_it_fetches() {
    let key = SigningKey::p256();
    let server = KeyServer::start(json!({"keys": [key.jwk("k")]}));
    let store = StoreCopy::with_jwks_uri(&server.uri());
    let s3 = S3::start();
    published(&s3, &["--store", path(&store), "--pin-jwks"]);
    let bundle = Bundle::open(s3.object(BUCKET, KEY).unwrap().0, DevelopmentKeys::Refuse).unwrap();
    assert_eq!(bundle.identity_sources()[0].pinned_keys().unwrap().len(), 1);
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_destination_is_an_object_in_s3_and_a_rollback_needs_no_store() {
    for to in
        ["", "petstore.bundle", "file:///tmp/x", "s3://bucket", "s3://bucket/dir/", "s3://b/k?versionId=v"]
    {
        let output = run(&["publish", "--to", to]);
        refused(&output, 1, &["--to"]);
    }
    let to = ["publish", "--to", URI, "--rollback", "1"];
    for more in [["--store", "policies"].as_slice(), &["--pin-jwks"]] {
        refused(&run(&[&to, more].concat()), 1, &["cannot be used with"]);
    }
}

#[test]
fn a_published_change_is_in_force_within_the_interval_and_a_broken_bundle_is_not() {
    let s3 = S3::start();
    let store = StoreCopy::new();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let made = Command::new(CLI).args(["keygen", "--output"]).arg(&key).output().unwrap();
    let public_key = String::from_utf8(made.stdout).unwrap().trim_end().to_owned();
    let endpoint = s3.endpoint();
    let publish = || {
        let output = Command::new(CLI)
            .args(["publish", "--to", "s3://live/petstore.bundle", "--sign-key"])
            .arg(&key)
            .arg("--store")
            .arg(store.path())
            .env("AWS_ENDPOINT_URL_S3", &endpoint)
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-east-1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    publish();
    let environment = [
        ("BUNDLE_URI", "s3://live/petstore.bundle"),
        ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
        ("BUNDLE_PUBLIC_KEYS", public_key.as_str()),
        ("BUNDLE_NAME", "petstore"),
        ("BUNDLE_REFRESH_SECONDS", "1"),
        ("ALLOW_DEVELOPMENT_KEYS", "true"),
    ];
    let function = Function::start(FUNCTION, environment).unwrap();
    let called = event(&token("alice", json!({})), "GET", "/pets");
    let answer = || match function.invoke(&called) {
        Answer::Response(response) => {
            let arn = called["methodArn"].as_str().unwrap();
            (passes(Some(&response), arn, NotResource::Honoured), response["context"]["revision"].clone())
        }
        Answer::Error { error_message, .. } => panic!("{error_message}"),
    };
    // The patience only decides when the test gives up.
    let eventually = |expected: (bool, Value)| {
        let started = Instant::now();
        while answer() != expected {
            assert!(started.elapsed() < Duration::from_secs(60), "{:?} {}", answer(), function.logs());
            thread::sleep(Duration::from_millis(50));
        }
    };
    assert_eq!(answer(), (true, json!(1)));
    store.write("policies/stop.cedar", b"@id(\"stop\") forbid (principal, action, resource);");
    publish();
    eventually((false, json!(2)));
    store.remove("policies/stop.cedar");
    publish();
    eventually((true, json!(3)));

    // Whatever is wrong with the next bundle, the last good one stays.
    let signer: PrivateKey = fs::read_to_string(&key).unwrap().parse().unwrap();
    let bundles = faults(&signer, UnixTime::from_seconds(ISSUED_AT))
        .into_iter()
        .map(|(code, bytes)| (S3Fault::None, code, bytes));
    let of_s3 = FAULTS_OF_S3.into_iter().map(|(fault, code, _)| (fault, code, bundle_bytes(4)));
    for (fault, code, bytes) in bundles.chain(of_s3) {
        let refusals = || function.logs().matches(code).count();
        let before = refusals();
        s3.put("live", "petstore.bundle", bytes);
        s3.fault(fault);
        let started = Instant::now();
        while refusals() == before {
            assert!(started.elapsed() < Duration::from_secs(60), "{code}: {}", function.logs());
            assert_eq!(answer(), (true, json!(3)), "{code}");
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(answer(), (true, json!(3)), "{code}");
    }
    s3.fault(S3Fault::None);
    s3.put(
        "live",
        "petstore.bundle",
        build(Edition { revision: 4, signing_keys: &[signer], ..Edition::default() }),
    );
    eventually((true, json!(4)));
}

/// Text that has nothing in common with itself.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed;
    let word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("// {state:016x}\n")
    };
    std::iter::repeat_with(word).take(length / 20).collect()
}

#[test]
fn of_a_large_bundle_only_what_is_new_is_sent() {
    let s3 = S3::start();
    let store = store("x");
    for file in 0..7 {
        let policy = "permit (principal == PetStore::User::\"a\", action, resource);\n";
        store.write(&format!("policies/large-{file}.cedar"), (noise(file, 1 << 20) + policy).as_bytes());
    }
    let first = published(&s3, &["--store", path(&store)]);
    let size = s3.object(BUCKET, KEY).unwrap().0.len();
    assert_eq!(first["revision"], 1);
    assert!(size > 7 << 20, "{size}");

    for revision in 2..5 {
        let before = s3.received();
        let policy = format!("permit (principal == PetStore::User::\"{revision}\", action, resource);\n");
        store.write("policies/large-3.cedar", (noise(3, 1 << 20) + &policy).as_bytes());
        let report = published(&s3, &["--store", path(&store)]);
        assert_eq!(report["revision"], revision);
        // Twice, for the current object and for the history.
        let sent = s3.received() - before;
        assert!(sent < size / 20 + 2 * (1 << 18), "{sent} of {size}");
        assert_eq!(bundle(&s3, KEY).revision(), revision);
        assert_eq!(bundle(&s3, &history(revision)).digest(), bundle(&s3, KEY).digest());
        assert_eq!(s3.uploads(), 0, "of multipart uploads that were left");
    }
    // The bundle is what its sources make, although its chunks stand elsewhere than `build` puts them.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("petstore.bundle");
    fs::write(&file, s3.object(BUCKET, KEY).unwrap().0).unwrap();
    let verified = run(&["inspect", file.to_str().unwrap(), "--verify"]);
    assert!(verified.status.success(), "{}", stdout(&verified));
}
