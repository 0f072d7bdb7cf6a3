//! A policy store: its files, what they mean, and changes.

pub mod files;
pub mod index;
pub mod layout;
pub mod links;
pub mod notes;
pub mod schema;
pub mod scope;
pub mod settings;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use cedar_authorizer::bundle::with_room;

use super::error::{ResourceKind, ServiceError};
use super::snapshot::Snapshot;
use super::storage;
use crate::locks;
use crate::output::{WARNING, paint, printable, warn};
use files::{Files, Stamp, Stamps, Step};
use index::{Index, StoredIdentitySource, StoredPolicy, StoredTemplate};
use notes::{STORE_NOTE, StoreNote};

/// A policy store that is served.
#[derive(Debug)]
pub struct Store {
    /// Its id in AVP.
    pub id: String,
    /// Its folder. `None`: it is only in memory.
    pub folder: Option<PathBuf>,
    writes: Writes,
    /// Held for moments only, never while the disk is at work.
    state: RwLock<State>,
    /// Whoever changes the store, or reads its folder again, holds this.
    desk: Mutex<Desk>,
}

/// Where changes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    ToDisk,
    ToMemory,
}

/// A store as it is now.
#[derive(Debug, Default)]
struct State {
    files: Files,
    index: Index,
    snapshot: OnceLock<Result<Arc<Snapshot>, String>>,
    /// What is wrong with the files in the folder, if they became invalid. Then the last valid state goes on.
    mistakes: Vec<String>,
}

/// What is known of the folder.
#[derive(Debug, Default)]
struct Desk {
    stamps: Stamps,
    files: Files,
    /// When the folder may be looked at again.
    rests_until: Option<Instant>,
}

/// A change of a store.
#[derive(Debug, Default)]
pub struct Change {
    /// The files, in this order.
    pub steps: Vec<Step>,
    /// What it means for the index.
    pub update: Update,
}

/// What a change means for the index.
#[derive(Debug, Default)]
pub enum Update {
    IdentitySource(StoredIdentitySource),
    NoIdentitySource(String),
    NoPolicy(String),
    Note(StoreNote),
    Policy(StoredPolicy),
    /// All files have to be read again.
    #[default]
    Reread,
    Template(Box<StoredTemplate>),
}

impl Store {
    /// Reads a store from its folder.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn open(
        folder: &Path,
        writes: Writes,
        id: impl FnOnce(&Index) -> String,
    ) -> Result<Self, Vec<String>> {
        let stamps = files::stamps(folder);
        let files = files::read(folder).map_err(|error| vec![error.to_string()])?;
        let index = read(&files, &Index::default())?;
        Ok(Self {
            id: id(&index),
            folder: Some(folder.to_owned()),
            writes,
            desk: Mutex::new(Desk { stamps, files: files.clone(), rests_until: None }),
            state: RwLock::new(State { files, index, ..State::default() }),
        })
    }

    /// A store with these files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(
        id: String,
        folder: Option<PathBuf>,
        files: Files,
        writes: Writes,
    ) -> Result<Self, Vec<String>> {
        let index = read(&files, &Index::default())?;
        let stamps = folder.as_deref().map(files::stamps).unwrap_or_default();
        let desk = Desk { stamps, files: files.clone(), rests_until: None };
        let state = RwLock::new(State { files, index, ..State::default() });
        Ok(Self { id, folder, writes, desk: Mutex::new(desk), state })
    }

    /// Asks the store as it is now.
    pub fn read<T>(&self, ask: impl FnOnce(&Index) -> T) -> T {
        self.look();
        self.read_known(ask)
    }

    /// Asks the store as it was when its folder was last looked at.
    pub fn read_known<T>(&self, ask: impl FnOnce(&Index) -> T) -> T {
        ask(&locks::read(&self.state).index)
    }

    /// The store as it is now, for decisions.
    ///
    /// # Errors
    /// Its policies do not go together.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, ServiceError> {
        self.look();
        let state = locks::read(&self.state);
        let made = state.snapshot.get_or_init(|| {
            let policies = with_room(|| state.index.policy_set()).map_err(|error| error.to_string())??;
            Ok(Arc::new(Snapshot::new(files::without_notes(&state.files), policies)))
        });
        made.clone().map_err(ServiceError::internal)
    }

    /// Changes the store. `work` says how, and what the client is told; changes come one after the other.
    ///
    /// # Errors
    /// Those of `work`, or the change could not be written. Then nothing has changed.
    pub fn change<T>(
        &self,
        work: impl FnOnce(&Index, &Files) -> Result<(Option<Change>, T), ServiceError>,
    ) -> Result<T, ServiceError> {
        let mut desk = locks::lock(&self.desk);
        self.look_at(&mut desk);
        // Only who holds the desk writes to the state, so it stays as it is.
        let state = locks::read(&self.state);
        if let Some(mistake) = state.mistakes.first() {
            let message = format!("the files of the policy store were changed and are invalid: {mistake}");
            let resources = vec![ResourceKind::PolicyStore.named(&self.id)];
            return Err(ServiceError::Conflict { message, resources });
        }
        let (change, answer) = work(&state.index, &state.files)?;
        let Some(Change { steps, update }) = change else {
            return Ok(answer);
        };
        // What cannot be read again must not get onto the disk.
        let reread = if let Update::Reread = update {
            let mut files = state.files.clone();
            files::apply(&mut files, steps.clone(), SystemTime::now());
            let index =
                read(&files, &state.index).map_err(|mistakes| ServiceError::internal(mistakes.join("; ")))?;
            Some((files, index))
        } else {
            None
        };
        drop(state);
        if let (Some(folder), Writes::ToDisk) = (&self.folder, self.writes) {
            if !folder.is_dir() {
                return Err(ServiceError::NotFound(ResourceKind::PolicyStore.named(&self.id)));
            }
            if !desk.is_current(folder, &steps) {
                // Somebody has changed one of these files since the last look. It must not be overwritten.
                desk.rests_until = None;
                let message = "somebody has just changed the files of the policy store: try again".to_owned();
                let resources = vec![ResourceKind::PolicyStore.named(&self.id)];
                return Err(ServiceError::Conflict { message, resources });
            }
            storage::commit(folder, &steps).map_err(|error| {
                ServiceError::internal(format_args!("the change could not be written: {error}"))
            })?;
        }
        let paths: Vec<String> = steps.iter().map(|(path, _)| path.clone()).collect();
        let mut state = locks::write(&self.state);
        match reread {
            Some((files, index)) => (state.files, state.index) = (files, index),
            None => {
                files::apply(&mut state.files, steps, SystemTime::now());
                state.index.update(update);
            }
        }
        state.snapshot = OnceLock::new();
        if self.writes == Writes::ToDisk {
            let files =
                paths.iter().map(|path| (path.clone(), state.files.get(path).cloned())).collect::<Vec<_>>();
            drop(state);
            desk.has_written(self.folder.as_deref(), files);
        }
        Ok(answer)
    }

    /// Looks whether people have changed files, unless somebody is at it, or has just been.
    fn look(&self) {
        match self.desk.try_lock() {
            Ok(mut desk) => self.look_at(&mut desk),
            Err(TryLockError::Poisoned(desk)) => self.look_at(&mut desk.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    fn look_at(&self, desk: &mut MutexGuard<'_, Desk>) {
        let Some(folder) = &self.folder else { return };
        let started = Instant::now();
        if desk.rests_until.is_some_and(|until| started < until) || !folder.is_dir() {
            return;
        }
        let stamps = files::stamps(folder);
        desk.rests_until = Some(rest(started));
        if stamps != desk.stamps {
            desk.stamps = stamps;
            self.read_again(desk, folder);
        }
    }

    /// Reads the folder after a change by somebody else.
    fn read_again(&self, desk: &mut Desk, folder: &Path) {
        let found = files::read(folder).map_err(|error| vec![error.to_string()]);
        let read = found.and_then(|mut found| {
            // A file with the same content keeps its memory, so that it is not parsed again.
            for (path, file) in &mut found {
                if let Some(known) = desk.files.get(path).filter(|known| known.bytes == file.bytes) {
                    file.bytes = Arc::clone(&known.bytes);
                }
            }
            let state = locks::read(&self.state);
            let files = match self.writes {
                Writes::ToDisk => found.clone(),
                Writes::ToMemory => merged(&state.files, &desk.files, &found),
            };
            let index = read(&files, &state.index)?;
            desk.files = found;
            Ok((files, index))
        });
        let mut state = locks::write(&self.state);
        match read {
            Ok((files, index)) => {
                *state = State { files, index, ..State::default() };
            }
            Err(mistakes) => {
                if mistakes != state.mistakes {
                    warn_of(folder, &mistakes, "the last valid state is served");
                }
                state.mistakes = mistakes;
            }
        }
    }
}

impl Desk {
    /// Whether files are as they were when the folder was last looked at.
    fn is_current(&self, folder: &Path, steps: &[Step]) -> bool {
        let now = |path: &String| Stamp::of_file(&folder.join(path)).ok();
        steps.iter().all(|(path, _)| now(path) == self.stamps.get(path).copied())
    }

    /// Takes note of what this process wrote, so that it is not taken for a change by somebody else.
    fn has_written(&mut self, folder: Option<&Path>, files: Vec<(String, Option<files::StoredFile>)>) {
        for (path, file) in files {
            match folder.and_then(|folder| Stamp::of_file(&folder.join(&path)).ok()) {
                Some(stamp) => self.stamps.insert(path.clone(), stamp),
                None => self.stamps.remove(&path),
            };
            match file {
                Some(file) => self.files.insert(path, file),
                None => self.files.remove(&path),
            };
        }
    }
}

impl Index {
    fn update(&mut self, update: Update) {
        match update {
            Update::IdentitySource(source) => self.put_identity_source(source),
            Update::NoIdentitySource(id) => self.remove_identity_source(&id),
            Update::NoPolicy(id) => self.remove_policy(&id),
            Update::Note(note) => self.note = note,
            Update::Policy(policy) => self.put_policy(policy),
            Update::Reread => {}
            Update::Template(template) => self.put_template(*template),
        }
    }
}

/// Prints what is wrong with a folder.
pub fn warn_of(folder: &Path, mistakes: &[String], consequence: &str) {
    for mistake in mistakes {
        let path = folder.display().to_string();
        warn(&format_args!("{}: {}/{}", paint(WARNING, "warning"), printable(&path), printable(mistake)));
    }
    warn(&format_args!("  {consequence}"));
}

/// When to look again after a look: at most a twentieth of the time is spent on looking.
pub fn rest(started: Instant) -> Instant {
    let spent = started.elapsed();
    started + spent + spent.saturating_mul(19).max(Duration::from_millis(1))
}

fn read(files: &Files, previous: &Index) -> Result<Index, Vec<String>> {
    let read = with_room(|| Index::read(files, previous)).map_err(|error| vec![error.to_string()])?;
    let mut index = read?;
    // People made this folder, and perhaps keep more in it than AVP knows of. So that no client removes it by mistake,
    // it is protected until a client says otherwise.
    if !files.contains_key(STORE_NOTE) {
        index.note.deletion_protection = true;
    }
    Ok(index)
}

/// The files in memory with what has changed on disk.
fn merged(files: &Files, before: &Files, now: &Files) -> Files {
    let mut merged = files.clone();
    for (path, file) in now {
        if before.get(path).is_none_or(|known| known.bytes != file.bytes) {
            merged.insert(path.clone(), file.clone());
        }
    }
    for path in before.keys().filter(|path| !now.contains_key(*path)) {
        merged.remove(path);
    }
    merged
}
