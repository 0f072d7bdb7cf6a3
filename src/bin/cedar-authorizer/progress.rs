//! Progress: shows slow work on a terminal. If stderr is not a terminal, nothing is drawn.

use std::env;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Does some work. Shows what it is once the program has run for a second.
pub fn during<T>(what: impl Into<String>, work: impl FnOnce() -> T) -> T {
    let _shown = can_draw().then(|| Shown::after(patience(), what.into())).flatten();
    work()
}

/// Whether stderr is a terminal that can draw a line again. One that calls itself dumb cannot.
pub fn can_draw() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// A message that is shown until this is dropped.
struct Shown {
    bar: ProgressBar,
    /// Dropped first, so that nothing is drawn afterwards.
    done: Option<Sender<()>>,
    waiting: Option<JoinHandle<()>>,
}

impl Shown {
    /// `None`: the system could not start a thread for it.
    fn after(patience: Duration, what: String) -> Option<Self> {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        let (done, is_done) = channel();
        let drawn = bar.clone();
        let wait = move || {
            if is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                drawn.set_draw_target(ProgressDrawTarget::stderr());
                drawn.enable_steady_tick(TICK);
            }
        };
        let waiting = thread::Builder::new().spawn(wait).ok()?;
        Some(Self { bar, done: Some(done), waiting: Some(waiting) })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.done.take());
        // A panic in that thread does not matter here.
        let _ = self.waiting.take().map(JoinHandle::join);
        self.bar.finish_and_clear();
    }
}

/// How long to show nothing: until a second after the first work began, and then just long enough not to flicker.
fn patience() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    Duration::from_secs(1).saturating_sub(BEGUN.get_or_init(Instant::now).elapsed()).max(TICK)
}

const TICK: Duration = Duration::from_millis(100);
