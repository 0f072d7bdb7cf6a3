//! Reading what is asked: a request, an event, or a Cedar request.

use std::error::Error;
use std::net::IpAddr;
use std::rc::Rc;

use cedar_authorizer::cedar::{Context, Entity, EntityUid};
use cedar_authorizer::decide::AuthorizationRequest;
use serde_json::Value;

use super::{Moment, StepReader, default_moment};
use crate::test::case::{Asked, entity};
use crate::test::event;
use crate::test::fields::Fields;
use crate::test::value::json;
use crate::test_bench::{ApiKind, CONNECT, HttpRequest};
use crate::yaml::{Node, Place};

impl StepReader<'_> {
    /// Requests to the API, each with its text.
    pub(super) fn requests(
        &self,
        fields: &Fields<'_>,
        moment: Moment,
    ) -> Vec<(Option<String>, Asked, Moment)> {
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

    /// An event of API Gateway.
    pub(super) fn event(
        &self,
        fields: &Fields<'_>,
        moment: Option<Moment>,
    ) -> Option<(Option<String>, Asked, Moment)> {
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

    /// A request in Cedar's terms.
    pub(super) fn cedar(&self, fields: &Fields<'_>) -> Option<Asked> {
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
        let entity = |item: &Rc<Node>| {
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
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text.replace('\n', " ")
}
