//! `README.md`: what is in the new store, and what to do next.

use super::super::identity::{ANY_ACCOUNT, Issuer};
use super::super::plan::Plan;
use super::super::text;
use crate::output::plural;

/// The whole file.
pub fn file(plan: &Plan) -> String {
    let schema = if plan.avp_schema.is_some() { "schema.cedarschema.json" } else { "schema.cedarschema" };
    let source = plan.identity.name();
    let title = Some(text::comment(&plan.title)).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| plan.namespace.clone());
    let policies = match plan.groups.split_first() {
        None => {
            "| `policies/example.cedar` | An example. There is no policy yet, so every call is denied. |\n"
                .to_owned()
        }
        Some((first, others)) => {
            let row = |slug: &str, name: &str, what: &str| {
                format!("| `policies/{slug}.cedar` | What the group {} may do: {what}. |\n", cell(name))
            };
            let first = row(&first.slug, &first.name, "everything");
            let others = others.iter().map(|group| row(&group.slug, &group.name, "`get` and `head`"));
            first + &others.collect::<String>()
        }
    };
    let mut next = Vec::new();
    if let Issuer::UserPool { has_account: false, .. } = plan.identity.issuer {
        next.push(format!(
            "The user pool was given by its id. In `identity-sources/{source}.json`, `{ANY_ACCOUNT}` stands in for its \
             account. Decisions do not depend on it, but put the account there before you give the file to AVP."
        ));
    }
    if plan.identity.clients.is_empty() {
        next.push(format!(
            "Tokens for every client of the issuer are accepted. Name yours in `identity-sources/{source}.json`."
        ));
    }
    next.push(if plan.groups.is_empty() {
        "Write the first policy.".to_owned()
    } else {
        "Go through the policies. They are a beginning; you know who may do what.".to_owned()
    });
    next.push(
        "When the API has changed, run `cedar-authorizer init --update` with the same description."
            .to_owned(),
    );
    let next: String = next.iter().map(|item| format!("- {}\n", wrapped(item))).collect();
    format!(
        "# Policies of {title}\n\n\
         A policy store for `cedar-authorizer`, with {}.\nIt accepts {} tokens of {}.\n\n\
         | file | what is in it |\n|---|---|\n\
         | `store.toml` | Name, namespace and settings. |\n\
         | `{schema}` | What policies may ask about. Each route of the API is an action. |\n\
         | `identity-sources/{source}.json` | Whose tokens are accepted. |\n\
         {policies}\
         | `personas.toml` | People to try things out with. |\n\
         | `tests/routes.yaml` | What the policies decide, for every persona and route. |\n\n\
         ## Next\n\n{next}\n\
         ```sh\n\
         cedar-authorizer check    # every mistake, with file and line\n\
         cedar-authorizer test     # do the policies decide as `tests/` says?\n\
         cedar-authorizer build --output {}.bundle\n\
         ```\n\n\
         All of them take `--store DIR` if this folder is not `policies`.\n",
        plural(plan.routes.len(), "route"),
        plan.identity.token_type.name(),
        plan.identity.title(),
        Some(text::slug(&plan.name)).filter(|name| !name.is_empty()).unwrap_or_else(|| "store".to_owned()),
    )
}

/// The text of an item, over several lines.
fn wrapped(text: &str) -> String {
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        if length > 0 && length + word.len() > WIDTH {
            lines += "\n  ";
            length = 0;
        } else if length > 0 {
            lines.push(' ');
        }
        lines += word;
        length += word.len() + 1;
    }
    lines
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    format!("`{}`", text::comment(text).replace('`', "'").replace('|', "\\|"))
}

const WIDTH: usize = 110;
