//! A CloudFormation template as a tree, with its parts in the order in which people read them.

use serde_json::Value;

/// A value of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Text.
    Text(String),
    /// Values, in order.
    List(Vec<Tree>),
    /// Keys with their values, in order.
    Map(Vec<(String, Tree)>),
    /// The attribute of another resource.
    GetAtt(String, &'static str),
}

impl Tree {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A map of those entries that have a value.
    pub fn map<const N: usize>(entries: [(&str, Option<Self>); N]) -> Self {
        let entries = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Self::Map(entries.collect())
    }

    /// What AVP's API has, with names as in CloudFormation.
    pub fn of_api(value: &Value) -> Self {
        match value {
            Value::Object(members) => Self::Map(
                members.iter().map(|(key, value)| (pascal_case(key), Self::of_api(value))).collect(),
            ),
            Value::Array(items) => Self::List(items.iter().map(Self::of_api).collect()),
            Value::String(text) => Self::text(text),
            other => Self::Text(other.to_string()),
        }
    }

    /// The whole document as JSON.
    pub fn json(&self) -> String {
        let mut text = String::new();
        self.write_json(0, &mut text);
        text.push('\n');
        text
    }

    fn write_json(&self, indent: usize, text: &mut String) {
        let new_line = |indent: usize, text: &mut String| {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", indent));
        };
        match self {
            Self::Text(own) => text.push_str(&quoted(own)),
            Self::GetAtt(resource, attribute) => {
                text.push_str(&format!(
                    "{{ \"Fn::GetAtt\": [{}, \"{attribute}\"] }}",
                    Value::from(resource.as_str())
                ));
            }
            Self::List(items) if items.is_empty() => text.push_str("[]"),
            Self::Map(entries) if entries.is_empty() => text.push_str("{}"),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    text.push(if index == 0 { '[' } else { ',' });
                    new_line(indent + 1, text);
                    item.write_json(indent + 1, text);
                }
                new_line(indent, text);
                text.push(']');
            }
            Self::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    text.push(if index == 0 { '{' } else { ',' });
                    new_line(indent + 1, text);
                    text.push_str(&quoted(key));
                    text.push_str(": ");
                    value.write_json(indent + 1, text);
                }
                new_line(indent, text);
                text.push('}');
            }
        }
    }
}

/// A text of JSON that YAML's readers take too.
fn quoted(text: &str) -> String {
    let is_refused = |char: char| {
        matches!(char, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    Value::from(text).to_string().chars().fold(String::new(), |mut quoted, char| {
        if is_refused(char) {
            quoted.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            quoted.push(char);
        }
        quoted
    })
}

/// CloudFormation begins the members of AVP's API with a capital letter.
fn pascal_case(key: &str) -> String {
    let mut chars = key.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}
