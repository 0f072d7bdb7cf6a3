//! Waits for files to change. Runs a verb again whenever they do, until Ctrl-C ends the program as it ends any other.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use dialoguer::console::Term;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};

use crate::output::{Exit, Failure, HINT, paint, warn};

/// Runs something at once, and again after each change of these files and of the files in these folders. A failure
/// of one run is reported, and the next change tries again.
///
/// On a terminal, the screen is cleared before each further run.
pub fn watch(paths: &[PathBuf], mut run: impl FnMut() -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    let watching = Watching::new(paths)?;
    loop {
        run().unwrap_or_else(Failure::report);
        warn(&paint(HINT, "waiting for a change; Ctrl-C ends"));
        watching.wait()?;
        watching.settle()?;
        let term = Term::stdout();
        if term.is_term() {
            term.clear_screen().map_err(Failure::could_not_run)?;
        }
    }
}

/// Files and folders whose changes are noticed from now on.
pub struct Watching {
    events: Receiver<notify::Result<Event>>,
    watched: Vec<Watched>,
    /// Sends the events as long as it is there.
    _watcher: RecommendedWatcher,
}

impl Watching {
    /// Watches these files, and the files in these folders.
    pub fn new(paths: &[PathBuf]) -> Result<Self, Failure> {
        let (sender, events) = channel();
        // If nobody listens any more, the program is about to end.
        let mut watcher = recommended_watcher(move |event| drop(sender.send(event))).map_err(cannot_watch)?;
        let watched: Vec<Watched> = paths.iter().map(|path| Watched::new(path)).collect();
        for Watched { folder, file } in &watched {
            let mode = if file.is_some() { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
            watcher.watch(folder, mode).map_err(cannot_watch)?;
        }
        Ok(Self { events, watched, _watcher: watcher })
    }

    /// Waits for a change.
    pub fn wait(&self) -> Result<(), Failure> {
        let is_change = |event: &Event| {
            let of_interest = |path: &PathBuf| self.watched.iter().any(|watched| watched.is_changed_by(path));
            !event.kind.is_access() && (event.need_rescan() || event.paths.iter().any(of_interest))
        };
        loop {
            if is_change(&self.events.recv().map_err(|_| ended())?.map_err(cannot_watch)?) {
                return Ok(());
            }
        }
    }

    /// Waits until no more changes follow: an editor or `git checkout` writes several files.
    pub fn settle(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_PAUSE {
            match self.events.recv_timeout(PAUSE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
        Ok(())
    }
}

/// A folder with all that is in it, or one file of a folder.
struct Watched {
    folder: PathBuf,
    /// Many editors replace a file, so its folder is watched for it.
    file: Option<PathBuf>,
}

impl Watched {
    fn new(path: &Path) -> Self {
        // Events have absolute paths.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match path.parent() {
            Some(folder) if !path.is_dir() => Self { folder: folder.to_owned(), file: Some(path) },
            _ => Self { folder: path, file: None },
        }
    }

    fn is_changed_by(&self, path: &Path) -> bool {
        match &self.file {
            Some(file) => path == file,
            // Editors write hidden files beside those that they edit. Nothing reads hidden files.
            None => path.strip_prefix(&self.folder).is_ok_and(|below| {
                !below.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
            }),
        }
    }
}

fn ended() -> Failure {
    Failure::could_not_run("the files are no longer watched")
}

fn cannot_watch(error: notify::Error) -> Failure {
    let paths: Vec<String> = error.paths.iter().map(|path| format!("`{}`", path.display())).collect();
    let what = if paths.is_empty() { "the files".to_owned() } else { paths.join(", ") };
    Failure::could_not_run(format_args!(
        "cannot watch {what}: {}",
        notify::Error { paths: Vec::new(), ..error }
    ))
}

/// Changes that follow each other faster than this are one change.
const PAUSE: Duration = Duration::from_millis(150);

/// Files that change all the time are still checked.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
