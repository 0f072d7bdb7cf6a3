//! `token`: tokens for trying things out.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cedar_authorizer::store::Store;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::algorithm::Algorithm;
use cedar_authorizer::token::identity_source::{IdentitySource, Provider};
use cedar_authorizer::token::key_set::KeySet;
use cedar_authorizer::token::{TokenType, crypto_provider};
use clap::{Args, ValueEnum};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use crate::output::{Exit, Failure, WARNING, paint, print, warn};
use crate::progress;
use crate::store::{StoreArgs, checking};

/// Sign a token for trying things out
///
/// The token is signed with the development key, whose private half is part of this program. Everybody can sign with
/// it, so the function refuses it unless ALLOW_DEVELOPMENT_KEYS=true. Issuer, client, type and times come from the
/// policy store. The rest comes from a persona of `personas.toml` or from --claims, which may replace any claim, or
/// remove it with `null`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer token --as alice
  cedar-authorizer token --as alice --claims '{\"scope\": \"openid\"}'
  cedar-authorizer token --claims '{\"sub\": \"u1\", \"cognito:groups\": [\"customer\"]}' --expires-in 60
  cedar-authorizer token --source okta --claims '{\"groups\": \"staff admin\"}'

Exit codes: 0 signed, 1 could not run, 3 invalid store")]
pub struct Token {
    #[command(flatten)]
    store: StoreArgs,

    /// A persona of `personas.toml`
    #[arg(long = "as", value_name = "NAME", required_unless_present = "claims")]
    persona: Option<String>,

    /// Claims as a JSON object; they override those of the persona
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,

    /// The type of the token [default: the one that the identity source accepts]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    token_type: Option<Type>,

    /// The identity source that the token claims to be from [default: the first]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// How long the token is valid
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    expires_in: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Type {
    Access,
    Id,
}

impl Token {
    pub fn run(self) -> Result<Exit, Failure> {
        let files = self.store.read()?;
        let (store, _) = progress::during(checking(&files), || Store::check(&files));
        let store = store.ok_or_else(|| {
            let message = format!("the policy store `{}` is invalid", self.store.name());
            Failure::invalid(message).hint("see what is wrong with `cedar-authorizer check`")
        })?;
        let (source, keys) = self.find_source(&store)?;
        let token_type = match (self.token_type, source.token_type()) {
            (Some(Type::Access), _) => TokenType::Access,
            (Some(Type::Id), _) => TokenType::Id,
            (None, accepted) => accepted.unwrap_or(TokenType::Access),
        };
        let mut claims = defaults(source, token_type, SystemTime::now().into(), self.expires_in);
        if let Some(name) = &self.persona {
            claims.extend(self.find_persona(name)?);
        }
        if let Some(text) = &self.claims {
            let given: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
                Failure::could_not_run(format_args!("--claims is not a JSON object: {error}"))
            })?;
            claims.extend(given);
        }
        claims.retain(|_, value| !value.is_null());
        let token = sign(&claims)?;
        if !keys.is_some_and(KeySet::holds_development_key) {
            let text = format!(
                "the store does not trust the development key, so `{}` refuses this token",
                source.name()
            );
            warn(&format_args!("{}: {text}", paint(WARNING, "warning")));
        }
        if std::io::stdout().is_terminal() {
            warn(&"signed with the development key, which everybody has");
        }
        print(&token)?;
        Ok(Exit::Fine)
    }

    fn find_source<'a>(&self, store: &'a Store) -> Result<(&'a IdentitySource, Option<&'a KeySet>), Failure> {
        let mut sources = store.identity_sources.iter();
        let found = match &self.source {
            Some(name) => sources.find(|source| source.name() == name),
            None => sources.next(),
        };
        let names: Vec<&str> = store.identity_sources.iter().map(IdentitySource::name).collect();
        found.map(|source| (source, source.pinned_keys())).ok_or_else(|| {
            let name = self.source.as_deref().unwrap_or_default();
            let failure = Failure::could_not_run(format!("there is no identity source `{name}`"));
            failure.hint(format!("there is: {}", names.join(", ")))
        })
    }

    fn find_persona(&self, name: &str) -> Result<Map<String, Value>, Failure> {
        let path = self.store.store.join("personas.toml");
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::could_not_run(format_args!(
                "cannot read `{}`: {}",
                path.display(),
                error.to_string().trim_end()
            ))
        };
        let text = fs::read_to_string(&path).map_err(|error| unusable(&error))?;
        let mut personas: BTreeMap<String, Map<String, Value>> =
            toml::from_str(&text).map_err(|error| unusable(&error))?;
        personas.remove(name).ok_or_else(|| {
            let names: Vec<&str> = personas.keys().map(String::as_str).collect();
            let failure =
                Failure::could_not_run(format!("there is no persona `{name}` in `{}`", path.display()));
            failure.hint(format!("there is: {}", names.join(", ")))
        })
    }
}

/// The claims that every token of this source and type has.
fn defaults(
    source: &IdentitySource,
    token_type: TokenType,
    now: UnixTime,
    expires_in: u64,
) -> Map<String, Value> {
    let (audience_claim, token_use) = match (source.provider(), token_type) {
        (Provider::Cognito(_), TokenType::Access) => ("client_id", Some(token_type.name())),
        (Provider::Cognito(_), TokenType::Id) => ("aud", Some(token_type.name())),
        (Provider::OpenIdConnect, _) => ("aud", None),
    };
    let audience = source.accepted().first().map_or("any", String::as_str);
    let claims = [
        ("iss", json!(source.issuers().first())),
        (audience_claim, json!(audience)),
        ("token_use", json!(token_use)),
        (source.principal_id_claim(), json!("00000000-0000-4000-8000-000000000000")),
        ("iat", json!(now.as_seconds())),
        ("exp", json!(now.as_seconds().saturating_add(expires_in))),
    ];
    claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn sign(claims: &Map<String, Value>) -> Result<String, Failure> {
    let unsigned =
        |error: &dyn std::fmt::Display| Failure::could_not_run(format_args!("cannot sign: {error}"));
    let lines = DEVELOPMENT_KEY.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let body: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    let der = STANDARD.decode(body).map_err(|error| unsigned(&error))?;
    // `encode` uses the cryptography installed in the process. Nothing else in this program signs tokens, so nothing
    // else installs it.
    crypto_provider::AWS_LC.install_default().map_err(|_| unsigned(&"another provider is installed"))?;
    // Cognito's headers have `kid` and `alg`, but no `typ`.
    let header =
        Header { typ: None, kid: Some(DEVELOPMENT_KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) };
    encode(&header, claims, &EncodingKey::from_rsa_der(&der)).map_err(|error| unsigned(&error))
}

/// This is not a secret: see the file.
const DEVELOPMENT_KEY: &str = include_str!("development-key.pem");

/// The id of the key in `policies/jwks/cognito.json`.
const DEVELOPMENT_KEY_ID: &str = "development-key-never-in-production";
