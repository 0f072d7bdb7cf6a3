use std::fs;
use std::process::{Command, Stdio};

use crate::part::Part;
use crate::world;

/// The argument by which this executable knows that it is under callgrind.
pub const INSIDE: &str = "--inside-callgrind";

pub fn is_installed() -> bool {
    let version =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The instructions of one call of a part.
pub fn count(part: &Part) -> u64 {
    let profile = world::target().join("benches").join(format!("{}.callgrind", part.name));
    // What a part needs of the disk is made here: under callgrind it would take fifty times as long.
    let environment = part.prepare();
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--quiet"])
        .arg(format!("--toggle-collect=*{COUNTED}*"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe().unwrap())
        .args([INSIDE, part.name])
        // The environment lies on the stack and would move what comes after.
        .env_clear()
        .envs(environment)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the part `{}` failed under callgrind: {status}", part.name);
    let text = fs::read_to_string(&profile).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    let count: u64 = total.trim().parse().unwrap();
    assert!(count > 0, "callgrind saw no call of `{COUNTED}`");
    count / part.calls
}

/// What runs in here is counted. Callgrind knows it by its name, which no other function may have.
#[inline(never)]
pub fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
}

const COUNTED: &str = "counted_by_callgrind";
