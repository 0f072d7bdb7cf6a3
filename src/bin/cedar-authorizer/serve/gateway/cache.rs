//! The kept answers, and how they are shown.

use std::sync::Arc;
use std::time::SystemTime;

use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::time::UnixTime;
use serde::Serialize;
use serde_json::Value;

use super::masking::Secrets;
use crate::gateway_cache::{GatewayCache, KeptUnder, Key, Lookup};
use crate::locks::lock;
use crate::serve::exchange::{Decided, KeyPart};
use crate::serve::in_force::InForce;

/// An answer that is kept, and what it was made for.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The answer of the authorizer.
    pub answer: Arc<Value>,
    /// The same without tokens.
    pub shown: Arc<Value>,
    /// The number of the exchange that it was made for.
    pub made_for: u64,
    /// What was decided for that exchange.
    pub decided: Option<Decided>,
    /// The key, without tokens.
    pub key: Vec<KeyPart>,
}

/// An answer that is kept, for people.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptAnswer {
    /// The identity sources with their values.
    pub key: Vec<KeyPart>,
    /// The number of the exchange that it was made for.
    pub made_for: u64,
    /// How long it has been kept.
    pub age_seconds: u64,
    /// How long it will be kept.
    pub remaining_seconds: u64,
    /// The patterns of method and path that it allows, such as `GET/pets`. A simple response allows `*`.
    pub allows: Vec<String>,
    /// Those that it denies.
    pub denies: Vec<String>,
    /// What was decided for the exchange that it was made for.
    pub decision: Option<Decided>,
}

/// What is known of a call before anybody is asked.
pub enum Found {
    /// An identity source is missing.
    SourceMissing,
    /// An answer is kept for it.
    Kept { kept: Arc<Kept>, age_seconds: u64 },
    /// Somebody has to be asked. The answer may be kept under this key.
    Ask(Option<Key>),
}

/// Looks a call up.
pub fn look_up(cache: &GatewayCache<Arc<Kept>>, call: &Call, now: UnixTime) -> Found {
    match cache.look_up(call, now) {
        Lookup::Unauthorized => Found::SourceMissing,
        Lookup::Ask(key) => Found::Ask(key),
        Lookup::Kept(kept) => {
            let age_seconds = cache.age(call, now).as_secs();
            Found::Kept { kept, age_seconds }
        }
    }
}

/// The answers that were kept last, the newest first.
pub fn last(cache: &GatewayCache<Arc<Kept>>, most: usize, now: UnixTime) -> Vec<KeptAnswer> {
    let shown = |KeptUnder { answer: kept, age, remaining }: KeptUnder<Arc<Kept>>| KeptAnswer {
        key: kept.key.clone(),
        made_for: kept.made_for,
        age_seconds: age.as_secs(),
        remaining_seconds: remaining.as_secs(),
        allows: patterns(&kept.answer, "Allow"),
        denies: patterns(&kept.answer, "Deny"),
        decision: kept.decided.clone(),
    };
    let all: Vec<_> = cache.list(now).collect();
    all.into_iter().rev().take(most).map(shown).collect()
}

/// How many answers are kept.
pub fn kept_in(in_force: &InForce) -> usize {
    let now = SystemTime::now().into();
    in_force.caches.iter().map(|cache| lock(cache).list(now).count()).sum()
}

/// The identity sources with their values, without tokens.
pub fn key_parts(identity: Vec<(String, String)>, secrets: &Secrets) -> Vec<KeyPart> {
    let part = |(source, value): (String, String)| KeyPart { source, value: secrets.shown(&value) };
    identity.into_iter().map(part).collect()
}

/// The resources of all statements with an effect, without the beginning that they share.
fn patterns(answer: &Value, effect: &str) -> Vec<String> {
    if let Some(is_authorized) = answer.get("isAuthorized") {
        let is_it = (effect == "Allow") == (*is_authorized == Value::Bool(true));
        return if is_it { vec!["*".to_owned()] } else { Vec::new() };
    }
    let texts = |value: Option<&Value>| -> Vec<String> {
        match value {
            Some(Value::String(text)) => vec![short(text)],
            Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(short).collect(),
            _ => Vec::new(),
        }
    };
    let statements = answer.pointer("/policyDocument/Statement").and_then(Value::as_array);
    let of_effect = statements
        .into_iter()
        .flatten()
        .filter(|statement| statement.get("Effect").and_then(Value::as_str) == Some(effect));
    let patterns = of_effect.flat_map(|statement| {
        let others = texts(statement.get("NotResource"));
        let others = (!others.is_empty()).then(|| format!("all but {}", others.join(" ")));
        texts(statement.get("Resource")).into_iter().chain(others)
    });
    patterns.collect()
}

/// A pattern without its ARN up to the stage.
fn short(pattern: &str) -> String {
    pattern.splitn(3, '/').nth(2).unwrap_or(pattern).to_owned()
}
