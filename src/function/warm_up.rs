//! What init does while the bundle is on its way.
//!
//! A bundle in S3 takes several round trips, and until it is there nothing can be decided. But much of what the first
//! call needs does not depend on the bundle: it is done meanwhile, on another thread, so that no answer of the network
//! waits for it. Lambda gives init a whole CPU, and a call a part of one.

use std::sync::Once;

use cedar_policy::{
    Authorizer, Context, Entities, EntityUid, Policy, PolicySet, Request, RestrictedExpression,
};
use serde_json::json;
use tokio::task::{JoinHandle, spawn_blocking};

use super::tls;

/// Begins what every function needs whose bundle comes over the network.
pub(super) fn begin() -> JoinHandle<()> {
    spawn_blocking(|| {
        tls::read_certificates();
        set_up_cedar();
    })
}

/// Sets Cedar up, unless this process has done so.
pub(super) fn set_up_cedar() {
    static CEDAR: Once = Once::new();

    CEDAR.call_once(|| {
        // Without it the first condition takes longer. That is no reason not to start.
        let _ = evaluate();
    });
}

/// Lets Cedar find out how much room the stack of this thread has, as it does before it first evaluates anything on a
/// thread. For the main thread, the C library reads the map of the process's memory for that.
pub(super) fn set_up_thread() {
    let value = RestrictedExpression::new_bool(true);
    // It is a context of nothing.
    let _ = Context::from_pairs([("a".to_owned(), value)]);
}

/// Evaluates a condition with a value of an extension. The first one sets up all extensions, with the parser of Cedar's
/// language for their names, which is half the instructions of a cold start. Policies of bundles are in Cedar's JSON form.
/// So is this one, since to read Cedar's language would take as long again.
fn evaluate() -> Option<()> {
    let [nobody, action] =
        ["Nobody", "Action"].map(|kind| EntityUid::from_json(json!({"type": kind, "id": ""})).ok());
    let (nobody, action) = (nobody?, action?);
    let address = json!({".": {"left": {"Var": "context"}, "attr": "a"}});
    let policy = json!({
        "annotations": {"id": "warm-up"},
        "effect": "permit",
        "principal": {"op": "==", "entity": {"type": "Nobody", "id": ""}},
        "action": {"op": "All"},
        "resource": {"op": "is", "entity_type": "Nobody"},
        "conditions": [{"kind": "when", "body": {"&&": {
            "left": {"has": {"left": {"Var": "context"}, "attr": "a"}},
            "right": {"isIpv4": [address]},
        }}}],
    });
    let policies = PolicySet::from_policies([Policy::from_json(None, policy).ok()?]).ok()?;
    let request = Request::new(nobody.clone(), action, nobody, Context::empty(), None).ok()?;
    Authorizer::new().is_authorized(&request, &policies, &Entities::empty());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_evaluated() {
        assert_eq!(evaluate(), Some(()));
    }
}
