//! What can be read of a file that may be no whole bundle, and all that is wrong with it.
//!
//! [`Bundle::open`](super::Bundle::open) stops at the first fault and gives nothing away. This goes
//! on for as long as there is something to be read, for people who want to know what they have.

use aws_lc_rs::digest::{SHA256, digest};

use super::archive::{FORMAT_VERSION, InvalidArchive, MAGIC, MAX_BYTES, hex, take, take_number};
use super::manifest::Manifest;
use super::signature::{KeyId, PublicKeys, SignatureStatus, Signatures};

/// What can be read of a file. Nothing vouches for it unless there are no problems.
#[derive(Debug, Default)]
pub struct Survey {
    /// The format version, also one that this version does not read.
    pub format_version: Option<u32>,
    /// The manifest as it stands there.
    pub manifest: Option<Manifest>,
    /// The signatures, which nobody has verified. `None`: there are none.
    pub signatures: Option<Signatures>,
    /// The text of the manifest, which is what signatures are of.
    signed: Vec<u8>,
    /// How each member of the manifest is, in its order.
    pub members: Vec<MemberState>,
    /// All that is wrong with it, in the order of the file. The first is what a bundle is refused for.
    pub problems: Vec<InvalidArchive>,
}

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Its content is not the one that the manifest lists.
    Altered,
    /// The file ends before it does.
    Incomplete,
    /// A bundle has no place for it.
    Misplaced,
    /// It is what the manifest lists.
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
    /// What is known of each signature.
    pub fn check_signatures(&self, trusted: Option<&PublicKeys>) -> Vec<(KeyId, SignatureStatus)> {
        let signatures =
            self.signatures.iter().flat_map(|signatures| signatures.check(&self.signed, trusted));
        signatures.map(|(key_id, status)| (key_id.clone(), status)).collect()
    }

    /// Notes the problems behind which there is more to be read. The error is the one behind which there is not.
    fn read(&mut self, bytes: &[u8]) -> Result<(), InvalidArchive> {
        if bytes.len() > MAX_BYTES {
            return Err(InvalidArchive::TooLarge);
        }
        let mut rest = bytes;
        if take(&mut rest, MAGIC.len()) != Some(MAGIC.as_slice()) {
            return Err(InvalidArchive::NotABundle);
        }
        let version = take_number(&mut rest)?;
        self.format_version = Some(version);
        if version != FORMAT_VERSION {
            return Err(InvalidArchive::FormatVersion(version));
        }
        let length = take_number(&mut rest)? as usize;
        let manifest_digest = take(&mut rest, SHA256.output_len()).ok_or(InvalidArchive::Truncated)?;
        let signatures_length = take_number(&mut rest)? as usize;
        let signatures_digest = take(&mut rest, SHA256.output_len()).ok_or(InvalidArchive::Truncated)?;
        let json = take(&mut rest, length).ok_or(InvalidArchive::Truncated)?;
        json.clone_into(&mut self.signed);
        if digest(&SHA256, json).as_ref() != manifest_digest {
            self.problems.push(InvalidArchive::ManifestAltered);
        }
        let signatures = take(&mut rest, signatures_length).ok_or(InvalidArchive::Truncated)?;
        if digest(&SHA256, signatures).as_ref() != signatures_digest {
            self.problems.push(InvalidArchive::SignaturesAltered);
        }
        if !signatures.is_empty() {
            match Signatures::parse(signatures) {
                Ok(signatures) => self.signatures = Some(signatures),
                Err(problem) => self.problems.push(problem.into()),
            }
        }
        let manifest = self.manifest.insert(Manifest::read(json)?);
        if let Err(problem) = manifest.check() {
            self.problems.push(problem.into());
        }

        let mut is_cut = false;
        for member in &manifest.members {
            let size = usize::try_from(member.size).ok().filter(|_| !is_cut);
            let content = size.and_then(|size| take(&mut rest, size));
            let state = match content {
                None => MemberState::Incomplete,
                Some(content) if hex(digest(&SHA256, content).as_ref()) != member.sha256 => {
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
        match is_cut || rest.is_empty() {
            true => Ok(()),
            false => Err(InvalidArchive::TrailingBytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::archive::{pack, unpack};
    use crate::bundle::outline;

    fn compiled() -> impl Iterator<Item = (&'static str, &'static [u8])> {
        outline::FILES.into_iter().map(|path| (path, b"".as_slice()))
    }

    fn packed() -> Vec<u8> {
        let files: [(&str, &[u8]); 3] =
            [("entities.json", b"[]"), ("policies/a.cedar", b""), ("store.toml", b"[store]\n")];
        pack(MAX_BYTES, "petstore", &7.into(), compiled().chain(files)).unwrap()
    }

    /// The two readers of the format say the same.
    #[track_caller]
    fn agrees(bytes: &[u8]) -> Survey {
        let survey = survey(bytes);
        let refused = unpack(bytes).err().map(|error| error.to_string());
        assert_eq!(survey.problems.first().map(ToString::to_string), refused);
        assert_eq!(
            survey.members.len(),
            survey.manifest.as_ref().map_or(0, |manifest| manifest.members.len())
        );
        survey
    }

    #[test]
    fn it_refuses_what_a_bundle_is_refused_for() {
        let bundle = packed();
        assert!(agrees(&bundle).problems.is_empty());
        agrees(&[&bundle[..], b"\0"].concat());
        for length in 0..bundle.len() {
            agrees(&bundle[..length]);
        }
        for position in 0..bundle.len() * 8 {
            let mut altered = bundle.clone();
            altered[position / 8] ^= 1 << (position % 8);
            assert!(!agrees(&altered).problems.is_empty());
        }
    }

    #[test]
    fn it_reads_on_behind_a_fault() {
        let mut bundle = packed();
        let end = bundle.len();
        bundle[end - 1] ^= 1;
        bundle[end - 9] ^= 1;
        bundle.push(0);
        let survey = agrees(&bundle);
        assert_eq!(
            survey.members.last_chunk(),
            Some(&[MemberState::Altered, MemberState::Whole, MemberState::Altered])
        );
        assert_eq!(survey.problems.len(), 3);

        let survey = agrees(&packed()[..end - 9]);
        assert_eq!(survey.members.last_chunk(), Some(&[MemberState::Incomplete; 3]));
        assert_eq!(survey.problems.len(), 1);
        assert_eq!(survey.manifest.unwrap().revision, 7);
    }

    #[test]
    fn a_member_that_does_not_belong_is_pointed_at() {
        let misplaced: (&str, &[u8]) = ("../x", b"1");
        let survey =
            agrees(&pack(MAX_BYTES, "x", &1.into(), [misplaced].into_iter().chain(compiled())).unwrap());
        assert_eq!(survey.members.first_chunk(), Some(&[MemberState::Misplaced, MemberState::Whole]));
    }
}
