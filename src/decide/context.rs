//! The context: what Cedar policies may ask about a request, apart from its principal and resource.
//!
//! ```text
//! token                   the claims of an access token
//! pathParameters          AVP's two: records, there only if the call has any
//! queryStringParameters
//! http                    method path route stage host sourceIp userAgent requestTime headers
//! ```
//!
//! Each is there only if the schema declares it for the action, and has only the members and types that the
//! schema declares. Without a schema, the first three are there as a whole, as in AVP.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{Context, EntityUid, RestrictedExpression};

use crate::gateway::input::Input;
use crate::gateway::request::RequestFields;
use crate::gateway::route::{Method, Route};
use crate::projection::{Projected, Projection, Record, project_simple};
use crate::reason::Reason;
use crate::token::identity_source::IdentitySource;
use crate::token::{TokenType, VerifiedToken};

/// What a context is made of.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The parts of the request that policies may read.
    pub request: RequestFields<'a>,
    /// The route that it takes.
    pub route: &'a Route,
    /// The inputs that its policies read.
    pub reads: &'a BTreeSet<Input>,
    /// The parameters of its path, decoded.
    pub path_parameters: &'a BTreeMap<String, String>,
    /// The token of the caller.
    pub token: &'a VerifiedToken,
    /// The source that vouches for the token.
    pub source: &'a IdentitySource,
}

/// Whether a context of this shape contains only the token. Such a context is the same for every route and call.
pub fn is_of_token_alone(shape: &Record) -> bool {
    let is_empty = |name: &str| shape.record(name).is_some_and(|record| record.attributes().next().is_none());
    shape.attributes().all(|(name, _)| name == TOKEN || (name == HTTP && is_empty(name)))
}

/// The shape of `token` in a context of this shape. `None`: the context has no `token`.
pub fn token_shape(shape: &Record) -> Option<&Record> {
    shape.record(TOKEN)
}

type ContextValues = HashMap<String, RestrictedExpression>;

/// The context of a request, already checked. Cedar's form of it is made only if a condition may read it.
#[derive(Debug)]
pub struct Prepared {
    values: ContextValues,
    /// How many values were dropped because the schema declares another type.
    pub dropped: usize,
    context: OnceCell<Option<Context>>,
}

impl Prepared {
    /// The context. `None`: Cedar does not accept it.
    pub fn context(&self) -> Option<Context> {
        self.context.get_or_init(|| Context::from_pairs(self.values.clone()).ok()).clone()
    }
}

/// Prepares the context of a request.
///
/// # Errors
/// [`Reason::RequiredClaimMissing`] for the token, [`Reason::RequiredContextMissing`] for the rest
/// and [`Reason::ParameterAmbiguous`].
pub fn prepare(inputs: Inputs<'_>, projection: &Projection) -> Result<Prepared, Reason> {
    let (values, dropped) = match projection.context(&inputs.route.action) {
        Some(shape) => declared(inputs, &shape)?,
        None => everything(inputs)?,
    };
    Ok(Prepared { values, dropped, context: OnceCell::new() })
}

/// The context of a request that comes from a user of the library. The claims of an access token become its
/// `token`. If the request has a member of that name, it is left out.
///
/// # Errors
/// [`Reason::RequiredClaimMissing`], [`Reason::RequestInvalid`].
pub(crate) fn with_token(
    asked: &Context,
    action: &EntityUid,
    claims: &VerifiedToken,
    source: &IdentitySource,
    projection: &Projection,
) -> Result<Context, Reason> {
    let others = asked.clone().into_iter().filter(|(name, _)| name != TOKEN);
    let projected = match (source.token_type(), projection.context(action)) {
        (Some(TokenType::Access), None) => Some(project_simple(claims.claims(), source)),
        (Some(TokenType::Access), Some(shape)) => {
            let shape = shape.record(TOKEN);
            shape.map(|shape| shape.project_claims(claims.claims(), source)).transpose()?
        }
        _ => None,
    };
    let token = projected.map(|projected| record(projected.values)).transpose()?;
    let token = token.map(|token| (TOKEN.to_owned(), token));
    Context::from_pairs(others.chain(token)).map_err(|_| Reason::RequestInvalid)
}

fn declared(inputs: Inputs<'_>, shape: &Record) -> Result<(ContextValues, usize), Reason> {
    let (mut values, mut dropped) = (ContextValues::new(), 0);
    for (name, required) in shape.attributes() {
        let member = match shape.record(name) {
            Some(shape) => match name {
                TOKEN => token(inputs, shape)?,
                PATH_PARAMETERS => path_parameters(inputs, shape)?,
                QUERY_PARAMETERS => query_parameters(inputs, shape)?,
                HTTP => http(inputs, shape)?,
                _ => None,
            },
            None => None,
        };
        match member {
            Some(projected) => {
                dropped += projected.dropped;
                values.insert(name.to_owned(), record(projected.values)?);
            }
            None if required => return Err(Reason::RequiredContextMissing),
            None => {}
        }
    }
    Ok((values, dropped))
}

fn token(inputs: Inputs<'_>, shape: &Record) -> Result<Option<Projected>, Reason> {
    match inputs.source.token_type() {
        Some(TokenType::Access) => Ok(Some(shape.project_claims(inputs.token.claims(), inputs.source)?)),
        _ => Ok(None),
    }
}

fn path_parameters(inputs: Inputs<'_>, shape: &Record) -> Result<Option<Projected>, Reason> {
    if inputs.path_parameters.is_empty() {
        return Ok(None);
    }
    texts(shape, |name| inputs.path_parameters.get(name).cloned()).map(Some)
}

fn query_parameters(inputs: Inputs<'_>, shape: &Record) -> Result<Option<Projected>, Reason> {
    let query = inputs.request.query;
    if query.is_empty() {
        return Ok(None);
    }
    for (name, _) in shape.attributes() {
        query.get(name).map_err(|_| Reason::ParameterAmbiguous)?;
    }
    texts(shape, |name| query.get(name).ok()?.map(str::to_owned)).map(Some)
}

fn http(inputs: Inputs<'_>, shape: &Record) -> Result<Option<Projected>, Reason> {
    let Inputs { request, route, .. } = inputs;
    let headers = match shape.record(HEADERS) {
        Some(shape) => {
            let header = |name: &str| request.headers.get(&name.to_ascii_lowercase());
            for (name, _) in shape.attributes() {
                header(name).map_err(|_| Reason::ParameterAmbiguous)?;
            }
            Some(texts(shape, |name| header(name).ok()?.map(str::to_owned))?)
        }
        None => None,
    };
    let text = |name: &str| match name {
        // The method of the route: the call may be for another route, and its answer may include this one.
        "method" => match route.method {
            Method::Any => request.verb.map(str::to_owned),
            method => Some(method.name().to_ascii_uppercase()),
        },
        "path" => request.path.map(str::to_owned),
        "route" => Some(route.template.to_string()),
        "stage" => request.stage.map(str::to_owned),
        "host" => request.host.map(str::to_owned),
        "sourceIp" => request.source_ip.map(str::to_owned),
        "userAgent" => request.user_agent.map(str::to_owned),
        "requestTime" => request.time_milliseconds.and_then(crate::time::iso_8601),
        _ => None,
    };
    let mut projected = texts(&shape.without(HEADERS), text)?;
    if let Some(headers) = headers {
        projected.dropped += headers.dropped;
        projected.values.insert(HEADERS.to_owned(), record(headers.values)?);
    }
    Ok(Some(projected))
}

fn texts(shape: &Record, text_of: impl Fn(&str) -> Option<String>) -> Result<Projected, Reason> {
    shape.project_texts(text_of).map_err(|_| Reason::RequiredContextMissing)
}

/// The context if no schema declares it.
fn everything(inputs: Inputs<'_>) -> Result<(ContextValues, usize), Reason> {
    let (mut values, mut dropped) = (ContextValues::new(), 0);
    if inputs.source.token_type() == Some(TokenType::Access) {
        let projected = project_simple(inputs.token.claims(), inputs.source);
        dropped = projected.dropped;
        values.insert(TOKEN.to_owned(), record(projected.values)?);
    }
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let path = inputs.path_parameters.iter().map(|(name, value)| (name.clone(), text(value)));
    let mut query = ContextValues::new();
    let is_read = inputs.reads.iter().any(Input::is_of_query);
    for name in inputs.request.query.names().filter(|_| is_read) {
        let value = inputs.request.query.get(name).map_err(|_| Reason::ParameterAmbiguous)?;
        query.extend(value.map(|value| (name.to_owned(), text(value))));
    }
    for (name, parameters) in [(PATH_PARAMETERS, path.collect::<ContextValues>()), (QUERY_PARAMETERS, query)]
    {
        if !parameters.is_empty() {
            values.insert(name.to_owned(), record(parameters)?);
        }
    }
    Ok((values, dropped))
}

fn record(values: ContextValues) -> Result<RestrictedExpression, Reason> {
    RestrictedExpression::new_record(values).map_err(|_| Reason::RequestInvalid)
}

const TOKEN: &str = "token";
pub(crate) const HTTP: &str = "http";
pub(crate) const HEADERS: &str = "headers";

/// The names that AVP's authorizer uses.
pub(crate) const PATH_PARAMETERS: &str = "pathParameters";
pub(crate) const QUERY_PARAMETERS: &str = "queryStringParameters";
