//! Whose bundles a verb accepts.

use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::function::config;
use clap::Args;

use crate::output::Failure;

/// The keys whose bundles are accepted.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Accept only bundles that one of these keys signed, as `keygen` prints them; BUNDLE_PUBLIC_KEYS if it is set
    ///
    /// Several are separated by commas. Without any, no signature is checked.
    #[arg(long, value_name = "KEYS", allow_hyphen_values = true)]
    public_keys: Option<String>,
}

impl TrustArgs {
    /// Whether they are asked for by the option.
    pub fn is_given(&self) -> bool {
        self.public_keys.is_some()
    }

    /// Reads the keys. `None`: there are none, so no signature can be checked.
    pub fn read(&self) -> Result<Option<PublicKeys>, Failure> {
        let (name, text) = match (&self.public_keys, config::variable(VARIABLE)) {
            (Some(text), _) => ("--public-keys", text.clone()),
            (None, Some(text)) => (VARIABLE, text),
            (None, None) => return Ok(None),
        };
        // Not by clap, which would show the text: it may be a private key.
        let keys = text.parse().map_err(|error| {
            Failure::could_not_run(format_args!("{name}: {error}"))
                .hint("`cedar-authorizer keygen --public FILE` prints the public key of a private key")
        })?;
        Ok(Some(keys))
    }
}

/// What the function takes them from.
const VARIABLE: &str = "BUNDLE_PUBLIC_KEYS";
