//! What the command line says of itself: `--help`, completions, manual pages, and when it uses colours.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use crate::terminal::{Terminal, on_a_terminal};
use crate::world::{CLI, golden, root, run, stderr, stdout};

#[test]
fn the_help_of_every_verb_is_the_one_checked_in() {
    let folder = root().join("tests/data/help");
    let mut expected = BTreeSet::from(["cedar-authorizer.txt".to_owned()]);
    golden(&folder.join("cedar-authorizer.txt"), &help(&[]));
    for verb in verbs() {
        golden(&folder.join(format!("{verb}.txt")), &help(&[&verb]));
        expected.insert(format!("{verb}.txt"));
    }
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), expected, "a file for each verb, and no other");
}

#[test]
fn every_verb_has_examples_and_exit_codes() {
    for verb in verbs() {
        let help = help(&[&verb]);
        for part in ["\n\nExamples:\n  ", "\n\nExit codes: 0 "] {
            assert!(help.contains(part), "{verb} has no {part:?}");
        }
        let short = run(&[&verb, "-h"]);
        assert!(stdout(&short).contains("Examples:"), "{verb}");
    }
}

#[test]
fn help_keeps_to_the_width() {
    for verb in verbs() {
        for (columns, width) in [("60", 60), ("80", 80), ("300", 100)] {
            let output = Command::new(CLI).args([&verb, "--help"]).env("COLUMNS", columns).output().unwrap();
            let help = stdout(&output);
            let (options, _) = help.split_once("Examples:").unwrap();
            // A single word may be longer.
            let too_long =
                options.lines().find(|line| line.chars().count() > width && line.trim().contains("  "));
            assert_eq!(too_long, None, "{verb} at {columns}");
        }
    }
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Variables<'_>, bool, bool); 6] = [
        // What is set, whether a terminal gets colours, whether a pipe does.
        (&[("TERM", "xterm")], true, false),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], false, false),
        (&[("TERM", "dumb")], false, false),
        (&[("TERM", "xterm"), ("CLICOLOR", "0")], false, false),
        (&[("TERM", "xterm"), ("CLICOLOR_FORCE", "1")], true, true),
        (&[("TERM", "xterm"), ("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
    ];
    let calls: [&[&str]; 4] =
        [&["--help"], &["check", "--help"], &["check"], &["check", "--store", "no/such/store"]];
    for arguments in calls {
        for (variables, on_terminal, in_pipe) in cases {
            let mut call = on_a_terminal(Terminal::StdoutAndStderr, arguments);
            let terminal = stdout(&set(&mut call, variables));
            let pipe = in_a_pipe(arguments, variables);
            assert!(terminal.len() > 5 && pipe.len() > 5, "{arguments:?} {terminal:?} {pipe:?}");
            assert_eq!(is_coloured(&terminal), on_terminal, "{arguments:?} {variables:?}: {terminal:?}");
            assert_eq!(is_coloured(&pipe), in_pipe, "{arguments:?} {variables:?}: {pipe:?}");
        }
    }
}

/// Whether there is a sequence that sets a colour (ECMA-48's SGR). Those that move the cursor are not meant: on a slow
/// machine a terminal is shown progress, in whatever colours.
fn is_coloured(text: &str) -> bool {
    let parameters = |c: char| c.is_ascii_digit() || c == ';';
    text.split("\u{1b}[").skip(1).any(|rest| rest.trim_start_matches(parameters).starts_with('m'))
}

/// All that a call writes into pipes.
fn in_a_pipe(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = set(Command::new(CLI).args(arguments), variables);
    stdout(&output) + &stderr(&output)
}

fn set(command: &mut Command, variables: &[(&str, &str)]) -> Output {
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI", "TERM"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).current_dir(root()).output().unwrap()
}

#[test]
fn completions_know_every_verb_and_are_scripts() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, check) in [
        ("bash", Some("bash")),
        ("zsh", Some("zsh")),
        ("fish", Some("fish")),
        ("powershell", None),
        ("elvish", None),
    ] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let script = stdout(&output);
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell}: {verb}");
        }
        let path = folder.path().join(shell);
        fs::write(&path, &script).unwrap();
        if let Some(program) = check.filter(|program| is_installed(program)) {
            let output = Command::new(program).arg("-n").arg(&path).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", stderr(&output));
        }
    }
    // Every machine that runs these tests has bash, and with it the completions can be tried.
    let tried = "source \"$1\"
COMP_WORDS=(cedar-authorizer ch) COMP_CWORD=1
_cedar__authorizer cedar-authorizer ch cedar-authorizer
echo \"${COMPREPLY[@]}\"
COMP_WORDS=(cedar-authorizer schema --format '') COMP_CWORD=3
_cedar__authorizer cedar-authorizer '' --format
echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    let output = bash.args(["--norc", "-c", tried, "bash"]).arg(folder.path().join("bash")).output().unwrap();
    assert_eq!(stdout(&output), "check\nmermaid svg json\n", "{}", stderr(&output));

    let output = run(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("possible values: bash, elvish, fish, powershell, zsh"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn every_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man 1");
    let output = run(&["man", "--output", pages.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut expected = BTreeSet::from(["cedar-authorizer.1".to_owned()]);
    for verb in verbs() {
        let of_verb = verbs_of(&[&verb]).into_iter().map(|part| format!("cedar-authorizer-{verb}-{part}.1"));
        expected.extend(of_verb);
        expected.insert(format!("cedar-authorizer-{verb}.1"));
    }
    for name in ["cedar-authorizer-import-avp.1", "cedar-authorizer-export-cloudformation.1"] {
        assert!(expected.contains(name), "{name} {expected:?}");
    }
    let written: Vec<_> = fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    let names = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), expected);
    for path in &written {
        let page = fs::read_to_string(path).unwrap();
        for heading in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES", ".SH \"EXIT STATUS\""] {
            assert!(page.contains(&format!("{heading}\n")), "{}: {heading}", path.display());
        }
        if is_installed("man") {
            let mut man = Command::new("man");
            let output = man
                .args(["--warnings", "--local-file", "-Tutf8"])
                .arg(path)
                .env("LC_ALL", "C.UTF-8")
                .output();
            let output = output.unwrap();
            assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
        }
        if is_installed("mandoc") {
            let output = Command::new("mandoc").args(["-Tlint", "-Werror"]).arg(path).output().unwrap();
            assert!(output.status.success(), "{}", stdout(&output));
        }
    }
    let page = |name: &str| fs::read_to_string(pages.join(name)).unwrap();
    let part = page("cedar-authorizer-import-avp.1");
    assert!(part.contains("import avp \\-\\-policy\\-store\\-id petstore"), "{part}");
    assert!(!part.contains("import terraform"), "the examples are those of the verb\n{part}");
    assert!(part.contains("cedar\\-authorizer\\-import(1)"), "{part}");
    let main = page("cedar-authorizer.1");
    assert_eq!(stdout(&run(&["man"])), main);

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = run(&["man", "--output", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// The verbs, as the help lists them.
pub fn verbs() -> Vec<String> {
    let verbs = verbs_of(&[]);
    assert!(verbs.len() >= 10, "{verbs:?}");
    verbs
}

/// The verbs below a verb.
fn verbs_of(verb: &[&str]) -> Vec<String> {
    let help = help(verb);
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let (list, _) = list.split_once("\n\n").unwrap();
    let name = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    let verbs: Vec<String> =
        list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).map(name).collect();
    verbs.into_iter().filter(|verb| verb != "help").collect()
}

/// The long help of the program or of a verb, at a fixed width.
pub fn help(verb: &[&str]) -> String {
    let output = Command::new(CLI)
        .args(verb)
        .arg("--help")
        .env("COLUMNS", "100")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}
