//! Patterns of paths, segment by segment. [`crate::grant::matches`] says how IAM reads them.

use std::fmt;

/// A pattern of paths, between slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern {
    parts: Vec<PatternSegment>,
    is_everything: bool,
}

/// The part between two slashes of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PatternSegment {
    /// This text.
    Literal(String),
    /// `?*`: one segment, or several.
    Any,
}

impl Pattern {
    /// `*`, which also matches the root path.
    pub(super) fn everything() -> Self {
        Self { parts: vec![PatternSegment::Any], is_everything: true }
    }

    /// The pattern of a path of which some segments are known.
    pub(super) fn of_path(segments: &[Option<String>]) -> Self {
        let part =
            |segment: &Option<String>| segment.clone().map_or(PatternSegment::Any, PatternSegment::Literal);
        Self { parts: segments.iter().map(part).collect(), is_everything: false }
    }

    pub(super) fn parts(&self) -> &[PatternSegment] {
        &self.parts
    }

    /// The same with one more segment in the place of the `?*` at this position.
    pub(super) fn deeper(&self, at: usize) -> Self {
        let mut parts = self.parts.clone();
        parts.insert(at.min(parts.len()), PatternSegment::Any);
        Self { parts, is_everything: false }
    }

    /// Whether it is `*`.
    pub(super) fn is_everything(&self) -> bool {
        self.is_everything
    }

    /// Whether it has a wildcard.
    pub(super) fn is_wild(&self) -> bool {
        self.is_everything || self.parts.contains(&PatternSegment::Any)
    }

    /// Whether it matches everything that the other pattern matches.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.is_everything || (!other.is_everything && contains(&self.parts, &other.parts))
    }
}

/// A literal matches itself, and a `?*` matches any run of parts.
fn contains(parts: &[PatternSegment], others: &[PatternSegment]) -> bool {
    match parts.split_first() {
        None => others.is_empty(),
        Some((PatternSegment::Literal(text), rest)) => match others.split_first() {
            Some((PatternSegment::Literal(other), others)) => text == other && contains(rest, others),
            _ => false,
        },
        Some((PatternSegment::Any, rest)) => {
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
                PatternSegment::Literal(text) => text,
                PatternSegment::Any => "?*",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
