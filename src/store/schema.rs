//! The schema of a policy store, in Cedar's syntax or in the JSON that AVP exports.

use std::fmt::Display;

use cedar_policy::{Schema, SchemaFragment};
use miette::Diagnostic;

use super::StoreFiles;
use super::finding::{Code, Finding, Position};
use crate::projection::{ResolvedSchema, Shapes};
use crate::route::Route;

pub(super) const CEDAR_FILE: &str = "schema.cedarschema";
pub(super) const JSON_FILE: &str = "schema.cedarschema.json";

/// A schema, with where it was read.
#[derive(Clone)]
pub(super) struct StoreSchema {
    pub(super) schema: Schema,
    pub(super) shapes: Shapes,
    pub(super) file: &'static str,
    /// The routes that annotations of actions say.
    pub(super) annotated: Vec<Route>,
    text: String,
}

/// There is a schema that cannot be read, or none where one is needed; the findings say which.
pub(super) struct SchemaUnusable;

impl StoreSchema {
    /// Reads the schema. Without one the store can still be used, unless it is needed.
    pub(super) fn read(
        files: &StoreFiles,
        is_needed: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Self>, SchemaUnusable> {
        let file = match (files.get(CEDAR_FILE), files.get(JSON_FILE)) {
            (Some(_), None) => CEDAR_FILE,
            (None, Some(_)) => JSON_FILE,
            (None, None) if !is_needed => return Ok(None),
            (None, None) => {
                let message = format!("there is neither `{CEDAR_FILE}` nor `{JSON_FILE}`");
                findings.push(Finding::new(Code::SchemaMissing, Position::file(CEDAR_FILE), message));
                return Err(SchemaUnusable);
            }
            (Some(_), Some(_)) => {
                let message = format!("there is both `{CEDAR_FILE}` and `{JSON_FILE}`");
                findings.push(
                    Finding::new(Code::SchemaMissing, Position::file(JSON_FILE), message).hint("keep one"),
                );
                return Err(SchemaUnusable);
            }
        };
        Self::read_file(file, files, findings).map(Some).ok_or(SchemaUnusable)
    }

    fn read_file(file: &'static str, files: &StoreFiles, findings: &mut Vec<Finding>) -> Option<Self> {
        let text = files.text(file, findings)?;
        let (schema, resolved) = match file {
            CEDAR_FILE => from_cedar(text, findings)?,
            _ => from_json(text, findings)?,
        };
        match Shapes::from_schema(&resolved) {
            Ok(shapes) => {
                let annotated = resolved.annotated_routes();
                Some(Self { schema, shapes, file, annotated, text: text.to_owned() })
            }
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
    let mut problem =
        |error: &dyn Display| findings.push(Finding::json(Code::SchemaInvalid, JSON_FILE, error));
    let schema = Schema::from_json_str(text).map_err(|error| problem(&error)).ok()?;
    let fragment = SchemaFragment::from_json_str(text).map_err(|error| problem(&error)).ok()?;
    let cedar = fragment.to_cedarschema().map_err(|error| problem(&error)).ok()?;
    resolve(&cedar, JSON_FILE, findings).map(|resolved| (schema, resolved))
}

fn resolve(cedar: &str, file: &str, findings: &mut Vec<Finding>) -> Option<ResolvedSchema> {
    match ResolvedSchema::parse(cedar) {
        Ok(resolved) => Some(resolved),
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
