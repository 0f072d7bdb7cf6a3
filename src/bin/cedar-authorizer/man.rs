//! `man`: the manual pages, made from the same text as `--help`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, roman};

use crate::Cli;
use crate::build::replace;
use crate::output::{Exit, Failure, plural, print};

/// Write the manual pages, one for each verb
///
/// Without --output, the page of the program itself goes to stdout.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer man | man -l -
  cedar-authorizer man --output ~/.local/share/man/man1

Exit codes: 0 written, 1 could not write")]
pub struct Man {
    /// The directory to write all pages to; it is made if there is none
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Man {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        let unwritable =
            |error: io::Error| Failure::could_not_run(format_args!("cannot make a page: {error}"));
        let Some(folder) = self.output else {
            let page = page(&program, None, &program).map_err(unwritable)?;
            print(&String::from_utf8_lossy(&page).trim_end())?;
            return Ok(Exit::Fine);
        };
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        let commands = with_verbs(&program, None);
        for (command, above) in &commands {
            let path = folder.join(format!("{}.1", name(command)));
            let page = page(command, *above, &program).map_err(unwritable)?;
            replace(&path, &page).map_err(|error| cannot_write(&path, &error))?;
        }
        print(&format_args!("{}: {}", folder.display(), plural(commands.len(), "page")))?;
        Ok(Exit::Fine)
    }
}

/// A command and all verbs below it, each with the command right above it.
fn with_verbs<'a>(
    command: &'a Command,
    above: Option<&'a Command>,
) -> Vec<(&'a Command, Option<&'a Command>)> {
    let verbs = command.get_subcommands().flat_map(|verb| with_verbs(verb, Some(command)));
    [(command, above)].into_iter().chain(verbs).collect()
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display()))
}

/// The name of the page of a verb, such as `cedar-authorizer-check`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of the program or of a verb. `above`: the command that the verb belongs to.
fn page(command: &Command, above: Option<&Command>, program: &Command) -> io::Result<Vec<u8>> {
    let writer = Page::new(command.clone());
    let (name_of_page, version) = (name(command), program.get_version().unwrap_or_default());
    // Without a date, so that the same version makes the same pages. `render_title` would write nothing in its place,
    // and the source would be read as the date.
    let mut page = format!(".TH {name_of_page} 1 \"\" \"{} {version}\"\n", name(program)).into_bytes();
    writer.render_name_section(&mut page)?;
    writer.render_synopsis_section(&mut page)?;
    writer.render_description_section(&mut page)?;
    writer.render_options_section(&mut page)?;
    if command.has_subcommands() {
        writer.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::default();
    for paragraph in notes(command, above).split("\n\n") {
        section(&mut rest, paragraph);
    }
    if let Some(above) = above {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([roman(format!("{}(1)", name(above)))]);
    }
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// What is below the options of `--help`. A verb that has nothing there is part of one that has: then it is that, with
/// the examples of this verb only.
fn notes(command: &Command, above: Option<&Command>) -> String {
    let own = |command: &Command| command.get_after_help().map(ToString::to_string);
    if let Some(notes) = own(command) {
        return notes;
    }
    let bin = command.get_bin_name().unwrap_or_default();
    let is_of_verb =
        |line: &&str| line.trim_start().strip_prefix(bin).is_some_and(|rest| rest.starts_with(' '));
    let notes = above.and_then(own).unwrap_or_default();
    let paragraph = |text: &str| match text.strip_prefix("Examples:\n") {
        Some(examples) => {
            let examples: Vec<&str> = examples.lines().filter(is_of_verb).collect();
            format!("Examples:\n{}", examples.join("\n"))
        }
        None => text.to_owned(),
    };
    notes.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// A section of a page from a paragraph below the options of `--help`. Indented lines stay as they are.
fn section(page: &mut Roff, paragraph: &str) {
    let (heading, text) = match paragraph.split_once(':') {
        Some(("Examples", text)) => ("EXAMPLES", text),
        Some(("Exit codes", text)) => ("EXIT STATUS", text),
        Some(("Environment", text)) => ("ENVIRONMENT", text),
        _ => ("NOTES", paragraph),
    };
    page.control("SH", [heading]);
    let text = text.trim_matches('\n');
    if text.starts_with("  ") {
        page.control("nf", []);
        for line in text.lines() {
            page.text([roman(line.trim_start())]);
        }
        page.control("fi", []);
    } else {
        page.text([roman(text.trim_start())]);
    }
}
