//! `diff`: what a change of policies would do, before it does it.

pub mod agreement;
pub mod human;
mod markdown;
mod page;
pub mod report;
mod sheet;
pub mod side;
mod view;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, value_parser};

use crate::build::replace;
use crate::matrix::By;
use crate::output::{Exit, Failure, HINT, paint, print, printable, warn};
use crate::proof;
use crate::trust::TrustArgs;
use agreement::Agreement;
use report::{Judged, Questions, Report};
use side::Age;

/// Show what a change of policies would do
///
/// Compares two policy stores: who may call what, which tests change their result, which recorded requests would be
/// answered otherwise, and with --prove what changes for any request at all. What widens access comes first. A store is a
/// directory, a bundle, a bundle in S3, or a git revision as `main:policies`.
///
/// A change that is meant can be agreed to, by its line in the file of --allow-only. `--format agreement` prints these
/// lines. Then only other changes make the exit code 2.
///
/// For bundles in S3, endpoint, region and credentials are set as for every AWS SDK: AWS_PROFILE, AWS_REGION,
/// AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on. This needs s3:GetObject, and for a version s3:GetObjectVersion.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer diff main:policies policies
  cedar-authorizer diff s3://bucket/petstore.bundle policies --replay calls.jsonl
  cedar-authorizer diff HEAD~3:policies policies --request 'GET /pets/7?all=true'
  cedar-authorizer diff main:policies policies --prove --seconds-per-query 60
  cedar-authorizer diff main:policies policies --format markdown --output comment.md
  cedar-authorizer diff main:policies policies --format agreement > agreed.txt
  cedar-authorizer diff main:policies policies --allow-only agreed.txt

Exit codes: 0 nothing changes, or only what was agreed to; 1 could not run; 2 something changes, or it
is not proved that nothing does; 3 invalid store or bundle")]
pub struct Diff {
    /// What is in force: a directory, bundle, s3://bucket/key or git revision as `main:policies`
    #[arg(value_name = "OLD")]
    old: String,

    /// What would be in force
    #[arg(value_name = "NEW")]
    new: String,

    /// Whose access is compared [default: personas and groups]
    #[arg(long, value_enum, value_name = "WHOM")]
    by: Option<By>,

    /// A request to compare beside the routes, e.g. "GET /pets/7"; may be repeated
    #[arg(long = "request", value_name = "REQUEST")]
    requests: Vec<String>,

    #[command(flatten)]
    evidence: EvidenceArgs,

    /// A log of a function with a shadow bundle; may be repeated
    #[arg(long = "shadow-log", value_name = "FILE")]
    shadow_logs: Vec<PathBuf>,

    /// The form of the report [default: human, or as the name of --output ends]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// The file to write, in place of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Changes that were agreed to, a line each; others make the exit code 2
    #[arg(long, value_name = "FILE")]
    allow_only: Option<PathBuf>,

    #[command(flatten)]
    trust: TrustArgs,
}

/// What is asked beyond matrix and tests.
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    /// Recorded requests to decide under both stores; may be repeated
    ///
    /// A log of decisions with requests (DECISION_LOG_REQUESTS), or what `serve --record` wrote.
    #[arg(long = "replay", value_name = "FILE")]
    replay: Vec<PathBuf>,

    /// Prove what changes for every possible request, with the solver cvc5
    #[arg(long)]
    prove: bool,

    /// How long the solver may think about one question
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        requires = "prove",
        value_parser = value_parser!(u32).range(1..=86_400)
    )]
    seconds_per_query: u32,
}

impl EvidenceArgs {
    /// Whether anything is asked.
    pub fn is_given(&self) -> bool {
        self.prove || !self.replay.is_empty()
    }

    /// The questions, for personas and groups.
    pub fn questions(&self) -> Questions {
        let settings = proof::Settings { seconds_per_query: self.seconds_per_query };
        Questions {
            replay: self.replay.clone(),
            proof: self.prove.then_some(settings),
            ..Questions::default()
        }
    }
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Human,
    /// For programs, with everything
    Json,
    /// For the comment of a pull request, at most 65,000 characters
    Markdown,
    /// A page
    Html,
    /// The lines for --allow-only
    Agreement,
}

impl Format {
    /// The form that the name of a file asks for.
    fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }
}

impl Diff {
    pub fn run(self) -> Result<Exit, Failure> {
        // A file that is wrong is known before minutes are spent.
        let agreement = self.allow_only.as_deref().map(Agreement::read).transpose()?;
        let trusted = self.trust.read()?;
        let old = side::read(&self.old, Age::Old, trusted.as_ref())?;
        let new = side::read(&self.new, Age::New, trusted.as_ref())?;
        let (old, new) = side::pair(old, new)?;
        let questions = Questions {
            by: self.by,
            requests: self.requests.clone(),
            shadow_logs: self.shadow_logs.clone(),
            ..self.evidence.questions()
        };
        let judged = Report::compare(&old, &new, &questions)?.judge(agreement.as_ref());
        self.write(&judged)?;
        Ok(if judged.is_changed() { Exit::Denied } else { Exit::Fine })
    }

    fn write(&self, judged: &Judged) -> Result<(), Failure> {
        let of_file = self.output.as_deref().and_then(Format::of_file);
        let format = self.format.or(of_file).unwrap_or(Format::Human);
        let text = match format {
            Format::Human => human::human(judged),
            Format::Json => format!("{:#}", judged.json()),
            Format::Markdown => markdown::markdown(judged),
            Format::Html => page::page(judged),
            Format::Agreement => judged.agreement(),
        };
        let text = text.trim_end_matches('\n');
        match &self.output {
            Some(path) => {
                let plain = format!("{}\n", anstream::adapter::strip_str(text));
                write_file(path, plain.as_bytes())?;
            }
            None => print(&text)?,
        }
        if format != Format::Human {
            // These forms are read by others; who runs the verb sees the result, too.
            note_stale(judged);
        }
        if judged.is_changed() && format != Format::Agreement {
            let names = [&self.old, &self.new].map(|name| printable(name)).join(" ");
            let hint = format!(
                "if that is meant: cedar-authorizer diff {names} --format agreement > agreed.txt, with \
                         the same options"
            );
            warn(&format_args!("  {} {hint}", paint(HINT, "help:")));
        }
        Ok(())
    }
}

/// Warns of agreements that name no change.
fn note_stale(judged: &Judged) {
    for (number, line) in &judged.stale {
        let note = paint(HINT, "note:");
        warn(&format_args!("{note} line {number} of --allow-only names no change: {}", printable(line)));
    }
}

/// Writes a file whole or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes)
        .map_err(|error| Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display())))
}
