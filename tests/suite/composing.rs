//! Objects that `store::publish` composes of others within S3: what is sent, and each fault of each step.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use cedar_authorizer::store::publish::{
    Composed, Condition, MIN_COPIED_BYTES, Notes, Progress, Shelf, ShelfFailure, Source,
};

use crate::loopback::{S3, S3Fault, Step};

const BUCKET: &str = "bundles";
const KEY: &str = "shop/petstore.bundle";
const OLD_KEY: &str = "shop/petstore.bundle.1";

const MIN: usize = MIN_COPIED_BYTES as usize;

const NOTES: Notes<'_> =
    Notes { content_type: "text/x", revision: 7, id: "the attempt", sha256: Some("abcd") };

const STEPS: [Step; 5] = [Step::Create, Step::CopyPart, Step::UploadPart, Step::Complete, Step::Abort];

/// A server with an object that parts are copied from, and a shelf in it.
struct World {
    s3: S3,
    shelf: Shelf,
    old: Bytes,
    /// What the progress was told.
    told: Arc<Mutex<Vec<(usize, usize)>>>,
}

impl World {
    fn new() -> Self {
        let s3 = S3::start();
        let old: Bytes = (0..MIN + 1000).map(|at| at.to_le_bytes()[at % 3]).collect();
        s3.put(BUCKET, OLD_KEY, old.clone());
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "the-secret", None, None, "test"))
            .endpoint_url(s3.endpoint())
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .build();
        Self { shelf: Shelf::new(Client::from_conf(config), BUCKET, KEY), s3, old, told: Arc::default() }
    }

    fn source(&self) -> Source {
        Source {
            key: OLD_KEY.to_owned(),
            etag: self.s3.etag(BUCKET, OLD_KEY),
            range: 10..MIN_COPIED_BYTES + 20,
        }
    }

    fn progress(&self) -> Progress {
        let told = Arc::clone(&self.told);
        Arc::new(move |sent, total| told.lock().unwrap().push((sent, total)))
    }

    fn compose(&self, from: &Source, condition: Condition<'_>) -> Result<Composed, ShelfFailure> {
        let rest = Bytes::from_static(REST);
        block_on(self.shelf.compose(KEY, from, rest, NOTES, condition, &self.progress()))
    }

    fn copy(&self, condition: Condition<'_>) -> Result<Composed, ShelfFailure> {
        let etag = self.s3.etag(BUCKET, OLD_KEY);
        block_on(self.shelf.copy(KEY, OLD_KEY, &etag, NOTES, condition))
    }

    /// The bytes under the key.
    fn stored(&self) -> Option<Bytes> {
        self.s3.object(BUCKET, KEY).map(|(bytes, _)| bytes)
    }

    /// What `compose` stores.
    fn composed(&self) -> Bytes {
        [&self.old[10..MIN + 20], REST].concat().into()
    }

    fn steps(&self) -> [usize; 5] {
        STEPS.map(|step| self.s3.steps(step))
    }
}

const REST: &[u8] = b"new bytes";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[track_caller]
fn done(composed: Result<Composed, ShelfFailure>) -> Option<String> {
    match composed {
        Ok(Composed::Done { version_id }) => version_id,
        other => panic!("{other:?}"),
    }
}

/// It was refused because of what is under the key, and nothing is left of it.
#[track_caller]
fn refused(composed: Result<Composed, ShelfFailure>) {
    assert!(matches!(composed, Ok(Composed::Refused { left: None })), "{composed:?}");
}

#[test]
fn an_object_is_composed_of_a_range_and_new_bytes_of_which_only_these_are_sent() {
    let world = World::new();
    assert_eq!(done(world.compose(&world.source(), Condition::Absent)).as_deref(), Some("version-1"));
    let (bytes, headers) = world.s3.object(BUCKET, KEY).unwrap();
    assert!(bytes == world.composed());
    for (name, value) in [
        ("content-type", "text/x"),
        ("x-amz-meta-revision", "7"),
        ("x-amz-meta-publication", "the attempt"),
        ("x-amz-meta-sha256", "abcd"),
    ] {
        assert_eq!(headers[name], value);
    }
    // One checksum of two checksums.
    assert!(headers["x-amz-checksum-sha256"].to_str().unwrap().ends_with("-2"));
    assert_eq!((world.steps(), world.s3.uploads()), ([1, 1, 1, 1, 0], 0));
    assert_eq!((world.s3.received(), world.s3.sent(), world.s3.puts()), (REST.len(), 0, 0));
    let told = world.told.lock().unwrap();
    assert!(told.iter().all(|(sent, total)| sent <= total && *total == REST.len()), "{told:?}");
    assert_eq!(told.last(), Some(&(REST.len(), REST.len())));
}

#[test]
fn the_source_may_be_the_object_that_is_replaced() {
    let world = World::new();
    world.s3.put(BUCKET, KEY, world.old.clone());
    let etag = world.s3.etag(BUCKET, KEY);
    let source = Source { key: KEY.to_owned(), etag: etag.clone(), ..world.source() };
    assert_eq!(done(world.compose(&source, Condition::Unchanged(&etag))).as_deref(), Some("version-2"));
    assert!(world.stored().unwrap() == world.composed());
    // A composed object is the source of the next one.
    let etag = world.s3.etag(BUCKET, KEY);
    let source = Source { range: 0..MIN_COPIED_BYTES, etag: etag.clone(), ..source };
    done(world.compose(&source, Condition::Unchanged(&etag)));
    assert!(world.stored().unwrap() == [&world.composed()[..MIN], REST].concat());
}

#[test]
fn without_new_bytes_the_range_is_the_object() {
    let world = World::new();
    let (source, progress) = (world.source(), world.progress());
    let composed = world.shelf.compose(KEY, &source, Bytes::new(), NOTES, Condition::Absent, &progress);
    assert!(done(block_on(composed)).is_some());
    assert!(world.stored().unwrap() == world.old[10..MIN + 20]);
    assert_eq!((world.s3.received(), world.told.lock().unwrap().len()), (0, 0));
}

#[test]
fn a_copy_has_its_own_notes_and_sends_nothing() {
    let world = World::new();
    // Of any size, and under any name.
    for (key, bytes) in [("shop/petstore.bundle.1", world.old.clone()), ("ä b+c%/?&#'\"", "small".into())] {
        world.s3.put(BUCKET, key, bytes.clone());
        let etag = world.s3.etag(BUCKET, key);
        let notes = Notes { sha256: None, ..NOTES };
        done(block_on(world.shelf.copy("copy", key, &etag, notes, Condition::Absent)));
        let (copied, headers) = world.s3.object(BUCKET, "copy").unwrap();
        assert!(copied == bytes);
        assert_eq!(headers["x-amz-meta-revision"], "7");
        assert!(!headers.contains_key("x-amz-meta-sha256"));
        world.s3.remove(BUCKET, "copy");
    }
    assert_eq!((world.s3.received(), world.s3.sent(), world.s3.uploads()), (0, 0, 0));
}

#[test]
fn what_s3_could_not_copy_is_not_begun() {
    let world = World::new();
    for range in [0..0, 0..MIN_COPIED_BYTES - 1, Range { start: 20, end: 10 }] {
        let failure = world.compose(&Source { range, ..world.source() }, Condition::Absent).unwrap_err();
        let text =
            "cannot copy to `s3://bundles/shop/petstore.bundle`: S3 copies parts of at least 5242880 bytes";
        assert_eq!((failure.to_string().as_str(), failure.hint()), (text, None));
    }
    assert_eq!(world.steps(), [0; 5]);
}

#[test]
fn a_condition_that_does_not_hold_leaves_what_is_there() {
    let world = World::new();
    let source = world.source();
    // Gone.
    refused(world.compose(&source, Condition::Unchanged("\"x\"")));
    refused(world.copy(Condition::Unchanged("\"x\"")));
    assert!(world.stored().is_none());
    world.s3.put(BUCKET, KEY, "theirs");
    refused(world.compose(&source, Condition::Absent));
    refused(world.compose(&source, Condition::Unchanged("\"x\"")));
    refused(world.copy(Condition::Absent));
    refused(world.copy(Condition::Unchanged("\"x\"")));
    assert_eq!((world.stored().unwrap(), world.s3.uploads()), ("theirs".into(), 0));
    assert_eq!(world.s3.steps(Step::Abort), 6);
}

#[test]
fn of_two_who_compose_at_once_one_comes_second() {
    let world = World::new();
    world.s3.put(BUCKET, KEY, "old");
    let etag = world.s3.etag(BUCKET, KEY);
    let (source, progress) = (world.source(), world.progress());
    let compose = |rest: &'static str| {
        let condition = Condition::Unchanged(&etag);
        world.shelf.compose(KEY, &source, Bytes::from(rest), NOTES, condition, &progress)
    };
    let (a, b) = block_on(async { tokio::join!(compose("of a"), compose("of b")) });
    let is_done = |result: &Result<Composed, _>| matches!(result, Ok(Composed::Done { .. }));
    let is_refused = |result: &Result<Composed, _>| matches!(result, Ok(Composed::Refused { left: None }));
    assert!(is_done(&a) && is_refused(&b) || is_refused(&a) && is_done(&b), "{a:?} {b:?}");
    let rest = if is_done(&a) { "of a" } else { "of b" };
    assert!(world.stored().unwrap().ends_with(rest.as_bytes()));
    assert_eq!(world.s3.uploads(), 0);
}

#[test]
fn a_conflict_is_a_refusal_and_the_upload_is_gone() {
    let world = World::new();
    world.s3.fault_step(Step::Complete, S3Fault::Error(409, "ConditionalRequestConflict"));
    refused(world.compose(&world.source(), Condition::Absent));
    assert_eq!((world.s3.uploads(), world.s3.steps(Step::Abort), world.stored()), (0, 1, None));
    world.s3.fault_step(Step::Complete, S3Fault::None);
    done(world.compose(&world.source(), Condition::Absent));
}

#[test]
fn a_source_that_was_replaced_or_removed_is_not_copied() {
    let world = World::new();
    let source = world.source();
    let is_changed = |composed| matches!(composed, Ok(Composed::SourceChanged { left: None }));
    world.s3.put(BUCKET, OLD_KEY, world.old.slice(1..));
    assert!(is_changed(world.compose(&source, Condition::Absent)));
    world.s3.remove(BUCKET, OLD_KEY);
    assert!(is_changed(world.compose(&source, Condition::Absent)));
    let copied = world.shelf.copy(KEY, OLD_KEY, &source.etag, NOTES, Condition::Absent);
    assert!(is_changed(block_on(copied)));
    assert_eq!((world.stored(), world.s3.uploads(), world.s3.received()), (None, 0, 0));
}

#[test]
fn a_lost_answer_is_a_refusal_and_the_object_is_there() {
    let world = World::new();
    world.s3.fault_step(Step::Complete, S3Fault::AnswerLost);
    refused(world.compose(&world.source(), Condition::Absent));
    assert!(world.stored().unwrap() == world.composed());
    assert_eq!((world.s3.steps(Step::Complete), world.s3.uploads()), (2, 0));
    // Where the SDK does not try again, it is a failure.
    world.s3.fault_step(Step::Complete, S3Fault::Answer(200, ""));
    let etag = world.s3.etag(BUCKET, KEY);
    let failure = world.compose(&world.source(), Condition::Unchanged(&etag)).unwrap_err();
    assert!(
        failure.to_string().starts_with("cannot write `s3://bundles/shop/petstore.bundle`: "),
        "{failure}"
    );
    assert_eq!(world.s3.uploads(), 0);
}

/// What goes wrong with a step, and what the failure says.
const FAULTS: [(S3Fault, &str); 6] = [
    (S3Fault::Forbidden, "AccessDenied"),
    (S3Fault::InternalError, "InternalError"),
    (S3Fault::Reset, "no answer"),
    (S3Fault::Error(400, "InvalidRequest"), "InvalidRequest"),
    (S3Fault::Error(404, "NoSuchBucket"), "there is no such bucket"),
    // An error in an answer that had begun as a success.
    (
        S3Fault::Answer(200, "<Error><Code>InternalError</Code><Message>m</Message></Error>"),
        "InternalError: m",
    ),
];

#[test]
fn whatever_fails_in_a_step_nothing_is_stored_and_nothing_is_left() {
    for (step, operation) in [
        (Step::Create, "cannot begin to write `"),
        (Step::CopyPart, "cannot copy to `"),
        (Step::UploadPart, "cannot send a part of `"),
        (Step::Complete, "cannot write `"),
    ] {
        let world = World::new();
        world.s3.put(BUCKET, KEY, "old");
        let etag = world.s3.etag(BUCKET, KEY);
        for (fault, text) in FAULTS {
            if matches!((step, fault), (Step::UploadPart, S3Fault::Answer(..))) {
                // It has no body.
                continue;
            }
            world.s3.fault_step(step, fault);
            let failure = world.compose(&world.source(), Condition::Unchanged(&etag)).unwrap_err();
            let shown = failure.to_string();
            assert!(shown.starts_with(operation) && shown.contains(text), "{step:?} {fault:?}: {shown}");
            assert!(!shown.contains("parts") && !shown.contains("the-secret"), "{shown}");
            assert_eq!(
                (world.stored().unwrap(), world.s3.uploads()),
                ("old".into(), 0),
                "{step:?} {fault:?}"
            );
        }
        world.s3.fault_step(step, S3Fault::None);
        done(world.compose(&world.source(), Condition::Unchanged(&etag)));
    }
}

#[test]
fn what_fails_says_which_permission_it_takes() {
    let world = World::new();
    for (step, hint) in [
        (Step::Create, "s3:PutObject"),
        (Step::CopyPart, "s3:GetObject and s3:PutObject"),
        (Step::UploadPart, "s3:PutObject"),
        (Step::Complete, "s3:PutObject"),
    ] {
        world.s3.fault_step(step, S3Fault::Forbidden);
        let failure = world.compose(&world.source(), Condition::Absent).unwrap_err();
        assert!(failure.hint().unwrap().contains(hint), "{step:?}: {:?}", failure.hint());
        world.s3.fault_step(step, S3Fault::None);
    }
}

#[test]
fn an_upload_that_cannot_be_aborted_is_said_to_stay() {
    let world = World::new();
    world.s3.fault_step(Step::Abort, S3Fault::Forbidden);
    world.s3.fault_step(Step::UploadPart, S3Fault::Forbidden);
    let failure = world.compose(&world.source(), Condition::Absent).unwrap_err();
    let place = "`s3://bundles/shop/petstore.bundle`: AccessDenied: AccessDenied, says the stand-in";
    assert_eq!(
        failure.to_string(),
        format!(
            "cannot send a part of {place}; nor can its parts be removed: cannot abort the upload of {place}"
        )
    );
    world.s3.fault_step(Step::UploadPart, S3Fault::None);
    world.s3.put(BUCKET, KEY, "theirs");
    let Ok(Composed::Refused { left: Some(left) }) = world.compose(&world.source(), Condition::Absent) else {
        panic!("not refused");
    };
    assert!(left.hint().unwrap().contains("s3:AbortMultipartUpload"), "{left}");
    let source = Source { etag: "\"x\"".to_owned(), ..world.source() };
    let composed = world.compose(&source, Condition::Absent);
    assert!(matches!(composed, Ok(Composed::SourceChanged { left: Some(_) })), "{composed:?}");
    assert_eq!((world.s3.uploads(), world.stored().unwrap()), (3, "theirs".into()));
}

#[test]
fn an_upload_that_somebody_else_aborted_is_a_refusal() {
    for step in [Step::CopyPart, Step::UploadPart, Step::Complete] {
        let world = World::new();
        world.s3.fault_step(step, S3Fault::Error(404, "NoSuchUpload"));
        refused(world.compose(&world.source(), Condition::Absent));
        assert!(world.stored().is_none(), "{step:?}");
    }
}

#[test]
fn what_is_interrupted_leaves_the_old_object_and_an_upload() {
    for step in [Step::CopyPart, Step::UploadPart, Step::Complete] {
        let world = World::new();
        world.s3.put(BUCKET, KEY, "old");
        let etag = world.s3.etag(BUCKET, KEY);
        world.s3.fault_step(step, S3Fault::Hang);
        let (source, progress) = (world.source(), world.progress());
        block_on(async {
            let condition = Condition::Unchanged(&etag);
            let rest = Bytes::from_static(REST);
            let compose = world.shelf.compose(KEY, &source, rest, NOTES, condition, &progress);
            let has_come = async {
                while world.s3.steps(step) == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                result = compose => panic!("{step:?}: {result:?}"),
                () = has_come => {}
            }
        });
        assert_eq!((world.stored().unwrap(), world.s3.uploads()), ("old".into(), 1), "{step:?}");
        // The next one is not in its way.
        world.s3.fault_step(step, S3Fault::None);
        done(world.compose(&world.source(), Condition::Unchanged(&etag)));
        assert!(world.stored().unwrap() == world.composed());
    }
}

#[test]
fn a_passing_failure_of_a_step_is_tried_again_with_the_same_bytes() {
    let world = World::new();
    world.s3.fault_step(Step::UploadPart, S3Fault::AnswerLost);
    // The part is there after the first attempt, and comes again with each other one.
    assert!(world.compose(&world.source(), Condition::Absent).is_err());
    assert_eq!(world.s3.steps(Step::UploadPart), 3);
    assert_eq!(world.s3.received(), 3 * REST.len());
    assert_eq!(world.s3.uploads(), 0);
}
