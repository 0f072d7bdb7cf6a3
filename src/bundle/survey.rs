//! What can be read in a file that may not be a complete bundle, and all that is wrong with it.
//!
//! [`Bundle::open`](super::Bundle::open) stops at the first fault and returns nothing. This continues as long as
//! there is something to read, for people who want to know what they have.

use bytes::Bytes;

use super::archive::{FORMAT_VERSION, FileEnd, Head, InvalidArchive, format_version, sha256_hex, take};
use super::chunks::{PlacedChunk, listed};
use super::layout::Layout;
use super::manifest::{Manifest, Member};
use super::opening::{MAP_CHUNKS, chunk_range, is_whole};
use super::outline::{MAP, SOURCES};
use super::signature::{KeyId, PublicKeys, SignatureStatus, Signatures};
use super::sources::{self, SourceFile};
use super::table::Table;

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
    /// The members of the head in the order of the manifest, and then the files that it was built from, each with its
    /// state.
    pub members: Vec<(Member, MemberState)>,
    /// All that is wrong with it, in the order of the file. The first problem is the reason to refuse the bundle.
    pub problems: Vec<InvalidArchive>,
}

/// The state of a member or of a file of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Its content is not what the manifest lists.
    Altered,
    /// The file ends before it ends.
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
        let version = format_version(bytes)?;
        self.format_version = Some(version);
        if version != FORMAT_VERSION {
            return Err(InvalidArchive::FormatVersion(version));
        }
        let FileEnd { head, head_start } = FileEnd::find(bytes, bytes.len() as u64)?;
        let Head { manifest, signatures, layout, rest } = Head::read(head)?;
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
        let layout = layout.content()?.intact().and_then(Layout::parse);
        if layout.is_none() {
            self.problems.push(InvalidArchive::LayoutAltered);
        }
        let manifest = self.manifest.insert(Manifest::read(manifest.bytes)?).clone();
        if let Err(problem) = manifest.check() {
            self.problems.push(problem.into());
        }
        let Some((map, sources)) = self.read_members(&manifest, rest) else {
            return Ok(());
        };
        match layout {
            Some(layout) => self.read_chunks(&layout, &map, &sources::listed(&sources)?, head_start, bytes),
            None => Ok(()),
        }
    }

    /// Reads the members of the head. Returns the index of the map and the table of sources, if they are whole.
    fn read_members(&mut self, manifest: &Manifest, mut rest: &[u8]) -> Option<(Table, Table)> {
        let (mut is_cut, mut map, mut sources) = (false, None, None);
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
                Some(content) => {
                    let table = || Table::open(Bytes::copy_from_slice(content)).ok();
                    match member.path.as_str() {
                        MAP => map = table(),
                        SOURCES => sources = table(),
                        _ => {}
                    }
                    MemberState::Whole
                }
            };
            if content.is_none() && !is_cut {
                self.problems.push(InvalidArchive::Truncated);
                is_cut = true;
            }
            self.members.push((member.clone(), state));
        }
        if !is_cut && !rest.is_empty() {
            self.problems.push(InvalidArchive::TrailingBytes);
        }
        map.zip(sources)
    }

    /// Reads the chunks of the map and of the sources.
    fn read_chunks(
        &mut self,
        layout: &Layout,
        map: &Table,
        sources: &[SourceFile],
        head_start: u64,
        bytes: &[u8],
    ) -> Result<(), InvalidArchive> {
        let map = listed(map).map_err(|_| InvalidArchive::ChunkAltered(MAP_CHUNKS.to_owned()))?;
        let ids: Vec<_> = map.iter().chain(sources.iter().flat_map(|file| &file.chunks)).copied().collect();
        let placed = layout.place(ids.into_iter(), &chunk_range(head_start))?;
        let (of_map, mut of_sources) =
            placed.split_at_checked(map.len()).ok_or(InvalidArchive::LayoutAltered)?;
        let is_whole = |placed: &PlacedChunk| is_whole(placed, bytes);
        if !of_map.iter().all(is_whole) {
            self.problems.push(InvalidArchive::ChunkAltered(MAP_CHUNKS.to_owned()));
        }
        for file in sources {
            let (own, rest) =
                of_sources.split_at_checked(file.chunks.len()).ok_or(InvalidArchive::LayoutAltered)?;
            of_sources = rest;
            let state = if own.iter().all(is_whole) { MemberState::Whole } else { MemberState::Altered };
            if state == MemberState::Altered {
                self.problems.push(InvalidArchive::ChunkAltered(file.path.clone()));
            }
            self.members.push((file.to_member(), state));
        }
        layout.check(&placed, &chunk_range(head_start), bytes)
    }
}
