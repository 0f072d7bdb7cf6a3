//! Bundles that were made out of the file of an older revision: they answer as the new one does.

use proptest::sample::Index;
use serde_json::json;

use super::away::{Asked, Away, asked, decided, open};
use super::worlds::{World, naive, world};
use super::*;
use crate::bundle::chunks::ChunkId;
use crate::bundle::opening::{Read, is_whole};
use crate::bundle::{Bundle, DevelopmentKeys, survey};
use crate::store::build::{Appended, append};

/// What is done to a store between two revisions.
#[derive(Clone, Debug)]
enum Change {
    RemovePolicy(Index),
    MovePolicy(Index, Index),
    RemoveLink(Index),
    RemoveEntity(Index),
    SetLevel(Index, i64),
    Nothing,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<Index>().prop_map(Change::RemovePolicy),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::MovePolicy(from, to)),
        any::<Index>().prop_map(Change::RemoveLink),
        any::<Index>().prop_map(Change::RemoveEntity),
        (any::<Index>(), 0..5_i64).prop_map(|(entity, level)| Change::SetLevel(entity, level)),
        Just(Change::Nothing),
    ]
}

impl Change {
    fn apply(&self, world: &mut World) {
        let World { policies, links, entities, .. } = world;
        match self {
            Self::RemovePolicy(at) if !policies.is_empty() => {
                policies.remove(at.index(policies.len()));
            }
            Self::MovePolicy(from, to) if !policies.is_empty() => {
                let policy = policies.remove(from.index(policies.len()));
                policies.insert(to.index(policies.len() + 1), policy);
            }
            Self::RemoveLink(at) if !links.is_empty() => {
                links.remove(at.index(links.len()));
            }
            Self::RemoveEntity(at) if !entities.is_empty() => {
                entities.remove(at.index(entities.len()));
            }
            Self::SetLevel(at, level) if !entities.is_empty() => {
                let count = entities.len();
                let entity = &mut entities[at.index(count)];
                if entity["uid"]["type"] != "Action" {
                    entity["attrs"]["level"] = json!(level);
                }
            }
            _ => {}
        }
    }
}

/// The files of a world, with one so long that a new revision saves bytes by keeping it.
fn files(world: &World) -> StoreFiles {
    let mut files = world.files();
    let comment: String =
        (0..4000_u32).map(|number| format!("// {}\n", number.wrapping_mul(2_654_435_761))).collect();
    files.insert("policies/long.cedar".to_owned(), comment.into_bytes());
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_appended_again_and_again_answers_as_what_is_written_anew(
        world in world(),
        sizes in sizes(),
        changes in proptest::collection::vec(proptest::collection::vec(change(), 1..3), 1..5),
        requests in proptest::collection::vec(asked(), 1..4),
    ) {
        let mut world = world;
        let (_, mut file) = built(&files(&world), sizes, 1);
        for (changes, revision) in changes.iter().zip(2..) {
            changes.iter().for_each(|change| change.apply(&mut world));
            let (store, new) = built(&files(&world), sizes, revision);
            let Appended { bytes, kept } = append(&file, &new).unwrap();
            let kept = usize::try_from(kept).unwrap();
            prop_assert!(bytes[..kept] == file[..kept]);
            let (of_old, of_new) = (Read::of(&file, file.len() as u64).unwrap(), Read::of(&new, new.len() as u64).unwrap());
            prop_assert_eq!(of_old.head_start, kept as u64);

            // A chunk that both have is not sent again, unless it comes with the head.
            let read = Read::of(&bytes, bytes.len() as u64).unwrap();
            let known: Vec<ChunkId> = of_old.chunks.map.iter().chain(&of_old.chunks.sources).map(|placed| placed.id).collect();
            let named = store.named_entities.iter().chain([&store.settings.resource]);
            let early = crate::store::build::chunks::early(&read.index, named);
            for (number, placed) in read.chunks.map.iter().enumerate() {
                prop_assert!(is_whole(placed, &bytes));
                let is_kept = placed.range.end <= kept as u64;
                let ids = read.chunks.map.iter().enumerate().filter(|(_, other)| other.id == placed.id);
                let is_early = ids.map(|(number, _)| number).any(|number| early.contains(&number));
                prop_assert!(is_kept || is_early || !known.contains(&placed.id), "{number}");
                prop_assert!(!is_kept || !early.contains(&number), "{number}");
            }
            prop_assert_eq!(read.chunks.map.len(), of_new.chunks.map.len());
            prop_assert!(survey(&bytes).problems.is_empty());

            let (of_file, of_new) = (open(&bytes), open(&new));
            prop_assert_eq!(of_file.digest(), of_new.digest());
            let away = Away::open(&bytes, 0, 0);
            for asked in &requests {
                let found = away.answer(|_| decided(&away.bundle, asked)).unwrap();
                let Asked { principal, action, resource, x } = asked;
                prop_assert_eq!(&found.0, &naive(&store, principal.clone(), action, resource, context(*x)));
                prop_assert_eq!(&found, &decided(&of_file, asked).unwrap());
                prop_assert_eq!(&found, &decided(&of_new, asked).unwrap());
            }
            file = bytes.to_vec();
        }
        // Every byte counts, those as well that nothing uses any more.
        for position in (0..file.len()).step_by(991) {
            file[position] ^= 1;
            prop_assert!(Bundle::open(file.clone(), DevelopmentKeys::Refuse).is_err(), "{position}");
            prop_assert!(!survey(&file).problems.is_empty(), "{position}");
            file[position] ^= 1;
        }
    }
}
