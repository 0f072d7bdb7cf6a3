//! `serve`: what clients get from it, beside what they get from API Gateway, and its page.

mod agreement;
mod backends;
mod bench;
mod changes;
mod deployments;
mod issuers;
mod limits;
mod page;
mod secrecy;
mod sequences;
mod server;

pub use bench::Bench;
pub use server::{Client, Reply, ServeProcess};
