//! Which keys' bundles a verb accepts.

use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::function::config;
use clap::Args;

use crate::output::Failure;

/// The keys whose bundles are accepted.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Accept only bundles that one of these keys signed, as `keygen` prints them [default: BUNDLE_PUBLIC_KEYS]
    ///
    /// Separate several keys by commas. Without any, signatures are not checked.
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true)]
    public_keys: Option<String>,
}

impl TrustArgs {
    /// Whether the option was given.
    pub fn is_given(&self) -> bool {
        self.public_keys.is_some()
    }

    /// Reads the keys. `None`: there are none, so signatures cannot be checked.
    pub fn read(&self) -> Result<Option<PublicKeys>, Failure> {
        let (name, text) = match (&self.public_keys, config::variable(VARIABLE)) {
            (Some(text), _) => ("--public-keys", text.clone()),
            (None, Some(text)) => (VARIABLE, text),
            (None, None) => return Ok(None),
        };
        // clap does not parse this, because it would show the text, which may be a private key.
        let keys = text.parse().map_err(|error| {
            Failure::could_not_run(format_args!("{name}: {error}"))
                .hint("`cedar-authorizer keygen --public FILE` prints the public key of a private key")
        })?;
        Ok(Some(keys))
    }
}

/// The variable that the function reads its keys from.
const VARIABLE: &str = "BUNDLE_PUBLIC_KEYS";
