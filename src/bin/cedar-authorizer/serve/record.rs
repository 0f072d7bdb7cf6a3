//! `--record`: requests with their answers, to look at or to decide again later.
//!
//! A line of JSON for each [`Exchange`], with the line of the decision log in `log`: it has the Cedar request. Nothing of
//! it has a token.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::exchange::Exchange;
use crate::locks;
use crate::output::{Failure, WARNING, paint, warn};

/// A file that exchanges are written to.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    /// `None`: it cannot be written any more, and that was said.
    file: Mutex<Option<File>>,
}

impl Recorder {
    /// Opens a file to add to it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let unwritable = |error| {
            Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display()))
                .hint("name a file by --record FILE")
        };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        // It has what tokens say of people.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(unwritable)?;
        end_line(&mut file).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(Some(file)) })
    }

    /// Adds an exchange. If that fails, it says so once.
    pub fn write(&self, exchange: &Exchange) {
        let Ok(mut line) = serde_json::to_vec(exchange) else { return };
        line.push(b'\n');
        let mut file = locks::lock(&self.file);
        // In one piece, so that whoever reads the file meanwhile sees whole lines.
        if let Some(Err(error)) = file.as_mut().map(|file| file.write_all(&line)) {
            let path = self.path.display();
            let text = format!("cannot write `{path}`: {error}; requests are no longer recorded");
            warn(&format_args!("{}: {text}", paint(WARNING, "warning")));
            *file = None;
        }
    }
}

/// Ends the last line if its writer was killed half-way.
fn end_line(file: &mut File) -> std::io::Result<()> {
    // Other files than regular ones, such as pipes, have no end to look at.
    if !file.metadata()?.is_file() || file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}
