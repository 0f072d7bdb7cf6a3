mod multipart;
mod ranges;

use super::*;
use crate::loopback::exchange;

#[test]
fn a_put_is_done_if_its_condition_holds() {
    let s3 = S3::start();
    let status = |key: &str, headers: &str, body: &str| {
        s3.signed(&format!("PUT /bucket/{key}"), headers, body).split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("key", "If-Match: \"x\"\r\n", "early"), "404");
    assert_eq!(status("key", "If-None-Match: *\r\n", "first"), "200");
    assert_eq!(status("key", "If-None-Match: *\r\n", "again"), "412");
    let old = s3.get("/bucket/key", "");
    let (_, etag) = old.split_once("etag: ").unwrap();
    let condition = format!("If-Match: {}\r\n", etag.split_once("\r\n").unwrap().0);
    assert_eq!(status("key", &condition, "second"), "200");
    assert_eq!(status("key", &condition, "third"), "412");
    assert_eq!(s3.object("bucket", "key").unwrap().0, "second");
    assert_eq!((s3.puts(), s3.keys("bucket")), (5, vec!["key".to_owned()]));
}

#[test]
fn a_put_keeps_its_metadata_and_checks_its_checksum() {
    let s3 = S3::start();
    let headers =
        |body: &str| format!("{CHECKSUM}: {}\r\nx-amz-meta-revision: 7\r\n", checksum(body.as_bytes()));
    let wrong = s3.signed("PUT /bucket/key", &headers("other"), "body");
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.contains("<Code>BadDigest</Code>"), "{wrong}");
    assert!(s3.object("bucket", "key").is_none());
    assert!(s3.signed("PUT /bucket/key", &headers("body"), "body").starts_with("HTTP/1.1 200 "));
    assert!(s3.get("/bucket/key", "").contains("x-amz-meta-revision: 7\r\n"));
}

#[test]
fn a_get_with_the_current_etag_is_not_modified() {
    let s3 = S3::start();
    s3.put("bucket", "policies/petstore.bundle", "old");
    let old = s3.get("/bucket/policies/petstore.bundle", "");
    let (_, etag) = old.split_once("etag: ").unwrap();
    let (etag, _) = etag.split_once("\r\n").unwrap();
    let condition = format!("If-None-Match: {etag}\r\n");

    let same = s3.get("/bucket/policies/petstore.bundle", &condition);
    assert!(same.starts_with("HTTP/1.1 304 "), "{same}");
    assert!(same.ends_with("\r\n\r\n"), "{same}");

    s3.put("bucket", "policies/petstore.bundle", "new");
    let new = s3.get("/bucket/policies/petstore.bundle", &condition);
    assert!(new.starts_with("HTTP/1.1 200 "), "{new}");
    assert!(new.ends_with("\r\n\r\nnew"), "{new}");
    assert_eq!(s3.requests(), 3);
}

#[test]
fn an_old_version_can_be_read_by_its_id() {
    let s3 = S3::start();
    let id = s3.put("bucket", "key", "old");
    s3.put("bucket", "key", "new");
    let old = s3.get(&format!("/bucket/key?x-id=GetObject&versionId={id}"), "");
    assert!(old.ends_with("\r\n\r\nold"), "{old}");
    let none = s3.get("/bucket/key?versionId=version-3", "");
    assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
    assert!(none.contains("<Code>NoSuchVersion</Code>"), "{none}");
}

#[test]
fn a_request_without_a_signature_is_refused() {
    let s3 = S3::start();
    s3.put("bucket", "key", "secret");
    let refused = exchange(s3.server.address, "GET /bucket/key", "", "");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}

#[test]
fn a_truncated_object_ends_before_its_stated_length() {
    let s3 = S3::start();
    s3.put("bucket", "key", "first second");
    s3.fault(S3Fault::Truncated);
    let truncated = s3.get("/bucket/key", "");
    assert!(truncated.contains("content-length: 12\r\n"), "{truncated}");
    assert!(truncated.ends_with("\r\n\r\nfirst "), "{truncated}");
}

#[test]
fn a_reset_connection_carries_nothing_and_the_server_lives_on() {
    let s3 = S3::start();
    s3.put("bucket", "key", "bytes");
    s3.fault(S3Fault::Reset);
    assert_eq!(s3.get("/bucket/key", ""), "");
    s3.fault(S3Fault::None);
    assert!(s3.get("/bucket/key", "").ends_with("bytes"));
}

impl S3 {
    /// A signed GET for the tests above.
    fn get(&self, path: &str, headers: &str) -> String {
        self.signed(&format!("GET {path}"), headers, "")
    }

    fn signed(&self, request_line: &str, headers: &str, body: &str) -> String {
        let signed = format!("Authorization: AWS4-HMAC-SHA256 Credential=...\r\n{headers}");
        exchange(self.server.address, request_line, &signed, body)
    }
}
