//! `cedar-authorizer`, the command line.

mod authorize;
mod build;
mod changes;
mod check;
mod completions;
mod deployment;
mod edition;
mod explanation;
mod gateway_cache;
mod html;
mod inspect;
mod invoke;
mod keygen;
mod man;
mod matrix;
mod nearest;
mod output;
mod progress;
mod publish;
mod runtime;
mod schema;
mod store;
mod test;
mod test_bench;
mod token;
mod trust;
mod yaml;

use std::process::ExitCode;

use cedar_authorizer::bundle::with_room;
use clap::{Parser, Subcommand};

use output::{Exit, Failure, warn};

/// Make, check and try out policy stores for the API Gateway authorizer.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The verbs, in the order in which they are used on a store.
#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Test(test::Test),
    Authorize(authorize::Authorize),
    Matrix(matrix::MatrixArgs),
    Schema(schema::Schema),
    Token(token::Token),
    Invoke(invoke::Invoke),
    Build(build::Build),
    Keygen(keygen::Keygen),
    Publish(publish::Publish),
    Inspect(inspect::Inspect),
    Completions(completions::Completions),
    Man(man::Man),
}

const EXAMPLES: &str = "\
Examples:
  cedar-authorizer check                                      find what is wrong with ./policies
  cedar-authorizer test                                       what the policies decide, and should decide
  cedar-authorizer authorize --as alice GET /pets/7           one decision, explained
  cedar-authorizer matrix                                     who may call what
  cedar-authorizer schema --output schema.svg                 draw entity types and actions
  cedar-authorizer invoke events/token-get-pets-allow.json    run the function on an event
  cedar-authorizer token --as alice                           sign a token for trying things out
  cedar-authorizer build --output petstore.bundle             make the file that the function loads
  cedar-authorizer publish --to s3://bucket/petstore.bundle   make a new revision and put it there
  cedar-authorizer inspect petstore.bundle                    what is in a bundle, or between two

Exit codes:
  0  fine
  1  could not run
  2  denied, or a test failed; with `matrix --check` and `inspect --exit-code`, different
  3  invalid policy store or bundle

Environment:
  NO_COLOR        if set, nothing is coloured; otherwise terminals get colours
  CLICOLOR_FORCE  if set, files and pipes get colours too";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing help is what was asked for. For the rest clap would exit with 2, which means "denied" here.
            if error.use_stderr() {
                warn(&error.render().ansi().to_string().trim_end());
                return Exit::CouldNotRun.into();
            }
            // If this fails, there is nowhere to report it.
            let _ = error.print();
            return Exit::Fine.into();
        }
    };
    // Work on policies may recurse as deep as the policies do.
    let result = with_room(|| run(cli.command)).map_err(Failure::could_not_run).flatten();
    result.unwrap_or_else(Failure::report).into()
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Check(check) => check.run(),
        Command::Authorize(authorize) => authorize.run(),
        Command::Matrix(matrix) => matrix.run(),
        Command::Test(test) => test.run(),
        Command::Schema(schema) => schema.run(),
        Command::Token(token) => token.run(),
        Command::Invoke(invoke) => invoke.run(),
        Command::Build(build) => build.run(),
        Command::Keygen(keygen) => keygen.run(),
        Command::Publish(publish) => publish.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}
