//! The schema of a store.

use std::sync::Arc;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::finding::Severity;
use cedar_authorizer::store::schema::ResolvedSchema;
use cedar_policy::{Schema, SchemaFragment, Validator};
use serde_json::Value;

use super::files::Files;
use super::notes::{Note, SCHEMA_NOTE};
use crate::avp::moment::Moment;

/// The schema of a store, ready to validate with.
#[derive(Debug)]
pub struct StoredSchema {
    /// Cedar's JSON form, as text.
    pub json: String,
    /// The namespaces that it defines.
    pub namespaces: Vec<String>,
    /// The schema itself.
    pub schema: Schema,
    /// What validates policies against it.
    pub validator: Validator,
    /// The file that it is in.
    pub file: &'static str,
    pub created: Moment,
    pub updated: Moment,
    /// The bytes of file and note that it was read from.
    source: (Arc<[u8]>, Option<Arc<[u8]>>),
}

/// The files that a schema can be in.
pub const CEDAR_FILE: &str = "schema.cedarschema";
pub const JSON_FILE: &str = "schema.cedarschema.json";

impl StoredSchema {
    /// Reads the schema of a store. An unchanged one is not read again.
    pub fn read(
        files: &Files,
        previous: Option<&Arc<Self>>,
        mistakes: &mut Vec<String>,
    ) -> Option<Arc<Self>> {
        let (file, stored) = match (files.get(CEDAR_FILE), files.get(JSON_FILE)) {
            (Some(stored), None) => (CEDAR_FILE, stored),
            (None, Some(stored)) => (JSON_FILE, stored),
            (None, None) => return None,
            (Some(_), Some(_)) => {
                mistakes.push(format!("{JSON_FILE}: there is also `{CEDAR_FILE}`; keep one"));
                return None;
            }
        };
        let note = files.get(SCHEMA_NOTE).map(|note| Arc::clone(&note.bytes));
        let is_same = |known: &&Arc<Self>| {
            let (bytes, known_note) = &known.source;
            let same_note = match (known_note, &note) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => false,
            };
            known.file == file && Arc::ptr_eq(bytes, &stored.bytes) && same_note
        };
        if let Some(known) = previous.filter(is_same) {
            return Some(Arc::clone(known));
        }
        let dates: Note =
            note.as_ref().and_then(|note| serde_json::from_slice(note).ok()).unwrap_or_default();
        let created = dates.created_date.unwrap_or_else(|| stored.modified.into());
        match checked(file, &stored.bytes) {
            Ok(checked) => Some(Arc::new(Self {
                json: checked.json,
                namespaces: checked.namespaces,
                validator: Validator::new(checked.schema.clone()),
                schema: checked.schema,
                file,
                created,
                updated: dates.last_updated_date.unwrap_or(created),
                source: (Arc::clone(&stored.bytes), note),
            })),
            Err(found) => {
                mistakes.extend(found);
                None
            }
        }
    }
}

/// A schema that can be used.
#[derive(Debug)]
pub struct CheckedSchema {
    pub json: String,
    pub namespaces: Vec<String>,
    pub schema: Schema,
}

/// Reads a schema with the checks of the library: against nesting, and against types that explode. Needs room.
///
/// # Errors
/// All its mistakes, with positions.
pub fn checked(file: &'static str, bytes: &[u8]) -> Result<CheckedSchema, Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| vec![format!("{file}: the file is not UTF-8")])?;
    let mut files = StoreFiles::default();
    files.insert(file.to_owned(), bytes.to_vec());
    let (resolved, mut findings) = ResolvedSchema::of_store(&files);
    if resolved.is_none() {
        findings.retain(|finding| finding.severity == Severity::Error);
        return Err(findings
            .iter()
            .map(|finding| format!("{}: {}", finding.position, finding.message))
            .collect());
    }
    let unreadable = |error: &dyn std::fmt::Display| vec![format!("{file}: {error}")];
    let (json, schema) = if file == JSON_FILE {
        (text.to_owned(), Schema::from_json_str(text).map_err(|error| unreadable(&error))?)
    } else {
        let (fragment, _) = SchemaFragment::from_cedarschema_str(text).map_err(|error| unreadable(&error))?;
        let json = fragment.to_json_string().map_err(|error| unreadable(&error))?;
        let (schema, _) = Schema::from_cedarschema_str(text).map_err(|error| unreadable(&error))?;
        (json, schema)
    };
    let parsed: Value = serde_json::from_str(&json).map_err(|error| unreadable(&error))?;
    let namespaces = parsed.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    Ok(CheckedSchema { json, namespaces, schema })
}
