//! `export`: a policy store as a template, as Terraform, or in AWS itself.

mod apply;
mod cloudformation;
mod hcl;
mod live;
mod losses;
mod names;
mod plan;
mod terraform;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::import::live::Connection;
use crate::output::{Exit, Failure, OutputFormat, SUCCESS, paint, print, warn};
use crate::store::StoreArgs;
use losses::Losses;

/// Write the store as CloudFormation or Terraform, or into Amazon Verified Permissions
///
/// What Verified Permissions cannot hold is named on stderr. If a decision there could differ from one here, the exit
/// code is 2.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer export cloudformation --output avp.yaml
  cedar-authorizer export cloudformation --format json
  cedar-authorizer export terraform --output avp.tf
  cedar-authorizer export avp --policy-store-id PSEXAMPLEabcdefg111111 --dry-run
  cedar-authorizer export avp --policy-store-id policy-store-alias/petstore --delete --yes
  cedar-authorizer export avp --create --endpoint-url http://127.0.0.1:8180

Exit codes: 0 exported, 1 could not run, 2 exported, but decisions there could differ, 3 invalid store")]
pub struct Export {
    #[command(subcommand)]
    to: To,
}

#[derive(Debug, Subcommand)]
enum To {
    Cloudformation(ToCloudformation),
    Terraform(ToTerraform),
    Avp(ToAvp),
}

/// A CloudFormation template
#[derive(Debug, Args)]
struct ToCloudformation {
    #[command(flatten)]
    store: StoreArgs,

    /// The file [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The form of the template
    #[arg(long, value_enum, default_value_t)]
    format: TemplateFormat,
}

/// The forms that templates have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TemplateFormat {
    /// With policies as they are
    #[default]
    Yaml,
    /// For programs
    Json,
}

/// A Terraform configuration, which OpenTofu reads too
#[derive(Debug, Args)]
struct ToTerraform {
    #[command(flatten)]
    store: StoreArgs,

    /// The file [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A policy store of Verified Permissions, by its API
///
/// Policies are known by their names there: `name/` and the id. What is equal is left alone, so a second run changes
/// nothing, and one that was interrupted is continued by the next. While it runs, nothing is allowed that neither the
/// old nor the new policies allow.
///
/// Region and credentials are set as for every AWS SDK.
#[derive(Debug, Args)]
pub struct ToAvp {
    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    connection: Connection,

    /// The policy store: its id, or `policy-store-alias/` with its alias
    #[arg(long, value_name = "ID", required_unless_present = "create")]
    policy_store_id: Option<String>,

    /// Make a new policy store
    #[arg(long, conflicts_with_all = ["policy_store_id", "delete"])]
    create: bool,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Also delete policies, templates and identity sources that are not in this store
    #[arg(long)]
    delete: bool,

    /// Do not ask; needed where nobody can answer
    #[arg(long, short)]
    yes: bool,

    /// The form of the plan
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Export {
    pub fn run(self) -> Result<Exit, Failure> {
        match self.to {
            To::Cloudformation(args) => {
                let (contents, losses) = losses::read(&args.store)?;
                let template = cloudformation::template(&contents);
                let text = match args.format {
                    TemplateFormat::Yaml => yaml::document(&template),
                    TemplateFormat::Json => template.json(),
                };
                let limits = cloudformation::limits(&contents, &template, text.len());
                write(args.output, &text, limits, losses)
            }
            To::Terraform(args) => {
                let (contents, losses) = losses::read(&args.store)?;
                let (text, notes) = terraform::configuration(&contents);
                write(args.output, &text, notes, losses)
            }
            To::Avp(args) => live::export(&args),
        }
    }
}

/// Writes a file beside its place and renames it, or prints it.
fn write(output: Option<PathBuf>, text: &str, notes: Vec<String>, losses: Losses) -> Result<Exit, Failure> {
    match output {
        None => print(&text.trim_end_matches('\n'))?,
        Some(path) => {
            let name = path.display().to_string();
            let failed = |error| Failure::could_not_run(format_args!("cannot write `{name}`: {error}"));
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.map_or_else(|| PathBuf::from("."), PathBuf::from);
            let beside = tempfile::Builder::new().prefix(".cedar-authorizer-export-").tempdir_in(&folder);
            let beside = beside.map_err(failed)?;
            // A file in a temporary directory has the permissions of any other; a temporary file has not.
            let made = beside.path().join("export");
            fs::write(&made, text).map_err(failed)?;
            fs::rename(&made, &path).map_err(failed)?;
            print(&format_args!("{} `{name}`", paint(SUCCESS, "exported to")))?;
        }
    }
    for note in notes {
        warn(&format_args!("{} {note}", paint(crate::output::WARNING, "warning:")));
    }
    Ok(losses.report())
}
