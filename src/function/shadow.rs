//! The shadow: a candidate bundle that decides on every call too, without effect.
//!
//! The log shows where it would have answered differently. So a change of policies can be watched on real calls before
//! it takes effect. The shadow never changes an answer. Its cost is bounded, and its failures only go to the log.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tracing::{info, warn};

use crate::cache::lock;
use crate::decide::list;
use crate::decide::outcome::Outcome;
use crate::function::jwks::KeyClient;
use crate::function::serving::DecidedCall;
use crate::function::source::Fetcher;
use crate::function::source::current::{Conditions, Current};
use crate::function::telemetry::counters::{Counted, Counters};
use crate::function::token_cache::MAX_TOKENS;
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::reason::Reason;
use crate::time::UnixTime;

/// A candidate bundle.
#[derive(Debug)]
pub struct Shadow {
    current: Arc<Current>,
    counters: Arc<Counters>,
    /// The shadow was slow, and is not asked before this time.
    rests_until: Mutex<UnixTime>,
}

impl Shadow {
    /// Loads the candidate. `None`: it cannot be used, and the log says so.
    pub async fn load(
        fetcher: Fetcher,
        conditions: Conditions,
        client: KeyClient,
        now: UnixTime,
    ) -> Option<Self> {
        let uri = fetcher.uri().clone();
        // A candidate may be older than the bundle in use, or below the lowest revision.
        let conditions = Conditions { min_revision: 0, ..conditions };
        let counters = Arc::clone(client.counters());
        // Its looks and fetches are not those of the bundle that serves.
        let client = client.counting(Arc::default());
        let load = Current::load(fetcher, None, conditions, MAX_TOKENS, client, now);
        match timeout(LOAD_BUDGET, load).await {
            Ok(Ok(current)) => Some(Self { current, counters, rests_until: Mutex::new(now) }),
            Ok(Err(failure)) => {
                warn!(code = failure.code(), %failure, %uri, "shadow bundle not loaded; nothing is compared");
                None
            }
            Err(_) => {
                warn!(budget = ?LOAD_BUDGET, %uri, "shadow bundle not loaded in time; nothing is compared");
                None
            }
        }
    }

    /// Decides on a call that was already decided, and logs if the two decisions differ.
    pub async fn compare(
        &self,
        call: &Call,
        served: &Result<DecidedCall, Reason>,
        cache_key: &CacheKey,
        now: UnixTime,
    ) {
        if now < *lock(&self.rests_until) {
            return;
        }
        let started = Instant::now();
        let decide = async {
            let serving = self.current.get(now).await?;
            serving.decide(call, cache_key, now).await.map(|decided| decided.outcome)
        };
        let candidate = timeout(BUDGET, decide).await;
        // Evaluation cannot be interrupted. So after a slow one, the shadow at least rests.
        if started.elapsed() > BUDGET {
            *lock(&self.rests_until) = now.after(REST);
            warn!(budget = ?BUDGET, rest = ?REST, "the shadow bundle is too slow; it rests");
        }
        let Ok(candidate) = candidate else {
            return;
        };
        let reason = candidate.as_ref().map_or_else(|reason| *reason, |outcome| outcome.decision.reason);
        let of_served =
            served.as_ref().map_or_else(|reason| *reason, |served| served.outcome.decision.reason);
        if reason.status() == of_served.status() {
            return;
        }
        self.counters.count(Counted::ShadowDifference);
        let (served, candidate) =
            (served.as_ref().ok().map(|served| &served.outcome), candidate.as_ref().ok());
        let outcome = served.or(candidate);
        let policies =
            |outcome: Option<&Arc<Outcome>>| outcome.map(|outcome| list(&outcome.decision.policies));
        info!(
            action = outcome.and_then(|outcome| Some(outcome.route.as_ref()?.action.to_string())),
            reason = of_served.code(),
            policies = policies(served),
            candidate_reason = reason.code(),
            candidate_policies = policies(candidate),
            candidate_revision = candidate.map(|outcome| outcome.revision),
            "the shadow bundle differs"
        );
    }
}

/// How long a cold start may spend on the shadow, beside the bundle that serves.
const LOAD_BUDGET: Duration = Duration::from_secs(3);

/// How long a call may spend on the shadow.
const BUDGET: Duration = Duration::from_millis(20);

/// How long the shadow is not asked after it was slow.
const REST: Duration = Duration::from_secs(60);
