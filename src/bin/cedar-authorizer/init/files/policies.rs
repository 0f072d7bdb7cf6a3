//! `policies/`: a file for each group, or an example if there are none.

use super::super::plan::{Group, Plan};
use super::super::text;
use crate::description::Operation;

/// The files, by their names without extension.
pub fn files(plan: &Plan) -> Vec<(String, String)> {
    let Some((first, others)) = plan.groups.split_first() else {
        return vec![("example".to_owned(), example(plan))];
    };
    let mut files = vec![(first.slug.clone(), everything(plan, first))];
    files.extend(others.iter().map(|group| (group.slug.clone(), reads(plan, group))));
    files
}

/// The first group may call every route.
fn everything(plan: &Plan, group: &Group) -> String {
    format!(
        "// The group {} may call every route, also those that are added later. To name the routes instead, write\n\
         // `action in [...]`.\n\
         @id(\"{}-calls-everything\")\n\
         permit (\n  principal in {},\n  action,\n  resource == {}\n);\n",
        text::comment(&group.name),
        group.slug,
        plan.group(group),
        plan.application(),
    )
}

/// The other groups may look at things.
fn reads(plan: &Plan, group: &Group) -> String {
    let name = text::comment(&group.name);
    let reads: Vec<&Operation> = plan.routes.iter().filter(|route| Plan::is_read(route)).collect();
    if reads.is_empty() {
        return format!(
            "// The group {name} may do nothing yet: the API has no routes with `get` or `head`, which a policy could\n\
             // allow without harm. Write here what it may call.\n"
        );
    }
    format!(
        "// The group {name} may call the routes with `get` or `head`. Go through the list: such a route\n\
         // should change nothing, but only you know whether this group may see everything.\n\
         @id(\"{}-reads\")\n\
         permit (\n  principal in {},\n  {},\n  resource == {}\n);\n",
        group.slug,
        plan.group(group),
        action_scope(plan, &reads, ""),
        plan.application(),
    )
}

/// Without groups nothing is allowed, because nobody said who may do what.
fn example(plan: &Plan) -> String {
    let reads = plan.routes.iter().filter(|route| Plan::is_read(route));
    let some: Vec<&Operation> = reads.chain(&plan.routes).take(1).collect();
    format!(
        "// There is no policy yet, so every call is denied. This is an example. Without its comment marks it would\n\
         // allow one route to everybody who has signed in; `principal in {}::\"...\"` would be for one group.\n\
         //\n\
         // @id(\"signed-in-users\")\n\
         // permit (\n//   principal,\n//   {},\n//   resource == {}\n// );\n",
        plan.qualify("UserGroup"),
        action_scope(plan, &some, "// "),
        plan.application(),
    )
}

fn action_scope(plan: &Plan, routes: &[&Operation], mark: &str) -> String {
    if let [route] = routes {
        return format!("action == {}", plan.action(route));
    }
    let actions: String = routes.iter().map(|route| format!("{mark}    {},\n", plan.action(route))).collect();
    format!("action in [\n{}\n{mark}  ]", actions.trim_end_matches(",\n"))
}
