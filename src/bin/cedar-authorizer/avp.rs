//! `avp`: Verified Permissions, on this machine.

pub mod contents;
mod credentials;
mod decide;
mod error;
mod json;
mod keys;
mod model;
pub mod moment;
mod operations;
mod protocol;
mod server;
mod service;
mod snapshot;
mod storage;
mod store;
mod value;

use std::fmt::Display;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use cedar_authorizer::token::key_set::KeySet;
use clap::{Args, ValueEnum};

use crate::local_server::admission::Admission;
use crate::output::{Exit, Failure};
use crate::runtime;
use credentials::Credentials;
use keys::Keys;
use server::Server;
use service::Service;

/// Serve the API of Amazon Verified Permissions on this machine
///
/// AWS CLI, boto3 and every SDK work against it: set AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS, or pass --endpoint-url.
/// Decisions are made by the same code as those of the authorizer, and tokens are verified. Only this machine
/// can connect, unless --host says otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer avp
  cedar-authorizer avp --data stores --write
  aws verifiedpermissions list-policy-stores --endpoint-url http://127.0.0.1:8180

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 could not run")]
pub struct Avp {
    /// A directory with a policy store in each folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8180)]
    port: u16,

    /// The address to listen on. With any other than that of this machine, such as 0.0.0.0 in a container, everybody
    /// who reaches the address can read and change the policy stores: use --credentials
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,

    /// Another name under which clients ask, such as that of a container [default: only names of this machine]
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,

    /// Refuse requests that are not signed with an access key of this file, which has the form of ~/.aws/credentials
    /// [default: any credentials, or none]
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// Answer every Nth request with a ThrottlingException, to see that clients try again
    #[arg(long, value_name = "N")]
    throttle: Option<NonZeroU64>,

    /// Keep in --data what clients create [default: it is lost at the end]
    #[arg(long, requires = "data")]
    write: bool,

    /// A key set that verifies the tokens of every identity source, for work without a network; it may have the
    /// development key, with which `cedar-authorizer token` signs [default: fetched from the issuers]
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,

    /// Whether the quotas of Verified Permissions apply
    #[arg(long, value_enum, value_name = "WHETHER", default_value_t)]
    limits: Limits,
}

/// Whether quotas apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Limits {
    /// As in AWS
    #[default]
    On,
    /// None
    Off,
}

impl Avp {
    pub fn run(self) -> Result<Exit, Failure> {
        let keys = Keys::new(self.jwks.as_deref().map(read_keys).transpose()?);
        let server = Server {
            service: Service::open(self.data, self.write, self.limits)?.with_keys(keys),
            admission: Admission::new(self.allow_host),
            credentials: self.credentials.map(|path| Credentials::read(&path)).transpose()?,
            throttle: self.throttle,
            requests: AtomicU64::new(0),
        };
        runtime::of_server()?.block_on(server.serve(self.host, self.port))?;
        Ok(Exit::Fine)
    }
}

/// Reads `--jwks`.
fn read_keys(path: &Path) -> Result<KeySet, Failure> {
    let problem = |error: &dyn Display| {
        Failure::could_not_run(format_args!("cannot use the key set `{}`: {error}", path.display()))
    };
    let keys = KeySet::parse(&fs::read(path).map_err(|error| problem(&error))?);
    let keys = keys.map_err(|error| problem(&error))?;
    if keys.is_empty() { Err(problem(&"no key of the set can be used")) } else { Ok(keys) }
}
