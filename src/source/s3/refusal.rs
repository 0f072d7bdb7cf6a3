//! An answer of S3 that is not the object, or none.

use std::error::Error;
use std::fmt;

use reqwest::Response;

use super::signature::NotSigned;

/// Why there is no object.
#[derive(Debug)]
pub enum Refusal {
    /// An answer with another status.
    Answer {
        /// The status.
        status: u16,
        /// What the body says, if it is an error of S3.
        error: Option<S3Error>,
    },
    /// No answer.
    Network(reqwest::Error),
    /// The request could not be made.
    NotSigned(NotSigned),
    /// No answer to any attempt, all in all.
    Timeout,
}

/// `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>...</Error>`
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
#[derive(Debug, PartialEq, Eq)]
pub struct S3Error {
    code: String,
    message: String,
}

impl Refusal {
    /// Reads the rest of an answer.
    pub async fn read(mut response: Response) -> Self {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // A body that breaks off changes nothing: the status says enough.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ERROR_BYTES {
                break;
            }
        }
        Self::Answer { status, error: S3Error::parse(&String::from_utf8_lossy(&body)) }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Network(_) | Self::NotSigned(_) | Self::Timeout => None,
        }
    }

    /// Whether the same request may succeed a little later (AWS SDKs and Tools Reference Guide, "Retry
    /// behavior").
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Answer { status: 429 | 500 | 502 | 503 | 504, .. } => true,
            Self::Answer { error, .. } => error.as_ref().is_some_and(|error| error.code == "RequestTimeout"),
            Self::Network(error) => !error.is_builder(),
            Self::NotSigned(_) | Self::Timeout => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { error: Some(S3Error { code, message }), .. } => write!(f, "{code}: {message}"),
            Self::Answer { status, error: None } => write!(f, "the answer has status {status}"),
            Self::Network(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
            Self::NotSigned(error) => error.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        Self::Network(error.without_url())
    }
}

impl From<NotSigned> for Refusal {
    fn from(error: NotSigned) -> Self {
        Self::NotSigned(error)
    }
}

impl S3Error {
    fn parse(body: &str) -> Option<Self> {
        Some(Self { code: text_of(body, "Code")?, message: text_of(body, "Message")? })
    }
}

/// The text of the first element of this name, on one line. Errors have no attributes, and no element twice.
fn text_of(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(text.replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Errors have some hundred bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_code_and_a_message() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
                    <Message>User: a is not\n authorized &amp;lt; &quot;b&quot; &apos;c&apos; &lt;d&gt;</Message><HostId>x</HostId></Error>";
        let error = S3Error::parse(body).unwrap();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("AccessDenied", "User: a is not authorized &lt; \"b\" 'c' <d>")
        );
    }

    #[test]
    fn what_is_no_error_of_s3_has_neither() {
        for body in ["", "<html>Bad Gateway</html>", "<Code>a</Code>", "<Message>a</Message><Code>"] {
            assert_eq!(S3Error::parse(body), None, "{body}");
        }
    }
}
