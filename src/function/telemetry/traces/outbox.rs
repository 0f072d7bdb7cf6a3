//! Where spans wait until they are sent.
//!
//! A task sends them while the runtime waits for the next event. Lambda may freeze the function before the request with
//! them has ended; then the task goes on, or gives up, during the next event. So an answer never waits for a collector,
//! and this is what can be lost: spans of an instance that gets no further event, spans that a collector does not take
//! in time, and spans of events that come while [`MAX_WAITING`] others wait.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use reqwest::{Client, redirect};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::yield_now;
use tokio::time::timeout;
use tracing::warn;

use super::resource;
use super::settings::TracesSettings;

/// Takes spans, and sends them later.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Sender<Vec<SpanData>>,
    /// How many events found no room.
    without_room: Arc<AtomicU64>,
}

impl Outbox {
    /// Begins the task that sends.
    pub(super) fn open(settings: TracesSettings) -> Self {
        let (waiting, received) = channel(MAX_WAITING);
        let without_room = Arc::default();
        tokio::spawn(send(received, settings, Arc::clone(&without_room)));
        Self { waiting, without_room }
    }

    /// Takes the spans of an event if there is room for them.
    pub(super) fn put(&self, spans: Vec<SpanData>) {
        if self.waiting.try_send(spans).is_err() {
            self.without_room.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn send(mut received: Receiver<Vec<SpanData>>, settings: TracesSettings, without_room: Arc<AtomicU64>) {
    let (mut exporter, mut losses, mut events) = (None, Losses::default(), Vec::new());
    while received.recv_many(&mut events, MAX_WAITING).await > 0 {
        // Writing a request takes longer than an answer. So the answer goes first: after this, the connection to the
        // Runtime API has had its turn.
        for _ in 0..TURNS_OF_OTHERS {
            yield_now().await;
        }
        let count = events.len();
        let spans = events.drain(..).flatten().collect();
        // Built when first needed: loading the certificates of the system takes longer than the rest of a cold start.
        let sent = match exporter.take().map_or_else(|| build(&settings), Ok) {
            Ok(built) => {
                let sent = timeout(settings.timeout, built.export(spans)).await;
                exporter = Some(built);
                match sent {
                    Ok(Ok(())) => Ok(()),
                    // Names neither the endpoint nor what it answers.
                    Ok(Err(failure)) => Err(failure.to_string()),
                    Err(_) => Err(format!("no answer within {:?}", settings.timeout)),
                }
            }
            Err(failure) => Err(failure),
        };
        losses.without_room += without_room.swap(0, Ordering::Relaxed);
        if let Err(failure) = sent {
            losses.add(u64::try_from(count).unwrap_or(u64::MAX), failure);
        }
        losses.report();
    }
}

/// An exporter without retries: the next event has spans of its own.
fn build(settings: &TracesSettings) -> Result<SpanExporter, String> {
    let endpoint = settings.endpoint.as_str();
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(settings.timeout);
    // A collector beside the function needs no certificates.
    let client = if settings.endpoint.scheme() == "http" { client.tls_certs_only([]) } else { client };
    let client = client.build().map_err(without_url)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(settings.timeout)
        .with_retry_policy(RetryPolicy::disabled())
        .build();
    let mut exporter = exporter.map_err(|_| "no request can be made for this endpoint".to_owned())?;
    exporter.set_resource(&resource::of(settings));
    Ok(exporter)
}

fn without_url(failure: reqwest::Error) -> String {
    failure.without_url().to_string()
}

/// What was lost since the log last said so.
#[derive(Default)]
struct Losses {
    without_room: u64,
    not_taken: u64,
    failure: Option<String>,
    reported: Option<Instant>,
}

impl Losses {
    fn add(&mut self, events: u64, failure: impl Display) {
        self.not_taken += events;
        self.failure = Some(failure.to_string());
    }

    /// Says it at once, but no more than once a minute: a collector that is down must not fill the log.
    fn report(&mut self) {
        let is_due = self.reported.is_none_or(|reported| reported.elapsed() >= REPORT_INTERVAL);
        if !is_due || self.without_room + self.not_taken == 0 {
            return;
        }
        let failure = self.failure.take();
        warn!(
            events = self.not_taken + self.without_room,
            without_room = self.without_room,
            error = failure,
            "traces of events are lost"
        );
        *self = Self { reported: Some(Instant::now()), ..Self::default() };
    }
}

/// How many events may wait with their spans. Each takes a few kilobytes.
const MAX_WAITING: usize = 64;

/// One turn is enough if the connection to the Runtime API is open. It always is, but for the first event.
const TURNS_OF_OTHERS: usize = 3;

const REPORT_INTERVAL: Duration = Duration::from_secs(60);
