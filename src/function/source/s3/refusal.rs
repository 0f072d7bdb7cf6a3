//! S3 did not return the object: it answered with an error, or not at all.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;
use xmlparser::{ElementEnd, Token, Tokenizer};

use super::http::{Answer, Broken};
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
    Network(Broken),
    /// Something in it cannot be sent by HTTP.
    NotARequest(hyper::http::Error),
    /// The request could not be signed.
    NotSigned(NotSigned),
    /// No answer to any attempt before the deadline.
    Timeout,
}

/// `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>...</Error>`
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Error {
    /// What went wrong.
    pub code: ErrorCode,
    /// The same, in words.
    pub message: String,
}

/// The code of an error of S3. Those that matter here have a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "S3's own words")]
pub enum ErrorCode {
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    RequestTimeout,
    /// Any other.
    Other(String),
}

impl ErrorCode {
    /// As S3 writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NoSuchBucket => "NoSuchBucket",
            Self::NoSuchKey => "NoSuchKey",
            Self::NoSuchVersion => "NoSuchVersion",
            Self::RequestTimeout => "RequestTimeout",
            Self::Other(code) => code,
        }
    }
}

impl From<String> for ErrorCode {
    fn from(code: String) -> Self {
        let known = [Self::NoSuchBucket, Self::NoSuchKey, Self::NoSuchVersion, Self::RequestTimeout];
        known.into_iter().find(|known| known.as_str() == code).unwrap_or(Self::Other(code))
    }
}

impl Refusal {
    /// Reads the rest of an answer that is not the object.
    pub async fn read(mut response: Answer) -> Self {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        // A body that breaks off does not matter: the status says enough.
        let all = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ERROR_BYTES {
                    break;
                }
            }
        };
        let _ = timeout(ERROR_TIMEOUT, all).await;
        let text = str::from_utf8(&body).ok();
        Self::Answer { status, error: text.and_then(S3Error::parse) }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Network(_) | Self::NotARequest(_) | Self::NotSigned(_) | Self::Timeout => None,
        }
    }

    /// The code of the error, if the answer was an error of S3.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Answer { error, .. } => error.as_ref().map(|error| error.code.clone()),
            Self::Network(_) | Self::NotARequest(_) | Self::NotSigned(_) | Self::Timeout => None,
        }
    }

    /// Whether the same request may succeed a little later (AWS SDKs and Tools Reference Guide, "Retry behavior").
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Answer { status: 429 | 500 | 502 | 503 | 504, .. } => true,
            Self::Answer { .. } => self.code() == Some(ErrorCode::RequestTimeout),
            Self::Network(_) => true,
            Self::NotARequest(_) | Self::NotSigned(_) | Self::Timeout => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { error: Some(S3Error { code, message }), .. } => {
                write!(f, "{}: {message}", code.as_str())
            }
            Self::Answer { status, error: None } => write!(f, "the answer has status {status}"),
            Self::Network(error) => error.fmt(f),
            Self::NotARequest(error) => error.fmt(f),
            Self::NotSigned(error) => error.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

impl From<Broken> for Refusal {
    fn from(error: Broken) -> Self {
        Self::Network(error)
    }
}

impl From<NotSigned> for Refusal {
    fn from(error: NotSigned) -> Self {
        Self::NotSigned(error)
    }
}

impl S3Error {
    /// Reads the body of an answer. `None`: it is not a complete error of S3.
    pub fn parse(body: &str) -> Option<Self> {
        // The open elements, and the texts of those directly below the root.
        let mut open: Vec<&str> = Vec::new();
        let (mut code, mut message, mut has_ended) = (None, None, false);
        let mut name = "";
        for token in Tokenizer::from(body) {
            match token.ok()? {
                Token::ElementStart { prefix, local, .. } => {
                    // There is one root element, and S3 uses no prefixes.
                    if has_ended || !prefix.is_empty() || (open.is_empty() && local != "Error") {
                        return None;
                    }
                    name = local.as_str();
                    open.push(name);
                }
                Token::ElementEnd { end, .. } => {
                    let closed = match end {
                        ElementEnd::Open => {
                            // Each of the two occurs once.
                            let text = match (open.len(), name) {
                                (2, "Code") => &mut code,
                                (2, "Message") => &mut message,
                                _ => continue,
                            };
                            if text.replace(String::new()).is_some() {
                                return None;
                            }
                            continue;
                        }
                        ElementEnd::Empty => name,
                        ElementEnd::Close(_, local) => local.as_str(),
                    };
                    if open.pop() != Some(closed) {
                        return None;
                    }
                    has_ended = open.is_empty();
                }
                Token::Text { text } | Token::Cdata { text, .. } => match open.as_slice() {
                    [_, "Code"] => code.as_mut()?.push_str(text.as_str()),
                    [_, "Message"] => message.as_mut()?.push_str(text.as_str()),
                    _ => {}
                },
                Token::Attribute { .. } | Token::Comment { .. } => {}
                Token::Declaration { .. } | Token::ProcessingInstruction { .. } => {}
                Token::DtdStart { .. }
                | Token::EmptyDtd { .. }
                | Token::EntityDeclaration { .. }
                | Token::DtdEnd { .. } => return None,
            }
        }
        let (code, message) = (has_ended.then_some(code)??, message.unwrap_or_default());
        Some(Self { code: on_one_line(&code).into(), message: on_one_line(&message) })
    }
}

/// The text with its entities decoded, on one line: it must not begin a new line in the log.
fn on_one_line(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// S3's errors have a few hundred bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The limit for the body, which comes with the status. A body that drips must not use up the time of later attempts.
const ERROR_TIMEOUT: Duration = Duration::from_secs(1);

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
    fn what_is_an_error_of_s3_is_known_however_it_is_written() {
        for body in [
            "<Error><Code>NoSuchKey</Code></Error>",
            "<Error><Message>m</Message><Key>a<b/></Key><Code>NoSuchKey</Code></Error>\n",
            "<?xml version='1.0'?>\n<Error xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n <Code>\nNoSuchKey </Code>\n</Error>",
            "\u{feff}<!-- c --><Error><Code><![CDATA[NoSuchKey]]></Code></Error>",
            "<Error><Resource><Code>AccessDenied</Code></Resource><Code>NoSuchKey</Code></Error>",
        ] {
            assert_eq!(S3Error::parse(body).map(|error| error.code), Some(ErrorCode::NoSuchKey), "{body}");
        }
    }

    #[test]
    fn what_is_no_error_of_s3_has_none() {
        let whole = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>m</Message></Error>";
        assert!(S3Error::parse(whole).is_some());
        for length in 0..whole.len() {
            let part = whole.get(..length).unwrap();
            assert_eq!(S3Error::parse(part), None, "{part}");
        }
        for body in [
            "<html>Not Found</html>",
            "NoSuchKey: The specified key does not exist.",
            "{\"Code\": \"NoSuchKey\"}",
            "<Code>NoSuchKey</Code>",
            "<html><body><Error><Code>NoSuchKey</Code><Message>m</Message></Error></body></html>",
            "<!-- <Error><Code>NoSuchKey</Code><Message>m</Message></Error> --><Error></Error>",
            "<Error><Key><Code>NoSuchKey</Code></Key><Message>m</Message></Error>",
            "<Error><Message>&lt;Code>NoSuchKey&lt;/Code></Message></Error>",
            "<Error><Message><![CDATA[<Code>NoSuchKey</Code>]]></Message></Error>",
            "<Error><Code>AccessDenied</Code><Code>NoSuchKey</Code></Error>",
            "<Error><Code>NoSuchKey</Code></Error><Error/>",
            "<Error><Code>NoSuchKey</Message></Error>",
            "<Error Code=\"NoSuchKey\"/>",
            "<Error/>",
            "<error><Code>NoSuchKey</Code></error>",
            "<a:Error><Code>NoSuchKey</Code></a:Error>",
            "<!DOCTYPE Error [<!ENTITY c \"NoSuchKey\">]><Error><Code>&c;</Code></Error>",
            "</Error>",
        ] {
            assert_eq!(S3Error::parse(body), None, "{body}");
        }
        for (code, name) in [("nosuchkey", "nosuchkey"), ("NoSuchKeys", "NoSuchKeys"), ("", "")] {
            let error = S3Error::parse(&format!("<Error><Code>{code}</Code></Error>")).unwrap();
            assert_eq!(error.code, ErrorCode::Other(name.to_owned()));
        }
    }
}
