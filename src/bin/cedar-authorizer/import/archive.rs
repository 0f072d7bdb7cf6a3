//! The files of a directory or of a `.cjar`, which is a zip archive from anybody.
//!
//! Nothing is unpacked to the disk: files are read into memory, and only under plain names. An archive that tries more
//! is refused as a whole.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::init::files::Files;
use crate::init::text::comment;
use crate::output::Failure;

/// Reads the files of a directory, or of an archive.
pub fn read(path: &Path) -> Result<Files, Failure> {
    let name = path.display();
    let failed = |error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}"));
    let mut room = Room { files: MAX_FILES, bytes: MAX_BYTES };
    let mut files = Files::new();
    if path.is_dir() {
        read_folder(path, "", 0, &mut room, &mut files)?;
        return Ok(files);
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start).map_err(failed)?;
    if !start.starts_with(b"PK") {
        let message = format!("`{name}` is neither a directory nor a `.cjar`");
        let hint = "the single JSON or YAML file of older versions, with policies in base64, is not read, and \
                    Cedarling reads it no longer either; convert it to a directory first";
        return Err(Failure::could_not_run(message).hint(hint));
    }
    file.rewind().map_err(failed)?;
    read_archive(file, &mut room, &mut files)
        .map_err(|message| Failure::could_not_run(format_args!("`{name}` is refused: {message}")))?;
    Ok(files)
}

/// How much may still be read.
struct Room {
    files: usize,
    bytes: u64,
}

impl Room {
    /// Takes the room for a file of this length.
    fn take(&mut self, bytes: u64) -> Result<(), String> {
        let files = self.files.checked_sub(1).ok_or_else(|| format!("more than {MAX_FILES} files"))?;
        let bytes = self.bytes.checked_sub(bytes);
        let bytes = bytes.ok_or_else(|| format!("more than {} MiB in its files", MAX_BYTES >> 20))?;
        *self = Self { files, bytes };
        Ok(())
    }
}

fn read_archive(file: impl Read + Seek, room: &mut Room, files: &mut Files) -> Result<(), String> {
    let broken = |error: ZipError| format!("no zip archive: {error}");
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    if archive.len() > MAX_FILES {
        return Err(format!("more than {MAX_FILES} files"));
    }
    // A reader that takes the first of two entries and one that takes the last see different policies.
    if archive.has_duplicate_names() {
        return Err("two entries have one name".to_owned());
    }
    if archive.has_overlapping_entries().map_err(broken)? {
        return Err("entries overlap".to_owned());
    }
    let mut known = BTreeSet::new();
    for index in 0..archive.len() {
        // Looked at before its content, which may be in a form that cannot be read.
        let data = archive.by_index_raw(index).map_err(broken)?;
        let raw = data.name_raw().to_vec();
        let (is_folder, is_link, is_encrypted) = (data.is_dir(), data.is_symlink(), data.encrypted());
        let claimed = data.size();
        drop(data);
        let name = String::from_utf8(raw).map_err(|_| "the name of an entry is not UTF-8".to_owned())?;
        let shown = comment(&name);
        let plain = plain_path(&name).ok_or_else(|| format!("`{shown}` is no plain path"))?;
        if is_link {
            return Err(format!("`{shown}` is a link"));
        }
        if is_encrypted {
            return Err(format!("`{shown}` is encrypted"));
        }
        // On some file systems these would be one file.
        if !known.insert(plain.to_lowercase()) {
            return Err(format!("`{shown}` is there twice"));
        }
        if is_folder {
            continue;
        }
        room.take(claimed)?;
        let entry = archive.by_index(index).map_err(|error| format!("`{shown}`: {error}"))?;
        let mut content = Vec::new();
        // The claimed size may be a lie.
        let read = entry.take(claimed.saturating_add(1)).read_to_end(&mut content);
        read.map_err(|error| format!("`{shown}`: {error}"))?;
        if content.len() as u64 != claimed {
            return Err(format!("`{shown}` has another size than it claims"));
        }
        files.insert(plain, content);
    }
    Ok(())
}

/// The path without the `/` at the end of a folder. `None`: it leads elsewhere, or means different things on different
/// systems.
fn plain_path(name: &str) -> Option<String> {
    let path = name.strip_suffix('/').unwrap_or(name);
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.ends_with(['.', ' ']);
    let is_fine = !name.contains(['\\', ':'])
        && !name.contains(char::is_control)
        && path.len() <= MAX_PATH
        && path.split('/').count() <= MAX_DEPTH
        && path.split('/').all(is_plain);
    is_fine.then(|| path.to_owned())
}

fn read_folder(
    folder: &Path,
    prefix: &str,
    depth: usize,
    room: &mut Room,
    files: &mut Files,
) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let name = path.display().to_string();
        move |error: std::io::Error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}"))
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        paths.push(entry.map_err(failed(folder))?.path());
    }
    paths.sort();
    for path in paths {
        let refused = |why: &str| Failure::could_not_run(format_args!("`{}` is {why}", path.display()));
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refused("not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let relative = format!("{prefix}{name}");
        let kind = fs::symlink_metadata(&path).map_err(failed(&path))?;
        if kind.is_dir() && depth < MAX_DEPTH {
            read_folder(&path, &format!("{relative}/"), depth + 1, room, files)?;
        } else if kind.is_file() {
            let refuse =
                |message: String| Failure::could_not_run(format_args!("`{}`: {message}", folder.display()));
            room.take(kind.len()).map_err(refuse)?;
            let mut content = Vec::new();
            let file = File::open(&path).map_err(failed(&path))?;
            file.take(kind.len()).read_to_end(&mut content).map_err(failed(&path))?;
            files.insert(relative, content);
        } else {
            return Err(refused("a link, too deep, or no regular file"));
        }
    }
    Ok(())
}

/// Far more than a policy store has, and far less than fills the memory.
const MAX_BYTES: u64 = 64 << 20;

const MAX_FILES: usize = 20_000;
const MAX_PATH: usize = 500;
const MAX_DEPTH: usize = 8;
