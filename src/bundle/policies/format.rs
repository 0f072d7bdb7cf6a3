//! The format of the policies of a bundle and of the index of their scopes.
//!
//! The member with the policies is a [table](crate::bundle::table) from the id of a policy or template to
//! one of three texts:
//!
//! ```text
//! {"effect":"permit", ...}                        a policy or template in Cedar's JSON form
//! ["template", ["T", "principal"], null]          a template link with the entities of its two slots
//! permit (principal, action, resource) ...        Cedar's own syntax, where JSON would lose something
//! ```
//!
//! JSON is read in half the time of Cedar's syntax and takes a third of the memory afterwards. Policies have much
//! in common. If several policies of the first form have the same part (a `principal`, an `action`, all
//! `conditions`), it is replaced by a number: its row in the table of parts. That table has the texts as keys,
//! and no values.
//!
//! The member with the index is a table from the place where a policy is filed to the policies there:
//!
//! ```text
//! p T\0id      the scope names this principal
//! r T\0id      it names no principal, but this resource
//! a T\0id      it names neither, but this action
//! *            it names none of them
//! ```
//!
//! (without the space). Each policy is two little-endian numbers: the row that this index has for an action of
//! its scope, or [`ANY_ACTION`], and its own row in the table of policies. A policy that names several actions is
//! there once for each of them. Every action that any policy names has a row.

/// For a policy whose scope names no action.
pub(crate) const ANY_ACTION: u32 = u32::MAX;

pub(crate) const PRINCIPAL: &str = "p";
pub(crate) const RESOURCE: &str = "r";
pub(crate) const ACTION: &str = "a";
pub(crate) const OTHERS: &[u8] = b"*";

/// The key under which the index has the policies that name an entity. `key` is the key of that entity.
pub(crate) fn index_key(prefix: &str, key: &str) -> String {
    format!("{prefix}{key}")
}
