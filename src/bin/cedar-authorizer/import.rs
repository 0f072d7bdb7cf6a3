//! `import`: makes a policy store of one that is elsewhere.

mod archive;
mod assembly;
mod cedarling;
mod cloudformation;
pub mod identity;
mod imported;
pub mod live;
mod recording;
mod report;
pub mod resource;
mod settings;
pub mod terraform;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use crate::init::directory::Place;
use crate::output::{Exit, Failure};
use crate::progress;
use assembly::{Wishes, assemble};
use imported::Imported;
use live::Connection;

pub use cloudformation::NOTE;

/// Make a policy store of one in AWS, a template, a plan or a Cedarling
///
/// Everything is written beside its place and renamed at the end, so a store is made as a whole or not at all. What has
/// no place in a store is named with its source.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer import avp --policy-store-id PSEXAMPLEabcdefg111111
  cedar-authorizer import avp --policy-store-id petstore --endpoint-url http://127.0.0.1:8180
  cedar-authorizer import cloudformation template.yaml --user-pool eu-west-1_AbCdEfGhI
  cedar-authorizer import cloudformation cdk.out --policy-store PetStore
  cedar-authorizer import terraform plan.json
  cedar-authorizer import cedarling store.cjar --store petstore

Exit codes: 0 imported, 1 could not run, 2 imported, but something was left out")]
pub struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Avp(FromAvp),
    Cloudformation(FromCloudformation),
    Terraform(FromTerraform),
    Cedarling(FromCedarling),
}

/// A policy store of Verified Permissions, by its API
///
/// Region and credentials are set as for every AWS SDK. This needs verifiedpermissions:GetPolicyStore, GetSchema,
/// ListPolicies, GetPolicy, ListPolicyTemplates, GetPolicyTemplate, ListIdentitySources, ListTagsForResource and
/// ListPolicyStoreAliases.
#[derive(Debug, Args)]
struct FromAvp {
    #[command(flatten)]
    connection: Connection,

    /// The policy store: its id, or `policy-store-alias/` with its alias
    #[arg(long, value_name = "ID")]
    policy_store_id: String,

    #[command(flatten)]
    target: Target,
}

/// A CloudFormation template, as YAML or JSON, or the `cdk.out` of CDK
#[derive(Debug, Args)]
struct FromCloudformation {
    /// The template, or the directory that `cdk synth` writes
    #[arg(value_name = "FILE|DIR")]
    from: PathBuf,

    /// The policy store, if there are several
    #[arg(long, value_name = "LOGICAL_ID")]
    policy_store: Option<String>,

    /// A parameter of the template, which overrides its default; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = crate::init::parameter)]
    parameters: Vec<(String, String)>,

    /// The user pool of identity sources whose ARN only a deployment knows
    #[arg(long, value_name = "ID|ARN", value_parser = crate::init::identity::user_pool_arn)]
    user_pool: Option<String>,

    #[command(flatten)]
    target: Target,
}

/// What `terraform show -json` or `tofu show -json` prints of a plan or a state
#[derive(Debug, Args)]
struct FromTerraform {
    /// The file
    #[arg(value_name = "FILE")]
    from: PathBuf,

    /// The policy store, if there are several
    #[arg(long, value_name = "ADDRESS")]
    policy_store: Option<String>,

    /// The user pool of identity sources whose ARN is known after apply only
    #[arg(long, value_name = "ID|ARN", value_parser = crate::init::identity::user_pool_arn)]
    user_pool: Option<String>,

    #[command(flatten)]
    target: Target,
}

/// A policy store of Cedarling: a directory, or a `.cjar`
#[derive(Debug, Args)]
struct FromCedarling {
    /// The directory or archive
    #[arg(value_name = "DIR|FILE")]
    from: PathBuf,

    #[command(flatten)]
    target: Target,
}

/// What the new store shall be.
#[derive(Debug, Args)]
struct Target {
    /// The directory of the new store
    #[arg(long, value_name = "DIR", default_value = "policies")]
    store: PathBuf,

    /// The name of the store [default: from its description, id or file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The Cedar namespace whose actions are the routes [default: the only one of the schema]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// Which of Cognito's tokens callers send [default: as the identity source says, otherwise access]
    #[arg(long, value_enum, value_name = "TYPE")]
    token_type: Option<Tokens>,

    /// If there is a store already, give it another name and make a new one
    #[arg(long)]
    force: bool,
}

/// The tokens that a store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tokens {
    /// Access tokens
    Access,
    /// Identity tokens
    Id,
}

impl Import {
    pub fn run(self) -> Result<Exit, Failure> {
        match self.from {
            From::Avp(FromAvp { connection, policy_store_id, target }) => {
                let id = &policy_store_id;
                target.make(id, || live::import(&connection, id))
            }
            From::Cloudformation(args) => {
                let parameters: BTreeMap<String, String> = args.parameters.into_iter().collect();
                let wishes = Wishes {
                    policy_store: args.policy_store.as_deref(),
                    user_pool: args.user_pool.as_deref(),
                };
                let read = || assemble(&cloudformation::read(&args.from, &parameters)?, wishes);
                args.target.make(&args.from.display().to_string(), read)
            }
            From::Terraform(args) => {
                let wishes = Wishes {
                    policy_store: args.policy_store.as_deref(),
                    user_pool: args.user_pool.as_deref(),
                };
                let name = args.from.display().to_string();
                let read = || assemble(&terraform::read(&read_text(&args.from)?, &name)?, wishes);
                args.target.make(&name, read)
            }
            From::Cedarling(FromCedarling { from, target }) => {
                target.make(&from.display().to_string(), || cedarling::read(&from))
            }
        }
    }
}

impl Target {
    /// Makes the store. `what`: where it comes from.
    fn make(&self, what: &str, read: impl FnOnce() -> Result<Imported, Failure>) -> Result<Exit, Failure> {
        // Before anything is read or fetched, because all of it would be in vain.
        Place::check(&self.store, self.force, OCCUPIED)?;
        let imported = progress::during(format!("importing `{what}`"), read)?;
        report::write(imported, self, what)
    }
}

/// Reads a text file of a sensible size.
fn read_text(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let failed =
        |error: std::io::Error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}"));
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::could_not_run(format_args!(
            "`{name}` has more than {} MiB",
            MAX_FILE_BYTES >> 20
        )));
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| Failure::could_not_run(format_args!("`{name}` is not UTF-8")))?;
    // Editors on Windows begin a file with a mark.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

const OCCUPIED: &str =
    "name another directory by --store DIR; --force keeps the old store under another name";

/// More than any plan has whose policies fit into a bundle.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// For the tests of exports.
#[cfg(test)]
pub mod testing {
    use serde_json::Value;

    use super::*;
    use crate::avp::contents::StoreContents;
    use imported::Note;

    /// What is in a template.
    pub fn import_template(text: &str) -> (StoreContents, Vec<Note>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("template");
        std::fs::write(&path, text).unwrap();
        let resources = cloudformation::read(&path, &BTreeMap::new()).unwrap();
        let imported = assemble(&resources, Wishes { policy_store: None, user_pool: None }).unwrap();
        (imported.contents, imported.notes)
    }

    /// What is in a plan.
    pub fn import_plan(plan: &Value) -> (StoreContents, Vec<Note>) {
        let resources = terraform::read(&plan.to_string(), "plan.json").unwrap();
        let imported = assemble(&resources, Wishes { policy_store: None, user_pool: None }).unwrap();
        (imported.contents, imported.notes)
    }
}
