use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

/// A request of HTTP/1.1.
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    /// Names are in lower case.
    headers: Vec<(String, String)>,
}

/// An answer.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content: Arc<Vec<u8>>,
    /// The part of the content that is the body.
    pub range: Range<usize>,
}

impl Request {
    /// `None`: the connection was closed.
    fn read(connection: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        let mut headers = Vec::new();
        loop {
            line.clear();
            connection.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let request = Self { method, path, query, headers };
        // No request here has a use for its body.
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        io::copy(&mut connection.take(length), &mut io::sink())?;
        Ok(Some(request))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(found, value)| (found == name).then_some(value.as_str()))
    }
}

impl Response {
    pub fn new(status: u16, content: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), range: 0..content.len(), content: Arc::new(content) }
    }

    pub fn empty(status: u16) -> Self {
        Self::new(status, Vec::new())
    }

    pub fn json(value: &Value) -> Self {
        Self::new(200, value.to_string().into_bytes()).with("Content-Type", "application/json")
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(&self) -> &[u8] {
        self.content.get(self.range.clone()).unwrap_or_default()
    }

    fn write(&self, request: &Request, connection: &mut impl Write) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        // A 304 has no body, so a length would be that of another answer.
        if self.status != 304 {
            head += &format!("Content-Length: {}\r\n", self.body().len());
        }
        let mut first = head.into_bytes();
        first.extend_from_slice(b"\r\n");
        let body = if request.method == "HEAD" { &[] } else { self.body() };
        // What is small goes in one piece.
        let (with_head, rest) = body.split_at(body.len().min(FIRST));
        first.extend_from_slice(with_head);
        connection.write_all(&first)?;
        connection.write_all(rest)?;
        connection.flush()
    }
}

/// Answers the requests of a connection, one after the other. `asked` hears of each before it is answered.
pub fn serve<S: Read + Write>(
    mut stream: BufReader<S>,
    answer: &dyn Fn(&Request) -> Response,
    asked: &dyn Fn(&BufReader<S>, &Request, &Response),
) -> io::Result<()> {
    while let Some(request) = Request::read(&mut stream)? {
        let response = answer(&request);
        asked(&stream, &request, &response);
        response.write(&request, stream.get_mut())?;
    }
    Ok(())
}

/// Reads the request for a tunnel (RFC 9110 9.3.6).
pub fn accept_tunnel(connection: &TcpStream) -> io::Result<()> {
    // The client says nothing more before it has its answer, so nothing is lost in the buffer.
    match Request::read(&mut BufReader::new(connection))? {
        Some(request) if request.method == "CONNECT" => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

pub fn open_tunnel(mut connection: &TcpStream) -> io::Result<()> {
    connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n")
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        412 => "Precondition Failed",
        416 => "Requested Range Not Satisfiable",
        _ => "Not Implemented",
    }
}

/// With the head less than a TLS record has.
const FIRST: usize = 15 * 1024;
