//! `init`: makes a policy store for an API.

pub mod api;
pub mod directory;
mod export;
pub mod files;
pub mod identity;
pub mod plan;
pub mod questions;
mod samples;
mod template;
pub mod text;
mod update;

use std::path::PathBuf;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::store::finding::Severity;
use cedar_authorizer::store::{Checks, build};
use clap::Args;

use crate::output::{self, Exit, Failure, HINT, SUCCESS, WARNING, paint, plural, print, warn};
use crate::progress;
use crate::store::{StoreArgs, checking, count};
use api::Api;
use directory::Place;
use files::Files;
use files::avp_schema::NO_NAMESPACE;
use identity::{Identity, IdentityArgs};
use plan::{Plan, Wishes};
use samples::Sample;

/// Make a policy store for an API
///
/// Reads what routes the API has, and whose tokens it shall accept, and writes a whole store: schema, identity source,
/// a policy for each group, personas and tests. The first group may call every route, the others those with `get` or
/// `head`. Without groups every call is denied until you write a policy.
///
/// What API Gateway cannot have is left out, and said. On a terminal, without arguments, it asks.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer init --openapi petstore.yaml --user-pool eu-west-1_AbCdEfGhI --groups admin,viewer
  cedar-authorizer init --template template.yaml --issuer https://login.example.com/ --client-id shop
  cedar-authorizer init --sample petstore --store petstore
  cedar-authorizer init --update --openapi petstore.yaml

Exit codes: 0 made, 1 could not run, 2 made, but something of the API was left out, or --update found routes that the
API has no longer, 3 the store is or would be invalid")]
pub struct Init {
    /// An OpenAPI 3 or Swagger 2 description of the API, or an export of API Gateway, as JSON or YAML
    #[arg(long, value_name = "FILE", group = "source")]
    openapi: Option<PathBuf>,

    /// A SAM or CloudFormation template with the API
    #[arg(long, value_name = "FILE", group = "source")]
    template: Option<PathBuf>,

    /// A parameter of the template, which overrides its default; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", requires = "template", value_parser = parameter)]
    parameters: Vec<(String, String)>,

    /// The id of a deployed API, whose description is fetched with your AWS credentials
    #[arg(long, value_name = "ID", group = "source")]
    api: Option<String>,

    /// The stage of the deployed API [default: its only one]
    #[arg(long, value_name = "NAME", requires = "api")]
    stage: Option<String>,

    /// The region of the deployed API [default: that of the AWS settings]
    #[arg(long, value_name = "NAME", requires = "api")]
    region: Option<String>,

    /// Write a sample store instead, such as petstore; any other name lists all of them
    #[arg(long, value_name = "NAME", group = "source", conflicts_with_all = ["user_pool", "issuer", "groups"])]
    sample: Option<String>,

    #[command(flatten)]
    identity: IdentityArgs,

    /// The groups of users to make policies for; the first one may do everything
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    groups: Vec<String>,

    /// The Cedar namespace [default: from the title of the API, as Verified Permissions makes it]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// The name of the store [default: from the title of the API]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The directory of the new store
    #[arg(long, value_name = "DIR", default_value = "policies")]
    store: PathBuf,

    /// Six actions for each ANY route, as Verified Permissions has them, instead of one
    #[arg(long)]
    expand_any: bool,

    /// Exactly the schema that Verified Permissions makes: without claims and parameters in the context
    #[arg(long)]
    avp_exact: bool,

    /// If there is a store already, give it another name and make a new one
    #[arg(long)]
    force: bool,

    /// Add to the store what the API gained, and name what it lost
    ///
    /// Adds actions at the end of the schema, and a file in `tests/` that says what the policies decide about them.
    /// Nothing else changes, comments and line ends included.
    #[arg(
        long,
        requires = "source",
        conflicts_with_all = ["sample", "force", "user_pool", "issuer", "client_ids", "groups", "namespace", "name", "avp_exact"]
    )]
    update: bool,
}

impl Init {
    pub fn run(self) -> Result<Exit, Failure> {
        if self.has_source() || !questions::can_ask() {
            return self.make(None);
        }
        let (answered, api) = questions::ask(self)?;
        let exit = answered.make(api)?;
        let line = output::printable(&questions::command_line(&answered));
        warn(&format_args!("{} {line}", paint(HINT, "the same without questions:")));
        Ok(exit)
    }

    fn has_source(&self) -> bool {
        self.openapi.is_some() || self.template.is_some() || self.api.is_some() || self.sample.is_some()
    }

    /// Makes the store. `api`: the API, if it has been read already.
    fn make(&self, api: Option<Api>) -> Result<Exit, Failure> {
        if let Some(name) = &self.sample {
            let files = Sample::named(name)?.files();
            self.write(&files)?;
            return Ok(Exit::Fine);
        }
        if self.update {
            return self.update();
        }
        // Before anything is read or fetched, because all of it would be in vain.
        Place::check(&self.store, self.force, OCCUPIED)?;
        let api = api.map_or_else(|| self.read_api(), Ok)?;
        api.show_problems();
        let left_out = api.left_out();
        let identity = Identity::read(&self.identity, &api.providers)?;
        let plan = Plan::new(api, identity, &self.wishes())?;
        if self.namespace.is_none() && plan.namespace == NO_NAMESPACE {
            let (note, namespace) = (paint(WARNING, "note"), &plan.namespace);
            let why = "the title of the API has no letter that Cedar takes";
            warn(&format_args!(
                "{note}: the namespace is `{namespace}`: {why}; choose another one by --namespace"
            ));
        }
        let files = files::write(&plan);
        self.check(&files)?;
        self.write(&files)?;
        if left_out > 0 {
            warn(&format_args!("{} of the API left out, see above", plural(left_out, "thing")));
            return Ok(Exit::Denied);
        }
        Ok(Exit::Fine)
    }

    fn update(&self) -> Result<Exit, Failure> {
        let api = self.read_api()?;
        api.show_problems();
        let left_out = api.left_out();
        let store = StoreArgs { store: self.store.clone() };
        let exit = update::update(api, &store, self.expand_any)?;
        Ok(if left_out > 0 { Exit::Denied } else { exit })
    }

    fn read_api(&self) -> Result<Api, Failure> {
        match (&self.openapi, &self.template, &self.api) {
            (Some(path), _, _) => Api::of_openapi(path),
            (None, Some(path), _) => template::read(path, &self.parameters.iter().cloned().collect()),
            (None, None, Some(id)) => export::fetch(id, self.stage.as_deref(), self.region.as_deref()),
            (None, None, None) => {
                Err(Failure::could_not_run("what API shall the store be for?").hint(SOURCE_HINT))
            }
        }
    }

    fn wishes(&self) -> Wishes<'_> {
        Wishes {
            name: self.name.as_deref(),
            namespace: self.namespace.as_deref(),
            groups: &self.groups,
            expand_any: self.expand_any,
            avp_exact: self.avp_exact,
        }
    }

    /// Checks the store before anything is written.
    fn check(&self, files: &Files) -> Result<(), Failure> {
        let mut store = StoreFiles::default();
        for (path, content) in files.iter().filter(|(path, _)| StoreFiles::is_known(path)) {
            store.insert(path.clone(), content.clone());
        }
        // API Gateway's default, for which the store is made.
        let checks = Checks { cache_key: Some(CacheKey::Token), ..Checks::default() };
        let (_, findings) = progress::during(checking(&store), || build::check(&store, &checks));
        StoreArgs { store: self.store.clone() }.warn_of(&store, &findings);
        match count(&findings, Severity::Error) {
            0 => Ok(()),
            errors => {
                let message = format!("the store would have {}, so it was not made", plural(errors, "error"));
                Err(Failure::invalid(message))
            }
        }
    }

    fn write(&self, files: &Files) -> Result<(), Failure> {
        let kept = Place::check(&self.store, self.force, OCCUPIED)?.fill(files)?;
        let name = self.store.display().to_string();
        let name = output::printable(&name);
        if let Some(kept) = kept {
            warn(&format_args!("the store that was there is now `{}`", kept.display()));
        }
        print(&paint(SUCCESS, &format!("made `{name}`: {}", plural(files.len(), "file"))))?;
        for path in files.keys() {
            print(&format_args!("  {path}"))?;
        }
        let next = ["check", "test"]
            .map(|verb| format!("cedar-authorizer {verb} --store {}", questions::quoted(&name)));
        warn(&format_args!("{} {}", paint(HINT, "next:"), next.join(", ")));
        Ok(())
    }
}

/// `NAME=VALUE`.
pub fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

const OCCUPIED: &str = "add what the API gained by --update, or name another directory by --store DIR; --force keeps the \
                        old store under another name";

const SOURCE_HINT: &str =
    "describe it by --openapi FILE, --template FILE or --api ID; or take a sample by --sample NAME";
