//! Patterns of method ARNs.
//!
//! In the `Resource` of an IAM statement `*` is any run of characters and `?` any one of them, the
//! slash among them (IAM User Guide, "IAM JSON policy elements: Resource"). No pattern says
//! "any one segment". The nearest is `?*`, at least one character: where path and pattern have
//! as many slashes, it cannot have one. What it matches beyond that are *deeper* paths alone.

use std::fmt;
use std::str::Chars;

/// A pattern of paths, between slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    is_everything: bool,
}

/// What stands between two slashes of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// This text.
    Literal(String),
    /// `?*`: one segment, or several.
    Any,
}

impl Pattern {
    /// `*`, the root path as well.
    pub(super) fn everything() -> Self {
        Self { parts: vec![Part::Any], is_everything: true }
    }

    /// The pattern of a path of which some segments are known.
    pub(super) fn of_path(segments: &[Option<String>]) -> Self {
        let part = |segment: &Option<String>| segment.clone().map_or(Part::Any, Part::Literal);
        Self { parts: segments.iter().map(part).collect(), is_everything: false }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The same with one more segment where the `?*` at this place is.
    pub(super) fn deeper(&self, at: usize) -> Self {
        let mut parts = self.parts.clone();
        parts.insert(at.min(parts.len()), Part::Any);
        Self { parts, is_everything: false }
    }

    /// Whether it is `*`.
    pub(super) fn is_everything(&self) -> bool {
        self.is_everything
    }

    /// Whether it has a wildcard.
    pub(super) fn is_wild(&self) -> bool {
        self.is_everything || self.parts.contains(&Part::Any)
    }

    /// Whether it matches all that the other does.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.is_everything || (!other.is_everything && contains(&self.parts, &other.parts))
    }
}

/// A literal is matched by itself, and a `?*` by any run of parts.
fn contains(parts: &[Part], others: &[Part]) -> bool {
    match parts.split_first() {
        None => others.is_empty(),
        Some((Part::Literal(text), rest)) => match others.split_first() {
            Some((Part::Literal(other), others)) => text == other && contains(rest, others),
            _ => false,
        },
        Some((Part::Any, rest)) => {
            (1..=others.len()).any(|taken| others.get(taken..).is_some_and(|others| contains(rest, others)))
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything {
            return f.write_str("*");
        }
        for (number, part) in self.parts.iter().enumerate() {
            if number > 0 {
                f.write_str("/")?;
            }
            f.write_str(match part {
                Part::Literal(text) => text,
                Part::Any => "?*",
            })?;
        }
        Ok(())
    }
}

/// Whether an IAM pattern matches a text.
pub fn matches(pattern: &str, text: &str) -> bool {
    // Most of an ARN is the same in all patterns of a grant, and compared at once.
    let (literal, pattern) = pattern.split_at(pattern.find(['*', '?']).unwrap_or(pattern.len()));
    let Some(text) = text.strip_prefix(literal) else {
        return false;
    };
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // The one place to come back to: a later `*` makes an earlier one irrelevant.
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

    #[test]
    fn a_pattern_contains_what_it_matches_part_by_part() {
        let pattern = |text: &str| {
            Pattern::of_path(
                &text.split('/').map(|part| (part != "?*").then(|| part.to_owned())).collect::<Vec<_>>(),
            )
        };
        for (wide, narrow, expected) in [
            ("a/?*", "a/b", true),
            ("a/?*", "a/b/c", true),
            ("a/?*", "a/?*/c", true),
            ("?*/c", "a/?*/c", true),
            ("a/?*/c", "a/?*", false),
            ("a/b", "a/?*", false),
            ("?*/?*", "?*", false),
        ] {
            assert_eq!(pattern(wide).contains(&pattern(narrow)), expected, "{wide} {narrow}");
        }
        assert!(Pattern::everything().contains(&pattern("a/?*")));
        assert!(!pattern("?*").contains(&Pattern::everything()));
    }

    /// IAM's words, one after the other.
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
