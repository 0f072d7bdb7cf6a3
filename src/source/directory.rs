//! Policy stores and bundles in the file system.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::bundle::MAX_BUNDLE_BYTES;
use crate::store::StoreFiles;

/// Reads the files of a policy store.
///
/// Left out is what belongs to the people who keep the store and never to a bundle: `tests/`,
/// `personas.toml`, Markdown, and names that begin with a dot.
///
/// # Errors
/// [`UnreadableDirectory`].
pub fn read(path: &Path) -> Result<StoreFiles, UnreadableDirectory> {
    let mut files = StoreFiles::default();
    read_folder(path, "", &mut files, &mut 0)?;
    Ok(files)
}

fn read_folder(
    folder: &Path,
    prefix: &str,
    files: &mut StoreFiles,
    total: &mut u64,
) -> Result<(), UnreadableDirectory> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| UnreadableDirectory::Io { path, source }
    };
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(UnreadableDirectory::Name(path));
        };
        let relative = format!("{prefix}{name}");
        if name.starts_with('.') || name.ends_with(".md") || KEPT_OUT.contains(&relative.as_str()) {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
        if metadata.is_dir() {
            // A link to a folder above would lead round for ever.
            if relative.matches('/').count() >= MAX_DEPTH {
                return Err(UnreadableDirectory::TooDeep(path));
            }
            read_folder(&path, &format!("{relative}/"), files, total)?;
            continue;
        }
        *total += metadata.len();
        if *total > MAX_BUNDLE_BYTES as u64 {
            return Err(UnreadableDirectory::TooLarge(path));
        }
        files.insert(relative, fs::read(&path).map_err(unreadable(&path))?);
    }
    Ok(())
}

/// What differs when a file has changed: its time and its length.
///
/// # Errors
/// [`UnreadableDirectory`].
pub fn tag(path: &Path) -> Result<String, UnreadableDirectory> {
    let unreadable = |source| UnreadableDirectory::Io { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let modified = metadata.modified().map_err(unreadable)?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{}", since.as_nanos(), metadata.len()))
}

/// Reads the file of a bundle.
///
/// # Errors
/// [`UnreadableDirectory`].
pub fn read_bundle(path: &Path) -> Result<Vec<u8>, UnreadableDirectory> {
    let unreadable = |source| UnreadableDirectory::Io { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BUNDLE_BYTES as u64 {
        return Err(UnreadableDirectory::TooLarge(path.to_owned()));
    }
    fs::read(path).map_err(unreadable)
}

/// Why a policy store or bundle cannot be read from the file system.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableDirectory {
    /// The system said no.
    #[error("cannot read `{}`: {source}", .path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It changed while it was read.
    #[error("the bundle changed while it was read")]
    Changed,
    /// A name that is not UTF-8.
    #[error("the name of `{}` is not UTF-8", .0.display())]
    Name(PathBuf),
    /// Folders in folders, perhaps without end.
    #[error("`{}` is more than {MAX_DEPTH} folders deep", .0.display())]
    TooDeep(PathBuf),
    /// More than a bundle may hold.
    #[error("with `{}` there is more than a bundle may hold, {MAX_BUNDLE_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
}

const KEPT_OUT: [&str; 2] = ["personas.toml", "tests"];

const MAX_DEPTH: usize = 8;
