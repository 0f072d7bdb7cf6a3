//! An S3 and an issuer that are far away: TLS, and a line with a delay and a limit in front of it.
//!
//! Settings come from the environment:
//!
//! - `FOLDER`: its files are the objects, whatever the bucket.
//! - `KEYS`: the key set of the issuer.
//! - `ISSUER`: the URL of the issuer.
//! - `OTHER_HOST`: a host for which the same server has a certificate, and no keys.
//! - `CERTIFICATES`: this file gets the certificates to trust: those of the system, and the one that signs here.
//! - `ROUND_TRIP_MS` (15) and `MEGABYTES_A_SECOND` (80): the line of each connection.
//!
//! It prints its ports as JSON. `s3` takes HTTPS. `proxy` takes CONNECT and leads to the issuer, whatever the host.
//! `counts` takes plain HTTP without delay: `GET /_counts` says what was asked since the last time, and
//! `GET /_load/<key>` reads an object ahead. It ends with its standard input.

/// Objects in a bucket.
mod bucket;
/// Certificates that are made anew at each start.
mod certificates;
/// What was asked.
mod counts;
/// Requests and answers.
mod http;
/// A key set and the document that leads to it.
mod issuer;
/// The distance.
mod line;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use bucket::Bucket;
use counts::{Connection, Counts};
use http::{Request, Response};
use issuer::Issuer;
use line::{Distance, Line};

fn main() -> Result<(), Box<dyn Error>> {
    let number = |name: &str, usual: f64| env::var(name).map_or(Ok(usual), |value| value.parse::<f64>());
    let distance = Distance {
        round_trip: Duration::from_secs_f64(number("ROUND_TRIP_MS", 15.0)? / 1000.0),
        bytes_a_second: number("MEGABYTES_A_SECOND", 80.0)? * 1e6,
    };
    let bucket = Arc::new(Bucket::new(env::var("FOLDER")?.into()));
    let issuer = Issuer::new(&env::var("ISSUER")?, fs::read(env::var("KEYS")?)?)?;
    let names = vec!["localhost".to_owned(), issuer.host().to_owned(), env::var("OTHER_HOST")?];
    let (tls, authority) = certificates::make(names)?;
    fs::write(env::var("CERTIFICATES")?, certificates::of_system() + &authority)?;
    let counts = Arc::<Counts>::default();

    let objects = Far { name: "s3", tls: tls.clone(), distance, counts: Arc::clone(&counts) };
    let of_s3 = Arc::clone(&bucket);
    let s3 = listen(move |connection| {
        let ready = Instant::now() + distance.round_trip;
        objects.serve(connection, ready, objects.count(), &|request| of_s3.answer(request))
    })?;

    let keys = Far { name: "issuer", tls, distance, counts: Arc::clone(&counts) };
    let proxy = listen(move |connection| {
        http::accept_tunnel(&connection)?;
        let count = keys.count();
        // Where a proxy is next door, the issuer is as far away as it would be without: one round trip to connect.
        thread::sleep(distance.round_trip);
        http::open_tunnel(&connection)?;
        keys.serve(connection, Instant::now(), count, &|request| issuer.answer(request))
    })?;

    let counts = listen(move |connection| {
        http::serve(BufReader::new(connection), &|request| side(request, &bucket, &counts), &|_, _, _| {})
    })?;
    println!("{}", json!({"s3": s3, "proxy": proxy, "counts": counts}));
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Answers on the side port.
fn side(request: &Request, bucket: &Bucket, counts: &Counts) -> Response {
    match (request.path.as_str(), request.path.strip_prefix("/_load/")) {
        ("/_counts", _) => Response::json(&counts.take()),
        (_, Some(key)) if bucket.object(key).is_ok() => Response::json(&json!({})),
        _ => Response::empty(404),
    }
}

/// Gives a port, each connection of which is served by a thread of its own.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let serve = Arc::clone(&serve);
            // What breaks off shows in the client.
            thread::spawn(move || {
                let connection = connection?;
                connection.set_nodelay(true)?;
                serve(connection)
            });
        }
    });
    Ok(port)
}

/// A server behind TLS and a line.
struct Far {
    name: &'static str,
    tls: Arc<ServerConfig>,
    distance: Distance,
    counts: Arc<Counts>,
}

impl Far {
    /// A connection that is opened now.
    fn count(&self) -> Arc<Connection> {
        self.counts.connection(self.name)
    }

    /// Serves a connection, over which nothing comes before it is ready.
    fn serve(
        &self,
        connection: TcpStream,
        ready: Instant,
        count: Arc<Connection>,
        answer: &dyn Fn(&Request) -> Response,
    ) -> io::Result<()> {
        let line = Line::new(connection, ready, self.distance, Arc::clone(&count))?;
        let tls = ServerConnection::new(Arc::clone(&self.tls)).map_err(io::Error::other)?;
        let stream = BufReader::new(StreamOwned::new(tls, line));
        http::serve(stream, answer, &|stream: &BufReader<StreamOwned<_, Line>>, request, response| {
            count.asked(stream.get_ref().sock.arrived(), request, response);
        })
    }
}
