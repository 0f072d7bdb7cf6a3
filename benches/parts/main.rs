//! Instruction counts of the parts of a call, which repeat where seconds do not.
//!
//! Each part runs in a process of its own under Valgrind's callgrind, which counts in one function alone. The counts
//! are compared with `benches/instructions.toml`: a part that takes over 5% more fails.
//!
//! ```sh
//! cargo bench --bench parts                      # needs valgrind
//! cargo bench --bench parts -- answer            # the parts with `answer` in their names
//! UPDATE_BASELINE=1 cargo bench --bench parts    # write the baseline anew
//! ```

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends at the first thing that is wrong"
)]

/// What was counted before, and how far from it is too far.
mod baseline;
/// Counting by callgrind.
mod callgrind;
/// The parts.
mod part;
#[expect(dead_code, reason = "the end-to-end benchmark has stores of more kinds")]
#[path = "../world/mod.rs"]
mod world;

use std::process::ExitCode;

use baseline::Baseline;
use part::{PARTS, Part};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = arguments.as_slice()
        && flag == callgrind::INSIDE
    {
        PARTS.iter().find(|part| part.name == name).unwrap().run();
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` starts this as well, but is no `cargo bench`.
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| argument != "--bench");
    if !is_bench {
        return ExitCode::SUCCESS;
    }
    if !callgrind::is_installed() {
        eprintln!("valgrind is not installed; it counts the instructions (https://valgrind.org)");
        return ExitCode::FAILURE;
    }
    let is_meant = |part: &&Part| {
        arguments.is_empty() || arguments.iter().any(|argument| part.name.contains(argument.as_str()))
    };
    let mut baseline = Baseline::read();
    let mut counted = Vec::new();
    println!("{:<28} {:>12}   change", "part", "instructions");
    for part in PARTS.iter().filter(is_meant) {
        let count = callgrind::count(part);
        println!("{}", baseline.line(part.name, count));
        counted.push((part.name, count));
    }
    if counted.is_empty() {
        eprintln!("no part has {} in its name", arguments.join(" or "));
        return ExitCode::FAILURE;
    }
    if std::env::var_os("UPDATE_BASELINE").is_some() {
        baseline.update(&counted);
        return ExitCode::SUCCESS;
    }
    baseline.judge(&counted)
}
