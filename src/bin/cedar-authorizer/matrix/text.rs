//! A matrix as a table for terminals, and in Markdown.

use super::cells::{Matrix, Row};
use crate::output::{ERROR, SUCCESS, paint, printable};

/// A table for a terminal, with the routes as rows.
pub fn table(matrix: &Matrix) -> String {
    let route_width = width(matrix.rows.iter().map(|row| row.route.as_str()).chain(["route"]));
    let widths: Vec<usize> = matrix
        .callers
        .iter()
        .map(|caller| {
            let cells = matrix.rows.iter().map(|row| shown(row, caller));
            cells
                .map(|cell| cell.chars().count())
                .chain([printable(caller).chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut lines = Vec::new();
    let columns = matrix.callers.iter().zip(&widths);
    let names = columns.clone().map(|(caller, width)| format!("  {:<width$}", printable(caller)));
    lines.push(format!("{:<route_width$}{}", "route", names.collect::<String>()));
    for row in &matrix.rows {
        let cells = columns.clone().map(|(caller, width)| {
            let text = shown(row, caller);
            let is_allowed = row.cells.get(caller).is_some_and(|cell| cell.decision == "allow");
            let room = " ".repeat(width - text.chars().count());
            format!("  {}{room}", paint(if is_allowed { SUCCESS } else { ERROR }, &text))
        });
        lines.push(format!("{:<route_width$}{}", printable(&row.route), cells.collect::<String>()));
    }
    lines.extend(notes(matrix).map(|note| printable(&note)));
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n") + "\n"
}

/// A table in GitHub's Markdown, with the routes as rows.
pub fn markdown(matrix: &Matrix) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let names = matrix.callers.iter().map(|caller| escaped(caller));
    let mut text = line(["route".to_owned()].into_iter().chain(names).collect());
    text += &line(vec!["---".to_owned(); matrix.callers.len() + 1]);
    for row in &matrix.rows {
        let cells = matrix.callers.iter().map(|caller| shown(row, caller).replace('*', "\\*"));
        text += &line([code(&row.route)].into_iter().chain(cells).collect());
    }
    let notes: Vec<String> = notes(matrix).map(|note| note.replace('*', "\\*")).collect();
    if notes.is_empty() { text } else { format!("{text}\n{}\n", notes.join("  \n")) }
}

/// A name as code, or as text where it has characters that code in a table cannot have.
fn code(name: &str) -> String {
    if name.contains(['|', '`', '\\', '\n', '\r']) { escaped(name) } else { format!("`{name}`") }
}

/// A cell in a word.
fn shown(row: &Row, caller: &str) -> String {
    let decision = row.cells.get(caller).map_or("", |cell| cell.decision.as_str());
    let mark = if row.reads.is_empty() { "" } else { "*" };
    format!("{decision}{mark}")
}

/// What the marked rows read.
fn notes(matrix: &Matrix) -> impl Iterator<Item = String> {
    let marked = matrix.rows.iter().filter(|row| !row.reads.is_empty());
    marked.map(|Row { route, reads, .. }| format!("* {route}: depends on {}", reads.join(", ")))
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| printable(text).chars().count()).max().unwrap_or(0)
}

/// Text in a cell of Markdown, in which nothing is markup.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, char| {
        match char {
            '\n' | '\r' => escaped.push(' '),
            '|' | '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' => escaped.extend(['\\', char]),
            char => escaped.push(char),
        }
        escaped
    })
}
