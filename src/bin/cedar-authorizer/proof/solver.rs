//! The solver: cvc5, as a process that is asked over its stdin and stdout.

use std::env;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use cedar_policy_symcc::CedarSymCompiler;
use cedar_policy_symcc::err::{Error, SolverError};
use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::Settings;
use crate::output::{Failure, printable};
use crate::runtime::runtime;

/// A program that is cvc5: it was asked for its version.
#[derive(Clone, Debug)]
pub struct Program {
    path: OsString,
    /// As it names itself: `cvc5 1.3.1`.
    pub name: String,
}

impl Program {
    /// The program that `CVC5` names, or `cvc5` on the `PATH`.
    ///
    /// # Errors
    /// There is none, or it is something else.
    pub fn find() -> Result<Self, Failure> {
        let given = env::var_os("CVC5").filter(|path| !path.is_empty());
        let shown = given.as_ref().map(|path| format!("`CVC5={}`", printable(&path.to_string_lossy())));
        let shown = shown.unwrap_or_else(|| "`cvc5`".to_owned());
        let path = given.unwrap_or_else(|| "cvc5".into());
        let unusable =
            |why: &str| Failure::could_not_run(format_args!("the solver {shown} {why}")).hint(HOW_TO_GET);
        let version = runtime()?.block_on(async {
            let mut command = command(&path);
            let asked = command.arg("--version").stdin(Stdio::null()).output();
            timeout(PATIENCE, asked).await
        });
        let output = match version {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(unusable("is not installed"));
            }
            Ok(Err(error)) => return Err(unusable(&format!("cannot be started: {error}"))),
            Err(_) => return Err(unusable("does not say its version")),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split("cvc5 version ").nth(1).and_then(|rest| rest.split_whitespace().next());
        match version {
            Some(version) => {
                let version: String = printable(version).chars().take(LONGEST_VERSION).collect();
                Ok(Self { path, name: format!("cvc5 {version}") })
            }
            None => Err(unusable("does not name a version of cvc5")),
        }
    }

    /// Starts it.
    fn start(&self, limit: Duration) -> Result<Process, SolverError> {
        let mut command = command(&self.path);
        // `--tlimit` would be for all questions together.
        command.args(["--lang=smt2", &format!("--tlimit-per={}", limit.as_millis())]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SolverError::Solver("it has no input or output".to_owned()));
        };
        Ok(Process { input: BufWriter::new(input), output: BufReader::new(output), _child: child })
    }
}

fn command(path: &OsString) -> Command {
    let mut command = Command::new(path);
    command.stderr(Stdio::null()).kill_on_drop(true);
    command
}

/// Asks a solver, one question after another. A solver that does not answer is killed, and another is started for the
/// next question.
pub struct Inquirer<'a> {
    program: &'a Program,
    limit: Duration,
    runtime: Runtime,
    process: Option<CedarSymCompiler<Process>>,
}

impl<'a> Inquirer<'a> {
    /// # Errors
    /// The system gives no runtime.
    pub fn new(program: &'a Program, settings: &Settings) -> Result<Self, Failure> {
        let limit = Duration::from_secs(settings.seconds_per_query.into());
        Ok(Self { program, limit, runtime: runtime()?, process: None })
    }

    /// Asks one question.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut CedarSymCompiler<Process>) -> Result<T, Error>,
    ) -> Result<T, String> {
        let Self { program, limit, runtime, process } = self;
        let mut asked = match process.take() {
            Some(running) => running,
            None => {
                let start =
                    async { program.start(*limit).map_err(Error::from).and_then(CedarSymCompiler::new) };
                runtime.block_on(start).map_err(|error| because(&error, *limit))?
            }
        };
        let answer = runtime.block_on(async {
            let answer = timeout(*limit + GRACE, question(&mut asked)).await;
            // Whatever is not a plain answer leaves the solver in a state that nobody knows.
            if matches!(answer, Ok(Ok(_))) {
                *process = Some(asked);
            }
            answer
        });
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(because(&error, self.limit)),
            Err(_) => Err(format!(
                "the solver did not answer within {} s, and was stopped",
                (self.limit + GRACE).as_secs()
            )),
        }
    }
}

/// An error in words.
fn because(error: &Error, limit: Duration) -> String {
    match error {
        Error::SolverUnknown => format!("the solver did not finish within {} s", limit.as_secs()),
        Error::SolverError(SolverError::Io(error)) => format!("the solver went away: {error}"),
        Error::SolverError(SolverError::UnrecognizedSolverOutput(text)) => {
            format!("the solver wrote what is no answer: `{}`", short(text))
        }
        Error::SolverError(SolverError::Solver(text)) => format!("the solver failed: {}", short(text)),
        Error::EncodeError(error) => format!("the solver took no question: {}", short(&error.to_string())),
        Error::DecodeModel(error) => {
            format!("the solver wrote an example that is not one: {}", short(&error.to_string()))
        }
        Error::ModelInvalid { .. } => "the solver wrote an example that does not fit the question".to_owned(),
        error => short(&error.to_string()),
    }
}

/// Text of the solver that is fit for a message.
fn short(text: &str) -> String {
    let shown: String = text.trim().chars().take(LONGEST_TEXT).collect();
    printable(&shown)
}

/// A running solver.
pub struct Process {
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Killed when it is dropped.
    _child: Child,
}

impl Process {
    /// Writes a command, and reads the line that answers it.
    async fn line_after(&mut self, command: &str) -> Result<String, SolverError> {
        self.input.write_all(command.as_bytes()).await?;
        self.input.flush().await?;
        self.line().await
    }

    async fn line(&mut self) -> Result<String, SolverError> {
        let mut bytes = Vec::new();
        (&mut self.output).take(MAX_BYTES).read_until(b'\n', &mut bytes).await?;
        if bytes.is_empty() {
            return Err(SolverError::Solver("it ended, or closed its output".to_owned()));
        }
        if !bytes.ends_with(b"\n") && bytes.len() as u64 >= MAX_BYTES {
            return Err(SolverError::Solver("its answer is too long".to_owned()));
        }
        String::from_utf8(bytes).map_err(|_| SolverError::Solver("its answer is not UTF-8".to_owned()))
    }
}

impl Solver for Process {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.input
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        Ok(self.input.write_all(b"(set-option :produce-models true)\n").await?)
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        let line = self.line_after("(check-sat)\n").await?;
        match line.trim() {
            "sat" => Ok(Decision::Sat),
            "unsat" => Ok(Decision::Unsat),
            // Its wheel adds why: `unknown (TIMEOUT)`.
            other if other.starts_with("unknown") => Ok(Decision::Unknown),
            other => Err(no_answer(other)),
        }
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        match self.check_sat().await? {
            Decision::Unsat => return Ok(DecisionWithModel::Unsat),
            Decision::Unknown => return Ok(DecisionWithModel::Unknown),
            Decision::Sat => {}
        }
        let mut model = self.line_after("(get-model)\n").await?;
        if model.trim() != "(" {
            return Err(no_answer(model.trim()));
        }
        loop {
            let line = self.line().await?;
            model.push_str(&line);
            if line.trim() == ")" {
                return Ok(DecisionWithModel::Sat { model });
            }
            if model.len() as u64 > MAX_BYTES {
                return Err(SolverError::Solver("its example is too long".to_owned()));
            }
        }
    }
}

fn no_answer(text: &str) -> SolverError {
    match text.strip_prefix("(error \"").and_then(|rest| rest.strip_suffix("\")")) {
        Some(message) => SolverError::Solver(message.to_owned()),
        None => SolverError::UnrecognizedSolverOutput(text.to_owned()),
    }
}

/// What to do where there is no solver.
const HOW_TO_GET: &str = "get cvc5 1.3 or later: `brew install cvc5/cvc5/cvc5`, or the program of \
    https://github.com/cvc5/cvc5/releases, and name it by `CVC5=/path/to/cvc5`; the cvc5 of \
    Debian and Ubuntu is too old";

/// How long a solver may take to say its version: more than any takes to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much longer than its limit a solver may take to answer, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// More than the model of any question that was seen, by a factor of a hundred.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

const LONGEST_VERSION: usize = 40;
const LONGEST_TEXT: usize = 200;
