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

/// What the command line takes to build a store.
mod building;
/// Which CPUs there are.
mod cpus;
/// Bundles and keys that are far away.
mod far;
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
use std::process::{Command, ExitCode};

use far::Far;
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
        far::prepare(&options);
        let code = again_on_one_cpu();
        if options.build {
            building::print(&options);
        }
        return code;
    }
    let executables = Executables::find();
    let object_server = s3::ObjectServer::start();
    let subjects = subject::subjects(&options, &executables, &object_server);
    let calls = Calls::sign(&options);
    let mut far = Far::start(&options, &executables, &calls);
    let mut lives: Vec<Vec<Life>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        // In turns: whatever else the machine does meanwhile does it to all of them.
        for (subject, lives) in subjects.iter().zip(&mut lives) {
            lives.push(Life::of(subject, &calls, &options));
        }
        if let Some(far) = &mut far {
            far.round(&calls, &options);
        }
    }
    println!("Measured {} of {}, {} rounds.\n", pinning(), report::machine(), options.rounds);
    if !subjects.is_empty() {
        report::print(&subjects, &lives, &options);
    }
    if let Some(far) = &far {
        far::report::print(far, &options);
    }
    let mut goals = goals::near(&subjects, &lives, executables.function_bytes(), &options);
    goals.extend(far.iter().flat_map(|far| goals::far(&far.rows)));
    goals::print(goals, &options);
    ExitCode::SUCCESS
}

/// Runs this again, and so all that it starts, on one CPU, as a small function has: between two a call waits longer
/// for them to wake each other than for its answer.
fn again_on_one_cpu() -> ExitCode {
    let executable = env::current_exe().unwrap();
    let mut others = cpus::allowed();
    // The first CPU has the interrupts.
    let last = others.pop();
    let pinned = last.and_then(|cpu| Some((cpus::on(&[cpu], &executable)?, format!("on CPU {cpu}"))));
    let (mut command, pinning) = pinned.unwrap_or_else(|| {
        let pinning = "unpinned, as `taskset` is not there, on the CPUs".to_owned();
        (Command::new(&executable), pinning)
    });
    let others: Vec<String> = others.iter().map(usize::to_string).collect();
    let environment = [(PREPARED, pinning), (cpus::OTHERS, others.join(","))];
    let status = command.args(env::args().skip(1)).envs(environment).status().unwrap();
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How this process is pinned.
fn pinning() -> String {
    env::var(PREPARED).unwrap_or_default()
}

/// Says that everything is built, and how this process is pinned.
const PREPARED: &str = "END_TO_END_PREPARED";
