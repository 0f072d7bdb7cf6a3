//! Names for resources: made of ids, and the same as long as the ids are.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};

/// The names of the resources of one kind, by their ids.
///
/// `make` gives the name of an id. If several ids have one name, each that is not the name itself gets a part of its
/// hash, so that a name depends on no order.
pub fn names<'i>(
    ids: impl IntoIterator<Item = &'i str>,
    make: impl Fn(&str) -> String,
) -> BTreeMap<&'i str, String> {
    let ids: BTreeSet<&str> = ids.into_iter().collect();
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for id in ids {
        // Systems that compare without case are not among those that read this, but people are.
        by_name.entry(make(id)).or_default().push(id);
    }
    let mut names = BTreeMap::new();
    for (name, ids) in &by_name {
        for id in ids {
            let is_it = ids.len() == 1 || name.ends_with(id);
            names.insert(*id, if is_it { name.clone() } else { format!("{name}{}", hash(id)) });
        }
    }
    names
}

/// The first eight digits of the SHA-256 of a text, in upper case.
fn hash(text: &str) -> String {
    hex::encode_upper(digest(&SHA256, text.as_bytes()).as_ref()).chars().take(8).collect()
}

/// A logical id: letters and digits only, each word with a capital letter. `kind` keeps kinds apart.
pub fn logical_id(kind: &str, id: &str) -> String {
    let mut name = kind.to_owned();
    let mut is_start = true;
    for char in id.chars() {
        if !char.is_ascii_alphanumeric() {
            is_start = true;
        } else if name.len() < MAX_LOGICAL_ID {
            name.push(if is_start { char.to_ascii_uppercase() } else { char });
            is_start = false;
        }
    }
    name
}

/// The name of a resource of Terraform.
pub fn identifier(id: &str) -> String {
    let is_fine = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    let mut name: String = id.chars().map(|char| if is_fine(char) { char } else { '_' }).collect();
    if !name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_') {
        name.insert(0, '_');
    }
    name
}

/// AVP's name for an id: `name/<id>`. `None`: its pattern does not allow this.
pub fn avp_name(id: &str) -> Option<String> {
    let is_fine = |char: char| char.is_ascii_alphanumeric() || "-/_".contains(char);
    let name = format!("name/{id}");
    (!id.is_empty() && name.len() <= MAX_NAME && id.chars().all(is_fine)).then_some(name)
}

/// The name by which a policy is known in AVP: that of its id if the pattern allows it, otherwise one with a hash.
pub fn live_name(id: &str) -> String {
    if let Some(name) = avp_name(id).filter(|name| name.len() <= MAX_NAME - REPLACED.len()) {
        return name;
    }
    let start: String = identifier(id).chars().take(100).collect();
    format!("name/{start}-{}", hash(id))
}

/// The end of the name of a policy that is being replaced.
pub const REPLACED: &str = "/replaced";

/// A logical id has at most 255 characters (CloudFormation User Guide, "Resources section structure"); some remain for
/// a hash.
const MAX_LOGICAL_ID: usize = 240;

/// AVP API Reference, `CreatePolicy`.
const MAX_NAME: usize = 150;
