//! `completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::Cli;
use crate::output::{Exit, Failure, print};

/// Print the completions of a shell: verbs, options and their values
///
/// Write them to the file that the shell reads, once for each new version of this program. Then start a new shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer completions bash > ~/.local/share/bash-completion/completions/cedar-authorizer
  cedar-authorizer completions zsh > ~/.zfunc/_cedar-authorizer
  cedar-authorizer completions fish > ~/.config/fish/completions/cedar-authorizer.fish
  cedar-authorizer completions powershell >> $PROFILE
  cedar-authorizer completions elvish > ~/.config/elvish/lib/cedar-authorizer.elv

For zsh, ~/.zfunc must be in `fpath` before `compinit` runs. For elvish, add `use cedar-authorizer`
to rc.elv.

Exit codes: 0 printed, 1 could not write")]
pub struct Completions {
    /// The shell
    #[arg(value_enum, hide_possible_values = true, value_name = "bash|elvish|fish|powershell|zsh")]
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
        print(&String::from_utf8_lossy(&script).trim_end())?;
        Ok(Exit::Fine)
    }
}
