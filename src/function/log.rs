//! The log: what happens beside the answers, in JSON or as text, on standard output. What is decided is in the
//! [decision log](super::telemetry::decision_log).
//!
//! No line ever has a token in it. Other crates are not logged below `INFO`: what they write there may be the event, as
//! `lambda_runtime` writes it at `TRACE`. Text that looks like a token, or has part of a token of the current call in
//! it, is left out of every field.
//!
//! A line gets facts about its call, such as the `requestId`, from the spans around it. All fields are at the same
//! level.

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write as _};
use std::panic::{self, Location};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{SetGlobalDefaultError, set_global_default};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

use crate::cache::lock;
use crate::function::masking::{MASKED, Tokens, without_tokens};
use crate::time::iso_8601;

/// Starts the log of this process with Lambda's settings: `AWS_LAMBDA_LOG_LEVEL` (`TRACE` to `FATAL`; if not set,
/// `POWERTOOLS_LOG_LEVEL`, then `RUST_LOG`, and otherwise `INFO`) and `AWS_LAMBDA_LOG_FORMAT` (`JSON`, or text). From here on, panics are reported
/// without the values in their messages.
///
/// # Errors
/// There is a log already.
pub fn init(variable: impl Fn(&str) -> Option<String>) -> Result<(), SetGlobalDefaultError> {
    let level = LEVELS.iter().find_map(|name| variable(name));
    let format = variable("AWS_LAMBDA_LOG_FORMAT").unwrap_or_default();
    panic::set_hook(Box::new(|panic| {
        let _ = io::stderr().write_all(panic_line(panic.payload(), panic.location()).as_bytes());
    }));
    set_global_default(Log {
        level: level.as_deref().map_or(LevelFilter::INFO, level_of),
        format: if format.eq_ignore_ascii_case("json") { LogFormat::Json } else { LogFormat::Text },
        write,
        next: AtomicU64::new(1),
        spans: Mutex::default(),
    })
}

/// Writes whole lines to standard output.
pub fn write(lines: &[u8]) {
    // There is no other place to report a failure.
    let _ = io::stdout().write_all(lines);
}

/// Whether a level has this name.
pub(super) fn is_level(name: &str) -> bool {
    known_level(name).is_some()
}

/// Keeps these tokens out of all lines, until the tokens of the next call take their place.
pub(super) fn hide(tokens: &Tokens<'_>) {
    let mut hidden = lock(&HIDDEN);
    // A line may be written only after its call, by work that the call began. So these are copies. They take the
    // memory of those before them.
    hidden.resize_with(tokens.texts().count(), String::new);
    for (hidden, token) in hidden.iter_mut().zip(tokens.texts()) {
        token.clone_into(hidden);
    }
}

/// The tokens of the current call. An instance answers one call at a time.
static HIDDEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The text, unless it has a token in it, or a part of one.
fn shown(text: &str) -> Cow<'_, str> {
    let hidden = lock(&HIDDEN);
    if Tokens::of(hidden.iter().map(String::as_str).collect()).touch([text]) {
        return Cow::Borrowed(MASKED);
    }
    without_tokens(text)
}

/// The level with this name; `INFO` if there is none.
fn level_of(name: &str) -> LevelFilter {
    known_level(name).unwrap_or(LevelFilter::INFO)
}

/// Lambda has `FATAL`, Powertools has `WARNING`, `CRITICAL` and `SILENT`. In any case.
fn known_level(name: &str) -> Option<LevelFilter> {
    match name.to_ascii_lowercase().as_str() {
        "warning" => Some(LevelFilter::WARN),
        "critical" | "fatal" => Some(LevelFilter::ERROR),
        "silent" => Some(LevelFilter::OFF),
        other => other.parse().ok(),
    }
}

/// A panic with its place. The message is included only if it is a literal. Others may quote the event, as the
/// messages about slices of text do.
fn panic_line(payload: &(dyn Any + Send), place: Option<&Location<'_>>) -> String {
    let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
    match payload.downcast_ref::<&'static str>() {
        Some(literal) => format!("panicked{place}: {literal}\n"),
        None => format!("panicked{place}\n"),
    }
}

struct Log<W> {
    level: LevelFilter,
    format: LogFormat,
    write: W,
    next: AtomicU64,
    spans: Mutex<Vec<OpenSpan>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogFormat {
    Json,
    Text,
}

/// A span that is open. Few are at a time, so they are looked for one by one.
struct OpenSpan {
    id: u64,
    metadata: &'static Metadata<'static>,
    /// Its fields. Which of them may be shown is known only when there is a line.
    fields: Vec<SpanField>,
    handles: usize,
}

struct SpanField {
    name: &'static str,
    value: SpanValue,
}

enum SpanValue {
    Text(String),
    /// As it appears in a line.
    Plain(String),
}

thread_local! {
    /// The spans that this thread is in. The innermost is last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl<W> Log<W> {
    fn spans(&self) -> MutexGuard<'_, Vec<OpenSpan>> {
        lock(&self.spans)
    }

    fn line(&self, event: &Event<'_>, milliseconds: u64) -> Vec<u8> {
        let (level, timestamp) = (event.metadata().level(), iso_8601(milliseconds).unwrap_or_default());
        let mut fields = Fields { format: self.format, text: Vec::with_capacity(512) };
        match self.format {
            LogFormat::Json => {
                fields.add("{\"timestamp\":\"");
                fields.add(&timestamp);
                fields.add("\",\"level\":\"");
                fields.add(level.as_str());
                fields.add("\"");
            }
            LogFormat::Text => fields.add(level.as_str()),
        }
        event.record(&mut fields);
        ENTERED.with_borrow(|entered| {
            if entered.is_empty() {
                return;
            }
            let spans = self.spans();
            let entered = entered.iter().filter_map(|id| spans.iter().find(|span| span.id == *id));
            for field in entered.flat_map(|span| &span.fields) {
                match &field.value {
                    SpanValue::Text(text) => fields.text(field.name, text),
                    SpanValue::Plain(value) => fields.plain(field.name, value),
                }
            }
        });
        fields.add(if self.format == LogFormat::Json { "}\n" } else { "\n" });
        fields.text
    }
}

impl<W: Fn(&[u8]) + Send + Sync + 'static> Subscriber for Log<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Targets are module paths.
        let is_own = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
        *metadata.level() <= if is_own { self.level } else { self.level.min(OF_OTHERS) }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Vec::with_capacity(attributes.values().len());
        attributes.record(&mut SpanFields(&mut fields));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let metadata = attributes.metadata();
        self.spans().push(OpenSpan { id, metadata, fields, handles: 1 });
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(span) = find(&mut self.spans(), id) {
            values.record(&mut SpanFields(&mut span.fields));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since_1970.as_millis()).unwrap_or_default();
        (self.write)(&self.line(event, milliseconds));
    }

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        let id = id.into_u64();
        ENTERED.with_borrow_mut(|entered| {
            if let Some(position) = entered.iter().rposition(|entered| *entered == id) {
                entered.remove(position);
            }
        });
    }

    fn current_span(&self) -> Current {
        let Some(id) = ENTERED.with_borrow(|entered| entered.last().copied()) else {
            return Current::none();
        };
        let id = Id::from_u64(id);
        let metadata = find(&mut self.spans(), &id).map(|span| span.metadata);
        metadata.map_or_else(Current::none, |metadata| Current::new(id, metadata))
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = find(&mut self.spans(), id) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.spans();
        let Some(span) = find(&mut spans, &id) else {
            return false;
        };
        span.handles = span.handles.saturating_sub(1);
        let is_closed = span.handles == 0;
        if is_closed {
            spans.retain(|span| span.id != id.into_u64());
        }
        is_closed
    }
}

fn find<'a>(spans: &'a mut [OpenSpan], id: &Id) -> Option<&'a mut OpenSpan> {
    spans.iter_mut().find(|span| span.id == id.into_u64())
}

/// Fields as they appear in a line, each after something else.
struct Fields {
    format: LogFormat,
    text: Vec<u8>,
}

impl Fields {
    fn add(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// Adds a value that needs no quotes.
    fn plain(&mut self, name: &str, value: impl fmt::Display) {
        // Writing to memory cannot fail.
        let _ = match self.format {
            LogFormat::Json => write!(self.text, ",\"{name}\":{value}"),
            LogFormat::Text => write!(self.text, " {name}={value}"),
        };
    }

    /// Adds a text, as far as it may be shown.
    fn text(&mut self, name: &str, value: &str) {
        let value = &*shown(value);
        if self.format == LogFormat::Text {
            self.add(" ");
            if name == MESSAGE {
                return self.add(value);
            }
            let _ = write!(self.text, "{name}={value:?}");
            return;
        }
        // Field names are Rust identifiers, so they need no quotes.
        self.add(",\"");
        self.add(name);
        self.add("\":");
        let _ = serde_json::to_writer(&mut self.text, value);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }
}

/// Collects the fields of a span.
struct SpanFields<'a>(&'a mut Vec<SpanField>);

impl SpanFields<'_> {
    fn add(&mut self, field: &Field, value: SpanValue) {
        self.0.push(SpanField { name: field.name(), value });
    }
}

impl Visit for SpanFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, SpanValue::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, SpanValue::Plain(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, SpanValue::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, SpanValue::Plain(value.to_string()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, SpanValue::Text(format!("{value:?}")));
    }
}

/// Where the level is, by precedence.
const LEVELS: [&str; 3] = ["AWS_LAMBDA_LOG_LEVEL", "POWERTOOLS_LOG_LEVEL", "RUST_LOG"];

/// Other crates are logged from this level up. `lambda_runtime` 1.5.0 writes the event at `TRACE`, and any of them
/// may log something else below `INFO` in its next version.
const OF_OTHERS: LevelFilter = LevelFilter::INFO;

/// The field in which `tracing` puts the text of an event.
const MESSAGE: &str = "message";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tracing::{debug, info, info_span, warn};

    use super::*;

    /// The lines that are written while `act` runs.
    fn lines(format: LogFormat, level: LevelFilter, act: impl FnOnce()) -> Vec<String> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&written);
        let write = move |line: &[u8]| to.lock().unwrap().extend_from_slice(line);
        let log = Log { level, format, write, next: AtomicU64::new(1), spans: Mutex::default() };
        tracing::subscriber::with_default(log, act);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        text.lines().map(str::to_owned).collect()
    }

    fn json_of(line: &str) -> Value {
        let mut json: Value = serde_json::from_str(line).unwrap();
        let timestamp = json.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().ends_with('Z'), "{timestamp}");
        json
    }

    #[test]
    fn a_line_has_the_fields_of_the_event_and_of_the_spans_around_it() {
        let written = lines(LogFormat::Json, LevelFilter::INFO, || {
            let outer = info_span!("call", requestId = "r-1", tenant = tracing::field::Empty);
            outer.in_scope(|| {
                info!(count = 3_u64, change = -1_i64, good = true, id = %"a\"b", nothing = None::<&str>, "one");
                outer.record("tenant", "acme");
                info_span!("inner", step = 2_u64).in_scope(|| warn!("two {}", 2));
                info!("three");
            });
            // As a task does with its span.
            let current = outer.in_scope(tracing::Span::current);
            drop(outer);
            current.in_scope(|| info!("later"));
            drop(current);
            info!("four");
        });
        let json: Vec<Value> = written.iter().map(|line| json_of(line)).collect();
        let one = json!({"level": "INFO", "message": "one", "count": 3, "change": -1, "good": true, "id": "a\"b",
                         "requestId": "r-1"});
        let two =
            json!({"level": "WARN", "message": "two 2", "requestId": "r-1", "tenant": "acme", "step": 2});
        let three = json!({"level": "INFO", "message": "three", "requestId": "r-1", "tenant": "acme"});
        let later = json!({"level": "INFO", "message": "later", "requestId": "r-1", "tenant": "acme"});
        assert_eq!(json, [one, two, three, later, json!({"level": "INFO", "message": "four"})]);
    }

    #[test]
    fn as_text_it_is_for_people() {
        let written = lines(LogFormat::Text, LevelFilter::INFO, || {
            info_span!("call", requestId = "r-1").in_scope(|| info!(count = 3, id = %"a\nb", "one two"));
        });
        assert_eq!(written, ["INFO one two count=3 id=\"a\\nb\" requestId=\"r-1\""]);
    }

    #[test]
    fn what_is_below_the_level_is_not_written() {
        for (name, expected) in [
            ("TRACE", 3),
            ("debug", 3),
            ("INFO", 2),
            ("warn", 1),
            ("ERROR", 0),
            ("FATAL", 0),
            ("off", 0),
            ("nonsense", 2),
        ] {
            let written = lines(LogFormat::Json, level_of(name), || {
                debug!("a");
                info!("b");
                warn!("c");
            });
            assert_eq!(written.len(), expected, "{name}");
        }
    }

    #[test]
    fn other_crates_are_written_from_info_up() {
        let written = lines(LogFormat::Json, LevelFilter::TRACE, || {
            tracing::trace!(target: "lambda_runtime::layers::api_response", body = "{}", "the event");
            debug!(target: "hyper_util::client", "b");
            info_span!(target: "lambda_runtime::layers::trace", "call", requestId = "r-1").in_scope(|| {
                info!(target: "lambda_runtime", "c");
                tracing::trace!("d");
                tracing::trace!(target: "cedar_authorizer_lambda", "e");
                tracing::debug_span!(target: "h2", "frame", bytes = "x").in_scope(|| debug!("f"));
            });
        });
        let messages: Vec<Value> = written.iter().map(|line| json_of(line)["message"].clone()).collect();
        assert_eq!(messages, ["c", "d", "e", "f"]);
        assert!(written.iter().all(|line| line.contains("r-1") && !line.contains("bytes")), "{written:?}");
        let written = lines(LogFormat::Json, LevelFilter::ERROR, || info!(target: "lambda_runtime", "c"));
        assert!(written.is_empty());
    }

    #[test]
    fn what_looks_like_a_token_is_left_out_of_every_field() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2lnbmF0dXJl";
        let pretty = "ewogImFsZyI6ICJSUzI1NiJ9.ewogInN1YiI6ICJ1MSJ9.c2lnbmF0dXJl";
        for (text, expected) in [
            (format!("Kennel::Pet::\"{token}\""), "Kennel::Pet::\"***\""),
            (format!("{token} and {pretty}"), "*** and ***"),
            (format!("a/{token}%2E{token}/b"), "a/***/b"),
            (format!("x{token}="), "***"),
            (format!("é{token}é"), "é***é"),
            ("eyJhbGciOiJSUzI1NiJ9".to_owned(), "***"),
            ("the view of the employee, ey".to_owned(), "the view of the employee, ey"),
            ("eyJ".to_owned(), "eyJ"),
            ("apiKeyJobDescription, monkeyJungle-gym".to_owned(), "apiKeyJobDescription, monkeyJungle-gym"),
            (String::new(), ""),
        ] {
            assert_eq!(without_tokens(&text), expected, "{text}");
        }
        let written = lines(LogFormat::Text, LevelFilter::INFO, || {
            info_span!("call", path = token).in_scope(|| info!(shown = ?token, other = %token, "{token}"));
        });
        assert_eq!(written, ["INFO *** shown=\"\\\"***\\\"\" other=\"***\" path=\"***\""]);
    }

    #[test]
    fn a_panic_is_reported_with_its_place_and_without_what_it_quotes() {
        let place = Location::caller();
        let quoting: Box<dyn Any + Send> = Box::new("byte 1 of `a token`".to_owned());
        let literal: Box<dyn Any + Send> = Box::new("no room");
        assert_eq!(panic_line(&*quoting, Some(place)), format!("panicked at {place}\n"));
        assert_eq!(panic_line(&*literal, None), "panicked: no room\n");
    }

    #[test]
    fn a_span_is_forgotten_when_its_last_handle_is() {
        let write: fn(&[u8]) = |_| {};
        let level = LevelFilter::INFO;
        let log =
            Log { level, format: LogFormat::Json, write, next: AtomicU64::new(1), spans: Mutex::default() };
        let dispatch = tracing::Dispatch::new(log);
        let open = || dispatch.downcast_ref::<Log<fn(&[u8])>>().unwrap().spans().len();
        tracing::dispatcher::with_default(&dispatch, || {
            let span = info_span!("call");
            let clone = span.clone();
            drop(span);
            assert_eq!(open(), 1);
            drop(clone);
            assert_eq!(open(), 0);
        });
    }

    proptest! {
        #[test]
        fn whatever_a_field_has_a_line_is_json(text in "\\PC*|[\\x00-\\x7f]*") {
            let written = lines(LogFormat::Json, LevelFilter::INFO, || info!(text, shown = ?text, "{text}"));
            prop_assert_eq!(written.len(), 1);
            let json = json_of(&written[0]);
            prop_assert_eq!(&json["text"], &text);
            prop_assert_eq!(&json["message"], &text);
            prop_assert_eq!(&json["shown"], &format!("{text:?}"));
        }
    }
}
