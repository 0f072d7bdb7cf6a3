//! The ARN of the method that API Gateway is about to call.
//!
//! ```text
//! arn:aws:execute-api:us-east-1:123456789012:ymy8tbxw7b/test/GET/pets/7
//!     |   |           |         |            |          |    |   `- path, as the client sent it
//!     |   |           |         |            |          |    `- verb
//!     |   |           |         |            |          `- stage
//!     partition       region    account      API id
//! ```
//!
//! The ARN of a WebSocket API ends with a route key in the place of verb and path: `.../prod/$connect`. That of
//! the `$default` route of an HTTP API may do so too; its form is not documented. Everything after the verb comes
//! from the caller, so an ARN is hostile input: a path may hold colons, wildcards and policy variables, each of
//! which means something in an IAM policy.

use std::fmt;
use std::str::FromStr;

/// An `execute-api` ARN, split into its parts.
///
/// `Display` prints exactly the text that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodArn {
    text: String,
    /// Where each field ends that is followed by a colon or a slash.
    partition: usize,
    region: usize,
    account: usize,
    api_id: usize,
    stage: usize,
    /// `None`: there is a route key instead.
    verb: Option<usize>,
}

impl MethodArn {
    /// The AWS partition, e.g. `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &str {
        self.between(SCHEME.len(), self.partition)
    }

    /// The region of the API.
    pub fn region(&self) -> &str {
        self.between(self.partition + SERVICE.len(), self.region)
    }

    /// The account that owns the API.
    pub fn account(&self) -> &str {
        self.between(self.region + 1, self.account)
    }

    /// The id of the API.
    pub fn api_id(&self) -> &str {
        self.between(self.account + 1, self.api_id)
    }

    /// The stage of the API.
    pub fn stage(&self) -> &str {
        self.between(self.api_id + 1, self.stage)
    }

    /// The HTTP method, in upper case. `None` for a route key.
    pub fn verb(&self) -> Option<&str> {
        self.verb.map(|end| self.between(self.stage + 1, end))
    }

    /// The concrete path with its leading slash, as the client sent it, or the route key.
    pub fn path(&self) -> &str {
        self.between(self.verb.unwrap_or(self.stage + 1), self.text.len())
    }

    /// The beginning that all methods of the API share at this stage, up to and including the slash after the
    /// stage.
    pub fn api_prefix(&self) -> &str {
        self.between(0, self.stage + 1)
    }

    /// What is behind [`api_prefix`](Self::api_prefix): verb and path, or the route key.
    pub fn method(&self) -> &str {
        self.between(self.stage + 1, self.text.len())
    }

    /// Parsing found all positions in the text, so the slice is always there.
    fn between(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for MethodArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        if text.len() > MAX_BYTES {
            return Err(InvalidArn::TooLong);
        }
        if !is_plain(text) && text.chars().any(char::is_control) {
            return Err(InvalidArn::ControlCharacter);
        }
        // The path may hold colons and slashes of its own, so it is never split.
        let mut rest = text;
        let mut field = |end| take_until(end, &mut rest).ok_or(InvalidArn::Shape);
        let (scheme, partition, service) = (field(b':')?, field(b':')?, field(b':')?);
        let (region, account) = (field(b':')?, field(b':')?);
        let (api_id, stage) = (field(b'/')?, field(b'/')?);
        if scheme != "arn" || service != "execute-api" {
            return Err(InvalidArn::Shape);
        }
        let (verb, path) = match take_until(b'/', &mut rest) {
            Some(verb) => (verb, Some(rest)),
            None => (rest, None),
        };

        let named = [partition, region, account, api_id];
        if named.iter().any(|name| !is_name(name)) {
            return Err(InvalidArn::Shape);
        }
        // `*` is the whole stage in the guide's sample events and in the console's test call.
        if stage != ANY_STAGE && stage != DEFAULT && !is_name(stage) {
            return Err(InvalidArn::Stage);
        }
        match path {
            Some(_) if verb.is_empty() || !verb.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                return Err(InvalidArn::Verb);
            }
            Some(_) => {}
            None if [CONNECT, DEFAULT].contains(&verb) => {}
            None => return Err(InvalidArn::Shape),
        }
        let partition = SCHEME.len() + partition.len();
        let region = partition + SERVICE.len() + region.len();
        let account = region + 1 + account.len();
        let api_id = account + 1 + api_id.len();
        let stage = api_id + 1 + stage.len();
        let verb = path.map(|_| stage + 1 + verb.len());
        Ok(Self { text: text.to_owned(), partition, region, account, api_id, stage, verb })
    }
}

impl fmt::Display for MethodArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text before the partition, and the text after it.
const SCHEME: &str = "arn:";
const SERVICE: &str = ":execute-api:";

/// Why a text is not a method ARN. Says nothing about the text, which came from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidArn {
    /// A control character, which no URL path holds unencoded.
    #[error("the method ARN holds a control character")]
    ControlCharacter,
    /// Not `arn:<partition>:execute-api:<region>:<account>:<api>/<stage>/<VERB>/<path>`.
    #[error("the method ARN is not of the form arn:partition:execute-api:region:account:api/stage/VERB/path")]
    Shape,
    /// The stage is neither a name nor `*`.
    #[error("the stage of the method ARN is neither a name nor `*`")]
    Stage,
    /// Longer than any ARN that API Gateway makes.
    #[error("the method ARN is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The verb is not an upper-case HTTP method.
    #[error("the verb of the method ARN is not an upper-case HTTP method")]
    Verb,
}

/// The text before the first `end`, which is taken off the rest, together with the end.
fn take_until<'a>(end: u8, rest: &mut &'a str) -> Option<&'a str> {
    let at = rest.bytes().position(|byte| byte == end)?;
    let field = rest.get(..at);
    *rest = rest.get(at + 1..)?;
    field
}

/// Whether there is nothing but printable ASCII. It looks at all of the text in any case: so it is compiled into
/// instructions for many bytes at once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~'))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The stage of the console's test of an authorizer, and of the guide's sample events.
pub(crate) const ANY_STAGE: &str = "*";

/// The unnamed stage of an HTTP API, and the route of an HTTP API that takes what no other route does.
pub(crate) const DEFAULT: &str = "$default";

/// The only route of a WebSocket API that can have an authorizer.
pub(crate) const CONNECT: &str = "$connect";

/// The longest method ARN: API Gateway answers 414 beyond it.
/// Source: API Gateway Developer Guide, "Output from an API Gateway Lambda authorizer".
const MAX_BYTES: usize = 1600;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> MethodArn {
        text.parse().unwrap()
    }

    #[test]
    fn takes_the_parts_and_prints_the_same_text() {
        let text = "arn:aws:execute-api:us-east-1:123456789012:ymy8tbxw7b/test/GET/pets/7";
        let arn = parsed(text);
        assert_eq!(
            (arn.partition(), arn.region(), arn.account(), arn.api_id()),
            ("aws", "us-east-1", "123456789012", "ymy8tbxw7b")
        );
        assert_eq!((arn.stage(), arn.verb(), arn.path()), ("test", Some("GET"), "/pets/7"));
        assert_eq!(
            (arn.api_prefix(), arn.method()),
            (text.strip_suffix(arn.method()).unwrap(), "GET/pets/7")
        );
        assert_eq!(arn.to_string(), text);
    }

    #[test]
    fn the_root_path_is_a_slash() {
        let arn = parsed("arn:aws-cn:execute-api:cn-north-1:123456789012:a/*/GET/");
        assert_eq!((arn.path(), arn.stage()), ("/", "*"));
    }

    #[test]
    fn a_web_socket_api_has_a_route_key_and_an_http_api_a_default_stage() {
        let arn = parsed("arn:aws:execute-api:r:1:a/prod/$connect");
        assert_eq!((arn.stage(), arn.verb(), arn.path()), ("prod", None, "$connect"));
        let arn = parsed("arn:aws:execute-api:r:1:a/$default/GET/products");
        assert_eq!((arn.stage(), arn.verb(), arn.path()), ("$default", Some("GET"), "/products"));
    }

    #[test]
    fn colons_and_slashes_of_the_path_stay_in_the_path() {
        let arn = parsed("arn:aws:execute-api:r:1:a/s/POST/x:y//z:/DELETE/q");
        assert_eq!((arn.verb(), arn.path()), (Some("POST"), "/x:y//z:/DELETE/q"));
    }

    #[test]
    fn refuses_what_is_no_method_arn() {
        let long = format!("arn:aws:execute-api:r:1:a/s/GET/{}", "x".repeat(MAX_BYTES));
        for (text, error) in [
            ("", InvalidArn::Shape),
            ("*", InvalidArn::Shape),
            ("arn:aws:s3:r:1:a/s/GET/", InvalidArn::Shape),
            ("arn:aws:execute-api:r:1:a/s/GET", InvalidArn::Shape),
            ("arn:aws:execute-api:r:1:a/s/$disconnect", InvalidArn::Shape),
            ("arn:aws:execute-api:r:1:a/$other/GET/", InvalidArn::Stage),
            ("arn:*:execute-api:r:1:a/s/GET/", InvalidArn::Shape),
            ("arn:aws:execute-api:r:1:*/s/GET/", InvalidArn::Shape),
            ("arn:aws:execute-api:r:1:a/s*/GET/", InvalidArn::Stage),
            ("arn:aws:execute-api:r:1:a//GET/", InvalidArn::Stage),
            ("arn:aws:execute-api:r:1:a/s/*/", InvalidArn::Verb),
            ("arn:aws:execute-api:r:1:a/s/get/", InvalidArn::Verb),
            ("arn:aws:execute-api:r:1:a/s//pets", InvalidArn::Verb),
            ("arn:aws:execute-api:r:1:a/s/GET/a\nb", InvalidArn::ControlCharacter),
            ("arn:aws:execute-api:r:1:a/s/GET/\u{85}", InvalidArn::ControlCharacter),
            (&long, InvalidArn::TooLong),
        ] {
            assert_eq!(text.parse::<MethodArn>(), Err(error), "{text}");
        }
    }
}
