//! `cedar-authorizer-lambda`, the function.

use std::error::Error;
use std::process::ExitCode;
use std::time::SystemTime;

use cedar_authorizer::function::config::{self, Config};
use cedar_authorizer::function::lambda::{Function, report_init_error};
use cedar_authorizer::function::log;
use cedar_authorizer::function::runtime::{RuntimeApi, RuntimeFailure};
use cedar_authorizer::function::telemetry::Telemetry;

// One thread is enough for one event at a time. A second one would only cost its start.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    log::init(config::variable)?;
    let (function, api) = match init().await {
        Ok(ready) => ready,
        Err(error) => {
            tracing::error!("{error}");
            if let Some(runtime_api) = config::runtime_api() {
                report_init_error(&runtime_api, &error.to_string()).await;
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let answer = async |event: &str, context: &_| {
        function.answer_to(event, context, SystemTime::now()).await.into_response()
    };
    let Err(failure): Result<_, RuntimeFailure> = api.serve(answer).await;
    tracing::error!("{failure}");
    Ok(ExitCode::FAILURE)
}

async fn init() -> Result<(Function, RuntimeApi), Box<dyn Error>> {
    let config = Config::from_env()?;
    let function = Function::init(&config, SystemTime::now().into()).await?;
    let function = function.with_telemetry(Telemetry::new(config.telemetry, log::write));
    function.rehearse(SystemTime::now()).await;
    let mut api = RuntimeApi::new(&config::runtime_api().unwrap_or_default())?;
    if config::is_snap_start() {
        api.restored().await?;
    }
    Ok((function, api))
}
