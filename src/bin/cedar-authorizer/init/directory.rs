//! The directory of a new store: made beside its place, and then renamed. It is there as a whole, or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::plan::unused;
use crate::output::Failure;

/// A place for a new store.
pub struct Place {
    /// The directory. If the one that was named is a link, it is what the link leads to.
    target: PathBuf,
    parent: PathBuf,
    occupied: Occupied,
}

/// What is in the place already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occupied {
    /// Nothing.
    No,
    /// A directory without anything in it.
    Empty,
    /// A policy store, to be kept under another name.
    Store,
}

impl Place {
    /// Looks whether a store may be made here. Nothing is overwritten: with `force`, a store that is there gets
    /// another name. `hint`: what to do if there is one.
    pub fn check(target: &Path, force: bool, hint: &str) -> Result<Self, Failure> {
        let name = target.display();
        if target.file_name().is_none() {
            let failure = Failure::could_not_run(format_args!("`{name}` is no name for a new directory"));
            return Err(failure.hint("name the directory that shall be made by --store DIR"));
        }
        let real = fs::canonicalize(target).ok().filter(|_| target.is_symlink());
        let target = real.as_deref().unwrap_or(target);
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let occupied = match fs::read_dir(target).map(Iterator::count) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(target).is_err() =>
            {
                Occupied::No
            }
            Err(error) => {
                return Err(Failure::could_not_run(format_args!("cannot make a store in `{name}`: {error}")));
            }
            Ok(0) => Occupied::Empty,
            Ok(_) if !target.join("store.toml").exists() => {
                let message = format!("`{name}` is there already, and it is no policy store");
                return Err(Failure::could_not_run(message).hint("name another directory by --store DIR"));
            }
            Ok(_) if force => Occupied::Store,
            Ok(_) => {
                let message = format!("`{name}` is a policy store already");
                return Err(Failure::could_not_run(message).hint(hint));
            }
        };
        Ok(Self { target: target.to_path_buf(), parent, occupied })
    }

    /// Writes the files. Returns the new name of a store that was there before.
    pub fn fill(self, files: &Files) -> Result<Option<PathBuf>, Failure> {
        let name = self.target.display();
        let failed = |error: io::Error| {
            Failure::could_not_run(format_args!("cannot write the store `{name}`: {error}"))
                .hint("name a directory that can be written to by --store DIR")
        };
        fs::create_dir_all(&self.parent).map_err(failed)?;
        // It is removed at the end, or at the latest with the next clean-up: its name begins with a dot.
        let beside = tempfile::Builder::new().prefix(".cedar-authorizer-init-").tempdir_in(&self.parent);
        let beside = beside.map_err(failed)?;
        // The permissions of a temporary directory are not those of others.
        let made = beside.path().join("store");
        fs::create_dir(&made).map_err(failed)?;
        for (path, content) in files {
            let path = made.join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(failed)?;
            }
            fs::write(&path, content).map_err(failed)?;
        }
        let kept = match self.occupied {
            Occupied::No => None,
            Occupied::Empty => {
                fs::remove_dir(&self.target).map_err(failed)?;
                None
            }
            Occupied::Store => {
                let old = self.free_name();
                fs::rename(&self.target, &old).map_err(failed)?;
                Some(old)
            }
        };
        // A directory that appeared meanwhile is not replaced, unless it is empty.
        fs::rename(&made, &self.target).map_err(failed)?;
        Ok(kept)
    }

    /// The name under which an old store is kept: `policies.old`, `policies.old-2`, ...
    fn free_name(&self) -> PathBuf {
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        let is_free = |name: &str| fs::symlink_metadata(self.target.with_file_name(name)).is_err();
        self.target.with_file_name(unused(&format!("{name}.old"), is_free))
    }
}
