use std::str::FromStr;

use cedar_policy::SlotId;
use proptest::prelude::*;

use bytes::Bytes;
use cedar_policy::Entities;

use super::*;
use crate::bundle::Unreadable;
use crate::bundle::entities::StoredEntities;
use crate::bundle::policies::{PolicyIndex, Slice};
use crate::bundle::table::Table;

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

fn filed(set: PolicySet) -> PolicyMembers {
    let (set, links) = TemplateLinks::split(set);
    file(&set, &links).unwrap()
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

fn slice(
    PolicyMembers { policies, parts, index }: &PolicyMembers,
    principals: &[EntityUid],
    action: &EntityUid,
    resource: &EntityUid,
) -> Result<Ids, Unreadable> {
    let [policies, parts, index] = [policies, parts, index].map(|bytes| Bytes::from(bytes.clone()));
    let index = PolicyIndex::open(policies, parts, index)?;
    let entities = crate::store::build::entities::write(&Entities::empty()).unwrap();
    let entities = StoredEntities::open(entities.into())?;
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
    let filed = filed(set());
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

/// Looks up everything in these bytes. No lookup may panic. None may find fewer policies than it should without
/// an error, unless the bytes are those of other policies.
fn look(filed: &PolicyMembers) {
    let principals = [uid("User::\"u\""), uid("Group::\"g\"")];
    for action in ["Action::\"read\"", "Action::\"write\""] {
        let _ = slice(filed, &principals, &uid(action), &uid("Folder::\"f\""));
    }
}

#[test]
fn what_policies_have_in_common_is_written_once() {
    let text = r#"
        permit (principal == User::"u", action == Action::"write", resource) when { context.x == 1 };
        forbid (principal == User::"v", action == Action::"write", resource) when { context.x == 1 };
    "#;
    let filed = filed(PolicySet::from_str(text).unwrap());
    let found = slice(&filed, &[uid("User::\"u\"")], &uid("Action::\"write\""), &uid("Doc::\"d\"")).unwrap();
    assert_eq!(found, [vec![], vec![], vec!["policy0".to_owned()]]);
    let parts = Table::open(filed.parts.into()).unwrap();
    let parts: Vec<&str> =
        (0..parts.len()).map(|row| str::from_utf8(parts.row(row).unwrap().0).unwrap()).collect();
    let [conditions, action] = parts.as_slice() else { panic!("{parts:?}") };
    assert!(action.contains("write") && conditions.contains("context"), "{parts:?}");
    let policies = String::from_utf8_lossy(&filed.policies).into_owned();
    assert!(!policies.contains("write"), "{policies}");
}

#[test]
fn no_flipped_byte_and_no_truncation_leads_to_a_panic() {
    let members: [fn(&mut PolicyMembers) -> &mut Vec<u8>; 3] =
        [|filed| &mut filed.policies, |filed| &mut filed.parts, |filed| &mut filed.index];
    let good = filed(set());
    for member in members {
        let length = member(&mut good.clone()).len();
        for by in [1, 0x80, 0xff] {
            for position in 0..length {
                let mut filed = good.clone();
                member(&mut filed)[position] ^= by;
                look(&filed);
            }
        }
        for length in 0..length {
            let mut filed = good.clone();
            member(&mut filed).truncate(length);
            let PolicyMembers { policies, parts, index } = filed;
            assert!(PolicyIndex::open(policies.into(), parts.into(), index.into()).is_err(), "{length}");
        }
    }
}

#[test]
fn a_policy_that_cannot_be_read_is_not_left_out_in_silence() {
    let mut rows = BTreeMap::new();
    let (action, resource) = (uid("Action::\"read\""), uid("Doc::\"d\""));
    let read = |policies: Vec<u8>| {
        let filed = PolicyMembers { policies, ..filed(set()) };
        slice(&filed, &[], &action, &resource)
    };
    // Policy numbers that lead nowhere.
    assert_eq!(read(table::write(&rows).unwrap()), Err(Unreadable));
    let no_such_part =
        r#"{"effect":"permit","principal":99,"action":{"op":"All"},"resource":{"op":"All"},"conditions":[]}"#;
    for text in
        ["", "{}", "[]", "[\"link\", null, null]", "[\"a\", null, null]", "permit", "\u{1}", no_such_part]
    {
        for id in ["a", "b", "c", "d", "e", "f", "link"] {
            rows.insert(id.into(), text.into());
        }
        assert_eq!(read(table::write(&rows).unwrap()), Err(Unreadable), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_cells_never_panic(
        policies in proptest::collection::btree_map(
            proptest::sample::select(vec![b"link".to_vec(), b"policy0".to_vec(), b"x".to_vec()]),
            proptest::collection::vec(any::<u8>(), 0..30),
            0..3,
        ),
        cells in proptest::collection::vec(any::<u8>(), 0..30),
    ) {
        let indexed = [b"pUser\0u".as_slice(), b"aAction\0read", b"rFolder\0f", b"*"];
        let index = indexed.map(|place| (place.to_vec(), cells.clone())).into();
        let parts = [(cells, Vec::new())].into();
        let [policies, parts, index] = [policies, parts, index].map(|rows| table::write(&rows).unwrap());
        look(&PolicyMembers { policies, parts, index });
    }
}
