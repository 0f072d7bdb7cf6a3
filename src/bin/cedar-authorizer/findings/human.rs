//! Findings for people: with the piece of source that they are about, as Rust's compiler shows it.

use std::env;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};
use cedar_authorizer::store::finding::{Finding, Severity};
use dialoguer::console::Term;

use super::{Home, Sources};
use crate::output::{ERROR, HINT, WARNING, printable};

/// How wide the output may be.
#[derive(Clone, Copy, Debug)]
pub struct Width(usize);

impl Width {
    /// That of the terminal that stdout is.
    pub fn of_stdout() -> Self {
        Self::of(&Term::stdout())
    }

    /// That of the terminal that stderr is.
    pub fn of_stderr() -> Self {
        Self::of(&Term::stderr())
    }

    fn of(term: &Term) -> Self {
        let columns = term.size_checked().map(|(_, columns)| usize::from(columns));
        let said = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let width = columns.filter(|_| term.is_term()).or(said).unwrap_or(DEFAULT_WIDTH);
        Self(width.max(LEAST_WIDTH))
    }
}

/// A finding for people: what, where, and what to do.
pub fn human(finding: &Finding, home: Home, sources: &Sources<'_>, Width(width): Width) -> String {
    let Finding { severity, code, position, message, policy: _, hint } = finding;
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut origin = Origin::path(printable(&sources.path(finding, home)));
    if let Some(line) = position.line {
        origin = origin.line(line);
        if let Some(column) = position.column {
            origin = origin.char_column(column);
        }
    }
    let piece = sources.with_lines(&position.file, home, |lines| {
        let piece = lines.piece(position)?;
        Some(shown(piece.line, piece.part))
    });
    let mut elements: Vec<Element<'_>> = vec![origin.into()];
    if let (Some(Some((line, part))), Some(number)) = (piece, position.line) {
        let annotation = AnnotationKind::Primary.span(part);
        elements.push(Snippet::source(line).line_start(number).annotation(annotation).into());
    }
    if let Some(hint) = hint {
        elements.push(Level::HELP.message(printable(hint)).into());
    }
    let title = level.primary_title(printable(message)).id(code.name());
    let renderer =
        Renderer::styled().error(ERROR).warning(WARNING).help(HINT).hyperlink(false).term_width(width);
    renderer.render(&[title.elements(elements)])
}

/// A line as a terminal may show it. The renderer shows most control characters as symbols, but not those beyond
/// ASCII, which some terminals obey as well.
fn shown(line: &str, part: Range<usize>) -> (String, Range<usize>) {
    let shown = |text: &str| text.replace(|char: char| char.is_control() && !char.is_ascii(), "\u{fffd}");
    let piece = |range: Range<usize>| shown(line.get(range).unwrap_or_default());
    let (before, inside, behind) = (piece(0..part.start), piece(part.clone()), piece(part.end..line.len()));
    let part = before.len()..before.len() + inside.len();
    (format!("{before}{inside}{behind}"), part)
}

/// If nothing is known of the terminal, or there is none.
const DEFAULT_WIDTH: usize = 120;

const LEAST_WIDTH: usize = 40;
