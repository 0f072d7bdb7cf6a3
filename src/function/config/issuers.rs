//! The issuers that a deployment is for.

use std::collections::BTreeSet;

use super::Problems;
use crate::token::identity_source::{IdentitySource, KeyLocation, KeyUri, Provider, UserPoolArn};

/// The issuers that this deployment is for. A bundle that accepts tokens of another one, such as that of a test
/// environment, is refused. This guards against mistakes only: whoever may write bundles can still put keys and
/// policies of their own into one.
///
/// They are known before the bundle is. So their keys are fetched while the bundle is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedIssuers {
    /// The user pool (`USER_POOL_ARN`).
    pub user_pool: Option<TrustedPool>,
    /// Other issuers, as the `iss` of their tokens has them (`ISSUERS`).
    pub issuers: BTreeSet<String>,
}

/// A user pool of Cognito, and its app clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedPool {
    /// The user pool.
    pub arn: UserPoolArn,
    /// The app clients of the pool (`USER_POOL_CLIENT_IDS`). `None`: all of them.
    pub client_ids: Option<BTreeSet<String>>,
}

impl TrustedIssuers {
    /// Whether the identity source accepts only tokens of these issuers, and of these clients of the pool.
    pub fn covers(&self, source: &IdentitySource) -> bool {
        let are_named = |issuers: &[String]| issuers.iter().all(|issuer| self.issuers.contains(issuer));
        let is_named = !source.issuers().is_empty() && are_named(source.issuers());
        is_named || self.user_pool.as_ref().is_some_and(|pool| pool.covers(source))
    }

    /// Where their keys are.
    pub(in crate::function) fn key_locations(&self) -> Vec<KeyLocation> {
        let of_pool = self.user_pool.iter().flat_map(|pool| KeyLocation::of_user_pool(&pool.arn));
        let discovery = |issuer: &String| KeyLocation::Discovery { issuer: issuer.clone() };
        of_pool.chain(self.issuers.iter().map(discovery)).collect()
    }
}

impl TrustedPool {
    fn covers(&self, source: &IdentitySource) -> bool {
        let covers_clients = match &self.client_ids {
            Some(trusted) => !source.accepted().is_empty() && source.accepted().is_subset(trusted),
            None => true,
        };
        // An emulator's own issuer is not an issuer of the pool.
        let is_of_pool = *source.provider() == Provider::Cognito(self.arn.clone())
            && source.issuers().iter().all(|issuer| self.arn.issuers().contains(issuer));
        is_of_pool && covers_clients
    }
}

/// Reads `USER_POOL_ARN`, `USER_POOL_CLIENT_IDS` and `ISSUERS`. `None`: tokens of any issuer may be accepted.
pub(super) fn read(
    lookup: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
) -> Option<TrustedIssuers> {
    let arn: Option<UserPoolArn> =
        lookup("USER_POOL_ARN").and_then(|value| problems.parse("USER_POOL_ARN", &value));
    let client_ids = lookup("USER_POOL_CLIENT_IDS").map(|value| {
        let ids = list(&value);
        if ids.is_empty() {
            problems.add("USER_POOL_CLIENT_IDS", "empty; it lists client ids, separated by commas");
        }
        ids
    });
    if client_ids.is_some() && lookup("USER_POOL_ARN").is_none() {
        problems.add("USER_POOL_CLIENT_IDS", "set without USER_POOL_ARN, the pool of these clients");
    }
    let issuers = lookup("ISSUERS").map(|value| {
        let issuers = list(&value);
        if issuers.is_empty() {
            problems.add("ISSUERS", "empty; it lists issuers, separated by commas");
        }
        if issuers.iter().any(|issuer| issuer.parse::<KeyUri>().is_err()) {
            problems
                .add("ISSUERS", "not a list of https URLs, separated by commas, as `iss` in tokens has them");
        }
        issuers
    });
    if arn.is_none() && issuers.is_none() {
        return None;
    }
    let user_pool = arn.map(|arn| TrustedPool { arn, client_ids });
    Some(TrustedIssuers { user_pool, issuers: issuers.unwrap_or_default() })
}

/// What is between commas.
fn list(value: &str) -> BTreeSet<String> {
    let parts = value.split(',').map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}
