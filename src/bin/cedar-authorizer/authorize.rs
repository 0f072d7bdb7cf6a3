//! `authorize`: one decision, explained.

mod caller;
mod inquiry;
mod question;
mod refusal;

use std::path::PathBuf;

use cedar_authorizer::reason::Status;
use clap::Args;

use crate::output::{Exit, Failure, OutputFormat, print};
use crate::store::StoreArgs;
use crate::test_bench::TestBench;
use caller::CallerArgs;
pub use inquiry::{Inquiry, Refused};
use question::{CedarArgs, Question, RequestArgs};
pub use refusal::unverified_claims;

/// Decide one request, and explain the decision
///
/// Asks the policies as the function does: a request of a persona, of any claims, of a real token, an event of API
/// Gateway, or a request in Cedar's terms. Shows the request as the policies see it, and what each policy that is about
/// it says, clause by clause, with the values that it saw. If the request is denied, names the smallest change of
/// groups or claims that would allow it.
#[derive(Debug, Args)]
#[command(
    override_usage = "cedar-authorizer authorize [OPTIONS] <--as NAME|--claims JSON|--token TOKEN> <METHOD> <PATH>\n       \
                      cedar-authorizer authorize [OPTIONS] --event FILE\n       \
                      cedar-authorizer authorize [OPTIONS] <--as NAME|--principal UID> --action UID [--resource UID]",
    after_help = "\
Examples:
  cedar-authorizer authorize --as alice GET /pets/7
  cedar-authorizer authorize --as bob POST /pets --header 'X-Tenant: acme' --query dry-run=true
  cedar-authorizer authorize --claims '{\"sub\": \"u1\", \"cognito:groups\": [\"customer\"]}' GET /pets
  cedar-authorizer authorize --token - GET /pets < token.txt
  cedar-authorizer authorize --event events/token-post-pets-deny.json
  cedar-authorizer authorize --as alice --action 'PetStore::Action::\"get /pets\"'

Exit codes: 0 allowed, 1 could not run, 2 denied, 3 invalid store"
)]
pub struct Authorize {
    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    caller: CallerArgs,

    #[command(flatten)]
    request: RequestArgs,

    /// An event of API Gateway as a JSON file, with its token; `-` reads it from stdin
    ///
    /// With --as or --claims, the event gets a token of theirs.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "action"])]
    event: Option<PathBuf>,

    #[command(flatten)]
    cedar: CedarArgs,

    /// Show every policy that is about this action and resource, not only the nearest
    #[arg(long)]
    all: bool,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Authorize {
    pub fn run(self) -> Result<Exit, Failure> {
        let Self { store, caller, request, event, cedar, all, format } = self;
        let bench = TestBench::open(&store)?;
        let most = if all { usize::MAX } else { NEAREST };
        let question = Question { inquiry: Inquiry { bench: &bench, most }, caller: &caller };
        let report = match (&event, cedar.action()) {
            (Some(path), _) => question.of_event(path)?,
            (None, Some(action)) => question.in_cedars_terms(action, &cedar)?,
            (None, None) => question.of_request(&request)?,
        };
        match format {
            OutputFormat::Json => {
                let json = serde_json::to_value(&report).map_err(Failure::could_not_run)?;
                print(&format_args!("{json:#}"))?;
            }
            OutputFormat::Human => {
                report.lines(&store.name()).iter().try_for_each(print)?;
            }
        }
        Ok(match report.decision {
            Status::Allow => Exit::Fine,
            Status::Deny | Status::Unauthorized => Exit::Denied,
            Status::Fault => Exit::CouldNotRun,
        })
    }
}

/// How many policies are shown that did not decide.
pub const NEAREST: usize = 3;
