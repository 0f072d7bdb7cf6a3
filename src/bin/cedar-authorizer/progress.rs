//! Progress: shows slow work on a terminal. If stderr is not a terminal, nothing is drawn.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::plural;

/// Does some work. Shows what it is once the program has run for a second.
pub fn during<T>(what: impl Into<String>, work: impl FnOnce() -> T) -> T {
    let is_shown = io::stderr().is_terminal() && !SILENT.load(Ordering::Relaxed);
    let _shown = is_shown.then(|| Shown::after(patience(), what.into())).flatten();
    work()
}

/// Does some work on many things. Shows what it is, how many there were, and how many in a second.
pub fn counting<T>(what: &str, noun: &str, work: impl FnOnce(&Counter) -> T) -> T {
    let is_shown = io::stderr().is_terminal() && !SILENT.load(Ordering::Relaxed);
    let shown = is_shown.then(|| Shown::after(patience(), what.to_owned())).flatten();
    let bar = shown.as_ref().map(|shown| shown.bar.clone());
    let (what, noun) = (what.to_owned(), noun.to_owned());
    work(&Counter { bar, what, noun, begun: Instant::now(), count: AtomicUsize::new(0) })
}

/// How many things were worked on.
#[derive(Debug)]
pub struct Counter {
    /// `None`: nothing is shown.
    bar: Option<ProgressBar>,
    what: String,
    noun: String,
    begun: Instant,
    count: AtomicUsize,
}

impl Counter {
    /// So many more.
    pub fn add(&self, more: usize) {
        let count = self.count.fetch_add(more, Ordering::Relaxed) + more;
        let Some(bar) = &self.bar else { return };
        let milliseconds = self.begun.elapsed().as_millis().max(1);
        let in_a_second = count as u128 * 1000 / milliseconds;
        bar.set_message(format!("{}: {}, {in_a_second}/s", self.what, plural(count, &self.noun)));
    }
}

/// Shows nothing from now on: a server works for others than whoever looks at its terminal.
pub fn silence() {
    SILENT.store(true, Ordering::Relaxed);
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

static SILENT: AtomicBool = AtomicBool::new(false);

const TICK: Duration = Duration::from_millis(100);
