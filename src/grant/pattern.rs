//! Patterns of method ARNs.
//!
//! In the `Resource` of an IAM statement, `*` is any run of characters and `?` is any single character. Both also
//! match a slash (IAM User Guide, "IAM JSON policy elements: Resource"). No pattern says "any one segment". The
//! nearest is `?*`, at least one character: if path and pattern have the same number of slashes, it cannot match
//! one. All that it matches beyond that are *deeper* paths.

use std::str::Chars;

/// Whether an IAM pattern matches a text.
pub fn matches(pattern: &str, text: &str) -> bool {
    // What is before the first wildcard is compared at once.
    let wildcard = pattern.bytes().position(|byte| matches!(byte, b'*' | b'?'));
    let (literal, pattern) = pattern.split_at(wildcard.unwrap_or(pattern.len()));
    let Some(text) = text.strip_prefix(literal) else {
        return false;
    };
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // One place to go back to is enough: a later `*` makes an earlier one irrelevant.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let (mut pattern_rest, mut text_rest) = (pattern.clone(), text.clone());
        let Some(character) = text_rest.next() else {
            return pattern.all(|rest| rest == '*');
        };
        match pattern_rest.next() {
            Some('*') => {
                star = Some((pattern_rest.clone(), text.clone()));
                pattern = pattern_rest;
            }
            Some(wanted) if wanted == '?' || wanted == character => {
                (pattern, text) = (pattern_rest, text_rest)
            }
            _ => match &mut star {
                Some((after, from)) => {
                    from.next();
                    (pattern, text) = (after.clone(), from.clone());
                }
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_match_as_iam_has_them() {
        for (pattern, text, expected) in [
            ("GET/user/*", "GET/user/1/sensitive", true),
            ("GET/user/*", "GET/user/", true),
            ("GET/user/?*", "GET/user/", false),
            ("GET/?*/food", "GET/a/b/food", true),
            ("GET/?*/food", "GET//food", false),
            ("GET/?*/food", "GET/a/foods", false),
            ("*/a?*", "GET/x/ab", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "é", true),
            ("", "", true),
            ("", "a", false),
            ("***", "", true),
            ("abc", "ab", false),
            ("ab", "abc", false),
            ("é*", "é", true),
            ("é?", "é", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// IAM's rules, taken literally.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some(('*', rest)), None) => naive(rest, text),
            (Some(('*', rest)), Some((_, after))) => naive(rest, text) || naive(pattern, after),
            (Some(('?', rest)), Some((_, after))) => naive(rest, after),
            (Some((wanted, rest)), Some((found, after))) => wanted == found && naive(rest, after),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_text_is_matched_as_by_iams_words(pattern in "[ab/é?*]{0,8}", text in "[ab/é]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), naive(&chars(&pattern), &chars(&text)));
        }
    }
}
