//! `serve`: an API Gateway on this machine, with a test bench in the browser.

mod api;
mod exchange;
mod gateway;
mod gateway_response;
mod in_force;
mod page;
mod record;
mod reload;
mod server;
mod start;
mod traffic;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cedar_authorizer::gateway::cache_key::CacheKey;
use clap::Args;
use reqwest::Url;

use crate::local_server;
use crate::local_server::admission::Admission;
use crate::local_server::stop::{Stop, stop};
use crate::output::{Exit, Failure};
use crate::runtime;
use crate::store::StoreArgs;
use crate::test_bench::TestIssuer;
use crate::trust::TrustArgs;
use api::Kind;
use api::template::TemplateArgs;
use gateway::{Backend, Elsewhere, Gateway};
use in_force::{ApiOrigin, InForceCell, Origin, Overrides, StoreOrigin};
use record::Recorder;
use traffic::Traffic;

/// Serve an API on this machine as API Gateway does, with a test bench in the browser
///
/// Routes requests, makes the authorizer's event, asks the function, keeps its answers as API Gateway's cache does,
/// evaluates the IAM policy and answers. What is allowed goes to --backend, or is answered by a mock that shows
/// what a backend would get. A changed file is in force at the next request. The page at /_bench/ shows who may what, and
/// why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer serve
  cedar-authorizer serve --backend http://localhost:8080 --edit
  cedar-authorizer serve --template template.yaml --parameter StageName=prod
  cedar-authorizer serve --openapi petstore.yaml --kind http
  cedar-authorizer serve --cache-key 'method.request.header.Authorization,context.httpMethod,context.path'
  cedar-authorizer serve --authorizer http://localhost:9000/lambda-url/cedar-authorizer-lambda

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 could not run, 3 invalid store or bundle")]
pub struct Serve {
    #[command(flatten)]
    store: StoreArgs,

    /// A bundle instead of a policy store
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "edit"])]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    trust: TrustArgs,

    /// An OpenAPI description, whose routes are served [default: the routes of the store]
    #[arg(long, value_name = "FILE", conflicts_with = "template")]
    openapi: Option<PathBuf>,

    /// A SAM or CloudFormation template, whose routes and authorizers are served
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// A parameter of the template, which overrides its default; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", requires = "template", value_parser = crate::check::parameter)]
    parameters: Vec<(String, String)>,

    /// The API of the template to serve [default: the one that has an authorizer]
    #[arg(long, value_name = "NAME", requires = "template")]
    api: Option<String>,

    /// The kind of the API and its authorizer [default: that of the template, or rest-request]
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,

    /// The identity sources of the authorizer, as in CACHE_KEY: `none`, `token`, or a list of them [default: those of
    /// the template, or token]
    #[arg(long, value_name = "KEY")]
    cache_key: Option<CacheKey>,

    /// How long answers are kept; 0: not at all [default: that of the template, or 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=3600))]
    ttl: Option<u64>,

    /// Keep answers when the store changes, as API Gateway does [default: forget them, so that a change shows at once]
    #[arg(long)]
    keep_cache: bool,

    /// The server that gets the requests that are allowed [default: a mock, which shows them]
    #[arg(long, value_name = "URL")]
    backend: Option<Url>,

    /// How long the backend may take
    #[arg(long, value_name = "SECONDS", default_value_t = 29, requires = "backend")]
    backend_timeout: u64,

    /// An endpoint that invokes another authorizer, such as that of `cargo lambda watch` [default: the function itself]
    #[arg(long, value_name = "URL")]
    authorizer: Option<Url>,

    /// How long --authorizer may take [default: 10 for HTTP APIs, otherwise 30]
    #[arg(long, value_name = "SECONDS", requires = "authorizer")]
    authorizer_timeout: Option<u64>,

    /// Write every request with its answer to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Let the page change the files of the store
    #[arg(long)]
    edit: bool,

    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    port: u16,

    /// The address to listen on. With any other than that of this machine, whoever reaches it can sign tokens that
    /// this process accepts
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,

    /// Another name under which clients ask, such as that of a container [default: only names of this machine]
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
}

/// Everything that is served.
pub struct Served {
    /// The store and the API.
    pub in_force: Arc<InForceCell>,
    /// What answers requests.
    pub gateway: Gateway,
    /// What happened.
    pub traffic: Arc<Traffic>,
    /// What the page has to know of the arguments.
    pub settings: ServeSettings,
    /// Who may ask.
    pub admission: Admission,
    /// The end of the process.
    pub stop: Stop,
}

/// What the page has to know of the arguments.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// The directory of the policy store, or the bundle.
    pub store: PathBuf,
    /// Whether `store` is a bundle.
    pub is_bundle: bool,
    /// Whether the page may change the files of the store.
    pub is_editable: bool,
    /// Whether a backend gets what is allowed, not the mock.
    pub has_backend: bool,
    /// Where clients find the gateway, such as `http://127.0.0.1:3000`.
    pub address: String,
}

impl Serve {
    pub fn run(self) -> Result<Exit, Failure> {
        let runtime = runtime::of_server()?;
        let ended = runtime.block_on(self.serve());
        // Nobody waits for what is still read or sent.
        runtime.shutdown_background();
        ended.map(|()| Exit::Fine)
    }

    async fn serve(self) -> Result<(), Failure> {
        let origin = self.origin()?;
        let issuer = Arc::new(TestIssuer::new()?);
        // Before the first look: what changes during it is noticed.
        let watching = reload::watching(&origin);
        let loaded = match origin.load(&issuer, None).await {
            Ok(loaded) => loaded,
            Err(look) => return Err(start::failure(&origin, *look)),
        };
        start::warn_of(&origin, &loaded.look);
        start::warn_of_api(&loaded.in_force.api);
        let kind = loaded.in_force.api.kind();
        let backend = match &self.backend {
            Some(url) => Backend::server(url.clone(), Duration::from_secs(self.backend_timeout))?,
            None => Backend::Mock,
        };
        let elsewhere = match &self.authorizer {
            Some(url) => {
                let seconds = self.authorizer_timeout.unwrap_or(if kind.is_rest() { 30 } else { 10 });
                Some(Elsewhere::new(url.clone(), Duration::from_secs(seconds))?)
            }
            None => None,
        };
        let recorder = self.record.as_deref().map(Recorder::open).transpose()?;
        let listener = local_server::bind(self.listen, self.port).await?;
        let address = listener.local_addr().map_err(Failure::could_not_run)?;
        let in_force = Arc::new(InForceCell::new(loaded, issuer));
        let traffic = Arc::new(Traffic::new());
        let served = Arc::new(Served {
            gateway: Gateway::new(Arc::clone(&in_force), Arc::clone(&traffic), elsewhere, backend, recorder),
            in_force,
            traffic,
            settings: ServeSettings {
                store: self.bundle.clone().unwrap_or_else(|| self.store.store.clone()),
                is_bundle: self.bundle.is_some(),
                is_editable: self.edit,
                has_backend: self.backend.is_some(),
                address: format!("http://{address}"),
            },
            admission: Admission::new(self.allow_host.clone()),
            stop: stop()?,
        });
        reload::watch(&served, origin, watching);
        start::print_facts(&self, &served)?;
        server::serve(served, listener).await
    }

    fn origin(&self) -> Result<Origin, Failure> {
        let store = match &self.bundle {
            Some(path) => StoreOrigin::Bundle(path.clone(), self.trust.read()?),
            None if self.trust.is_given() => {
                let message = "--public-keys needs --bundle: a policy store has no signatures";
                return Err(Failure::could_not_run(message));
            }
            None => StoreOrigin::Directory(self.store.store.clone()),
        };
        let api = match (&self.openapi, &self.template) {
            (Some(path), _) => ApiOrigin::Description(path.clone()),
            (None, Some(path)) => ApiOrigin::Template(TemplateArgs {
                path: path.clone(),
                parameters: self.parameters.clone(),
                api: self.api.clone(),
            }),
            (None, None) => ApiOrigin::Store,
        };
        let overrides = Overrides {
            kind: self.kind,
            key: self.cache_key.clone(),
            time_to_live: self.ttl.map(Duration::from_secs),
        };
        let is_elsewhere = self.authorizer.is_some();
        Ok(Origin { store, api, overrides, is_elsewhere, keeps_cache: self.keep_cache })
    }
}
