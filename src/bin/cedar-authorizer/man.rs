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
            let page = page(&program, &program).map_err(unwritable)?;
            print(&String::from_utf8_lossy(&page).trim_end())?;
            return Ok(Exit::Fine);
        };
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        let commands: Vec<&Command> = [&program].into_iter().chain(program.get_subcommands()).collect();
        for command in &commands {
            let path = folder.join(format!("{}.1", name(command)));
            let page = page(command, &program).map_err(unwritable)?;
            replace(&path, &page).map_err(|error| cannot_write(&path, &error))?;
        }
        print(&format_args!("{}: {}", folder.display(), plural(commands.len(), "page")))?;
        Ok(Exit::Fine)
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display()))
}

/// The name of the page of a verb, such as `cedar-authorizer-check`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of the program or of a verb.
fn page(command: &Command, program: &Command) -> io::Result<Vec<u8>> {
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
    for paragraph in command.get_after_help().map(ToString::to_string).unwrap_or_default().split("\n\n") {
        section(&mut rest, paragraph);
    }
    if name(command) != name(program) {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([roman(format!("{}(1)", name(program)))]);
    }
    rest.to_writer(&mut page)?;
    Ok(page)
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
