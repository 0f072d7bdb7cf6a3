//! The schema of a policy store, in Cedar's syntax or in the JSON that AVP exports.

mod resolved;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::ops::Range;

use cedar_policy::{Schema, SchemaFragment};
use miette::Diagnostic;
use serde_json::Value;

use super::finding::{Code, Finding, Position, Text};
use super::read_text;
use crate::bundle::files::{CEDAR_SCHEMA_FILE, JSON_SCHEMA_FILE, StoreFiles};
use crate::bundle::nesting;
use crate::gateway::route::Route;
use crate::projection::Shapes;
pub(super) use resolved::qualify;
pub use resolved::{ResolvedSchema, UnknownType};

/// A schema, and where it was read.
#[derive(Clone)]
pub(super) struct StoreSchema {
    pub(super) schema: Schema,
    pub(super) shapes: Shapes,
    pub(super) file: &'static str,
    /// The routes that annotations of actions declare.
    pub(super) annotated: Vec<Route>,
    /// The entity types of which the schema lists all entities.
    pub(super) enumerated: BTreeSet<String>,
    text: Text<'static>,
}

/// There is a schema that cannot be read, or none although one is needed. The findings say which.
pub(super) struct SchemaUnusable;

impl StoreSchema {
    /// Reads the schema. A store without one can still be used, unless a schema is needed.
    pub(super) fn read(
        files: &StoreFiles,
        is_needed: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Self>, SchemaUnusable> {
        match find_file(files, is_needed, findings)? {
            Some(file) => Self::read_file(file, files, findings).map(Some).ok_or(SchemaUnusable),
            None => Ok(None),
        }
    }

    fn read_file(file: &'static str, files: &StoreFiles, findings: &mut Vec<Finding>) -> Option<Self> {
        let text = read_text(files, file, findings)?;
        let (schema, resolved) = from_text(file, text, findings)?;
        match resolved.shapes() {
            Ok(shapes) => {
                let annotated = resolved.annotated_routes();
                let enumerated = resolved.enumerated();
                let text = Text::new(file, text.to_owned());
                Some(Self { schema, shapes, file, annotated, enumerated, text })
            }
            Err(error) => {
                findings.push(Finding::new(Code::SchemaInvalid, Position::file(file), error));
                None
            }
        }
    }

    /// The size of the schema in JSON, the form in which Verified Permissions takes it.
    pub(super) fn json_bytes(&self) -> Option<usize> {
        if self.file == JSON_SCHEMA_FILE {
            return Some(self.text.len());
        }
        let text = self.text.part(0..self.text.len())?;
        let (fragment, _) = SchemaFragment::from_cedarschema_str(text).ok()?;
        Some(fragment.to_json_value().ok()?.to_string().len())
    }

    /// Where a name is first found in the schema.
    pub(super) fn find(&self, name: &str) -> Position {
        self.text.find_word(name)
    }
}

impl ResolvedSchema {
    /// Reads the schema of a policy store, whatever is wrong with its other files. Returns all problems of the
    /// schema, and the schema unless one of them is an error.
    pub fn of_store(files: &StoreFiles) -> (Option<Self>, Vec<Finding>) {
        let mut findings = Vec::new();
        let file = find_file(files, true, &mut findings).ok().flatten();
        let resolved = file.and_then(|file| {
            let text = read_text(files, file, &mut findings)?;
            from_text(file, text, &mut findings)
        });
        (resolved.map(|(_, resolved)| resolved), findings)
    }
}

/// The file of the schema. A store without one can still be used, unless a schema is needed.
fn find_file(
    files: &StoreFiles,
    is_needed: bool,
    findings: &mut Vec<Finding>,
) -> Result<Option<&'static str>, SchemaUnusable> {
    match (files.get(CEDAR_SCHEMA_FILE), files.get(JSON_SCHEMA_FILE)) {
        (Some(_), None) => Ok(Some(CEDAR_SCHEMA_FILE)),
        (None, Some(_)) => Ok(Some(JSON_SCHEMA_FILE)),
        (None, None) if !is_needed => Ok(None),
        (None, None) => {
            let message = format!("there is neither `{CEDAR_SCHEMA_FILE}` nor `{JSON_SCHEMA_FILE}`");
            findings.push(Finding::new(Code::SchemaMissing, Position::file(CEDAR_SCHEMA_FILE), message));
            Err(SchemaUnusable)
        }
        (Some(_), Some(_)) => {
            let message = format!("there is both `{CEDAR_SCHEMA_FILE}` and `{JSON_SCHEMA_FILE}`");
            findings.push(
                Finding::new(Code::SchemaMissing, Position::file(JSON_SCHEMA_FILE), message).hint("keep one"),
            );
            Err(SchemaUnusable)
        }
    }
}

fn from_text(file: &str, text: &str, findings: &mut Vec<Finding>) -> Option<(Schema, ResolvedSchema)> {
    match file {
        CEDAR_SCHEMA_FILE => from_cedar(text, findings),
        _ => from_json(text, findings),
    }
}

fn from_cedar(text: &str, findings: &mut Vec<Finding>) -> Option<(Schema, ResolvedSchema)> {
    let places = Text::new(CEDAR_SCHEMA_FILE, text);
    if let Err(too_deep) = nesting::schema(text) {
        findings.push(Finding::new(Code::SchemaInvalid, places.at(too_deep.offset), too_deep));
        return None;
    }
    // Errors are left to the reader of schemas, which reports them.
    let fragment = SchemaFragment::from_cedarschema_str(text).ok();
    if let Some(json) = fragment.and_then(|(fragment, _)| fragment.to_json_value().ok()) {
        weigh(&json, CEDAR_SCHEMA_FILE, findings)?;
    }
    let schema = match Schema::from_cedarschema_str(text) {
        Ok((schema, warnings)) => {
            findings.extend(warnings.map(|warning| {
                let part = part_of(&warning).unwrap_or_default();
                Finding::new(Code::SchemaWarning, places.span(part), warning)
            }));
            schema
        }
        Err(error) => {
            let position =
                part_of(&error).map_or_else(|| Position::file(CEDAR_SCHEMA_FILE), |part| places.span(part));
            findings.push(Finding::new(Code::SchemaInvalid, position, with_expectation(&error)));
            return None;
        }
    };
    resolve(text, CEDAR_SCHEMA_FILE, findings).map(|resolved| (schema, resolved))
}

fn from_json(text: &str, findings: &mut Vec<Finding>) -> Option<(Schema, ResolvedSchema)> {
    if let Ok(json) = serde_json::from_str(text) {
        weigh(&json, JSON_SCHEMA_FILE, findings)?;
    }
    let mut problem =
        |error: &dyn Display| findings.push(Finding::json(Code::SchemaInvalid, JSON_SCHEMA_FILE, error));
    let schema = Schema::from_json_str(text).map_err(|error| problem(&error)).ok()?;
    let fragment = SchemaFragment::from_json_str(text).map_err(|error| problem(&error)).ok()?;
    let cedar = fragment.to_cedarschema().map_err(|error| problem(&error)).ok()?;
    resolve(&cedar, JSON_SCHEMA_FILE, findings).map(|resolved| (schema, resolved))
}

/// Refuses a schema whose common types come to too much when they are written out. Cedar writes them out wherever
/// they are named. If a type names another twice, which names a third twice, the size doubles with each level.
fn weigh(schema: &Value, file: &str, findings: &mut Vec<Finding>) -> Option<()> {
    let mut weights = Weights { schema, known: HashMap::new() };
    let parts = schema.as_object().into_iter().flatten().try_fold(0_usize, |parts, (namespace, body)| {
        let weight = weights.weigh(namespace, body, 0)?;
        Some(parts.saturating_add(weight.parts)).filter(|parts| *parts <= MAX_PARTS)
    });
    if parts.is_none() {
        let message = format!(
            "with its common types written out it has more than {MAX_PARTS} parts, or more than {MAX_LEVELS} levels"
        );
        findings.push(Finding::new(Code::SchemaInvalid, Position::file(file), message));
    }
    parts.map(|_| ())
}

/// The size of the parts of a schema when they are written out.
struct Weights<'a> {
    schema: &'a Value,
    /// The sizes of common types, by namespace and name. A type within itself counts nothing there: Cedar refuses
    /// it.
    known: HashMap<(&'a str, &'a str), Weight>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    parts: usize,
    levels: usize,
}

impl<'a> Weights<'a> {
    /// `None`: too large.
    fn weigh(&mut self, namespace: &'a str, part: &'a Value, level: usize) -> Option<Weight> {
        let mut all = Weight { parts: 1, levels: 1 };
        let mut add = |weight: Weight| {
            all.parts = all.parts.saturating_add(weight.parts);
            all.levels = all.levels.max(weight.levels + 1);
        };
        if level > MAX_LEVELS {
            return None;
        }
        match part {
            Value::Array(parts) => {
                for part in parts {
                    add(self.weigh(namespace, part, level + 1)?);
                }
            }
            Value::Object(parts) => {
                for part in parts.values() {
                    add(self.weigh(namespace, part, level + 1)?);
                }
                for name in ["type", "name"].iter().filter_map(|key| parts.get(*key)?.as_str()) {
                    add(self.common(namespace, name, level + 1)?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Some(all).filter(|all| all.parts <= MAX_PARTS && level + all.levels <= MAX_LEVELS)
    }

    /// The size of a common type, or nothing if there is none of this name.
    fn common(&mut self, namespace: &'a str, name: &'a str, level: usize) -> Option<Weight> {
        let of = |namespace: &'a str, name: &'a str| {
            let (namespace, body) = self.schema.as_object()?.get_key_value(namespace)?;
            let (name, definition) = body.get("commonTypes")?.as_object()?.get_key_value(name)?;
            Some((namespace.as_str(), name.as_str(), definition))
        };
        let found = match name.rsplit_once("::") {
            Some((namespace, name)) => of(namespace, name),
            None => of(namespace, name).or_else(|| of("", name)),
        };
        let Some((namespace, name, definition)) = found else {
            return Some(Weight::default());
        };
        if let Some(known) = self.known.get(&(namespace, name)) {
            return Some(*known).filter(|known| level + known.levels <= MAX_LEVELS);
        }
        self.known.insert((namespace, name), Weight::default());
        let weight = self.weigh(namespace, definition, level)?;
        self.known.insert((namespace, name), weight);
        Some(weight)
    }
}

/// This many parts take about a gigabyte once Cedar has written them out. A thousand actions with a context of a
/// hundred claims have a tenth of that.
const MAX_PARTS: usize = 4_000_000;

/// As deep as `serde_json` reads; it also reads bundles.
const MAX_LEVELS: usize = 128;

fn resolve(cedar: &str, file: &str, findings: &mut Vec<Finding>) -> Option<ResolvedSchema> {
    match ResolvedSchema::parse(cedar) {
        Ok(resolved) => Some(resolved),
        Err(error) => {
            findings.push(Finding::new(Code::SchemaInvalid, Position::file(file), error));
            None
        }
    }
}

/// The bytes that a diagnostic of Cedar points to.
pub(super) fn part_of(diagnostic: &dyn Diagnostic) -> Option<Range<usize>> {
    let label = diagnostic.labels()?.next()?;
    Some(label.offset()..label.offset() + label.len())
}

/// The message of a diagnostic and what its label adds, e.g. which tokens a parser expected.
pub(super) fn with_expectation(diagnostic: &dyn Diagnostic) -> String {
    let label = diagnostic.labels().and_then(|mut labels| labels.next()?.label().map(str::to_owned));
    match label {
        Some(label) => format!("{diagnostic}: {label}"),
        None => diagnostic.to_string(),
    }
}
