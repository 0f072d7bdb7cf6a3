use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The CPUs that this process may run on.
pub fn allowed() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// A command that runs on these CPUs. `None`: there are none, or there is no `taskset`.
pub fn on(cpus: &[usize], executable: &Path) -> Option<Command> {
    let is_there = Command::new("taskset").arg("--version").output().is_ok();
    let list: Vec<String> = cpus.iter().map(usize::to_string).collect();
    (is_there && !list.is_empty()).then(|| {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &list.join(",")]).arg(executable);
        command
    })
}

/// A command that leaves the CPU of this process alone, if there are others: it stands for another machine.
pub fn elsewhere(executable: &Path) -> Command {
    let others: Vec<usize> =
        env::var(OTHERS).unwrap_or_default().split(',').filter_map(|cpu| cpu.parse().ok()).collect();
    on(&others, executable).unwrap_or_else(|| Command::new(executable))
}

/// The CPUs that are left for what is elsewhere, with commas between.
pub const OTHERS: &str = "END_TO_END_OTHER_CPUS";
