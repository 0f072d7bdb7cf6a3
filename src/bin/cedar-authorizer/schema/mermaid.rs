//! A picture as a class diagram of Mermaid, which Markdown can contain.

use super::card::{Card, CardKind, Link, LinkKind, Row, Section, cards};
use super::model::Picture;
use super::text::Lists;

/// Draws the picture. The result has no line break at its end.
pub fn draw(picture: &Picture, lists: Lists) -> String {
    let cards = cards(picture, lists);
    let title = picture.namespace.as_ref().map(|name| format!("title: \"{name}\""));
    let front = ["---".to_owned()].into_iter().chain(title);
    let head = front.chain(HEAD.map(str::to_owned));
    let boxes = cards.iter().enumerate().flat_map(|(place, card)| class(place, card));
    let lines = cards.iter().enumerate().flat_map(|(place, card)| arrows(place, card));
    head.chain(boxes).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The lines that define a box.
fn class(place: usize, card: &Card) -> Vec<String> {
    let id = id(place);
    let head =
        [format!("class {id}[\"{}\"]", literal(&card.title)), format!("<<{}>> {id}", annotation(card.kind))];
    // The arrows say this.
    let is_arrow =
        |row: &&Row| matches!(row.section, Section::Parent | Section::Principal | Section::Resource);
    let rows = card.rows.iter().filter(|row| !is_arrow(row)).map(|row| format!("{id} : {}", member(row)));
    head.into_iter().chain(rows).collect()
}

/// The kind of a box in one word, as Mermaid wants it.
fn annotation(kind: CardKind) -> &'static str {
    match kind {
        CardKind::EntityType => "entity",
        CardKind::Action => "action",
        CardKind::Actions => "actions",
        CardKind::ActionGroup => "group",
        CardKind::CommonType => "type",
    }
}

fn member(row: &Row) -> String {
    let Row { section, depth, name, detail } = row;
    let label = match section {
        Section::Context if *depth == 0 => "context.",
        Section::Id => "id ",
        Section::Tags if *depth == 0 => "tags: ",
        _ => "",
    };
    let indent = "\u{a0}".repeat(depth * 4);
    literal(&format!("{indent}{label}{name}{detail}"))
}

/// The arrows of a card, each once.
fn arrows(place: usize, card: &Card) -> Vec<String> {
    let own = id(place);
    let arrow = |link: &Link| {
        let other = id(link.card);
        match link.kind {
            LinkKind::Member => format!("{other} o-- {own} : in"),
            LinkKind::Principal => format!("{other} --> {own} : principal"),
            LinkKind::Resource => format!("{own} --> {other} : resource"),
        }
    };
    card.links.iter().map(arrow).collect()
}

fn id(place: usize) -> String {
    format!("c{}", place + 1)
}

/// A text that Mermaid shows as it is. Everything that could have a meaning for it is written as a number, which Mermaid
/// puts into the finished picture only after it has read the diagram.
fn literal(text: &str) -> String {
    let mut written = String::new();
    for char in text.chars() {
        if char.is_alphanumeric() || matches!(char, ' ' | '/' | '_' | '.' | ',' | '?' | '…') {
            written.push(char);
        } else {
            written.push_str(&format!("#{};", u32::from(char)));
        }
    }
    // Mermaid finds this word in the middle of a line too.
    written.replace("direction ", "direction#32;")
}

/// Classes have methods, which nothing here has: no room is left for them.
const HEAD: [&str; 6] =
    ["config:", "  class:", "    hideEmptyMembersBox: true", "---", "classDiagram", "direction LR"];
