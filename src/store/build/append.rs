//! Makes the file of a new bundle out of the file of an old one, so that only what is new has to be sent.
//!
//! The new file begins with the bytes of the old one, up to its head. New chunks follow, and a new head, whose layout says
//! where each chunk is. Chunks that the new bundle does not have stay where they are and are listed as unused. The new head
//! has the same manifest and signatures as if the bundle had been written anew: they say nothing about places.

use std::collections::HashMap;
use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::archive::end;
use super::chunks::early;
use crate::bundle::archive::START_BYTES;
use crate::bundle::chunks::{ChunkId, PlacedChunk};
use crate::bundle::layout::{Layout, UnusedRange, slice};
use crate::bundle::opening::{Placed, Read, is_whole};
use crate::bundle::outline::{OUTLINE, Outline};

/// The file of a bundle that begins with bytes of another file.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The whole file.
    pub bytes: Bytes,
    /// How many bytes of the old file it begins with.
    pub kept: u64,
}

/// The file of the bundle `new`, made out of the file of the bundle `old`. `None`: it would save less than half of the
/// bytes, or half of the file would be unused, or one of the files is no bundle.
pub fn append(old: &[u8], new: &[u8]) -> Option<Appended> {
    let read = |bytes| Read::of(bytes, <[u8]>::len(bytes) as u64).ok();
    let (of_old, of_new) = (read(old)?, read(new)?);
    let outline: Outline = serde_json::from_slice(of_new.unpacked.members.get(OUTLINE)?).ok()?;
    let early = early(&of_new.index, outline.named_entities.iter().chain([&outline.resource]));

    let Placed { map, sources } = &of_old.chunks;
    let known = map.iter().chain(sources).filter(|placed| is_whole(placed, old));
    let known: HashMap<ChunkId, u64> = known.map(|placed| (placed.id, placed.range.start)).collect();
    let Placed { map, sources } = &of_new.chunks;
    let numbered = map.iter().enumerate().map(|(number, placed)| (early.contains(&number), placed));
    let mut chunks: Vec<(bool, &PlacedChunk)> =
        numbered.chain(sources.iter().map(|placed| (false, placed))).collect();
    // In the order of the new file, whose last chunks are those that are read first.
    chunks.sort_by_key(|(_, placed)| placed.range.start);

    let kept = of_old.head_start;
    let mut rest = Vec::new();
    let mut starts: HashMap<ChunkId, u64> = HashMap::new();
    let mut used: Vec<Range<u64>> = Vec::new();
    for (is_early, placed) in chunks {
        if starts.contains_key(&placed.id) {
            continue;
        }
        let start = match known.get(&placed.id) {
            Some(start) if !is_early => {
                used.push(*start..start.checked_add(u64::from(placed.id.size))?);
                *start
            }
            _ => {
                let start = kept.checked_add(rest.len() as u64)?;
                rest.extend_from_slice(slice(new, &placed.range)?);
                start
            }
        };
        starts.insert(placed.id, start);
    }
    let unused = unused(old, START_BYTES as u64..kept, used)?;
    let wasted: u64 = unused.iter().map(|unused| unused.length).sum();
    let start_of = |placed: &PlacedChunk| starts.get(&placed.id).copied();
    let starts = map.iter().chain(sources).map(start_of).collect::<Option<_>>()?;
    let layout = Layout { starts, unused };
    let members: Vec<&[u8]> = of_new.unpacked.members.iter().map(|(_, content)| content).collect();
    rest.extend(end(of_new.unpacked.signed, of_new.unpacked.envelope, &layout, &members).ok()?);

    let is_worth_it = rest.len() <= new.len() / 2 && wasted <= kept / 2;
    if !is_worth_it {
        return None;
    }
    let bytes = [slice(old, &(0..kept))?, &rest].concat();
    Some(Appended { bytes: bytes.into(), kept })
}

/// What is between the used ranges.
fn unused(file: &[u8], within: Range<u64>, mut used: Vec<Range<u64>>) -> Option<Vec<UnusedRange>> {
    used.sort_unstable_by_key(|range| (range.start, range.end));
    let (mut unused, mut end) = (Vec::new(), within.start);
    used.push(within.end..within.end);
    for range in used {
        if range.start > end {
            let content = slice(file, &(end..range.start))?;
            let sha256 = digest(&SHA256, content).as_ref().try_into().ok()?;
            unused.push(UnusedRange { start: end, length: range.start - end, sha256 });
        }
        end = end.max(range.end);
    }
    Some(unused)
}

#[cfg(test)]
mod tests {
    use cedar_policy::PolicyId;

    use super::*;
    use crate::bundle::{Bundle, DevelopmentKeys, StoreFiles, survey};
    use crate::store::build::{Edition, PrivateKey, bundle};
    use crate::store::{Store, directory};

    /// A store with this many policies, of which one says something of its own.
    fn files(count: usize, different: usize) -> StoreFiles {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
        let mut files = directory::read(path.as_ref()).unwrap();
        for file in 0..count.div_ceil(100) {
            let policy = |number: usize| {
                let name = if number == different { "different" } else { "alice" };
                let own = format!("{:x}", number.wrapping_mul(7919)).repeat(100);
                format!(
                    "permit (principal == PetStore::User::\"{number}\", action, resource) \
                     when {{ context.token.name == \"{name} {own}\" }};\n"
                )
            };
            let text: String = (file * 100..(file * 100 + 100).min(count)).map(policy).collect();
            files.insert(format!("policies/many/{file}.cedar"), text.into_bytes());
        }
        files
    }

    fn built(files: &StoreFiles, revision: u64, keys: &[PrivateKey]) -> Vec<u8> {
        let store = Store::open(files).unwrap();
        bundle(&store, files, Edition { signing_keys: keys, ..revision.into() }).unwrap()
    }

    #[test]
    fn a_changed_policy_is_appended_again_and_again_until_a_new_file_is_better() {
        let keys = [PrivateKey::generate().unwrap()];
        let mut file = built(&files(3000, usize::MAX), 1, &keys);
        let (mut appended, mut most) = (0, 0);
        for revision in 2..30 {
            let number = (revision as usize).wrapping_mul(2_654_435_761) % 3000;
            let new = built(&files(3000, number), revision, &keys);
            let Some(Appended { bytes, kept }) = append(&file, &new) else {
                break;
            };
            assert_eq!(bytes.get(..kept as usize), file.get(..kept as usize));
            let open = |bytes: Vec<u8>| Bundle::open(bytes, DevelopmentKeys::Allow).unwrap();
            let (of_file, of_new) = (open(bytes.to_vec()), open(new));
            assert_eq!(of_file.digest(), of_new.digest());
            let id = PolicyId::new(format!("{}#{}", number / 100, number % 100 + 1));
            assert!(of_file.policies().unwrap().policy(&id).unwrap().to_string().contains("different"));
            assert!(survey(&bytes).problems.is_empty());
            most = most.max(bytes.len() - kept as usize);
            file = bytes.to_vec();
            appended += 1;
        }
        assert!((3..28).contains(&appended), "{appended}");
        assert!(most < file.len() / 2, "{most} of {}", file.len());
    }

    #[test]
    fn every_byte_of_an_appended_file_is_accounted_for() {
        let (old, new) = (built(&files(2000, 1), 1, &[]), built(&files(2000, 1999), 2, &[]));
        let Appended { bytes, .. } = append(&old, &new).unwrap();
        for position in (0..bytes.len()).step_by(5003).chain(bytes.len() - 100..bytes.len()) {
            let mut altered = bytes.to_vec();
            altered[position] ^= 1;
            assert!(!survey(&altered).problems.is_empty(), "{position}");
            assert!(Bundle::open(altered, DevelopmentKeys::Allow).is_err(), "{position}");
        }
    }

    #[test]
    fn an_altered_chunk_is_not_taken_over() {
        let (old, new) = (built(&files(2000, 1), 1, &[]), built(&files(2000, 1999), 2, &[]));
        let mut altered = old.clone();
        altered[START_BYTES + 5] ^= 1;
        if let Some(Appended { bytes, .. }) = append(&altered, &new) {
            assert!(Bundle::open(bytes, DevelopmentKeys::Allow).is_ok());
        }
        assert!(append(&old[1..], &new).is_none() && append(&old, &new[1..]).is_none());
    }
}
