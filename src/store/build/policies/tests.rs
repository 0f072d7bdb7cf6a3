use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::SlotId;
use proptest::prelude::*;

use super::*;
use crate::bundle::Unreadable;
use crate::bundle::chunks::{ChunkId, ChunkMap, Origin, PlacedChunk, chunk_cache};
use crate::bundle::entities::StoredEntities;
use crate::bundle::policies::{PolicyIndex, Slice};
use crate::bundle::table::Table;
use crate::store::build::chunks::{AT_ONCE, ChunkSizes, WrittenChunk, WrittenMap};
use crate::store::build::table;

const POLICIES: &str = r#"
    permit (principal == User::"u", action, resource);
    permit (principal in Group::"g", action == Action::"read", resource) when { context.x == 1 };
    forbid (principal, action in [Action::"read", Action::"write"], resource in Folder::"f");
    permit (principal, action == Action::"write", resource);
    permit (principal, action, resource);
    permit (principal == ?principal, action, resource in ?resource);
"#;

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

fn set() -> PolicySet {
    let mut set = PolicySet::from_str(POLICIES).unwrap();
    let values =
        [(SlotId::principal(), uid("User::\"u\"")), (SlotId::resource(), uid("Folder::\"f\""))].into();
    let template = set.templates().next().unwrap().id().clone();
    set.link(template, PolicyId::new("link"), values).unwrap();
    set
}

/// The ids of the policies of a slice: permits and forbids without conditions, and those with conditions.
type Ids = [Vec<String>; 3];

fn written(set: &PolicySet) -> WrittenMap {
    let (mut rows, mut parts) = (Rows::default(), Parts::default());
    let (set, links) = TemplateLinks::split(set.clone());
    file(&set, &links, &mut parts, &mut rows).unwrap();
    rows.write(&parts).unwrap()
}

/// A map with one row.
fn with_row(key: &[u8], value: Vec<u8>) -> Rows {
    let mut rows = Rows::default();
    rows.insert(key.to_vec(), RowValue::Bytes(value));
    rows
}

fn slice(
    map: &WrittenMap,
    principals: &[EntityUid],
    action: &EntityUid,
    resource: &EntityUid,
) -> Result<Ids, Unreadable> {
    let map: ChunkMap = map.clone().open()?;
    let (index, entities) = (PolicyIndex::new(map.clone()), StoredEntities::new(map));
    let of_principal = index.for_principal(principals)?;
    let Slice { permits, forbids, conditional, .. } =
        index.slice(&of_principal, action, resource, &entities)?;
    let conditional: Vec<PolicyId> =
        index.policies(conditional)?.policies().map(|policy| policy.id().clone()).collect();
    Ok([permits, forbids, conditional].map(|ids| {
        let mut ids: Vec<String> = ids.iter().map(PolicyId::to_string).collect();
        ids.sort();
        ids
    }))
}

#[test]
fn a_slice_has_what_the_scopes_can_match_and_nothing_else() {
    let filed = written(&set());
    for (principal, action, resource, expected) in [
        ("User::\"u\"", "Action::\"read\"", "Doc::\"d\"", [vec!["policy0", "policy4"], vec![], vec![]]),
        (
            "User::\"u\"",
            "Action::\"x\"",
            "Folder::\"f\"",
            [vec!["link", "policy0", "policy4"], vec![], vec![]],
        ),
        ("Group::\"g\"", "Action::\"read\"", "Doc::\"d\"", [vec!["policy4"], vec![], vec!["policy1"]]),
        ("Group::\"g\"", "Action::\"write\"", "Doc::\"d\"", [vec!["policy3", "policy4"], vec![], vec![]]),
        (
            "Group::\"x\"",
            "Action::\"write\"",
            "Folder::\"f\"",
            [vec!["policy3", "policy4"], vec!["policy2"], vec![]],
        ),
        ("Group::\"x\"", "Action::\"other\"", "Folder::\"f\"", [vec!["policy4"], vec![], vec![]]),
    ] {
        let found = slice(&filed, &[uid(principal)], &uid(action), &uid(resource)).unwrap();
        assert_eq!(
            found,
            expected.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "{principal} {action} {resource}"
        );
    }
}

/// Looks up everything in a map. No lookup may panic.
fn look(map: &WrittenMap) {
    let principals = [uid("User::\"u\""), uid("Group::\"g\"")];
    for action in ["Action::\"read\"", "Action::\"write\""] {
        let _ = slice(map, &principals, &uid(action), &uid("Folder::\"f\""));
    }
    let _ = map.clone().open().map(|map| PolicyIndex::new(map).all().map(|_| ()));
}

/// The map with this in the place of its only chunk, as if it had been built like that.
fn with_chunk(bytes: Vec<u8>) -> WrittenMap {
    let id = ChunkId::of(&bytes).unwrap();
    let index = table::write(&[(Vec::new(), id.to_bytes().to_vec())].into()).unwrap();
    WrittenMap { index, chunks: vec![WrittenChunk { bytes, id, from: Vec::new() }] }
}

#[test]
fn what_policies_have_in_common_is_written_once() {
    let text = r#"
        permit (principal == User::"u", action == Action::"write", resource) when { context.x == 1 };
        forbid (principal == User::"v", action == Action::"write", resource) when { context.x == 1 };
    "#;
    let map = written(&PolicySet::from_str(text).unwrap());
    let found = slice(&map, &[uid("User::\"u\"")], &uid("Action::\"write\""), &uid("Doc::\"d\"")).unwrap();
    assert_eq!(found, [vec![], vec![], vec!["policy0".to_owned()]]);
    let map = map.open().unwrap();
    let chunk = map.chunks().next().unwrap().unwrap();
    let parts: Vec<&str> = chunk.parts.rows().map(|(text, _)| str::from_utf8(text).unwrap()).collect();
    let [conditions, action] = parts.as_slice() else { panic!("{parts:?}") };
    assert!(action.contains("write") && conditions.contains("context"), "{parts:?}");
    let rows: Vec<u8> = chunk.rows.rows().flat_map(|(_, value)| value.to_vec()).collect();
    assert!(!String::from_utf8_lossy(&rows).contains("write"), "{}", String::from_utf8_lossy(&rows));
}

/// Whether the one policy with conditions that concerns these is parsed.
fn is_ready(index: &PolicyIndex) -> bool {
    let principal = [uid("User::\"v\""), uid("Group::\"g\"")];
    let slice = index.slice_of(&principal, &[uid("Action::\"read\"")], &[uid("Thing::\"t\"")]).unwrap();
    let [policy] = slice.conditional.as_slice() else { panic!("{slice:?}") };
    policy.is_parsed()
}

#[test]
fn however_many_threads_write_the_bytes_are_the_same() {
    let text = |number: usize| {
        let condition = number % 7;
        format!(
            "permit (principal == User::\"u{number}\", action, resource) when {{ context.x == {condition} }};\n"
        )
    };
    let set = PolicySet::from_str(&(0..2000).map(text).collect::<String>()).unwrap();
    let (set, links) = TemplateLinks::split(set);
    let written = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let sizes = ChunkSizes { typical: 500, least: 500, largest: 5000 };
            let (mut rows, mut parts) = (Rows::in_chunks_of(sizes), Parts::default());
            file(&set, &links, &mut parts, &mut rows).unwrap();
            rows.write(&parts).unwrap()
        })
    };
    let one = written(1);
    assert!(one.chunks.len() > 2 * AT_ONCE, "{}", one.chunks.len());
    for threads in [2, 8] {
        let several = written(threads);
        assert_eq!(several.index, one.index);
        assert!(
            several.chunks.iter().map(|chunk| &chunk.bytes).eq(one.chunks.iter().map(|chunk| &chunk.bytes))
        );
    }
}

#[test]
fn policies_are_ready_before_a_call_needs_them() {
    for (most, expected) in [(0, false), (1, false), (100, true)] {
        let index = PolicyIndex::new(written(&set()).open().unwrap());
        index.prepare(most);
        assert_eq!(is_ready(&index), expected, "{most}");
    }
}

#[test]
fn what_is_away_is_not_asked_for_to_be_ready() {
    let WrittenMap { index, chunks } = written(&set());
    let placed = chunks.iter().map(|chunk| PlacedChunk { id: chunk.id, range: 0..0 }).collect();
    let origin = Origin::away(placed, chunk_cache(1 << 20));
    let map = ChunkMap::new(Table::open(index.into()).unwrap(), Arc::clone(&origin));
    let index = PolicyIndex::new(map);
    index.prepare(100);
    assert!(origin.wanted().is_empty());
    for WrittenChunk { bytes, id, .. } in chunks {
        origin.supply(id, &bytes.into()).unwrap();
    }
    index.prepare(100);
    assert!(is_ready(&index));
}

#[test]
fn all_policies_are_read_once() {
    let read = PolicyIndex::new(written(&set()).open().unwrap()).all().unwrap();
    let ids = |set: &PolicySet| {
        let policies = set.policies().map(|policy| policy.id().to_string());
        let mut ids: Vec<String> =
            policies.chain(set.templates().map(|template| template.id().to_string())).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&read), ids(&set()));
    assert_eq!(ids(&read).len(), 7);
}

#[test]
fn no_flipped_byte_and_no_truncation_leads_to_a_panic() {
    let map = written(&set());
    let [chunk] = map.chunks.as_slice() else { panic!("{map:?}") };
    for position in 0..chunk.bytes.len() {
        for by in [1, 0x80, 0xff] {
            let mut bytes = chunk.bytes.clone();
            bytes[position] ^= by;
            look(&with_chunk(bytes));
        }
        let cut = with_chunk(chunk.bytes[..position].to_vec());
        let action = uid("Action::\"read\"");
        assert_eq!(slice(&cut, &[], &action, &uid("Doc::\"d\"")), Err(Unreadable::Malformed), "{position}");
    }
}

#[test]
fn a_chunk_that_is_not_that_of_the_index_is_not_read() {
    let map = written(&set());
    for position in 0..map.chunks[0].bytes.len() {
        let mut altered = map.clone();
        altered.chunks[0].bytes[position] ^= 1;
        let found = slice(&altered, &[], &uid("Action::\"read\""), &uid("Doc::\"d\""));
        assert_eq!(found, Err(Unreadable::Malformed));
    }
}

#[test]
fn a_policy_that_cannot_be_read_is_not_left_out_in_silence() {
    let (action, resource) = (uid("Action::\"read\""), uid("Doc::\"d\""));
    let read = |value: Vec<u8>| {
        let map = with_row(key::OTHERS, value).write(&Parts::default()).unwrap();
        slice(&map, &[], &action, &resource)
    };
    let place = |filings: u32, row: u32, policies: &[(&str, &str)]| {
        let rows = policies.iter().map(|(id, text)| (id.as_bytes().to_vec(), text.as_bytes().to_vec()));
        let mut bytes = filings.to_le_bytes().to_vec();
        bytes.extend(ANY_ACTION.to_le_bytes());
        bytes.extend(row.to_le_bytes());
        bytes.extend(table::write(&rows.collect()).unwrap());
        bytes
    };
    let good = r#"{"effect":"permit","principal":{"op":"All"},"action":{"op":"All"},"resource":{"op":"All"},"conditions":[]}"#;
    assert_eq!(read(place(1, 0, &[("a", good)])), Ok([vec!["a".to_owned()], vec![], vec![]]));
    // Numbers that lead nowhere.
    for (filings, row, policies) in [(1, 0, vec![]), (1, 1, vec![("a", good)]), (2, 0, vec![("a", good)])] {
        assert_eq!(read(place(filings, row, &policies)), Err(Unreadable::Malformed));
    }
    let no_such_part =
        r#"{"effect":"permit","principal":99,"action":{"op":"All"},"resource":{"op":"All"},"conditions":[]}"#;
    for text in
        ["", "{}", "[]", "[\"link\", null, null]", "[\"a\", null, null]", "permit", "\u{1}", no_such_part]
    {
        assert_eq!(read(place(1, 0, &[("a", text)])), Err(Unreadable::Malformed), "{text}");
    }
}

#[test]
fn a_large_map_has_chunks_that_are_found_again() {
    let policies: String = (0..4000)
        .map(|number| {
            format!(
                "permit (principal == User::\"{number}\", action == Action::\"a{}\", resource) \
                 when {{ context.x == {} }};",
                number % 7,
                number % 3
            )
        })
        .collect();
    let set = PolicySet::from_str(&policies).unwrap();
    let map = written(&set);
    assert!(map.chunks.len() > 4, "{}", map.chunks.len());
    for number in (0..4000).step_by(97) {
        let (principal, action) = (format!("User::\"{number}\""), format!("Action::\"a{}\"", number % 7));
        let found = slice(&map, &[uid(&principal)], &uid(&action), &uid("Doc::\"d\"")).unwrap();
        assert_eq!(found, [vec![], vec![], vec![format!("policy{number}")]]);
        let other = format!("User::\"{number}x\"");
        let found = slice(&map, &[uid(&other)], &uid(&action), &uid("Doc::\"d\"")).unwrap();
        assert_eq!(found, [vec![], vec![], vec![]] as Ids);
    }

    // One policy more changes one chunk, or its neighbour with it.
    let more = format!("{policies} permit (principal == User::\"2000x\", action, resource);");
    let more = written(&PolicySet::from_str(&more).unwrap());
    let known: Vec<ChunkId> = map.chunks.iter().map(|chunk| chunk.id).collect();
    let changed = more.chunks.iter().filter(|chunk| !known.contains(&chunk.id)).count();
    assert!((1..=2).contains(&changed), "{changed} of {}", known.len());
}

proptest! {
    #[test]
    fn arbitrary_values_never_panic(
        place in proptest::sample::select(vec![b"User\0up".as_slice(), b"\0aAction\0read", b"Folder\0fr", b"\0*"]),
        value in proptest::collection::vec(any::<u8>(), 0..40),
        count in 0_u8..3,
    ) {
        let small = [&[count, 0, 0, 0], value.as_slice()].concat();
        for value in [value, small] {
            look(&with_row(place, value).write(&Parts::default()).unwrap());
        }
    }
}
