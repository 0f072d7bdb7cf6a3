//! The stream of what happens: server-sent events (HTML standard, "Server-sent events").

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::Page;
use crate::serve::Served;
use crate::serve::exchange::Exchange;
use crate::serve::reload::Changed;
use crate::serve::traffic::News;

/// `GET /_bench/api/traffic`
///
/// First the last exchanges, then all that happens. A browser that comes back says what it had last. The stream ends
/// when the server does.
pub async fn stream(
    State(page): State<Page>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let served = page.served;
    // Subscribed first: what happens in between may come twice, but is not lost.
    let news = served.traffic.subscribe();
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let recent: Vec<Arc<Exchange>> = served.traffic.recent();
    let missed = recent.into_iter().filter(move |exchange| known.is_none_or(|known| exchange.id > known));
    let begin = missed.map(|exchange| of_exchange(&exchange)).chain([of_store(
        &served,
        served.in_force.get().revision,
        false,
        0,
        &Changed::default(),
    )]);
    let begin = stream::iter(begin.collect::<Vec<_>>());
    let stopped = served.stop.clone();
    let coming = stream::unfold((served, news), |(served, mut news)| async move {
        let event = match news.recv().await {
            Ok(News::Exchange(exchange)) => of_exchange(&exchange),
            Ok(News::Store { revision, is_new, dropped, changed }) => {
                of_store(&served, revision, is_new, dropped, &changed)
            }
            Ok(News::Flush { dropped }) => event("flush", &json!({"dropped": dropped})),
            Err(RecvError::Lagged(missed)) => event("missed", &json!({"missed": missed})),
            Err(RecvError::Closed) => return None,
        };
        Some((event, (served, news)))
    });
    let events = begin.chain(coming).map(Ok).take_until(stopped.wait());
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn of_exchange(exchange: &Exchange) -> Event {
    event("exchange", exchange).id(exchange.id.to_string())
}

/// What is in force, and what is wrong with the files.
fn of_store(served: &Served, revision: u64, is_new: bool, dropped: usize, changed: &Changed) -> Event {
    let look = served.in_force.findings();
    let problem = look.problem.as_ref().map(|(message, hint)| json!({"message": message, "hint": hint}));
    let data = json!({
        "revision": revision,
        "isNew": is_new,
        "findings": look.findings,
        "problem": problem,
        "dropped": dropped,
        "changed": changed,
    });
    event("store", &data)
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // All of it is text, numbers and maps by name, which JSON always takes.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

/// So that a connection whose client is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
