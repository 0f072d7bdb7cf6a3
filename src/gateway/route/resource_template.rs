//! How a route makes its resource from the parameters of its path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use cedar_policy::EntityTypeName;

/// How a route makes its resource from the parameters of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceTemplate {
    /// The type of the entity.
    pub entity_type: EntityTypeName,
    /// Its id, e.g. `{petId}` or `{storeId}/{petId}`.
    pub id: TextTemplate,
    /// The attributes that come from the path. They override those of the store's entities.
    pub attributes: BTreeMap<String, TextTemplate>,
}

/// A text with `{name}` for parameters of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTemplate(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Parameter(String),
}

impl TextTemplate {
    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// Whether different parameters can make the same text. They cannot if a `/` stands between any two of them:
    /// only the value of a greedy parameter can have a slash, and there is at most one such parameter.
    pub fn is_ambiguous(&self, is_greedy: impl Fn(&str) -> bool) -> bool {
        let names: BTreeSet<&str> = self.parameters().collect();
        if names.len() < 2 {
            return false;
        }
        let literals = self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text),
            Piece::Parameter(_) => None,
        });
        // There is a literal before each parameter, perhaps an empty one, and one after the last.
        let all_apart = literals.skip(1).take(self.parameters().count() - 1).all(|text| text.contains('/'));
        !all_apart || self.parameters().filter(|name| is_greedy(name)).count() > 1
    }

    /// Whether some parameters may make this text. Says so rather too often than too seldom.
    pub fn may_make(&self, text: &str) -> bool {
        let mut rest = text;
        let mut follows_parameter = false;
        for piece in &self.0 {
            match piece {
                Piece::Parameter(_) => follows_parameter = true,
                Piece::Literal(literal) => {
                    let found = if follows_parameter {
                        rest.find(literal.as_str())
                    } else {
                        rest.starts_with(literal.as_str()).then_some(0)
                    };
                    let Some(behind) = found.and_then(|at| rest.get(at + literal.len()..)) else {
                        return false;
                    };
                    rest = behind;
                }
            }
        }
        match self.0.last() {
            Some(Piece::Literal(literal)) if follows_parameter => text.ends_with(literal.as_str()),
            Some(Piece::Parameter(_)) => true,
            _ => rest.is_empty(),
        }
    }

    /// The text for these parameters. `None`: the template names a parameter that is not among them.
    pub fn fill(&self, parameters: &BTreeMap<String, String>) -> Option<String> {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Some(text.as_str()),
                Piece::Parameter(name) => parameters.get(name).map(String::as_str),
            })
            .collect()
    }
}

impl FromStr for TextTemplate {
    type Err = InvalidTextTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTextTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, tail)) = rest.split_once('{') {
            let (name, tail) = tail.split_once('}').ok_or(InvalidTextTemplate)?;
            let name = name.strip_suffix('+').unwrap_or(name);
            if name.is_empty() || name.contains('{') || literal.contains('}') {
                return Err(InvalidTextTemplate);
            }
            pieces.extend([Piece::Literal(literal.to_owned()), Piece::Parameter(name.to_owned())]);
            rest = tail;
        }
        if rest.contains('}') {
            return Err(InvalidTextTemplate);
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Self(pieces))
    }
}

impl fmt::Display for TextTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Literal(text) => f.write_str(text),
            Piece::Parameter(name) => write!(f, "{{{name}}}"),
        })
    }
}

/// Some braces do not enclose the name of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a text with `{{name}}` for parameters of the path")]
pub struct InvalidTextTemplate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_no_parameters_make_is_told_from_one_that_some_make() {
        for (template, text, expected) in [
            ("{a}", "x", true),
            ("x", "x", true),
            ("x", "xy", false),
            ("pet-{a}", "pet-7", true),
            ("pet-{a}", "cat-7", false),
            ("{a}/{b}", "1/2", true),
            ("{a}/{b}", "12", false),
            ("{a}-end", "1-end", true),
            ("{a}-end", "1-end-2", false),
            ("{a}-end", "1-end-end", true),
        ] {
            assert_eq!(
                template.parse::<TextTemplate>().unwrap().may_make(text),
                expected,
                "{template} {text}"
            );
        }
    }

    #[test]
    fn a_text_of_several_parameters_is_theirs_alone_if_a_slash_parts_them() {
        for (text, expected) in [
            ("{a}", false),
            ("x-{a}-y", false),
            ("{a}{a}", false),
            ("{a}/{b}", false),
            ("x{a}-/-{b}y/{c}", false),
            ("{a}/{rest+}", false),
            ("{rest+}/{a}", false),
            ("{a}{b}", true),
            ("{a}-{b}", true),
            ("{a}|{b}/{c}", true),
            ("{a}/{b}:{c}", true),
            ("/{a}{b}/", true),
            ("{rest+}/{a}/{rest+}", true),
        ] {
            let template: TextTemplate = text.parse().unwrap();
            assert_eq!(template.is_ambiguous(|name| name == "rest"), expected, "{text}");
        }
    }

    #[test]
    fn a_template_takes_the_parameters_that_it_names() {
        let parameters = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "{a}".to_owned())].into();
        for (text, filled) in [
            ("{a}", Some("1")),
            ("x-{a}/{b}.y", Some("x-1/{a}.y")),
            ("{a+}", Some("1")),
            ("fixed", Some("fixed")),
            ("", Some("")),
            ("{c}", None),
        ] {
            let template: TextTemplate = text.parse().unwrap();
            assert_eq!(template.fill(&parameters).as_deref(), filled, "{text}");
        }
        for text in ["{", "}", "{}", "{a", "a}", "{a}}", "{{a}}"] {
            assert_eq!(text.parse::<TextTemplate>(), Err(InvalidTextTemplate), "{text}");
        }
    }
}
