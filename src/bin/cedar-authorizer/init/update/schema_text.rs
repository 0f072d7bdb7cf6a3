//! New actions in the text of a schema. Everything else of the text stays as it is, to the last comment.

use serde_json::{Map, Value, json};

use super::super::files::schema;
use super::super::text;
use super::tokens::{Token, closing, tokens};
use crate::description::Operation;

/// What the new actions apply to: what a route of the store applies to.
pub struct Model<'a> {
    /// The namespace of the store.
    pub namespace: &'a str,
    /// The id of an action that is a route already.
    pub action: &'a str,
    /// Types of principals, as they are written in the namespace.
    pub principals: &'a [String],
    /// The type of the resource, likewise.
    pub resource: &'a str,
}

/// Adds actions to a schema in Cedar's syntax. `None`: there is no place for them.
pub fn with_actions(text: &str, routes: &[&Operation], model: &Model<'_>) -> Option<String> {
    let tokens = tokens(text);
    let (end, indentation) = if model.namespace.is_empty() {
        (text.len(), String::new())
    } else {
        let open = namespace(&tokens, model.namespace)?;
        let end = tokens.get(closing(&tokens, open)?)?.place.start;
        let first = tokens.get(open + 1)?.place.start;
        let indentation = indentation(text, first).filter(|indentation| !indentation.is_empty());
        (end, indentation.unwrap_or_else(|| "  ".to_owned()))
    };
    let context = context_of(&tokens, text, model.action);
    let principal = match model.principals {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let declarations = schema::grouped(routes.iter().copied(), |route| match &context {
        Context::Named(name) => name.clone(),
        Context::Record(token) => schema::context(route, token.as_deref()),
    });
    let mut added = String::new();
    for (context, routes) in declarations {
        let declaration = schema::declaration(&routes, &principal, model.resource, &context);
        added += &format!("\n{}\n", schema::indent(&declaration, &indentation));
    }
    Some(inserted(text, end, &added))
}

/// Adds actions to a schema in JSON. `None`: there is no place for them.
pub fn with_json_actions(text: &str, routes: &[&Operation], model: &Model<'_>) -> Option<String> {
    let tokens = tokens(text);
    let namespace = member(&tokens, 0, &text::json(model.namespace))?;
    let actions = member(&tokens, namespace, "\"actions\"")?;
    let end = closing(&tokens, actions)?;
    let known = member(&tokens, actions, &text::json(model.action))?;
    let known = tokens.get(known)?.place.start..tokens.get(closing(&tokens, known)?)?.place.end;
    let known = text.get(known)?;
    let value: Value = serde_json::from_str(known).ok()?;
    let has_parameters = text.contains("\"pathParameters\"") || text.contains("\"queryStringParameters\"");
    let key = tokens.get(actions + 1)?.place.start;
    let indentation = indentation(text, key)?;
    let mut added = String::new();
    for route in routes {
        // AVP's own schemas have no parameters. Such an action is like the others, to the letter.
        let value = if has_parameters {
            let value = format!("{:#}", with_parameters(&value, route));
            schema::indent(&value, &indentation).trim_start().to_owned()
        } else {
            known.to_owned()
        };
        added += &format!(",\n{indentation}{}: {value}", text::json(&route.action_id()));
    }
    let last = tokens.get(end.checked_sub(1)?)?.place.end;
    let added = with_line_ends_of(text, &added);
    Some(format!("{}{added}{}", text.get(..last)?, text.get(last..)?))
}

/// The definition of an action, with the parameters of another route.
fn with_parameters(known: &Value, route: &Operation) -> Value {
    let mut value = known.clone();
    let attributes = value.pointer_mut("/appliesTo/context/attributes").and_then(Value::as_object_mut);
    if let Some(attributes) = attributes {
        attributes.retain(|name, _| name == "token");
        let record = |attributes: Map<String, Value>, required: bool| {
            let kind = "Record";
            json!({ "type": kind, "required": required, "attributes": attributes })
        };
        let string = |required: bool| json!({ "type": "String", "required": required });
        let path: Map<String, Value> =
            route.path.parameters().map(|name| (name.to_owned(), string(true))).collect();
        let query: Map<String, Value> =
            route.query.iter().map(|parameter| (parameter.name.clone(), string(false))).collect();
        if !path.is_empty() {
            attributes.insert("pathParameters".to_owned(), record(path, true));
        }
        if !query.is_empty() {
            attributes.insert("queryStringParameters".to_owned(), record(query, false));
        }
    }
    value
}

/// The context of the actions of a schema.
enum Context {
    /// A type with a name. New actions have the same.
    Named(String),
    /// A record, with this type of the claims of the token. Its parameters are those of its route.
    Record(Option<String>),
}

/// The context of an action.
fn context_of(tokens: &[Token<'_>], text: &str, action: &str) -> Context {
    find_context(tokens, text, action).unwrap_or(Context::Record(None))
}

fn find_context(tokens: &[Token<'_>], text: &str, action: &str) -> Option<Context> {
    let quoted = text::cedar(action);
    let is_it = |token: &Token<'_>| token.is_string && text.get(token.place.clone()) == Some(quoted.as_str());
    let named = tokens.iter().position(is_it)?;
    let applies_to = named + tokens.get(named..)?.iter().position(|token| token.is("appliesTo"))?;
    let end = closing(tokens, applies_to + 1)?;
    let inside = tokens.get(applies_to + 2..end)?;
    let context = inside.iter().position(|token| token.is("context"))?;
    let context = inside.get(context + 2..)?;
    if !context.first()?.is("{") {
        let end = context.iter().position(|token| token.is(",")).unwrap_or(context.len());
        let last = context.get(end.checked_sub(1)?)?;
        return Some(Context::Named(text.get(context.first()?.place.start..last.place.end)?.to_owned()));
    }
    let end = closing(context, 0)?;
    let token = context.get(..end)?.iter().position(|token| token.text == "token")?;
    let colon = token + context.get(token..end)?.iter().position(|token| token.is(":"))?;
    let start = colon + 1;
    let end = match context.get(start)? {
        bracket if bracket.is("{") => closing(context, start)? + 1,
        _ => start + context.get(start..)?.iter().position(|token| token.is(",") || token.is("}"))?,
    };
    let place = context.get(start)?.place.start..context.get(end.checked_sub(1)?)?.place.end;
    Some(Context::Record(text.get(place).map(str::to_owned)))
}

/// The index of the `{` of a namespace.
fn namespace(tokens: &[Token<'_>], name: &str) -> Option<usize> {
    let starts = tokens.iter().enumerate().filter(|(_, token)| token.is("namespace"));
    starts.map(|(index, _)| index).find_map(|index| {
        let open = index + tokens.get(index..)?.iter().position(|token| token.is("{"))?;
        let found: String = tokens.get(index + 1..open)?.iter().map(|token| token.text).collect();
        (found == name).then_some(open)
    })
}

/// The index of the `{` of a member of an object of JSON, whose own `{` is at `open`.
fn member(tokens: &[Token<'_>], open: usize, key: &str) -> Option<usize> {
    let end = closing(tokens, open)?;
    let mut at = open + 1;
    while at < end {
        let name = tokens.get(at)?;
        let value = at + 2;
        if name.is_string && format!("\"{}\"", name.text) == key {
            return tokens.get(value)?.is("{").then_some(value);
        }
        let opens = tokens.get(value).is_some_and(|token| token.is("{") || token.is("["));
        let last = if opens { closing(tokens, value)? } else { value };
        // The comma.
        at = last + 2;
    }
    None
}

/// The white space before a place, if nothing else is on its line.
fn indentation(text: &str, place: usize) -> Option<String> {
    let before = text.get(..place)?;
    let line = before.rsplit('\n').next()?;
    line.chars().all(char::is_whitespace).then(|| line.to_owned())
}

/// The text with lines inserted before the line of a place; or right there, if something else is before it.
fn inserted(text: &str, place: usize, added: &str) -> String {
    let line = indentation(text, place).map(|indentation| place - indentation.len());
    let at = line.unwrap_or(place);
    let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at..).unwrap_or_default());
    let first = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    format!("{before}{}{after}", with_line_ends_of(text, &format!("{first}{added}")))
}

fn with_line_ends_of(text: &str, added: &str) -> String {
    if text.contains("\r\n") { added.replace('\n', "\r\n") } else { added.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::Description;

    fn routes(paths: &str) -> Vec<Operation> {
        Description::read(format!("openapi: 3.0.0\npaths:\n  {paths}\n").as_bytes()).unwrap().operations
    }

    fn updated(text: &str, paths: &str) -> String {
        let routes = routes(paths);
        let routes: Vec<&Operation> = routes.iter().collect();
        let principals = ["User".to_owned()];
        let model = Model { namespace: "A", action: "get /", principals: &principals, resource: "App" };
        let json = text.trim_start().starts_with('{');
        let edit = if json { with_json_actions } else { with_actions };
        edit(text, &routes, &model).unwrap()
    }

    #[test]
    fn actions_are_added_at_the_end_of_the_namespace() {
        let before = "// mine }\r\nnamespace B {}\r\nnamespace A {\r\n\tentity User, App;\r\n\t\
                      action \"get /\" appliesTo { principal: User, resource: App, \
                      context: { token?: { a: Set<String> }, x: Long } };\r\n\t// end\r\n}\r\n";
        let after = updated(before, "/b/{c}: { get: { summary: One } }");
        let added = "\r\n\taction\r\n\t  // One\r\n\t  \"get /b/{c}\"\r\n\t  appliesTo {\r\n\t    \
                     principal: User,\r\n\t    resource: App,\r\n\t    context: {\r\n\t      \
                     token: { a: Set<String> },\r\n\t      pathParameters: { c: String },\r\n\t    \
                     },\r\n\t  };\r\n";
        let expected = before.replace("\t// end\r\n", &format!("\t// end\r\n{added}"));
        assert_eq!(after, expected);
    }

    #[test]
    fn a_context_with_a_name_is_used_again() {
        let before = "namespace A { type C = { token: T }; \
                      action \"get /\" appliesTo { context: C, principal: User }; }";
        let after = updated(before, "/b/{c}: { get: {} }");
        assert!(after.contains("    context: C,\n"), "{after}");
        assert!(after.starts_with(before.trim_end_matches('}')), "{after}");
        assert!(after.ends_with("};\n}"), "{after}");
    }

    #[test]
    fn actions_of_json_are_like_those_of_avp() {
        let before = "{\n  \"A\": {\n    \"entityTypes\": {\"x\": [\"}\"]},\n    \"actions\": {\n      \
                      \"get /\": {\n        \"appliesTo\": {}\n      }\n    }\n  }\n}\n";
        let after = updated(before, "/b/{c}: { get: {} }");
        let expected = before.replace(
            "{}\n      }\n",
            "{}\n      },\n      \"get /b/{c}\": {\n        \"appliesTo\": {}\n      }\n",
        );
        assert_eq!(after, expected);
    }
}
