//! When tokens were issued. A person who sends two requests sends them with one token, and so does the page: only then
//! does API Gateway's cache have an answer for the second.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use cedar_authorizer::time::UnixTime;

use super::Attempt;

use crate::locks;

/// The times at which the page had tokens issued, by who asks.
#[derive(Debug, Default)]
pub struct Issued(Mutex<HashMap<String, UnixTime>>);

impl Issued {
    /// When the token of an attempt was issued, which may be now.
    pub fn time_for(&self, attempt: &Attempt, now: UnixTime) -> UnixTime {
        // Whoever asks for an expiry wants to see what becomes of it.
        if attempt.expires_in.is_some() {
            return now;
        }
        let Ok(who) = serde_json::to_string(&(&attempt.persona, &attempt.claims)) else { return now };
        let mut known = locks::lock(&self.0);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let time = known.entry(who).or_insert(now);
        if now.since(*time) > GOOD_FOR {
            *time = now;
        }
        *time
    }
}

/// Half the life of a token.
const GOOD_FOR: Duration = Duration::from_secs(1800);

/// Nobody tries so many people within half an hour.
const MAX_KNOWN: usize = 1000;
