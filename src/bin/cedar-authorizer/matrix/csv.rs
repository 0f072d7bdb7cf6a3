//! A matrix in CSV (RFC 4180): one line for each route and caller, so that a line of a diff is a cell.

use super::cells::{Cell, Matrix, Row};

/// Writes a matrix.
pub fn write(matrix: &Matrix) -> String {
    let mut text = HEADER.join(",") + "\n";
    for Row { route, reads, cells } in &matrix.rows {
        for caller in &matrix.callers {
            let Some(Cell { decision, reason, policies }) = cells.get(caller) else {
                continue;
            };
            let fields = [route, caller, decision, reason, &policies.join(" "), &reads.join("; ")];
            text += &fields.map(|field| quoted(field)).join(",");
            text.push('\n');
        }
    }
    text
}

/// Reads a matrix. Only what is compared is read: not the policies, whose ids may have spaces.
///
/// # Errors
/// The line that is wrong, and what is wrong with it.
pub fn read(text: &str) -> Result<Matrix, (usize, String)> {
    let mut records = records(text)?.into_iter();
    let header = records.next().map(|(_, fields)| fields).unwrap_or_default();
    if header != HEADER {
        return Err((1, format!("the first line is not `{}`", HEADER.join(","))));
    }
    let mut matrix = Matrix { callers: Vec::new(), rows: Vec::new() };
    for (line, fields) in records {
        let Ok([route, caller, decision, reason, policies, _]) = <[String; 6]>::try_from(fields) else {
            return Err((line, format!("not {} fields", HEADER.len())));
        };
        if !matrix.callers.contains(&caller) {
            matrix.callers.push(caller.clone());
        }
        let is_new = matrix.rows.last().is_none_or(|row| row.route != route);
        if is_new {
            matrix.rows.push(Row { route, reads: Vec::new(), cells: [].into() });
        }
        let policies = policies.split(' ').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        if let Some(row) = matrix.rows.last_mut() {
            row.cells.insert(caller, Cell { decision, reason, policies });
        }
    }
    Ok(matrix)
}

/// The line on which a record begins, and its fields.
type Record = (usize, Vec<String>);

/// The records of a text.
fn records(text: &str) -> Result<Vec<Record>, (usize, String)> {
    let (mut records, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut start) = (1, 1);
    let mut is_quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            '\r' if !is_quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !is_quoted => {
                fields.push(std::mem::take(&mut field));
                records.push((start, std::mem::take(&mut fields)));
                line += 1;
                start = line;
            }
            char => {
                line += usize::from(char == '\n');
                field.push(char);
            }
        }
    }
    if is_quoted {
        return Err((start, "a quote that is not closed".to_owned()));
    }
    if !field.is_empty() || !fields.is_empty() {
        fields.push(field);
        records.push((start, fields));
    }
    Ok(records)
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

const HEADER: [&str; 6] = ["route", "caller", "decision", "reason", "policies", "depends on"];
