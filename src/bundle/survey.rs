//! What can be read in a file that may not be a complete bundle, and all that is wrong with it.
//!
//! [`Bundle::open`](super::Bundle::open) stops at the first fault and returns nothing. This continues as long as
//! there is something to read, for people who want to know what they have.

use super::archive::{FORMAT_VERSION, Head, InvalidArchive, format_version, sha256_hex, take};
use super::manifest::Manifest;
use super::signature::{KeyId, PublicKeys, SignatureStatus, Signatures};

/// What can be read in a file. Nothing in it is confirmed unless there are no problems.
#[derive(Debug, Default)]
pub struct Survey {
    /// The format version, also one that this version does not read.
    pub format_version: Option<u32>,
    /// The manifest as it is in the file.
    pub manifest: Option<Manifest>,
    /// The signatures, not verified. `None`: there are none.
    pub signatures: Option<Signatures>,
    /// The text of the manifest, which the signatures sign.
    signed: Vec<u8>,
    /// The state of each member, in the order of the manifest.
    pub members: Vec<MemberState>,
    /// All that is wrong with it, in the order of the file. The first problem is the reason to refuse the bundle.
    pub problems: Vec<InvalidArchive>,
}

/// The state of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Its content is not what the manifest lists.
    Altered,
    /// The file ends before the member ends.
    Incomplete,
    /// It has no place in a bundle.
    Misplaced,
    /// Its content is what the manifest lists.
    Whole,
}

impl MemberState {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Incomplete => "incomplete",
            Self::Misplaced => "misplaced",
            Self::Whole => "whole",
        }
    }
}

/// Reads what can be read of a file.
pub fn survey(bytes: &[u8]) -> Survey {
    let mut survey = Survey::default();
    if let Err(problem) = survey.read(bytes) {
        survey.problems.push(problem);
    }
    survey
}

impl Survey {
    /// The status of each signature.
    pub fn check_signatures(&self, trusted: Option<&PublicKeys>) -> Vec<(KeyId, SignatureStatus)> {
        let signatures =
            self.signatures.iter().flat_map(|signatures| signatures.check(&self.signed, trusted));
        signatures.map(|(key_id, status)| (key_id.clone(), status)).collect()
    }

    /// Records the problems after which there is more to read. The error is the one after which there is not.
    fn read(&mut self, bytes: &[u8]) -> Result<(), InvalidArchive> {
        let (version, rest) = format_version(bytes)?;
        self.format_version = Some(version);
        if version != FORMAT_VERSION {
            return Err(InvalidArchive::FormatVersion(version));
        }
        let Head { manifest, signatures, mut rest } = Head::read(rest)?;
        let manifest = manifest.content()?;
        manifest.bytes.clone_into(&mut self.signed);
        if !manifest.is_intact {
            self.problems.push(InvalidArchive::ManifestAltered);
        }
        let signatures = signatures.content()?;
        if !signatures.is_intact {
            self.problems.push(InvalidArchive::SignaturesAltered);
        }
        if !signatures.bytes.is_empty() {
            match Signatures::parse(signatures.bytes) {
                Ok(signatures) => self.signatures = Some(signatures),
                Err(problem) => self.problems.push(problem.into()),
            }
        }
        let manifest = self.manifest.insert(Manifest::read(manifest.bytes)?);
        if let Err(problem) = manifest.check() {
            self.problems.push(problem.into());
        }

        let mut is_cut = false;
        for member in &manifest.members {
            let size = usize::try_from(member.size).ok().filter(|_| !is_cut);
            let content = size.and_then(|size| take(&mut rest, size));
            let state = match content {
                None => MemberState::Incomplete,
                Some(content) if sha256_hex(content) != member.sha256 => {
                    self.problems.push(InvalidArchive::MemberAltered(member.path.clone()));
                    MemberState::Altered
                }
                Some(_) if !member.belongs() => MemberState::Misplaced,
                Some(_) => MemberState::Whole,
            };
            if content.is_none() && !is_cut {
                self.problems.push(InvalidArchive::Truncated);
                is_cut = true;
            }
            self.members.push(state);
        }
        if is_cut || rest.is_empty() { Ok(()) } else { Err(InvalidArchive::TrailingBytes) }
    }
}
