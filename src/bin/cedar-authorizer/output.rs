//! What every verb prints, and its exit code. Results go to stdout, everything else to stderr.

use std::env;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;

/// How a verb ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Fine = 0,
    CouldNotRun = 1,
    Denied = 2,
    Invalid = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    #[default]
    Human,
    /// For programs
    Json,
}

/// Why a verb could not do its work.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The verb could not run, for a reason outside of the store.
    pub fn could_not_run(message: impl Display) -> Self {
        Self { exit: Exit::CouldNotRun, message: message.to_string(), hint: None }
    }

    /// The store or bundle is wrong.
    pub fn invalid(message: impl Display) -> Self {
        Self { exit: Exit::Invalid, ..Self::could_not_run(message) }
    }

    /// Adds advice.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says what it is about.
    pub fn about(self, what: &str) -> Self {
        Self { message: format!("`{}`: {}", printable(what), self.message), ..self }
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Prints the failure and returns the exit code.
    pub fn report(self) -> Exit {
        let Self { exit, message, hint } = self;
        warn(&format_args!("{}: {message}", paint(ERROR, "error")));
        if let Some(hint) = hint {
            warn(&format_args!("  {} {hint}", paint(HINT, "help:")));
        }
        exit
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Writes a line of a result. It is not a failure if the reader went away (`| head`).
pub fn print(line: &impl Display) -> Result<(), Failure> {
    match writeln!(anstream::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::could_not_run(format_args!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line that is not part of the result. If that fails, there is nowhere to report it.
///
/// Arguments that may be secrets are left out, because such lines end up in build logs.
pub fn warn(line: &impl Display) {
    let arguments = env::args_os().filter_map(|argument| argument.into_string().ok());
    let _ = writeln!(anstream::stderr(), "{}", without_secrets(line.to_string(), arguments));
}

/// The text without those arguments that [may be secrets](may_be_secret).
fn without_secrets(text: String, arguments: impl Iterator<Item = String>) -> String {
    arguments.fold(text, |text, argument| {
        let value = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => value,
            _ => argument.as_str(),
        };
        if !may_be_secret(&argument) && !may_be_secret(value) {
            return text;
        }
        // A message may contain only a part of it, up to what would be the value of an option.
        let parts = [argument.as_str(), value].into_iter().chain(argument.split('='));
        let parts = parts.filter(|part| part.len() >= SHORTEST_SECRET);
        parts.fold(text, |text, part| text.replace(part, "***"))
    })
}

/// Whether an argument looks like a key (where a file name is expected), or like a URL with a password or signature.
fn may_be_secret(argument: &str) -> bool {
    let has_password = argument.split_once("//").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next();
        authority.is_some_and(|authority| authority.contains('@'))
    });
    let is_base64 = argument.len() >= SHORTEST_KEY && STANDARD.decode(argument).is_ok();
    has_password
        || argument.contains("-----BEGIN ")
        || argument.contains("X-Amz-")
        || is_base64 && !Path::new(argument).exists()
}

/// The length of a bare private Ed25519 key in base64.
const SHORTEST_KEY: usize = 44;

const SHORTEST_SECRET: usize = 12;

/// Text from somebody else, without characters that a terminal would obey: control characters, and those that reverse
/// the direction of writing (Unicode Standard Annex 9).
pub fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, char| {
        if is_obeyed(char) {
            shown.extend(char.escape_default())
        } else {
            shown.push(char)
        }
        shown
    })
}

/// Whether a terminal would obey a character instead of showing it.
pub fn is_obeyed(char: char) -> bool {
    char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A count with its noun, given in singular and plural.
pub fn many(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// The same for a noun with a plural in `s`.
pub fn plural(count: usize, noun: &str) -> String {
    many(count, noun, &format!("{noun}s"))
}

/// Text in a colour. `anstream` removes the colour if the output is not a terminal.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

pub const ERROR: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub const SUCCESS: Style = AnsiColor::Green.on_default().bold();
pub const HINT: Style = AnsiColor::Cyan.on_default();
