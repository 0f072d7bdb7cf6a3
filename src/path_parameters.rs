//! The parameters of a path, read as every backend reads them or not at all.
//!
//! A parameter is one segment of a path, and a `{name+}` is several. One that has a slash in it, or that leads
//! upwards, is another path to a backend that puts it into a path of its own; and where an id is made of two
//! parameters, a slash could belong to either. API Gateway lets such values through if they are encoded.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::call::{Api, Call, Target};
use crate::reason::Reason;
use crate::route::Route;

/// The parameters of the path of a call, decoded.
///
/// # Errors
/// [`Reason::PathUnsafe`], if one can be read in two ways.
pub fn of_call(call: &Call, route: &Route) -> Result<BTreeMap<String, String>, Reason> {
    let sent = match call.target() {
        Target::Path => route.template.values(call.method_arn().path()),
        Target::Route { .. } => call.path_parameters().clone(),
    };
    let read = |(name, value): (String, String)| {
        let value = decoded(value, call.api())?;
        match is_safe(&value, route.template.is_greedy(&name)) {
            true => Ok((name, value)),
            false => Err(Reason::PathUnsafe),
        }
    };
    sent.into_iter().map(read).collect()
}

/// Whether they can be read, without reading more than that takes.
///
/// # Errors
/// Those of [`of_call`].
pub fn check(call: &Call, route: &Route) -> Result<(), Reason> {
    let is_plain = match call.target() {
        // A path that has no encoded characters was looked at when its route was found.
        Target::Path => !call.method_arn().path().contains(['%', ';']),
        Target::Route { .. } => call
            .path_parameters()
            .iter()
            .all(|(name, value)| !value.contains('%') && is_safe(value, route.template.is_greedy(name))),
    };
    if is_plain { Ok(()) } else { of_call(call, route).map(drop) }
}

/// REST APIs hand parameters to the authorizer as they were sent, and to the backend decoded. HTTP APIs decode them
/// for both. What could be decoded once more then may be read in two ways.
fn decoded(value: String, api: Api) -> Result<String, Reason> {
    let decode = |text: &str| {
        percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| Reason::PathUnsafe)
    };
    let once = match api {
        Api::HttpV1 | Api::HttpV2 => value,
        Api::RestRequest | Api::RestToken | Api::WebSocket => decode(&value)?,
    };
    if decode(&once)? == once { Ok(once) } else { Err(Reason::PathUnsafe) }
}

/// Whether a value is one segment, or several if it is greedy, and none of them leads elsewhere.
fn is_safe(value: &str, is_greedy: bool) -> bool {
    if value.contains(|character: char| character == '\\' || character.is_control()) {
        return false;
    }
    // Some servers take `..;x` for `..`, after the path parameters of RFC 3986, 3.3.
    let is_plain = |segment: &str| !matches!(segment.split(';').next(), Some("" | "." | ".."));
    if is_greedy {
        // A slash at the end leads to the same resource, as where a path is routed.
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
                let read = decoded(value.to_owned(), api);
                assert_eq!(read.map_err(|_| ()), expected.map(str::to_owned), "{value} {api:?}");
            }
        }
    }
}
