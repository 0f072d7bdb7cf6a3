//! `import` and `export`: policy stores from elsewhere, and the way back.

/// Archives of Cedarling, and what others hide in such archives.
mod cedarling;
/// `import avp` and `export avp`, against `cedar-authorizer avp`.
mod live;
/// Personas and tests of imported stores.
mod recording;
/// Templates and plans.
mod templates;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::world::{CLI, root, stderr};

/// A folder in which stores are made.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the command line here.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(CLI);
        command.args(arguments).current_dir(self.0.path());
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "eu-west-1");
        command.env_remove("AWS_PROFILE").env("AWS_EC2_METADATA_DISABLED", "true");
        command.output().unwrap()
    }

    /// Runs it, and expects this exit code.
    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            stderr(&output)
        );
        output
    }

    /// The files of a store that count, without dates.
    fn files(&self, store: &str) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        collect(&self.path(store), "", &mut files);
        files
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            if name != ".avp" {
                collect(&path, &format!("{name}/"), files);
            }
        } else {
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// A file of the tests, for the command line.
fn data(name: &str) -> String {
    root().join("tests/data/porting").join(name).to_str().unwrap().to_owned()
}
