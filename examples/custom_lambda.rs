//! A Lambda authorizer of your own, for an HTTP API with payload format 2.0 and simple responses. The gate
//! decides. Suspended users are turned away before the policies are asked.
//!
//! The function reads its bundle from a file in its package. `BUNDLE_FILE` names the file. `SUSPENDED_USERS` has
//! the `sub` of each suspended user, separated by commas. An answer is for one request only, so set the
//! authorizer's TTL to 0.

#![expect(clippy::print_stderr, reason = "an example has no log")]

use std::error::Error as StdError;
use std::time::SystemTime;
use std::{env, fs};

use aws_lambda_events::apigw::{
    ApiGatewayV2CustomAuthorizerSimpleResponse, ApiGatewayV2CustomAuthorizerV2Request,
};
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::decide::Gate;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::gateway::response::SimpleResponses;
use cedar_authorizer::token::Unverified;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let development_keys = match env::var("ALLOW_DEVELOPMENT_KEYS").as_deref() {
        Ok("true") => DevelopmentKeys::Allow,
        _ => DevelopmentKeys::Refuse,
    };
    let bundle = Bundle::open(fs::read(env::var("BUNDLE_FILE")?)?, development_keys)?;
    let authorizer = Authorizer {
        gate: Gate::with_pinned_keys(bundle),
        suspended: env::var("SUSPENDED_USERS").unwrap_or_default().split(',').map(str::to_owned).collect(),
    };
    let authorizer = &authorizer;
    let answer = |event: LambdaEvent<ApiGatewayV2CustomAuthorizerV2Request>| async move {
        authorizer.answer(event.payload).inspect_err(|error| eprintln!("{error}"))
    };
    lambda_runtime::run(service_fn(answer)).await
}

struct Authorizer {
    gate: Gate,
    suspended: Vec<String>,
}

impl Authorizer {
    /// API Gateway turns an error with the message `Unauthorized` into 401, and any other error into 500.
    fn answer(
        &self,
        event: ApiGatewayV2CustomAuthorizerV2Request,
    ) -> Result<ApiGatewayV2CustomAuthorizerSimpleResponse, Box<dyn StdError + Send + Sync>> {
        let call = Call::try_from(event)?;
        let token = call.authorization(self.gate.bundle().token_location());
        let verify = |token| self.gate.authenticate(token, SystemTime::now().into());
        let session = token.map_err(Unverified::from).and_then(verify).map_err(|unverified| {
            eprintln!("refused: {unverified}");
            "Unauthorized"
        })?;
        if self.suspended.iter().any(|user| user == session.token().principal_id()) {
            let mut denied = ApiGatewayV2CustomAuthorizerSimpleResponse::default();
            denied.is_authorized = false;
            denied.context = serde_json::json!({"reason": "suspended"});
            return Ok(denied);
        }
        let outcome = session.authorize(&call, &CacheKey::None)?;
        let response = session.respond(&call, &outcome, SimpleResponses::Enabled);
        Ok((&response).try_into()?)
    }
}
