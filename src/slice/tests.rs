use std::str::FromStr;

use proptest::prelude::*;

use super::*;

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

fn slice(
    (policies, index): (&[u8], &[u8]),
    principals: &[EntityUid],
    action: &EntityUid,
    resource: &EntityUid,
) -> Result<Ids, Unreadable> {
    let index = PolicyIndex::open(policies.to_vec().into(), index.to_vec().into())?;
    let entities = StoredEntities::write(&Entities::empty()).unwrap();
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
    let (policies, index) = filing::file(&set()).unwrap();
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
        let found = slice((&policies, &index), &[uid(principal)], &uid(action), &uid(resource)).unwrap();
        assert_eq!(
            found,
            expected.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "{principal} {action} {resource}"
        );
    }
}

/// Every look at these bytes: none may panic, and none may find fewer policies than it should without
/// saying so, unless the bytes are those of other policies.
fn look((policies, index): (&[u8], &[u8])) {
    let principals = [uid("User::\"u\""), uid("Group::\"g\"")];
    for action in ["Action::\"read\"", "Action::\"write\""] {
        let _ = slice((policies, index), &principals, &uid(action), &uid("Folder::\"f\""));
    }
}

#[test]
fn no_flipped_byte_and_no_truncation_leads_to_a_panic() {
    let (policies, index) = filing::file(&set()).unwrap();
    let altered = |bytes: &[u8], position: usize, by: u8| {
        let mut altered = bytes.to_vec();
        altered[position] ^= by;
        altered
    };
    for by in [1, 0x80, 0xff] {
        for position in 0..policies.len() {
            look((&altered(&policies, position, by), &index));
        }
        for position in 0..index.len() {
            look((&policies, &altered(&index, position, by)));
        }
    }
    for length in 0..policies.len() {
        assert!(
            PolicyIndex::open(policies[..length].to_vec().into(), index.clone().into()).is_err(),
            "{length}"
        );
    }
    for length in 0..index.len() {
        assert!(
            PolicyIndex::open(policies.clone().into(), index[..length].to_vec().into()).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_policy_that_cannot_be_read_is_not_left_out_in_silence() {
    let mut rows = std::collections::BTreeMap::new();
    let (_, index) = filing::file(&set()).unwrap();
    // Every policy number leads nowhere.
    let none = Table::write(&rows).unwrap();
    let (action, resource) = (uid("Action::\"read\""), uid("Doc::\"d\""));
    let read = |policies: &[u8]| slice((policies, &index), &[], &action, &resource);
    assert_eq!(read(&none), Err(Unreadable));
    for text in ["", "{}", "[]", "[\"link\", null, null]", "[\"a\", null, null]", "permit", "\u{1}"] {
        for id in ["a", "b", "c", "d", "e", "f", "link"] {
            rows.insert(id.into(), text.into());
        }
        assert_eq!(read(&Table::write(&rows).unwrap()), Err(Unreadable), "{text}");
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
        let places = [b"pUser\0u".as_slice(), b"aAction\0read", b"rFolder\0f", b"*"];
        let index = places.map(|place| (place.to_vec(), cells.clone())).into();
        look((&Table::write(&policies).unwrap(), &Table::write(&index).unwrap()));
    }
}
