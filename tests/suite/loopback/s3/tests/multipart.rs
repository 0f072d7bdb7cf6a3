use super::*;

const MIB_5: usize = 5 * 1024 * 1024;

/// An upload that has begun.
struct Begun<'a> {
    s3: &'a S3,
    key: &'static str,
    id: String,
}

fn begin<'a>(s3: &'a S3, key: &'static str, headers: &str) -> Begun<'a> {
    let answer = s3.signed(&format!("POST /bucket/{key}?uploads"), headers, "");
    let id = inner(&answer, "UploadId").unwrap_or_else(|| panic!("{answer}"));
    Begun { s3, key, id }
}

impl Begun<'_> {
    fn part(&self, number: u32, headers: &str, body: &str) -> String {
        let Self { s3, key, id } = self;
        s3.signed(&format!("PUT /bucket/{key}?partNumber={number}&uploadId={id}"), headers, body)
    }

    fn copied(&self, number: u32, source: &str, headers: &str) -> String {
        self.part(number, &format!("x-amz-copy-source: {source}\r\n{headers}"), "")
    }

    fn complete(&self, headers: &str, parts: &[(u32, &str)]) -> String {
        let Self { s3, key, id } = self;
        let parts: String = parts
            .iter()
            .map(|(number, tag)| format!("<Part><ETag>{tag}</ETag><PartNumber>{number}</PartNumber></Part>"))
            .collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        s3.signed(&format!("POST /bucket/{key}?uploadId={id}"), headers, &body)
    }

    fn abort(&self) -> String {
        let Self { s3, key, id } = self;
        s3.signed(&format!("DELETE /bucket/{key}?uploadId={id}"), "", "")
    }
}

fn inner(answer: &str, name: &str) -> Option<String> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.replace("&quot;", "\""))
}

/// The entity tag of a part.
fn tag(answer: &str) -> String {
    let header = answer.split_once("etag: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    header
        .map(|(tag, _)| tag.to_owned())
        .or_else(|| inner(answer, "ETag"))
        .unwrap_or_else(|| panic!("{answer}"))
}

#[track_caller]
fn refused(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(&format!("<Code>{code}</Code>")), "{answer}");
}

#[test]
fn an_object_is_composed_of_its_parts_in_order() {
    let s3 = S3::start();
    let old = "a".repeat(MIB_5) + "tail";
    s3.put("bucket", "old key", old.clone());
    let etag = s3.etag("bucket", "old key");
    let upload = begin(&s3, "key", "x-amz-meta-revision: 7\r\nContent-Type: text/x\r\n");
    assert_eq!(s3.uploads(), 1);
    let last = tag(&upload.part(4, "", "new bytes"));
    let range = format!("x-amz-copy-source-range: bytes=0-{}\r\n", MIB_5 - 1);
    let condition = format!("x-amz-copy-source-if-match: {etag}\r\n");
    let first = tag(&upload.copied(2, "bucket/old%20key", &(range + &condition)));
    let answer = upload.complete("", &[(2, &first), (4, &last)]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(inner(&answer, "ETag").unwrap().ends_with("-2\""), "{answer}");
    let (bytes, headers) = s3.object("bucket", "key").unwrap();
    assert!(bytes == format!("{}new bytes", "a".repeat(MIB_5)));
    assert_eq!(headers["x-amz-meta-revision"], "7");
    assert_eq!(headers["content-type"], "text/x");
    assert_eq!(s3.uploads(), 0);
    let steps = [Step::Create, Step::UploadPart, Step::CopyPart, Step::Complete, Step::Abort];
    assert_eq!(steps.map(|step| s3.steps(step)), [1, 1, 1, 1, 0]);
    assert_eq!((s3.puts(), s3.received()), (0, "new bytes".len()));
    refused(&upload.complete("", &[(2, &first), (4, &last)]), 404, "NoSuchUpload");
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let s3 = S3::start();
    let upload = begin(&s3, "key", "");
    let (small, last) = (tag(&upload.part(1, "", "small")), tag(&upload.part(2, "", "last")));
    for (parts, code) in [
        (&[(1, &*small), (2, &*last)][..], "EntityTooSmall"),
        (&[(2, &*last), (1, &*small)], "InvalidPartOrder"),
        (&[(1, &*small), (1, &*small)], "InvalidPartOrder"),
        (&[(1, &*small), (3, &*last)], "EntityTooSmall"),
        (&[(3, &*last)], "InvalidPart"),
        (&[(1, &*last)], "InvalidPart"),
        (&[], "MalformedXML"),
    ] {
        refused(&upload.complete("", parts), 400, code);
    }
    for number in [0, 10_001] {
        refused(&upload.part(number, "", ""), 400, "InvalidArgument");
    }
    assert_eq!(s3.uploads(), 1);
    assert!(upload.complete("", &[(1, &small)]).starts_with("HTTP/1.1 200 "));
    assert_eq!(s3.object("bucket", "key").unwrap().0, "small");
}

#[test]
fn what_is_copied_is_there_and_unchanged() {
    let s3 = S3::start();
    let first = s3.put("bucket", "large", "a".repeat(MIB_5 + 1));
    s3.put("bucket", "small", "a".repeat(MIB_5));
    let tags = [s3.etag("bucket", "large"), s3.etag("bucket", "small")];
    let upload = begin(&s3, "key", "");
    let range = |text: &str| format!("x-amz-copy-source-range: bytes={text}\r\n");
    let condition = |tag: &str| format!("x-amz-copy-source-if-match: {tag}\r\n");
    refused(&upload.copied(1, "bucket/missing", ""), 404, "NoSuchKey");
    refused(&upload.copied(1, "bucket/large?versionId=version-9", ""), 404, "NoSuchVersion");
    refused(&upload.copied(1, "bucket/large", &condition(&tags[1])), 412, "PreconditionFailed");
    refused(&upload.copied(1, "bucket/small", &range("0-1")), 400, "InvalidRequest");
    for text in ["5-2", "0-5242881", "0-", "-5"] {
        refused(&upload.copied(1, "bucket/large", &range(text)), 400, "InvalidArgument");
    }
    let ok = upload.copied(1, &format!("/bucket/large?versionId={first}"), &condition(&tags[0]));
    assert!(ok.starts_with("HTTP/1.1 200 "), "{ok}");
    assert!(upload.copied(2, "bucket/small", &condition(&tags[1])).starts_with("HTTP/1.1 200 "));
}

#[test]
fn an_upload_is_completed_if_its_condition_holds() {
    let s3 = S3::start();
    s3.put("bucket", "key", "old");
    let current = format!("If-Match: {}\r\n", s3.etag("bucket", "key"));
    let upload = begin(&s3, "key", "");
    let part = tag(&upload.part(1, "", "new"));
    refused(&upload.complete("If-None-Match: *\r\n", &[(1, &part)]), 412, "PreconditionFailed");
    refused(&upload.complete("If-Match: \"x\"\r\n", &[(1, &part)]), 412, "PreconditionFailed");
    assert_eq!((s3.object("bucket", "key").unwrap().0, s3.uploads()), ("old".into(), 1));
    assert!(upload.complete(&current, &[(1, &part)]).starts_with("HTTP/1.1 200 "));
    assert_eq!(s3.object("bucket", "key").unwrap().0, "new");

    let upload = begin(&s3, "other", "");
    let part = tag(&upload.part(1, "", "new"));
    refused(&upload.complete("If-Match: \"x\"\r\n", &[(1, &part)]), 404, "NoSuchKey");
    // After a conflict there is nothing left to abort.
    s3.fault_step(Step::Complete, S3Fault::Error(409, "ConditionalRequestConflict"));
    refused(&upload.complete("If-None-Match: *\r\n", &[(1, &part)]), 409, "ConditionalRequestConflict");
    refused(&upload.abort(), 404, "NoSuchUpload");
}

#[test]
fn an_aborted_upload_leaves_nothing() {
    let s3 = S3::start();
    let upload = begin(&s3, "key", "");
    let part = tag(&upload.part(1, "", "bytes"));
    assert!(upload.abort().starts_with("HTTP/1.1 204 "));
    refused(&upload.abort(), 404, "NoSuchUpload");
    refused(&upload.part(1, "", "bytes"), 404, "NoSuchUpload");
    refused(&upload.copied(1, "bucket/key", ""), 404, "NoSuchUpload");
    refused(&upload.complete("", &[(1, &part)]), 404, "NoSuchUpload");
    assert!(s3.object("bucket", "key").is_none());
}

#[test]
fn an_upload_with_checksums_has_one_for_each_part() {
    let s3 = S3::start();
    let upload = begin(&s3, "key", "x-amz-checksum-algorithm: SHA256\r\n");
    refused(&upload.part(1, "", "body"), 400, "InvalidRequest");
    let headers = |body: &str| format!("{CHECKSUM}: {}\r\n", checksum(body.as_bytes()));
    refused(&upload.part(1, &headers("other"), "body"), 400, "BadDigest");
    let part = tag(&upload.part(1, &headers("body"), "body"));
    refused(&upload.complete("", &[(1, &part)]), 400, "InvalidRequest");
    for (hash, status) in [(checksum(b"other"), 400), (checksum(b"body"), 200)] {
        // Beside the tag, as S3 does not ask for an order of the elements.
        let part = format!("{part}</ETag><ChecksumSHA256>{hash}</ChecksumSHA256><ETag>");
        let answer = upload.complete("", &[(1, &part)]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // The checksum of checksums.
    let (_, headers) = s3.object("bucket", "key").unwrap();
    assert!(headers[CHECKSUM].to_str().unwrap().ends_with("-1"), "{headers:?}");
}

#[test]
fn each_step_can_fail() {
    let s3 = S3::start();
    s3.put("bucket", "key", "old");
    let upload = begin(&s3, "key", "");
    let part = tag(&upload.part(1, "", "new"));
    let lost = S3Fault::AnswerLost;
    for step in [Step::Create, Step::UploadPart, Step::CopyPart, Step::Complete, Step::Abort] {
        for (fault, answer) in [(S3Fault::Forbidden, "HTTP/1.1 403 "), (S3Fault::Reset, ""), (lost, "")] {
            s3.fault_step(step, fault);
            let found = match step {
                Step::Create => s3.signed("POST /bucket/key?uploads", "", ""),
                Step::UploadPart => upload.part(1, "", "new"),
                Step::CopyPart => upload.copied(2, "bucket/key", ""),
                Step::Complete => upload.complete("", &[(1, &part)]),
                Step::Abort => s3.signed("DELETE /bucket/key?uploadId=upload-4", "", ""),
            };
            assert!(
                found.starts_with(answer) && found.is_empty() == answer.is_empty(),
                "{step:?} {fault:?}: {found}"
            );
        }
        s3.fault_step(step, S3Fault::None);
    }
    // What was lost was only the answer.
    assert_eq!((s3.object("bucket", "key").unwrap().0, s3.uploads()), ("new".into(), 0));
    let refused = exchange(s3.server.address, "POST /bucket/key?uploads", "", "");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}
