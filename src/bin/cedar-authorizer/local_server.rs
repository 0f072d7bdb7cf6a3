//! What the servers on this machine have in common: who may ask, how many at once, and how they end.

pub mod admission;
pub mod connections;
pub mod stop;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::output::Failure;

/// Listens on an address. The port 0 takes a free one.
pub async fn bind(host: IpAddr, port: u16) -> Result<TcpListener, Failure> {
    let address = SocketAddr::from((host, port));
    TcpListener::bind(address).await.map_err(|error| {
        Failure::could_not_run(format_args!("cannot listen on {address}: {error}"))
            .hint("--port 0 takes a free port")
    })
}

/// How long requests under way may take after the signal to end.
pub const GRACE: Duration = Duration::from_secs(10);
