//! Policy stores in the file system.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::file::read_at_most;
use crate::bundle::{MAX_BUNDLE_BYTES, StoreFiles};

/// Reads the files of a policy store: the regular files below its folder. A link may lead to another place in the
/// folder, but not out of it. A pipe, a socket or a device is refused without being opened.
///
/// Files for the people who maintain the store are left out; they are never part of a bundle: `tests/`,
/// `personas.toml`, Markdown, and names that begin with a dot.
///
/// # Errors
/// [`UnreadableDirectory`].
pub fn read(path: &Path) -> Result<StoreFiles, UnreadableDirectory> {
    let root = fs::canonicalize(path).map_err(unreadable(path))?;
    let folders = HashSet::from([root.clone()]);
    let mut reading = Reading { root, folders, files: StoreFiles::default(), total: 0 };
    reading.read_folder(path, "")?;
    Ok(reading.files)
}

/// The part of a store that has been read so far.
struct Reading {
    /// Its folder, with links resolved.
    root: PathBuf,
    /// The folders that were read, with links resolved: through links, one could be reached again and again.
    folders: HashSet<PathBuf>,
    files: StoreFiles,
    /// The bytes of all files and of their names.
    total: usize,
}

impl Reading {
    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), UnreadableDirectory> {
        let entries = fs::read_dir(folder).map_err(unreadable(folder))?;
        let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut paths = paths.map_err(unreadable(folder))?;
        paths.sort();
        for path in paths {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(UnreadableDirectory::Name(path));
            };
            let relative = format!("{prefix}{name}");
            if name.starts_with('.') || name.ends_with(".md") || KEPT_OUT.contains(&relative.as_str()) {
                continue;
            }
            // With links resolved, so that the place that is checked is the place that is opened.
            let real = fs::canonicalize(&path).map_err(unreadable(&path))?;
            if !real.starts_with(&self.root) {
                return Err(UnreadableDirectory::Outside(path));
            }
            let metadata = fs::symlink_metadata(&real).map_err(unreadable(&path))?;
            if metadata.is_dir() {
                if relative.matches('/').count() >= MAX_DEPTH {
                    return Err(UnreadableDirectory::TooDeep(path));
                }
                if !self.folders.insert(real) {
                    return Err(UnreadableDirectory::Twice(path));
                }
                self.read_folder(&path, &format!("{relative}/"))?;
            } else if metadata.is_file() {
                let content = self.read_file(&path, &real, &relative, metadata.len())?;
                self.files.insert(relative, content);
            } else {
                return Err(UnreadableDirectory::NotAFile(path));
            }
        }
        Ok(())
    }

    /// Reads a file if there is room for it. `length` is what the file system said; the file may have changed
    /// since.
    fn read_file(
        &mut self,
        path: &Path,
        real: &Path,
        relative: &str,
        length: u64,
    ) -> Result<Vec<u8>, UnreadableDirectory> {
        let too_large = || UnreadableDirectory::TooLarge(path.to_owned());
        let room = MAX_BUNDLE_BYTES.checked_sub(self.total + relative.len()).ok_or_else(too_large)?;
        if length > room as u64 {
            return Err(too_large());
        }
        let file = File::open(real).map_err(unreadable(path))?;
        if !file.metadata().map_err(unreadable(path))?.is_file() {
            return Err(UnreadableDirectory::NotAFile(path.to_owned()));
        }
        let content = read_at_most(file, room).map_err(unreadable(path))?.ok_or_else(too_large)?;
        self.total += relative.len() + content.len();
        Ok(content)
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> UnreadableDirectory {
    let path = path.to_owned();
    move |source| UnreadableDirectory::Io { path: path.clone(), source }
}

/// Why a policy store cannot be read from the file system.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableDirectory {
    /// The system reported an error.
    #[error("cannot read `{}`: {source}", .path.display())]
    Io {
        /// The path that could not be read.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A name that is not UTF-8.
    #[error("the name of `{}` is not UTF-8", .0.display())]
    Name(PathBuf),
    /// A pipe, a socket or a device.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A link that leads out of the store.
    #[error("`{}` leads out of the folder of the policy store", .0.display())]
    Outside(PathBuf),
    /// A link to a folder that was read under another name, or is being read.
    #[error("`{}` leads to a folder that is read already", .0.display())]
    Twice(PathBuf),
    /// Folders in folders, perhaps without end.
    #[error("`{}` is more than {MAX_DEPTH} folders deep", .0.display())]
    TooDeep(PathBuf),
    /// More than a bundle may hold.
    #[error("with `{}` there is more than a bundle may hold, {MAX_BUNDLE_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
}

const KEPT_OUT: [&str; 2] = ["personas.toml", "tests"];

const MAX_DEPTH: usize = 8;
