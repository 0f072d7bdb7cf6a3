//! Progress: what takes its time, on a terminal. Nothing is drawn where stderr is none.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Does some work, and shows what is done if the program takes longer than a second.
pub fn during<T>(what: impl Into<String>, work: impl FnOnce() -> T) -> T {
    let _shown = io::stderr().is_terminal().then(|| Shown::after(patience(), what.into())).flatten();
    work()
}

/// What is shown until it is dropped.
struct Shown {
    bar: ProgressBar,
    /// Dropped first, so that nothing appears any more.
    done: Option<Sender<()>>,
    waiting: Option<JoinHandle<()>>,
}

impl Shown {
    /// `None`: the system has no thread for it.
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
        // A panic there would be of no concern here.
        let _ = self.waiting.take().map(JoinHandle::join);
        self.bar.finish_and_clear();
    }
}

/// For how long nothing is shown: a second after the first work began, and then as long as nobody sees it flicker.
fn patience() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    Duration::from_secs(1).saturating_sub(BEGUN.get_or_init(Instant::now).elapsed()).max(TICK)
}

const TICK: Duration = Duration::from_millis(100);
