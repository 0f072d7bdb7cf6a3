//! Reading one step: who asks, what is asked, and what is expected.

mod asked;

use std::path::Path;

use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::TokenType;
use chrono::DateTime;

use super::keys::{ALL, CEDAR, EVENT, REQUEST};
use super::takes;
use crate::test::case::{Asked, Caller, Step};
use crate::test::expectation::Expectation;
use crate::test::fields::Fields;
use crate::test::problem::Problems;
use crate::test_bench::{Claims, DEFAULT_TIME, TestBench};
use crate::yaml::Place;

/// Reads the steps of one test.
pub struct StepReader<'a> {
    bench: &'a TestBench,
    folder: &'a Path,
    problems: &'a Problems,
    /// When the last step of a sequence was. `None`: there was none yet.
    clock: Option<Moment>,
}

/// When something is asked.
#[derive(Clone, Copy, Debug)]
struct Moment {
    milliseconds: u64,
    /// Whether the test says so.
    is_given: bool,
}

impl Moment {
    fn seconds(self) -> UnixTime {
        UnixTime::from_seconds(self.milliseconds / 1000)
    }
}

/// What sets a case apart from the others of its test.
#[derive(Clone, Debug)]
pub struct Variant(Vec<String>);

impl Variant {
    /// The name of the case.
    pub fn name(&self, test: &str) -> String {
        if self.0.is_empty() { test.to_owned() } else { format!("{test} [{}]", self.0.join(", ")) }
    }
}

impl<'a> StepReader<'a> {
    /// A reader for the steps of a test in this folder.
    pub fn new(bench: &'a TestBench, folder: &'a Path, problems: &'a Problems) -> Self {
        Self { bench, folder, problems, clock: None }
    }

    /// The steps of a test that is not a sequence, one for each of its cases.
    pub fn read_test(&self, test: Fields<'_>) -> Vec<(Variant, Step)> {
        let is_cedar = ["principal", "action", "resource"].into_iter().any(|key| test.has(key));
        let moment = self.time(&test);
        if test.has("event") {
            test.allow("a test with `event`", &EVENT, &ALL);
        } else if is_cedar {
            test.allow("a test of a Cedar request", &CEDAR, &ALL);
        } else if test.has("request") || test.get("api").is_some() {
            test.allow("a test with `request`", &REQUEST, &ALL);
        } else {
            test.allow("a test", &ALL, &[]);
            let hint = takes(&["request", "event", "action", "requests"]);
            self.problems.add_with(test.place, "the test asks nothing", hint);
            return Vec::new();
        }
        let issued = moment.unwrap_or_else(default_moment);
        let variants = self.variants(test, issued, moment, is_cedar);
        let expected = Expectation::read(&test).unwrap_or_default();
        if is_cedar && expected.is_of_api() {
            let message = "a Cedar request has no `status` and no `backend`: API Gateway has no part in it";
            self.problems.add(test.place, message);
        }
        let step = |(variant, caller, asked, now)| {
            (variant, Step { place: test.place, caller, asked, now, expected: expected.clone() })
        };
        variants.into_iter().map(step).collect()
    }

    /// The steps of one request of a sequence, whose defaults are those of the sequence.
    pub fn read_of_sequence(&mut self, request: Fields<'_>) -> Vec<Step> {
        let start = match self.clock {
            Some(clock) => clock,
            None => self.time(&request).unwrap_or_else(default_moment),
        };
        let after = request.number::<u32>("after").unwrap_or_default();
        let moment = Moment { milliseconds: start.milliseconds + u64::from(after) * 1000, is_given: true };
        // All requests of a sequence have the same token, so it is issued at the first one.
        let issued = self.time(&request).unwrap_or_else(default_moment);
        self.clock = Some(moment);
        let variants = self.variants(request, issued, Some(moment), false);
        let expected = Expectation::read(&request).unwrap_or_default();
        let expected = expected.with_cache(request.boolean("from_cache"));
        let step = |(_, caller, asked, now)| Step {
            place: request.place,
            caller,
            asked,
            now,
            expected: expected.clone(),
        };
        variants.into_iter().map(step).collect()
    }

    /// Everybody who asks, with everything that is asked.
    fn variants(
        &self,
        fields: Fields<'_>,
        issued: Moment,
        moment: Option<Moment>,
        is_cedar: bool,
    ) -> Vec<(Variant, Caller, Asked, UnixTime)> {
        let asked = if fields.has("event") {
            self.event(&fields, moment).into_iter().collect()
        } else if is_cedar {
            self.cedar(&fields).map(|asked| (None, asked, issued)).into_iter().collect()
        } else {
            self.requests(&fields, moment.unwrap_or(issued))
        };
        // The token of an event is valid when the event is received.
        let issued = match asked.as_slice() {
            [(_, Asked::Event { .. }, at)] if moment.is_none() => *at,
            _ => issued,
        };
        let callers = self.callers(&fields, issued);
        if !self.problems.take_room(callers.len().saturating_mul(asked.len())) {
            self.problems.add(fields.place, "more cases than one file may have");
            return Vec::new();
        }
        let several = (callers.len() > 1, asked.len() > 1);
        let mut variants = Vec::new();
        for (who, caller) in &callers {
            for (what, asked, at) in &asked {
                let who = who.clone().filter(|_| several.0);
                let what = what.clone().filter(|_| several.1);
                let variant = Variant(who.into_iter().chain(what).collect());
                variants.push((variant, caller.clone(), asked.clone(), at.seconds()));
            }
        }
        variants
    }

    /// Everybody who asks, with the name of the persona.
    fn callers(&self, fields: &Fields<'_>, issued: Moment) -> Vec<(Option<String>, Caller)> {
        let token_type = fields.one_of("token", &[("access", TokenType::Access), ("id", TokenType::Id)]);
        let source = fields.text("source");
        let personas = fields.texts("as");
        let own = fields.object("claims").map(|(claims, _)| claims);
        if personas.is_none() && own.is_none() {
            if let Some(key) = ["token", "source"].into_iter().find(|key| fields.has(key)) {
                self.problems
                    .add(fields.place, format!("`{key}` says what a token is, so it needs `as` or `claims`"));
            }
            return vec![(None, Caller::Unknown)];
        }
        self.reject_second_token(fields);
        let holder = |persona: Option<&str>, claims: Claims| {
            let found = self.bench.source(source.map(|(name, _)| name), &claims);
            let source = found.map_err(|unknown| {
                let place = source.map_or(fields.place, |(_, place)| place);
                self.problems.add_with(place, unknown.message, unknown.hint);
            });
            let claims = self.bench.claims(&claims, source.ok()?, token_type, issued.seconds());
            let persona = persona.map(str::to_owned);
            Some((persona.clone(), Caller::Holder { persona, claims }))
        };
        let with_own = |mut claims: Claims| {
            claims.extend(own.iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
            claims
        };
        let of_persona = |(name, place): (&str, Place)| match self.bench.personas().get(name) {
            Some(claims) => holder(Some(name), with_own(claims.clone())),
            None => {
                let hint = self.bench.personas().advice(name);
                self.problems.add_with(place, format!("there is no persona `{name}`"), hint);
                None
            }
        };
        match personas {
            Some(names) => names.into_iter().filter_map(of_persona).collect(),
            None => holder(None, with_own(Claims::new())).into_iter().collect(),
        }
    }

    /// A request cannot have a token of the test bench and one of its own.
    fn reject_second_token(&self, fields: &Fields<'_>) {
        let header = &self.bench.bundle().token_location().header;
        let Some(headers) = fields.get("headers").and_then(|headers| headers.map()) else { return };
        if let Some(entry) = headers.iter().find(|entry| entry.key.eq_ignore_ascii_case(header)) {
            let message = format!("the header `{}` and `as` or `claims` are two tokens", entry.key);
            self.problems.add_with(entry.place, message, "leave one of them out");
        }
    }

    /// When the test asks. `None`: it does not say.
    fn time(&self, fields: &Fields<'_>) -> Option<Moment> {
        let read = |text: &str| {
            let moment = DateTime::parse_from_rfc3339(text)
                .map_err(|_| "not a moment, such as `2026-01-01T00:00:00Z`")?;
            u64::try_from(moment.timestamp_millis()).map_err(|_| "before 1970")
        };
        let milliseconds = fields.parsed("time", read)?;
        Some(Moment { milliseconds, is_given: true })
    }
}

fn default_moment() -> Moment {
    Moment { milliseconds: DEFAULT_TIME.as_seconds() * 1000, is_given: false }
}
