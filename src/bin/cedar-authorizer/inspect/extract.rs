//! Writes the sources of a bundle into a directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use cedar_authorizer::bundle::StoreFiles;

use crate::output::Failure;

/// Writes files into a new or empty directory: all of them, or none.
///
/// They are first written into a directory beside it with a unique name, which is then renamed.
pub fn write(files: &StoreFiles, target: &Path) -> Result<(), Failure> {
    let target = resolve(target)?;
    let failed = |error: io::Error| {
        Failure::could_not_run(format_args!("cannot write `{}`: {error}", target.display()))
    };
    let beside = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cedar-authorizer-");
    // Permissions as for any new directory: others may read it, unless the umask says otherwise.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let folder = builder.tempdir_in(beside).map_err(failed)?;
    for (path, content) in files.iter() {
        write_file(folder.path(), path, content).map_err(failed)?;
    }
    // On Unix, `rename` replaces an empty directory in one step, and never one that is not empty.
    #[cfg(not(unix))]
    if target.exists() {
        fs::remove_dir(&target).map_err(failed)?;
    }
    fs::rename(folder.path(), &target).map_err(failed)?;
    // The directory no longer exists under its old name.
    let _ = folder.keep();
    Ok(())
}

/// The directory itself, if the path is a link to it. A directory that is in use is refused.
fn resolve(target: &Path) -> Result<PathBuf, Failure> {
    let refused = |what: &str| {
        Err(Failure::could_not_run(format_args!("`{}` {what}", target.display()))
            .hint("name a new or empty directory by --extract DIR"))
    };
    match fs::read_dir(target).map(|mut entries| entries.next().is_none()) {
        Ok(false) => refused("is not empty"),
        Ok(true) => {
            let unreadable = |error: io::Error| {
                Failure::could_not_run(format_args!("cannot read `{}`: {error}", target.display()))
            };
            let directory = target.canonicalize().map_err(unreadable)?;
            // A shell in this directory would be left in the one that was replaced.
            if std::env::current_dir().is_ok_and(|current| current == directory) {
                refused("is the current directory")
            } else {
                Ok(directory)
            }
        }
        Err(_) if fs::symlink_metadata(target).is_ok() => refused("is not a directory"),
        Err(_) => Ok(target.to_owned()),
    }
}

/// Writes a new file. Paths in a bundle are relative and only lead downwards. This is checked again here, because
/// here it would matter.
fn write_file(folder: &Path, path: &str, content: &[u8]) -> io::Result<()> {
    let mut target = folder.to_owned();
    for name in path.split('/') {
        let mut components = Path::new(name).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(only)), None) if only == name => target.push(name),
            _ => {
                return Err(io::Error::other(format!("`{}` is not the path of a file", path.escape_debug())));
            }
        }
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    // Two names may be the same file where case does not count.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&target)?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> StoreFiles {
        let mut files = StoreFiles::default();
        for path in paths {
            files.insert((*path).to_owned(), path.as_bytes().to_vec());
        }
        files
    }

    #[test]
    fn no_path_leads_out_and_nothing_is_left_of_what_fails() {
        for path in [
            "../x",
            "/x",
            "policies/../../x",
            "policies/..",
            ".",
            "",
            "policies//x",
            "policies/",
            "x\0",
            "a/b/c/store.toml/x",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("a");
            assert!(write(&files(&["a/b/c/store.toml", path]), &target).is_err(), "{path:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{path:?}");
        }
    }

    #[test]
    fn an_empty_directory_is_filled_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::create_dir(&target).unwrap();
        let files = files(&["policies/deep/x.cedar", "store.toml"]);
        write(&files, &target).unwrap();
        assert_eq!(
            fs::read_to_string(target.join("policies/deep/x.cedar")).unwrap(),
            "policies/deep/x.cedar"
        );
        assert!(write(&files, &target).is_err());
        assert!(write(&files, &target.join("store.toml")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
