//! How many tests of a policy store `cedar-authorizer test` runs in a second, from its start to its end.
//!
//! `cargo bench --bench policy_tests`. It measures `target/release/cedar-authorizer`, which has to be there, and ends
//! with an error if that is slower than promised.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints"
)]

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

fn main() -> ExitCode {
    // `cargo test --benches` starts this as well, but is no `cargo bench`.
    if !env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let cli = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/cedar-authorizer");
    if !cli.is_file() {
        eprintln!("there is no `{}`; build it with `cargo build --release`", cli.display());
        return ExitCode::FAILURE;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut is_fast = true;
    for (name, tests) in [("one token for all", same_token()), ("a token for each", own_tokens())] {
        let file = folder.path().join("tests.yaml");
        fs::write(&file, tests).unwrap();
        let best = (0..RUNS).map(|_| run(&cli, &file)).min().unwrap_or_default();
        let rate = f64::from(CASES) / best.as_secs_f64();
        println!("{name:<18} {CASES} tests in {best:.2?}: {rate:.0} a second");
        is_fast &= rate >= PROMISED;
    }
    if is_fast {
        ExitCode::SUCCESS
    } else {
        eprintln!("promised are {PROMISED:.0} a second");
        ExitCode::FAILURE
    }
}

fn run(cli: &Path, file: &Path) -> Duration {
    let mut command = Command::new(cli);
    command
        .arg("test")
        .arg(file)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let took = start.elapsed();
    assert!(status.success(), "the tests fail");
    took
}

/// The people of the sample store, each with another pet.
fn same_token() -> String {
    tests(|case, tests| {
        let (name, verdict) = PEOPLE[case as usize % PEOPLE.len()];
        writeln!(tests, "    as: {name}\n    request: GET /pets/{case}\n    expect: {verdict}").unwrap();
    })
}

/// A user of their own for each case, so that each token has to be signed and verified.
fn own_tokens() -> String {
    tests(|case, tests| {
        let claims = format!("{{ sub: user-{case}, \"cognito:groups\": [customer] }}");
        writeln!(tests, "    claims: {claims}\n    request: GET /pets/{case}\n    expect: allow").unwrap();
    })
}

fn tests(add: impl Fn(u32, &mut String)) -> String {
    let mut tests = "tests:\n".to_owned();
    for case in 0..CASES {
        writeln!(tests, "  - name: case {case}").unwrap();
        add(case, &mut tests);
    }
    tests
}

const PEOPLE: [(&str, &str); 4] =
    [("alice", "allow"), ("bob", "allow"), ("erin", "deny"), ("mallory", "deny")];

const CASES: u32 = 20_000;

/// The fastest of these counts: the others had company on the machine.
const RUNS: usize = 3;

/// Tests in a second.
const PROMISED: f64 = 5_000.0;
