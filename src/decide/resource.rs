//! The resource: what a call acts on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, EvalResult, RestrictedExpression};

use crate::bundle::entities::StoredEntities;
use crate::projection::Projection;
use crate::reason::Reason;

/// How a route makes its resource from the parameters of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceTemplate {
    /// The type of the entity.
    pub entity_type: EntityTypeName,
    /// Its id, e.g. `{petId}` or `{storeId}/{petId}`.
    pub id: TextTemplate,
    /// Its attributes that come from the path, over those of the store's entities.
    pub attributes: BTreeMap<String, TextTemplate>,
}

/// A resource of a call.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its id.
    pub uid: EntityUid,
    /// The entity, where the path gives it attributes. `None`: it is as the store has it, or
    /// unknown, and then without attributes and parents.
    pub entity: Option<Entity>,
}

impl ResourceTemplate {
    /// A resource of the type, where nothing asks which one.
    pub fn unnamed(&self) -> Resource {
        let id = EntityId::new(self.id.to_string());
        let uid = EntityUid::from_type_name_and_id(self.entity_type.clone(), id);
        Resource { uid, entity: None }
    }

    /// The resource for these parameters.
    ///
    /// # Errors
    /// [`Reason::RequiredContextMissing`] for a parameter that the call does not have, or whose
    /// text is not of the type that the schema has for the attribute; [`Reason::BundleUnreadable`].
    pub fn fill(
        &self,
        parameters: &BTreeMap<String, String>,
        entities: &StoredEntities,
        projection: &Projection,
    ) -> Result<Resource, Reason> {
        let missing = Reason::RequiredContextMissing;
        let id = self.id.fill(parameters).ok_or(missing)?;
        let uid = EntityUid::from_type_name_and_id(self.entity_type.clone(), EntityId::new(id));
        if self.attributes.is_empty() {
            return Ok(Resource { uid, entity: None });
        }
        let mut from_path = HashMap::new();
        for (name, template) in &self.attributes {
            let text = template.fill(parameters).ok_or(missing)?;
            let value = projection.text_attribute(&self.entity_type, name, &text).ok_or(missing)?;
            from_path.insert(name.clone(), value);
        }
        let entity = match entities.entity(&uid)? {
            Some(known) => overlay(&known, from_path),
            None => Entity::new(uid.clone(), from_path, [].into()).ok(),
        };
        Ok(Resource { uid, entity: Some(entity.ok_or(Reason::RequestInvalid)?) })
    }
}

/// An entity with some of its attributes replaced.
fn overlay(known: &Entity, attributes: HashMap<String, RestrictedExpression>) -> Option<Entity> {
    let tags = known.tags().map(|(name, value)| Some((name.to_owned(), restricted(&value.ok()?)?)));
    let tags: Option<HashMap<String, RestrictedExpression>> = tags.collect();
    let (uid, mut all, parents) = known.clone().into_inner();
    all.extend(attributes);
    Entity::new_with_tags(uid, all, parents, tags?).ok()
}

/// The caller where it is the resource as well: with the attributes of its token and those of the path. What it is in,
/// the token says.
///
/// # Errors
/// [`Reason::ResourceConflict`] for an attribute with two values.
pub fn merged(principal: &Entity, resource: &Entity) -> Result<Entity, Reason> {
    for (name, value) in resource.attrs() {
        let of_path = value.map_err(|_| Reason::RequestInvalid)?;
        if let Some(of_token) = principal.attr(name)
            && of_token.map_err(|_| Reason::RequestInvalid)? != of_path
        {
            return Err(Reason::ResourceConflict);
        }
    }
    let (_, of_path, _) = resource.clone().into_inner();
    overlay(principal, of_path).ok_or(Reason::RequestInvalid)
}

fn restricted(value: &EvalResult) -> Option<RestrictedExpression> {
    Some(match value {
        EvalResult::Bool(value) => RestrictedExpression::new_bool(*value),
        EvalResult::Long(value) => RestrictedExpression::new_long(*value),
        EvalResult::String(value) => RestrictedExpression::new_string(value.clone()),
        EvalResult::EntityUid(uid) => RestrictedExpression::new_entity_uid(uid.clone()),
        EvalResult::Set(set) => {
            RestrictedExpression::new_set(set.iter().map(restricted).collect::<Option<Vec<_>>>()?)
        }
        EvalResult::Record(record) => {
            let fields = record.iter().map(|(name, value)| Some((name.clone(), restricted(value)?)));
            RestrictedExpression::new_record(fields.collect::<Option<Vec<_>>>()?).ok()?
        }
        EvalResult::ExtensionValue(text) => text.parse().ok()?,
    })
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

    /// Whether different parameters can make one text. They cannot where a `/` stands between any two of them:
    /// no value has one but that of a greedy parameter, and of those there is one at most.
    pub fn is_ambiguous(&self, is_greedy: impl Fn(&str) -> bool) -> bool {
        let names: BTreeSet<&str> = self.parameters().collect();
        if names.len() < 2 {
            return false;
        }
        let literals = self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text),
            Piece::Parameter(_) => None,
        });
        // There is one before each parameter, perhaps an empty one, and one behind the last.
        let all_apart = literals.skip(1).take(self.parameters().count() - 1).all(|text| text.contains('/'));
        !all_apart || self.parameters().filter(|name| is_greedy(name)).count() > 1
    }

    fn fill(&self, parameters: &BTreeMap<String, String>) -> Option<String> {
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

/// Braces that do not enclose the name of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a text with `{{name}}` for parameters of the path")]
pub struct InvalidTextTemplate;

#[cfg(test)]
mod tests {
    use super::*;

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
