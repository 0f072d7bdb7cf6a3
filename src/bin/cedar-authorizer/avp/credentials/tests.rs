//! Requests signed by the signer of the AWS SDK, and one change to each part of them.

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::{HeaderValue, Request};

use super::*;

const FILE: &str = "\
# for tests
[default]
region = us-east-1
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY

[ session ]\r
AWS_ACCESS_KEY_ID = ASIAEXAMPLE\r
aws_secret_access_key = other-secret\r
aws_session_token = token==\r

[role]
role_arn = arn:aws:iam::123456789012:role/x
";

const NOW: u64 = 1_795_319_400;
const BODY: &[u8] = br#"{"policyStoreId": "s"}"#;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// A request, signed by the SDK's signer.
fn signed(identity: &Identity, at: SystemTime, service: &str) -> Parts {
    let headers = [
        ("host", "127.0.0.1:8180"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "VerifiedPermissions.GetPolicyStore"),
        ("x-spaces", "  a   b "),
    ];
    let identity = identity.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let body = SignableBody::Bytes(BODY);
    let request = SignableRequest::new("POST", "http://127.0.0.1:8180/", headers.into_iter(), body).unwrap();
    let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
    let mut request = Request::post("/");
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn plain() -> Identity {
    Identity::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "tests")
}

fn with_session(token: Option<&str>) -> Identity {
    Identity::new("ASIAEXAMPLE", "other-secret", token.map(str::to_owned), None, "tests")
}

/// The name of the error, or `fine`.
fn verdict(head: &Parts, body: &[u8]) -> &'static str {
    let credentials = Credentials::parse(FILE).unwrap();
    credentials.verify(head, body, now()).map_or_else(|error| error.name(), |()| "fine")
}

#[test]
fn signatures_of_the_sdk_are_verified() {
    assert_eq!(verdict(&signed(&plain(), now(), SERVICE), BODY), "fine");
    assert_eq!(verdict(&signed(&with_session(Some("token==")), now(), SERVICE), BODY), "fine");
    let skew = Duration::from_secs(299);
    assert_eq!(verdict(&signed(&plain(), now() - skew, SERVICE), BODY), "fine");
    assert_eq!(verdict(&signed(&plain(), now() + skew, SERVICE), BODY), "fine");
}

#[test]
fn any_other_request_is_refused() {
    let unknown = Identity::new("AKIDOTHER", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "tests");
    let wrong = Identity::new("AKIDEXAMPLE", "wrong", None, None, "tests");
    let late = Duration::from_secs(301);
    for (head, expected) in [
        (signed(&unknown, now(), SERVICE), "UnrecognizedClientException"),
        (signed(&with_session(None), now(), SERVICE), "UnrecognizedClientException"),
        (signed(&with_session(Some("token=")), now(), SERVICE), "UnrecognizedClientException"),
        (signed(&wrong, now(), SERVICE), "InvalidSignatureException"),
        (signed(&plain(), now(), "s3"), "InvalidSignatureException"),
        (signed(&plain(), now() - late, SERVICE), "InvalidSignatureException"),
        (signed(&plain(), now() + late, SERVICE), "InvalidSignatureException"),
    ] {
        assert_eq!(verdict(&head, BODY), expected, "{head:?}");
    }
    assert_eq!(verdict(&signed(&plain(), now(), SERVICE), b"{}"), "InvalidSignatureException");
}

/// Each character of the signature and each signed header, changed once.
#[test]
fn no_part_can_be_changed() {
    let head = signed(&plain(), now(), SERVICE);
    for name in ["host", "content-type", "x-amz-target", "x-amz-date", "x-spaces"] {
        let mut changed = head.clone();
        let value = head.headers[name].to_str().unwrap();
        let value = if name == "x-amz-date" { value.replace("00Z", "01Z") } else { format!("{value}x") };
        assert_ne!(value.as_bytes(), head.headers[name].as_bytes());
        changed.headers.insert(name, value.parse().unwrap());
        assert_eq!(verdict(&changed, BODY), "InvalidSignatureException", "{name}");
        changed.headers.remove(name);
        assert_ne!(verdict(&changed, BODY), "fine", "{name}");
        let mut twice = head.clone();
        twice.headers.append(name, "x".parse().unwrap());
        assert_ne!(verdict(&twice, BODY), "fine", "{name}");
    }
    let authorization = head.headers[AUTHORIZATION].to_str().unwrap();
    for (index, character) in authorization.char_indices() {
        let other = if character == '0' { '1' } else { '0' };
        let mut changed = authorization.to_owned();
        changed.replace_range(index..=index, &other.to_string());
        let mut head = head.clone();
        head.headers.insert(AUTHORIZATION, changed.parse().unwrap());
        assert_ne!(verdict(&head, BODY), "fine", "{changed}");
    }
}

#[test]
fn authorization_has_its_form() {
    let head = signed(&plain(), now(), SERVICE);
    let authorization = head.headers[AUTHORIZATION].to_str().unwrap().to_owned();
    let signed_headers = "SignedHeaders=content-type;host;x-amz-date;x-amz-target;x-spaces";
    assert!(authorization.contains(signed_headers), "{authorization}");
    let rows = [
        (String::new(), "IncompleteSignatureException"),
        ("Bearer x".to_owned(), "IncompleteSignatureException"),
        (authorization.replace(ALGORITHM, "AWS4-ECDSA-P256-SHA256"), "IncompleteSignatureException"),
        (authorization.replace(", Signature", ", Other=1, Signature"), "IncompleteSignatureException"),
        (format!("{authorization}, Signature=00"), "IncompleteSignatureException"),
        (authorization.replace("Signature=", "Signature=x"), "IncompleteSignatureException"),
        (authorization.split(", Signature").next().unwrap().to_owned(), "IncompleteSignatureException"),
        (authorization.replace("/eu-west-1", ""), "IncompleteSignatureException"),
        (authorization.replace("content-type;host", "host;content-type"), "IncompleteSignatureException"),
        (authorization.replace(signed_headers, "SignedHeaders="), "InvalidSignatureException"),
        (authorization.replace("host;", ""), "InvalidSignatureException"),
        (authorization.replace(";x-amz-target", ""), "InvalidSignatureException"),
        (authorization.replace("content-type;", ""), "InvalidSignatureException"),
        (authorization.replace(";x-spaces", ";x-spaces;z"), "InvalidSignatureException"),
        (authorization.replace(";x-spaces", ";x-spaces;\u{7f}"), "IncompleteSignatureException"),
        (authorization.replace("/eu-west-1/", "/us-east-1/"), "InvalidSignatureException"),
    ];
    for (text, expected) in rows {
        let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { continue };
        let mut head = head.clone();
        head.headers.insert(AUTHORIZATION, value);
        assert_eq!(verdict(&head, BODY), expected, "{text}");
    }
    let mut unsigned = head.clone();
    unsigned.headers.remove(AUTHORIZATION);
    assert_eq!(verdict(&unsigned, BODY), "MissingAuthenticationTokenException");
    for date in ["", "yesterday", "20261122", "20261122T999999Z", "20261122T035000"] {
        let mut head = head.clone();
        head.headers.insert(DATE, date.parse().unwrap());
        assert_ne!(verdict(&head, BODY), "fine", "{date}");
    }
}

#[test]
fn files_are_read_or_refused_without_their_secrets() {
    assert_eq!(Credentials::parse(FILE).unwrap().all.len(), 2);
    for (text, expected) in [
        ("", "it has no access key"),
        ("[a]\n", "it has no access key"),
        ("aws_access_key_id = A", "line 1 is in no profile"),
        ("[a\n", "line 1 has no `]`"),
        ("[a]\nsecret", "line 2 has no `=`"),
        ("[a]\naws_access_key_id =", "line 2 has no value"),
        (
            "[a]\naws_access_key_id = A",
            "the profile of line 1 needs an access key id and a secret access key",
        ),
        (
            "[a]\naws_session_token = t",
            "the profile of line 1 needs an access key id and a secret access key",
        ),
        (
            "[a]\naws_access_key_id = A\naws_access_key_id = A",
            "line 3 says again what its profile said before",
        ),
        (
            "[a]\naws_access_key_id = A\naws_secret_access_key = s\n[b]\naws_access_key_id = A\naws_secret_access_key = s",
            "two profiles have the same access key id",
        ),
    ] {
        assert_eq!(Credentials::parse(text).err().as_deref(), Some(expected), "{text}");
    }
}
