//! Findings as commands of a GitHub workflow, which show them beside the lines of a change.

use cedar_authorizer::store::finding::Finding;

use super::{Home, Sources};
use crate::output::printable;

/// A workflow command (GitHub documentation, "Workflow commands for GitHub Actions", "Setting an error message").
pub fn command(finding: &Finding, home: Home, sources: &Sources<'_>) -> String {
    let Finding { severity, code, position, message, policy: _, hint } = finding;
    let mut properties = vec![("file", printable(&sources.repository_path(finding, home)))];
    let mut add = |name, number: Option<usize>| {
        properties.extend(number.map(|number| (name, number.to_string())));
    };
    add("line", position.line);
    add("endLine", position.end_line);
    add("col", position.column);
    // GitHub takes columns only of a place within one line.
    add("endColumn", position.end_column.filter(|_| position.end_line == position.line));
    properties.push(("title", code.to_string()));
    let properties: Vec<String> =
        properties.into_iter().map(|(name, value)| format!("{name}={}", escaped_property(&value))).collect();
    let text = match hint {
        Some(hint) => format!("{}\nhelp: {}", printable(message), printable(hint)),
        None => printable(message),
    };
    format!("::{severity} {}::{}", properties.join(","), escaped(&text))
}

/// A message on one line. The runner takes back what is escaped here.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property, in which `:` and `,` mean something as well.
fn escaped_property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cedar_authorizer::bundle::StoreFiles;
    use cedar_authorizer::store::finding::{Code, Position};

    use super::*;

    #[test]
    fn nothing_in_a_finding_ends_its_command_or_begins_another() {
        let files = StoreFiles::default();
        let sources = Sources::new(Path::new("a,b"), &files);
        let position =
            Position { end_line: Some(3), end_column: Some(9), ..Position::line("x:y%.cedar", 3, 4) };
        let finding = Finding::new(Code::PolicyInvalid, position, "50%: a, b").hint("one\r\n::error::two");
        assert_eq!(
            command(&finding, Home::Store, &sources),
            "::error file=a%2Cb/x%3Ay%25.cedar,line=3,endLine=3,col=4,endColumn=9,title=policy-invalid::50%25: a, \
             b%0Ahelp: one\\r\\n::error::two"
        );
        let finding = Finding::new(Code::FileUnknown, Position::file("x"), "m");
        assert_eq!(command(&finding, Home::Store, &sources), "::warning file=a%2Cb/x,title=file-unknown::m");
    }
}
