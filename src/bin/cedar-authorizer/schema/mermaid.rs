//! A picture as a class diagram of Mermaid, which Markdown can contain.

use super::card::{Card, Link, LinkKind, Row, Section, cards};
use super::model::Picture;
use super::text::Lists;

/// Draws the picture. The result has no line break at its end.
pub fn draw(picture: &Picture, lists: Lists) -> String {
    let cards = cards(picture, lists);
    let title = picture.namespace.as_ref().map(|name| format!("---\ntitle: \"{name}\"\n---"));
    let head = ["classDiagram", "direction LR"].map(str::to_owned);
    let boxes = cards.iter().enumerate().flat_map(|(place, card)| class(place, card));
    let lines = cards.iter().enumerate().flat_map(|(place, card)| arrows(place, card));
    title.into_iter().chain(head).chain(boxes).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The lines that define a box.
fn class(place: usize, card: &Card) -> Vec<String> {
    let id = id(place);
    let head = [format!("class {id}[\"{}\"]", literal(&card.title)), format!("<<{}>> {id}", card.kind)];
    // The arrows say this.
    let is_arrow = |row: &&Row| matches!(row.section, Section::Parent | Section::Principal | Section::Resource);
    let rows = card.rows.iter().filter(|row| !is_arrow(row)).map(|row| format!("{id} : {}", member(row)));
    head.into_iter().chain(rows).collect()
}

fn member(row: &Row) -> String {
    let Row { section, depth, name, detail } = row;
    let label = match section {
        Section::Context if *depth == 0 => "context.",
        Section::Id => "id ",
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
/// puts into the finished picture only after it has read the diagram. A colon stays if a space follows: so it stands
/// between a name and its type, and Mermaid looks for styles only before colons without one.
fn literal(text: &str) -> String {
    let mut written = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let is_plain = char.is_alphanumeric()
            || matches!(char, ' ' | '/' | '_' | '.' | ',' | '?' | '…')
            || char == ':' && chars.peek() == Some(&' ');
        if is_plain {
            written.push(char);
        } else {
            written.push_str(&format!("#{};", u32::from(char)));
        }
    }
    written
}
