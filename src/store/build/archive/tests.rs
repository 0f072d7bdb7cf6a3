use proptest::prelude::*;

use super::*;
use crate::bundle::archive::{END_BYTES, START_BYTES, end_length};
use crate::bundle::outline::{COMPILED_FILES, MAP, OUTLINE, SOURCES};
use crate::bundle::{self, InvalidBundle, MAX_BUNDLE_BYTES, MemberState, StoreFiles, Survey, survey};
use crate::store::build::chunks::{RowValue, Rows, WrittenMap};
use crate::store::build::forms::Parts;
use crate::store::build::sources;

fn files() -> StoreFiles {
    let mut files = StoreFiles::default();
    for (path, content) in [("entities.json", "[]"), ("policies/a.cedar", ""), ("store.toml", "[store]\n")] {
        files.insert(path.to_owned(), content.into());
    }
    files
}

fn map() -> WrittenMap {
    let mut rows = Rows::default();
    for key in ["T\0ae", "T\0be", "\0*"] {
        rows.insert(key.into(), RowValue::Bytes(b"value".to_vec()));
    }
    rows.write(&Parts::default()).unwrap()
}

/// A bundle with these members instead of those that belong there.
fn packed_with(paths: &[&'static str]) -> Vec<u8> {
    let (files, map) = (files(), map());
    let sources = sources::write(&files).unwrap();
    let content = |path: &&'static str| {
        let content: &[u8] = match *path {
            MAP => &map.index,
            OUTLINE => b"\0\0",
            SOURCES => &sources.table,
            _ => b"{}",
        };
        (*path, content)
    };
    let members = paths.iter().map(content).collect();
    let content = Content { members, map: &map.chunks, early: [0].into(), sources: &sources.chunks };
    pack(MAX_BUNDLE_BYTES, "petstore", &7.into(), &content).unwrap()
}

fn packed() -> Vec<u8> {
    packed_with(&[&COMPILED_FILES[..], &["identity-sources/a.json"]].concat())
}

#[test]
fn what_is_packed_is_unpacked() {
    let unpacked = bundle::unpack(&packed()).unwrap();
    assert_eq!(unpacked.get(OUTLINE), Some(b"\0\0".as_slice()));
    assert_eq!(unpacked.get("identity-sources/a.json"), Some(b"{}".as_slice()));
    assert!(files().iter().all(|(path, content)| unpacked.get(path) == Some(content)));
    let manifest = survey(&packed()).manifest.unwrap();
    assert_eq!((manifest.name.as_str(), manifest.revision), ("petstore", 7));
}

#[test]
fn the_end_says_how_long_it_is() {
    let bundle = packed();
    let end = usize::try_from(end_length(&bundle).unwrap()).unwrap();
    let chunks = map().chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
    let sources: usize = files().iter().map(|(_, content)| content.len()).sum();
    assert_eq!(START_BYTES + chunks + sources + end, bundle.len());
    for length in 0..END_BYTES {
        assert!(end_length(&bundle[bundle.len() - length..]).is_err());
    }
    assert!(end_length(&bundle[bundle.len() - END_BYTES..]).is_ok());
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    let bundle = packed();
    for length in 0..bundle.len() {
        assert!(bundle::unpack(&bundle[..length]).is_err(), "{length}");
        assert!(bundle::unpack(&bundle[bundle.len() - length..]).is_err(), "the last {length}");
    }
    assert!(bundle::unpack(&[&bundle[..], b"\0"].concat()).is_err());
    assert!(bundle::unpack(&[b"\0", &bundle[..]].concat()).is_err());
    // A byte between the chunks, which belongs to nothing.
    for position in 0..=bundle.len() {
        let longer = [&bundle[..position], b"\0", &bundle[position..]].concat();
        assert!(bundle::unpack(&longer).is_err(), "{position}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let bundle = packed();
    for position in 0..bundle.len() * 8 {
        let mut altered = bundle.clone();
        altered[position / 8] ^= 1 << (position % 8);
        assert!(bundle::unpack(&altered).is_err(), "bit {position}");
    }
}

#[test]
fn members_that_do_not_belong_are_refused() {
    let refused = |paths: &[&'static str]| {
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        let error = bundle::unpack(&packed_with(&paths)).unwrap_err();
        let InvalidBundle::Archive(InvalidArchive::Manifest(InvalidManifest::Members)) = error else {
            panic!("{paths:?}: {error}");
        };
    };
    for other in ["../x", "policies/../../x.cedar", "policies/a.cedar", "policies//x.cedar", "store.toml"] {
        refused(&[&COMPILED_FILES[..], &[other]].concat());
    }
    for missing in COMPILED_FILES {
        let paths: Vec<&str> = COMPILED_FILES.into_iter().filter(|path| *path != missing).collect();
        refused(&paths);
    }
}

#[test]
fn sources_that_do_not_belong_are_refused() {
    for path in ["../x", "policies/../../x.cedar", "jwks/a.json", "identity-sources/a.json", "x"] {
        let table = BTreeMap::from([(path.as_bytes().to_vec(), vec![0; 32])]);
        let table = crate::store::build::table::write(&table).unwrap();
        let map = map();
        let members = [(MAP, map.index.as_slice()), (OUTLINE, b"{}"), (SOURCES, &table)].into();
        let content = Content { members, map: &map.chunks, early: BTreeSet::new(), sources: &[] };
        let bytes = pack(MAX_BUNDLE_BYTES, "x", &1.into(), &content).unwrap();
        let error = bundle::unpack(&bytes).unwrap_err();
        assert!(matches!(error, InvalidBundle::Archive(InvalidArchive::Sources)), "{path}: {error}");
    }
}

#[test]
fn another_format_version_is_named() {
    let mut bundle = packed();
    bundle[24] = 9;
    assert_eq!(
        bundle::unpack(&bundle).unwrap_err().to_string(),
        "the bundle has format version 9, this version reads 6"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(
        tail in proptest::collection::vec(any::<u8>(), 0..200),
        length in 0_u32..300,
    ) {
        prop_assert!(bundle::unpack(&tail).is_err());
        let start = [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes()].concat();
        let end = [&length.to_le_bytes(), &FORMAT_VERSION.to_le_bytes(), MAGIC.as_slice()].concat();
        prop_assert!(bundle::unpack(&[start.as_slice(), &tail].concat()).is_err());
        prop_assert!(bundle::unpack(&[start.as_slice(), &tail, &end].concat()).is_err());
        survey(&[start.as_slice(), &tail, &end].concat());
    }
}

/// The two readers of the format agree.
#[track_caller]
fn agrees(bytes: &[u8]) -> Survey {
    let survey = survey(bytes);
    let refused = bundle::unpack(bytes).err().map(|error| error.to_string());
    assert_eq!(survey.problems.first().map(ToString::to_string), refused);
    survey
}

#[test]
fn a_survey_refuses_what_a_bundle_is_refused_for() {
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
fn a_survey_reads_on_behind_a_fault() {
    let states = |survey: &Survey| -> Vec<(String, MemberState)> {
        survey.members.iter().map(|(member, state)| (member.path.clone(), *state)).collect()
    };
    let whole = packed();
    let expected =
        [MAP, OUTLINE, SOURCES, "identity-sources/a.json", "entities.json", "policies/a.cedar", "store.toml"];
    let named = |altered: &[&str]| -> Vec<(String, MemberState)> {
        let state = |path: &&str| {
            let is_altered = altered.contains(path);
            ((*path).to_owned(), if is_altered { MemberState::Altered } else { MemberState::Whole })
        };
        expected.iter().map(state).collect()
    };
    assert_eq!(states(&agrees(&whole)), named(&[]));

    // The sources come first in the file: `[]`, then `[store]`.
    let mut bundle = whole.clone();
    bundle[START_BYTES] ^= 1;
    bundle[START_BYTES + 3] ^= 1;
    let survey = agrees(&bundle);
    assert_eq!(states(&survey), named(&["entities.json", "store.toml"]));
    assert_eq!(survey.problems.len(), 2);

    // The last member of the head.
    let mut bundle = whole.clone();
    let end = bundle.len() - END_BYTES;
    bundle[end - 1] ^= 1;
    let survey = agrees(&bundle);
    assert_eq!(states(&survey), named(&["identity-sources/a.json"]));
    assert_eq!(survey.manifest.unwrap().revision, 7);
}

#[test]
fn a_member_that_does_not_belong_is_pointed_at() {
    let survey = agrees(&packed_with(&[&["../x"], &COMPILED_FILES[..]].concat()));
    let first: Vec<MemberState> = survey.members.iter().take(2).map(|(_, state)| *state).collect();
    assert_eq!(first, [MemberState::Misplaced, MemberState::Whole]);
}
