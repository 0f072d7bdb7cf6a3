use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers `GetObject`, whatever the bucket and the key: by one object.
pub struct ObjectServer {
    pub address: SocketAddr,
    object: Arc<Mutex<Vec<u8>>>,
}

impl ObjectServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let object = Arc::<Mutex<Vec<u8>>>::default();
        let of_thread = Arc::clone(&object);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let object = of_thread.lock().unwrap().clone();
                // What breaks off shows in a function that does not start.
                thread::spawn(move || serve(connection?, &object));
            }
        });
        Self { address, object }
    }

    /// From now on this file is the object.
    pub fn put(&self, path: &Path) {
        *self.object.lock().unwrap() = fs::read(path).unwrap();
    }
}

fn serve(connection: TcpStream, object: &[u8]) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line)? > 0 {
        // Of a request only its end matters.
        if line == "\r\n" {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: \"1\"\r\n\
                 Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
                object.len()
            );
            connection.get_mut().write_all(&[head.as_bytes(), object].concat())?;
        }
        line.clear();
    }
    Ok(())
}
