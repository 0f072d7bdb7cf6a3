//! Ctrl-C.

#![cfg(unix)]

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use cedar_authorizer::function::telemetry::settings::Format;

use super::Recording;
use crate::world::CLI;

/// Starts it so that Ctrl-C ends it: a shell has its children ignore the signal if they are in the background.
fn start(arguments: &[&str]) -> Child {
    let program = "
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])";
    let mut python = Command::new("python3");
    python.args(["-c", program, CLI]).args(arguments);
    python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn nothing_is_left_half_written() {
    let recording = Recording::of(20, Format::Json, "none");
    let output = recording.path("out/result");
    fs::create_dir(output.parent().unwrap()).unwrap();
    fs::write(&output, "as before").unwrap();
    let (store, output) = (recording.store(), output.to_str().unwrap());
    for arguments in [
        &["replay", "-", "--store", store, "--output", output][..],
        &["redact", "-", "--store", store, "--principals", "remove", "--output", output],
    ] {
        let mut child = start(arguments);
        let mut stdin = child.stdin.take().unwrap();
        // More than is read ahead, so that it is in the middle of its work, and waits for more.
        let lines = recording.lines.repeat(1 + (2 << 20) / recording.lines.len());
        stdin.write_all(lines.as_bytes()).unwrap();
        assert!(
            Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success()
        );
        let status = child.wait().unwrap();
        assert!(!status.success(), "{arguments:?}");
        drop(stdin);
        let mut printed = String::new();
        child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "", "{arguments:?}");
        let left: Vec<_> =
            fs::read_dir(recording.path("out")).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["result"], "{arguments:?}");
        assert_eq!(fs::read_to_string(output).unwrap(), "as before", "{arguments:?}");
    }
}
