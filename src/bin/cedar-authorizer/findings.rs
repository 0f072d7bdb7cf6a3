//! Findings for those who asked: people, programs, code scanners, and GitHub's workflows.

pub mod github;
mod human;
pub mod sarif;
pub mod strictness;
mod text;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::finding::Finding;

pub use human::{Width, human};
use text::Lines;

/// The files that findings are about.
pub struct Sources<'a> {
    /// The directory of the policy store, as it was given.
    store: PathBuf,
    files: &'a StoreFiles,
    /// Other files, by the names that they were given.
    others: HashMap<&'a str, &'a str>,
    lines: RefCell<HashMap<String, Option<Lines<'a>>>>,
    /// The paths below the root of the repository, which takes looking for it.
    paths: RefCell<HashMap<String, String>>,
}

/// Where the file of a finding is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// The path is relative to the policy store.
    Store,
    /// The path was given on the command line.
    Elsewhere,
}

impl<'a> Sources<'a> {
    pub fn new(store: &Path, files: &'a StoreFiles) -> Self {
        Self {
            store: store.to_owned(),
            files,
            others: HashMap::new(),
            lines: RefCell::default(),
            paths: RefCell::default(),
        }
    }

    /// Adds a file that is not part of the store.
    pub fn add(&mut self, name: &'a str, text: &'a str) {
        self.others.insert(name, text);
    }

    /// The path of the file, as a person at the command line would write it.
    pub fn path(&self, finding: &Finding, home: Home) -> String {
        let file = &finding.position.file;
        match home {
            Home::Store => self.store.join(file).display().to_string(),
            Home::Elsewhere => file.clone(),
        }
    }

    /// The path of the file below the root of the repository, with `/` between its parts. If it is in no
    /// repository, that below the current directory. An absolute path if it is below neither.
    pub fn repository_path(&self, finding: &Finding, home: Home) -> String {
        let path = self.path(finding, home);
        let mut known = self.paths.borrow_mut();
        known.entry(path).or_insert_with_key(|path| below_repository(Path::new(path))).clone()
    }

    /// Does something with the lines of the file. `None`: there is no such text.
    fn with_lines<T>(&self, file: &str, home: Home, work: impl FnOnce(&Lines<'a>) -> T) -> Option<T> {
        let mut known = self.lines.borrow_mut();
        let key = match home {
            Home::Store => file.to_owned(),
            Home::Elsewhere => format!("\0{file}"),
        };
        let lines = known.entry(key).or_insert_with(|| {
            let text = match home {
                Home::Store => std::str::from_utf8(self.files.get(file)?).ok()?,
                Home::Elsewhere => self.others.get(file).copied()?,
            };
            Some(Lines::new(text))
        });
        lines.as_ref().map(work)
    }
}

/// The path as [`Sources::repository_path`] gives it.
fn below_repository(path: &Path) -> String {
    let absolute = without_dots(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let root = absolute.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned);
    let root = root.or_else(|| std::env::current_dir().ok());
    let relative = root.as_ref().and_then(|root| absolute.strip_prefix(root).ok()).unwrap_or(&absolute);
    let parts = relative.components().map(|part| part.as_os_str().to_string_lossy());
    let joined = parts.filter(|part| part != "/").collect::<Vec<_>>().join("/");
    if relative.is_absolute() { format!("/{joined}") } else { joined }
}

/// The path without `.` and `..`. Links are not followed: a reader of the path sees the names as they were given.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
