//! The HTTP server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use tokio::net::TcpListener;

use super::operations;
use super::protocol::{ServiceRequest, response};
use super::service::Service;
use crate::output::{Failure, print};

/// Serves until the process is interrupted. Prints one line with the address, once it can be asked.
pub async fn serve(service: Service, port: u16) -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::could_not_run(format_args!("cannot listen on {address}: {error}"))
            .hint("--port 0 takes a free port")
    })?;
    let address = listener.local_addr().map_err(Failure::could_not_run)?;
    print(&format_args!("listening on http://{address}"))?;
    let router = Router::new().fallback(ask).with_state(Arc::new(service));
    let interrupted = async {
        // Without a handler there is nothing to wait for but the signal's own effect.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, router).with_graceful_shutdown(interrupted).await.map_err(Failure::could_not_run)
}

async fn ask(State(service): State<Arc<Service>>, request: Request<Body>) -> Response<Body> {
    let answer = match ServiceRequest::read(request).await {
        Ok(ServiceRequest { operation, input }) => operations::answer(&service, &operation, input).await,
        Err(error) => Err(error),
    };
    response(answer)
}
