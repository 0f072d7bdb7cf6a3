//! What init does while the bundle is on its way.
//!
//! A bundle in S3 takes several round trips, and until it is there nothing can be decided. But much of what the first
//! call needs does not depend on the bundle: it is done meanwhile, on another thread, so that no answer of the network
//! waits for it. Lambda gives init a whole CPU, and a call a part of one.

use cedar_policy::{Authorizer, Context, Entities, EntityUid, Policy, PolicySet, Request};
use tokio::task::{JoinHandle, spawn_blocking};

use super::tls;

/// Begins what every function needs whose bundle comes over the network.
pub(super) fn begin() -> JoinHandle<()> {
    spawn_blocking(|| {
        tls::read_certificates();
        // Without it the first condition takes longer. That is no reason not to start.
        let _ = set_up_cedar();
    })
}

/// Evaluates a condition with a value of an extension. The first one sets up all extensions, with the parser of Cedar's
/// language for their names, which is half the instructions of a cold start.
fn set_up_cedar() -> Option<()> {
    let nobody: EntityUid = "Nobody::\"\"".parse().ok()?;
    let action: EntityUid = "Action::\"\"".parse().ok()?;
    let policy = "permit (principal, action, resource) when { context has a && context.a.isIpv4() };";
    let policies = PolicySet::from_policies([Policy::parse(None, policy).ok()?]).ok()?;
    let request = Request::new(nobody.clone(), action, nobody, Context::empty(), None).ok()?;
    Authorizer::new().is_authorized(&request, &policies, &Entities::empty());
    Some(())
}
