//! Who is asked: the function, in this process or elsewhere.

mod elsewhere;

use std::cell::RefCell;
use std::time::SystemTime;

use cedar_authorizer::function::lambda::{Answer, Function};
use cedar_authorizer::function::telemetry::invocation::LambdaContext;
use cedar_authorizer::reason::Reason;
use serde_json::{Value, json};

pub use elsewhere::Elsewhere;

use super::masking::Secrets;
use crate::serve::exchange::Decided;

/// What an authorizer said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its answer, or `{"errorType", "errorMessage"}`.
    pub json: Value,
    /// Whether it is an answer or an error.
    pub is_error: bool,
    /// How long its answer is as JSON.
    pub bytes: usize,
    /// What it decided. `None`: only the answer knows.
    pub decided: Option<Decided>,
    /// The line of its decision log. `None`: there is none here.
    pub log: Option<Value>,
}

impl Said {
    /// An error, as Lambda reports it.
    pub fn error(error_type: &str, message: &str) -> Self {
        Self {
            json: json!({"errorType": error_type, "errorMessage": message}),
            is_error: true,
            bytes: 0,
            decided: None,
            log: None,
        }
    }
}

/// Asks the function.
pub async fn ask(function: &Function, event: &str, id: &str, revision: u64) -> Said {
    let context = LambdaContext { request_id: Some(id.to_owned()), trace_id: None };
    let asked = async {
        let answer = function.answer_to(event, &context, SystemTime::now()).await;
        (answer, LINE.with(RefCell::take))
    };
    let (answer, line) = LINE.scope(RefCell::default(), asked).await;
    let decided = Some(decided(&answer, revision));
    let log = serde_json::from_slice(&line).ok();
    match answer.into_response() {
        Ok(response) => {
            let text = response.as_json();
            let json = serde_json::from_str(text).unwrap_or(Value::Null);
            Said { json, is_error: false, bytes: text.len(), decided, log }
        }
        Err(error) => Said { decided, log, ..Said::error(&error.error_type, &error.error_message) },
    }
}

fn decided(answer: &Answer, revision: u64) -> Decided {
    let reason = answer.reason();
    let (policies, principal) = match answer {
        Answer::Decided(outcome, _) => {
            let policies = outcome.decision.policies.iter().map(ToString::to_string).collect();
            (policies, Some(outcome.principal.to_string()))
        }
        Answer::Denied(..) | Answer::Refused(_) => (Vec::new(), None),
    };
    Decided {
        reason: reason.code().to_owned(),
        meaning: reason.meaning().to_owned(),
        policies,
        principal,
        revision: Some(revision),
    }
}

impl Decided {
    /// The same without tokens: an authorizer elsewhere may say anything.
    pub fn masked(self, secrets: &Secrets) -> Self {
        Self {
            reason: secrets.mask(&self.reason),
            meaning: self.meaning,
            policies: self.policies.iter().map(|policy| secrets.mask(policy)).collect(),
            principal: self.principal.map(|principal| secrets.mask(&principal)),
            revision: self.revision,
        }
    }
}

/// What an answer says of its decision by itself, in the `context` that the function gives it.
pub fn decided_by_context(answer: &Value) -> Option<Decided> {
    let context = answer.get("context")?;
    let text = |name: &str| context.get(name).and_then(Value::as_str);
    let code = text("reason");
    let reason = Reason::ALL.iter().find(|reason| code == Some(reason.code()));
    let principal = text("principal").map(str::to_owned);
    if code.is_none() && principal.is_none() {
        return None;
    }
    let policies = text("policies").into_iter().flat_map(|ids| ids.split(',')).filter(|id| !id.is_empty());
    Some(Decided {
        reason: code.unwrap_or_default().to_owned(),
        meaning: reason.map(|reason| reason.meaning()).unwrap_or_default().to_owned(),
        policies: policies.map(str::to_owned).collect(),
        principal,
        revision: context.get("revision").and_then(Value::as_u64),
    })
}

/// Takes a line of the decision log. It belongs to the call that this task makes.
pub fn take_line(line: &[u8]) {
    // Outside of a call there is nobody to take it.
    let _ = LINE.try_with(|taken| *taken.borrow_mut() = line.to_vec());
}

tokio::task_local! {
    static LINE: RefCell<Vec<u8>>;
}
