//! An API while it is being read. Routes name authorizers that may be defined later or elsewhere.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::template::Template;
use super::{
    Answers, ApiKind, AuthorizerKind, DeployedApi, DeployedAuthorizer, DeployedRoute, ProblemKind,
    Protection, Setting,
};
use crate::yaml::Place;

/// The APIs of a template.
#[derive(Default)]
pub struct TemplateApis(Vec<TemplateApi>);

/// An API, as far as it is known.
pub struct TemplateApi {
    /// Its logical id.
    pub name: String,
    /// Which kind of API.
    pub kind: ApiKind,
    /// Where it is defined.
    pub place: Place,
    /// The schemes, by the names that routes use.
    pub schemes: Vec<(String, Scheme)>,
    /// Whether there may be more schemes; a problem says why.
    pub has_unknown_schemes: bool,
    /// Its routes.
    pub routes: Vec<TemplateRoute>,
    /// The security of routes that have none of their own.
    pub security: Security,
}

/// What protects a route, under a name that routes use.
pub enum Scheme {
    /// A Lambda authorizer.
    Lambda(Box<DeployedAuthorizer>),
    /// An API key. It identifies the caller, but does not authorize.
    NoAuthorizer,
    /// Another authorizer, of this kind.
    Other(String),
    /// It could not be read; a problem says why.
    Unresolved,
}

/// A route whose protection has not been looked up yet.
pub struct TemplateRoute {
    /// In upper case, or `ANY`.
    pub verb: String,
    /// The path, or the key of a route without one.
    pub path: String,
    /// Where it is defined.
    pub place: Place,
    /// What it says about its protection.
    pub security: Security,
}

/// What a route says about its protection: nothing, or the names of schemes.
pub type Security = Setting<Vec<String>>;

impl TemplateApis {
    /// Adds an API that has nothing yet.
    pub fn add(&mut self, name: &str, kind: ApiKind, place: Place) -> &mut TemplateApi {
        let (schemes, routes, security) = (Vec::new(), Vec::new(), Security::Absent);
        let name = name.to_owned();
        self.0.push_mut(TemplateApi {
            name,
            kind,
            place,
            schemes,
            has_unknown_schemes: false,
            routes,
            security,
        })
    }

    /// The API of this name.
    pub fn named(&mut self, name: &str) -> Option<&mut TemplateApi> {
        self.0.iter_mut().find(|api| api.name == name)
    }

    /// The APIs so far.
    pub fn iter(&self) -> impl Iterator<Item = &TemplateApi> {
        self.0.iter()
    }

    /// The APIs, with the protection of each route. `answers` are those of each API, by its name.
    pub fn deploy(self, template: &Template, mut answers: BTreeMap<String, Answers>) -> Vec<DeployedApi> {
        let mut apis = self.0;
        apis.sort_by_key(|api| api.place);
        let deploy = |api: TemplateApi| {
            let answers = answers.remove(&api.name).unwrap_or_default();
            api.deploy(template, answers)
        };
        apis.into_iter().map(deploy).collect()
    }
}

impl TemplateApi {
    /// Defines a scheme. A later definition overrides an earlier one of the same name.
    pub fn define(&mut self, name: &str, scheme: Scheme) {
        self.schemes.retain(|(known, _)| known != name);
        self.schemes.push((name.to_owned(), scheme));
    }

    /// The scheme of this name.
    pub fn scheme(&self, name: &str) -> Option<&Scheme> {
        self.schemes.iter().find(|(known, _)| known == name).map(|(_, scheme)| scheme)
    }

    fn deploy(self, template: &Template, answers: Answers) -> DeployedApi {
        let routes = self.routes.iter().map(|route| self.deploy_route(route, template)).collect();
        let authorizers = self.schemes.into_iter().filter_map(|(_, scheme)| match scheme {
            Scheme::Lambda(authorizer) => Some(*authorizer),
            Scheme::NoAuthorizer | Scheme::Other(_) | Scheme::Unresolved => None,
        });
        DeployedApi {
            name: self.name,
            kind: self.kind,
            authorizers: authorizers.collect(),
            routes,
            answers,
            position: self.place,
        }
    }

    fn deploy_route(&self, route: &TemplateRoute, template: &Template) -> DeployedRoute {
        let TemplateRoute { verb, path, place, security } = route;
        let protection = self.protection_of(security, *place, template);
        DeployedRoute { verb: verb.clone(), path: path.clone(), protection, position: *place }
    }

    /// Who decides about the calls of a route that says this of its protection.
    pub fn protection_of(&self, security: &Security, place: Place, template: &Template) -> Protection {
        let security = if *security == Security::Absent { &self.security } else { security };
        match security {
            Setting::Absent => Protection::Nothing,
            Setting::Given { value: names, .. } => self.protection(names, place, template),
            Setting::Unresolved { .. } => Protection::Unresolved,
        }
    }

    /// The first authorizer counts, because a method has at most one.
    fn protection(&self, names: &[String], place: Place, template: &Template) -> Protection {
        if names.iter().any(|name| name == NONE) {
            return Protection::Nothing;
        }
        for name in names {
            match self.scheme(name) {
                Some(Scheme::Lambda(authorizer)) => return Protection::Lambda(authorizer.name.clone()),
                Some(Scheme::NoAuthorizer) => {}
                Some(Scheme::Other(kind)) => return Protection::Other(kind.clone()),
                Some(Scheme::Unresolved) => return Protection::Unresolved,
                None if name == AWS_IAM => return Protection::Other(AWS_IAM.to_owned()),
                None if self.has_unknown_schemes => return Protection::Unresolved,
                None => {
                    let message = format!("`{}` has no authorizer `{name}`", self.name);
                    template.problem(place, ProblemKind::Invalid, message);
                    return Protection::Unresolved;
                }
            }
        }
        Protection::Nothing
    }
}

/// The kind of a Lambda authorizer, by the property `key`; or, if it is not one, what it is instead.
pub fn kind_of(fields: &Fields<'_>, key: &str) -> Result<AuthorizerKind, Scheme> {
    match fields.text(key) {
        Setting::Given { value, place: _ } => match value.to_ascii_uppercase().as_str() {
            "REQUEST" => Ok(AuthorizerKind::Request),
            "TOKEN" => Ok(AuthorizerKind::Token),
            _ => Err(Scheme::Other(value.to_ascii_uppercase())),
        },
        Setting::Absent => {
            let message = format!("`{key}` of {} is missing", fields.owner);
            fields.template.problem(fields.place, ProblemKind::Invalid, message);
            Err(Scheme::Unresolved)
        }
        Setting::Unresolved { .. } => Err(Scheme::Unresolved),
    }
}

/// SAM Developer Guide, "ApiFunctionAuth": no authorizer, even if there is a default one.
pub const NONE: &str = "NONE";

/// A built-in authorizer, which needs no definition.
pub const AWS_IAM: &str = "AWS_IAM";
