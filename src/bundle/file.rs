//! Bundles in the file system.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::archive::{START_BYTES, end_length};
use super::chunks::ChunkCache;
use super::{MAX_BUNDLE_BYTES, Opening};

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

/// Opens the file of a bundle. If it is longer than `end` bytes, only its end is read, and `cache` gets the parts that calls
/// read later.
///
/// # Errors
/// [`UnreadableFile`].
#[cfg_attr(
    not(feature = "function"),
    expect(dead_code, reason = "only the function reads a bundle in parts")
)]
pub(crate) fn open(path: &Path, end: u64, cache: &ChunkCache) -> Result<Opening, UnreadableFile> {
    let mut file = File::open(path).map_err(unreadable(path))?;
    let total = file.metadata().map_err(unreadable(path))?.len();
    if total > MAX_BUNDLE_BYTES as u64 {
        return Err(UnreadableFile::TooLarge(path.to_owned()));
    }
    let mut part = |start: u64, end: u64| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&file).take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
        Ok(Bytes::from(bytes))
    };
    let mut last = part(total.saturating_sub(end), total).map_err(unreadable(path))?;
    if last.len() as u64 == total {
        return Ok(last.into());
    }
    let Ok(needed) = end_length(&last) else {
        // Its beginning says whether it is another version of the format, or none at all.
        return Ok(part(0, START_BYTES as u64).map_err(unreadable(path))?.into());
    };
    if needed > last.len() as u64 {
        last = part(total.saturating_sub(needed), total).map_err(unreadable(path))?;
    }
    Ok(Opening::file(file, last, total, Arc::clone(cache)))
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
