//! Decisions: who wants to do what to which resource, whether the policies allow it, and what API Gateway is
//! told.
//!
//! [`Gate`] verifies a token with the identity sources of a bundle. It returns a [`Session`], which is the proof.
//! The session then decides: on a [`Request`](crate::gateway::request::Request), on a call of API Gateway, or on
//! an [`AuthorizationRequest`] in Cedar's own terms.
//!
//! [`CedarGate`] decides on such requests by Cedar's own rules, for whoever has to decide exactly as AVP does.

mod answer;
mod api_grant;
mod asked;
mod authorization_request;
mod authorize;
mod caller;
mod cedar_gate;
pub mod context;
mod decision;
mod gate;
mod memo;
pub mod outcome;
pub mod principal;
pub mod resource;
mod session;
mod steps;
pub mod subject;

pub use answer::RESERVED_CONTEXT;
pub use authorization_request::{AuthorizationRequest, CedarRequest, PrincipalRequest};
pub use cedar_gate::{Ancestors, CedarDecision, CedarGate};
pub use decision::{Decision, list};
pub use gate::Gate;
pub use session::Session;
pub use steps::Steps;
