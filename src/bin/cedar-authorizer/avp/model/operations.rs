//! All operations, and members that many of them share.

use super::{
    Member, Operation, Shape, authorization, identity_sources, optional, policies, required, stores, text,
};

/// Every operation.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    let groups: [&'static [Operation]; 4] = [
        &authorization::OPERATIONS,
        &identity_sources::OPERATIONS,
        &policies::OPERATIONS,
        &stores::OPERATIONS,
    ];
    groups.into_iter().flatten()
}

/// The operation of this name.
pub fn named(name: &str) -> Option<&'static Operation> {
    all().find(|operation| operation.name == name)
}

pub const CREATED_DATE: Member = required("createdDate", Shape::Timestamp);
pub const LAST_UPDATED_DATE: Member = required("lastUpdatedDate", Shape::Timestamp);
pub const MAX_RESULTS: Member = optional("maxResults", Shape::Integer { min: 1 });
pub const NEXT_TOKEN: Member = optional("nextToken", text::NEXT_TOKEN);
