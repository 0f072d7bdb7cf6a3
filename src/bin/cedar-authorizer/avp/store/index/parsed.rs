//! A file with policies, parsed once.

use std::ops::Range;
use std::sync::Arc;

use cedar_authorizer::store::statement::{self, InvalidStatement, Statement};
use cedar_policy::{Policy, Template};
use serde::{Deserialize, Serialize};

use super::{Place, json_mistake};

/// A file with policies.
#[derive(Debug)]
pub(super) struct ParsedFile {
    pub bytes: Arc<[u8]>,
    pub parts: Vec<Part>,
}

/// One policy of a file.
#[derive(Debug)]
pub(super) struct Part {
    place: Range<usize>,
    statement: Statement,
    /// The file is JSON with this definition.
    definition: Option<StaticDefinition>,
}

/// AVP's `PolicyDefinition` in a file of `policies/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WrittenDefinition {
    pub r#static: StaticDefinition,
}

/// AVP's `StaticPolicyDefinition`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StaticDefinition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub statement: String,
}

impl ParsedFile {
    /// Reads a file of `policies/` or `templates/`.
    pub fn read(path: &str, bytes: &Arc<[u8]>) -> Result<Self, Vec<String>> {
        let text = std::str::from_utf8(bytes).map_err(|_| vec![format!("{path}: the file is not UTF-8")])?;
        let is_json = path.ends_with(".json");
        let definition = if is_json {
            let read = serde_json::from_str::<WrittenDefinition>(text);
            Some(read.map_err(|error| vec![json_mistake(path, &error)])?.r#static)
        } else {
            None
        };
        let statement = definition.as_ref().map_or(text, |definition| &definition.statement);
        let mistake = |InvalidStatement { message, place }: InvalidStatement| match place.filter(|_| !is_json)
        {
            Some((line, column)) => format!("{path}:{line}:{column}: {message}"),
            None => format!("{path}: {message}"),
        };
        let read = statement::read(statement)
            .map_err(|mistakes| mistakes.into_iter().map(mistake).collect::<Vec<_>>())?;
        if is_json && read.len() != 1 {
            return Err(vec![format!("{path}: the statement is not one policy")]);
        }
        let parts: Vec<Part> = read
            .into_iter()
            .map(|(place, statement)| Part { place, statement, definition: definition.clone() })
            .collect();
        let is_misplaced = |part: &Part| part.policy().is_some() != path.starts_with("policies/");
        if parts.iter().any(is_misplaced) {
            return Err(vec![format!("{path}: policies belong in `policies/`, templates in `templates/`")]);
        }
        Ok(Self { bytes: Arc::clone(bytes), parts })
    }

    /// The text of a policy: the whole file if it has no other.
    pub fn statement(&self, part: &Part) -> String {
        if let Some(definition) = &part.definition {
            return definition.statement.clone();
        }
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        match &*self.parts {
            [_] => text.to_owned(),
            _ => text.get(part.place.clone()).unwrap_or_default().to_owned(),
        }
    }

    /// Where a policy stands.
    pub fn place(&self, path: &str, part: &Part) -> Place {
        let part = (self.parts.len() > 1).then(|| part.place.clone());
        Place { file: path.to_owned(), part }
    }
}

impl Part {
    pub fn policy(&self) -> Option<&Policy> {
        match &self.statement {
            Statement::Static(policy) => Some(policy),
            Statement::Template(_) => None,
        }
    }

    pub fn template(&self) -> Option<&Template> {
        match &self.statement {
            Statement::Template(template) => Some(template),
            Statement::Static(_) => None,
        }
    }

    pub fn description(&self) -> Option<String> {
        self.definition.as_ref()?.description.clone()
    }
}
