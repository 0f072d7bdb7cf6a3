//! The Lambda Runtime API, from which the function gets its events.

use std::net::IpAddr;

use reqwest::Url;

/// The address of the Runtime API. Keys must never be fetched from it: a request for the next event takes that event.
///
/// The Runtime API is on this machine, where plain http is allowed. The spelling of its host does not matter: all
/// names and addresses of this machine count as the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeApi {
    host: String,
    port: Option<u16>,
}

impl RuntimeApi {
    /// Reads the value of `AWS_LAMBDA_RUNTIME_API`: host and port, or a URL, as emulators set it.
    pub fn parse(text: &str) -> Option<Self> {
        let url: Url =
            if text.contains("://") { text.parse().ok()? } else { format!("http://{text}").parse().ok()? };
        Self::from_url(&url)
    }

    /// Whether a URL leads there.
    pub fn is_at(&self, url: &Url) -> bool {
        Self::from_url(url).as_ref() == Some(self)
    }

    fn from_url(url: &Url) -> Option<Self> {
        let name = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_here = match address.map(|address| address.to_canonical()) {
            // Requests to an unspecified address arrive at this machine.
            Some(address) => address.is_loopback() || address.is_unspecified(),
            None => name == LOCALHOST || name.ends_with(".localhost"),
        };
        let host = if is_here { LOCALHOST.to_owned() } else { name };
        Some(Self { host, port: url.port_or_known_default() })
    }
}

/// RFC 6761 6.3: this name and all names below it are this machine.
const LOCALHOST: &str = "localhost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_by_every_spelling_of_its_address() {
        let apis = [
            "127.0.0.1:9001",
            "localhost:9001",
            "[::1]:9001",
            "http://127.0.0.1:9001/.rt",
            "http://[::]:9001",
        ];
        for api in apis.map(|text| RuntimeApi::parse(text).unwrap()) {
            for url in [
                "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
                "http://127.0.0.1:09001/",
                "http://127.1:9001/",
                "http://2130706433:9001/",
                "http://0x7f.0.0.1:9001/",
                "http://0177.0.0.1:9001/",
                "http://127.0.0.1.:9001/",
                "http://127.8.8.8:9001/",
                "http://0.0.0.0:9001/",
                "http://0:9001/",
                "http://localhost:9001/",
                "http://LocalHost.:9001/",
                "http://api.localhost:9001/",
                "http://[::1]:9001/",
                "http://[0:0:0:0:0:0:0:1]:9001/",
                "http://[::]:9001/",
                "http://[::ffff:127.0.0.1]:9001/",
                "http://[::ffff:7f00:1]:9001/",
                "http://user:password@127.0.0.1:9001/",
                "https://127.0.0.1:9001/",
            ] {
                assert!(api.is_at(&url.parse().unwrap()), "{url} {api:?}");
            }
            for url in [
                "http://127.0.0.1:9002/",
                "http://127.0.0.1/",
                "http://128.0.0.1:9001/",
                "https://example.com:9001/",
            ] {
                assert!(!api.is_at(&url.parse().unwrap()), "{url} {api:?}");
            }
        }
        let without_port = RuntimeApi::parse("127.0.0.1").unwrap();
        assert!(without_port.is_at(&"http://localhost/".parse().unwrap()));
        assert!(!without_port.is_at(&"http://localhost:8080/".parse().unwrap()));
        assert_eq!(RuntimeApi::parse(""), None);
    }
}
