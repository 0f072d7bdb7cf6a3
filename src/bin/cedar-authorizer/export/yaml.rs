//! A template as YAML. Policies stand there as they are, in blocks, wherever a block keeps every byte.

use super::tree::Tree;

/// The whole document.
pub fn document(tree: &Tree) -> String {
    let mut text = String::new();
    write(tree, 0, &mut text);
    text
}

/// Writes a value that begins on a line of its own.
fn write(tree: &Tree, indent: usize, text: &mut String) {
    match tree {
        Tree::Map(entries) => {
            for (key, value) in entries {
                pad(indent, text);
                text.push_str(&scalar(key, indent));
                text.push(':');
                write_value(value, indent, text);
            }
        }
        Tree::List(items) => {
            for item in items {
                pad(indent, text);
                text.push('-');
                write_item(item, indent, text);
            }
        }
        other => write_value(other, indent, text),
    }
}

/// Writes the value behind a key.
fn write_value(tree: &Tree, indent: usize, text: &mut String) {
    match tree {
        Tree::Map(entries) if entries.is_empty() => text.push_str(" {}\n"),
        Tree::List(items) if items.is_empty() => text.push_str(" []\n"),
        Tree::Map(_) | Tree::List(_) => {
            text.push('\n');
            write(tree, indent + 1, text);
        }
        Tree::GetAtt(resource, attribute) => text.push_str(&format!(" !GetAtt {resource}.{attribute}\n")),
        Tree::Text(own) => {
            text.push(' ');
            text.push_str(&scalar(own, indent + 1));
            text.push('\n');
        }
    }
}

/// Writes an item: the first key of a map stands behind the hyphen.
fn write_item(tree: &Tree, indent: usize, text: &mut String) {
    if let Tree::Map(entries) = tree
        && !entries.is_empty()
    {
        let mut inner = String::new();
        write(tree, indent + 1, &mut inner);
        text.push(' ');
        text.push_str(inner.trim_start_matches(' '));
        return;
    }
    write_value(tree, indent, text);
}

/// A text: plain, as a block, or in quotes.
fn scalar(text: &str, indent: usize) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if !is_block(text) {
        return quoted(text);
    }
    let (body, mark) = match text.strip_suffix('\n') {
        Some(body) => (body, "|"),
        None => (text, "|-"),
    };
    let mut block = mark.to_owned();
    for line in body.split('\n') {
        block.push('\n');
        if !line.is_empty() {
            pad(indent, &mut block);
            block.push_str(line);
        }
    }
    block
}

/// Whether YAML reads the text as itself, and as text.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_char = |char: char| char.is_ascii_alphanumeric() || "_/-.".contains(char);
    let parts = text.split("::");
    text.starts_with(|char: char| char.is_ascii_alphabetic())
        && parts.into_iter().all(|part| !part.is_empty() && part.chars().all(is_char))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a block keeps every byte: a block takes its indentation from the first line that is not empty, ends with one
/// line break or none, and has no characters that YAML changes or refuses.
fn is_block(text: &str) -> bool {
    let is_printable = |char: char| {
        matches!(char, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{d7ff}')
            && !matches!(char, '\u{2028}' | '\u{2029}')
            || matches!(char, '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
    };
    text.trim_end_matches('\n').contains('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\t', '\n'])
        && text.chars().all(is_printable)
        // Editors remove spaces at the end of a line; a line of nothing else would be the indentation.
        && !text.split('\n').any(|line| line.ends_with([' ', '\t']))
}

/// YAML 1.2.2, 7.3.1: a double-quoted text, in which every character can be written.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(char),
            '\u{a1}'..='\u{ff}' => quoted.push(char),
            _ if char.is_alphanumeric() => quoted.push(char),
            _ if u32::from(char) <= 0xff => quoted.push_str(&format!("\\x{:02x}", u32::from(char))),
            _ if u32::from(char) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(char))),
        }
    }
    quoted.push('"');
    quoted
}

fn pad(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", indent));
}
