//! The nearest of several names, for a name that is not among them.

pub use cedar_authorizer::store::guess::nearest;

/// The nearest name as advice.
pub fn did_you_mean<'a>(meant: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(meant, names).map(|name| format!("did you mean `{name}`?"))
}

/// Advice for a name that is missing among these: the nearest of them, or which there are.
pub fn choice<'a>(meant: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    did_you_mean(meant, names.clone()).unwrap_or_else(|| {
        let mut names: Vec<&str> = names.into_iter().collect();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let also = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("there is: {}{also}", names.join(", "))
    })
}

/// How many names are listed.
const SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_near() {
        let names = ["alice", "bob", "source_ip", "get /pets/{petId}", "get /"];
        for (meant, expected) in [
            ("alcie", Some("alice")),
            ("Alice", Some("alice")),
            ("bbo", Some("bob")),
            ("source-ip", Some("source_ip")),
            ("get /pet/{petId}", Some("get /pets/{petId}")),
            ("mallory", None),
            ("", None),
            (&"x".repeat(100_000), None),
        ] {
            assert_eq!(nearest(meant, names), expected, "{meant}");
        }
    }
}
