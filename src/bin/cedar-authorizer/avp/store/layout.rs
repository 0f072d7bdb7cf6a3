//! Where in a store something goes that AVP knows.
//!
//! A note comes before the file that it is about: with that file it begins to count.

use cedar_authorizer::store::statement::{self, Statement};
use serde_json::{Value, json};

use super::files::Step;
use super::index::NO_PRINCIPAL_TYPE;
use super::links::{self, WrittenLink};
use super::notes::{Kind, Note, file_name, written};

/// The file of a static policy that a client makes.
pub fn policy_file(id: &str) -> String {
    format!("policies/{}.cedar", file_name(id))
}

/// The file of a template that a client makes.
pub fn template_file(id: &str) -> String {
    format!("templates/{}.cedar", file_name(id))
}

/// The file of an identity source that a client makes.
pub fn identity_source_file(id: &str) -> String {
    format!("identity-sources/{}.json", file_name(id))
}

/// The id by which links name the only template of a file: its `@id`, or its place.
pub fn written_template_id(file: &str, statement: &str) -> String {
    let named = statement::read(statement).ok().and_then(|read| match read.into_iter().next()? {
        (_, Statement::Template(template)) => template.annotation("id").map(str::to_owned),
        (_, Statement::Static(_)) => None,
    });
    let name = file.rsplit('/').next().unwrap_or(file);
    named.unwrap_or_else(|| format!("{}#1", name.strip_suffix(".cedar").unwrap_or(name)))
}

/// A note and the file that it is about.
pub fn with_note(kind: Kind, id: &str, note: &Note, file: String, content: Vec<u8>) -> Vec<Step> {
    vec![(kind.note(id), Some(written(note))), (file, Some(content))]
}

/// A link and its note. `None`: `template-links.json` is not a list of links.
pub fn link(note: &Note, link: &WrittenLink, known: Option<&str>) -> Option<Vec<Step>> {
    let text = links::with(known, link)?;
    Some(with_note(Kind::Link, &link.id, note, links::FILE.to_owned(), text.into_bytes()))
}

/// The content of an identity source: what `CreateIdentitySource` takes.
pub fn identity_source(principal_entity_type: Option<&str>, configuration: &Value) -> Value {
    let mut configuration = configuration.clone();
    // Answers have it, requests do not.
    if let Some(pool) = configuration.get_mut("cognitoUserPoolConfiguration").and_then(Value::as_object_mut) {
        pool.remove("issuer");
    }
    json!({
        "principalEntityType": principal_entity_type.unwrap_or(NO_PRINCIPAL_TYPE),
        "configuration": configuration,
    })
}
