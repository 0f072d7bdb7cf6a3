//! A file that is written whole or not at all, however long it is.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;

use tempfile::NamedTempFile;

use crate::output::Failure;
use crate::runtime::runtime;

/// A file that is written under another name first. If it is dropped, or the program is interrupted, nothing is left.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl WholeFile {
    pub fn create(path: &Path) -> Result<Self, Failure> {
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let message = format!("`{}` is no file", path.display());
            return Err(Failure::could_not_run(message).hint("name a file by --output FILE"));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        // As any new file: it is made for others.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(|error| unwritable(path, &error))?;
        remove_if_interrupted(file.path().to_owned())?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    pub fn write_line(&mut self, line: &str) -> Result<(), Failure> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| unwritable(&self.path, &error))
    }

    /// Puts it in its place.
    pub fn keep(self) -> Result<(), Failure> {
        let Self { path, file } = self;
        let keep = || {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        keep().map_err(|error| unwritable(&path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display()))
        .hint("name a file by --output FILE")
}

/// A signal would end the program without removing the file.
fn remove_if_interrupted(file: PathBuf) -> Result<(), Failure> {
    let runtime = runtime()?;
    #[cfg(unix)]
    let signalled = {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = runtime.enter();
        let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::could_not_run)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(Failure::could_not_run)?;
        async move {
            tokio::select! { _ = interrupted.recv() => 130, _ = terminated.recv() => 143 }
        }
    };
    #[cfg(not(unix))]
    let signalled = async {
        let _ = tokio::signal::ctrl_c().await;
        130
    };
    let wait = move || {
        // The exit codes that shells give for these signals.
        let code = runtime.block_on(signalled);
        let _ = fs::remove_file(&file);
        process::exit(code);
    };
    thread::Builder::new().spawn(wait).map_err(Failure::could_not_run)?;
    Ok(())
}
