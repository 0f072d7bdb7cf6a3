//! `keygen`: the keys that sign and verify bundles.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cedar_authorizer::store::build::PrivateKey;
use clap::Args;
use zeroize::Zeroizing;

use crate::output::{Exit, Failure, print, warn};

/// Make a key to sign bundles with
///
/// Writes a new Ed25519 private key in PEM, which only its owner can read, and prints the public key in the form that
/// BUNDLE_PUBLIC_KEYS takes. An existing file is never replaced.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[command(after_help = "\
Examples:
  cedar-authorizer keygen --output bundle-key.pem
  cedar-authorizer keygen --public bundle-key.pem
  openssl genpkey -algorithm ed25519 | cedar-authorizer keygen --public -

To rotate keys: add the new public key to BUNDLE_PUBLIC_KEYS, behind a comma; sign with the new
private key, the first time with --public-keys and the old public key; remove the old public key.

Exit codes: 0 done, 1 could not read or write")]
pub struct Keygen {
    /// The file to write the new private key to
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the public key of this private key instead; `-` reads it from stdin
    #[arg(long, value_name = "FILE|-")]
    public: Option<PathBuf>,
}

impl Keygen {
    pub fn run(self) -> Result<Exit, Failure> {
        let Self { output, public } = self;
        let key = match public {
            Some(path) => read_private_key(&path)?,
            None => PrivateKey::generate().map_err(Failure::could_not_run)?,
        };
        if let Some(path) = output {
            let pem = key.to_pem().map_err(Failure::could_not_run)?;
            create_private(&path, pem.as_bytes()).map_err(|error| cannot_create(&path, &error))?;
            warn(&format_args!("wrote the private key to `{}`: keep it secret", path.display()));
        }
        print(key.public_key())?;
        Ok(Exit::Fine)
    }
}

/// Reads a private key from a file, or from stdin for `-`. It is never taken from an argument, which others on the
/// machine can see.
pub fn read_private_key(path: &Path) -> Result<PrivateKey, Failure> {
    let (name, text) = if path == Path::new("-") {
        ("stdin".to_owned(), read(io::stdin().lock()))
    } else {
        (format!("`{}`", path.display()), File::open(path).and_then(read))
    };
    let text = text.map_err(|error| Failure::could_not_run(format_args!("cannot read {name}: {error}")))?;
    text.parse().map_err(|error| {
        Failure::could_not_run(format_args!("cannot use {name}: {error}"))
            .hint("`cedar-authorizer keygen --output FILE` makes a private key")
    })
}

fn read(source: impl Read) -> io::Result<Zeroizing<String>> {
    // Full size from the start: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE_BYTES));
    source.take(MAX_KEY_FILE_BYTES as u64).read_to_string(&mut text)?;
    Ok(text)
}

/// Creates a file that only its owner can read, complete and in one step, unless the file exists.
fn create_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::could_not_run(format_args!("`{path}` exists already"))
            .hint("bundles may be signed with it: choose another file, or remove it yourself"),
        _ => Failure::could_not_run(format_args!("cannot write `{path}`: {error}")),
    }
}

/// A private key has 119 bytes. The largest PEM that one could confuse with it, of an RSA key, has 13,000.
const MAX_KEY_FILE_BYTES: usize = 16 * 1024;
