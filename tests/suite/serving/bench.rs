//! The endpoints of the page, on a store of their own.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::server::PATIENCE;
use super::{Reply, ServeProcess};
use crate::world::{StoreCopy, sample_store};

/// `serve` with a copy of a store.
pub struct Bench {
    pub process: ServeProcess,
    pub store: StoreCopy,
}

impl Bench {
    /// With a copy of the sample store.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        Self::of(StoreCopy::of(&sample_store()), arguments)
    }

    #[track_caller]
    pub fn of(store: StoreCopy, arguments: &[&str]) -> Self {
        let path = store.path().to_str().unwrap();
        let process = ServeProcess::start(&[&["--store", path], arguments].concat());
        Self { process, store }
    }

    /// The address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/_bench/", self.process.address())
    }

    /// What an endpoint answers to GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let reply = self.send("GET", path, "", b"");
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    /// What an endpoint answers to JSON that it takes.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let reply = self.ask("POST", path, body);
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.text());
        reply.json()
    }

    /// What an endpoint answers to JSON.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(method, path, "Content-Type: application/json\r\n", body.to_string().as_bytes())
    }

    /// Sends one request to an endpoint. `headers` are whole lines.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        self.process.connect().ask(method, &format!("/_bench/api/{path}"), headers, body)
    }

    /// Reads the stream of what happens until a text has come.
    #[track_caller]
    pub fn stream_until(&self, text: &str) -> String {
        let mut socket = self.listen();
        let (mut received, mut some) = (Vec::new(), [0; 4096]);
        loop {
            let count = socket.read(&mut some).unwrap();
            received.extend_from_slice(&some[..count]);
            let all = String::from_utf8_lossy(&received).into_owned();
            if all.contains(text) {
                return all;
            }
            assert!(count > 0, "the stream ended without {text:?}: {all}");
        }
    }

    /// A connection on which the stream of what happens comes.
    #[track_caller]
    pub fn listen(&self) -> TcpStream {
        let mut socket = TcpStream::connect(self.process.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET /_bench/api/traffic HTTP/1.1\r\nHost: {}\r\n\r\n", self.process.address())
            .unwrap();
        socket
    }
}
