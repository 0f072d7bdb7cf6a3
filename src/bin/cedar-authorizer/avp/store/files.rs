//! The files of a store in memory, with its notes, and how they are read from its folder.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::directory::{self, UnreadableDirectory};

use super::notes::NOTES_FOLDER;

/// The files of a store by their paths, with `/` between folders.
pub type Files = BTreeMap<String, StoredFile>;

/// A file in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its content. As long as it stays the same, so does the memory.
    pub bytes: Arc<[u8]>,
    /// When it was last written.
    pub modified: SystemTime,
}

/// A change of a file: its new content, or `None` if it is removed.
pub type Step = (String, Option<Vec<u8>>);

/// Reads the files of a store and its notes. A change that was interrupted is completed in memory.
pub fn read(folder: &Path) -> Result<Files, UnreadableDirectory> {
    let mut files = Files::new();
    let modified = |path: &str| {
        let metadata = fs::metadata(folder.join(path)).and_then(|metadata| metadata.modified());
        // It may have been removed since. Then the next look will find that.
        metadata.unwrap_or(SystemTime::UNIX_EPOCH)
    };
    for (path, bytes) in directory::read(folder)?.iter() {
        files.insert(path.to_owned(), StoredFile { bytes: bytes.into(), modified: modified(path) });
    }
    let notes = folder.join(NOTES_FOLDER);
    if notes.is_dir() {
        for (path, bytes) in directory::read(&notes)?.iter() {
            let path = format!("{NOTES_FOLDER}/{path}");
            let modified = modified(&path);
            files.insert(path, StoredFile { bytes: bytes.into(), modified });
        }
    }
    if let Some(steps) = files.remove(JOURNAL).and_then(|journal| journal_steps(&journal.bytes)) {
        apply(&mut files, steps, SystemTime::now());
    }
    Ok(files)
}

/// Makes changes in memory.
pub fn apply(files: &mut Files, steps: impl IntoIterator<Item = Step>, now: SystemTime) {
    for (path, content) in steps {
        match content {
            Some(content) => files.insert(path, StoredFile { bytes: content.into(), modified: now }),
            None => files.remove(&path),
        };
    }
}

/// The files that have a place in a bundle or its folder, without the notes.
pub fn without_notes(files: &Files) -> StoreFiles {
    let mut known = StoreFiles::default();
    let is_note = |path: &str| path.split('/').next() == Some(NOTES_FOLDER);
    for (path, file) in files.iter().filter(|(path, _)| !is_note(path)) {
        known.insert(path.clone(), file.bytes.to_vec());
    }
    known
}

/// The content of the journal of a change.
pub fn journal(steps: &[Step]) -> Vec<u8> {
    let text = |content: &Vec<u8>| String::from_utf8_lossy(content).into_owned();
    let steps: Vec<(&String, Option<String>)> =
        steps.iter().map(|(path, content)| (path, content.as_ref().map(text))).collect();
    serde_json::to_vec(&steps).unwrap_or_default()
}

/// The change in a journal. A journal is renamed to its place, so it is whole. Anything else is no journal, and one
/// with a path out of the store was not written by this program.
pub fn journal_steps(journal: &[u8]) -> Option<Vec<Step>> {
    let steps: Vec<(String, Option<String>)> = serde_json::from_slice(journal).ok()?;
    let is_plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\\', ':', '\0']);
    let is_inside = |path: &str| path.split('/').all(is_plain);
    // A store may come from anybody, with a journal in it that was never ours. It changes nothing but what changes of
    // clients do: not `.git/config`, say, which names programs that git runs.
    let is_ours = |path: &str| StoreFiles::is_known(path) || path.starts_with(NOTES);
    if !steps.iter().all(|(path, _)| is_inside(path) && is_ours(path)) {
        return None;
    }
    Some(steps.into_iter().map(|(path, content)| (path, content.map(String::into_bytes))).collect())
}

const NOTES: &str = ".avp/";

/// The file with a change that is being made.
pub const JOURNAL: &str = ".avp/journal.json";

/// What tells that a file has changed, for every file and folder of a store.
pub type Stamps = BTreeMap<String, Stamp>;

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// On Unix the number of the file and when its metadata changed, which no program sets back.
    #[cfg(unix)]
    identity: (u64, i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// That of a file which was just written.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&fs::metadata(path)?))
    }
}

/// Looks at all files of a store without reading them.
pub fn stamps(folder: &Path) -> Stamps {
    let mut stamps = Stamps::new();
    look(folder, "", 0, &mut stamps);
    stamps
}

fn look(folder: &Path, prefix: &str, depth: usize, stamps: &mut Stamps) {
    // Whatever cannot be read is no stamp. Reading the files will say why.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with('.') && (name != NOTES_FOLDER || depth > 0) || name.ends_with(".md") {
            continue;
        }
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        let path = format!("{prefix}{name}");
        if metadata.is_dir() && depth < MAX_DEPTH && path != "tests" {
            look(&entry.path(), &format!("{path}/"), depth + 1, stamps);
        } else if metadata.is_file() {
            stamps.insert(path, Stamp::of(&metadata));
        }
    }
}

/// As deep as stores are read.
const MAX_DEPTH: usize = 8;
