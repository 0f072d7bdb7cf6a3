//! Where the bundle to inspect is.

use std::fmt;
use std::path::{Path, PathBuf};

use cedar_authorizer::bundle::file::{self, UnreadableFile};
use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::function::source::{BundleUri, InvalidBundleUri};
use cedar_authorizer::store::build;
use cedar_authorizer::store::publish::{Object, Shelf, ShelfFailure};

use crate::output::Failure;
use crate::progress;
use crate::runtime::runtime;
use crate::store::StoreArgs;

/// A bundle, with the name that it was given.
#[derive(Clone, Debug)]
pub struct Source {
    text: String,
    uri: BundleUri,
}

/// Reads a path or URI.
pub fn parse(text: &str) -> Result<Source, InvalidBundleUri> {
    let uri = if text.starts_with("s3://") || text.starts_with("file://") {
        text.parse()?
    } else {
        BundleUri::File(PathBuf::from(text))
    };
    Ok(Source { text: text.to_owned(), uri })
}

impl Source {
    /// Reads the bytes, whatever they are. A policy store is built.
    pub fn read(&self) -> Result<Vec<u8>, Failure> {
        match &self.uri {
            BundleUri::File(path) if path.is_dir() => build(path),
            BundleUri::File(path) => file::read(path).map_err(|error| match error {
                UnreadableFile::TooLarge(_) => Failure::invalid(error),
                error => Failure::could_not_run(error),
            }),
            BundleUri::S3 { bucket, key, version_id } => self.download(bucket, key, version_id.as_deref()),
        }
    }

    /// The keys that it is checked with. A policy store has no signatures.
    pub fn trusted<'a>(&self, keys: Option<&'a PublicKeys>) -> Option<&'a PublicKeys> {
        match &self.uri {
            BundleUri::File(path) if path.is_dir() => None,
            _ => keys,
        }
    }

    fn download(&self, bucket: &str, key: &str, version_id: Option<&str>) -> Result<Vec<u8>, Failure> {
        let runtime = runtime()?;
        let download = async {
            let shelf = Shelf::open(bucket, key).await;
            match version_id {
                Some(id) => shelf.version(id).await,
                None => shelf.current().await,
            }
        };
        let object: Result<Option<Object>, ShelfFailure> =
            progress::during(format!("reading `{self}`"), || runtime.block_on(download));
        match object {
            Ok(Some(object)) => Ok(object.bytes.to_vec()),
            Ok(None) => Err(Failure::could_not_run(format_args!("`{self}` does not exist"))
                .hint(format!("`aws s3 ls s3://{bucket}/{key}` has the names that there are"))),
            Err(error) => {
                let hint = error.hint();
                let failure = if error.is_too_large() {
                    Failure::invalid(error)
                } else {
                    Failure::could_not_run(error)
                };
                Err(match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                })
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn build(path: &Path) -> Result<Vec<u8>, Failure> {
    let (store, files) = StoreArgs { store: path.to_owned() }.open()?;
    let build = || build::bundle(&store, &files, DIRECTORY_REVISION);
    progress::during("building the bundle", build).map_err(Failure::invalid)
}

/// The revision of a store that was never built, the same as in the function.
const DIRECTORY_REVISION: u64 = 0;
