use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::counts::Connection;

/// How far away something is.
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    pub round_trip: Duration,
    /// The most that goes down in a second.
    pub bytes_a_second: f64,
}

/// The far end of a connection: what arrives waits half a round trip, and so does what is sent, which also leaves at a
/// limited speed. It waits by sleeping, since the client may have the same CPU.
pub struct Line {
    up: Receiver<Piece>,
    /// What has come, but was not read.
    rest: VecDeque<u8>,
    ready: Instant,
    half: Duration,
    arrived: SystemTime,
    down: SyncSender<Piece>,
}

/// Bytes, and when they were put on the line.
struct Piece {
    at: Instant,
    bytes: Vec<u8>,
}

impl Line {
    /// A line over this connection. What comes earlier than `ready` waits until then.
    pub fn new(
        connection: TcpStream,
        ready: Instant,
        distance: Distance,
        count: Arc<Connection>,
    ) -> io::Result<Self> {
        let (into_up, up) = channel();
        let (down, out_of_down) = sync_channel(IN_FLIGHT);
        let (reading, of_reading) = (connection.try_clone()?, Arc::clone(&count));
        thread::spawn(move || read_all(reading, &into_up, &of_reading));
        thread::spawn(move || write_all(connection, &out_of_down, distance, &count));
        let half = distance.round_trip / 2;
        Ok(Self { up, rest: VecDeque::new(), ready, half, arrived: SystemTime::now(), down })
    }

    /// When the client sent what was read last.
    pub fn arrived(&self) -> SystemTime {
        self.arrived
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            // None: the client has closed.
            let Ok(Piece { at, bytes }) = self.up.recv() else {
                return Ok(0);
            };
            self.arrived = SystemTime::now() - at.elapsed();
            sleep_until(at.max(self.ready) + self.half);
            self.rest = bytes.into();
        }
        self.rest.read(buffer)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Piece { at: Instant::now(), bytes: bytes.to_vec() };
        self.down.send(piece).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_all(mut connection: TcpStream, up: &Sender<Piece>, count: &Connection) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = connection.read(&mut buffer) {
        count.received(length);
        let bytes = buffer.iter().take(length).copied().collect();
        if up.send(Piece { at: Instant::now(), bytes }).is_err() {
            return;
        }
    }
}

fn write_all(mut connection: TcpStream, down: &Receiver<Piece>, distance: Distance, count: &Connection) {
    // Until when the line is taken.
    let mut taken = Instant::now();
    while let Ok(Piece { at, bytes }) = down.recv() {
        let start = taken.max(at + distance.round_trip / 2);
        taken = start + Duration::from_secs_f64(bytes.len() as f64 / distance.bytes_a_second);
        sleep_until(taken);
        let begun = Instant::now();
        if connection.write_all(&bytes).is_err() {
            return;
        }
        count.sent(bytes.len());
        // The client did not read: what it missed is not made up for.
        if begun.elapsed() > STALLED {
            taken = taken.max(Instant::now());
        }
    }
    // The client may be gone.
    let _ = connection.shutdown(Shutdown::Write);
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// The pieces on the way, each a TLS record of 16 KiB: 2 MB, a little more than 80 MB/s bring in a round trip of 15 ms.
const IN_FLIGHT: usize = 128;

/// Writing to a socket that has room takes far less.
const STALLED: Duration = Duration::from_millis(2);
