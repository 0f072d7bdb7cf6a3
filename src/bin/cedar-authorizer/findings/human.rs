//! Findings for people: with the piece of source that they are about, as Rust's compiler shows it.

use std::env;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use cedar_authorizer::store::finding::{Finding, Severity};
use dialoguer::console::Term;

use super::text::Piece;
use super::{Home, Sources};
use crate::output::{ERROR, HINT, WARNING, paint, printable};

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
    let (message, hint) = (printable(message), hint.as_deref().map(printable));
    let path = printable(&sources.path(finding, home));
    let (level, style) = match severity {
        Severity::Error => (Level::ERROR, ERROR),
        Severity::Warning => (Level::WARNING, WARNING),
    };
    let piece =
        sources.with_lines(&position.file, home, |lines| lines.piece(position).map(Shown::new)).flatten();
    let (Some(piece), Some(line)) = (piece, position.line) else {
        let head = paint(style, &format!("{severity}[{code}]"));
        let numbers = [position.line, position.column].into_iter().flatten();
        let place = numbers.fold(path, |place, number| format!("{place}:{number}"));
        let hint = hint.map(|hint| format!("\n  = {}: {hint}", paint(HINT, "help")));
        return format!("{head}: {message}\n {} {place}{}", paint(HINT, "-->"), hint.unwrap_or_default());
    };
    let Shown { line: text, part, column } = piece;
    let snippet = Snippet::source(text).path(&path).line_start(line);
    let title = level.primary_title(message).id(code.name());
    let mut report = title.element(snippet.annotation(AnnotationKind::Primary.span(part)));
    if let Some(hint) = hint {
        report = report.element(Level::HELP.message(hint));
    }
    let renderer =
        Renderer::styled().error(ERROR).warning(WARNING).help(HINT).hyperlink(false).term_width(width);
    let rendered = renderer.render(&[report]);
    match position.column.filter(|known| *known != column) {
        // The renderer counts from the beginning of what it was given.
        Some(known) => {
            rendered.replacen(&format!("{path}:{line}:{column}"), &format!("{path}:{line}:{known}"), 1)
        }
        None => rendered,
    }
}

/// A piece of source as a terminal may show it. The renderer shows most control characters as symbols, but not those
/// beyond ASCII, which some terminals obey as well.
struct Shown {
    line: String,
    part: Range<usize>,
    /// The column of the part in this piece, from 1.
    column: usize,
}

impl Shown {
    fn new(Piece { line, part }: Piece<'_>) -> Self {
        let shown = |range: Range<usize>| {
            let text = line.get(range).unwrap_or_default();
            text.replace(|char: char| char.is_control() && !char.is_ascii(), "\u{fffd}")
        };
        let (before, inside, behind) =
            (shown(0..part.start), shown(part.clone()), shown(part.end..line.len()));
        Self {
            part: before.len()..before.len() + inside.len(),
            column: before.chars().count() + 1,
            line: format!("{before}{inside}{behind}"),
        }
    }
}

/// If nothing is known of the terminal, or there is none.
const DEFAULT_WIDTH: usize = 120;

const LEAST_WIDTH: usize = 40;
