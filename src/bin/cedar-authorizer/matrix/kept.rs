//! A matrix that is kept in a file.

use std::fs;
use std::path::Path;

use super::cells::{Cell, Matrix, Row};
use super::{Format, csv};
use crate::output::Failure;

/// Reads a matrix that `matrix --output` wrote.
pub fn read(path: &Path) -> Result<Matrix, Failure> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}")));
    let text = text
        .map_err(|failure| failure.hint(format!("make it with: cedar-authorizer matrix --output {name}")))?;
    let at =
        |(line, problem): (usize, String)| Failure::could_not_run(format_args!("{name}:{line}: {problem}"));
    match Format::of_file(path) {
        Some(Format::Csv) => csv::read(&text).map_err(at),
        Some(Format::Markdown) => markdown(&text).map_err(at),
        Some(Format::Json) => serde_json::from_str(&text).map_err(|error| {
            Failure::could_not_run(format_args!("`{name}` is not a matrix in JSON: {error}"))
        }),
        Some(Format::Html | Format::Table) | None => {
            let failure = Failure::could_not_run(format_args!("`{name}` cannot be compared"));
            Err(failure.hint("keep a matrix as .csv, .json or .md"))
        }
    }
}

/// Reads the first table of a Markdown document. It has decisions, but neither reasons nor policies.
fn markdown(text: &str) -> Result<Matrix, (usize, String)> {
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| !line.starts_with("| route"));
    let Some((_, header)) = lines.next() else {
        return Err((1, "there is no table that begins with `| route`".to_owned()));
    };
    let callers: Vec<String> = cells(header).into_iter().skip(1).collect();
    let mut rows = Vec::new();
    for (index, line) in lines.skip(1).take_while(|(_, line)| line.starts_with('|')) {
        let mut fields = cells(line).into_iter();
        let route = fields.next().unwrap_or_default();
        let code = route.strip_prefix('`').and_then(|route| route.strip_suffix('`'));
        let route = code.unwrap_or(&route).to_owned();
        let decisions: Vec<String> = fields.collect();
        if decisions.len() != callers.len() {
            return Err((index + 1, format!("not {} cells", callers.len() + 1)));
        }
        let cell = |decision: String| Cell {
            decision: decision.trim_end_matches('*').to_owned(),
            reason: String::new(),
            policies: Vec::new(),
        };
        let cells = callers.iter().cloned().zip(decisions.into_iter().map(cell)).collect();
        rows.push(Row { route, reads: Vec::new(), cells });
    }
    Ok(Matrix { callers, rows })
}

/// The cells of a line, without the escapes of Markdown.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|');
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => cell.extend(chars.next()),
            '|' => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            char => cell.push(char),
        }
    }
    cells
}
