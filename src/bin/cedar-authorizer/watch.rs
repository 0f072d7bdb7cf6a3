//! Waits for files to change. Runs a verb again whenever they do, until Ctrl-C ends the program as it ends any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use dialoguer::console::Term;
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};

use crate::output::{Exit, Failure, HINT, paint, warn};

/// Runs something at once, and again after each change of the given files and of the files in the given folders. `named`
/// are further files that those name now. A failure of one run is reported, and the next change tries again.
///
/// On a terminal, the screen is cleared before each further run.
pub fn watch(
    given: &[PathBuf],
    named: impl Fn() -> Vec<PathBuf>,
    mut run: impl FnMut() -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let mut watching = Watching::new(given)?;
    loop {
        // Watched before they are read: no change in between is missed.
        watching.follow(&named())?;
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
    watcher: RecommendedWatcher,
    given: Vec<PathBuf>,
    watched: Vec<Watched>,
    /// The folders that the watcher knows, each with whether it also watches those below. One too many does no harm.
    folders: BTreeMap<PathBuf, bool>,
}

impl Watching {
    /// Watches these files, and the files in these folders.
    ///
    /// # Errors
    /// One does not exist, or cannot be watched.
    pub fn new(given: &[PathBuf]) -> Result<Self, Failure> {
        if let Some(missing) = given.iter().find(|path| !path.exists()) {
            let error = notify::Error::path_not_found().add_path(missing.clone());
            return Err(cannot_watch(error));
        }
        let (sender, events) = channel();
        // If nobody listens any more, the program is about to end.
        let watcher = recommended_watcher(move |event| drop(sender.send(event))).map_err(cannot_watch)?;
        let (given, folders) = (given.to_vec(), BTreeMap::new());
        let mut watching = Self { events, watcher, given, watched: Vec::new(), folders };
        watching.follow(&[])?;
        Ok(watching)
    }

    /// Watches these too, instead of those that it was told of before. They need not exist yet.
    ///
    /// # Errors
    /// One cannot be watched.
    pub fn follow(&mut self, named: &[PathBuf]) -> Result<(), Failure> {
        self.watched = self.given.iter().chain(named).map(|path| Watched::new(path)).collect();
        let mut wanted = BTreeMap::<PathBuf, bool>::new();
        for Watched { folder, file } in &self.watched {
            *wanted.entry(folder.clone()).or_default() |= file.is_none();
        }
        let is_covered = |folder: &Path| {
            let mut deep = wanted.iter().filter(|(_, is_deep)| **is_deep);
            deep.any(|(deep, _)| deep != folder && folder.starts_with(deep))
        };
        for (folder, is_deep) in wanted.iter().filter(|(folder, _)| !is_covered(folder)) {
            match self.watch_folder(folder, *is_deep) {
                Err(error) if folder.is_dir() => return Err(cannot_watch(error)),
                Ok(()) | Err(_) => {}
            }
            // It may go, and come again: `git checkout` does that. The folder above it tells, and only then it has to.
            let above = folder.ancestors().skip(1).find(|above| above.is_dir());
            if let Some(above) = above.filter(|above| !wanted.contains_key(*above) && !is_covered(above)) {
                match self.watch_folder(above, false) {
                    Err(error) if !folder.is_dir() => return Err(cannot_watch(error)),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn watch_folder(&mut self, folder: &Path, is_deep: bool) -> notify::Result<()> {
        if self.folders.get(folder).is_some_and(|known| *known || !is_deep) {
            return Ok(());
        }
        let mode = if is_deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        self.watcher.watch(folder, mode)?;
        self.folders.insert(folder.to_owned(), is_deep);
        Ok(())
    }

    /// Waits for a change.
    pub fn wait(&mut self) -> Result<(), Failure> {
        loop {
            let event = self.events.recv().map_err(|_| ended())?;
            if self.is_change(&event.map_err(cannot_watch)?) {
                return Ok(());
            }
        }
    }

    /// Waits until no more changes follow: an editor or `git checkout` writes several files.
    pub fn settle(&mut self) -> Result<Settled, Failure> {
        let begun = Instant::now();
        let mut last = begun;
        loop {
            // Whoever reads the files, or changes others beside them, keeps nobody waiting.
            let Some(rest) = PAUSE.checked_sub(last.elapsed()).filter(|rest| !rest.is_zero()) else {
                return Ok(Settled::Quiet);
            };
            if begun.elapsed() >= LONGEST_PAUSE {
                return Ok(Settled::StillChanging);
            }
            match self.events.recv_timeout(rest) {
                Ok(event) => {
                    if self.is_change(&event.map_err(cannot_watch)?) {
                        last = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
    }

    fn is_change(&mut self, event: &Event) -> bool {
        let moves = matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        if moves {
            // A folder that comes again is another one, and nobody watches it yet.
            self.folders.retain(|folder, _| !event.paths.contains(folder));
        }
        let of_interest = |path: &PathBuf| {
            self.watched.iter().any(|watched| watched.is_changed_by(path) || (moves && watched.is_in(path)))
        };
        !event.kind.is_access() && (event.need_rescan() || event.paths.iter().any(of_interest))
    }
}

/// How waiting for the end of changes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing changed for a while.
    Quiet,
    /// The files change all the time.
    StillChanging,
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
        let path = absolute(path);
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

    /// Whether it is in this folder, or is this folder.
    fn is_in(&self, folder: &Path) -> bool {
        self.folder.starts_with(folder)
    }
}

/// The path from the root, with links resolved as far as it exists.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let resolved = path.ancestors().find_map(|known| Some((known, known.canonicalize().ok()?)));
    match resolved {
        Some((known, resolved)) if known == path => resolved,
        Some((known, resolved)) => path.strip_prefix(known).map_or(path.clone(), |rest| resolved.join(rest)),
        None => path,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// Somebody writes a file beside the one that is watched, all the time, and reads that.
    #[test]
    fn what_happens_beside_the_files_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let (file, noise) = (folder.path().join("a.yaml"), folder.path().join("b.log"));
        fs::write(&file, "").unwrap();
        let mut watching = Watching::new(std::slice::from_ref(&file)).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    fs::write(&noise, "x").unwrap();
                    fs::read(&file).unwrap();
                    thread::sleep(Duration::from_millis(20));
                }
            });
            fs::write(&file, "changed").unwrap();
            watching.wait().unwrap();
            let settled = watching.settle().unwrap();
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(settled, Settled::Quiet);
        });
    }
}
