//! `store.toml` of a store that clients made, and changes to that of any store.

use std::ops::Range;

use cedar_policy::Schema;
use serde::Deserialize;
use toml::Spanned;

use crate::avp::contents::ValidationMode;

/// The settings of a store that a client made. They follow its schema.
pub fn made(
    name: &str,
    validation: ValidationMode,
    namespaces: &[String],
    schema: Option<&Schema>,
) -> String {
    let namespace = match namespaces {
        [namespace, ..] => namespace.as_str(),
        [] => "",
    };
    let resource = schema.and_then(|schema| resource_type(schema, namespace));
    let resource = resource.map(|resource| {
        let uid = format!("{resource}::{name:?}");
        format!("\n# The resource of routes that name no other.\n[api]\nresource = {}\n", toml_text(&uid))
    });
    format!(
        "[store]\nname = {}\nnamespace = {}\nvalidation = {}\n\n\
         # Which of its two tokens a user pool is asked for: \"access\" or \"id\".\n[tokens]\ntype = \"access\"\n{}",
        toml_text(name),
        toml_text(namespace),
        toml_text(validation.setting()),
        resource.unwrap_or_default()
    )
}

/// The entity type of the resource, unless it is the default.
fn resource_type(schema: &Schema, namespace: &str) -> Option<String> {
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}::") };
    let default = format!("{prefix}Application");
    let all: Vec<String> = schema.entity_types().map(ToString::to_string).collect();
    if all.contains(&default) {
        return None;
    }
    let used = schema.actions().flat_map(|action| schema.resources_for_action(action).into_iter().flatten());
    let first = used.map(ToString::to_string).min();
    first.or_else(|| all.into_iter().min())
}

/// The same settings with another validation. Everything else stays as it is. `None`: the text has a form in which
/// that is not possible.
pub fn with_validation(text: &str, validation: ValidationMode) -> Option<String> {
    let Settings { store } = toml::from_str(text).ok()?;
    let setting = toml_text(validation.setting());
    let changed = match store.validation {
        Some(known) if *known.get_ref() == validation.setting() => return Some(text.to_owned()),
        Some(known) => replaced(text, known.span(), &setting)?,
        None if validation == ValidationMode::Strict => return Some(text.to_owned()),
        None => {
            let end = store.name.span().end;
            let line_end = text.get(end..)?.find(['\n', '\r']).map_or(text.len(), |length| end + length);
            let new_line = if text.contains("\r\n") { "\r\n" } else { "\n" };
            replaced(text, line_end..line_end, &format!("{new_line}validation = {setting}"))?
        }
    };
    let Settings { store } = toml::from_str(&changed).ok()?;
    (store.validation?.get_ref() == validation.setting()).then_some(changed)
}

/// The names of what the settings say beside `[store]`.
pub fn other_tables(text: &str) -> Vec<String> {
    let tables: toml::Table = toml::from_str(text).unwrap_or_default();
    tables.into_iter().map(|(name, _)| name).filter(|name| name != "store").collect()
}

fn replaced(text: &str, part: Range<usize>, with: &str) -> Option<String> {
    Some([text.get(..part.start)?, with, text.get(part.end..)?].concat())
}

/// A string in TOML.
fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[derive(Deserialize)]
struct Settings {
    store: StoreTable,
}

#[derive(Deserialize)]
struct StoreTable {
    name: Spanned<String>,
    validation: Option<Spanned<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_validation_changes() {
        let off = |text| with_validation(text, ValidationMode::Off);
        for (text, expected) in [
            (
                "[store]\nname='a' # b\nnamespace=''\n",
                "[store]\nname='a' # b\nvalidation = \"off\"\nnamespace=''\n",
            ),
            ("[store]\r\nname='a'\r\n", "[store]\r\nname='a'\r\nvalidation = \"off\"\r\n"),
            ("[store]\nvalidation='strict' # c\nname='a'", "[store]\nvalidation=\"off\" # c\nname='a'"),
            ("[store]\nname='a'", "[store]\nname='a'\nvalidation = \"off\""),
        ] {
            assert_eq!(off(text).as_deref(), Some(expected));
        }
        assert_eq!(off("store = {name = 'a'}"), None);
        assert_eq!(
            with_validation("[store]\nname='a'", ValidationMode::Strict).as_deref(),
            Some("[store]\nname='a'")
        );
    }
}
