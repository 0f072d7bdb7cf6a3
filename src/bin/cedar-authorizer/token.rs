//! `token`: tokens for trying things out.

use std::io::IsTerminal;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cedar_authorizer::store::Store;
use cedar_authorizer::token::algorithm::Algorithm;
use cedar_authorizer::token::key_set::KeySet;
use cedar_authorizer::token::{TokenType, crypto_provider};
use clap::{Args, ValueEnum};
use jsonwebtoken::{EncodingKey, Header, encode};

use crate::output::{Exit, Failure, WARNING, paint, print, warn};
use crate::progress;
use crate::store::{StoreArgs, checking};
use crate::test_bench::{Claims, NoSource, Personas, default_claims, find_source, token_type};

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

    /// The identity source that the token claims to be from [default: whose issuer the claim `iss` names, or the first]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// How long the token is valid
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    expires_in: u64,
}

/// The type of a token, as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Type {
    Access,
    Id,
}

impl From<Type> for TokenType {
    fn from(token_type: Type) -> Self {
        match token_type {
            Type::Access => Self::Access,
            Type::Id => Self::Id,
        }
    }
}

impl Token {
    pub fn run(self) -> Result<Exit, Failure> {
        let files = self.store.read()?;
        let (store, _) = progress::during(checking(&files), || Store::check(&files));
        let store = store.ok_or_else(|| {
            let message = format!("the policy store `{}` is invalid", self.store.name());
            Failure::invalid(message).hint("see what is wrong with `cedar-authorizer check`")
        })?;
        let given = self.given_claims()?;
        let source = find_source(&store.identity_sources, self.source.as_deref(), &given);
        let source = source.map_err(NoSource::into_failure)?;
        let token_type = match self.token_type {
            Some(Type::Access) => TokenType::Access,
            Some(Type::Id) => TokenType::Id,
            None => token_type(source),
        };
        let mut claims = default_claims(source, token_type, SystemTime::now().into(), self.expires_in);
        claims.extend(given);
        claims.retain(|_, value| !value.is_null());
        let token = sign(&claims)?;
        if !source.pinned_keys().is_some_and(KeySet::holds_development_key) {
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

    /// The claims of the persona, and those of the command line, which override them.
    fn given_claims(&self) -> Result<Claims, Failure> {
        let mut claims = match &self.persona {
            Some(name) => Personas::read(&self.store.store)?.find(name)?.clone(),
            None => Claims::new(),
        };
        if let Some(text) = &self.claims {
            let given: Claims = serde_json::from_str(text).map_err(|error| {
                Failure::could_not_run(format_args!("--claims is not a JSON object: {error}"))
            })?;
            claims.extend(given);
        }
        Ok(claims)
    }
}

fn sign(claims: &Claims) -> Result<String, Failure> {
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
