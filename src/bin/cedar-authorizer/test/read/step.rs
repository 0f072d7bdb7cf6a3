//! Reading one step: who asks, what is asked, and what is expected.

use std::net::IpAddr;
use std::path::Path;

use cedar_authorizer::cedar::{Entity, EntityUid};
use cedar_authorizer::decide::AuthorizationRequest;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::TokenType;
use cedar_policy::Context;
use chrono::DateTime;
use serde_json::Value;

use super::takes;
use crate::test::case::{Asked, Caller, Step, entity};
use crate::test::event;
use crate::test::expectation::Expectation;
use crate::test::fields::Fields;
use crate::test::problem::Problems;
use crate::test::value::json;
use crate::test_bench::{ApiKind, CONNECT, Claims, DEFAULT_TIME, HttpRequest, TestBench};
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

    fn requests(&self, fields: &Fields<'_>, moment: Moment) -> Vec<(Option<String>, Asked, Moment)> {
        let known = ApiKind::ALL.map(|kind| (kind.name(), kind));
        let api = fields.one_of("api", &known);
        let texts = match (fields.texts("request"), api) {
            (Some(texts), _) => texts,
            (None, Some(ApiKind::WebSocket)) => vec![(CONNECT, fields.place)],
            (None, _) => {
                self.problems.add(fields.place, "there is no `request`");
                Vec::new()
            }
        };
        let headers = self.headers(fields);
        let source_ip = fields.parsed("source_ip", |text| {
            text.parse::<IpAddr>().map(|_| text.to_owned()).map_err(|_| "not an IP address")
        });
        let stage = fields.parsed("stage", |text| {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let is_stage = text == "$default" || (!text.is_empty() && text.bytes().all(is_name));
            if is_stage {
                Ok(text.to_owned())
            } else {
                Err("the name of a stage has letters, digits, `-` and `_`")
            }
        });
        let (query, user_agent, host) =
            (fields.pairs("query"), fields.text("user_agent"), fields.text("host"));
        let request = |(text, place): (&str, Place)| {
            let parsed = HttpRequest::parse(text, moment.milliseconds);
            let mut request = parsed
                .map_err(|message| self.problems.add(place, format!("`request: {text}`: {message}")))
                .ok()?;
            match api {
                Some(ApiKind::WebSocket) if request.path != CONNECT => {
                    self.problems.add(place, "a WebSocket API is asked only for `$connect`");
                }
                Some(api) if request.path == CONNECT && api != ApiKind::WebSocket => {
                    self.problems.add(place, "`$connect` is a route of a WebSocket API, `api: websocket`");
                }
                Some(api) => request.api = api,
                None => {}
            }
            request.query.extend(query.iter().cloned());
            request.headers = headers.clone();
            request.source_ip = source_ip.clone().unwrap_or(request.source_ip);
            request.stage = stage.clone().unwrap_or(request.stage);
            request.user_agent = user_agent.map(|(text, _)| text.to_owned());
            request.host = host.map(|(text, _)| text.to_owned());
            Some((Some(text.to_owned()), Asked::Request(request), moment))
        };
        texts.into_iter().filter_map(request).collect()
    }

    fn headers(&self, fields: &Fields<'_>) -> Vec<(String, String)> {
        let pairs = fields.pairs("headers");
        let place = fields.get("headers").map_or(fields.place, |node| node.place);
        for (name, value) in &pairs {
            // RFC 9110, 5.6.2.
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_token) {
                self.problems.add(place, format!("`{name}` is not the name of a header"));
            }
            if value.chars().any(|char| char.is_control() && char != '\t') {
                self.problems.add(place, format!("the header `{name}` has a control character"));
            }
        }
        pairs
    }

    fn event(&self, fields: &Fields<'_>, moment: Option<Moment>) -> Option<(Option<String>, Asked, Moment)> {
        let (name, place) = fields.text("event")?;
        let read = event::read(&self.folder.join(name));
        let mut event =
            read.map_err(|message| self.problems.add(place, format!("`{name}`: {message}"))).ok()?;
        let own = event::time(&event).map(|milliseconds| Moment { milliseconds, is_given: true });
        let at = moment.or(own).unwrap_or_else(default_moment);
        if moment.is_some_and(|moment| moment.is_given) {
            event::set_time(&mut event, at.milliseconds);
        }
        Some((Some(name.to_owned()), Asked::Event { name: name.to_owned(), event }, at))
    }

    fn cedar(&self, fields: &Fields<'_>) -> Option<Asked> {
        let uid = |text: &str| {
            text.parse::<EntityUid>().map_err(|_| "not an entity, such as `PetStore::User::\"alice\"`")
        };
        let action = |text: &str| {
            text.parse::<EntityUid>().map_err(|_| "not an action, such as `PetStore::Action::\"get /pets\"`")
        };
        let principal = fields.parsed("principal", uid);
        let is_caller = fields.get("as").is_some() || fields.get("claims").is_some();
        match (fields.has("principal"), is_caller) {
            (true, true) => {
                self.problems.add(fields.place, "the principal is either `principal` or `as` and `claims`")
            }
            (false, false) => self.problems.add(fields.place, "there is no `principal`, and no `as` either"),
            _ => {}
        }
        for key in ["action", "resource"].into_iter().filter(|key| fields.get(key).is_none()) {
            self.problems.add(fields.place, format!("a Cedar request needs `{key}`"));
        }
        let (action, resource) = (fields.parsed("action", action), fields.parsed("resource", uid));
        let mut entities = self.entities(fields);
        if let Some(parents) = fields.list("parents") {
            let parent = |(text, place): (&str, Place)| {
                uid(text).map_err(|message| self.problems.add(place, format!("`{text}`: {message}"))).ok()
            };
            let parents: Vec<EntityUid> = parents.into_iter().filter_map(parent).collect();
            match &principal {
                Some(principal) if entities.iter().any(|known| known.uid() == *principal) => {
                    let message = "`entities` has the principal too, so its parents belong there";
                    self.problems.add(fields.place, message);
                }
                Some(principal) => entities.push(entity(principal, parents)),
                None => self.problems.add(fields.place, "`parents` are those of `principal`"),
            }
        }
        let (action, resource) = (action?, resource?);
        let context = self.context(fields, &action)?;
        let request = AuthorizationRequest { action, resource, context, entities };
        Some(Asked::Cedar { principal, request: Box::new(request) })
    }

    fn entities(&self, fields: &Fields<'_>) -> Vec<Entity> {
        let Some(node) = fields.get("entities") else { return Vec::new() };
        let Some(items) = node.list() else {
            self.problems.add(node.place, "`entities` should be a list, as in Cedar's JSON");
            return Vec::new();
        };
        let schema = self.bench.store().schema.as_ref();
        let entity = |item: &std::rc::Rc<crate::yaml::Node>| {
            let entity = Entity::from_json_value(json(item, self.problems), schema);
            entity
                .map_err(|error| self.problems.add(item.place, format!("not an entity: {}", chain(&error))))
                .ok()
        };
        items.iter().filter_map(entity).collect()
    }

    /// With the schema, dates and addresses can be written as texts. A context that does not fit the schema is taken
    /// as it is: what policies make of it may be what is tested.
    fn context(&self, fields: &Fields<'_>, action: &EntityUid) -> Option<Context> {
        let Some((value, place)) = fields.object("context") else { return Some(Context::empty()) };
        let value = Value::Object(value);
        let schema = self.bench.store().schema.as_ref().map(|schema| (schema, action));
        if let Ok(context) = Context::from_json_value(value.clone(), schema) {
            return Some(context);
        }
        Context::from_json_value(value, None)
            .map_err(|error| self.problems.add(place, format!("not a context: {}", chain(&error))))
            .ok()
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text.replace('\n', " ")
}

fn default_moment() -> Moment {
    Moment { milliseconds: DEFAULT_TIME.as_seconds() * 1000, is_given: false }
}

/// What sequences may say for all their requests.
pub const DEFAULTS: [&str; 12] = [
    "as",
    "claims",
    "token",
    "source",
    "query",
    "headers",
    "source_ip",
    "user_agent",
    "host",
    "stage",
    "time",
    "api",
];

/// The keys of each form of test, and of a request in a sequence.
#[rustfmt::skip]
const REQUEST: [&str; 15] = [
    "name", "as", "claims", "token", "source", "request", "query", "headers", "source_ip", "user_agent", "host",
    "stage", "time", "api", "expect",
];
const EVENT: [&str; 8] = ["name", "event", "as", "claims", "token", "source", "time", "expect"];
#[rustfmt::skip]
const CEDAR: [&str; 13] = [
    "name", "as", "claims", "token", "source", "principal", "parents", "action", "resource", "context", "entities",
    "time", "expect",
];
#[rustfmt::skip]
pub const SEQUENCE_STEP: [&str; 15] = [
    "as", "claims", "token", "source", "request", "query", "headers", "source_ip", "user_agent", "host",
    "stage", "api", "after", "from_cache", "expect",
];
pub const SEQUENCE_EVENT: [&str; 8] =
    ["event", "as", "claims", "token", "source", "after", "from_cache", "expect"];

/// The keys of all forms.
#[rustfmt::skip]
pub const ALL: [&str; 27] = [
    "name", "as", "claims", "token", "source", "request", "query", "headers", "source_ip", "user_agent", "host",
    "stage", "time", "api", "expect", "event", "principal", "parents", "action", "resource", "context", "entities",
    "cache_key", "ttl", "requests", "after", "from_cache",
];
