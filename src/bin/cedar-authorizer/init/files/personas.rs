//! `personas.toml`: somebody of each group, and somebody without.

use serde_json::{Value, json};

use super::super::plan::{Plan, unused};
use super::super::text;

/// The name of the persona without groups.
pub fn without_groups(plan: &Plan) -> String {
    unused(WITHOUT_GROUPS, |name| plan.groups.iter().all(|group| group.name != name))
}

/// Somebody to try things out with.
pub struct Persona {
    /// The name in tests.
    pub name: String,
    /// The claims that set this person apart. Of several with one name, the first counts.
    pub claims: Vec<(String, Value)>,
}

/// The whole file.
pub fn file(plan: &Plan) -> String {
    let user_name = match plan.identity.name() {
        "cognito" => cognito_user_name(plan.identity.token_type.name() == "id"),
        _ => "name",
    };
    let persona = |number: usize, name: &str, group: Option<&str>| Persona {
        name: name.to_owned(),
        claims: [("sub", json!(id(number))), (user_name, json!(name))]
            .into_iter()
            .chain(group.map(|group| (plan.identity.group_claim(), json!([group]))))
            .map(|(claim, value)| (claim.to_owned(), value))
            .collect(),
    };
    let members = plan.groups.iter().enumerate();
    let mut personas: Vec<Persona> =
        members.map(|(index, group)| persona(index + 1, &group.name, Some(&group.name))).collect();
    personas.push(persona(plan.groups.len() + 1, &without_groups(plan), None));
    write(&personas)
}

/// The file of these people.
pub fn write(personas: &[Persona]) -> String {
    let mut file = HEAD.to_owned();
    for Persona { name, claims } in personas {
        file += &format!("\n[{}]\n", text::toml_key(name));
        for (index, (claim, value)) in claims.iter().enumerate() {
            if claims.iter().take(index).all(|(earlier, _)| earlier != claim) {
                file += &format!("{} = {}\n", text::toml_key(claim), toml_value(value));
            }
        }
    }
    file
}

/// A text or a list of texts. Claims of personas are nothing else.
fn toml_value(value: &Value) -> String {
    match value {
        Value::String(text) => text::json(text),
        Value::Array(values) => format!("[{}]", values.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The id of a persona.
pub fn id(number: usize) -> String {
    format!("{number:08}-0000-4000-8000-000000000000")
}

/// The claim of Cognito's tokens with the name of the user.
pub fn cognito_user_name(is_id_token: bool) -> &'static str {
    if is_id_token { "cognito:username" } else { "username" }
}

/// The name of a persona without groups, unless it is taken.
pub const WITHOUT_GROUPS: &str = "without-groups";

const HEAD: &str =
    "# People to try things out with: a name, and the claims that set this person apart. The tests use
# them, and `cedar-authorizer authorize --as NAME`. They are never part of a bundle.
";
