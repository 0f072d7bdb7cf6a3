//! `cedar-authorizer`, the command line.

mod access;
mod authorize;
mod avp;
mod build;
mod changes;
mod check;
mod completions;
mod deployment;
mod description;
mod diff;
mod edition;
mod explanation;
mod export;
mod findings;
mod gateway_cache;
mod html;
mod import;
mod init;
mod inspect;
mod invoke;
mod keygen;
mod local_server;
mod locks;
mod man;
mod matrix;
mod nearest;
mod output;
mod progress;
mod proof;
mod prove;
mod publish;
mod recorded;
mod redact;
mod replay;
mod runtime;
mod schema;
mod serve;
mod store;
mod test;
mod test_bench;
mod token;
mod trust;
mod watch;
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
    Init(init::Init),
    Check(check::Check),
    Test(test::Test),
    Authorize(Box<authorize::Authorize>),
    Matrix(matrix::MatrixArgs),
    Diff(Box<diff::Diff>),
    Prove(prove::Prove),
    Replay(replay::Replay),
    Redact(redact::Redact),
    Schema(schema::Schema),
    Token(token::Token),
    Invoke(invoke::Invoke),
    Serve(Box<serve::Serve>),
    Build(build::Build),
    Keygen(keygen::Keygen),
    Publish(publish::Publish),
    Inspect(inspect::Inspect),
    Import(Box<import::Import>),
    Export(Box<export::Export>),
    Avp(avp::Avp),
    Completions(completions::Completions),
    Man(man::Man),
}

const EXAMPLES: &str = "\
Examples:
  cedar-authorizer init --openapi petstore.yaml               make a policy store for an API
  cedar-authorizer check                                      find what is wrong with ./policies
  cedar-authorizer test                                       what the policies decide, and should decide
  cedar-authorizer authorize --as alice GET /pets/7           one decision, explained
  cedar-authorizer matrix                                     who may call what
  cedar-authorizer diff main:policies policies                what a change would do, before it does it
  cedar-authorizer prove                                      what holds for every possible request
  cedar-authorizer replay calls.jsonl                         decide recorded requests again
  cedar-authorizer schema --output schema.svg                 draw entity types and actions
  cedar-authorizer invoke events/token-get-pets-allow.json    run the function on an event
  cedar-authorizer serve                                      an API Gateway and a test bench on this machine
  cedar-authorizer token --as alice                           sign a token for trying things out
  cedar-authorizer build --output petstore.bundle             make the file that the function loads
  cedar-authorizer publish --to s3://bucket/petstore.bundle   make a new revision and put it there
  cedar-authorizer inspect petstore.bundle                    what is in a bundle, or between two
  cedar-authorizer import cloudformation template.yaml        make a store of one elsewhere
  cedar-authorizer export terraform --output avp.tf           and the way back

Exit codes:
  0  fine
  1  could not run
  2  denied, or a test or property failed; with `diff`, `replay`, `publish --require diff`,
     `matrix --check` and `inspect --exit-code`, different;
     or `init` or `import` left something out; or what was exported could decide differently
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
        Command::Init(init) => init.run(),
        Command::Import(import) => import.run(),
        Command::Export(export) => export.run(),
        Command::Avp(avp) => avp.run(),
        Command::Check(check) => check.run(),
        Command::Authorize(authorize) => authorize.run(),
        Command::Matrix(matrix) => matrix.run(),
        Command::Diff(diff) => diff.run(),
        Command::Prove(prove) => prove.run(),
        Command::Replay(replay) => replay.run(),
        Command::Redact(redact) => redact.run(),
        Command::Test(test) => test.run(),
        Command::Schema(schema) => schema.run(),
        Command::Token(token) => token.run(),
        Command::Invoke(invoke) => invoke.run(),
        Command::Serve(serve) => serve.run(),
        Command::Build(build) => build.run(),
        Command::Keygen(keygen) => keygen.run(),
        Command::Publish(publish) => publish.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_example_of_the_help_is_a_valid_call() {
        let mut program = Cli::command();
        program.build();
        for command in [&program].into_iter().chain(program.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.lines().filter(|line| line.starts_with("  "));
            let calls: Vec<Vec<String>> = examples.filter_map(call).collect();
            assert!(
                !calls.is_empty() || command.get_name() == "help",
                "{} has no examples",
                command.get_name()
            );
            for call in calls {
                if let Err(error) = Cli::try_parse_from(&call) {
                    panic!("{call:?}: {error}");
                }
            }
        }
    }

    /// The words of the call of this program in a line for a shell.
    fn call(line: &str) -> Option<Vec<String>> {
        let (_, call) = line.split_once("cedar-authorizer ")?;
        // Two spaces come before a remark.
        let (call, _) = call.split_once("  ").unwrap_or((call, ""));
        let mut words = vec!["cedar-authorizer".to_owned()];
        let (mut word, mut end) = (String::new(), None);
        for char in call.chars().chain([' ']) {
            match (char, end) {
                (' ', None) if word.is_empty() => {}
                (' ', None) if ["|", ">", ">>", "<"].contains(&word.as_str()) => return Some(words),
                (' ', None) => words.push(std::mem::take(&mut word)),
                ('\'' | '"', None) => end = Some(char),
                ('(', None) => {
                    word.push(char);
                    end = Some(')');
                }
                (char, Some(quote)) if char == quote => end = None,
                (char, _) => word.push(char),
            }
        }
        Some(words)
    }
}
