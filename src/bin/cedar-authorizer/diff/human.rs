//! The report for a terminal.

use anstyle::Style;

use super::report::Judged;
use super::sheet::{Entry, Sheet, Weight};
use super::side::Identity;
use crate::output::{ERROR, HINT, SUCCESS, WARNING, paint, printable};

/// The report, short: what widens access first.
pub fn human(judged: &Judged) -> String {
    let mut lines = vec![
        format!("{} {}", paint(HINT, "old"), old(judged.report.old.as_ref())),
        format!("{} {}", paint(HINT, "new"), printable(&judged.report.new.shown())),
    ];
    lines.extend(judged.report.changed.lines().iter().map(|line| format!("  {}", cut(line, LONGEST_LINE))));
    for sheet in &judged.sheets {
        if sheet.entries.is_empty() && sheet.notes.is_empty() {
            continue;
        }
        lines.push(String::new());
        lines.push(format!("{} ({})", paint(HINT, sheet.title), printable(&sheet.looked_at)));
        lines.extend(entries(sheet));
        lines.extend(sheet.notes.iter().take(MOST).map(|note| format!("  {}", cut(note, LONGEST_LINE))));
        if sheet.notes.len() > MOST {
            lines.push(format!("  and {} more notes: --format json has all", sheet.notes.len() - MOST));
        }
    }
    if judged.report.tests.is_none() && judged.report.old.is_some() {
        lines.extend([String::new(), "  there are no tests".to_owned()]);
    }
    for (number, line) in &judged.stale {
        lines.push(format!(
            "{} line {number} of --allow-only names no change: {}",
            paint(WARNING, "stale:"),
            printable(line)
        ));
    }
    lines.push(String::new());
    let (style, verdict) = match (judged.entries().next(), judged.is_changed()) {
        (None, _) => (SUCCESS, "the same:"),
        (Some(_), false) => (SUCCESS, "agreed:"),
        (Some(_), true) => (ERROR, "changed:"),
    };
    let verdict = if judged.report.old.is_none() { "new:" } else { verdict };
    lines.push(format!("{} {}", paint(style, verdict), printable(&judged.headline())));
    lines.join("\n")
}

fn old(old: Option<&Identity>) -> String {
    old.map_or_else(|| "nothing".to_owned(), |old| printable(&old.shown()))
}

/// The changes of a view in columns.
fn entries(sheet: &Sheet) -> Vec<String> {
    let shown: Vec<(&Entry, Vec<String>)> =
        sheet.entries.iter().take(MOST).map(|entry| (entry, cells(entry))).collect();
    let width = |column: usize| {
        let lengths = shown.iter().filter_map(|(_, cells)| Some(cells.get(column)?.chars().count()));
        lengths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..sheet.columns.len()).map(width).collect();
    let words = shown.iter().map(|(entry, _)| entry.word.len() + mark(entry).len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (entry, cells) in &shown {
        let word = format!("{}{}", entry.word, mark(entry));
        let padding = " ".repeat(words.saturating_sub(word.len()));
        let mut line = format!("  {}{padding}", paint(style(entry), &word));
        for (cell, width) in cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            line += &format!("  {cell:<width$}");
        }
        lines.push(line.trim_end().to_owned());
        lines.extend(
            entry
                .details
                .iter()
                .take(MOST_DETAILS)
                .map(|detail| format!("      {}", cut(detail, LONGEST_LINE))),
        );
    }
    let left = sheet.entries.get(MOST..).unwrap_or_default();
    if !left.is_empty() {
        let widening = left.iter().filter(|entry| entry.weight == Weight::Widens).count();
        lines.push(format!(
            "  and {} more, {widening} of which widen access: --format json has all",
            left.len()
        ));
    }
    lines
}

/// The texts of a change. The last one may be long, because no column follows it.
fn cells(entry: &Entry) -> Vec<String> {
    let last = entry.cells.len().saturating_sub(1);
    let most = |column| if column == last { LONGEST_LINE } else { LONGEST_CELL };
    entry.cells.iter().enumerate().map(|(column, cell)| cut(cell, most(column))).collect()
}

fn style(entry: &Entry) -> Style {
    match (entry.agreed, entry.weight) {
        (true, _) => SUCCESS,
        (false, Weight::Widens) => ERROR,
        (false, Weight::Narrows | Weight::Differs) => WARNING,
    }
}

fn mark(entry: &Entry) -> &'static str {
    if entry.agreed { " (agreed)" } else { "" }
}

/// At most so many characters of a text.
fn cut(text: &str, most: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// How many changes of a view are shown.
const MOST: usize = 30;
const MOST_DETAILS: usize = 12;
const LONGEST_CELL: usize = 80;
const LONGEST_LINE: usize = 300;
