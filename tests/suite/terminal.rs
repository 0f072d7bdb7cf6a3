//! A terminal, for tests of what a program writes to one.

use std::process::Command;

use crate::world::{CLI, root};

/// Which streams of a program are the terminal.
#[derive(Clone, Copy)]
pub enum Terminal {
    /// Only stderr. What goes to stdout is thrown away.
    Stderr,
    /// Stdout and stderr.
    StdoutAndStderr,
}

/// A call in the folder of the package. What the terminal gets is the stdout of this command, and its exit code is
/// that of the program.
pub fn on_a_terminal(terminal: Terminal, arguments: &[&str]) -> Command {
    let program = "
import os, pty, subprocess, sys
reader, writer = pty.openpty()
stdout = writer if sys.argv[1] == 'stdout' else subprocess.DEVNULL
child = subprocess.Popen(sys.argv[2:], stdout=stdout, stderr=writer)
os.close(writer)
written = b''
while True:
    try:
        part = os.read(reader, 4096)
    except OSError:
        break
    if not part:
        break
    written += part
sys.stdout.buffer.write(written)
sys.exit(child.wait())";
    let stream = match terminal {
        Terminal::Stderr => "stderr",
        Terminal::StdoutAndStderr => "stdout",
    };
    let mut python = Command::new("python3");
    python.args(["-c", program, stream, CLI]).args(arguments).current_dir(root());
    python
}
