//! The entities of a policy store: how groups nest, and the resources.

use cedar_policy::Entities;
use cedar_policy::entities_errors::EntitiesError;

use super::finding::{Code, Finding, Text, chain};
use super::read_text;
use super::schema::StoreSchema;
use crate::bundle::files::{ENTITIES_FILE, StoreFiles};
use crate::token::identity_source::IdentitySource;

/// Reads the entities. With a schema, its actions are among them.
pub(super) fn read(
    files: &StoreFiles,
    schema: Option<&StoreSchema>,
    findings: &mut Vec<Finding>,
) -> Option<Entities> {
    let text = match files.get(ENTITIES_FILE) {
        Some(_) => read_text(files, ENTITIES_FILE, findings)?,
        None => "[]",
    };
    match Entities::from_json_str(text, schema.map(|schema| &schema.schema)) {
        Ok(entities) => Some(entities),
        Err(error) => {
            findings.push(finding(text, &error));
            None
        }
    }
}

/// Finds principals among the entities. They are made from tokens; one in the store would contradict the token.
pub(super) fn check_principals(
    files: &StoreFiles,
    entities: &Entities,
    sources: &[&IdentitySource],
    findings: &mut Vec<Finding>,
) {
    let text = Text::new(ENTITIES_FILE, read_text(files, ENTITIES_FILE, &mut Vec::new()).unwrap_or_default());
    let types: Vec<_> = sources.iter().map(|source| source.principal_type()).collect();
    for entity in entities.iter() {
        let uid = entity.uid();
        if types.contains(&uid.type_name()) {
            let position = text.find_string(uid.id().unescaped());
            let message = format!("`{uid}` is of the type of a principal, which only tokens make");
            findings.push(Finding::new(Code::EntityOfPrincipal, position, message));
        }
    }
}

/// An error of Cedar as a finding: at line and column of the JSON if the error has them, otherwise at the entity
/// that it names.
fn finding(text: &str, error: &EntitiesError) -> Finding {
    let message = chain(error);
    let finding = Finding::json(Code::EntitiesInvalid, ENTITIES_FILE, &message);
    if finding.position.line.is_some() {
        return finding;
    }
    let id = message.split_once("::\"").and_then(|(_, rest)| rest.split_once('"'));
    match id {
        Some((id, _)) => {
            let position = Text::new(ENTITIES_FILE, text).find(&format!("\"{id}\""));
            Finding::new(Code::EntitiesInvalid, position, message)
        }
        None => finding,
    }
}
