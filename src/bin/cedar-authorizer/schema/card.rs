//! The boxes of a picture and the lines between them, without their places.

use std::collections::HashMap;
use std::fmt;

use super::model::{ActionBox, CommonType, EntityType, Field, Picture, Type};
use super::text::{Lists, more, shown};
use crate::output::plural;

/// A box.
pub struct Card {
    pub kind: CardKind,
    pub title: String,
    pub rows: Vec<Row>,
    /// The lines that begin or end at it, other than those of other cards to it.
    pub links: Vec<Link>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKind {
    EntityType,
    Action,
    Actions,
    ActionGroup,
    CommonType,
}

impl fmt::Display for CardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EntityType => "entity type",
            Self::Action => "action",
            Self::Actions => "actions",
            Self::ActionGroup => "group of actions",
            Self::CommonType => "common type",
        })
    }
}

/// What the rows of fields have in common.
#[derive(Clone, Copy)]
struct FieldRows {
    section: Section,
    /// How many actions the box has.
    actions: usize,
    /// How many rows the box may have after them.
    end: usize,
}

/// A line of text in a box.
pub struct Row {
    pub section: Section,
    /// How many records it is in.
    pub depth: usize,
    pub name: String,
    /// Its type, and how many actions have it.
    pub detail: String,
}

/// What a row says of its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Parent,
    Id,
    Attribute,
    Tags,
    Principal,
    Resource,
    Context,
    Action,
}

impl Section {
    /// The word before its first row. Empty: the rows speak for themselves.
    pub fn label(self) -> &'static str {
        match self {
            Self::Parent => "in",
            Self::Id => "one of",
            Self::Principal => "principal",
            Self::Resource => "resource",
            Self::Context => "context",
            Self::Tags => "tags",
            Self::Attribute | Self::Action => "",
        }
    }
}

/// A line between a row of a card and another card.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub kind: LinkKind,
    /// The index of the row.
    pub row: usize,
    /// The index of the other card.
    pub card: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// From a type or an action to one that it can be a member of.
    Member,
    /// From the type of a principal to actions.
    Principal,
    /// From actions to the type of a resource.
    Resource,
}

/// All boxes: entity types, actions, common types.
pub fn cards(picture: &Picture, lists: Lists) -> Vec<Card> {
    let places = Places::new(picture);
    let entity_types = picture.entity_types.iter().map(|part| entity_card(part, &places, lists));
    let actions = picture.actions.iter().map(|part| action_card(part, &places, lists));
    let types = picture.types.iter().map(|part| type_card(part, lists));
    entity_types.chain(actions).chain(types).collect()
}

/// Where the cards of entity types and of groups of actions stand in the list.
struct Places<'a> {
    entity_types: HashMap<&'a str, usize>,
    groups: HashMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    fn new(picture: &'a Picture) -> Self {
        let entity_types = picture.entity_types.iter().enumerate();
        let before = picture.entity_types.len();
        let actions = picture.actions.iter().enumerate().filter(|(_, part)| part.is_group);
        Self {
            entity_types: entity_types.map(|(place, part)| (part.name.as_str(), place)).collect(),
            groups: actions
                .filter_map(|(place, part)| Some((part.actions.first()?.as_str(), before + place)))
                .collect(),
        }
    }
}

fn entity_card(part: &EntityType, places: &Places<'_>, lists: Lists) -> Card {
    let EntityType { name, member_of, attributes, tags, ids } = part;
    let mut card = Card::new(CardKind::EntityType, shown(name, MAX_CELLS));
    card.types(Section::Parent, LinkKind::Member, member_of, &places.entity_types, lists);
    card.names(Section::Id, ids.iter().map(|id| format!("{id:?}")), lists);
    card.fields(Section::Attribute, attributes, 1, lists);
    if let Some(tags) = tags {
        card.of_type(Section::Tags, tags, lists);
    }
    card
}

fn action_card(part: &ActionBox, places: &Places<'_>, lists: Lists) -> Card {
    let ActionBox { actions, is_group, member_of, principals, resources, context } = part;
    let (kind, title) = match actions.as_slice() {
        [one] if *is_group => (CardKind::ActionGroup, shown(one, MAX_CELLS)),
        [one] => (CardKind::Action, shown(one, MAX_CELLS)),
        several => (CardKind::Actions, plural(several.len(), "action")),
    };
    let mut card = Card::new(kind, title);
    card.types(Section::Parent, LinkKind::Member, member_of, &places.groups, lists);
    card.types(Section::Principal, LinkKind::Principal, principals, &places.entity_types, lists);
    card.types(Section::Resource, LinkKind::Resource, resources, &places.entity_types, lists);
    card.fields(Section::Context, context, actions.len(), lists);
    if kind == CardKind::Actions {
        card.names(Section::Action, actions.iter().cloned(), lists);
    }
    card
}

fn type_card(part: &CommonType, lists: Lists) -> Card {
    let CommonType { name, definition } = part;
    let mut card = Card::new(CardKind::CommonType, shown(name, MAX_CELLS));
    if definition.name == "Record" {
        card.fields(Section::Attribute, &definition.attributes, 1, lists);
    } else {
        card.of_type(Section::Attribute, definition, lists);
    }
    card
}

impl Card {
    fn new(kind: CardKind, title: String) -> Self {
        Self { kind, title, rows: Vec::new(), links: Vec::new() }
    }

    /// Adds types or groups, each with a line to its card. Those without a row of their own share the last.
    fn types(
        &mut self,
        section: Section,
        kind: LinkKind,
        names: &[String],
        places: &HashMap<&str, usize>,
        lists: Lists,
    ) {
        let first = self.rows.len();
        self.names(section, names.iter().cloned(), lists);
        let last = self.rows.len().saturating_sub(1);
        let found = names.iter().enumerate().filter_map(|(number, name)| {
            let card = *places.get(name.as_str())?;
            Some(Link { kind, row: (first + number).min(last), card })
        });
        self.links.extend(found);
    }

    fn names(&mut self, section: Section, names: impl ExactSizeIterator<Item = String>, lists: Lists) {
        let (count, left_out) = lists.cut(names.len());
        let row = |name: String| Row::new(section, shown(&name, MAX_CELLS), String::new());
        self.rows.extend(names.take(count).map(row));
        self.left_out(section, left_out);
    }

    /// Adds a type without a name of its own.
    fn of_type(&mut self, section: Section, definition: &Type, lists: Lists) {
        self.rows.push(Row::new(section, String::new(), shown(&definition.name, MAX_CELLS)));
        self.fields(section, &definition.attributes, 1, lists);
    }

    /// Adds fields, which this many actions have at most.
    fn fields(&mut self, section: Section, fields: &[Field], actions: usize, lists: Lists) {
        let (count, left_out) = lists.cut(fields.iter().map(Field::size).sum());
        let rows = FieldRows { section, actions, end: self.rows.len() + count };
        self.field_rows(rows, fields, 0);
        self.left_out(section, left_out);
    }

    /// Adds rows for fields and the fields in them, until there are enough rows.
    fn field_rows(&mut self, rows: FieldRows, fields: &[Field], depth: usize) {
        let FieldRows { section, actions, end } = rows;
        for field in fields {
            if self.rows.len() >= end {
                return;
            }
            let Field { name, value, required, in_actions } = field;
            let mark = if *required { "" } else { "?" };
            let some = in_actions.map(|count| format!(" ({count} of {actions})")).unwrap_or_default();
            let name = shown(&attribute(name), MAX_CELLS / 2);
            let detail = shown(&format!("{mark}: {}{some}", value.name), MAX_CELLS / 2);
            self.rows.push(Row { depth, ..Row::new(section, name, detail) });
            self.field_rows(rows, &value.attributes, (depth + 1).min(MAX_DEPTH));
        }
    }

    fn left_out(&mut self, section: Section, count: usize) {
        if count > 0 {
            self.rows.push(Row::new(section, String::new(), more(count)));
        }
    }
}

impl Card {
    /// The room that its labels need before the other texts, in Latin letters.
    pub fn label_cells(&self) -> usize {
        let longest = self.rows.iter().map(|row| row.section.label().len()).max().unwrap_or_default();
        if longest == 0 { 0 } else { longest + 2 }
    }
}

impl Row {
    fn new(section: Section, name: String, detail: String) -> Self {
        Self { section, depth: 0, name, detail }
    }
}

/// The name of an attribute as Cedar's syntax has it: in quotes, unless it is an identifier.
fn attribute(name: &str) -> String {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    if !name.is_empty() && name.chars().all(is_part) && !name.starts_with(|char: char| char.is_ascii_digit())
    {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

/// No text is longer than this many Latin letters.
const MAX_CELLS: usize = 56;

/// Deeper rows are not indented more.
const MAX_DEPTH: usize = 8;
