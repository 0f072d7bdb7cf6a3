//! The files of a policy store, and their places in it.
//!
//! ```text
//! store.toml                 settings
//! schema.cedarschema         or schema.cedarschema.json
//! policies/**/*.cedar        static policies, or as AVP's definitions in *.json
//! templates/**/*.cedar       policy templates
//! template-links.json        templates filled in
//! entities.json              group nesting and resources
//! identity-sources/*.json    in the shape of AVP's CreateIdentitySource
//! jwks/<name>.json           keys of the identity source of the same name
//! ```

use std::collections::BTreeMap;

pub(crate) const SETTINGS_FILE: &str = "store.toml";
pub(crate) const CEDAR_SCHEMA_FILE: &str = "schema.cedarschema";
pub(crate) const JSON_SCHEMA_FILE: &str = "schema.cedarschema.json";
pub(crate) const TEMPLATE_LINKS_FILE: &str = "template-links.json";
pub(crate) const ENTITIES_FILE: &str = "entities.json";
pub(crate) const POLICY_FOLDER: &str = "policies";
pub(crate) const TEMPLATE_FOLDER: &str = "templates";
pub(crate) const IDENTITY_SOURCE_FOLDER: &str = "identity-sources";
pub(crate) const KEY_FOLDER: &str = "jwks";

/// The files of a policy store, by their paths relative to it, with `/` between folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFiles(BTreeMap<String, Vec<u8>>);

impl StoreFiles {
    /// Adds a file.
    pub fn insert(&mut self, path: String, content: Vec<u8>) {
        self.0.insert(path, content);
    }

    /// Keeps only the files that have a place in the layout of a policy store.
    pub fn retain_known(&mut self) {
        self.0.retain(|path, _| Self::is_known(path));
    }

    /// The content of a file.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }

    /// All the files, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// Whether a path has a place in the layout of a policy store, and so in a bundle.
    pub fn is_known(path: &str) -> bool {
        const FILES: [&str; 5] =
            [SETTINGS_FILE, CEDAR_SCHEMA_FILE, JSON_SCHEMA_FILE, TEMPLATE_LINKS_FILE, ENTITIES_FILE];
        let in_folder = |folder, extension| is_in(path, folder, extension);
        FILES.contains(&path)
            || in_folder(POLICY_FOLDER, ".cedar")
            || in_folder(POLICY_FOLDER, ".json")
            || in_folder(TEMPLATE_FOLDER, ".cedar")
            || in_folder(IDENTITY_SOURCE_FOLDER, ".json")
            || in_folder(KEY_FOLDER, ".json")
    }
}

pub(crate) fn is_in(path: &str, folder: &str, extension: &str) -> bool {
    // Refuses names that a directory is read without, and ways out of it: no `//`, `.`, `..` or hidden file.
    let is_plain = |rest: &str| rest.split('/').all(|name| !name.is_empty() && !name.starts_with('.'));
    let inside = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    inside.is_some_and(is_plain) && path.ends_with(extension)
}
