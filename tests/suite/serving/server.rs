//! `serve` as a process, and clients of it that send any bytes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{CLI, root};

/// `cedar-authorizer serve` on a free port of this machine. It is killed when this is dropped.
#[derive(Debug)]
pub struct ServeProcess {
    child: Child,
    address: String,
    /// What it printed at the start.
    pub printed: String,
    folder: tempfile::TempDir,
}

impl ServeProcess {
    /// Starts it with these arguments behind `serve --port 0`, and waits until it listens. It records.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(CLI);
        command.args(["serve", "--port", "0"]).args(arguments);
        if !arguments.contains(&"--record") {
            command.arg("--record").arg(folder.path().join("record"));
        }
        command.current_dir(root()).stdin(Stdio::null()).stdout(Stdio::piped());
        let errors = File::create(folder.path().join("stderr")).unwrap();
        let mut child = command.stderr(errors).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (mut printed, mut line) = (String::new(), String::new());
        // The address of the bench comes last but one, and what follows it in the same moment.
        while !line.starts_with("  bench") {
            line.clear();
            if stdout.read_line(&mut line).unwrap() == 0 {
                let errors = fs::read_to_string(folder.path().join("stderr")).unwrap();
                panic!("`serve` does not listen: {:?}\n{printed}\n{errors}", child.wait());
            }
            printed += &line;
        }
        let address =
            printed.lines().next().unwrap().strip_prefix("listening on http://").unwrap().to_owned();
        thread::sleep(Duration::from_millis(50));
        // Nobody may be kept from writing, so all is read.
        let rest = folder.path().join("stdout");
        thread::spawn(move || std::io::copy(&mut stdout, &mut File::create(rest).unwrap()));
        Self { child, address, printed, folder }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Everything that it has written to stderr.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// What it printed behind the address of the bench.
    pub fn printed_last(&self) -> String {
        eventually(|| {
            fs::read_to_string(self.folder.path().join("stdout")).ok().filter(|text| text.ends_with('\n'))
        })
    }

    /// The file that it records to.
    pub fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    /// What it has recorded.
    pub fn exchanges(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.record()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last exchange.
    #[track_caller]
    pub fn last(&self) -> Value {
        self.exchanges().pop().unwrap()
    }

    /// A connection that stays open.
    pub fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    /// Sends a request on a connection of its own. `headers` are whole lines.
    #[track_caller]
    pub fn get(&self, target: &str, headers: &str) -> Reply {
        self.connect().ask("GET", target, headers, b"")
    }

    /// The same with a token.
    #[track_caller]
    pub fn get_as(&self, token: &str, target: &str) -> Reply {
        self.get(target, &format!("Authorization: Bearer {token}\r\n"))
    }

    /// Sends a signal to it.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until it has ended by itself. Returns its exit code, and how long it took.
    #[track_caller]
    pub fn wait(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let status = eventually(|| self.child.try_wait().unwrap());
        (status.code(), begun.elapsed())
    }

    /// The memory that it holds now, in KiB: Linux's `VmRSS`.
    pub fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        resident.unwrap().trim().parse().unwrap()
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that stays open.
#[derive(Debug)]
pub struct Client {
    socket: BufReader<TcpStream>,
    address: String,
}

impl Client {
    pub fn connect(address: &str) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket: BufReader::new(socket), address: address.to_owned() }
    }

    /// Sends a request and reads the answer.
    #[track_caller]
    pub fn ask(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Reply {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let host = if headers.to_lowercase().lines().any(|line| line.starts_with("host:")) {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        self.send(format!("{method} {target} HTTP/1.1\r\n{host}{length}{headers}\r\n").as_bytes());
        self.send(body);
        self.read(method)
    }

    /// Sends bytes. The server may have seen enough already; its answer is what counts.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.get_mut().write_all(bytes);
    }

    /// Reads an answer to a request with this method.
    #[track_caller]
    pub fn read(&mut self, method: &str) -> Reply {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.socket.read_line(&mut head).unwrap_or(0);
            assert!(read > 0, "the connection ended: {head:?}");
        }
        let mut lines = head.trim_end().lines();
        let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(':').unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return reply;
        }
        reply.body = match (reply.header("content-length"), reply.header("transfer-encoding")) {
            (Some(length), _) => self.take(length.parse().unwrap()),
            (None, Some("chunked")) => self.take_chunks(),
            _ => {
                let mut body = Vec::new();
                let _ = self.socket.read_to_end(&mut body);
                body
            }
        };
        reply
    }

    /// Reads so many bytes.
    #[track_caller]
    pub fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        self.socket.read_exact(&mut taken).unwrap();
        taken
    }

    fn take_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.socket.read_line(&mut line).unwrap();
            let bytes = usize::from_str_radix(line.trim(), 16).unwrap();
            let chunk = self.take(bytes + 2);
            if bytes == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..bytes]);
        }
    }

    /// Reads what comes within this time.
    pub fn rest_for(mut self, time: Duration) -> String {
        let begun = Instant::now();
        let mut rest = Vec::new();
        while let Some(left) = time.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.socket.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.socket.fill_buf() {
                Ok([]) | Err(_) => break,
                Ok(bytes) => {
                    rest.extend_from_slice(bytes);
                    let read = bytes.len();
                    self.socket.consume(read);
                }
            }
        }
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Reads until the server closes the connection.
    pub fn rest(mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.socket.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Waits for something.
#[track_caller]
pub fn eventually<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = found() {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("not within {PATIENCE:?}");
}

/// How long a test waits: far more than a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);
