//! The report as a page, without scripts or outside resources.

use super::report::Judged;
use super::sheet::{Entry, Sheet};
use crate::html::escape;
use crate::output::printable;

/// The page.
pub fn page(judged: &Judged) -> String {
    let report = &judged.report;
    let title = format!("What changes: {}", text(&report.new.store));
    let old = report.old.as_ref().map_or_else(|| "nothing".to_owned(), |old| old.shown());
    let changed = list(&report.changed.lines());
    let sheets: String = judged.sheets.iter().map(sheet).collect();
    let stale: Vec<String> =
        judged.stale.iter().map(|(number, line)| format!("line {number}: {line}")).collect();
    let stale = match stale.as_slice() {
        [] => String::new(),
        stale => format!("<h2>Agreements that name no change</h2>\n{}", list(stale)),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<p><strong>{}</strong></p>\n\
         <dl><dt>old</dt><dd>{}</dd><dt>new</dt><dd>{}</dd></dl>\n{changed}{sheets}{stale}</body>\n</html>\n",
        text(&judged.headline()),
        text(&old),
        text(&report.new.shown()),
    )
}

fn sheet(sheet: &Sheet) -> String {
    let columns: String =
        sheet.columns.iter().map(|column| format!("<th scope=\"col\">{column}</th>")).collect();
    let rows: String = sheet.entries.iter().map(row).collect();
    let table = if sheet.entries.is_empty() {
        "<p>no change</p>\n".to_owned()
    } else {
        format!("<table>\n<thead><tr><th></th>{columns}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
    };
    let looked_at = text(&sheet.looked_at);
    format!("<h2>{} <small>{looked_at}</small></h2>\n{table}{}", sheet.title, list(&sheet.notes))
}

fn row(entry: &Entry) -> String {
    let (agreed, class) = if entry.agreed { (" (agreed)", "agreed") } else { ("", entry.weight.name()) };
    let last = entry.cells.len().saturating_sub(1);
    let cell = |(number, cell): (usize, &String)| {
        let details = entry.details.iter().filter(|_| number == last);
        let details: String = details.map(|line| format!("<br>{}", text(line))).collect();
        format!("<td>{}{details}</td>", text(cell))
    };
    let cells: String = entry.cells.iter().enumerate().map(cell).collect();
    format!("<tr class=\"{class}\"><th scope=\"row\">{}{agreed}</th>{cells}</tr>\n", entry.word)
}

fn list(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", text(line))).collect();
    format!("<ul>\n{items}</ul>\n")
}

/// Text of others. Characters that would turn the direction of writing are shown as numbers here, too.
fn text(text: &str) -> String {
    escape(&printable(text))
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}\
body{margin:2rem}table{border-collapse:collapse}\
th,td{border:1px solid #8886;padding:.25rem .6rem;text-align:left;vertical-align:top}\
thead th{position:sticky;top:0;background:Canvas}\
small{font-weight:normal;opacity:.75}dt{float:left;clear:left;width:3rem;opacity:.75}\
.widens th{background:#c332}.narrows th{background:#db52}.agreed th{background:#2a92}";
