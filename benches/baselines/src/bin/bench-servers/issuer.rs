use std::error::Error;

use serde_json::json;

use crate::http::{Request, Response};

/// Publishes a key set under its URL and nothing else: to other hosts and paths it answers 404, as the second issuer of
/// a user pool does that is not set to it.
pub struct Issuer {
    url: String,
    host: String,
    path: String,
    keys: Vec<u8>,
}

impl Issuer {
    pub fn new(url: &str, keys: Vec<u8>) -> Result<Self, Box<dyn Error>> {
        let rest = url.strip_prefix("https://").ok_or("ISSUER is not https")?;
        let (host, path) = rest.split_once('/').ok_or("ISSUER has no path")?;
        Ok(Self { url: url.to_owned(), host: host.to_owned(), path: format!("/{path}"), keys })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn answer(&self, request: &Request) -> Response {
        let is_here = request.header("host") == Some(&self.host);
        match request.path.strip_prefix(&self.path).filter(|_| is_here) {
            Some("/.well-known/jwks.json") => {
                Response::new(200, self.keys.clone()).with("Content-Type", "application/json")
            }
            Some("/.well-known/openid-configuration") => {
                let keys = format!("{}/.well-known/jwks.json", self.url);
                Response::json(&json!({"issuer": self.url, "jwks_uri": keys}))
            }
            _ => Response::empty(404),
        }
    }
}
