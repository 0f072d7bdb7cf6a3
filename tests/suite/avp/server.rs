//! The service as a process, and requests to it as clients send them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::world::{CLI, root};

/// `cedar-authorizer avp` on a free port of this machine. It is killed when this is dropped.
#[derive(Debug)]
pub struct AvpServer {
    child: Child,
    address: String,
    /// Kept open: a process whose standard output is closed may end.
    _stdout: BufReader<ChildStdout>,
}

impl AvpServer {
    /// Starts it with these arguments behind `avp --port 0`, and waits until it listens.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(CLI);
        command.args(["avp", "--port", "0"]).args(arguments).current_dir(root());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
            let _ = child.kill();
            panic!("`cedar-authorizer avp` does not listen: {:?} {line:?}", child.wait());
        };
        Self { child, address: address.to_owned(), _stdout: stdout }
    }

    /// The address for `--endpoint-url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address for sockets.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks for one operation. Returns the HTTP status and the members of the answer.
    #[track_caller]
    pub fn ask(&self, operation: &str, input: &Value) -> (u16, Value) {
        let headers = format!(
            "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: VerifiedPermissions.{operation}\r\n"
        );
        let Reply { status, body, .. } = self.send("POST /", &headers, input.to_string().as_bytes());
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// Asks for one operation that succeeds.
    #[track_caller]
    pub fn answer(&self, operation: &str, input: &Value) -> Value {
        let (status, answer) = self.ask(operation, input);
        assert_eq!(status, 200, "{operation} {input}\n{answer}");
        answer
    }

    /// Asks for one operation that is refused. Returns the name of the error and the whole answer.
    #[track_caller]
    pub fn refusal(&self, operation: &str, input: &Value) -> (String, Value) {
        let (status, answer) = self.ask(operation, input);
        assert_ne!(status, 200, "{operation} {input}\n{answer}");
        let name = answer["__type"].as_str().unwrap();
        (name.rsplit('#').next().unwrap().to_owned(), answer)
    }

    /// Sends one request, byte for byte. `headers` are whole lines; `Host` and the length are added.
    #[track_caller]
    pub fn send(&self, method_and_path: &str, headers: &str, body: &[u8]) -> Reply {
        let mut request = format!(
            "{method_and_path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.address,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.send_raw(&request)
    }

    /// Sends these bytes and returns what comes back until the connection is closed.
    #[track_caller]
    pub fn send_raw(&self, request: &[u8]) -> Reply {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that has seen enough may close the connection before all is sent. Its answer is what counts.
        let _ = socket.write_all(request);
        let mut received = Vec::new();
        let _ = socket.read_to_end(&mut received);
        Reply::parse(&String::from_utf8(received).unwrap())
    }

    /// Waits until the process has ended by itself, and says whether it was successful.
    #[track_caller]
    pub fn wait(mut self) -> bool {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("`cedar-authorizer avp` does not end");
    }
}

impl Drop for AvpServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// The header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    #[track_caller]
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// How long a test waits for an answer: far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
