//! `store.toml`: the settings that the other files of a policy store do not have.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;

use cedar_policy::{EntityNamespace, EntityUid};
use serde::Deserialize;
use toml::Spanned;

use super::finding::{Code, Finding, Position, Text};
use super::schema::{StoreSchema, qualify};
use crate::bundle::files::SETTINGS_FILE;
use crate::decide::RESERVED_CONTEXT;
use crate::gateway::call::TokenLocation;
use crate::gateway::route::{Method, PathTemplate, Route};
use crate::gateway::route::{ResourceTemplate, TextTemplate};
use crate::token::TokenType;

/// The settings of a policy store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the store.
    pub name: String,
    /// The Cedar namespace whose actions are the routes; empty for none.
    pub namespace: String,
    /// Whether policies are validated against the schema.
    pub validation: Validation,
    /// Which of the two tokens of a Cognito user pool is accepted. `None` if there is no pool.
    pub token_type: Option<TokenType>,
    /// How far the clocks of issuer and function may differ, in seconds.
    pub leeway_seconds: u32,
    /// The routes in the file.
    pub routes: Vec<RouteSetting>,
    /// The resource of every route that does not make its own.
    pub resource: EntityUid,
    /// Whether the API has no routes but those of the store.
    pub is_complete: bool,
    /// Where a request carries its token.
    pub token_location: TokenLocation,
    /// The names of the claims that the backend gets.
    pub backend_claims: Vec<String>,
    /// The claim whose value is the API key of the caller, for usage plans.
    pub usage_identifier_claim: Option<String>,
}

impl Settings {
    /// The Cedar type of the actions that are routes.
    pub fn action_type(&self) -> String {
        qualify(&self.namespace, "Action")
    }

    /// Finds routes where two different sets of parameters make the same resource.
    pub(super) fn check_resources(&self, findings: &mut Vec<Finding>) {
        for RouteSetting { template, resource, position, .. } in &self.routes {
            let Some(made) = resource else {
                continue;
            };
            let is_greedy = |name: &str| template.is_greedy(name);
            for text in iter::once(&made.id).chain(made.attributes.values()) {
                if text.is_ambiguous(is_greedy) {
                    let message = format!("different parameters can make the same `{text}`");
                    let finding = Finding::new(Code::ResourceAmbiguous, position.clone(), message);
                    findings
                        .push(finding.hint("put a `/` between the parameters, which no value of theirs has"));
                }
            }
        }
    }

    /// Where a route comes from: this file, otherwise the schema.
    pub(super) fn position_of(&self, route: &Route, schema: Option<&StoreSchema>) -> Position {
        let is_it =
            |setting: &&RouteSetting| (setting.method, &setting.template) == (route.method, &route.template);
        match (self.routes.iter().find(is_it), schema) {
            (Some(setting), _) => setting.position.clone(),
            (None, Some(schema)) => schema.find(route.action.id().unescaped()),
            (None, None) => Position::file(SETTINGS_FILE),
        }
    }
}

/// A route in `store.toml`.
#[derive(Clone, Debug)]
pub struct RouteSetting {
    /// The method.
    pub method: Method,
    /// The path template.
    pub template: PathTemplate,
    /// The id of the action.
    pub action: String,
    /// How the resource is made. `None`: it is the resource of the API.
    pub resource: Option<ResourceTemplate>,
    /// Where it is in the file.
    pub position: Position,
}

/// Whether policies are validated against the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// AVP's `STRICT`.
    #[default]
    Strict,
    /// AVP's `OFF`.
    Off,
}

impl Settings {
    /// Reads `store.toml`.
    pub fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Self> {
        let places = Text::new(SETTINGS_FILE, text);
        let problem = |part: Range<usize>, message: &dyn std::fmt::Display| {
            Finding::new(Code::SettingsInvalid, places.span(part), message)
        };
        let file: SettingsFile = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                let part = error.span().unwrap_or_default();
                findings.push(problem(part, &error.message()));
                return None;
            }
        };
        let SettingsFile { store, tokens, api, routes, response } = file;
        let StoreTable { name, namespace, validation } = store;
        let TokensTable { r#type: token_type, leeway_seconds, header, query, subprotocol } = tokens;
        let before = findings.len();

        if name.get_ref().is_empty() {
            findings.push(problem(name.span(), &"the name is empty"));
        }
        if *leeway_seconds.get_ref() > MAX_LEEWAY_SECONDS {
            let message = format!("the leeway is more than {MAX_LEEWAY_SECONDS} seconds");
            findings.push(problem(leeway_seconds.span(), &message));
        }
        let is_namespace =
            namespace.get_ref().is_empty() || namespace.get_ref().parse::<EntityNamespace>().is_ok();
        if !is_namespace {
            let message = format!("`{}` is not a Cedar namespace", namespace.get_ref());
            findings.push(problem(namespace.span(), &message));
        }
        let is_complete = api.complete;
        let (resource, part) = match api.resource {
            Some(resource) => (resource.get_ref().clone(), resource.span()),
            None => {
                let name = namespace.get_ref();
                (format!("{}::{name:?}", qualify(name, "Application")), namespace.span())
            }
        };
        let uid: Option<EntityUid> = resource.parse().ok();
        if uid.is_none() && is_namespace {
            let message = format!("`{resource}` is not a Cedar entity of the form Type::\"id\"");
            findings.push(problem(part, &message));
        }
        for claim in &response.claims {
            if RESERVED_CONTEXT.contains(&claim.get_ref().as_str()) {
                let message = format!("the context of the response already has a `{}`", claim.get_ref());
                findings.push(problem(claim.span(), &message));
            }
        }
        let mut read_routes = Vec::new();
        for RouteToml { method, path, action, resource, attributes } in routes {
            let verb =
                Method::from_verb(method.get_ref()).or((method.get_ref() == "ANY").then_some(Method::Any));
            if verb.is_none() {
                let message = format!("`{}` is not a method, such as GET, or ANY", method.get_ref());
                findings.push(problem(method.span(), &message));
            }
            let template: Option<PathTemplate> = match path.get_ref().parse() {
                Ok(template) => Some(template),
                Err(error) => {
                    findings.push(problem(path.span(), &error));
                    None
                }
            };
            if resource.is_none() && !attributes.is_empty() {
                let message = "`attributes` are those of a `resource`, which the route does not have";
                findings.push(problem(path.span(), &message));
            }
            let resource = resource.map(|resource| {
                let read = read_resource(resource.get_ref(), &attributes, template.as_ref());
                read.map_err(|message| findings.push(problem(resource.span(), &message)))
            });
            if let (Some(method), Some(template), None | Some(Ok(_))) = (verb, template, &resource) {
                read_routes.push(RouteSetting {
                    method,
                    template,
                    position: places.span(action.span()),
                    action: action.into_inner(),
                    resource: resource.and_then(Result::ok),
                });
            }
        }
        let default = TokenLocation::default();
        if findings.len() > before {
            return None;
        }
        Some(Self {
            name: name.into_inner(),
            namespace: namespace.into_inner(),
            validation,
            token_type,
            leeway_seconds: leeway_seconds.into_inner(),
            routes: read_routes,
            resource: uid?,
            is_complete,
            token_location: TokenLocation {
                header: header.map_or(default.header, |header| header.to_ascii_lowercase()),
                query,
                subprotocol,
            },
            usage_identifier_claim: response.usage_identifier_key,
            backend_claims: response.claims.into_iter().map(Spanned::into_inner).collect(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    store: StoreTable,
    #[serde(default)]
    tokens: TokensTable,
    #[serde(default)]
    api: ApiTable,
    #[serde(default)]
    routes: Vec<RouteToml>,
    #[serde(default)]
    response: ResponseTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreTable {
    name: Spanned<String>,
    namespace: Spanned<String>,
    #[serde(default)]
    validation: Validation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TokensTable {
    r#type: Option<TokenType>,
    leeway_seconds: Spanned<u32>,
    header: Option<String>,
    query: Option<String>,
    subprotocol: Option<String>,
}

impl Default for TokensTable {
    fn default() -> Self {
        Self {
            r#type: None,
            leeway_seconds: Spanned::new(0..0, 0),
            header: None,
            query: None,
            subprotocol: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteToml {
    method: Spanned<String>,
    path: Spanned<String>,
    action: Spanned<String>,
    resource: Option<Spanned<String>>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiTable {
    #[serde(default)]
    complete: bool,
    resource: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseTable {
    #[serde(default)]
    claims: Vec<Spanned<String>>,
    usage_identifier_key: Option<String>,
}

/// Reads the resource of a route. Its parameters must be those of the path.
fn read_resource(
    resource: &str,
    attributes: &BTreeMap<String, String>,
    path: Option<&PathTemplate>,
) -> Result<ResourceTemplate, String> {
    let invalid = || format!("`{resource}` is not a Cedar entity of the form Type::\"{{parameter}}\"");
    let uid: EntityUid = resource.parse().map_err(|_| invalid())?;
    let text = |text: &str| text.parse::<TextTemplate>().map_err(|error| format!("`{text}` is {error}"));
    let template = ResourceTemplate {
        entity_type: uid.type_name().clone(),
        id: text(uid.id().unescaped())?,
        attributes: attributes
            .iter()
            .map(|(name, value)| Ok((name.clone(), text(value)?)))
            .collect::<Result<_, String>>()?,
    };
    let texts = iter::once(&template.id).chain(template.attributes.values());
    for name in texts.flat_map(TextTemplate::parameters) {
        if path.is_some_and(|path| !path.parameters().any(|known| known == name)) {
            return Err(format!("the path has no parameter `{{{name}}}`"));
        }
    }
    Ok(template)
}

/// RFC 7519 4.1.4 allows a leeway, "usually no more than a few minutes". Clocks that NTP synchronizes need none.
const MAX_LEEWAY_SECONDS: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Vec<String>> {
        let mut findings = Vec::new();
        let settings = Settings::parse(text, &mut findings);
        settings.ok_or_else(|| findings.iter().map(ToString::to_string).collect())
    }

    const LEAST: &str = "[store]\nname = 'petstore'\nnamespace = 'PetStore'\n[tokens]\ntype = 'access'\n";

    #[test]
    fn what_is_left_out_has_a_safe_default() {
        let settings = parse(LEAST).unwrap();
        assert_eq!(settings.validation, Validation::Strict);
        assert_eq!(settings.leeway_seconds, 0);
        assert_eq!(settings.resource.to_string(), "PetStore::Application::\"PetStore\"");
        assert!(settings.backend_claims.is_empty());
    }

    #[test]
    fn every_problem_is_reported_with_its_line() {
        let text = "[store]\nname = ''\nnamespace = 'Pet Store'\n[tokens]\ntype = 'id'\nleeway_seconds = 61\n\
                    [api]\nresource = 'nonsense'\n[response]\nclaims = ['email',\n'reason']\n";
        let findings = parse(text).unwrap_err();
        let lines: Vec<&str> = findings.iter().map(|finding| finding.split(':').nth(1).unwrap()).collect();
        assert_eq!(lines, ["2", "6", "3", "11"], "{findings:#?}");
    }

    #[test]
    fn a_resource_that_two_requests_could_mean_is_found_where_it_stands() {
        let route = |resource: &str, attribute: &str| {
            let text = format!(
                "{LEAST}[[routes]]\nmethod = 'GET'\npath = '/{{a}}/{{b}}/{{rest+}}'\naction = 'a'\n\
                 resource = 'X::\"{resource}\"'\nattributes = {{ x = '{attribute}' }}\n"
            );
            let mut findings = Vec::new();
            parse(&text).unwrap().check_resources(&mut findings);
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(route("{a}/{b}", "{a}/{rest+}"), Vec::<String>::new());
        let expected =
            "store.toml:9:10: warning[resource-ambiguous]: different parameters can make the same `{a}-{b}`";
        assert_eq!(route("{a}-{b}", "{a}"), [expected]);
        assert_eq!(route("{a}", "{a}-{b}"), [expected]);
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        for (text, line) in [
            (format!("{LEAST}leeway = 5\n"), "store.toml:6:1"),
            (format!("{LEAST}[respones]\n"), "store.toml:6:2"),
            (LEAST.replace("access", "refresh"), "store.toml:5:8"),
            ("[store".to_owned(), "store.toml:1:7"),
            (String::new(), "store.toml:1:1"),
            (format!("{LEAST}[[routes]]\nmethod = 'get'\npath = '/'\naction = 'a'\n"), "store.toml:7:10"),
            (format!("{LEAST}[[routes]]\nmethod = 'GET'\npath = 'x'\naction = 'a'\n"), "store.toml:8:8"),
            (format!("{LEAST}[[routes]]\nmethod = 'GET'\npath = '/'\n"), "store.toml:6:1"),
            (
                format!(
                    "{LEAST}[[routes]]\nmethod='GET'\npath='/{{a}}'\naction='a'\nresource='X::\"{{b}}\"'\n"
                ),
                "store.toml:10:10",
            ),
            (
                format!("{LEAST}[[routes]]\nmethod='GET'\npath='/{{a}}'\naction='a'\nresource='{{a}}'\n"),
                "store.toml:10:10",
            ),
            (
                format!("{LEAST}[[routes]]\nmethod='GET'\npath='/'\naction='a'\nattributes={{a='b'}}\n"),
                "store.toml:8:6",
            ),
        ] {
            let findings = parse(&text).unwrap_err();
            assert!(findings[0].starts_with(line), "{text}\n{findings:?}");
        }
    }
}
