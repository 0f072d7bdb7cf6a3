//! A picture as SVG, which contains all that it needs: no font, style or script is loaded.

mod layout;

use std::collections::BTreeSet;

use super::card::{Card, CardKind, LinkKind, Row, cards};
use super::model::{EntityType, Picture};
use super::text::{Lists, escaped, shown};
use crate::output::plural;
use layout::{CELL_TENTHS, FOOT, HEAD, INDENT_CELLS, Layout, Line, MARGIN, PAD_X, Place, row_y};

/// Draws the picture. The result is an `<svg>` element, alone in a file or within a page. It has no line break at its
/// end.
pub fn draw(picture: &Picture, lists: Lists) -> String {
    let cards = cards(picture, lists);
    let layout = Layout::new(&cards);
    let Layout { width, height, boxes, columns, lines } = &layout;
    let title = match &picture.namespace {
        Some(namespace) => format!("Schema of {}", shown(namespace, MAX_TITLE_CELLS)),
        None => "Schema".to_owned(),
    };
    let mut parts = vec![
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cedar-schema\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"cedar-schema-title cedar-schema-desc\">"
        ),
        format!("<title id=\"cedar-schema-title\">{}</title>", xml(&title)),
        format!("<desc id=\"cedar-schema-desc\">{}</desc>", xml(&description(picture))),
        format!("<style>{STYLE}</style>"),
        format!("<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>"),
        format!("<text class=\"title\" x=\"{MARGIN}\" y=\"38\">{}</text>", xml(&title)),
        format!("<text class=\"note\" x=\"{MARGIN}\" y=\"58\">{}</text>", xml(&counts(picture))),
    ];
    for (column, (x, name)) in columns.iter().zip(COLUMNS).enumerate() {
        if boxes.iter().any(|place| place.column == column) {
            parts.push(format!("<text class=\"column\" x=\"{x}\" y=\"86\">{name}</text>"));
        }
    }
    let drawn: BTreeSet<String> = lines.iter().map(line).collect();
    parts.extend(drawn);
    parts.extend(cards.iter().zip(boxes).flat_map(|(card, place)| card_parts(card, place)));
    parts.extend(legend(lines, height - FOOT / 2));
    parts.push("</svg>".to_owned());
    parts.join("\n")
}

/// How much there is of what.
fn counts(picture: &Picture) -> String {
    let actions = picture.actions.iter().map(|part| part.actions.len()).sum();
    let types = match picture.types.len() {
        0 => String::new(),
        count => format!(", {}", plural(count, "common type")),
    };
    format!("{}, {}{types}", plural(picture.entity_types.len(), "entity type"), plural(actions, "action"))
}

/// The picture in words, for those who cannot see it.
fn description(picture: &Picture) -> String {
    let list = |names: &[String]| {
        let names: Vec<String> =
            names.iter().take(MAX_DESCRIBED).map(|name| shown(name, MAX_TITLE_CELLS)).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let types =
        picture.entity_types.iter().take(MAX_DESCRIBED).map(|EntityType { name, member_of, .. }| {
            let parents =
                if member_of.is_empty() { String::new() } else { format!(" in {}", list(member_of)) };
            format!("{}{parents}", shown(name, MAX_TITLE_CELLS))
        });
    let actions = picture.actions.iter().take(MAX_DESCRIBED).map(|part| {
        let (actions, principals, resources) =
            (list(&part.actions), list(&part.principals), list(&part.resources));
        format!("{actions}: principal {principals}, resource {resources}.")
    });
    let types: Vec<String> = types.collect();
    let actions: Vec<String> = actions.collect();
    format!("{}. Entity types: {}. Actions: {}", counts(picture), types.join("; "), actions.join(" "))
}

/// A box. It is an `<svg>` of its own, which shows nothing beyond its borders, whatever the fonts are.
fn card_parts(card: &Card, place: &Place) -> Vec<String> {
    let Place { x, y, width, height, .. } = place;
    let class = match card.kind {
        CardKind::EntityType => "entity",
        CardKind::Action | CardKind::Actions | CardKind::ActionGroup => "action",
        CardKind::CommonType => "type",
    };
    let (inner_width, inner_height) = (width - 1, height - 1);
    let mut parts = vec![
        format!("<svg class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">"),
        format!(
            "<rect class=\"card\" x=\".5\" y=\".5\" width=\"{inner_width}\" height=\"{inner_height}\" rx=\"6\"/>"
        ),
        format!("<text class=\"kind\" x=\"{PAD_X}\" y=\"17\">{}</text>", card.kind),
        format!("<text class=\"name\" x=\"{PAD_X}\" y=\"34\">{}</text>", xml(&card.title)),
    ];
    if !card.rows.is_empty() {
        parts.push(format!("<path class=\"rule\" d=\"M0 {HEAD}.5H{width}\"/>"));
    }
    let mut before = None;
    for (number, row) in card.rows.iter().enumerate() {
        let y = row_y(number);
        let last = before.replace(row.section);
        let is_first = last != Some(row.section);
        if is_first && last.is_some_and(|last| last.label().is_empty() != row.section.label().is_empty()) {
            parts.push(format!("<path class=\"rule\" d=\"M{PAD_X} {}.5H{}\"/>", y - 9, width - PAD_X));
        }
        parts.extend(row_parts(row, card.label_cells(), is_first, y + 4));
    }
    parts.push("</svg>".to_owned());
    parts
}

fn row_parts(row: &Row, label_cells: usize, is_first: bool, y: usize) -> Vec<String> {
    let Row { section, depth, name, detail } = row;
    let label = section.label();
    let shift = if label.is_empty() { 0 } else { label_cells } + depth * INDENT_CELLS;
    let x = PAD_X + shift * CELL_TENTHS / 10;
    let mut parts = Vec::new();
    if is_first && !label.is_empty() {
        parts.push(format!("<text class=\"label\" x=\"{PAD_X}\" y=\"{y}\">{label}</text>"));
    }
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!("<tspan class=\"detail\">{}</tspan>", xml(detail))
    };
    parts.push(format!("<text x=\"{x}\" y=\"{y}\">{}{detail}</text>", xml(name)));
    parts
}

/// A line with round corners and its arrowhead.
fn line(line: &Line) -> String {
    let Line { kind, corners } = line;
    let mut path = String::new();
    for (number, &(x, y)) in corners.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|number| corners.get(number));
        match (before, corners.get(number + 1)) {
            (None, _) => path.push_str(&format!("M{x} {y}")),
            (Some(_), None) => path.push_str(&format!("L{x} {y}")),
            (Some(&before), Some(&after)) => {
                let (near, far) = (towards((x, y), before), towards((x, y), after));
                path.push_str(&format!("L{} {}Q{x} {y} {} {}", near.0, near.1, far.0, far.1));
            }
        }
    }
    let head = match corners.as_slice() {
        [.., (from, _), (x, y)] => {
            let back = if from < x { x.saturating_sub(ARROW) } else { x + ARROW };
            format!("M{x} {y}L{back} {}V{}Z", y.saturating_sub(4), y + 4)
        }
        _ => String::new(),
    };
    let class = class(*kind);
    format!("<path class=\"line {class}\" d=\"{path}\"/>\n<path class=\"head {class}\" d=\"{head}\"/>")
}

/// The point where the round corner begins or ends, on the way to another corner.
fn towards(corner: (usize, usize), other: (usize, usize)) -> (usize, usize) {
    let step = |from: usize, to: usize| {
        let length = (from.abs_diff(to) / 2).min(RADIUS);
        if to < from { from - length } else { from + length }
    };
    (step(corner.0, other.0), step(corner.1, other.1))
}

fn class(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Member => "member",
        LinkKind::Principal => "principal",
        LinkKind::Resource => "resource",
    }
}

/// What the colours of the lines mean, for those that there are.
fn legend(lines: &[Line], y: usize) -> Vec<String> {
    let kinds: BTreeSet<LinkKind> = lines.iter().map(|line| line.kind).collect();
    let mut x = MARGIN;
    let mut parts = Vec::new();
    for kind in kinds {
        let text = match kind {
            LinkKind::Member => "can be a member of",
            LinkKind::Principal => "principal of the action",
            LinkKind::Resource => "resource of the action",
        };
        let end = x + 28;
        parts.push(line(&Line { kind, corners: vec![(x, y - 4), (end, y - 4)] }));
        parts.push(format!("<text class=\"note\" x=\"{}\" y=\"{y}\">{text}</text>", end + 8));
        x = end + 8 + 160;
    }
    parts
}

/// A text for XML. What XML cannot contain has been escaped before, or is here.
fn xml(text: &str) -> String {
    escaped(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const COLUMNS: [&str; 3] = ["Principals", "Actions", "Resources and other types"];

const ARROW: usize = 8;
const RADIUS: usize = 6;
const MAX_TITLE_CELLS: usize = 56;
/// As many names as one can listen to.
const MAX_DESCRIBED: usize = 24;

/// Every rule is for this picture alone, because a page may contain it. The colours have a contrast of at least 4.5 to
/// 1 (WCAG 2.2, success criterion 1.4.3).
const STYLE: &str = "
.cedar-schema .page{fill:#fff}
.cedar-schema .card{fill:#f6f8fa;stroke:#d0d7de}
.cedar-schema .rule{stroke:#d0d7de;fill:none}
.cedar-schema text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace;fill:#1f2328;unicode-bidi:isolate}
.cedar-schema .name{font-weight:700}
.cedar-schema .title{font:600 20px system-ui,'Segoe UI',sans-serif}
.cedar-schema .note,.cedar-schema .kind,.cedar-schema .column{font:12px system-ui,'Segoe UI',sans-serif;fill:#57606a}
.cedar-schema .kind{font-size:11px}
.cedar-schema .column{font-weight:600}
.cedar-schema .label,.cedar-schema .detail{fill:#57606a}
.cedar-schema .action .kind{fill:#8a4600}
.cedar-schema .entity .kind{fill:#0550ae}
.cedar-schema .line{fill:none;stroke-width:1.5}
.cedar-schema .line.principal{stroke:#0969da}.cedar-schema .head.principal{fill:#0969da}
.cedar-schema .line.resource{stroke:#1a7f37}.cedar-schema .head.resource{fill:#1a7f37}
.cedar-schema .line.member{stroke:#8250df}.cedar-schema .head.member{fill:#fff;stroke:#8250df;stroke-width:1.5}
@media (prefers-color-scheme:dark){
.cedar-schema .page{fill:#0d1117}
.cedar-schema .card{fill:#161b22;stroke:#3d444d}
.cedar-schema .rule{stroke:#3d444d}
.cedar-schema text{fill:#e6edf3}
.cedar-schema .note,.cedar-schema .kind,.cedar-schema .column,.cedar-schema .label,.cedar-schema .detail{fill:#9198a1}
.cedar-schema .action .kind{fill:#f0a35e}
.cedar-schema .entity .kind{fill:#79b8ff}
.cedar-schema .line.principal{stroke:#4493f8}.cedar-schema .head.principal{fill:#4493f8}
.cedar-schema .line.resource{stroke:#3fb950}.cedar-schema .head.resource{fill:#3fb950}
.cedar-schema .line.member{stroke:#ab7df8}.cedar-schema .head.member{fill:#0d1117;stroke:#ab7df8}
}
";
