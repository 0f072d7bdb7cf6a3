//! The entities of a policy store: how groups nest, and the resources.

use std::error::Error;

use cedar_policy::Entities;

use super::StoreFiles;
use super::finding::{Code, Finding, Position};
use super::schema::StoreSchema;
use crate::identity_source::IdentitySource;

pub(super) const FILE: &str = "entities.json";

/// Reads the entities and adds the actions of the schema to them.
pub(super) fn read(
    files: &StoreFiles,
    schema: Option<&StoreSchema>,
    findings: &mut Vec<Finding>,
) -> Option<Entities> {
    let schema = schema?;
    let text = match files.get(FILE) {
        Some(_) => files.text(FILE, findings)?,
        None => "[]",
    };
    match Entities::from_json_str(text, Some(&schema.schema)) {
        Ok(entities) => Some(entities),
        Err(error) => {
            let message = chain(&error);
            findings.push(Finding::new(Code::EntitiesInvalid, position(text, &message), message));
            None
        }
    }
}

/// Principals are made from tokens; one in the store would be a second truth about a user.
pub(super) fn check_principals<'a>(
    files: &StoreFiles,
    entities: &Entities,
    sources: impl Iterator<Item = &'a IdentitySource>,
    findings: &mut Vec<Finding>,
) {
    let text = files.text(FILE, &mut Vec::new()).unwrap_or_default();
    let types: Vec<_> = sources.map(IdentitySource::principal_type).collect();
    for entity in entities.iter() {
        let uid = entity.uid();
        if types.contains(&uid.type_name()) {
            let position = Position::find(FILE, text, &format!("{:?}", uid.id().unescaped()));
            let message = format!("`{uid}` is of the type of a principal, which only tokens make");
            findings.push(Finding::new(Code::EntityOfPrincipal, position, message));
        }
    }
}

fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

/// Cedar says what it dislikes by line and column of the JSON, or by naming the entity.
fn position(text: &str, message: &str) -> Position {
    let numbers = message
        .rsplit_once(" at line ")
        .and_then(|(_, place)| place.split_once(" column "))
        .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    if let Some((line, column)) = numbers {
        return Position::line(FILE, line, column);
    }
    let id = message
        .split_once("::\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(id, _)| format!("\"{id}\""));
    match id {
        Some(id) => Position::find(FILE, text, &id),
        None => Position::file(FILE),
    }
}
