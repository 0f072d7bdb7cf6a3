//! `publish --require diff` and `--report`: nothing is published that changes access without agreement, and each revision
//! has its report.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{BUCKET, KEY, Keys, URI, bundle, command, history, path, publish, published};
use crate::loopback::{S3, S3Fault};
use crate::world::{StoreCopy, run, sample_store, stderr, stdout};

/// The store in which employees add pets without the scope.
fn widened() -> StoreCopy {
    let store = StoreCopy::of(&sample_store());
    let file = "policies/attributes.cedar";
    let text = fs::read_to_string(store.path().join(file)).unwrap();
    store.write(file, text.replace("when { context", "when { true || context").as_bytes());
    store
}

fn report_key(revision: u64) -> String {
    format!("{KEY}.{revision}.diff.json")
}

#[track_caller]
fn stored_report(s3: &S3, revision: u64) -> Value {
    let (bytes, headers) = s3.object(BUCKET, &report_key(revision)).unwrap();
    assert_eq!(headers["content-type"], "application/json");
    serde_json::from_slice(&bytes).unwrap()
}

/// The sample store as revision 1, and the arguments that publish the other one.
struct World {
    s3: S3,
    store: StoreCopy,
    report: PathBuf,
    agreed: PathBuf,
}

impl World {
    fn new() -> Self {
        let (s3, store) = (S3::start(), widened());
        published(&s3, &[]);
        let folder = tempfile::tempdir().unwrap().keep();
        // What everybody agreed to.
        let output = run(&["diff", "policies", path(&store), "--format", "agreement"]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let agreed = folder.join("agreed.txt");
        fs::write(&agreed, stdout(&output)).unwrap();
        Self { s3, store, report: folder.join("report.json"), agreed }
    }

    fn publish(&self, arguments: &[&str]) -> Output {
        let own =
            ["--store", path(&self.store), "--require", "diff", "--report", self.report.to_str().unwrap()];
        publish(&self.s3, &[&own, arguments].concat())
    }

    fn agreed(&self) -> [&str; 2] {
        ["--allow-only", self.agreed.to_str().unwrap()]
    }

    fn local_report(&self) -> Value {
        serde_json::from_slice(&fs::read(&self.report).unwrap()).unwrap()
    }
}

#[test]
fn what_was_not_agreed_to_is_not_published() {
    let world = World::new();
    let puts = world.s3.puts();
    for arguments in [&[][..], &["--dry-run"], &["--force"]] {
        let output = world.publish(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let (text, said) = (stdout(&output), stderr(&output));
        assert!(text.contains("gained  persona carol") && !text.contains("publish"), "{text}");
        assert!(said.contains("refused: ") && said.contains("nothing was published"), "{said}");
        let hint =
            format!("cedar-authorizer diff {URI} {} --format agreement > agreed.txt", path(&world.store));
        assert!(said.contains(&hint), "{said}");
        assert_eq!((world.s3.puts(), bundle(&world.s3, KEY).revision()), (puts, 1));
        assert_eq!(world.local_report()["result"], "changed");
        fs::remove_file(&world.report).unwrap();
    }
    let output = world.publish(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["status"], &report["diff"]["result"]), (&json!("refused"), &json!("changed")));

    // One line too few.
    let all = fs::read_to_string(&world.agreed).unwrap();
    let last = all.trim_end().rfind('\n').unwrap();
    fs::write(&world.agreed, all.get(..last).unwrap()).unwrap();
    let output = world.publish(&world.agreed());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("refused: 1 change was not agreed to"), "{}", stderr(&output));
    assert_eq!(world.s3.puts(), puts);
    fs::write(&world.agreed, "nonsense\n").unwrap();
    assert_eq!(world.publish(&world.agreed()).status.code(), Some(1));
    // Without the requirement it is reported and published.
    assert_eq!(publish(&world.s3, &["--store", path(&world.store)]).status.code(), Some(0));
}

#[test]
fn what_was_agreed_to_is_published_with_its_report() {
    let world = World::new();
    let output = world.publish(&[&world.agreed()[..], &["--dry-run"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(world.s3.keys(BUCKET).len(), 2);
    assert_eq!(world.local_report()["new"]["revision"], 2);

    let output = world.publish(&world.agreed());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let (before, after) = text.split_once("published: petstore revision 2").unwrap();
    assert!(before.contains("gained (agreed)") && before.contains("all "), "{before}");
    assert!(after.contains(URI), "{after}");
    let mut keys = [KEY.to_owned(), history(1), history(2), report_key(2)];
    keys.sort();
    assert_eq!(world.s3.keys(BUCKET), keys);

    let report = stored_report(&world.s3, 2);
    assert_eq!(report, world.local_report());
    let digest = |key: &str| bundle(&world.s3, key).digest().to_owned();
    assert_eq!(report["new"]["digest"], digest(KEY));
    assert_eq!(report["old"]["digest"], digest(&history(1)));
    assert_eq!((&report["old"]["revision"], &report["new"]["revision"]), (&json!(1), &json!(2)));
    assert_eq!((&report["result"], &report["old"]["name"]), (&json!("fine"), &json!(URI)));
    let changes = report["changes"].as_array().unwrap();
    assert!(!changes.is_empty() && changes.iter().all(|change| change["agreed"] == true), "{changes:?}");

    // No report is taken for a revision: without a current bundle, the history says which comes next.
    world.s3.remove(BUCKET, KEY);
    world.s3.put(BUCKET, KEY, "no bundle");
    assert_eq!(published(&world.s3, &["--force"])["revision"], 3);
}

#[test]
fn a_rollback_is_compared_too() {
    let world = World::new();
    assert_eq!(world.publish(&world.agreed()).status.code(), Some(0));
    let report = world.report.to_str().unwrap();
    let back = ["--rollback", "1", "--require", "diff", "--report", report];
    let output = publish(&world.s3, &back);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stdout(&output).contains("lost  group employee"), "{}", stdout(&output));
    let changes = world.local_report()["changes"].clone();
    let lines: Vec<&str> =
        changes.as_array().unwrap().iter().map(|change| change["line"].as_str().unwrap()).collect();
    fs::write(&world.agreed, lines.join("\n")).unwrap();
    let output = publish(&world.s3, &[&back[..], &world.agreed()].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = stored_report(&world.s3, 3);
    assert_eq!(report["new"]["name"], format!("{URI}.1"));
    assert_eq!((&report["new"]["revision"], &report["old"]["revision"]), (&json!(3), &json!(2)));
}

#[test]
fn the_first_bundle_has_nothing_to_be_compared_with() {
    let s3 = S3::start();
    let output = publish(&s3, &["--require", "diff"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("nothing that access could be compared with"), "{}", stdout(&output));
    // Whoever removes it does not make the next one the first.
    s3.remove(BUCKET, KEY);
    let output = publish(&s3, &["--require", "diff"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains(&format!("aws s3 cp {URI}.1 {URI}")), "{}", stderr(&output));
    // Nor does whoever breaks it.
    s3.put(BUCKET, KEY, "no bundle");
    let output = publish(&s3, &["--require", "diff", "--force"]);
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
    assert!(stderr(&output).contains("nothing can be compared with it"), "{}", stderr(&output));
    assert_eq!(s3.keys(BUCKET), [KEY.to_owned(), history(1)]);
}

#[test]
fn nothing_new_needs_no_agreement_and_gets_no_report() {
    let world = World::new();
    let report = world.report.to_str().unwrap();
    let output = publish(&world.s3, &["--require", "diff", "--report", report]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("unchanged: petstore revision 1"), "{}", stdout(&output));
    assert_eq!(world.s3.keys(BUCKET).len(), 2);
    assert_eq!(world.local_report()["result"], "fine");
}

#[test]
fn a_report_says_who_signed_both() {
    let keys = Keys::new();
    let s3 = S3::start();
    published(&s3, &["--sign-key", &keys.file("a")]);
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let store = StoreCopy::of(&sample_store());
    store.write("policies/none.cedar", b"// Nothing.\n");
    let trusted = keys.public(&["a", "b"]);
    let arguments = ["--store", path(&store), "--sign-key", &keys.file("b"), "--public-keys", &trusted];
    let output = publish(&s3, &[&arguments[..], &["--report", report.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = stored_report(&s3, 2);
    let (old, new) = (&report["old"]["signatures"], &report["new"]["signatures"]);
    assert_eq!((&old[0]["status"], &new[0]["status"]), (&json!("valid"), &json!("valid")));
    assert_ne!(old[0]["keyId"], new[0]["keyId"]);
}

#[test]
fn whoever_is_interrupted_after_the_report_leaves_the_old_bundle_and_the_way_free() {
    let world = World::new();
    world.s3.fault_put(KEY, S3Fault::Hang);
    let report = world.report.to_str().unwrap();
    let own = ["--store", path(&world.store), "--require", "diff", "--report", report];
    let mut child = command(&world.s3, &[&own[..], &world.agreed()].concat()).spawn().unwrap();
    let begun = Instant::now();
    while world.s3.object(BUCKET, &report_key(2)).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the report never came");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(bundle(&world.s3, KEY).revision(), 1);
    // It says which bundle it is about, and that never became current.
    let orphan = stored_report(&world.s3, 2);
    assert_ne!(orphan["new"]["digest"], bundle(&world.s3, KEY).digest());
    world.s3.fault_put(KEY, S3Fault::None);
    // The same again finds both, and goes on.
    assert_eq!(world.publish(&world.agreed()).status.code(), Some(0));
    assert_eq!(bundle(&world.s3, KEY).revision(), 2);
    assert_eq!(stored_report(&world.s3, 2), orphan);
    assert_eq!(world.s3.keys(BUCKET).len(), 4);
}

#[test]
fn a_number_whose_report_is_another_one_is_skipped() {
    let world = World::new();
    world.s3.put(BUCKET, &report_key(2), "somebody else's");
    assert_eq!(world.publish(&world.agreed()).status.code(), Some(0));
    assert_eq!(bundle(&world.s3, KEY).revision(), 3);
    let report = stored_report(&world.s3, 3);
    // The report has the number that was really published, and so has the file.
    assert_eq!(report["new"]["revision"], 3);
    assert_eq!(report["new"]["digest"], bundle(&world.s3, KEY).digest());
    assert_eq!(world.local_report(), report);
    assert_eq!(world.s3.object(BUCKET, &report_key(2)).unwrap().0, "somebody else's");
}

#[test]
fn of_two_at_once_the_winner_has_a_report() {
    let world = World::new();
    world.s3.meet(KEY, 2);
    let note = |mark: &str| {
        let store = widened();
        store.write("policies/note.cedar", format!("// {mark}\n").as_bytes());
        store
    };
    let stores = [note("a"), note("b")];
    let codes: Vec<i32> = thread::scope(|scope| {
        let publish = |store| {
            let world = &world;
            scope.spawn(move || {
                let report = world.report.with_extension(path(store).replace('/', "_"));
                let own = ["--store", path(store), "--require", "diff", "--report", report.to_str().unwrap()];
                publish(&world.s3, &[&own[..], &world.agreed()].concat()).status.code().unwrap()
            })
        };
        let running: Vec<_> = stores.iter().map(publish).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = codes;
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1]);
    let current = bundle(&world.s3, KEY);
    let report = stored_report(&world.s3, current.revision());
    assert_eq!(report["new"]["digest"], current.digest());
    assert_eq!(report["old"]["revision"], 1);
}

#[test]
fn a_report_that_cannot_be_stored_stops_the_publication() {
    let world = World::new();
    world.s3.fault_put(&report_key(2), S3Fault::Forbidden);
    let output = world.publish(&world.agreed());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("s3:PutObject"), "{}", stderr(&output));
    assert_eq!(bundle(&world.s3, KEY).revision(), 1);
}

#[test]
fn options_of_a_comparison_need_one() {
    let s3 = S3::start();
    let output = publish(&s3, &["--replay", "calls.jsonl"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--require diff"), "{}", stderr(&output));
    assert_eq!(publish(&s3, &["--allow-only", "agreed.txt"]).status.code(), Some(1));
    assert_eq!(s3.requests(), 0);
}
