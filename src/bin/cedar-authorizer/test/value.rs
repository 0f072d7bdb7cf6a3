//! The JSON value of a YAML node.

use serde_json::{Map, Number, Value};

use super::problem::Problems;
use crate::yaml::{Content, Node};

/// A node as JSON, by the core schema of YAML 1.2 (10.3.2): `true` is a boolean, `7` a number, and `no` or a date are
/// texts. A value that JSON does not have is a problem.
pub fn json(node: &Node, problems: &Problems) -> Value {
    if let Some(tag) = &node.tag {
        problems.add_with(
            node.place,
            format!("the tag `!{tag}` has no meaning here"),
            "write the value itself",
        );
    }
    match &node.content {
        Content::List(items) => items.iter().map(|item| json(item, problems)).collect(),
        Content::Map(entries) => {
            let members = entries.iter().map(|entry| (entry.key.clone(), json(&entry.value, problems)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Content::Text { text, quoted: true } => Value::String(text.clone()),
        Content::Text { .. } if node.is_null() => Value::Null,
        Content::Text { text, quoted: false } => match plain(text) {
            Some(value) => value,
            None => {
                problems.add_with(
                    node.place,
                    format!("JSON has no number `{text}`"),
                    "quote it if it is a text",
                );
                Value::Null
            }
        },
    }
}

/// An unquoted scalar. `None`: a number that JSON does not have.
fn plain(text: &str) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    Some(match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if matches!(digits, ".inf" | ".Inf" | ".INF") => return None,
        ".nan" | ".NaN" | ".NAN" => return None,
        _ => {
            let radix = |prefix, radix| {
                let digits = text.strip_prefix(prefix)?;
                u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
            };
            if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
                return Some(number.into());
            }
            if !is_number(digits) {
                return Some(Value::String(text.to_owned()));
            }
            let integer = format!("{sign}{digits}");
            if let Ok(number) = integer.parse::<u64>() {
                number.into()
            } else if let Ok(number) = integer.parse::<i64>() {
                number.into()
            } else {
                Value::Number(Number::from_f64(integer.parse().ok()?)?)
            }
        }
    })
}

/// Whether a text without a sign is an integer or a float: `[0-9]+`, or `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_number(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(head, tail)| (head, Some(tail)));
    let has_exponent =
        exponent.is_none_or(|exponent| is_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    let has_mantissa = match mantissa.split_once('.') {
        None => is_digits(mantissa),
        Some(("", fraction)) => is_digits(fraction),
        Some((whole, fraction)) => is_digits(whole) && (fraction.is_empty() || is_digits(fraction)),
    };
    has_mantissa && has_exponent
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_are_those_of_the_core_schema() {
        for (text, expected) in [
            ("true", json!(true)),
            ("FALSE", json!(false)),
            ("no", json!("no")),
            ("2026-01-01", json!("2026-01-01")),
            ("0", json!(0)),
            ("007", json!(7)),
            ("+12", json!(12)),
            ("-19", json!(-19)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("1e3", json!(1000.0)),
            ("-.5", json!(-0.5)),
            ("1.", json!(1.0)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0x", json!("0x")),
            ("-0x1F", json!("-0x1F")),
            ("1_000", json!("1_000")),
            ("1.2.3", json!("1.2.3")),
            ("e5", json!("e5")),
            (".", json!(".")),
            ("-", json!("-")),
            ("+", json!("+")),
        ] {
            assert_eq!(plain(text), Some(expected), "{text}");
        }
        for text in [".inf", "-.INF", ".nan", "1e999"] {
            assert_eq!(plain(text), None, "{text}");
        }
    }
}
