//! Who may ask: programs on this machine, and pages that this machine serves.
//!
//! A page of any site can make a browser send requests to this machine, and a site can let its own name point here (DNS
//! rebinding). Such requests carry the site's name: in `Origin`, or in `Host`.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Uri};

/// The names under which clients may ask.
#[derive(Debug)]
pub struct Admission {
    /// Names besides those of this machine.
    allowed: Vec<String>,
}

impl Admission {
    pub fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }

    /// Whether a request is answered. Returns the origin of the page that sent it, if a page did.
    ///
    /// # Errors
    /// [`NotAdmitted`]
    pub fn admit(&self, request: &Parts) -> Result<Option<HeaderValue>, NotAdmitted> {
        self.admit_host(request)?;
        let Some(origin) = request.headers.get(ORIGIN) else { return Ok(None) };
        let page = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        if page.as_ref().and_then(Uri::host).is_some_and(|host| self.is_allowed(host)) {
            return Ok(Some(origin.clone()));
        }
        let message = "a page of another machine asks; --allow-host allows its host".to_owned();
        Err(NotAdmitted { message })
    }

    /// Whether a request is for this machine, whatever page sent it.
    ///
    /// # Errors
    /// [`NotAdmitted`]
    pub fn admit_host(&self, request: &Parts) -> Result<(), NotAdmitted> {
        let denied = |message: String| Err(NotAdmitted { message });
        let mut hosts = request.headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            _ => None,
        };
        let Some(host) = host else {
            return denied("the header `Host` is missing, or names no host".to_owned());
        };
        // A proxy's request names the host twice, and both count.
        for authority in request.uri.authority().into_iter().chain([&host]) {
            if !self.is_allowed(authority.host()) {
                let name: String = authority.host().chars().take(MAX_NAME_CHARS).collect();
                let message = format!("`{name}` is no name of this machine; --allow-host allows another one");
                return denied(message);
            }
        }
        Ok(())
    }

    fn is_allowed(&self, host: &str) -> bool {
        is_loopback(host) || self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }
}

/// The request is of another machine's page, or asks for another machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotAdmitted {
    /// Why, and what to do.
    pub message: String,
}

/// Whether a name or an address in a URL always means the machine that uses it (RFC 6761, section 6.3).
fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// How much of a host's name is shown: more than a name in DNS has (RFC 1035, section 2.3.4).
const MAX_NAME_CHARS: usize = 255;

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[track_caller]
    fn admitted(headers: &[(&str, &str)]) -> bool {
        let admission = Admission::new(vec!["avp".to_owned(), "192.168.1.5".to_owned()]);
        let request =
            headers.iter().fold(Request::post("/"), |request, (name, value)| request.header(*name, *value));
        admission.admit(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn hosts_are_names_of_this_machine_or_allowed() {
        for host in [
            "localhost",
            "LOCALHOST:8180",
            "localhost.:80",
            "avp.localhost",
            "127.0.0.1:8180",
            "127.8.8.8",
            "[::1]:1",
            "[::ffff:127.0.0.1]",
            "avp",
            "AVP:8180",
            "192.168.1.5:8180",
        ] {
            assert!(admitted(&[("host", host)]), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "avp.example.com",
            "127.0.0.1@example.com",
            "a b",
            "localhost/x",
            "user@",
        ] {
            assert!(!admitted(&[("host", host)]), "{host}");
        }
        assert!(!admitted(&[]));
        assert!(!admitted(&[("host", "localhost"), ("host", "localhost")]));
    }

    #[test]
    fn pages_are_those_of_this_machine_or_allowed() {
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173", "http://avp:8080"] {
            assert!(admitted(&[("host", "localhost"), ("origin", origin)]), "{origin}");
        }
        for origin in ["null", "", "https://example.com", "http://localhost.example.com", "file://", "/"] {
            assert!(!admitted(&[("host", "localhost"), ("origin", origin)]), "{origin}");
        }
    }
}
