//! `avp`: Verified Permissions, on this machine.

pub mod contents;
mod error;
pub mod moment;
mod operations;
mod protocol;
mod server;
mod service;
mod snapshot;
mod storage;
mod store;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::output::{Exit, Failure};
use crate::runtime;
use service::Service;

/// Serve the API of Amazon Verified Permissions on this machine
///
/// AWS CLI, boto3 and every SDK work against it: set AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS, or pass --endpoint-url.
/// Decisions are made by the same code as those of the authorizer, and tokens are verified. Only this machine can
/// connect.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer avp
  cedar-authorizer avp --data stores --write
  aws verifiedpermissions list-policy-stores --endpoint-url http://127.0.0.1:8180")]
pub struct Avp {
    /// A directory with a policy store in each folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8180)]
    port: u16,

    /// Keep in --data what clients create [default: it is lost at the end]
    #[arg(long, requires = "data")]
    write: bool,

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
        let service = Service::open(self.data, self.write, self.limits)?;
        runtime::of_server()?.block_on(server::serve(service, self.port))?;
        Ok(Exit::Fine)
    }
}
