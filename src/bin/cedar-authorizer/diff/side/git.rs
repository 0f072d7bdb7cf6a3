//! A policy store in a git revision, read with the program `git`.
//!
//! Nothing that was given can be taken for an option: a revision that begins with a hyphen is refused, and after it
//! is resolved, git is only asked about the ids of objects. Files are written only below a temporary folder.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cedar_authorizer::bundle::MAX_BUNDLE_BYTES;
use tempfile::TempDir;

use crate::output::{Failure, printable};

/// A policy store of a revision, in files.
pub struct Unpacked {
    /// What the files are in.
    pub folder: TempDir,
    /// The folder of the store.
    pub path: PathBuf,
    /// The commit of the revision.
    pub commit: String,
}

/// Writes the policy store in the folder `within` of a revision into a temporary folder. Other JSON files of the
/// revision are written beside it, because tests may name events by their paths.
///
/// # Errors
/// There is no git, no repository, no such revision or folder; or it has what no policy store may have.
pub fn unpack(revision: &str, within: &str) -> Result<Unpacked, Failure> {
    if revision.is_empty() || revision.starts_with('-') || revision.contains(char::is_control) {
        return Err(Failure::could_not_run("the part before `:` is no git revision")
            .hint("a git revision reads `main:policies` or `HEAD~3:policies`"));
    }
    git(&["rev-parse", "--git-dir"]).map_err(|error| error.failure("this is not a git repository"))?;
    let commit = git(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")])
        .map_err(|error| unknown_revision(error, revision))?;
    let commit = commit.trim().to_owned();
    let within = from_root(within)?;
    let is_folder = git(&["cat-file", "-t", &format!("{commit}:{within}")]);
    let shown = if within.is_empty() { "." } else { within.as_str() };
    match is_folder.map(|kind| kind.trim() == "tree") {
        Ok(true) => {}
        Ok(false) => {
            let message = format!("`{}` is not a directory in this revision", printable(shown));
            return Err(Failure::could_not_run(message).hint("name the directory of a policy store"));
        }
        Err(_) => {
            let message = format!("this revision has no directory `{}`", printable(shown));
            return Err(Failure::could_not_run(message).hint(
                "the path is from the root of the repository; write `./` before it if it is from here",
            ));
        }
    }
    let folder = tempfile::tempdir().map_err(unwritable)?;
    let path = folder.path().join(&within);
    fs::create_dir_all(&path).map_err(unwritable)?;
    let (own, others): (Vec<Entry>, Vec<Entry>) =
        entries(&commit)?.into_iter().partition(|entry| entry.is_below(&within));
    let own = own.into_iter().filter(|entry| !entry.is_kept_out(&within)).collect::<Vec<_>>();
    if let Some(entry) = own.iter().find(|entry| !entry.is_file() && !entry.is_test(&within)) {
        let what = if entry.mode == LINK { "a symbolic link" } else { "a submodule" };
        let message = format!("`{}` is {what}, which is not followed in git", printable(&entry.path));
        return Err(Failure::could_not_run(message).hint("check the revision out, and name the directory"));
    }
    if own.iter().map(|entry| entry.size).sum::<u64>() > MAX_BUNDLE_BYTES as u64 {
        return Err(Failure::could_not_run("there is more than a bundle may hold"));
    }
    let has_tests = own.iter().any(|entry| entry.is_test(&within));
    let events = others.into_iter().filter(|entry| has_tests && entry.may_be_event()).take(MAX_EVENTS);
    let files: Vec<Entry> = own.into_iter().filter(Entry::is_file).chain(events).collect();
    write(&files, folder.path())?;
    Ok(Unpacked { folder, path, commit })
}

/// A file of a revision.
struct Entry {
    mode: String,
    id: String,
    size: u64,
    /// From the root of the repository.
    path: String,
}

impl Entry {
    /// Reads `100644 blob ID   SIZE\tPATH`, as `ls-tree -l` writes it.
    fn read(line: &str) -> Option<Self> {
        let (head, path) = line.split_once('\t')?;
        let mut words = head.split_whitespace();
        let (mode, _, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let size = size.parse().unwrap_or_default();
        Some(Self { mode: mode.to_owned(), id: id.to_owned(), size, path: path.to_owned() })
    }

    fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }

    /// The path from the folder of the store.
    fn relative(&self, within: &str) -> &str {
        self.path.strip_prefix(within).unwrap_or(&self.path).trim_start_matches('/')
    }

    fn is_below(&self, within: &str) -> bool {
        within.is_empty() || self.path.strip_prefix(within).is_some_and(|rest| rest.starts_with('/'))
    }

    fn is_test(&self, within: &str) -> bool {
        self.relative(within).starts_with("tests/")
    }

    /// Whether no policy store reads it: names that begin with a dot, and Markdown.
    fn is_kept_out(&self, within: &str) -> bool {
        let relative = self.relative(within);
        relative.split('/').any(|part| part.starts_with('.')) || relative.ends_with(".md")
    }

    fn may_be_event(&self) -> bool {
        self.is_file() && self.path.ends_with(".json") && self.size <= MAX_EVENT_BYTES && is_safe(&self.path)
    }
}

/// All files of a commit.
fn entries(commit: &str) -> Result<Vec<Entry>, Failure> {
    let listed = git_bytes(&["ls-tree", "-r", "-z", "-l", "--full-tree", commit]);
    let listed = listed.map_err(|error| error.failure("the revision cannot be listed"))?;
    let mut entries = Vec::new();
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        // A name that is not UTF-8 is a fault only in a policy store.
        entries.extend(Entry::read(&String::from_utf8_lossy(line)));
    }
    Ok(entries)
}

/// Writes files below a folder.
fn write(files: &[Entry], folder: &Path) -> Result<(), Failure> {
    let broken = |what: &dyn std::fmt::Display| Failure::could_not_run(format_args!("git broke off: {what}"));
    let mut child = command()
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| broken(&error))?;
    let (Some(mut asked), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(broken(&"it has no pipes"));
    };
    let mut answers = BufReader::new(answers);
    for Entry { id, path, .. } in files {
        if !is_safe(path) {
            let message = format!("`{}` is no name of a file in a policy store", printable(path));
            return Err(Failure::could_not_run(message));
        }
        // One after another, so that neither waits for the other with a full pipe.
        writeln!(asked, "{id}").and_then(|()| asked.flush()).map_err(|error| broken(&error))?;
        let mut head = String::new();
        answers.read_line(&mut head).map_err(|error| broken(&error))?;
        let size: Option<u64> = head.trim_end().rsplit(' ').next().and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| broken(&printable(head.trim_end())))?;
        let mut content = Vec::new();
        // Behind the content comes a line feed.
        answers.by_ref().take(size + 1).read_to_end(&mut content).map_err(|error| broken(&error))?;
        if content.pop() != Some(b'\n') || content.len() as u64 != size {
            return Err(broken(&"a file is incomplete"));
        }
        let target = folder.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(unwritable)?;
        }
        fs::write(target, content).map_err(unwritable)?;
    }
    drop(asked);
    child.wait().map_err(|error| broken(&error))?;
    Ok(())
}

/// Whether a path stays below the folder that it is joined to.
fn is_safe(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0', ':']);
    path.split('/').all(is_name) && !path.contains('\u{fffd}')
}

/// The path from the root of the repository. As with git, it is from here only if it begins with `./` or `../`.
fn from_root(within: &str) -> Result<String, Failure> {
    let is_from_here =
        within == "." || within.starts_with("./") || within.starts_with("../") || within == "..";
    let here = if is_from_here {
        git(&["rev-parse", "--show-prefix"]).map_err(|error| error.failure("this is no work tree"))?
    } else {
        String::new()
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in here.trim().split('/').chain(within.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                let outside = || Failure::could_not_run("the path leads out of the repository");
                parts.pop().ok_or_else(outside)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Why git gave no answer.
enum GitError {
    /// The program could not be started.
    Missing(std::io::Error),
    /// What it said.
    Refused(String),
}

impl GitError {
    fn failure(self, message: &str) -> Failure {
        match self {
            Self::Missing(error) => Failure::could_not_run(format_args!("cannot run `git`: {error}"))
                .hint("install git, or name directories"),
            Self::Refused(said) => {
                let said = said.lines().next().map(printable).unwrap_or_default();
                let failure = Failure::could_not_run(message);
                if said.is_empty() { failure } else { failure.hint(format!("git says: {said}")) }
            }
        }
    }
}

fn unknown_revision(error: GitError, revision: &str) -> Failure {
    match error {
        GitError::Refused(_) => {
            let message = format!("there is no revision `{}`", printable(revision));
            let hint = "`git fetch` brings branches of a remote; a shallow clone lacks older commits";
            Failure::could_not_run(message).hint(hint)
        }
        error => error.failure(""),
    }
}

fn git(arguments: &[&str]) -> Result<String, GitError> {
    git_bytes(arguments).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn git_bytes(arguments: &[&str]) -> Result<Vec<u8>, GitError> {
    let output = command().args(arguments).stdin(Stdio::null()).output().map_err(GitError::Missing)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(GitError::Refused(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn command() -> Command {
    let mut command = Command::new("git");
    // Messages are compared and shown in English; nobody is asked for a password.
    command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    command
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::could_not_run(format_args!("cannot write a temporary file: {error}"))
}

/// The mode of a symbolic link in a tree.
const LINK: &str = "120000";

/// The events of a repository are small and few.
const MAX_EVENT_BYTES: u64 = 1024 * 1024;
const MAX_EVENTS: usize = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for path in ["../a", "a/../../b", "/a", "a//b", "a/./b", "", "a\\b", "C:/a", "a\0b"] {
            assert!(!is_safe(path), "{path}");
        }
        assert!(is_safe("policies/a b.cedar"));
    }

    #[test]
    fn a_line_of_a_tree_is_read() {
        let entry = Entry::read("100644 blob 0123abc      42\tpolicies/tests/a.yaml").unwrap();
        assert_eq!((entry.size, entry.path.as_str()), (42, "policies/tests/a.yaml"));
        assert!(entry.is_file() && entry.is_below("policies") && entry.is_test("policies"));
        assert!(!entry.is_below("pol") && !entry.is_kept_out("policies"));
        let link = Entry::read("120000 blob 0123abc       4\tpolicies/.hidden/x").unwrap();
        assert!(!link.is_file() && link.is_kept_out("policies"));
        assert!(Entry::read("nonsense").is_none());
    }
}
