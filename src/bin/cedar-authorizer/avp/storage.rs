//! Changes on disk. What is acknowledged is there after a crash, and a change is there as a whole or not at all.
//!
//! A file is written beside its place, synchronized, and renamed. A change of several files that must go together is
//! written as a whole to a journal first. If the process ends before all files are in place, whoever reads the store
//! next does what the journal says.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::store::files::{JOURNAL, Step, journal, journal_steps};
use super::store::notes::NOTES_FOLDER;
use crate::output::Failure;

/// The right to write to a folder with stores. Only one process has it.
#[derive(Debug)]
pub struct WriteLock {
    /// The lock is given back when the file is closed, however the process ends.
    _file: File,
}

impl WriteLock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// Another process has it.
    pub fn take(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| {
            Failure::could_not_run(format_args!("cannot write to `{}`: {error}", path.display()))
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                let message = format!("another process writes to `{}`", folder.display());
                Err(Failure::could_not_run(message).hint("stop it, or start this one without --write"))
            }
            Err(TryLockError::Error(error)) => {
                Err(Failure::could_not_run(format_args!("cannot lock `{}`: {error}", path.display())))
            }
        }
    }
}

/// Makes a change in the folder of a store. When this returns, it is on the disk.
///
/// # Errors
/// The change has not been made.
pub fn commit(folder: &Path, steps: &[Step]) -> io::Result<()> {
    finish(folder)?;
    if is_whole(folder, steps) {
        return steps.iter().try_for_each(|(path, content)| make(folder, path, content.as_deref()));
    }
    make(folder, JOURNAL, Some(&journal(steps)))?;
    // From here on the change counts. If it cannot be finished now, it will be later.
    let _ = finish(folder);
    Ok(())
}

/// Finishes a change that was interrupted.
///
/// # Errors
/// It cannot be finished now. Readers see it nevertheless.
pub fn finish(folder: &Path) -> io::Result<()> {
    let Some(steps) = fs::read(folder.join(JOURNAL)).ok().and_then(|journal| journal_steps(&journal)) else {
        return Ok(());
    };
    steps.iter().try_for_each(|(path, content)| make(folder, path, content.as_deref()))?;
    make(folder, JOURNAL, None)
}

/// Whether steps need no journal: one of them is the change, and all others are notes that mean nothing without it.
fn is_whole(folder: &Path, steps: &[Step]) -> bool {
    let is_note = |path: &str| path.split('/').next() == Some(NOTES_FOLDER);
    let Some(change) = steps.iter().position(|(path, _)| !is_note(path)) else {
        return steps.len() <= 1;
    };
    steps.iter().enumerate().all(|(number, (path, content))| {
        number == change
            || is_note(path) && number < change && content.is_some() && !folder.join(path).exists()
            || is_note(path) && number > change && content.is_none()
    })
}

/// Writes or removes one file.
fn make(folder: &Path, path: &str, content: Option<&[u8]>) -> io::Result<()> {
    let path = folder.join(path);
    let parent = path.parent().unwrap_or(folder);
    check_inside(folder, parent)?;
    match content {
        Some(content) => {
            make_folder(parent)?;
            let new = parent.join(NEW);
            let mut file = File::create(&new)?;
            let written = file.write_all(content).and_then(|()| file.sync_all());
            drop(file);
            if let Err(error) = written.and_then(|()| fs::rename(&new, &path)) {
                let _ = fs::remove_file(&new);
                return Err(error);
            }
        }
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    sync_folder(parent)
}

/// Refuses a folder that links lead out of the store. A store may come from anybody.
fn check_inside(folder: &Path, parent: &Path) -> io::Result<()> {
    let existing = parent.ancestors().find_map(|above| above.canonicalize().ok());
    if existing.is_some_and(|existing| folder.canonicalize().is_ok_and(|folder| existing.starts_with(folder)))
    {
        return Ok(());
    }
    Err(io::Error::other(format!("`{}` leads out of the folder of the policy store", parent.display())))
}

/// Makes a folder, and those above it.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_folder(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    above.map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder last.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) && folder.is_dir() { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Makes a new store. Its folder appears as a whole.
///
/// # Errors
/// There is no new store.
pub fn make_store(data: &Path, name: &str, steps: &[Step]) -> io::Result<PathBuf> {
    let folder = data.join(name);
    let new = data.join(format!("{NEW_STORE}{name}"));
    remove_folder(&new)?;
    make_folder(&new)?;
    let made = steps.iter().try_for_each(|(path, content)| make(&new, path, content.as_deref()));
    if let Err(error) = made.and_then(|()| fs::rename(&new, &folder)) {
        let _ = remove_folder(&new);
        return Err(error);
    }
    sync_folder(data)?;
    Ok(folder)
}

/// Removes a store. Its folder disappears as a whole.
///
/// # Errors
/// The store is still there.
pub fn remove_store(data: &Path, folder: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let removed = data.join(format!("{REMOVED_STORE}{name}"));
    remove_folder(&removed)?;
    fs::rename(folder, &removed)?;
    sync_folder(data)?;
    // What is left of it is removed at the next start.
    let _ = remove_folder(&removed);
    Ok(())
}

/// Completes what was interrupted in a folder with stores. Needs the lock.
///
/// # Errors
/// Something cannot be completed.
pub fn tidy(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(NEW_STORE) || name.starts_with(REMOVED_STORE) {
            remove_folder(&entry.path())?;
        } else if entry.path().is_dir() {
            finish(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file that a process locks which writes.
const LOCK: &str = ".avp.lock";

/// A file that is being written. Names with a dot are in no store, and only one process writes.
const NEW: &str = ".avp-new";

/// A store that is being made.
const NEW_STORE: &str = ".avp-new-";

/// A store that is being removed.
const REMOVED_STORE: &str = ".avp-removed-";
