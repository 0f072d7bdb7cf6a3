//! The settings for reading from S3. They all come from the environment, where Lambda puts them.
//!
//! The names are those of every AWS SDK. Unlike an SDK, the function does not look for credentials in settings files
//! or elsewhere: in Lambda there are none, and looking for them would cost more than the rest of a cold start.

use aws_credential_types::Credentials;

use super::endpoint::Endpoint;

/// Region, endpoint and credentials.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Where S3 is.
    pub endpoint: Endpoint,
    /// The region that requests are signed for.
    pub region: String,
    /// The function's own credentials. Lambda sets them once, and they are valid for as long as the execution
    /// environment exists (Lambda Developer Guide, "Defined runtime environment variables").
    pub credentials: Credentials,
}

impl S3Settings {
    /// Reads the settings from variables.
    ///
    /// # Errors
    /// Everything that is missing or wrong.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let lookup =
            |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut problems = Vec::new();
        let mut required = |name: &str, value: Option<String>| {
            if value.is_none() {
                problems.push(format!("{name} is not set"));
            }
            value
        };
        let region = required(REGION, lookup(REGION).or_else(|| lookup("AWS_DEFAULT_REGION")));
        let id = required(KEY_ID, lookup(KEY_ID));
        let secret = required(SECRET, lookup(SECRET));

        let mut flag = |name| match lookup(name).map(|value| value.to_ascii_lowercase()).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                problems.push(format!("{name} is neither true nor false"));
                false
            }
        };
        let (fips, dual_stack, ignored) = (flag(FIPS), flag(DUAL_STACK), flag(IGNORE));
        let configured = ENDPOINTS.into_iter().filter(|_| !ignored);
        let configured = configured.filter_map(|name| Some((name, lookup(name)?))).next();
        let endpoint = match (&configured, &region) {
            (Some((name, _)), _) if fips || dual_stack => {
                problems.push(format!("{name} cannot be combined with {FIPS} or {DUAL_STACK}"));
                None
            }
            (Some((name, url)), _) => {
                url.parse().map_err(|error| problems.push(format!("{name} is {error}"))).ok()
            }
            (None, Some(region)) => Endpoint::of_region(region, fips, dual_stack)
                .map_err(|_| problems.push(format!("{REGION} is not the name of a region")))
                .ok(),
            (None, None) => None,
        };
        match (region, id, secret, endpoint, problems.is_empty()) {
            (Some(region), Some(id), Some(secret), Some(endpoint), true) => {
                let credentials = Credentials::new(id, secret, lookup(SESSION_TOKEN), None, "environment");
                Ok(Self { endpoint, region, credentials })
            }
            _ => Err(InvalidSettings(problems.join(", "))),
        }
    }
}

/// The environment does not say how to read from S3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment does not say how to read from S3: {0}")]
pub struct InvalidSettings(String);

const REGION: &str = "AWS_REGION";
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";
const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// The first one that is set counts (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
