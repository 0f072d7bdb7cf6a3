//! Where the policies of a store are written.

use std::borrow::Cow;

use cedar_policy::PolicyId;

use super::finding::Position;
use super::policies::StorePolicies;
use super::room::with_room_on_all;
use crate::bundle::StoreFiles;

/// The texts of the policies, templates and template links of a store.
pub struct PolicySources<'a>(StorePolicies<'a>);

/// The text of one policy or template.
#[derive(Clone, Debug)]
pub struct PolicySource<'a> {
    /// The file, relative to the store.
    pub file: &'a str,
    /// The policy, from its first annotation or word. What follows its final semicolon does not belong to it.
    pub text: Cow<'a, str>,
    /// Where the text begins in the file, in bytes. `None`: the file is JSON, in which the text is escaped.
    pub offset: Option<usize>,
}

impl<'a> PolicySources<'a> {
    /// Reads the policies of a store. Whatever cannot be read has no source.
    pub fn read(files: &'a StoreFiles) -> Self {
        let read = || StorePolicies::read(files, &mut Vec::new());
        Self(with_room_on_all(read).unwrap_or_default())
    }

    /// The text of a policy or template. That of a template link is the text of its template.
    pub fn source(&self, policy: &PolicyId) -> Option<PolicySource<'_>> {
        self.0.text_of(self.with_text(policy))
    }

    /// Where something in the text of a policy or template is. `offset` is in bytes, from the beginning of the text.
    pub fn position(&self, policy: &PolicyId, offset: usize) -> Option<Position> {
        self.0.position_in(self.with_text(policy), offset)
    }

    /// The policy itself, or the template of a link.
    fn with_text<'p>(&'p self, policy: &'p PolicyId) -> &'p PolicyId {
        self.0.links.get(policy.as_ref()).map_or(policy, |link| link.template_id)
    }
}
