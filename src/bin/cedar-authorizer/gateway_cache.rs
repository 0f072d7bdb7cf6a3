//! A model of API Gateway's cache of an authorizer's answers.
//!
//! API Gateway keeps the whole answer under the values of the identity sources, and applies it to every later request
//! with the same values until the time to live has passed (Developer Guide, "Use API Gateway Lambda authorizers").
//! An answer of the function may be right for the request that it was made for and wrong for a later one. The model
//! shows what such a later request gets.

mod answer;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cedar_authorizer::gateway::cache_key::{CacheKey, IdentitySourceExpression};
use cedar_authorizer::gateway::call::{Ambiguous, Api, Call, RouteKey, Target, TokenLocation};
use cedar_authorizer::time::UnixTime;

pub use answer::{Applied, apply};

/// The answers that API Gateway keeps. `A` is an answer of the function.
#[derive(Debug)]
pub struct GatewayCache<A> {
    key: CacheKey,
    time_to_live: Duration,
    location: TokenLocation,
    kept: HashMap<Vec<String>, Kept<A>>,
    /// The keys by the number of their answers, so that the oldest comes first.
    order: BTreeMap<u64, Vec<String>>,
    next_number: u64,
}

#[derive(Debug)]
struct Kept<A> {
    answer: A,
    since: UnixTime,
    number: u64,
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptUnder<A> {
    /// The answer.
    pub answer: A,
    /// How long it has been kept.
    pub age: Duration,
    /// How long it will be kept.
    pub remaining: Duration,
}

/// What API Gateway does with a call before it asks the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<A> {
    /// An identity source is missing, so the client gets 401 and the function is not asked.
    Unauthorized,
    /// An answer is kept that applies to this call.
    Kept(A),
    /// The function is asked. The answer may be kept under this key.
    Ask(Option<Key>),
}

/// The values of the identity sources of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl<A: Clone> GatewayCache<A> {
    /// A cache of an authorizer with these identity sources. `location` is where its token is.
    ///
    /// # Errors
    /// [`UnknownVariable`]
    pub fn new(
        key: CacheKey,
        time_to_live: Duration,
        location: TokenLocation,
    ) -> Result<Self, UnknownVariable> {
        if let CacheKey::Sources(sources) = &key {
            for source in sources {
                if let IdentitySourceExpression::Context(name) = source
                    && !VARIABLES.contains(&name.as_str())
                {
                    return Err(UnknownVariable { name: name.clone() });
                }
            }
        }
        let (kept, order) = (HashMap::new(), BTreeMap::new());
        Ok(Self { key, time_to_live, location, kept, order, next_number: 0 })
    }

    /// The identity sources.
    pub fn key(&self) -> &CacheKey {
        &self.key
    }

    /// What happens to a call at this time.
    pub fn look_up(&self, call: &Call, now: UnixTime) -> Lookup<A> {
        let key = match self.key_of(call) {
            Ok(key) => key,
            Err(NoKey::NotKept) => return Lookup::Ask(None),
            Err(NoKey::SourceMissing) => return Lookup::Unauthorized,
        };
        match self.kept.get(&key.0) {
            Some(kept) if now.since(kept.since) < self.time_to_live => Lookup::Kept(kept.answer.clone()),
            _ => Lookup::Ask(Some(key)),
        }
    }

    /// Keeps an answer of the function, whether it allows or denies. Errors must not be kept: API Gateway does not do
    /// that (a measurement of others; the guide only speaks of policies).
    pub fn keep(&mut self, Key(key): Key, answer: A, now: UnixTime) {
        let number = self.next_number;
        self.next_number += 1;
        if let Some(before) = self.kept.insert(key.clone(), Kept { answer, since: now, number }) {
            self.order.remove(&before.number);
        }
        self.order.insert(number, key);
        while self.kept.len() > MAX_KEPT
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.kept.remove(&oldest);
        }
    }

    /// The answers that are kept at this time, the oldest first.
    pub fn list(&self, now: UnixTime) -> impl Iterator<Item = KeptUnder<A>> {
        let kept = self.order.values().filter_map(|key| self.kept.get(key));
        kept.filter_map(move |Kept { answer, since, number: _ }| {
            let age = now.since(*since);
            let remaining = self.time_to_live.checked_sub(age).filter(|remaining| !remaining.is_zero())?;
            Some(KeptUnder { answer: answer.clone(), age, remaining })
        })
    }

    /// How long the answer to a call has been kept. Zero if there is none.
    pub fn age(&self, call: &Call, now: UnixTime) -> Duration {
        let kept = self.key_of(call).ok().and_then(|key| self.kept.get(&key.0));
        kept.map_or(Duration::ZERO, |kept| now.since(kept.since))
    }

    /// Forgets all answers. Returns how many there were.
    pub fn flush(&mut self) -> usize {
        self.order.clear();
        std::mem::take(&mut self.kept).len()
    }

    /// The identity sources of a call with their values. `None`: there are none, or one is missing.
    pub fn identity(&self, call: &Call) -> Option<Vec<(String, String)>> {
        let values: Vec<String> = match &self.key {
            CacheKey::None => return None,
            CacheKey::Token => vec![self.token(call).ok()?],
            CacheKey::Sources(sources) => {
                sources.iter().map(|source| self.value(source, call)).collect::<Result<_, _>>().ok()?
            }
        };
        Some(self.names().into_iter().zip(values).collect())
    }

    fn names(&self) -> Vec<String> {
        match &self.key {
            CacheKey::None => Vec::new(),
            CacheKey::Token => {
                vec![IdentitySourceExpression::Header(self.location.header.clone()).to_string()]
            }
            CacheKey::Sources(sources) => sources.iter().map(ToString::to_string).collect(),
        }
    }

    /// The values of the identity sources, in their order. Each API has a cache for each of its stages.
    fn key_of(&self, call: &Call) -> Result<Key, NoKey> {
        let token = || self.token(call);
        let caches = !self.time_to_live.is_zero();
        if let (Api::WebSocket, CacheKey::Sources(sources)) = (call.api(), &self.key) {
            // There is no cache, but all of them have to be there (Developer Guide, "Control access to WebSocket
            // APIs with AWS Lambda REQUEST authorizers").
            for source in sources {
                self.value(source, call)?;
            }
        }
        let values = match self.key.for_api(call.api()) {
            // The token is the identity source of a TOKEN authorizer, with a cache or without.
            CacheKey::None | CacheKey::Token if call.api() == Api::RestToken => vec![token()?],
            CacheKey::None => return Err(NoKey::NotKept),
            // Without a cache, API Gateway does not look for the identity sources of a REST API.
            _ if !caches && call.api() == Api::RestRequest => return Err(NoKey::NotKept),
            CacheKey::Token => vec![token()?],
            CacheKey::Sources(sources) => {
                sources.iter().map(|source| self.value(source, call)).collect::<Result<_, _>>()?
            }
        };
        if !caches || self.key == CacheKey::None {
            return Err(NoKey::NotKept);
        }
        let api = call.method_arn().api_prefix().to_owned();
        Ok(Key([vec![api], values].concat()))
    }

    fn token(&self, call: &Call) -> Result<String, NoKey> {
        // Differing tokens are refused by the function in any case.
        present(call.authorization(&self.location).map_or(Err(Ambiguous), |token| Ok(Some(token))))
    }

    fn value(&self, source: &IdentitySourceExpression, call: &Call) -> Result<String, NoKey> {
        match source {
            IdentitySourceExpression::Header(name) => present(call.headers().get(name)),
            IdentitySourceExpression::Query(name) => present(call.query().get(name)),
            // It is the same for all calls of a stage.
            IdentitySourceExpression::StageVariable(_) => Ok(String::new()),
            IdentitySourceExpression::Context(name) => present(Ok(variable(name, call).as_deref())),
        }
    }
}

/// Why a call has no key.
enum NoKey {
    /// There is no cache for it.
    NotKept,
    SourceMissing,
}

/// An empty identity source counts as a missing one. Which of several values API Gateway takes is not documented.
fn present(value: Result<Option<&str>, Ambiguous>) -> Result<String, NoKey> {
    match value {
        Ok(Some(value)) if !value.is_empty() => Ok(value.to_owned()),
        Ok(_) => Err(NoKey::SourceMissing),
        Err(Ambiguous) => Err(NoKey::NotKept),
    }
}

/// The value of a variable of `$context`.
fn variable(name: &str, call: &Call) -> Option<String> {
    let template = match call.target() {
        Target::Route { template, .. } => Some(template.as_str()),
        Target::Path => None,
    };
    let arn = call.method_arn();
    match name {
        "accountId" => Some(arn.account().to_owned()),
        "apiId" => Some(arn.api_id().to_owned()),
        "domainName" => call.host().map(str::to_owned),
        "httpMethod" => call.verb().map(str::to_owned),
        "identity.sourceIp" => call.source_ip().map(str::to_owned),
        "identity.userAgent" => call.user_agent().map(str::to_owned),
        "path" => call.path().map(str::to_owned),
        // The id of a resource is as good as its path.
        "resourceId" | "resourcePath" => template.map(str::to_owned),
        "routeKey" => {
            let template = template?;
            match call.route_key() {
                RouteKey::OneMethod => Some(format!("{} {template}", call.verb()?)),
                RouteKey::AnyMethod => Some(template.to_owned()),
                RouteKey::Absent => None,
            }
        }
        "stage" => Some(arn.stage().to_owned()),
        _ => None,
    }
}

/// How many answers are kept. API Gateway names no limit; this one keeps a server small that runs for weeks.
const MAX_KEPT: usize = 10_000;

/// The variables of `$context` that the model knows.
const VARIABLES: [&str; 11] = [
    "accountId",
    "apiId",
    "domainName",
    "httpMethod",
    "identity.sourceIp",
    "identity.userAgent",
    "path",
    "resourceId",
    "resourcePath",
    "routeKey",
    "stage",
];

/// The key has a variable whose value the model does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`context.{name}` is not among the variables that can be tested: {}", VARIABLES.join(", "))]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests;
