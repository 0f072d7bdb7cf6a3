//! The function in whole: its executable, as it is shipped, under a Runtime API on this machine, beside a bare
//! `lambda_runtime` echo and the raw limit of verifying a token, all measured in the same run.
//!
//! `cargo bench --bench end_to_end -- --help` says what can be chosen, and docs/performance.md what the numbers mean.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends at the first thing that is wrong"
)]

/// What is to be reached.
mod goals;
/// What may be chosen.
mod options;
/// One process, from its start to its end.
mod process;
/// The rows of the table.
mod report;
/// The other end of the function's long poll.
mod runtime_api;
/// An object in S3.
mod s3;
/// What is measured.
mod subject;
#[path = "../world/mod.rs"]
mod world;

use std::env;
use std::fs;
use std::process::{Command, ExitCode};

use options::Options;
use process::{Calls, Life};
use subject::Executables;

fn main() -> ExitCode {
    // `cargo test --benches` starts this as well, but is no `cargo bench`.
    if !env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}; --help says what there is");
            return ExitCode::FAILURE;
        }
    };
    if env::var_os(PREPARED).is_none() {
        Executables::build();
        subject::shapes(&options).iter().for_each(|shape| drop(world::bundle_file(shape)));
        return again_on_one_cpu();
    }
    let executables = Executables::find();
    let object_server = s3::ObjectServer::start();
    let subjects = subject::subjects(&options, &executables, &object_server);
    let calls = Calls::sign(&options);
    let mut lives: Vec<Vec<Life>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        // In turns: whatever else the machine does meanwhile does it to all of them.
        for (subject, lives) in subjects.iter().zip(&mut lives) {
            lives.push(Life::of(subject, &calls, &options));
        }
    }
    report::print(&subjects, &lives, &options);
    goals::print(&subjects, &lives, executables.function_bytes(), &options);
    ExitCode::SUCCESS
}

/// Runs this again, and so all that it starts, on one CPU, as a small function has: between two a call waits longer
/// for them to wake each other than for its answer.
fn again_on_one_cpu() -> ExitCode {
    let executable = env::current_exe().unwrap();
    let cpu = last_cpu();
    let pinned = cpu.as_ref().map(|cpu| {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", cpu]).arg(&executable);
        (command, cpu.as_str())
    });
    let is_there = |command: &str| Command::new(command).arg("--version").output().is_ok();
    let (mut command, pinning) = match pinned {
        Some((command, cpu)) if is_there("taskset") => (command, format!("on CPU {cpu}")),
        _ => (Command::new(&executable), "unpinned, as `taskset` is not there, on the CPUs".to_owned()),
    };
    let status = command.args(env::args().skip(1)).env(PREPARED, pinning).status().unwrap();
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last CPU that this process may run on: the first has the interrupts.
fn last_cpu() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    list.trim().rsplit([',', '-']).next().map(str::to_owned)
}

/// Says that everything is built, and how this process is pinned.
const PREPARED: &str = "END_TO_END_PREPARED";
