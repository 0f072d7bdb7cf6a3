//! The files of the store: shown, and saved.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::directory;
use serde::{Deserialize, Serialize};

use super::Page;
use super::reply::{self, Json, Refusal, blocking};
use crate::build::replace;
use crate::serve::Served;

/// The files, in the order of their paths.
#[derive(Debug, Serialize)]
pub struct FileList {
    files: Vec<SourceFile>,
}

/// A file of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SourceFile {
    /// Relative to the store.
    path: String,
    text: String,
    /// By which it is known whether the file has changed since.
    digest: String,
}

/// A file that is to be saved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    path: String,
    text: String,
    /// That of the file that was edited.
    digest: String,
}

/// The file was saved.
#[derive(Debug, Serialize)]
pub struct Saved {
    digest: String,
}

/// `GET /_bench/api/policies`
pub async fn list(State(page): State<Page>) -> Result<Json<FileList>, Refusal> {
    blocking(move || {
        let files = files(&page.served)?;
        let shown = files.iter().filter_map(|(path, content)| SourceFile::new(path, content));
        Ok(Json(FileList { files: shown.collect() }))
    })
    .await
}

/// `PUT /_bench/api/policies`
///
/// The file is replaced in one step, and only if it is still the one that was edited.
pub async fn save(State(page): State<Page>, request: Request) -> Result<Json<Saved>, Refusal> {
    let edit: Edit = reply::body(request).await?;
    if !page.served.settings.is_editable {
        let refusal = Refusal::new(StatusCode::FORBIDDEN, "this page may not change files");
        return Err(refusal.hint("start `cedar-authorizer serve` with `--edit`"));
    }
    // One after another: between the look at the old content and the new content nothing else is saved.
    let turn = page.saving.lock_owned().await;
    let served = Arc::clone(&page.served);
    let (path, digest) = blocking(move || {
        let _turn = turn;
        let digest = save_file(&page.served, &edit)?;
        Ok((edit.path, digest))
    })
    .await?;
    // The page tries at once what it saved.
    for _ in 0..MOST_LOOKS {
        let look = served.in_force.findings();
        if look.files.get(&path).is_some_and(|content| digest_of(content) == digest) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Json(Saved { digest }))
}

fn save_file(served: &Served, Edit { path, text, digest }: &Edit) -> Result<String, Refusal> {
    let files = files(served)?;
    let found = files.get(path).and_then(|content| SourceFile::new(path, content));
    let found = found.ok_or_else(|| {
        Refusal::not_found(format!("`{path}` is no file that can be edited here"))
            .hint("new files are made with an editor; they are in force at once, too")
    })?;
    if found.digest != *digest {
        let refusal = Refusal::conflict(format!("`{path}` has changed on disk since it was read"));
        return Err(refusal.hint("undo the edit to see the file as it is now, and edit it again"));
    }
    let place = place_of(&served.settings.store, path)?;
    write(&place, text.as_bytes()).map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write `{path}`: {error}"))
    })?;
    Ok(digest_of(text.as_bytes()))
}

/// The place of a file of the store, with links resolved. No link leads out of the store.
pub fn place_of(store: &Path, path: &str) -> Result<PathBuf, Refusal> {
    let unreadable = |error: io::Error| Refusal::not_found(format!("cannot read `{path}`: {error}"));
    let root = fs::canonicalize(store).map_err(unreadable)?;
    let place = fs::canonicalize(root.join(path)).map_err(unreadable)?;
    if place.starts_with(&root) {
        return Ok(place);
    }
    Err(Refusal::bad_request(format!("`{path}` leads out of the policy store")))
}

/// Replaces a file in one step, and leaves its permissions as they are.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    if permissions.readonly() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    replace(path, content)?;
    fs::set_permissions(path, permissions)
}

/// The files of the store, as they are now.
pub fn files(served: &Served) -> Result<StoreFiles, Refusal> {
    if served.settings.is_bundle {
        return Ok(served.in_force.get().bench.files().clone());
    }
    directory::read(&served.settings.store).map_err(Refusal::conflict)
}

/// Whether a file is shown, and may be edited. Keys are nobody's text.
pub fn is_shown(path: &str) -> bool {
    StoreFiles::is_known(path) && !path.starts_with("jwks/")
}

impl SourceFile {
    /// `None`: it is not shown, or is no text of a moderate length.
    fn new(path: &str, content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok().filter(|text| text.len() <= MAX_TEXT_BYTES)?;
        let file = Self { path: path.to_owned(), text: text.to_owned(), digest: digest_of(content) };
        is_shown(path).then_some(file)
    }
}

fn digest_of(content: &[u8]) -> String {
    hex::encode(digest(&SHA256, content))
}

/// How often, and how many times, is looked whether a saved file was read: for two seconds.
const PAUSE: Duration = Duration::from_millis(20);
const MOST_LOOKS: usize = 100;

/// Longer texts do not fit into a request that saves them.
const MAX_TEXT_BYTES: usize = 512 * 1024;
