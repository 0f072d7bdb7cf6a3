use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cpus;
use crate::subject::Executables;
use crate::world::store::POOL;
use crate::world::{bundles, root};

/// An S3 with all bundles and the issuer of the tokens, both far away: `bench-servers`. It ends when dropped.
pub struct Servers {
    child: Child,
    ports: Ports,
    /// What a client has to trust.
    pub certificates: PathBuf,
}

#[derive(Deserialize)]
struct Ports {
    s3: u16,
    proxy: u16,
    counts: u16,
}

/// What went over a connection. Moments are microseconds since 1970.
#[derive(Clone, Debug, Deserialize)]
pub struct Connection {
    pub server: String,
    pub opened: u64,
    pub requests: Vec<Asked>,
}

/// A request and its answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Asked {
    /// With its port, if that is not the usual one.
    pub host: String,
    /// Method and path.
    pub line: String,
    pub range: Option<String>,
    pub status: u16,
    /// The bytes of the body.
    pub body: u64,
    pub at: u64,
    pub answered: u64,
}

impl Servers {
    pub fn start(executables: &Executables) -> Self {
        let certificates = bundles().join("certificates.pem");
        let mut child = cpus::elsewhere(&executables.servers)
            .env("CERTIFICATES", &certificates)
            .env("FOLDER", bundles())
            .env("ISSUER", format!("https://{ISSUER_HOST}/{POOL}"))
            .env("OTHER_HOST", format!("issuer-{ISSUER_HOST}"))
            .env("KEYS", root().join("policies/jwks/cognito.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports = serde_json::from_str(&line).unwrap();
        assert!(File::open(&certificates).is_ok(), "bench-servers wrote no certificates");
        Self { child, ports, certificates }
    }

    /// The endpoint of S3.
    pub fn s3(&self) -> String {
        format!("https://localhost:{}", self.ports.s3)
    }

    /// The proxy that leads to the issuer.
    pub fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.proxy)
    }

    /// Has an object in memory from now on, so that the first to ask for it does not wait for a disk.
    pub fn load(&self, key: &str) {
        let serde_json::Value::Object(_) = self.ask(&format!("/_load/{key}")) else {
            panic!("`{key}` is no object");
        };
    }

    /// What was asked since the last time.
    pub fn counts(&self) -> Vec<Connection> {
        self.ask("/_counts")
    }

    fn ask<T: DeserializeOwned>(&self, path: &str) -> T {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.counts)).unwrap();
        connection.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut connection = BufReader::new(connection);
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            assert!(connection.read_line(&mut line).unwrap() > 0, "{path}: no answer");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The host of the issuer. A user pool has a second one, before whose name `issuer-` is.
const ISSUER_HOST: &str = "cognito-idp.us-east-1.amazonaws.com";
