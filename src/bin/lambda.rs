//! `cedar-authorizer-lambda`, the function.

use std::process::ExitCode;
use std::time::SystemTime;

use cedar_authorizer::function::config::{self, Config};
use cedar_authorizer::function::lambda::{Function, report_init_error};
use cedar_authorizer::function::log;
use cedar_authorizer::function::telemetry::Telemetry;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

// One thread is enough for one event at a time. A second one would only cost its start.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    log::init(config::variable)?;
    let function = match init().await {
        Ok(function) => function,
        Err(error) => {
            tracing::error!("{error}");
            if let Some(runtime_api) = config::runtime_api() {
                report_init_error(&runtime_api, &error.to_string()).await;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let function = &function;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| async move {
        let LambdaEvent { payload, context, .. } = event;
        function.answer_to(payload.get(), &context.into(), SystemTime::now()).await.into_response()
    }))
    .await?;
    Ok(ExitCode::SUCCESS)
}

async fn init() -> Result<Function, Error> {
    let config = Config::from_env()?;
    let function = Function::init(&config, SystemTime::now().into()).await?;
    let function = function.with_telemetry(Telemetry::new(config.telemetry, log::write));
    function.rehearse(SystemTime::now()).await;
    Ok(function)
}
