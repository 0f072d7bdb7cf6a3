//! `personas.toml`: somebody of each group, and somebody without.

use super::super::plan::{Plan, unused};
use super::super::text;

/// The name of the persona without groups.
pub fn without_groups(plan: &Plan) -> String {
    unused("without-groups", |name| plan.groups.iter().all(|group| group.name != name))
}

/// The whole file.
pub fn file(plan: &Plan) -> String {
    let user_name = match plan.identity.name() {
        "cognito" => match plan.identity.token_type.name() {
            "id" => "cognito:username",
            _ => "username",
        },
        _ => "name",
    };
    let persona = |number: usize, name: &str, group: Option<&str>| {
        let groups = group.map(|group| {
            format!("{} = [{}]\n", text::toml_key(plan.identity.group_claim()), text::json(group))
        });
        format!(
            "\n[{}]\nsub = \"{number:08}-0000-4000-8000-000000000000\"\n{} = {}\n{}",
            text::toml_key(name),
            text::toml_key(user_name),
            text::json(name),
            groups.unwrap_or_default(),
        )
    };
    let members = plan.groups.iter().enumerate();
    let members: String =
        members.map(|(index, group)| persona(index + 1, &group.name, Some(&group.name))).collect();
    format!(
        "# People to try things out with: a name, and the claims that set this person apart. The tests use\n\
         # them, and `cedar-authorizer authorize --as NAME`. They are never part of a bundle.\n\
         {members}{}",
        persona(plan.groups.len() + 1, &without_groups(plan), None),
    )
}
