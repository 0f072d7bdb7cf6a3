//! `matrix`: who may call what.

pub mod callers;
pub mod cells;
pub mod comparison;
mod csv;
mod kept;
mod page;
mod text;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::build::replace;
use crate::output::{ERROR, Exit, Failure, HINT, SUCCESS, paint, plural, print, printable, warn};
use crate::store::StoreArgs;
use crate::test_bench::TestBench;
use cells::Matrix;
use comparison::Change;

/// Show who may call what
///
/// Decides every route of the API for every persona of `personas.toml`, or for a caller in each group, as the function
/// would. A route whose policies read more than the token is marked with `*`: there the answer may be another one for
/// other requests. --request shows such requests beside the routes.
///
/// A matrix that is kept in git shows in each review who gains and who loses access. --check compares it with the
/// policies, and names the cells that changed and the policies behind them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer matrix
  cedar-authorizer matrix --by group --format markdown
  cedar-authorizer matrix --request 'GET /pets/7' --request 'GET /pets/8'
  cedar-authorizer matrix --format csv --output policies/matrix.csv
  cedar-authorizer matrix --check policies/matrix.csv

Exit codes: 0 fine, 1 could not run, 2 with --check: a cell changed, 3 invalid store")]
pub struct MatrixArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Whose access is shown [default: personas, or groups if there are no personas]
    #[arg(long, value_enum, value_name = "WHOM")]
    by: Option<By>,

    /// A request to show beside the routes, e.g. "GET /pets/7"; may be repeated
    #[arg(long = "request", value_name = "REQUEST")]
    requests: Vec<String>,

    /// The form of the matrix [default: table, or as the name of --output or --check ends]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// The file to write, in place of stdout
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,

    /// A matrix that is kept: JSON, CSV or Markdown; compare it with the policies
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Whose access a matrix shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Each persona of `personas.toml`
    Persona,
    /// A caller in each group that the policies or entities name, and one in none
    Group,
}

/// The forms of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Table,
    /// One line for each route and caller
    Csv,
    /// With reasons and policies
    Json,
    /// A table for a README or a review
    Markdown,
    /// A page with reasons and policies
    Html,
}

impl Format {
    /// The form that the name of a file asks for.
    fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "txt" => Some(Self::Table),
            _ => None,
        }
    }
}

impl MatrixArgs {
    pub fn run(self) -> Result<Exit, Failure> {
        let kept = self.check.as_deref().map(kept::read).transpose()?;
        let bench = TestBench::open(&self.store)?;
        let callers = callers::callers(&bench, self.by)?;
        let asked = kept.iter().flat_map(Matrix::requests).map(str::to_owned);
        let requests: Vec<String> = self.requests.iter().cloned().chain(asked).collect();
        let matrix = Matrix::decide(&bench, &callers, &requests)?;
        if let Some((path, kept)) = self.check.as_ref().zip(kept) {
            let changes = comparison::changes(&kept, &matrix, &bench);
            return self.report(&path.display().to_string(), &changes);
        }
        let of_file = self.output.as_deref().and_then(Format::of_file);
        let text = match self.format.or(of_file).unwrap_or(Format::Table) {
            Format::Table => text::table(&matrix),
            Format::Csv => csv::write(&matrix),
            Format::Json => {
                let json = serde_json::to_value(&matrix).map_err(Failure::could_not_run)?;
                format!("{json:#}\n")
            }
            Format::Markdown => text::markdown(&matrix),
            Format::Html => page::page(&matrix, &bench.store().settings.name),
        };
        match &self.output {
            Some(path) => replace(path, text.as_bytes()).map_err(|error| {
                Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display()))
            })?,
            None => print(&text.trim_end_matches('\n'))?,
        }
        Ok(Exit::Fine)
    }

    /// Prints what changed since a matrix was kept.
    fn report(&self, path: &str, changes: &[Change]) -> Result<Exit, Failure> {
        if self.format == Some(Format::Json) {
            print(&format_args!("{:#}", json!({"kept": path, "changes": changes})))?;
        } else {
            for change in changes {
                print(&printable(&change.to_string()))?;
            }
        }
        if changes.is_empty() {
            warn(&format_args!("{}: `{path}` is as the policies decide", paint(SUCCESS, "ok")));
            return Ok(Exit::Fine);
        }
        warn(&format_args!("{}: {} of `{path}`", paint(ERROR, "changed"), plural(changes.len(), "cell")));
        let hint = format!("if that is meant: cedar-authorizer matrix --output {path}");
        warn(&format_args!("  {} {hint}", paint(HINT, "help:")));
        Ok(Exit::Denied)
    }
}
