//! `template-links.json`: changed as text, so that the links of others stay as they were written.

use cedar_policy::{EntityId, EntityUid};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::avp::contents::EntityIdentifier;

/// The file of the template links.
pub const FILE: &str = "template-links.json";

/// A link as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WrittenLink {
    pub id: String,
    /// The id that the template has in the file, by its `@id` or its place.
    pub template_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<EntityIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<EntityIdentifier>,
}

/// Reads all links.
pub fn read(text: &str) -> Result<Vec<WrittenLink>, serde_json::Error> {
    serde_json::from_str(text)
}

/// The text with one more link.
pub fn with(text: Option<&str>, link: &WrittenLink) -> Option<String> {
    let new = serde_json::to_string(link).ok()?;
    let Some(text) = text else {
        return Some(format!("[\n  {new}\n]\n"));
    };
    let places = places(text)?;
    let (before, new) = match places.last() {
        Some((_, end)) => (*end, format!(",\n  {new}")),
        None => (text.find('[')? + 1, format!("\n  {new}\n")),
    };
    Some([text.get(..before)?, &new, text.get(before..)?].concat())
}

/// The text without some links.
pub fn without(text: &str, is_removed: impl Fn(&WrittenLink) -> bool) -> Option<String> {
    let links = read(text).ok()?;
    let places = places(text)?;
    let (first, last) = (places.first()?.0, places.last()?.1);
    let kept = links.iter().zip(&places).enumerate().filter(|(_, (link, _))| !is_removed(link));
    let mut body = String::new();
    for (number, (_, (start, end))) in kept {
        if !body.is_empty() {
            // What stands between a link and the one before it, line breaks included.
            let before =
                number.checked_sub(1).and_then(|number| places.get(number)).map_or(*start, |place| place.1);
            body.push_str(text.get(before..*start)?);
        }
        body.push_str(text.get(*start..*end)?);
    }
    Some([text.get(..first)?, &body, text.get(last..)?].concat())
}

/// The text with another template in some links.
pub fn with_template(
    text: &str,
    is_meant: impl Fn(&WrittenLink) -> bool,
    template_id: &str,
) -> Option<String> {
    let places = places(text)?;
    let mut changed = String::new();
    let mut done = 0;
    for (link, (start, end)) in read(text).ok()?.into_iter().zip(places) {
        if is_meant(&link) {
            changed.push_str(text.get(done..start)?);
            changed.push_str(
                &serde_json::to_string(&WrittenLink { template_id: template_id.to_owned(), ..link }).ok()?,
            );
            done = end;
        }
    }
    changed.push_str(text.get(done..)?);
    Some(changed)
}

/// Where each link begins and ends.
fn places(text: &str) -> Option<Vec<(usize, usize)>> {
    let links: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let place = |link: &&RawValue| {
        let start = (link.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        Some((start, start + link.get().len()))
    };
    links.iter().map(place).collect()
}

/// An entity as Cedar has it.
pub fn uid(EntityIdentifier { entity_type, entity_id }: &EntityIdentifier) -> Option<EntityUid> {
    Some(EntityUid::from_type_name_and_id(entity_type.parse().ok()?, EntityId::new(entity_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(id: &str) -> WrittenLink {
        WrittenLink { id: id.to_owned(), template_id: "t".to_owned(), principal: None, resource: None }
    }

    #[test]
    fn links_of_others_stay_as_they_are() {
        let text = "[\n    { \"id\": \"a\",\n      \"templateId\":  \"t\" },\r\n {\"templateId\":\"t\",\"id\":\"b\"}\n]";
        let more = with(Some(text), &link("c")).unwrap();
        assert!(more.starts_with(text.strip_suffix("\n]").unwrap()), "{more}");
        assert_eq!(without(&more, |link| link.id == "c").unwrap(), text);
        let ids = |text: &str| read(text).unwrap().into_iter().map(|link| link.id).collect::<String>();
        for removed in ["a", "b", "c", "ab", "bc", "ac", "abc", ""] {
            let left = without(&more, |link| removed.contains(&link.id)).unwrap();
            assert_eq!(ids(&left), "abc".chars().filter(|id| !removed.contains(*id)).collect::<String>());
        }
        assert_eq!(ids(&with(Some(" [ ] "), &link("d")).unwrap()), "d");
        assert_eq!(ids(&with(None, &link("d")).unwrap()), "d");
        let renamed = with_template(&more, |link| link.id == "b", "u").unwrap();
        assert_eq!(read(&renamed).unwrap()[1].template_id, "u");
        assert!(renamed.contains("{ \"id\": \"a\",\n      \"templateId\":  \"t\" }"), "{renamed}");
    }
}
