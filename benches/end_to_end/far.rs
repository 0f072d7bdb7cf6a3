//! Bundles and keys that are far away: cold starts over a link, split into init and first call.

/// The table, and what was asked.
pub mod report;
/// What is far away.
mod servers;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::options::{Options, Part};
use crate::process::{Calls, Process, Warm, milliseconds};
use crate::runtime_api::RuntimeApi;
use crate::subject::{Executables, FarStore, Kind, Subject};
use crate::world::{bundles, store::USER_POOL_ARN, try_bundle_file};
use servers::{Asked, Connection, Servers};

/// All that is far away, and what was measured of it.
pub struct Far {
    servers: Servers,
    pub rows: Vec<Row>,
}

/// A function whose bundle is far away, and the least that this can take.
pub struct Row {
    pub store: FarStore,
    function: Subject,
    floor: Subject,
    /// The size of the bundle.
    pub bundle_bytes: u64,
    /// Of each round.
    pub lives: Vec<FarLife>,
    pub floors: Vec<Vec<Start>>,
}

/// What was measured of a function in one round.
pub struct FarLife {
    pub starts: Vec<Start>,
    pub new: Warm,
    pub seen: Warm,
    /// The most memory that it held, MB.
    pub memory: f64,
}

/// A start, from the process to the answer to its first call.
#[derive(Clone)]
pub struct Start {
    /// From the start of the process to its first request for an event, milliseconds.
    pub init: f64,
    /// From the event to its answer, milliseconds.
    pub first: f64,
    /// The time that the process itself was running until it asked for an event, milliseconds.
    pub cpu_init: f64,
    /// And from there until it asked for the next one.
    pub cpu_first: f64,
    pub connections: Vec<Connection>,
    /// When the process was started, microseconds since 1970.
    pub started: u64,
}

impl Start {
    pub fn total(&self) -> f64 {
        self.init + self.first
    }
}

/// The stores that are wanted.
pub fn stores(options: &Options) -> Vec<FarStore> {
    if options.only == Some(Part::Near) {
        return Vec::new();
    }
    let mut stores: Vec<FarStore> = options.far.iter().copied().map(FarStore::Policies).collect();
    stores.extend(options.far.iter().min().copied().map(FarStore::FetchedKeys));
    stores.extend(options.shares.iter().copied().map(FarStore::Shares));
    stores
}

/// Builds their bundles. One that cannot be built is named.
pub fn prepare(options: &Options) {
    for store in stores(options) {
        if let Err(problem) = try_bundle_file(&store.shape()) {
            eprintln!("left out, as it cannot be built: {}: {problem}", store.name());
        }
    }
}

impl Far {
    /// Starts what is far away, and finds out what the functions ask for. `None`: nothing of it is wanted.
    pub fn start(options: &Options, executables: &Executables, calls: &Calls) -> Option<Self> {
        let stores: Vec<FarStore> =
            stores(options).into_iter().filter(|store| try_bundle_file(&store.shape()).is_ok()).collect();
        if stores.is_empty() {
            return None;
        }
        let servers = Servers::start(executables);
        let rows = stores.into_iter().map(|store| Row::new(store, executables, &servers, calls)).collect();
        Some(Self { servers, rows })
    }

    /// Measures all of them once.
    pub fn round(&mut self, calls: &Calls, options: &Options) {
        for row in &mut self.rows {
            let (_, event) = calls.events(&row.floor);
            let floors = (0..options.starts).map(|_| start(&row.floor, &event, &self.servers).1);
            row.floors.push(floors.collect());
            row.lives.push(FarLife::of(&row.function, calls, options, &self.servers));
        }
    }
}

impl Row {
    pub fn name(&self) -> String {
        self.store.name()
    }

    /// The floor gets what the function asks for first, as this does, and the keys at the same time.
    fn new(store: FarStore, executables: &Executables, servers: &Servers, calls: &Calls) -> Self {
        let shape = store.shape();
        let key = format!("{}.bundle", shape.name());
        servers.load(&key);
        let function = Subject {
            kind: Kind::Far(store),
            executable: executables.function.clone(),
            environment: settings(store, &key, servers),
        };
        let connections = start(&function, &calls.events(&function).1, servers).1.connections;
        let floor = Subject {
            kind: Kind::FarFloor(store),
            executable: executables.floor.clone(),
            environment: vec![
                ("PROXY", servers.proxy()),
                ("SSL_CERT_FILE", text(&servers.certificates)),
                ("URLS_AT_ONCE", urls(&connections).join("\n")),
            ],
        };
        let bundle_bytes = fs::metadata(bundles().join(&key)).unwrap().len();
        Self { store, function, floor, bundle_bytes, lives: Vec::new(), floors: Vec::new() }
    }
}

fn settings(store: FarStore, key: &str, servers: &Servers) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("ALLOW_DEVELOPMENT_KEYS", "true".to_owned()),
        ("AWS_ENDPOINT_URL_S3", servers.s3()),
        // With the dot, the bucket is in the path and needs no name of its own in the DNS.
        ("BUNDLE_URI", format!("s3://bench.store/{key}")),
        ("CACHE_KEY", Kind::Far(store).cache_key().to_owned()),
        ("SSL_CERT_FILE", text(&servers.certificates)),
    ];
    if matches!(store, FarStore::FetchedKeys(_)) {
        settings.push(("JWKS_PROXY", servers.proxy()));
        settings.push(("USER_POOL_ARN", USER_POOL_ARN.to_owned()));
    }
    settings
}

/// What a plain client would get: the first of S3, as the function asks for it, and the keys.
fn urls(connections: &[Connection]) -> Vec<String> {
    let of = |server: &'static str| {
        let all = connections.iter().filter(move |connection| connection.server == server);
        all.flat_map(|connection| &connection.requests)
    };
    let url = |asked: &Asked| {
        let path = asked.line.split(' ').nth(1).unwrap();
        let range = asked.range.iter().map(|range| format!(" {range}")).collect::<String>();
        format!("https://{}{path}{range}", asked.host)
    };
    let first = of("s3").min_by_key(|asked| asked.at).unwrap();
    let keys = of("issuer").filter(|asked| asked.status == 200);
    [first].into_iter().chain(keys).map(url).collect()
}

/// Starts an executable as Lambda does: its first event is there when it asks for one.
fn start(subject: &Subject, event: &Arc<str>, servers: &Servers) -> (Process, Start) {
    // What was asked meanwhile is not of this start.
    servers.counts();
    let runtime_api = RuntimeApi::start();
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let process = Process::under(runtime_api, subject);
    let ready = process.runtime_api.first_poll();
    let cpu_init = process.cpu_nanoseconds();
    process.runtime_api.give([event].into_iter());
    let answer = process.take(subject)[0];
    process.runtime_api.second_poll();
    let start = Start {
        init: milliseconds(ready - process.started),
        first: milliseconds(answer.took()),
        cpu_init: cpu_init / 1e6,
        cpu_first: (process.cpu_nanoseconds() - cpu_init) / 1e6,
        connections: servers.counts(),
        started: u64::try_from(started).unwrap(),
    };
    (process, start)
}

impl FarLife {
    fn of(subject: &Subject, calls: &Calls, options: &Options, servers: &Servers) -> Self {
        let (new, seen) = calls.events(subject);
        let mut starts: Vec<Start> = (1..options.starts).map(|_| start(subject, &seen, servers).1).collect();
        let (process, last) = start(subject, &seen, servers);
        starts.push(last);
        let new = process.calls(subject, &new);
        let seen = process.calls(subject, &vec![seen; options.seen_tokens]);
        Self { starts, new, seen, memory: process.peak_memory() }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
