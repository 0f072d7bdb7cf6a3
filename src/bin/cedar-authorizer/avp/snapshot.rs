//! A policy store at one moment, as decisions need it.

use cedar_authorizer::bundle::StoreFiles;
use cedar_policy::PolicySet;

/// A policy store at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Its files, without what only Verified Permissions knows.
    pub files: StoreFiles,
    /// All policies, templates and links, with AVP's ids.
    pub policies: PolicySet,
}

impl Snapshot {
    /// A store with these files and policies.
    pub fn new(files: StoreFiles, policies: PolicySet) -> Self {
        Self { files, policies }
    }
}
