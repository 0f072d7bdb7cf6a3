//! Try: a request of somebody through the gateway, and why the answer is as it is.

mod curl;
mod explained;
mod issued;
mod kept;
mod verdict;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Response};
use cedar_authorizer::time::UnixTime;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Page;
use super::reply::{self, Json, Refusal, blocking};
use crate::explanation::report::Report;
use crate::output::Failure;
use crate::serve::exchange::Exchange;
use crate::serve::gateway::ClientRequest;
use crate::serve::in_force::InForce;
use crate::test_bench::{Claims, HttpRequest, NoSource, TestBench};
pub use issued::Issued;
use kept::GrantReport;
use verdict::Verdict;

/// A request that somebody wants to try.
// No `Debug`: it may have a token.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    /// The persona who asks.
    #[serde(rename = "as")]
    pub persona: Option<String>,
    /// Claims that override those of the persona; a null removes one.
    pub claims: Option<Claims>,
    /// A token, instead of a persona or claims.
    token: Option<String>,
    /// When the token expires, in seconds from now.
    pub expires_in: Option<i64>,
    pub method: String,
    /// The path, perhaps with a query.
    pub path: String,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub query: Vec<(String, String)>,
    source_ip: Option<IpAddr>,
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempted {
    exchange: Arc<Exchange>,
    verdict: Verdict,
    /// Why the policies decide as they do. `None`: they have no say in it.
    explanation: Option<Report>,
    /// What API Gateway's cache did, in one or two sentences.
    cache_sentence: String,
    /// What the kept answer says of other requests. `None`: none is kept.
    grant: Option<GrantReport>,
    /// What the backend answered. `None`: it was not called, or its answer is no text of a moderate length.
    backend: Option<String>,
    /// The same request for a shell.
    curl: String,
    /// The token that was sent.
    token: Option<String>,
}

/// Who sends a request.
#[derive(Clone)]
pub enum Sender {
    /// Whoever has these claims, in a token of the test issuer.
    Claims { name: String, claims: Claims, token: String },
    /// Whoever has this token of somebody else.
    Token(String),
    /// Nobody that can be named.
    Nobody,
}

impl Sender {
    fn token(&self) -> Option<&str> {
        match self {
            Self::Claims { token, .. } | Self::Token(token) => Some(token),
            Self::Nobody => None,
        }
    }

    /// The name in sentences.
    fn name(&self) -> &str {
        match self {
            Self::Claims { name, .. } => name,
            Self::Token(_) => "the holder of this token",
            Self::Nobody => "somebody without a token",
        }
    }
}

/// `POST /_bench/api/try`
pub async fn attempt(State(page): State<Page>, request: Request) -> Result<Json<Attempted>, Refusal> {
    let attempt: Attempt = reply::body(request).await?;
    let served = Arc::clone(&page.served);
    let in_force = served.in_force.settled().await;
    let now: UnixTime = SystemTime::now().into();
    let (http, sender) = {
        let (in_force, attempt) = (Arc::clone(&in_force), attempt.clone());
        blocking(move || {
            let http = attempt.request(&in_force, now)?;
            let issued = page.issued.time_for(&attempt, now);
            Ok((http, attempt.sender(&in_force.bench, issued)?))
        })
        .await?
    };
    let client = client_request(&http, &sender, &in_force, &served.settings.address);
    let (response, exchange) = served.gateway.answer(client).await;
    let backend = if exchange.body.is_none() { text_of(response).await } else { None };
    let address = served.settings.address.clone();
    blocking(move || {
        let explanation = explained::explain(&in_force, &exchange, &sender, &http, now);
        Ok(Json(Attempted {
            verdict: verdict::of(&exchange, explanation.as_ref(), sender.name()),
            cache_sentence: kept::sentence(&exchange, &in_force),
            grant: kept::grant(&exchange, &sender, &http, &in_force, now),
            backend,
            curl: curl::curl(&http, &attempt.headers, sender.token(), &in_force.bench, &address),
            token: sender.token().map(str::to_owned),
            explanation,
            exchange,
        }))
    })
    .await
}

impl Attempt {
    /// The request as a client sends it, without the token.
    pub fn request(&self, in_force: &InForce, now: UnixTime) -> Result<HttpRequest, Refusal> {
        let milliseconds = now.as_seconds().saturating_mul(1000);
        let text = format!("{} {}", self.method.to_ascii_uppercase(), self.path);
        let mut http = HttpRequest::parse(&text, milliseconds).map_err(Refusal::bad_request)?;
        http.api = in_force.api.kind().events();
        http.stage.clone_from(&in_force.api.stage);
        http.query.extend(self.query.iter().cloned());
        for (name, value) in &self.headers {
            let is_header =
                HeaderName::try_from(name.as_str()).is_ok() && HeaderValue::try_from(value.as_str()).is_ok();
            if !is_header {
                return Err(Refusal::bad_request(format!("`{name}: {value}` is not a header")));
            }
        }
        http.headers.clone_from(&self.headers);
        if let Some(address) = self.source_ip {
            http.source_ip = address.to_string();
        }
        Ok(http)
    }

    /// Whether somebody else's token is sent.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether the address of the client is given.
    pub fn has_address(&self) -> bool {
        self.source_ip.is_some()
    }

    /// Who sends it. A token of the test issuer is issued at this time.
    fn sender(&self, bench: &TestBench, now: UnixTime) -> Result<Sender, Refusal> {
        if let Some(token) = &self.token {
            if HeaderValue::try_from(token.as_str()).is_err() || token.is_empty() {
                return Err(Refusal::bad_request("this is not a token")
                    .hint("a token is one line of letters, digits, `.`, `-` and `_`"));
            }
            return Ok(Sender::Token(token.clone()));
        }
        let Some(claims) = self.given_claims(bench)? else { return Ok(Sender::Nobody) };
        let source = bench.source(None, &claims).map_err(NoSource::into_failure)?;
        let mut all = bench.claims(&claims, source, None, now);
        if let Some(seconds) = self.expires_in {
            all.insert("exp".to_owned(), json!(signed_seconds(now).saturating_add(seconds)));
        }
        let subject = claims.get(source.principal_id_claim()).and_then(serde_json::Value::as_str);
        let name = self.persona.clone().or_else(|| Some(subject?.to_owned()));
        let token = bench.sign(&all, now)?.text.clone();
        Ok(Sender::Claims { name: name.unwrap_or_else(|| "this caller".to_owned()), claims: all, token })
    }

    /// The claims of the persona with those that are given, without those that every token has.
    pub fn given_claims(&self, bench: &TestBench) -> Result<Option<Claims>, Failure> {
        let of_persona = self.persona.as_ref().map(|name| bench.personas().find(name)).transpose()?;
        if of_persona.is_none() && self.claims.is_none() {
            return Ok(None);
        }
        let mut claims = of_persona.cloned().unwrap_or_default();
        claims.extend(self.claims.clone().unwrap_or_default());
        Ok(Some(claims))
    }
}

fn signed_seconds(now: UnixTime) -> i64 {
    i64::try_from(now.as_seconds()).unwrap_or(i64::MAX)
}

fn client_request(http: &HttpRequest, sender: &Sender, in_force: &InForce, address: &str) -> ClientRequest {
    let mut headers = http.headers.clone();
    let has = |headers: &[(String, String)], name: &str| {
        headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    if !has(&headers, "host") {
        let host = address.split_once("//").map_or(address, |(_, host)| host);
        headers.push(("host".to_owned(), host.to_owned()));
    }
    if !has(&headers, "user-agent") {
        headers.push(("user-agent".to_owned(), "test bench".to_owned()));
    }
    if let Some(token) = sender.token() {
        let name = in_force.bench.bundle().token_location().header.clone();
        headers.push((name, format!("Bearer {token}")));
    }
    ClientRequest::of_page(&http.verb, &http.target(), headers, &http.source_ip)
}

/// What a backend answers, if it is text and comes soon: some backends stream for ever.
async fn text_of(response: Response<Body>) -> Option<String> {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    let is_text = ["json", "text", "xml"].iter().any(|word| media_type.contains(word));
    let body = tokio::time::timeout(PATIENCE, to_bytes(response.into_body(), MAX_SHOWN_BYTES)).await;
    let body = body.ok()?.ok().filter(|body| is_text && !body.is_empty())?;
    Some(String::from_utf8_lossy(&body).into_owned())
}

/// Longer answers are cut off by no page, but nobody reads them here.
const MAX_SHOWN_BYTES: usize = 64 * 1024;

const PATIENCE: Duration = Duration::from_secs(2);
