//! The gate: a bundle, and the keys that verify tokens.

use std::sync::Arc;

use cedar_policy::EntityUid;

use super::caller::Decided;
use super::{AuthorizationRequest, Decision, Session};
use crate::bundle::Bundle;
use crate::reason::Reason;
use crate::time::UnixTime;
use crate::token::bearer::Bearer;
use crate::token::key_set::KeySets;
use crate::token::{self, Unverified};

/// A bundle with the keys of its identity sources. It turns a token into a [`Session`], and the session decides.
///
/// A gate fetches nothing and reads no clock. Keys come from [`KeySets`], and the time is an argument.
///
/// ```
/// # #[cfg(feature = "authoring")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
/// use cedar_authorizer::decide::Gate;
/// use cedar_authorizer::gateway::request::Request;
/// use cedar_authorizer::gateway::route::Method;
/// # use cedar_authorizer::store::build::bundle_of_directory;
/// # use cedar_authorizer::time::UnixTime;
/// # let bytes = bundle_of_directory("policies".as_ref(), 1)?;
/// # let event: serde_json::Value =
/// #     serde_json::from_str(&std::fs::read_to_string("events/token-get-pets-allow.json")?)?;
/// # let authorization = event["authorizationToken"].as_str().unwrap_or_default();
/// # let now = UnixTime::from_seconds(1_704_067_201);
///
/// let bundle = Bundle::open(bytes, DevelopmentKeys::Allow)?;
/// let gate = Gate::with_pinned_keys(bundle);
/// let session = gate.authenticate(authorization, now)?;
/// let decision = session.decide(&Request::new(Method::Get, "/pets"))?;
/// assert!(decision.is_allowed());
/// assert_eq!(decision.reason.code(), "allowed-by-policy");
///
/// let elsewhere = session.decide(&Request::new(Method::Get, "/unknown"))?;
/// assert_eq!(elsewhere.reason.code(), "route-unmapped");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "authoring"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Gate {
    bundle: Arc<Bundle>,
    keys: KeySets,
}

impl Gate {
    /// `keys` are the keys of the bundle's identity sources; see [`KeySets::collect`].
    pub fn new(bundle: impl Into<Arc<Bundle>>, keys: KeySets) -> Self {
        Self { bundle: bundle.into(), keys }
    }

    /// A gate with the keys that came with the bundle (`jwks/` of the store, or `build --pin-jwks`). An identity
    /// source without keys accepts no token.
    pub fn with_pinned_keys(bundle: impl Into<Arc<Bundle>>) -> Self {
        let bundle = bundle.into();
        let keys = KeySets::collect(bundle.identity_sources(), |_| None);
        Self { bundle, keys }
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Verifies a token. `authorization` is the value of an `Authorization` header: the token alone, or the
    /// scheme `Bearer` in any case and then the token. `now` is the current time.
    ///
    /// # Errors
    /// [`Unverified::KeyMissing`], if fresh keys could change the answer; otherwise [`Unverified::Refused`] with
    /// the reason. Do not tell the caller the reason: answer a refusal with HTTP status 401, and write the reason
    /// to your log.
    pub fn authenticate(&self, authorization: &str, now: UnixTime) -> Result<Session, Unverified> {
        let bearer = Bearer::parse(authorization)?;
        let (sources, leeway) = (self.bundle.identity_sources(), self.bundle.leeway_seconds());
        let token = token::verify(bearer, sources, &self.keys, leeway, now)?;
        Ok(Session::new(Arc::clone(&self.bundle), token))
    }

    /// Decides on a request of any principal in Cedar's terms, as AVP's `IsAuthorized` does. This does not check
    /// who the caller is: verify that first.
    ///
    /// # Errors
    /// Only faults ([`Reason::BundleUnreadable`]).
    pub fn is_authorized(
        &self,
        principal: &EntityUid,
        request: &AuthorizationRequest,
    ) -> Result<Decision, Reason> {
        let decided = request.decide(&self.bundle, principal);
        Ok(Decided::or_deny(decided.map(|decision| Decided { decision, dropped: 0 }))?.decision)
    }
}
