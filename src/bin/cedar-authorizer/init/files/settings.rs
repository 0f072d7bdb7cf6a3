//! `store.toml`.

use super::super::api::Extent;
use super::super::identity::Issuer;
use super::super::plan::Plan;
use super::super::text;

/// The whole file.
pub fn file(plan: &Plan) -> String {
    let tokens = match plan.identity.issuer {
        Issuer::UserPool { .. } => format!(
            "\n[tokens]\n# Which of Cognito's tokens callers send: \"access\" or \"id\".\ntype = \"{}\"\n",
            plan.identity.token_type.name()
        ),
        Issuer::OpenId { .. } => String::new(),
    };
    let complete = match plan.extent {
        Extent::Whole => {
            "# The API has no other routes than those of the schema: the store was made from what defines the API.\n\
             # Run `cedar-authorizer init --update` when that changes.\n\
             complete = true\n"
        }
        Extent::Unknown => {
            "# Whether the API has no other routes than those of the schema. Say true if it is made from the same\n\
             # description; one answer can then serve more routes under API Gateway's cache.\n\
             complete = false\n"
        }
    };
    format!(
        "[store]\n\
         # What BUNDLE_NAME of the function must be.\n\
         name = {}\n\
         namespace = {}\n{tokens}\n\
         [api]\n{complete}",
        text::json(&plan.name),
        text::json(&plan.namespace),
    )
}
