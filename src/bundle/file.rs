//! Bundles in the file system.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::MAX_BUNDLE_BYTES;

/// Reads the file of a bundle.
///
/// # Errors
/// [`UnreadableFile`].
pub fn read(path: &Path) -> Result<Vec<u8>, UnreadableFile> {
    let file = File::open(path).map_err(unreadable(path))?;
    let too_large = || UnreadableFile::TooLarge(path.to_owned());
    if file.metadata().map_err(unreadable(path))?.len() > MAX_BUNDLE_BYTES as u64 {
        return Err(too_large());
    }
    read_at_most(file, MAX_BUNDLE_BYTES).map_err(unreadable(path))?.ok_or_else(too_large)
}

/// A tag that changes when the file does: its time and its length.
///
/// # Errors
/// [`UnreadableFile`].
pub fn tag(path: &Path) -> Result<String, UnreadableFile> {
    let metadata = fs::metadata(path).map_err(unreadable(path))?;
    let modified = metadata.modified().map_err(unreadable(path))?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{}", since.as_nanos(), metadata.len()))
}

/// Reads a file, whatever length it claims to have. `None`: it is longer than the limit.
pub(crate) fn read_at_most(file: File, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut content)?;
    Ok((content.len() <= limit).then_some(content))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> UnreadableFile {
    let path = path.to_owned();
    move |source| UnreadableFile::Io { path: path.clone(), source }
}

/// Why the file of a bundle cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableFile {
    /// It changed while it was read.
    #[error("the bundle changed while it was read")]
    Changed,
    /// The system reported an error.
    #[error("cannot read `{}`: {source}", .path.display())]
    Io {
        /// The path that could not be read.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// More than a bundle may hold.
    #[error("with `{}` there is more than a bundle may hold, {MAX_BUNDLE_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
}
