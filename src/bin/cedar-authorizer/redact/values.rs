//! Values of requests, in Cedar's JSON form: each is replaced by one that says nothing, of the same type.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cedar_authorizer::time::iso_8601;
use serde_json::{Map, Value, json};

use super::record::{People, Redactor};
use crate::recorded::left_out::Why;

/// The values of one request.
pub struct Values<'a> {
    pub redactor: &'a Redactor,
    pub people: &'a People,
}

impl Values<'_> {
    /// A value at a path, such as `context.token.scope`.
    ///
    /// # Errors
    /// It has something that is not known.
    pub fn value(&self, path: &str, value: &Value) -> Result<Value, Why> {
        let is_kept = self.redactor.keeps(path);
        Ok(match value {
            Value::Bool(_) => value.clone(),
            Value::Number(number) => {
                let number = number.as_i64().ok_or(Why::NotReplaceable)?;
                if is_kept { value.clone() } else { self.number(number).into() }
            }
            Value::String(text) if is_kept => self.people.name(text)?.into(),
            Value::String(text) => self.text(text).into(),
            Value::Array(values) => {
                values.iter().map(|value| self.value(path, value)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Value::Object(members) => match (members.get("__entity"), members.get("__extn"), members.len()) {
                (Some(uid), None, 1) => json!({"__entity": self.uid(uid, path)?}),
                (None, Some(call), 1) => self.extension(path, call)?,
                (None, None, _) => self.record(path, members)?.into(),
                _ => return Err(Why::NotReplaceable),
            },
            Value::Null => return Err(Why::NotReplaceable),
        })
    }

    /// The members of a record. Their names stay: they are those of the schema and the policies.
    pub fn record(&self, path: &str, members: &Map<String, Value>) -> Result<Map<String, Value>, Why> {
        let member = |(name, value): (&String, &Value)| {
            Ok((self.people.name(name)?.to_owned(), self.value(&format!("{path}.{name}"), value)?))
        };
        members.iter().map(member).collect()
    }

    /// A text. A person is who they are everywhere else.
    fn text(&self, text: &str) -> String {
        if let Some(person) = self.people.of_text(text) {
            return self.redactor.person(person);
        }
        if self.redactor.known.has_text(text) && self.people.name(text).is_ok() {
            return text.to_owned();
        }
        self.redactor.hasher.text(text)
    }

    /// A number. Small ones say nothing of anybody: levels, counts, ages.
    fn number(&self, number: i64) -> i64 {
        if number.unsigned_abs() < SMALLEST_TELLING || self.redactor.known.has_number(number) {
            return number;
        }
        let bits = self.redactor.hasher.bits(&number.to_string());
        i64::try_from(bits >> NUMBER_SHIFT).unwrap_or(i64::MAX)
    }

    /// An entity somewhere in a value.
    fn uid(&self, uid: &Value, path: &str) -> Result<Value, Why> {
        let text = |name| uid.get(name).and_then(Value::as_str).ok_or(Why::NotReplaceable);
        let (kind, id) = (text("type")?, text("id")?);
        let is_kept = self.redactor.keeps(path);
        let id = self.people.entity(self.redactor, kind, id, is_kept)?;
        Ok(json!({"type": self.people.name(kind)?, "id": id}))
    }

    /// An address, a moment, a decimal number: another one.
    fn extension(&self, path: &str, call: &Value) -> Result<Value, Why> {
        let text = |name| call.get(name).and_then(Value::as_str).ok_or(Why::NotReplaceable);
        let (function, argument) = (text("fn")?, text("arg")?);
        // Policies may compare with it, as text of the extension.
        let is_known = self.redactor.known.has_text(argument) && self.people.name(argument).is_ok();
        let is_kept = self.redactor.keeps(path) || path == REQUEST_TIME || is_known;
        let bits = self.redactor.hasher.bits(argument);
        let other = match function {
            _ if is_kept => self.people.name(argument)?.to_owned(),
            "ip" => address(argument, bits),
            "datetime" => moment(bits).ok_or(Why::NotReplaceable)?,
            "decimal" => format!("{}.{:04}", (bits >> 32) % 100_000, bits % 10_000),
            "duration" => format!("{}ms", bits % MILLISECONDS),
            _ => return Err(Why::NotReplaceable),
        };
        Ok(json!({"__extn": {"fn": self.people.name(function)?, "arg": other}}))
    }
}

/// An address of the same version, without its network. IPv4: one of 240.0.0.0/4, which nobody has (RFC 1112, 4). IPv6:
/// one of 2001:db8::/32, which is for examples (RFC 3849).
fn address(argument: &str, bits: u128) -> String {
    let (address, _) = argument.split_once('/').unwrap_or((argument, ""));
    let low = |bits: u128| u32::try_from(bits & 0x0fff_ffff).unwrap_or_default();
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | (bits >> 32)).to_string(),
        _ => Ipv4Addr::from_bits(0xf000_0000 | low(bits)).to_string(),
    }
}

/// A moment in the hundred years from 1970.
fn moment(bits: u128) -> Option<String> {
    iso_8601(u64::try_from(bits % MILLISECONDS).ok()?)
}

/// When the request came: the line says it, too.
const REQUEST_TIME: &str = "context.http.requestTime";

/// A number of four digits may be the number of somebody or something.
const SMALLEST_TELLING: u64 = 1000;

/// What is left of the bits of a hash is a positive number.
const NUMBER_SHIFT: u32 = 65;

/// A hundred years.
const MILLISECONDS: u128 = 100 * 365 * 24 * 3600 * 1000;
