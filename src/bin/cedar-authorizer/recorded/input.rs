//! Where records come from: files, folders and standard input, plain or compressed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::output::{Failure, printable};

/// A file of records, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// As it was given, or found in a folder.
    pub name: String,
    /// `None`: standard input.
    pub path: Option<PathBuf>,
}

/// The inputs with these names, each once. Of a folder: all files below it, in the order of their names.
///
/// # Errors
/// One does not exist, or there is none.
pub fn inputs(names: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let (mut inputs, mut known) = (Vec::new(), BTreeSet::new());
    for name in names {
        let mut paths = Vec::new();
        if name.as_os_str() == STDIN {
            paths.push(None);
        } else {
            let metadata =
                fs::metadata(name).map_err(|error| unreadable(&name.display().to_string(), &error))?;
            if metadata.is_dir() {
                let mut below = Vec::new();
                collect(name, &mut below).map_err(|error| unreadable(&name.display().to_string(), &error))?;
                below.sort();
                paths.extend(below.into_iter().map(Some));
            } else {
                paths.push(Some(name.clone()));
            }
        }
        for path in paths {
            let shown = path.as_deref().unwrap_or(Path::new(STDIN)).display().to_string();
            if known.insert(path.clone()) {
                inputs.push(Input { name: shown, path });
            }
        }
    }
    if inputs.is_empty() {
        return Err(Failure::could_not_run("there are no files in what was named")
            .hint("name files of records, or a folder with some; `-` is standard input"));
    }
    Ok(inputs)
}

/// Adds the files of a folder and of the folders in it. A link to a folder is not followed: it may lead in a circle.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            files.push(path);
        }
    }
    Ok(())
}

impl Input {
    /// Opens it. What is compressed with gzip is decompressed on the way.
    ///
    /// # Errors
    /// It cannot be read, or is in UTF-16.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, Failure> {
        let raw: Box<dyn Read + Send> = match &self.path {
            Some(path) => Box::new(File::open(path).map_err(|error| self.unreadable(&error))?),
            None => Box::new(io::stdin()),
        };
        let mut reader = raw;
        // Firehose may compress what CloudWatch Logs has compressed already.
        for _ in 0..=MAX_LAYERS {
            let begin = begin_of(&mut reader).map_err(|error| self.unreadable(&error))?;
            let is_compressed = begin.starts_with(&GZIP);
            if begin.starts_with(&[0xff, 0xfe]) || begin.starts_with(&[0xfe, 0xff]) {
                let message = format!("cannot read `{}`: it is in UTF-16", printable(&self.name));
                return Err(Failure::could_not_run(message).hint(
                    "write it as UTF-8: `aws logs ... > FILE` does so in cmd.exe and in PowerShell 7.4",
                ));
            }
            let begin = begin.strip_prefix(BYTE_ORDER_MARK).map(<[u8]>::to_vec).unwrap_or(begin);
            let whole = Cursor::new(begin).chain(reader);
            if !is_compressed {
                return Ok(Box::new(whole));
            }
            reader = Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(CHUNK, whole)));
        }
        Err(Failure::could_not_run(format_args!(
            "cannot read `{}`: it is compressed more than {MAX_LAYERS} times",
            printable(&self.name)
        )))
    }

    /// It could not be read to its end.
    pub fn unreadable(&self, error: &io::Error) -> Failure {
        let failure = unreadable(&self.name, error);
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                failure.hint("its compressed data are damaged; get it again, or leave it out")
            }
            _ => failure,
        }
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::could_not_run(format_args!("cannot read `{}`: {error}", printable(name)))
}

/// The first bytes, as many as there are, up to the length of the longest mark. A pipe may give them one by one.
fn begin_of(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    reader.take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut begin)?;
    Ok(begin)
}

const STDIN: &str = "-";

/// RFC 1952, 2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// How often something may be compressed.
const MAX_LAYERS: usize = 2;

const CHUNK: usize = 64 * 1024;
