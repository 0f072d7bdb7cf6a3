//! Names as a picture shows them: harmless, and of a bounded length.

use crate::output::printable;

/// Whether long lists are shown in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    Whole,
    /// Their beginning, and how much more there is.
    Cut,
}

impl Lists {
    /// How many items of a list are shown, and how many are left out. A list is not cut for the sake of one item: its
    /// line would be taken by the count.
    pub fn cut(self, count: usize) -> (usize, usize) {
        match self {
            Self::Cut if count > MAX_ITEMS + 1 => (MAX_ITEMS, count - MAX_ITEMS),
            _ => (count, 0),
        }
    }
}

/// The line for items that are left out.
pub fn more(count: usize) -> String {
    format!("… and {count} more")
}

/// A name with its odd characters escaped, and cut to a number of cells. Quotes show where a name ends that would end in
/// spaces, or show nothing at all.
pub fn shown(name: &str, max_cells: usize) -> String {
    let is_plain = !name.is_empty() && name.trim() == name;
    let name = if is_plain { escaped(name) } else { format!("\"{}\"", escaped(name)) };
    if cells(&name) <= max_cells {
        return name;
    }
    let mut room = max_cells.saturating_sub(1);
    let fits = |char: &char| {
        let width = width(*char);
        let fits = width <= room;
        room = if fits { room - width } else { 0 };
        fits
    };
    let beginning: String = name.chars().take_while(fits).collect();
    format!("{beginning}…")
}

/// Escapes what a terminal would obey, what changes the direction of writing, what cannot be seen, and what XML cannot
/// contain (XML 1.0, section 2.2).
pub fn escaped(name: &str) -> String {
    let is_odd = |char: char| {
        matches!(
            char,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}'
        ) || matches!(char, '\u{fffe}' | '\u{ffff}')
    };
    let mut shown = String::new();
    for char in printable(name).chars() {
        if is_odd(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// The width of a text in a font with characters of one width, in the width of a Latin letter.
pub fn cells(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Two for everything from the first scripts with wide characters on: too much for some of them, but a box that is too
/// wide does no harm (Unicode Standard Annex 11).
fn width(char: char) -> usize {
    if char < '\u{590}' || matches!(char, '…' | '→') { 1 } else { 2 }
}

/// JSON with everything escaped that a terminal would obey. Such characters stand only within strings.
pub fn printable_json(json: &str) -> String {
    let mut shown = String::new();
    for char in json.chars() {
        let is_harmless =
            char == '\n' || char == ' ' || escaped(char.encode_utf8(&mut [0; 4])).starts_with(char);
        if is_harmless {
            shown.push(char);
        } else {
            // All of them have four digits.
            shown.push_str(&format!("\\u{:04x}", u32::from(char)));
        }
    }
    shown
}

/// Enough to recognise the list by.
const MAX_ITEMS: usize = 12;
