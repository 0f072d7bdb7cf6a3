//! What is to be published, and what was.

use bytes::Bytes;

use super::object::Object;
use crate::bundle::archive::sha256_hex;

/// What is to be published.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The current bundle, which is replaced. `None`: there is none.
    pub replaced: Option<&'a Object>,
    /// The revision as which the replaced bundle is kept, unless it is already in the history.
    pub kept_as: Option<u64>,
    /// The first revision that may be taken.
    pub first: u64,
    /// Unique to this attempt, which recognizes its own object by it.
    pub id: &'a str,
    /// What is stored beside the bundle in the history.
    pub companion: Option<&'a Companion<'a>>,
}

/// An object that is stored beside each bundle of the history, before the bundle becomes the current one.
pub struct Companion<'a> {
    /// What comes after the key of the bundle. It is not a number, so no companion is taken for a bundle.
    pub suffix: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// Makes the content for a revision and its bundle. The same bundle has to give the same content: after an
    /// interruption, the next attempt recognizes it.
    pub make: MakeCompanion<'a>,
}

/// Makes the content of a [`Companion`], or says why not.
pub type MakeCompanion<'a> = Box<dyn Fn(u64, &[u8]) -> Result<Vec<u8>, String> + 'a>;

/// A bundle that is now the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its revision.
    pub revision: u64,
    /// The bundle.
    pub bytes: Bytes,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The version of the object, in a bucket with versioning.
    pub version_id: Option<String>,
}

impl Published {
    pub(super) fn new(revision: u64, bytes: Bytes, version_id: Option<String>) -> Self {
        let sha256 = sha256_hex(&bytes);
        Self { revision, bytes, sha256, version_id }
    }
}
