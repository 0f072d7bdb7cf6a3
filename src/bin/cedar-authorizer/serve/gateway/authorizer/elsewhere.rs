//! An authorizer that runs elsewhere, behind an endpoint that invokes it: `cargo lambda watch`, the Runtime Interface
//! Emulator, LocalStack, or Lambda's own `Invoke`.

use std::error::Error;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde_json::Value;

use super::{Said, decided_by_context};
use crate::output::Failure;

/// An endpoint that takes an event and returns the answer of a function.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    client: Client,
    url: Url,
    patience: Duration,
}

impl Elsewhere {
    /// `patience` is how long API Gateway waits.
    pub fn new(url: Url, patience: Duration) -> Result<Self, Failure> {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build();
        Ok(Self { client: client.map_err(Failure::could_not_run)?, url, patience })
    }

    /// Asks it. The error says what is wrong, for people.
    pub async fn ask(&self, event: String) -> Result<Said, String> {
        let asked = tokio::time::timeout(self.patience, self.invoke(event)).await;
        asked.unwrap_or_else(|_| {
            Err(format!("the authorizer did not answer within {} seconds", self.patience.as_secs()))
        })
    }

    async fn invoke(&self, event: String) -> Result<Said, String> {
        let request =
            self.client.post(self.url.clone()).header("content-type", "application/json").body(event);
        let response = request.send().await.map_err(Self::unreachable)?;
        let status = response.status();
        let is_error = response.headers().contains_key(FUNCTION_ERROR);
        let body = Self::body(response).await?;
        if !status.is_success() && !is_error {
            return Err(format!("the authorizer's endpoint answered {status}"));
        }
        let json: Value = serde_json::from_slice(&body)
            .map_err(|error| format!("the authorizer's answer is not JSON: {error}"))?;
        // Emulators do not all send the header.
        let is_error = is_error || json.get("errorMessage").is_some() && json.get("policyDocument").is_none();
        let decided = decided_by_context(&json);
        Ok(Said { json, is_error, bytes: body.len(), decided, log: None })
    }

    async fn body(mut response: Response) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Self::unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err("the authorizer's answer is longer than Lambda allows, 6 MB".to_owned());
            }
        }
        Ok(body)
    }

    fn unreachable(error: reqwest::Error) -> String {
        let error = error.without_url();
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        let cause = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        format!("the authorizer cannot be asked: {cause}")
    }
}

/// Says that the body is an error (Lambda API reference, `Invoke`).
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// Lambda Developer Guide, "Lambda quotas": the payload of a synchronous invocation.
const MAX_ANSWER_BYTES: usize = 6 * 1024 * 1024;
