//! The function: an event in, a response or an error out.

use cedar_policy::PolicyId;
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use crate::authorize::{Outcome, authorize};
use crate::bundle::Bundle;
use crate::call::Call;
use crate::config::Config;
use crate::jwks::KeyCache;
use crate::reason::{Reason, Status};
use crate::response::PolicyResponse;
use crate::source::LoadFailure;
use crate::time::UnixTime;
use crate::token::Unverified;

/// The function, ready for events.
#[derive(Debug)]
pub struct Function {
    bundle: Bundle,
    keys: KeyCache,
}

impl Function {
    /// Loads the bundle and the keys.
    ///
    /// # Errors
    /// [`InitFailure`]: without a bundle nothing can be answered.
    pub async fn init(config: &Config, now: UnixTime) -> Result<Self, InitFailure> {
        let bundle = config.bundle_uri.load(config.development_keys).await?;
        if let Some(trusted) = &config.trusted_pool {
            let strangers = bundle.identity_sources().iter().filter(|source| !trusted.covers(source));
            let names: Vec<&str> = strangers.map(|source| source.name()).collect();
            if !names.is_empty() {
                return Err(InitFailure::UntrustedIdentitySource(names.join("`, `")));
            }
        }
        let keys = KeyCache::load(&bundle, config.development_keys, now).await;
        let manifest = bundle.manifest();
        info!(bundle = manifest.name, revision = manifest.revision, uri = %config.bundle_uri, "bundle loaded");
        Ok(Self { bundle, keys })
    }

    /// Answers an event. It never fails: a fault is an answer too.
    pub async fn answer(&self, event: Value, now: UnixTime) -> Answer {
        let call = match Call::from_event(event) {
            Ok(call) => call,
            Err(invalid) => return Answer::refused(invalid.reason(), &invalid.to_string()),
        };
        let mut result = authorize(&call, &self.bundle, &self.keys.snapshot(), now);
        if let Err(Unverified::KeyMissing { source }) = result {
            self.keys.refresh(source, now).await;
            result = authorize(&call, &self.bundle, &self.keys.snapshot(), now);
        }
        match result {
            Ok(outcome) => Answer::decided(outcome, self.bundle.revision()),
            Err(Unverified::Refused(reason)) => Answer::refused(reason, ""),
            Err(Unverified::KeyMissing { source }) => {
                // Without any key nothing can be said of the token; with some, it is not of them.
                let has_keys = self.keys.snapshot().get(source).is_some_and(|keys| !keys.is_empty());
                match has_keys {
                    true => Answer::refused(Reason::KeyUnknown, ""),
                    false => Answer::refused(Reason::KeysUnavailable, ""),
                }
            }
        }
    }
}

/// What an event leads to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A decision.
    Decided(Box<Outcome>, Box<PolicyResponse>),
    /// None: 401 or 500.
    Refused(Reason),
}

impl Answer {
    /// Why.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Decided(outcome, _) => outcome.decision.reason,
            Self::Refused(reason) => *reason,
        }
    }

    /// What the runtime is given: the response, or the error that API Gateway turns into 401 or
    /// 500. This is the one place where that is decided.
    ///
    /// # Errors
    /// The error for the runtime. API Gateway answers 401 if its message is `Unauthorized` to the
    /// letter, and 500 else (API Gateway Developer Guide, "Lambda authorizers").
    pub fn into_response(self) -> Result<PolicyResponse, Diagnostic> {
        let reason = self.reason();
        match self {
            Self::Decided(_, response) => Ok(*response),
            Self::Refused(_) if reason.status() == Status::Unauthorized => Err(Diagnostic {
                error_type: UNAUTHORIZED.to_owned(),
                error_message: UNAUTHORIZED.to_owned(),
            }),
            Self::Refused(_) => Err(Diagnostic {
                error_type: reason.code().to_owned(),
                error_message: reason.meaning().to_owned(),
            }),
        }
    }

    fn decided(outcome: Outcome, revision: u64) -> Self {
        let response = PolicyResponse::new(&outcome, revision);
        let Outcome { decision, principal, route, resource: _, grant: _, backend_claims: _, dropped_claims } =
            &outcome;
        info!(
            reason = decision.reason.code(),
            %principal,
            action = route.as_ref().map(|route| route.action.to_string()),
            policies = list(&decision.policies),
            errors = list(&decision.errors),
            dropped_claims,
            revision,
            "decided"
        );
        Self::Decided(Box::new(outcome), Box::new(response))
    }

    /// `detail` is for the log; like the reason it must say nothing of the token.
    fn refused(reason: Reason, detail: &str) -> Self {
        match reason.status() {
            Status::Fault => error!(reason = reason.code(), detail, "fault"),
            _ => warn!(reason = reason.code(), detail, "refused"),
        }
        Self::Refused(reason)
    }
}

/// Why the function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum InitFailure {
    /// There is no usable bundle.
    #[error(transparent)]
    Bundle(#[from] LoadFailure),
    /// The bundle accepts tokens that this deployment does not.
    #[error(
        "the bundle accepts tokens of another user pool or client than USER_POOL_ARN and USER_POOL_CLIENT_IDS name: identity source `{0}`"
    )]
    UntrustedIdentitySource(String),
}

/// Tells Lambda that init failed, so that its log and its caller have the whole message.
pub async fn report_init_error(runtime_api: &str, message: &str) {
    let url = format!("http://{runtime_api}/2018-06-01/runtime/init/error");
    let body = json!({"errorType": INIT_ERROR, "errorMessage": message, "stackTrace": []});
    let request = reqwest::Client::new()
        .post(url)
        .header("Lambda-Runtime-Function-Error-Type", INIT_ERROR)
        .body(body.to_string());
    if let Err(error) = request.send().await {
        error!(%error, "the failed init cannot be reported");
    }
}

fn list(policies: &[PolicyId]) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The one message that API Gateway turns into 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// The form is Lambda's: a category and a reason (Lambda Developer Guide, "Runtime API").
const INIT_ERROR: &str = "CedarAuthorizer.InitError";
