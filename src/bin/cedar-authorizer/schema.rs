//! `schema`: the schema of a policy store as a picture.

mod card;
mod mermaid;
mod model;
mod svg;
mod text;

use std::path::{Path, PathBuf};

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::finding::Severity;
use cedar_authorizer::store::schema::ResolvedSchema;
use clap::{Args, ValueEnum};

use crate::build::replace;
use crate::output::{Exit, Failure, HINT, many, paint, print, warn};
use crate::progress;
use crate::store::{StoreArgs, checking, count};
use model::{Boxes, Picture};
use text::Lists;

/// Draw the schema: entity types, actions, and what applies to what
///
/// Shows the entity types with their attributes and parents, and the actions with the principals, resources and context
/// that they apply to. Actions that apply to the same things share a box. Only the schema is read, so a store with
/// errors in other files can be drawn too.
///
/// Mermaid is text that GitHub and GitLab draw inside Markdown. SVG is a file that every browser shows, in light or
/// dark colours as the reader prefers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer schema
  cedar-authorizer schema --output schema.svg
  cedar-authorizer schema --store ../shop/policies --format mermaid --group-actions
  cedar-authorizer schema --format json | jq '.entityTypes[].name'

Exit codes: 0 drawn, 1 could not read or write, 3 no schema, or one with errors")]
pub struct Schema {
    #[command(flatten)]
    store: StoreArgs,

    /// The form of the picture [default: as the name of --output says, else mermaid]
    #[arg(long, value_enum)]
    format: Option<PictureFormat>,

    /// The file to write [default: stdout]
    ///
    /// The file is replaced in one step or not at all.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Put actions into one box even if their contexts differ
    ///
    /// The box then says how many of its actions have each part of the context. Without this, actions share a box only
    /// if principals, resources, context and groups of actions are the same.
    #[arg(long)]
    group_actions: bool,

    /// Show long lists in full, not only their beginning; JSON always has all
    #[arg(long)]
    all: bool,
}

/// The form of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PictureFormat {
    /// A class diagram for Markdown
    Mermaid,
    /// A file for browsers
    Svg,
    /// For programs: what the picture shows
    Json,
}

impl Schema {
    pub fn run(self) -> Result<Exit, Failure> {
        let Self { store, format, output, group_actions, all } = self;
        let schema = read(&store)?;
        let boxes = if group_actions { Boxes::ByTypes } else { Boxes::ByTypesAndContext };
        let lists = if all { Lists::Whole } else { Lists::Cut };
        let format = format.or_else(|| by_name(output.as_deref()?)).unwrap_or(PictureFormat::Mermaid);
        let picture = progress::during("drawing the schema", || {
            let picture = Picture::new(&schema, boxes);
            match format {
                PictureFormat::Mermaid => Ok((mermaid::draw(&picture, lists), picture)),
                PictureFormat::Svg => Ok((svg::draw(&picture, lists), picture)),
                PictureFormat::Json => {
                    let json = serde_json::to_string_pretty(&picture).map_err(Failure::could_not_run)?;
                    Ok((text::printable_json(&json), picture))
                }
            }
        });
        let (text, picture) = picture?;
        match &output {
            Some(path) => replace(path, format!("{text}\n").as_bytes()).map_err(|error| {
                Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display()))
            })?,
            None => print(&text)?,
        }
        advise(format, &text, &picture, boxes);
        Ok(Exit::Fine)
    }
}

/// The picture of the schema of a store, as SVG. `None`: there is no schema that can be drawn.
pub fn picture_of(files: &StoreFiles) -> Option<String> {
    let (schema, _) = ResolvedSchema::of_store(files);
    let by_context = Picture::new(&schema?, Boxes::ByTypesAndContext);
    Some(svg::draw(&by_context, Lists::Cut))
}

/// Reads the schema of a store. Prints its findings to stderr.
fn read(store: &StoreArgs) -> Result<ResolvedSchema, Failure> {
    let files = store.read()?;
    let (schema, findings) = progress::during(checking(&files), || ResolvedSchema::of_store(&files));
    store.warn_of(&files, &findings);
    let errors = count(&findings, Severity::Error);
    schema.filter(|_| errors == 0).ok_or_else(|| {
        Failure::invalid(format_args!("the policy store `{}` has no schema that can be drawn", store.name()))
    })
}

/// The form that the name of a file asks for.
fn by_name(path: &Path) -> Option<PictureFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "svg" => Some(PictureFormat::Svg),
        "json" => Some(PictureFormat::Json),
        _ => None,
    }
}

/// Says what would help if the picture is too large to be of use.
fn advise(format: PictureFormat, text: &str, picture: &Picture, boxes: Boxes) {
    let note = paint(HINT, "note:");
    let smaller = match boxes {
        Boxes::ByTypesAndContext if picture.actions.len() > 1 => "--group-actions makes it smaller",
        _ => "--format svg has no such limit",
    };
    if format == PictureFormat::Mermaid && text.chars().count() > MAX_MERMAID_CHARACTERS {
        warn(&format_args!(
            "{note} viewers refuse diagrams of more than {MAX_MERMAID_CHARACTERS} characters; {smaller}"
        ));
    } else if format != PictureFormat::Json
        && boxes == Boxes::ByTypesAndContext
        && picture.actions.len() > MANY_BOXES
    {
        let boxes = many(picture.actions.len(), "box", "boxes");
        warn(&format_args!("{note} the actions take {boxes}; --group-actions makes it smaller"));
    }
}

/// Mermaid's `maxTextSize`, which GitHub leaves as it is.
const MAX_MERMAID_CHARACTERS: usize = 50_000;

/// More boxes than this do not fit on a screen at a readable size.
const MANY_BOXES: usize = 40;
