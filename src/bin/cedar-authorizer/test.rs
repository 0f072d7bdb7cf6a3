//! `test`: what the policies decide, compared with what they should decide.

mod case;
pub mod comparison;
mod coverage;
mod event;
mod expectation;
pub mod fields;
pub mod page;
pub mod problem;
pub mod read;
mod record;
mod report;
mod run;
mod value;

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use cedar_authorizer::bundle::with_room;
use clap::{Args, ValueEnum};

use crate::build::replace;
use crate::output::{ERROR, Exit, Failure, paint, plural, print, warn};
use crate::progress;
use crate::store::StoreArgs;
use crate::test_bench::TestBench;
use crate::watch::watch;
use case::Case;
use coverage::Seen;
use report::{Report, Style, coverage_page, human, json, junit};
use run::{CaseResult, Decided, Runner};

pub use record::record;

/// Test what the policies decide
///
/// A test says who asks for what and which answer is expected. Each is answered as in production: a token is signed
/// and verified, an event of API Gateway is read, and the answer is applied as API Gateway applies it. The tests are
/// in `tests/` of the policy store, in YAML.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer test
  cedar-authorizer test policies/tests/pets.yaml --filter 'customers see'
  cedar-authorizer test --coverage --coverage-min 90
  cedar-authorizer test --watch
  cedar-authorizer test --format junit --output junit.xml

A test:
  tests:
    - name: customers see pets
      as: bob                       # a persona of `personas.toml`
      request: GET /pets/7
      expect: allow

Exit codes: 0 all passed, 1 could not run, 2 a test failed or the coverage is too low, 3 invalid store")]
pub struct Test {
    /// Test files [default: all `*.yaml` in `tests/` of the policy store]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    store: StoreArgs,

    /// Run only tests with this text in their name, in any case
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Write the report to this file, and the one for people to stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Stop at the first test that fails
    #[arg(long)]
    fail_fast: bool,

    /// Print a line for each test
    #[arg(long, short)]
    verbose: bool,

    /// Say which policies, routes and groups the tests have tried
    #[arg(long)]
    coverage: bool,

    /// Fail if less of the policy store is tried
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage_min: Option<u8>,

    /// Write the coverage as a page for a browser
    #[arg(long, value_name = "FILE")]
    coverage_html: Option<PathBuf>,

    /// Test again whenever a file changes, until Ctrl-C
    #[arg(long, conflicts_with_all = ["output", "coverage_html"])]
    watch: bool,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Human,
    /// For programs
    Json,
    /// For CI systems, as XML
    Junit,
}

impl Test {
    pub fn run(self) -> Result<Exit, Failure> {
        if self.watch {
            let paths: Vec<PathBuf> = [&self.store.store].into_iter().chain(&self.files).cloned().collect();
            return watch(&paths, Vec::new, || self.run_once());
        }
        self.run_once()
    }

    fn run_once(&self) -> Result<Exit, Failure> {
        let bench = TestBench::open(&self.store)?;
        let all = read_cases(&bench, &self.find_files()?)?;
        let count = all.len();
        let cases: Vec<Case> = all.into_iter().filter(|case| self.is_wanted(case)).collect();
        if cases.is_empty() {
            let filter = self.filter.as_deref().unwrap_or_default();
            let failure = Failure::could_not_run(format!("no test has `{filter}` in its name"));
            return Err(failure.hint(format!("there are {}, see them with --verbose", plural(count, "test"))));
        }
        let ran = progress::during(format!("running {}", plural(cases.len(), "test")), || {
            let mode = Mode { counts: self.wants_coverage(), fail_fast: self.fail_fast };
            run_all(&bench, &cases, mode)
        })?;
        let report = Report {
            store: self.store.name(),
            not_run: cases.len() - ran.results.len(),
            cases: cases.iter().zip(&ran.results).collect(),
            left_out: count - cases.len(),
            coverage: self.wants_coverage().then(|| ran.seen.coverage(&bench)),
        };
        self.write(&report)?;
        let is_enough = self.has_enough_coverage(&report);
        Ok(if report.failed() == 0 && is_enough { Exit::Fine } else { Exit::Denied })
    }

    fn wants_coverage(&self) -> bool {
        self.coverage || self.coverage_min.is_some() || self.coverage_html.is_some()
    }

    fn is_wanted(&self, case: &Case) -> bool {
        let wanted = |text: &String| case.name.to_lowercase().contains(&text.to_lowercase());
        self.filter.as_ref().is_none_or(wanted)
    }

    /// The files to read, in a fixed order.
    fn find_files(&self) -> Result<Vec<PathBuf>, Failure> {
        if !self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let folder = self.store.store.join("tests");
        let mut files = Vec::new();
        if folder.is_dir() {
            collect_files(&folder, &mut files)?;
        }
        files.sort();
        if files.is_empty() {
            let failure = Failure::could_not_run(format!("there are no tests in `{}`", folder.display()));
            return Err(failure.hint("write the first one into `tests/first.yaml`, see `test --help`"));
        }
        Ok(files)
    }

    fn write(&self, report: &Report<'_>) -> Result<(), Failure> {
        let style = if self.verbose { Style::Verbose } else { Style::Brief };
        let for_people = || human(report, style).join("\n");
        let text = match self.format {
            Format::Human => for_people(),
            Format::Json => format!("{:#}", json(report)),
            Format::Junit => junit(report)?.trim_end().to_owned(),
        };
        match &self.output {
            Some(path) => {
                write_file(path, &format!("{}\n", anstream::adapter::strip_str(&text)))?;
                print(&for_people())?;
            }
            None => print(&text)?,
        }
        if let (Some(path), Some(coverage)) = (&self.coverage_html, &report.coverage) {
            write_file(path, &coverage_page(&report.store, coverage))?;
        }
        Ok(())
    }

    fn has_enough_coverage(&self, report: &Report<'_>) -> bool {
        let (Some(min), Some(coverage)) = (self.coverage_min, &report.coverage) else { return true };
        let is_enough = coverage.percent() >= min.into();
        if !is_enough {
            let text = format!("the coverage is {}%, less than {min}%", coverage.percent());
            warn(&format_args!("{}: {text}", paint(ERROR, "error")));
        }
        is_enough
    }
}

/// What came of a run.
struct Ran {
    /// What became of the cases, in their order.
    results: Vec<CaseResult>,
    seen: Seen,
}

/// Reads all files. Prints everything that is wrong with them.
fn read_cases(bench: &TestBench, files: &[PathBuf]) -> Result<Vec<Case>, Failure> {
    let (mut cases, mut count) = (Vec::new(), 0);
    for path in files {
        match read::read_file(bench, path) {
            Ok(of_file) => cases.extend(of_file),
            Err(problems) => {
                let shown = problems.iter().take(MAX_SHOWN.saturating_sub(count));
                shown.for_each(|problem| warn(&problem.shown()));
                count += problems.len();
            }
        }
    }
    if count == 0 {
        return Ok(cases);
    }
    if count > MAX_SHOWN {
        warn(&format_args!("and {} more", count - MAX_SHOWN));
    }
    Err(Failure::could_not_run(format!("the tests cannot be read: {}", plural(count, "error"))))
}

/// Adds the test files in a folder and below it. Links to folders are not followed: they could lead in circles.
fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::could_not_run(format_args!("cannot read `{}`: {error}", folder.display()))
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let is_test = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if entry.file_type().map_err(unreadable)?.is_dir() {
            collect_files(&path, files)?;
        } else if is_test && path.is_file() && !path.ends_with(PROPERTIES) {
            files.push(path);
        }
    }
    Ok(())
}

/// How cases are run.
#[derive(Clone, Copy, Debug)]
struct Mode {
    /// Whether coverage is counted, which takes longer than the tests themselves.
    counts: bool,
    /// Whether the first test that fails is the last.
    fail_fast: bool,
}

/// Runs cases: on all cores, if all of them are run. The order of the results is that of the cases.
fn run_all(bench: &TestBench, cases: &[Case], mode: Mode) -> Result<Ran, Failure> {
    if mode.fail_fast {
        return run_part(bench, cases, mode);
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let size = cases.len().div_ceil(cores).max(FEWEST);
    let parts = thread::scope(|scope| {
        let run = |part| scope.spawn(move || with_room(|| run_part(bench, part, mode)));
        let threads: Vec<_> = cases.chunks(size).map(run).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    let mut all = Ran { results: Vec::new(), seen: Seen::default() };
    for part in parts {
        let Ran { results, seen } = part.map_err(Failure::could_not_run).flatten()?;
        all.results.extend(results);
        all.seen.merge(seen);
    }
    Ok(all)
}

/// Runs cases one after another.
fn run_part(bench: &TestBench, cases: &[Case], mode: Mode) -> Result<Ran, Failure> {
    let (mut results, mut seen) = (Vec::new(), Seen::default());
    let mut runner = Runner::new(bench, |decided: &Decided<'_>| {
        if mode.counts {
            seen.add(decided, bench);
        }
    });
    for case in cases {
        let result = runner.run(case)?;
        let is_last = mode.fail_fast && !result.is_passed();
        results.push(result);
        if is_last {
            break;
        }
    }
    Ok(Ran { results, seen })
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    replace(path, text.as_bytes())
        .map_err(|error| Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display())))
}

/// How many problems of test files are printed.
const MAX_SHOWN: usize = 50;

/// What is proved stands among the tests; see [`crate::prove`].
const PROPERTIES: &str = "tests/properties.yaml";

/// A thread is not worth starting for fewer cases.
const FEWEST: usize = 32;
