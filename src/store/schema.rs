//! The schema of a policy store, in Cedar's syntax or in the JSON that AVP exports.

use cedar_policy::{Schema, SchemaFragment, schema_str_to_json_with_resolved_types};
use miette::Diagnostic;

use super::StoreFiles;
use super::finding::{Code, Finding, Position};
use crate::projection::{Projection, ResolvedSchema};

pub(super) const CEDAR_FILE: &str = "schema.cedarschema";
pub(super) const JSON_FILE: &str = "schema.cedarschema.json";

/// A schema, with where it was read.
pub(super) struct StoreSchema {
    pub(super) schema: Schema,
    pub(super) projection: Projection,
    pub(super) file: &'static str,
    text: String,
}

impl StoreSchema {
    pub(super) fn read(files: &StoreFiles, findings: &mut Vec<Finding>) -> Option<Self> {
        let (file, text) = match (files.get(CEDAR_FILE), files.get(JSON_FILE)) {
            (Some(_), None) => (CEDAR_FILE, files.text(CEDAR_FILE, findings)?),
            (None, Some(_)) => (JSON_FILE, files.text(JSON_FILE, findings)?),
            (None, None) => {
                let message = format!("there is neither `{CEDAR_FILE}` nor `{JSON_FILE}`");
                findings.push(Finding::new(Code::SchemaMissing, Position::file(CEDAR_FILE), message));
                return None;
            }
            (Some(_), Some(_)) => {
                let message = format!("there is both `{CEDAR_FILE}` and `{JSON_FILE}`");
                findings.push(
                    Finding::new(Code::SchemaMissing, Position::file(JSON_FILE), message).hint("keep one"),
                );
                return None;
            }
        };
        let (schema, resolved) = match file {
            CEDAR_FILE => from_cedar(text, findings)?,
            _ => from_json(text, findings)?,
        };
        match Projection::from_schema(&resolved) {
            Ok(projection) => Some(Self { schema, projection, file, text: text.to_owned() }),
            Err(error) => {
                findings.push(Finding::new(Code::SchemaInvalid, Position::file(file), error));
                None
            }
        }
    }

    /// Where a text first stands in the schema.
    pub(super) fn find(&self, needle: &str) -> Position {
        Position::find(self.file, &self.text, needle)
    }
}

fn from_cedar(text: &str, findings: &mut Vec<Finding>) -> Option<(Schema, ResolvedSchema)> {
    let at = |offset| Position::offset(CEDAR_FILE, text, offset);
    let schema = match Schema::from_cedarschema_str(text) {
        Ok((schema, warnings)) => {
            findings.extend(warnings.map(|warning| {
                let offset = offset_of(&warning).unwrap_or_default();
                Finding::new(Code::SchemaWarning, at(offset), warning)
            }));
            schema
        }
        Err(error) => {
            let position = offset_of(&error).map_or_else(|| Position::file(CEDAR_FILE), at);
            findings.push(Finding::new(Code::SchemaInvalid, position, with_expectation(&error)));
            return None;
        }
    };
    resolve(text, CEDAR_FILE, findings).map(|resolved| (schema, resolved))
}

fn from_json(text: &str, findings: &mut Vec<Finding>) -> Option<(Schema, ResolvedSchema)> {
    let mut problem = |message: String| {
        let position = json_position(&message).unwrap_or_else(|| Position::file(JSON_FILE));
        findings.push(Finding::new(Code::SchemaInvalid, position, message));
    };
    let read = Schema::from_json_str(text)
        .and_then(|schema| Ok((schema, SchemaFragment::from_json_str(text)?)))
        .map_err(|error| error.to_string());
    let (schema, cedar) = match read {
        Ok((schema, fragment)) => match fragment.to_cedarschema() {
            Ok(cedar) => (schema, cedar),
            Err(error) => {
                problem(error.to_string());
                return None;
            }
        },
        Err(message) => {
            problem(message);
            return None;
        }
    };
    resolve(&cedar, JSON_FILE, findings).map(|resolved| (schema, resolved))
}

fn resolve(cedar: &str, file: &str, findings: &mut Vec<Finding>) -> Option<ResolvedSchema> {
    match schema_str_to_json_with_resolved_types(cedar) {
        Ok((json, _)) => Some(ResolvedSchema(json)),
        Err(error) => {
            findings.push(Finding::new(Code::SchemaInvalid, Position::file(file), error));
            None
        }
    }
}

/// The byte offset that a diagnostic of Cedar points to.
pub(super) fn offset_of(diagnostic: &dyn Diagnostic) -> Option<usize> {
    Some(diagnostic.labels()?.next()?.offset())
}

/// The message of a diagnostic with what its label adds, e.g. which tokens a parser expected.
pub(super) fn with_expectation(diagnostic: &dyn Diagnostic) -> String {
    let label = diagnostic.labels().and_then(|mut labels| labels.next()?.label().map(str::to_owned));
    match label {
        Some(label) => format!("{diagnostic}: {label}"),
        None => diagnostic.to_string(),
    }
}

/// The position that `serde_json` writes at the end of its messages, which is all that Cedar
/// hands on: `... at line 3 column 14`.
fn json_position(message: &str) -> Option<Position> {
    let (_, place) = message.rsplit_once(" at line ")?;
    let (line, column) = place.split_once(" column ")?;
    Some(Position::line(JSON_FILE, line.parse().ok()?, column.parse().ok()?))
}
