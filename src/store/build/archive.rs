//! Writes the archive: the format is in the room `bundle`, in `archive.rs`.

use aws_lc_rs::digest::{SHA256, digest};
use cedar_policy::get_lang_version;

use super::signing::sign;
use super::{CannotBuild, Edition};
use crate::bundle::archive::{FORMAT_VERSION, MAGIC, sha256_hex};
use crate::bundle::signature::MAX_BYTES as MAX_SIGNATURES_BYTES;
use crate::bundle::{InvalidArchive, InvalidManifest, Manifest, Member};
use crate::time::UnixTime;

pub(super) fn pack<'a>(
    max_bytes: usize,
    name: &str,
    edition: &Edition<'_>,
    files: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<Vec<u8>, CannotBuild> {
    let (mut members, mut contents) = (Vec::new(), Vec::new());
    for (path, content) in files {
        let sha256 = sha256_hex(content);
        members.push(Member { path: path.to_owned(), size: content.len() as u64, sha256 });
        contents.extend_from_slice(content);
    }
    let manifest = manifest(name, edition, members);
    manifest.check_revision()?;
    let manifest = serde_json::to_vec(&manifest).map_err(InvalidManifest::Json)?;
    let signatures = match edition.signing_keys {
        [] => String::new(),
        keys => sign(&manifest, keys)?.to_json(),
    };
    let length = |length: usize| u32::try_from(length).map_err(|_| InvalidArchive::TooLarge);
    let archive = [
        MAGIC.as_slice(),
        &FORMAT_VERSION.to_le_bytes(),
        &length(manifest.len())?.to_le_bytes(),
        digest(&SHA256, &manifest).as_ref(),
        &length(signatures.len())?.to_le_bytes(),
        digest(&SHA256, signatures.as_bytes()).as_ref(),
        &manifest,
        signatures.as_bytes(),
        &contents,
    ]
    .concat();
    // Counts as many signatures as there may be, so that the limit does not depend on who signs.
    if archive.len() - signatures.len() + MAX_SIGNATURES_BYTES > max_bytes {
        return Err(InvalidArchive::TooLarge.into());
    }
    Ok(archive)
}

fn manifest(name: &str, edition: &Edition<'_>, members: Vec<Member>) -> Manifest {
    Manifest {
        name: name.to_owned(),
        tenant: edition.tenant.cloned(),
        revision: edition.revision,
        format_version: FORMAT_VERSION,
        created: edition.created.map(UnixTime::as_seconds),
        not_after: edition.not_after.map(UnixTime::as_seconds),
        cedar_version: get_lang_version().to_string(),
        members,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::MAX_BUNDLE_BYTES;
    use crate::bundle::archive::{Unpacked, unpack};
    use crate::bundle::outline::{COMPILED_FILES, OUTLINE};

    fn packed() -> Vec<u8> {
        let compiled = COMPILED_FILES.map(|path| (path, b"\0\0".as_slice()));
        let files: [(&str, &[u8]); 2] = [("entities.json", b"[]"), ("store.toml", b"[store]\n")];
        pack(MAX_BUNDLE_BYTES, "petstore", &7.into(), compiled.into_iter().chain(files)).unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let bytes = packed();
        let Unpacked { manifest, members, signatures, .. } = unpack(&bytes).unwrap();
        assert!(signatures.is_none());
        assert_eq!((manifest.name.as_str(), manifest.revision), ("petstore", 7));
        assert_eq!(members.get(OUTLINE), Some(b"\0\0".as_slice()));
        let files = members.to_files();
        let sources =
            files.iter().filter(|(path, _)| !path.starts_with("compiled/") && *path != "store.toml");
        assert_eq!(sources.collect::<Vec<_>>(), [("entities.json", b"[]".as_slice())]);
    }

    #[test]
    fn every_truncation_and_every_addition_is_refused() {
        let bundle = packed();
        for length in 0..bundle.len() {
            assert!(unpack(&bundle[..length]).is_err(), "{length}");
        }
        assert!(matches!(unpack(&[&bundle[..], b"\0"].concat()), Err(InvalidArchive::TrailingBytes)));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let bundle = packed();
        for position in 0..bundle.len() * 8 {
            let mut altered = bundle.clone();
            altered[position / 8] ^= 1 << (position % 8);
            assert!(unpack(&altered).is_err(), "bit {position}");
        }
    }

    #[test]
    fn members_that_do_not_belong_are_refused() {
        for paths in [
            ["../x", "store.toml"],
            ["policies/../../x.cedar", "store.toml"],
            ["policies/.x.cedar", "store.toml"],
            ["policies//x.cedar", "store.toml"],
            ["store.toml", "entities.json"],
            ["store.toml", "store.toml"],
        ] {
            let paths = COMPILED_FILES.into_iter().chain(paths);
            let bundle =
                pack(MAX_BUNDLE_BYTES, "x", &1.into(), paths.clone().map(|path| (path, b"".as_slice())))
                    .unwrap();
            let error = unpack(&bundle).unwrap_err();
            let paths: Vec<&str> = paths.collect();
            assert!(matches!(error, InvalidArchive::Manifest(InvalidManifest::Members)), "{paths:?}");
        }
        for missing in COMPILED_FILES {
            let paths = COMPILED_FILES.into_iter().chain(["store.toml"]).filter(|path| *path != missing);
            let bundle =
                pack(MAX_BUNDLE_BYTES, "x", &1.into(), paths.map(|path| (path, b"".as_slice()))).unwrap();
            let error = unpack(&bundle).unwrap_err();
            assert!(matches!(error, InvalidArchive::Manifest(InvalidManifest::Members)), "{missing}");
        }
    }

    #[test]
    fn another_format_version_is_named() {
        let mut bundle = packed();
        bundle[24] = 9;
        assert_eq!(
            unpack(&bundle).unwrap_err().to_string(),
            "the bundle has format version 9, this version reads 5"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(unpack(&tail).is_err());
            prop_assert!(unpack(&[MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes(), &tail].concat()).is_err());
        }
    }
}

#[cfg(test)]
mod survey_tests {
    use super::*;
    use crate::bundle::archive::unpack;
    use crate::bundle::outline::COMPILED_FILES;
    use crate::bundle::{MAX_BUNDLE_BYTES, MemberState, Survey, survey};

    fn compiled() -> impl Iterator<Item = (&'static str, &'static [u8])> {
        COMPILED_FILES.into_iter().map(|path| (path, b"".as_slice()))
    }

    fn packed() -> Vec<u8> {
        let files: [(&str, &[u8]); 3] =
            [("entities.json", b"[]"), ("policies/a.cedar", b""), ("store.toml", b"[store]\n")];
        pack(MAX_BUNDLE_BYTES, "petstore", &7.into(), compiled().chain(files)).unwrap()
    }

    /// The two readers of the format agree.
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
        let survey = agrees(
            &pack(MAX_BUNDLE_BYTES, "x", &1.into(), [misplaced].into_iter().chain(compiled())).unwrap(),
        );
        assert_eq!(survey.members.first_chunk(), Some(&[MemberState::Misplaced, MemberState::Whole]));
    }
}
