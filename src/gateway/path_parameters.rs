//! The parameters of a path. A parameter is used only if every backend reads it in the same way.
//!
//! A parameter is one segment of a path, and a `{name+}` is several. If its value has a slash or leads upwards, a
//! backend that puts it into a path of its own gets a different path. If an id is made from two parameters, a
//! slash could belong to either. API Gateway lets such values through if they are encoded.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::gateway::call::{Api, Call, Target};
use crate::gateway::route::{Route, has_overlong_form};
use crate::reason::Reason;

/// The parameters of the path of a call, decoded.
///
/// # Errors
/// [`Reason::PathUnsafe`], if a parameter can be read in two ways or is not text.
pub fn of_call(call: &Call, route: &Route) -> Result<BTreeMap<String, String>, Reason> {
    read(sent(call, route), route, call.api(), ParameterContent::Text)
}

/// The decoded parameters of a path that leads to a route. The path is given as the client sent it.
///
/// # Errors
/// [`Reason::PathUnsafe`], if a parameter can be read in two ways or is not text.
pub fn of_path(path: &str, route: &Route) -> Result<BTreeMap<String, String>, Reason> {
    read(route.template.values(path), route, Api::RestToken, ParameterContent::Text)
}

/// Checks that the parameters can be read in only one way, for an answer that does not depend on their values.
///
/// # Errors
/// [`Reason::PathUnsafe`].
pub fn check(call: &Call, route: &Route) -> Result<(), Reason> {
    let is_plain = match call.target() {
        // A path without encoded characters was checked when its route was found.
        Target::Path => !call.method_arn().path().contains(['%', ';']),
        Target::Route { .. } => call
            .path_parameters()
            .iter()
            .all(|(name, value)| !value.contains('%') && is_safe(value, route.template.is_greedy(name))),
    };
    if is_plain {
        return Ok(());
    }
    read(sent(call, route), route, call.api(), ParameterContent::Bytes).map(drop)
}

/// The parameters as they were sent.
fn sent(call: &Call, route: &Route) -> BTreeMap<String, String> {
    match call.target() {
        Target::Path => route.template.values(call.method_arn().path()),
        Target::Route { .. } => call.path_parameters().clone(),
    }
}

/// What a parameter has to contain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ParameterContent {
    /// Any bytes. A replacement character stands for what is not UTF-8.
    Bytes,
    /// UTF-8, so that policies can read it.
    Text,
}

fn read(
    sent: BTreeMap<String, String>,
    route: &Route,
    api: Api,
    content: ParameterContent,
) -> Result<BTreeMap<String, String>, Reason> {
    let read = |(name, value): (String, String)| {
        let value = decoded(value, api, content)?;
        if is_safe(&value, route.template.is_greedy(&name)) {
            Ok((name, value))
        } else {
            Err(Reason::PathUnsafe)
        }
    };
    sent.into_iter().map(read).collect()
}

/// REST APIs pass parameters to the authorizer as they were sent, and to the backend decoded. HTTP APIs decode
/// them for both. A value that could then be decoded once more may be read in two ways.
fn decoded(value: String, api: Api, content: ParameterContent) -> Result<String, Reason> {
    let once = match api {
        Api::HttpV1 | Api::HttpV2 => value,
        Api::RestRequest | Api::RestToken | Api::WebSocket => decode(&value, content)?,
    };
    if decode(&once, content)? == once { Ok(once) } else { Err(Reason::PathUnsafe) }
}

fn decode(text: &str, content: ParameterContent) -> Result<String, Reason> {
    let bytes = Cow::from(percent_decode_str(text));
    let decoded = String::from_utf8_lossy(&bytes);
    let is_text = matches!(decoded, Cow::Borrowed(_));
    if has_overlong_form(&bytes) || (content == ParameterContent::Text && !is_text) {
        return Err(Reason::PathUnsafe);
    }
    Ok(decoded.into_owned())
}

/// Whether a value is one segment, or several if it is greedy, and no segment leads elsewhere.
fn is_safe(value: &str, is_greedy: bool) -> bool {
    if value.contains(|character: char| character == '\\' || character.is_control()) {
        return false;
    }
    // Some servers read `..;x` as `..`: they drop path parameters (RFC 3986, 3.3).
    let is_plain = |segment: &str| !matches!(segment.split(';').next(), Some("" | "." | ".."));
    if is_greedy {
        // A slash at the end leads to the same resource, as in routing.
        value.strip_suffix('/').unwrap_or(value).split('/').all(is_plain)
    } else {
        !value.contains('/') && is_plain(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_one_segment_that_leads_nowhere_else() {
        for value in ["7", "a b", "urn:a:b", "...", "..a", "a..", "100%", "é", "a;b", "*", "~", "-"] {
            assert!(is_safe(value, false) && is_safe(value, true), "{value}");
        }
        for value in
            ["", ".", "..", "..;", "..;a", ".;/", ";a", "a\\b", "\\", "a\0b", "a\nb", "\u{7f}", "\u{85}"]
        {
            assert!(!is_safe(value, false) && !is_safe(value, true), "{value:?}");
        }
    }

    #[test]
    fn only_a_greedy_parameter_is_several() {
        for value in ["a/b", "a/b/", "a/"] {
            assert!(!is_safe(value, false) && is_safe(value, true), "{value}");
        }
        for value in ["/", "/a", "a//b", "a//", "a/./b", "a/../b", "../a", "a/..", "a/..;x/b"] {
            assert!(!is_safe(value, false) && !is_safe(value, true), "{value}");
        }
    }

    #[test]
    fn what_could_be_decoded_once_more_is_refused() {
        for (value, rest, http) in [
            ("a%20b", Ok("a b"), Err(())),
            ("a b", Ok("a b"), Ok("a b")),
            ("100%", Ok("100%"), Ok("100%")),
            ("%2537", Err(()), Err(())),
            ("%25", Ok("%"), Err(())),
            ("%FF", Err(()), Err(())),
        ] {
            for (api, expected) in
                [(Api::RestRequest, rest), (Api::RestToken, rest), (Api::HttpV1, http), (Api::HttpV2, http)]
            {
                let read = decoded(value.to_owned(), api, ParameterContent::Text);
                assert_eq!(read.map_err(|_| ()), expected.map(str::to_owned), "{value} {api:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_only_where_they_are_read() {
        for (value, is_refused) in [("%FF", false), ("a%E9", false), ("%C0%AF", true), ("%E0%80%AF", true)] {
            for api in [Api::RestRequest, Api::RestToken] {
                assert!(decoded(value.to_owned(), api, ParameterContent::Text).is_err(), "{value}");
                assert_eq!(
                    decoded(value.to_owned(), api, ParameterContent::Bytes).is_err(),
                    is_refused,
                    "{value}"
                );
            }
        }
    }
}
