//! Who issues the tokens for an API, as far as its description says.

use std::rc::Rc;

use crate::yaml::{Node, Place};

/// An issuer of tokens that the API has an authorizer for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProvider {
    /// The name of its security scheme.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// Who it is.
    pub kind: ProviderKind,
}

/// The kinds of issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// A Cognito user pool, by its ARN.
    UserPool(String),
    /// An OpenID provider.
    Issuer {
        /// Its URL, as tokens have it.
        url: String,
        /// The audiences or clients whose tokens are accepted.
        audiences: Vec<String>,
    },
}

/// The issuers of the security schemes of a document.
pub fn read(root: &Node) -> Vec<IdentityProvider> {
    let schemes = root.get("components").and_then(|components| components.get("securitySchemes"));
    let schemes = [schemes, root.get("securityDefinitions")].into_iter().flatten();
    let mut providers = Vec::new();
    for entry in schemes.filter_map(|schemes| schemes.map()).flatten() {
        let kinds = kinds(&entry.value).into_iter();
        providers.extend(kinds.map(|kind| IdentityProvider {
            name: entry.key.clone(),
            place: entry.place,
            kind,
        }));
    }
    providers
}

/// API Gateway Developer Guide, "x-amazon-apigateway-authorizer object"; OpenAPI, "Security Scheme Object".
fn kinds(scheme: &Rc<Node>) -> Vec<ProviderKind> {
    if let Some(authorizer) = scheme.get("x-amazon-apigateway-authorizer") {
        let pools = authorizer.get("providerARNs").map(texts).unwrap_or_default();
        let jwt = authorizer.get("jwtConfiguration").and_then(|jwt| {
            let url = jwt.get("issuer")?.text()?.to_owned();
            Some(ProviderKind::Issuer { url, audiences: jwt.get("audience").map(texts).unwrap_or_default() })
        });
        return pools.into_iter().map(ProviderKind::UserPool).chain(jwt).collect();
    }
    let discovery = scheme.get("openIdConnectUrl").and_then(|url| url.text());
    let issuer = discovery.and_then(|url| url.strip_suffix("/.well-known/openid-configuration"));
    let issuer = issuer.map(|url| ProviderKind::Issuer { url: url.to_owned(), audiences: Vec::new() });
    issuer.into_iter().collect()
}

fn texts(node: &Rc<Node>) -> Vec<String> {
    let items = node.list().unwrap_or_default().iter();
    items.filter_map(|item| item.text()).map(str::to_owned).collect()
}
