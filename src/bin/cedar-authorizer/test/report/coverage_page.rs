//! The coverage as a page for a browser: one file that loads nothing.

use crate::test::coverage::{Coverage, Item};

/// The page.
pub fn coverage_page(store: &str, coverage: &Coverage) -> String {
    let (tried, all) = coverage.counts();
    let sections: String =
        coverage.kinds().iter().map(|(kind, missing, items)| section(kind, missing, items)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Coverage of {store}</title>\n\
         <style>{STYLE}</style>\n<h1>Coverage of {store}</h1>\n<p><strong>{percent}%</strong>: {tried} of {all}</p>\n\
         {sections}</html>\n",
        store = escaped(store),
        percent = coverage.percent(),
    )
}

fn section(kind: &str, missing: &str, items: &[Item]) -> String {
    let tried = items.iter().filter(|item| item.is_covered).count();
    let rows: String = items
        .iter()
        .map(|item| {
            let (class, text) = if item.is_covered { ("tried", "tried") } else { ("missing", missing) };
            format!("<tr class=\"{class}\"><td>{}</td><td>{text}</td></tr>\n", escaped(&item.name))
        })
        .collect();
    format!("<h2>{kind}: {tried} of {}</h2>\n<table>\n{rows}</table>\n", items.len())
}

/// Text as part of HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%}td{padding:.2rem .6rem;border-bottom:1px solid #ddd}\
    td:first-child{font-family:monospace}.missing{background:#fdecea}.tried td:last-child{color:#2e7d32}";
