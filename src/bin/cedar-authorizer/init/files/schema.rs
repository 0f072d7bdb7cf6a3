//! `schema.cedarschema`: entity types, claims, and one action a route.

use std::collections::HashMap;

use cedar_authorizer::token::TokenType;

use super::super::identity::Issuer;
use super::super::plan::Plan;
use super::super::text;
use crate::description::Operation;

/// The whole file.
pub fn file(plan: &Plan) -> String {
    let token = match plan.identity.token_type {
        TokenType::Access => Some("Token"),
        TokenType::Id => None,
    };
    let declarations = declarations(&plan.routes, token);
    let declarations: Vec<String> = declarations.iter().map(|text| indent(text, "  ")).collect();
    format!(
        "// What policies may ask about: who calls, which route, and with which claims and parameters.\n\
         // Made by `cedar-authorizer init` from {}. It is yours to change. `init --update` adds new routes.\n\
         namespace {} {{\n  \
         // The API as a whole: what every route acts on.\n  \
         entity Application;\n\n  \
         // A group of the identity source. Its id is that of the source, a bar, and the name of the group.\n  \
         entity UserGroup in [UserGroup];\n\n{}\n\n{}\n}}\n",
        text::comment(&plan.origin),
        plan.namespace,
        claims(plan),
        declarations.join("\n\n"),
    )
}

/// The type of callers, and what tokens say about them.
fn claims(plan: &Plan) -> String {
    let of_cognito = matches!(plan.identity.issuer, Issuer::UserPool { .. });
    let (head, claims) = match (plan.identity.token_type, of_cognito) {
        (TokenType::Access, true) => (ACCESS_HEAD, COGNITO_ACCESS),
        (TokenType::Access, false) => (ACCESS_HEAD, OIDC_ACCESS),
        (TokenType::Id, true) => (ID_HEAD, COGNITO_ID),
        (TokenType::Id, false) => (ID_HEAD, OIDC_ID),
    };
    let claims: String = claims.iter().map(|claim| format!("    {claim},\n")).collect();
    format!("{head} {{\n{claims}  }};")
}

/// The declarations of actions. Routes with the same context share one. `token`: the type of the claims in the
/// context.
fn declarations(routes: &[Operation], token: Option<&str>) -> Vec<String> {
    let groups = grouped(routes.iter(), |route| context(route, token));
    groups.iter().map(|(context, routes)| declaration(routes, "User", "Application", context)).collect()
}

/// Routes by something that several may have in common, in the order in which it is first met.
pub fn grouped<'r>(
    routes: impl Iterator<Item = &'r Operation>,
    key: impl Fn(&Operation) -> String,
) -> Vec<(String, Vec<&'r Operation>)> {
    let mut groups: Vec<(String, Vec<&Operation>)> = Vec::new();
    let mut known = HashMap::new();
    for route in routes {
        let key = key(route);
        let index = *known.entry(key.clone()).or_insert(groups.len());
        match groups.get_mut(index) {
            Some((_, routes)) => routes.push(route),
            None => groups.push((key, vec![route])),
        }
    }
    groups
}

/// The declaration of actions that apply to the same things.
pub fn declaration(routes: &[&Operation], principal: &str, resource: &str, context: &str) -> String {
    let last = routes.len().saturating_sub(1);
    let names = routes.iter().enumerate().map(|(index, route)| {
        let summary = route.summary.as_deref().map(text::comment).filter(|summary| !summary.is_empty());
        let summary = summary.map(|summary| format!("  // {summary}\n")).unwrap_or_default();
        let comma = if index < last { "," } else { "" };
        format!("{summary}  {}{comma}\n", text::cedar(&route.action_id()))
    });
    let names: String = names.collect();
    let context = if context.is_empty() { String::new() } else { format!("    context: {context},\n") };
    format!(
        "action\n{names}  appliesTo {{\n    principal: {principal},\n    resource: {resource},\n{context}  }};"
    )
}

/// The context of a route: the claims of the token, and the parameters of the call.
///
/// Path parameters are always there. Query parameters are optional even where the description requires them, because
/// API Gateway checks that only if a request validator is on.
pub fn context(route: &Operation, token: Option<&str>) -> String {
    let path: Vec<String> =
        route.path.parameters().map(|name| format!("{}: String", text::attribute(name))).collect();
    let query: Vec<String> = route
        .query
        .iter()
        .map(|parameter| format!("{}?: String", text::attribute(&parameter.name)))
        .collect();
    let token = token.map(|name| format!("token: {name}"));
    let path = (!path.is_empty()).then(|| format!("pathParameters: {}", record(&path, "    ")));
    let query = (!query.is_empty()).then(|| format!("queryStringParameters?: {}", record(&query, "    ")));
    let members: Vec<String> = token.into_iter().chain(path).chain(query).collect();
    if members.is_empty() {
        return String::new();
    }
    if let [member] = members.as_slice()
        && !member.contains('\n')
    {
        return format!("{{ {member} }}");
    }
    let members: String = members.iter().map(|member| format!("      {member},\n")).collect();
    format!("{{\n{members}    }}")
}

/// A record type on one line, or over several if it is long.
fn record(members: &[String], indentation: &str) -> String {
    let line = format!("{{ {} }}", members.join(", "));
    if line.len() <= MAX_LINE {
        return line;
    }
    let members: String = members.iter().map(|member| format!("{indentation}    {member},\n")).collect();
    format!("{{\n{members}{indentation}  }}")
}

/// The lines of a text, further in.
pub fn indent(text: &str, indentation: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{indentation}{line}")).collect();
    lines.join("\n")
}

const MAX_LINE: usize = 80;

const ACCESS_HEAD: &str = "  // Whoever has signed in.
  entity User in [UserGroup];

  // The claims of an access token that policies may ask about. Other claims are never read, so add what you
  // need. A claim without `?` is required: if a policy asks for it and a token lacks it, the call is denied.
  type Token =";

const ID_HEAD: &str = "  // Whoever has signed in, with the claims of the ID token that policies may ask about. Other claims are
  // never read, so add what you need. A claim without `?` is required: if a policy asks for it and a token
  // lacks it, the call is denied.
  entity User in [UserGroup] =";

/// Cognito Developer Guide, "Understanding the access token". Tokens of machines have neither user name nor groups.
const COGNITO_ACCESS: &[&str] =
    &["sub: String", "client_id: String", "username?: String", "scope?: Set<String>", "auth_time?: Long"];

/// RFC 9068, section 2.2.
const OIDC_ACCESS: &[&str] = &["sub: String", "client_id?: String", "scope?: Set<String>"];

/// Cognito Developer Guide, "Understanding the identity (ID) token".
const COGNITO_ID: &[&str] =
    &["sub: String", "\"cognito:username\": String", "email?: String", "email_verified?: Bool"];

/// OpenID Connect Core 1.0, sections 2 and 5.1.
const OIDC_ID: &[&str] = &["sub: String", "name?: String", "email?: String", "email_verified?: Bool"];
