//! The same request for a shell.

use std::fmt::Write;

use crate::serve::start::UPGRADE;
use crate::test_bench::{ApiKind, HttpRequest, TestBench};

/// A command line of `curl`. It has the token: without it, it would be another request.
pub fn curl(
    http: &HttpRequest,
    headers: &[(String, String)],
    token: Option<&str>,
    bench: &TestBench,
    address: &str,
) -> String {
    let mut command = "curl -i".to_owned();
    if http.api == ApiKind::WebSocket {
        command += UPGRADE;
    }
    if http.verb != "GET" {
        // A string takes whatever is written to it.
        let _ = write!(command, " -X {}", http.verb);
    }
    let location = bench.bundle().token_location();
    let token = token.map(|token| (location.header.clone(), format!("Bearer {token}")));
    for (name, value) in headers.iter().cloned().chain(token) {
        let _ = write!(command, " -H {}", quoted(&format!("{name}: {value}")));
    }
    let _ = write!(command, " {}", quoted(&format!("{address}{}", http.target())));
    command
}

/// A word that no shell takes apart (POSIX, "Shell Command Language", 2.2.2).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_text_as_it_is() {
        for (text, expected) in [
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(reboot) `x` \\ \"", "'$(reboot) `x` \\ \"'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
