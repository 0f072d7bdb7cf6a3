//! A policy store at one moment, ready for requests.

use std::sync::OnceLock;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::cedar::PolicySet;

use super::decide::Decider;
use super::error::ServiceError;

/// A policy store as it was after some change. It never changes, so that a request sees one state of the store
/// throughout.
#[derive(Debug)]
pub struct Snapshot {
    /// The files of the store.
    pub files: StoreFiles,
    /// All policies, templates and links, with AVP's ids.
    pub policies: PolicySet,
    /// Made for the first request: most changes are followed by other changes.
    decider: OnceLock<Result<Decider, ServiceError>>,
}

impl Snapshot {
    /// A store with these files; the policies in them do not count.
    pub fn new(files: StoreFiles, policies: PolicySet) -> Self {
        Self { files, policies, decider: OnceLock::new() }
    }

    /// What decides on requests.
    ///
    /// # Errors
    /// An `InternalServerException`: the files are not those of a usable store. Only people who edit them can cause
    /// that.
    pub fn decider(&self) -> Result<&Decider, ServiceError> {
        let decider = self.decider.get_or_init(|| Decider::new(&self.files, &self.policies));
        decider.as_ref().map_err(Clone::clone)
    }
}
