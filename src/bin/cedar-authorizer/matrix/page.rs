//! A matrix as a page, without scripts or outside resources.

use super::cells::{Cell, Matrix, Row};
use crate::html::escape;

/// The page. `store` is the name of the policy store.
pub fn page(matrix: &Matrix, store: &str) -> String {
    let title = format!("Who may call what: {}", escape(store));
    let names: String =
        matrix.callers.iter().map(|caller| format!("<th scope=\"col\">{}</th>", escape(caller))).collect();
    let rows: String = matrix.rows.iter().map(|row| self::row(row, &matrix.callers)).collect();
    let marked = matrix.rows.iter().any(|row| !row.reads.is_empty());
    let note = if marked {
        "<p>* other requests may be decided otherwise: see what the route depends on.</p>"
    } else {
        ""
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<table>\n<thead><tr><th scope=\"col\">route</th>{names}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n{note}\n</body>\n</html>\n"
    )
}

fn row(row: &Row, callers: &[String]) -> String {
    let Row { route, reads, cells } = row;
    let mark = if reads.is_empty() { "" } else { "*" };
    let cell = |caller: &String| {
        let Some(Cell { decision, reason, policies }) = cells.get(caller) else {
            return "<td></td>".to_owned();
        };
        let why = [reason].into_iter().chain(policies).map(String::as_str).collect::<Vec<_>>().join("\n");
        format!(
            "<td class=\"{}\" title=\"{}\">{}{mark}</td>",
            escape(decision),
            escape(&why),
            escape(decision)
        )
    };
    let depends = if reads.is_empty() {
        String::new()
    } else {
        format!("<small>depends on {}</small>", escape(&reads.join(", ")))
    };
    let cells: String = callers.iter().map(cell).collect();
    format!("<tr><th scope=\"row\"><code>{}</code>{depends}</th>{cells}</tr>\n", escape(route))
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}\
body{margin:2rem}table{border-collapse:collapse}\
th,td{border:1px solid #8886;padding:.25rem .6rem;text-align:left}\
thead th{position:sticky;top:0;background:Canvas}\
small{display:block;font-weight:normal;opacity:.75}\
.allow{background:#2a92}.deny,.unauthorized,.fault{background:#c332}";
