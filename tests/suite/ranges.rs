//! Parts of objects in S3, as the function reads them: ends and ranges, and all that can be wrong with the answer.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use cedar_authorizer::function::source::s3::{ReadEnd, Reader, S3Failure, S3Settings};

use crate::loopback::{RangeFault, S3, S3Fault};

const BUCKET: &str = "bundles";
const KEY: &str = "shop/petstore.bundle";
const BYTES: &str = "0123456789";

/// The attempts of a cold start.
const ATTEMPTS: u32 = 3;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn end(s3: &S3, etag: Option<&str>, length: u64) -> Result<ReadEnd, S3Failure> {
    block_on(s3.reader().read_end(BUCKET, KEY, None, etag, length, ATTEMPTS))
}

fn range(s3: &S3, etag: &str, range: Range<u64>) -> Result<Bytes, S3Failure> {
    block_on(s3.reader().read_range(BUCKET, KEY, None, etag, range, 2))
}

/// What is new at the end of the object: its bytes and its length.
#[track_caller]
fn new(end: Result<ReadEnd, S3Failure>) -> (Bytes, u64) {
    match end {
        Ok(ReadEnd::New { bytes, total, .. }) => (bytes, total),
        other => panic!("{other:?}"),
    }
}

/// A server with an object of ten bytes, and its entity tag.
fn start() -> (S3, String) {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, BYTES);
    let etag = s3.etag(BUCKET, KEY);
    (s3, etag)
}

const IGNORED: S3Fault = S3Fault::Range(RangeFault::Ignored);

#[test]
fn the_end_of_an_object_is_its_last_bytes_or_all_of_it() {
    let (s3, etag) = start();
    for length in 1..=12 {
        let start = 10 - length.min(10);
        let found = s3.reader();
        let found = block_on(found.read_end(BUCKET, KEY, None, None, length as u64, ATTEMPTS)).unwrap();
        let ReadEnd::New { bytes, total, etag: tag, version_id } = found else { panic!("unchanged") };
        assert_eq!((&bytes, total, &tag), (&BYTES.get(start..).unwrap().into(), 10, &etag));
        assert_eq!(version_id.as_deref(), Some("version-1"));
        // A server that knows no ranges sends the whole object, which need not come again.
        s3.fault_gets(KEY, &[IGNORED]);
        assert_eq!(new(end(&s3, None, length as u64)), (BYTES.into(), 10));
    }
    assert_eq!(new(end(&s3, None, 0)).0, "9");
    assert_eq!(s3.sent(), (1..=12).map(|length| length.min(10) + 10).sum::<usize>() + 1);
}

#[test]
fn an_end_that_is_known_is_unchanged_and_sends_nothing() {
    let (s3, etag) = start();
    assert!(matches!(end(&s3, Some(&etag), 4), Ok(ReadEnd::Unchanged)));
    assert_eq!((s3.sent(), s3.requests()), (0, 1));
    s3.put(BUCKET, KEY, "another");
    assert_eq!(new(end(&s3, Some(&etag), 4)), ("ther".into(), 7));
    // Nobody asked whether it is unchanged.
    s3.fault(S3Fault::Answer(304, ""));
    assert_eq!(end(&s3, None, 4).unwrap_err().code(), "bundle-unreachable");
}

#[test]
fn an_empty_object_has_an_end_of_no_bytes() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, "");
    assert_eq!(new(end(&s3, None, 4)), ("".into(), 0));
    assert_eq!(s3.requests(), 2);
    let etag = s3.etag(BUCKET, KEY);
    assert!(matches!(end(&s3, Some(&etag), 4), Ok(ReadEnd::Unchanged)));
    assert_eq!(range(&s3, &etag, 0..1).unwrap_err().code(), "bundle-unreachable");
}

#[test]
fn every_range_of_an_object_is_read_as_it_is() {
    let (s3, etag) = start();
    for start in 0..10 {
        for end in start + 1..=10 {
            for fault in [S3Fault::None, IGNORED] {
                s3.fault_gets(KEY, &[fault]);
                let found = range(&s3, &etag, start as u64..end as u64).unwrap();
                assert_eq!(found, BYTES.get(start..end).unwrap(), "{start}..{end} {fault:?}");
            }
        }
    }
    let requests = s3.requests();
    assert_eq!(range(&s3, &etag, 4..4).unwrap(), "");
    assert_eq!(s3.requests(), requests);
}

#[test]
fn a_range_is_cut_out_of_a_large_object_that_comes_whole() {
    let s3 = S3::start();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[at as usize % 3]).collect();
    s3.put(BUCKET, KEY, bytes.clone());
    let etag = s3.etag(BUCKET, KEY);
    for part in [0..1, 0..70_000, 1_000_000..1_300_001, 2_999_999..3_000_000, 0..3_000_000] {
        for fault in [S3Fault::None, IGNORED] {
            s3.fault_gets(KEY, &[fault]);
            let found = range(&s3, &etag, part.start as u64..part.end as u64).unwrap();
            assert!(found == bytes[part.clone()], "{part:?} {fault:?}");
        }
    }
}

/// Answers to a range or to the end, with the code and the number of requests. One of the requests is enough if the
/// same could not be right the next time.
const WRONG: [(S3Fault, &str, usize); 11] = [
    (S3Fault::Forbidden, "bundle-denied", 1),
    (S3Fault::NotFound, "bundle-missing", 1),
    (S3Fault::Error(404, "NoSuchBucket"), "bundle-missing", 1),
    (S3Fault::Error(400, "InvalidArgument"), "bundle-unreachable", 1),
    (S3Fault::Region("eu-west-1"), "bundle-unreachable", 1),
    (S3Fault::Answer(404, "<html>Not Found</html>"), "bundle-unreachable", 1),
    (S3Fault::Answer(204, ""), "bundle-unreachable", 1),
    (S3Fault::Answer(206, BYTES), "bundle-part-wrong", 1),
    (S3Fault::Answer(200, BYTES), "bundle-part-wrong", 1),
    (S3Fault::InternalError, "bundle-unreachable", 2),
    (S3Fault::Error(503, "SlowDown"), "bundle-unreachable", 2),
];

/// The same where the answer is one for a range.
const WRONG_PARTS: [(RangeFault, &str); 10] = [
    (RangeFault::NoContentRange, "`Content-Range` says ``"),
    (RangeFault::ContentRange("bytes */10"), "`Content-Range` says `bytes */10`"),
    (RangeFault::ContentRange("bytes 3-6/8"), "says `bytes 3-6/8`"),
    (RangeFault::ContentRange("bytes 6-8/10"), "says `bytes 6-8/10`"),
    (RangeFault::Later, "says `bytes 7-9/10`"),
    (RangeFault::Shorter, "says `bytes 6-8/10`"),
    (RangeFault::BodyShorter, "fewer than 4 bytes"),
    (RangeFault::BodyLonger, "more than 4 bytes"),
    (RangeFault::NoTag, "no entity tag"),
    (RangeFault::OtherVersion, "of version version-0, not version-1"),
];

#[test]
fn whatever_is_wrong_with_the_answer_has_a_code() {
    let (s3, etag) = start();
    let reader = s3.reader();
    let of_both = |fault: S3Fault, code: &str, requests: usize, text: &str| {
        let version = Some("version-1");
        for is_end in [true, false] {
            s3.fault(fault);
            let before = s3.requests();
            let failure = match is_end {
                true => block_on(reader.read_end(BUCKET, KEY, version, None, 4, 2)).err(),
                false => block_on(reader.read_range(BUCKET, KEY, version, &etag, 6..10, 2)).err(),
            };
            let failure = failure.unwrap_or_else(|| panic!("{fault:?}"));
            assert_eq!((failure.code(), s3.requests() - before), (code, requests), "{fault:?}: {failure}");
            assert!(failure.to_string().contains(text), "{text}: {failure}");
            assert!(failure.to_string().contains("`s3://bundles/shop/petstore.bundle`"), "{failure}");
            // The next one is right.
            s3.fault(S3Fault::None);
            assert_eq!(block_on(reader.read_range(BUCKET, KEY, version, &etag, 6..10, 1)).unwrap(), "6789");
        }
    };
    for (fault, code, requests) in WRONG {
        of_both(fault, code, requests, "");
    }
    for (fault, text) in WRONG_PARTS {
        of_both(S3Fault::Range(fault), "bundle-part-wrong", 1, text);
    }
    of_both(S3Fault::Truncated, "bundle-interrupted", 2, "to its end");
    of_both(S3Fault::Reset, "bundle-unreachable", 2, "");
}

#[test]
fn what_is_no_part_of_the_object_that_was_meant_is_refused() {
    let (s3, etag) = start();
    for fault in [RangeFault::OtherTag, RangeFault::IgnoredOfAnother] {
        s3.fault(S3Fault::Range(fault));
        let failure = range(&s3, &etag, 6..10).unwrap_err();
        assert_eq!(failure.code(), "bundle-part-wrong");
        assert!(failure.to_string().contains(&format!("not {etag}")), "{failure}");
    }
    s3.fault(S3Fault::None);
    // S3 shortens a range that goes on behind the end, which is no part of this object.
    let failure = range(&s3, &etag, 6..11).unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("5 bytes from 6 on were asked for, and `Content-Range` says `bytes 6-9/10`")
    );
    let failure = range(&s3, &etag, 10..11).unwrap_err();
    assert!(failure.to_string().contains("InvalidRange"), "{failure}");
    s3.fault(IGNORED);
    for part in [6..11, 10..11, 20..21] {
        assert_eq!(range(&s3, &etag, part).unwrap_err().code(), "bundle-part-wrong");
    }
}

#[test]
fn an_object_that_was_replaced_is_not_mixed_with_the_new_one() {
    let (s3, etag) = start();
    assert_eq!(range(&s3, &etag, 0..2).unwrap(), "01");
    s3.put(BUCKET, KEY, "another one");
    let before = s3.requests();
    let failure = range(&s3, &etag, 2..4).unwrap_err();
    assert!(matches!(&failure, S3Failure::Replaced { etag: old, .. } if *old == etag), "{failure:?}");
    assert_eq!((failure.code(), failure.is_missing(), s3.requests() - before), ("bundle-replaced", false, 1));
    // The version is still there.
    let reader = s3.reader();
    let old = block_on(reader.read_range(BUCKET, KEY, Some("version-1"), &etag, 2..4, 1));
    assert_eq!(old.unwrap(), "23");
    let failure = block_on(reader.read_range(BUCKET, KEY, Some("version-9"), &etag, 2..4, 1)).unwrap_err();
    assert_eq!(failure.code(), "bundle-missing");
    s3.remove(BUCKET, KEY);
    let failure = range(&s3, &etag, 2..4).unwrap_err();
    assert_eq!((failure.code(), failure.is_missing()), ("bundle-missing", true));
    assert!(end(&s3, Some(&etag), 2).unwrap_err().is_missing());
}

#[test]
fn a_failure_that_passes_is_tried_again() {
    let (s3, etag) = start();
    for fault in [
        S3Fault::InternalError,
        S3Fault::Error(503, "SlowDown"),
        S3Fault::Error(400, "RequestTimeout"),
        S3Fault::Reset,
        S3Fault::Truncated,
    ] {
        s3.fault_gets(KEY, &[fault]);
        assert_eq!(range(&s3, &etag, 2..4).unwrap(), "23", "{fault:?}");
        s3.fault_gets(KEY, &[fault, fault]);
        assert_eq!(new(end(&s3, None, 2)), ("89".into(), 10), "{fault:?}");
        s3.fault_gets(KEY, &[fault, fault]);
        assert!(range(&s3, &etag, 2..4).is_err(), "{fault:?}");
    }
}

#[test]
fn a_connection_that_no_longer_answers_costs_one_attempt() {
    let (s3, etag) = start();
    s3.fault_gets(KEY, &[S3Fault::Hang]);
    assert_eq!(range(&s3, &etag, 2..4).unwrap(), "23");
    assert_eq!(s3.requests(), 2);
    s3.fault(S3Fault::Hang);
    let failure = range(&s3, &etag, 2..4).unwrap_err();
    assert_eq!((failure.code(), s3.requests()), ("bundle-unreachable", 4), "{failure}");
}

#[test]
fn a_part_that_drips_is_given_up() {
    let s3 = S3::start();
    s3.put(BUCKET, KEY, vec![0; 1000]);
    let etag = s3.etag(BUCKET, KEY);
    s3.fault(S3Fault::Drips(Duration::from_millis(100)));
    let failure = range(&s3, &etag, 0..1000).unwrap_err();
    assert_eq!(failure.code(), "bundle-too-slow");
    assert!(failure.to_string().ends_with("to its end within 2.5s"), "{failure}");
    assert_eq!(s3.requests(), 1);
    let failure = end(&s3, None, 1000).unwrap_err();
    assert!(failure.to_string().ends_with("to its end within 7s"), "{failure}");
}

#[test]
fn an_object_that_is_too_large_is_refused_by_its_end() {
    let (s3, _) = start();
    s3.fault(S3Fault::Range(RangeFault::ContentRange("bytes 536870909-536870912/536870913")));
    assert_eq!(end(&s3, None, 4).unwrap_err().code(), "bundle-too-large");
    s3.fault(S3Fault::Range(RangeFault::ContentRange("bytes 536870908-536870911/536870912")));
    assert_eq!(new(end(&s3, None, 4)), ("6789".into(), 512 * 1024 * 1024));
    s3.fault(IGNORED);
    s3.put(BUCKET, KEY, vec![0; 512 * 1024 * 1024 + 1]);
    assert_eq!(end(&s3, None, 4).unwrap_err().code(), "bundle-too-large");
}

#[test]
fn several_ranges_are_read_at_the_same_time() {
    let (s3, etag) = start();
    // None of them is answered before all have come.
    s3.meet(KEY, 10);
    let reader = s3.reader();
    let found = block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for start in 0..10 {
            let (reader, etag) = (reader.clone(), etag.clone());
            tasks.spawn(async move {
                let read = reader.read_range(BUCKET, KEY, None, &etag, start..start + 1, 1).await;
                (start, read.unwrap())
            });
        }
        tasks.join_all().await
    });
    assert!(found.iter().all(|(start, bytes)| *bytes == start.to_string()), "{found:?}");
    assert_eq!((s3.requests(), s3.sent()), (10, 10));
}

#[test]
fn no_failure_shows_a_secret() {
    let (s3, etag) = start();
    let endpoint = s3.endpoint();
    let variable = |name: &str| {
        Some(match name {
            "AWS_REGION" => "us-east-1".to_owned(),
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE".to_owned(),
            "AWS_SECRET_ACCESS_KEY" => "the-secret".to_owned(),
            "AWS_SESSION_TOKEN" => "the-session".to_owned(),
            "AWS_ENDPOINT_URL_S3" => endpoint.clone(),
            _ => return None,
        })
    };
    let reader = Reader::new(S3Settings::from_lookup(variable).unwrap());
    let faults = WRONG.map(|(fault, ..)| fault).into_iter();
    let of_parts = WRONG_PARTS.map(|(fault, _)| S3Fault::Range(fault));
    for fault in faults.chain(of_parts).chain([S3Fault::Reset, S3Fault::Truncated]) {
        s3.fault(fault);
        let failures = [
            block_on(reader.read_end(BUCKET, KEY, Some("version-1"), None, 4, 1)).err(),
            block_on(reader.read_range(BUCKET, KEY, Some("version-1"), &etag, 6..10, 1)).err(),
        ];
        for failure in failures {
            let failure = failure.unwrap();
            let shown = format!("{failure} {failure:?}");
            for secret in ["AKIDEXAMPLE", "the-secret", "the-session", "AWS4-HMAC", "Signature="] {
                assert!(!shown.contains(secret), "{secret}: {shown}");
            }
        }
    }
}
