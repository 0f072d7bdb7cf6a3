//! Compares what the function sends with what the AWS SDK for Rust would send.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::{
    BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, ConfigBag, Credentials, Intercept, Region, ResponseChecksumValidation, RuntimeComponents,
};
use aws_sdk_s3::error::BoxError;
use aws_smithy_async::time::StaticTimeSource;

use super::*;

/// The URL and the headers of a GET. `None`: the request cannot be made.
type Sent = Option<(String, BTreeMap<String, String>)>;

/// A case: the settings in the environment, and the object.
#[derive(Clone, Debug)]
struct Case<'a> {
    region: &'a str,
    fips: bool,
    dual_stack: bool,
    endpoint: Option<&'a str>,
    token: Option<&'a str>,
    bucket: &'a str,
    key: &'a str,
    version_id: Option<&'a str>,
    etag: Option<&'a str>,
    if_match: Option<&'a str>,
    range: Option<&'a str>,
}

const PLAIN: Case = Case {
    region: "eu-central-1",
    fips: false,
    dual_stack: false,
    endpoint: None,
    token: Some("the/token+of=a session"),
    bucket: "petstore-bundles",
    key: "shop/petstore.bundle",
    version_id: None,
    etag: None,
    if_match: None,
    range: None,
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

impl Case<'_> {
    fn settings(&self) -> Result<S3Settings, InvalidSettings> {
        let mut variables = HashMap::from([
            ("AWS_REGION", self.region.to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_USE_FIPS_ENDPOINT", self.fips.to_string()),
            ("AWS_USE_DUALSTACK_ENDPOINT", self.dual_stack.to_string()),
        ]);
        variables.extend(self.token.map(|token| ("AWS_SESSION_TOKEN", token.to_owned())));
        variables.extend(self.endpoint.map(|url| ("AWS_ENDPOINT_URL_S3", url.to_owned())));
        S3Settings::from_lookup(|name| variables.get(name).cloned())
    }

    fn ours(&self) -> Sent {
        let settings = self.settings().ok()?;
        let url = settings.endpoint.object(self.bucket, self.key, self.version_id);
        let headers = [("range", self.range), ("if-none-match", self.etag), ("if-match", self.if_match)];
        let mut headers: Vec<_> =
            headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let signature = signature::headers_for(&url, &headers, &settings, now()).unwrap();
        headers.extend(signature.iter().map(|(name, value)| (*name, value.as_str())));
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some((url.into(), headers.collect()))
    }

    async fn sdks(&self) -> Sent {
        let spy = Spy::default();
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.to_owned()))
            .credentials_provider(Credentials::new(
                "AKIDEXAMPLE",
                "secret",
                self.token.map(str::to_owned),
                None,
                "test",
            ))
            .use_fips(self.fips)
            .use_dual_stack(self.dual_stack)
            .retry_config(RetryConfig::disabled())
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .time_source(StaticTimeSource::new(now()))
            .interceptor(spy.clone());
        config.set_endpoint_url(self.endpoint.map(str::to_owned));
        let request = Client::from_conf(config.build()).get_object().bucket(self.bucket).key(self.key);
        let request = request
            .set_version_id(self.version_id.map(str::to_owned))
            .set_if_none_match(self.etag.map(str::to_owned))
            .set_if_match(self.if_match.map(str::to_owned))
            .set_range(self.range.map(str::to_owned));
        request.send().await.expect_err("the spy lets nothing pass");
        spy.0.lock().unwrap().take()
    }
}

/// Removes what the SDK says about itself, keeps the request, and stops it from being sent.
#[derive(Clone, Debug, Default)]
struct Spy(Arc<Mutex<Sent>>);

impl Intercept for Spy {
    fn name(&self) -> &'static str {
        "Spy"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The SDK would sign this header.
        context.request_mut().headers_mut().remove("x-amz-user-agent");
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let headers = request.headers().iter().filter(|(name, _)| !ABOUT_THE_SDK.contains(name));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        *self.0.lock().unwrap() = Some((request.uri().to_owned(), headers));
        Err("not sent".into())
    }
}

const ABOUT_THE_SDK: [&str; 3] = ["amz-sdk-invocation-id", "amz-sdk-request", "user-agent"];

#[track_caller]
fn assert_same(case: &Case) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, sdks) = (case.ours(), runtime.block_on(case.sdks()));
    assert_eq!(ours, sdks, "{case:?}");
}

/// The regions in the SDK's list of partitions.
const REGIONS: &str = "af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 \
    ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 \
    ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 \
    eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 \
    us-west-1 us-west-2 cn-north-1 cn-northwest-1 eusc-de-east-1 us-iso-east-1 us-iso-west-1 us-isob-east-1 \
    us-isob-west-1 eu-isoe-west-1 us-isof-east-1 us-isof-south-1 us-gov-east-1 us-gov-west-1 xx-future-1";

#[test]
fn in_every_region_the_request_is_that_of_the_sdk() {
    for region in REGIONS.split_whitespace() {
        for (fips, dual_stack) in [(false, false), (false, true), (true, false), (true, true)] {
            // The SDK refuses this: China has no such endpoints.
            if !(fips && region.starts_with("cn-")) {
                assert_same(&Case { region, fips, dual_stack, ..PLAIN });
            }
        }
    }
}

#[test]
fn at_every_endpoint_the_request_for_a_bucket_is_that_of_the_sdk() {
    let endpoints = [
        None,
        Some("https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"),
        Some("http://localhost:4566"),
        Some("http://localhost:4566/"),
        // Without the slash at the end the SDK would join the path and the bucket.
        Some("https://minio.example.com:9000/s3/"),
        Some("http://127.0.0.1:9000"),
        Some("https://127.0.0.1:9000/a/b/"),
        Some("http://[::1]:9000"),
    ];
    let long = "a".repeat(63);
    for endpoint in endpoints {
        for bucket in
            ["abc", "a--b", "petstore.bundles", "a.bc", "ab", "-ab", "abc-", "ab-.cde", &long, "1.2.3.4"]
        {
            let is_ip = endpoint.is_some_and(|url| url.starts_with("http://127.") || url.contains('['));
            // The SDK would put these labels below the IP address.
            if !(is_ip && bucket.contains('.')) {
                assert_same(&Case { endpoint, bucket, ..PLAIN });
            }
        }
    }
}

#[test]
fn for_every_key_the_request_is_that_of_the_sdk() {
    let odd: String = (0x20..0x7f).map(char::from).chain("äß€😀\t\n".chars()).collect();
    for key in ["k", "/k", "a//b", "a/", "a/...", "%2e%2e/a", "100%", "a+b c", &odd] {
        for version_id in [None, Some("3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"), Some("null")] {
            for etag in [None, Some("\"d41d8cd98f00b204e9800998ecf8427e-2\"")] {
                for token in [None, PLAIN.token] {
                    assert_same(&Case { key, version_id, etag, token, ..PLAIN });
                }
            }
        }
    }
}

#[test]
fn for_every_part_the_request_is_that_of_the_sdk() {
    let tag = Some("\"d41d8cd98f00b204e9800998ecf8427e-2\"");
    for range in ["bytes=-262144", "bytes=0-0", "bytes=4096-18446744073709551615"] {
        for (etag, if_match) in [(None, None), (tag, None), (None, tag), (tag, tag)] {
            for version_id in [None, Some("3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")] {
                let case = Case { range: Some(range), etag, if_match, version_id, ..PLAIN };
                assert_same(&case);
                let (_, headers) = case.ours().unwrap();
                let signed = &headers["authorization"];
                assert!(signed.contains(";range;"), "{signed}");
                assert_eq!(signed.contains(";if-match;"), if_match.is_some(), "{signed}");
            }
        }
    }
}

fn problem(variables: &[(&str, &str)]) -> String {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let settings = S3Settings::from_lookup(|name| variables.get(name).map(|value| (*value).to_owned()));
    settings.err().map(|error| error.to_string()).unwrap_or_default()
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];

#[test]
fn what_is_not_set_is_named_all_at_once() {
    assert_eq!(
        problem(&[("AWS_SECRET_ACCESS_KEY", " ")]),
        "the environment does not say how to read from S3: AWS_REGION is not set, \
         AWS_ACCESS_KEY_ID is not set, AWS_SECRET_ACCESS_KEY is not set"
    );
    assert_eq!(problem(&[KEYS[0], KEYS[1], ("AWS_DEFAULT_REGION", "eu-west-1")]), "");
}

#[test]
fn what_is_set_must_make_sense() {
    for (name, value) in [
        ("AWS_REGION", "eu.west"),
        ("AWS_REGION", "evil.example.com/"),
        ("AWS_USE_FIPS_ENDPOINT", "yes"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "1"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "no"),
        ("AWS_ENDPOINT_URL", "minio.example.com"),
        ("AWS_ENDPOINT_URL", "file:///tmp"),
        ("AWS_ENDPOINT_URL_S3", "https://a.example.com?b"),
        ("AWS_ENDPOINT_URL_S3", "https://a.example.com#b"),
        ("AWS_ENDPOINT_URL_S3", "https://user@a.example.com"),
        ("AWS_ENDPOINT_URL_S3", "https://:password@a.example.com"),
    ] {
        let problem = problem(&[("AWS_REGION", "eu-west-1"), KEYS[0], KEYS[1], (name, value)]);
        assert!(problem.contains(&format!("{name} is n")), "{name}={value}: {problem}");
    }
    let both = [KEYS[0], KEYS[1], ("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "https://a.example.com")];
    for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
        let problem = problem(&[&both[..], &[(name, "true")]].concat());
        assert!(problem.contains("AWS_ENDPOINT_URL cannot be combined"), "{problem}");
    }
}

#[test]
fn the_endpoint_of_s3_comes_before_that_of_all_services_and_both_can_be_ignored() {
    let endpoint = |variables: &[(&str, &str)]| {
        let variables: HashMap<&str, &str> =
            [&KEYS[..], &[("AWS_REGION", "eu-west-1")], variables].concat().into_iter().collect();
        let settings = S3Settings::from_lookup(|name| variables.get(name).map(|value| (*value).to_owned()));
        settings.unwrap().endpoint.object("abc", "k", None).host_str().unwrap().to_owned()
    };
    let all = [
        ("AWS_ENDPOINT_URL", "https://all.example.com"),
        ("AWS_ENDPOINT_URL_S3", "https://s3.example.com"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE"),
    ];
    assert_eq!(endpoint(&all[..1]), "abc.all.example.com");
    assert_eq!(endpoint(&all[..2]), "abc.s3.example.com");
    assert_eq!(endpoint(&all), "abc.s3.eu-west-1.amazonaws.com");
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", PLAIN.settings().unwrap());
    assert!(!shown.contains("secret\"") && !shown.contains("the/token"), "{shown}");
}

#[test]
fn each_pause_is_at_most_twice_as_long_as_the_one_before() {
    for (attempt, longest) in [(1, 1), (2, 2), (3, 4)] {
        let pauses: Vec<Duration> = (0..100).map(|_| pause(attempt)).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(longest)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause > Duration::from_millis(500 * longest)), "{pauses:?}");
    }
    // No overflow, even for the largest number.
    let _ = pause(u32::MAX);
}
