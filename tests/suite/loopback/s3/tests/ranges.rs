use super::*;

/// The status, the `Content-Range` and the body of an answer.
fn parts(answer: &str) -> (u16, &str, &str) {
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let range = head.lines().find_map(|line| line.strip_prefix("content-range: "));
    (status, range.unwrap_or_default(), body)
}

#[test]
fn a_range_gives_a_part_of_an_object() {
    let s3 = S3::start();
    s3.put("bucket", "key", "0123456789");
    s3.put("bucket", "empty", "");
    for (key, range, status, content_range, body) in [
        ("key", "bytes=0-0", 206, "bytes 0-0/10", "0"),
        ("key", "bytes=2-5", 206, "bytes 2-5/10", "2345"),
        ("key", "bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("key", "bytes=8-18446744073709551615", 206, "bytes 8-9/10", "89"),
        ("key", "bytes=7-", 206, "bytes 7-9/10", "789"),
        ("key", "bytes=-3", 206, "bytes 7-9/10", "789"),
        ("key", "bytes=-10", 206, "bytes 0-9/10", "0123456789"),
        ("key", "bytes=-99", 206, "bytes 0-9/10", "0123456789"),
        ("key", "bytes=10-", 416, "", "InvalidRange"),
        ("key", "bytes=10-12", 416, "", "InvalidRange"),
        ("key", "bytes=-0", 416, "", "InvalidRange"),
        ("empty", "bytes=-3", 416, "", "InvalidRange"),
        ("empty", "bytes=0-", 416, "", "InvalidRange"),
        // What is no range of bytes is ignored.
        ("key", "bytes=5-2", 200, "", "0123456789"),
        ("key", "bytes=0-1,3-4", 200, "", "0123456789"),
        ("key", "bytes=a-b", 200, "", "0123456789"),
        ("key", "lines=0-1", 200, "", "0123456789"),
        ("missing", "bytes=0-1", 404, "", "NoSuchKey"),
    ] {
        let answer = s3.get(&format!("/bucket/{key}"), &format!("Range: {range}\r\n"));
        let found = parts(&answer);
        assert_eq!((found.0, found.1), (status, content_range), "{key} {range}: {answer}");
        assert!(if status < 300 { found.2 == body } else { found.2.contains(body) }, "{range}: {answer}");
    }
    assert_eq!(s3.sent(), 1 + 4 + 2 + 2 + 3 + 3 + 10 + 10 + 4 * 10);
}

#[test]
fn conditions_come_before_the_range_and_if_match_comes_first() {
    let s3 = S3::start();
    let old = s3.put("bucket", "key", "old bytes");
    let old_tag = s3.etag("bucket", "key");
    s3.put("bucket", "key", "new");
    let tag = s3.etag("bucket", "key");
    let versioned = format!("/bucket/key?versionId={old}");
    for (path, if_match, if_none_match, range, status) in [
        ("/bucket/key", Some(&tag), None, "0-1", 206),
        ("/bucket/key", Some(&old_tag), None, "0-1", 412),
        ("/bucket/key", Some(&old_tag), None, "9-", 412),
        ("/bucket/key", Some(&tag), None, "9-", 416),
        ("/bucket/key", None, Some(&tag), "-2", 304),
        ("/bucket/key", None, Some(&tag), "9-", 304),
        ("/bucket/key", None, Some(&old_tag), "-2", 206),
        ("/bucket/key", Some(&tag), Some(&tag), "-2", 304),
        ("/bucket/key", Some(&old_tag), Some(&tag), "-2", 412),
        ("/bucket/key", Some(&old_tag), Some(&old_tag), "-2", 412),
        (&versioned, Some(&old_tag), None, "0-1", 206),
        (&versioned, Some(&tag), None, "0-1", 412),
        (&versioned, None, Some(&old_tag), "-2", 304),
        ("/bucket/key?versionId=version-9", Some(&tag), None, "0-1", 404),
        ("/bucket/missing", Some(&tag), None, "0-1", 404),
    ] {
        let header =
            |name, tag: Option<&String>| tag.map_or(String::new(), |tag| format!("{name}: {tag}\r\n"));
        let conditions = header("If-Match", if_match) + &header("If-None-Match", if_none_match);
        let answer = s3.get(path, &format!("{conditions}Range: bytes={range}\r\n"));
        assert_eq!(parts(&answer).0, status, "{path} {conditions} {range}: {answer}");
    }
}

#[test]
fn a_range_can_be_answered_wrongly_in_each_way() {
    let s3 = S3::start();
    s3.put("bucket", "key", "0123456789");
    let tag = s3.etag("bucket", "key");
    for (fault, status, content_range, body, has_tag) in [
        (RangeFault::Ignored, 200, "", "0123456789", true),
        (RangeFault::IgnoredOfAnother, 200, "", "0123456789", false),
        (RangeFault::ContentRange("bytes 1-3/9"), 206, "bytes 1-3/9", "234", true),
        (RangeFault::NoContentRange, 206, "", "234", true),
        (RangeFault::Later, 206, "bytes 3-4/10", "34", true),
        (RangeFault::Shorter, 206, "bytes 2-3/10", "23", true),
        (RangeFault::BodyShorter, 206, "bytes 2-4/10", "34", true),
        (RangeFault::BodyLonger, 206, "bytes 2-4/10", "234x", true),
        (RangeFault::OtherTag, 206, "bytes 2-4/10", "234", false),
        (RangeFault::NoTag, 206, "bytes 2-4/10", "234", false),
        (RangeFault::OtherVersion, 206, "bytes 2-4/10", "234", true),
    ] {
        s3.fault_gets("key", &[S3Fault::Range(fault)]);
        let answer = s3.get("/bucket/key", "Range: bytes=2-4\r\n");
        assert_eq!(parts(&answer), (status, content_range, body), "{fault:?}: {answer}");
        assert_eq!(answer.contains(&tag), has_tag, "{fault:?}: {answer}");
        let is_other = matches!(fault, RangeFault::OtherVersion);
        assert_eq!(answer.contains("x-amz-version-id: version-0"), is_other, "{answer}");
        // Only the next one.
        assert_eq!(parts(&s3.get("/bucket/key", "Range: bytes=2-4\r\n")).2, "234");
    }
}
