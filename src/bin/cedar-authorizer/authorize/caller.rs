//! Who asks.

use std::io::{self, Read};

use cedar_authorizer::cedar::EntityUid;
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::TokenType;
use clap::Args;
use serde_json::{Map, Value};

use crate::output::Failure;
use crate::test_bench::{Claims, NoSource, TestBench};
use crate::token::Type;

/// Who asks.
#[derive(Debug, Args)]
pub struct CallerArgs {
    /// A persona of `personas.toml`
    #[arg(long = "as", value_name = "NAME")]
    persona: Option<String>,

    /// Claims as a JSON object; they override those of the persona, and `null` removes one
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,

    /// A real token; `-` reads it from stdin
    ///
    /// It is verified with the keys that are kept with the store. Keys that are not are fetched from the issuer.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["persona", "claims"], allow_hyphen_values = true)]
    token: Option<String>,

    /// The identity source of the persona or claims [default: that of the claim `iss`, otherwise the first]
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    source: Option<String>,

    /// The type of the token [default: the one that the identity source accepts]
    #[arg(long = "type", value_enum, value_name = "TYPE", conflicts_with = "token")]
    token_type: Option<Type>,

    /// A principal as an entity, for a request in Cedar's terms
    #[arg(long, value_name = "UID", conflicts_with_all = ["persona", "claims", "token"], requires = "action")]
    pub principal: Option<EntityUid>,
}

/// Who asks, and how they prove it.
pub enum Caller {
    /// Somebody whose token has these claims, and no others.
    Claims(Claims),
    /// Whoever this token is of.
    Token(String),
}

impl CallerArgs {
    /// Whether there is anybody with a token.
    pub fn has_token(&self) -> bool {
        self.persona.is_some() || self.claims.is_some() || self.token.is_some()
    }

    /// Who asks at this time.
    pub fn caller(&self, bench: &TestBench, now: UnixTime) -> Result<Caller, Failure> {
        match self.token.as_deref() {
            Some("-") => Ok(Caller::Token(read_stdin()?)),
            Some(token) => Ok(Caller::Token(token.trim().to_owned())),
            None if self.has_token() => self.claims(bench, now).map(Caller::Claims),
            None => Err(Failure::could_not_run("nobody asks").hint(
                "say who with --as NAME, --claims JSON or --token TOKEN, or with --principal UID and --action UID",
            )),
        }
    }

    fn claims(&self, bench: &TestBench, now: UnixTime) -> Result<Claims, Failure> {
        let mut claims = match &self.persona {
            Some(name) => bench.personas().find(name)?.clone(),
            None => Claims::new(),
        };
        if let Some(text) = &self.claims {
            let given: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
                Failure::could_not_run(format_args!("--claims is not a JSON object: {error}"))
            })?;
            claims.extend(given);
        }
        let source = bench.source(self.source.as_deref(), &claims).map_err(NoSource::into_failure)?;
        Ok(bench.claims(&claims, source, self.token_type.map(TokenType::from), now))
    }
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::could_not_run(format_args!("cannot read the token from stdin: {error}")))?;
    Ok(text.trim().to_owned())
}

/// Several times what API Gateway takes as headers, 10,240 bytes (API Gateway Developer Guide, "Quotas").
const MAX_TOKEN_BYTES: u64 = 65_536;
