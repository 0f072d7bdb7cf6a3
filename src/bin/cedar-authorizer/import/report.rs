//! Writes what was imported as a store, and says what came of it.

use std::collections::{BTreeMap, BTreeSet};

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::finding::Severity;
use cedar_authorizer::store::{Checks, Store, build};

use super::imported::{Imported, Note};
use super::resource::annotation;
use super::settings::Settings;
use super::{OCCUPIED, Target, Tokens, recording};
use crate::avp::contents::{self, StoreContents, WriteOptions};
use crate::avp::moment::Moment;
use crate::init::directory::Place;
use crate::init::files::Files;
use crate::init::questions::quoted;
use crate::init::text::{comment, slug};
use crate::output::{self, Exit, Failure, HINT, SUCCESS, WARNING, paint, plural, print, warn};
use crate::progress;
use crate::store::{checking, count};

/// Writes the store and reports.
pub fn write(imported: Imported, target: &Target, what: &str) -> Result<Exit, Failure> {
    let from = imported.name.clone().unwrap_or_else(|| stem(what).to_owned());
    let mut settings = Settings::new(&imported, &from, target.namespace.as_deref(), target.token_type);
    if let Some(name) = &target.name {
        settings.name.clone_from(name);
    }
    let mut files = files(&imported, &settings);
    let Checked { verdict, store, files: known } = check(&files);
    let next: &[&str] = match store {
        None => &["check"],
        Some(store) => {
            // What was imported counts more than tests of it.
            let recorded = recording::files(*store, known).unwrap_or_else(|failure| {
                let note = paint(WARNING, "warning:");
                warn(&format_args!("{note} no personas and tests are recorded: {}", failure.message()));
                Files::new()
            });
            let has_tests = !recorded.is_empty();
            files.extend(recorded);
            if has_tests { &["check", "test", "build"] } else { &["check", "build"] }
        }
    };
    let place = Place::check(&target.store, target.force, OCCUPIED)?;
    let kept = progress::during("writing the store", || place.fill(&files))?;
    let name = output::printable(&target.store.display().to_string());
    if let Some(kept) = kept {
        warn(&format_args!("the store that was there is now `{}`", kept.display()));
    }
    print(&format_args!(
        "{} {}",
        paint(SUCCESS, &format!("imported into `{name}`:")),
        counts(&imported).join(", ")
    ))?;
    if let (Some(tokens), None) = (settings.tokens, target.token_type) {
        let tokens = if tokens == Tokens::Access { "access" } else { "id" };
        warn(&format_args!("{} {tokens} tokens are accepted; --token-type chooses", paint(HINT, "note:")));
    }
    say(&imported.notes);
    say_duplicates(&imported.contents);
    warn(&format_args!("{} {verdict}", paint(HINT, "check:")));
    let command = |verb: &&str| {
        let output = match *verb {
            "build" => format!(" --output {}", quoted(&format!("{}.bundle", slug(&settings.name)))),
            _ => String::new(),
        };
        format!("cedar-authorizer {verb} --store {}{output}", quoted(&name))
    };
    let next: Vec<String> = next.iter().map(command).collect();
    warn(&format_args!("{} {}", paint(HINT, "next:"), next.join(", ")));
    let lost = imported.notes.iter().filter(|note| note.is_loss).count();
    Ok(if lost > 0 { Exit::Denied } else { Exit::Fine })
}

/// The file's or directory's own name, without its extension.
fn stem(what: &str) -> &str {
    let name = what.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(what);
    name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or(name)
}

/// All files of the store.
fn files(imported: &Imported, settings: &Settings) -> Files {
    let options = WriteOptions {
        name: settings.name.clone(),
        policy_store_id: imported.policy_store_id.clone(),
        now: Moment::now(),
    };
    let written = contents::write(&imported.contents, &options);
    let mut files: Files =
        written.iter().map(|(path, content)| (path.to_owned(), content.to_vec())).collect();
    files.insert("store.toml".to_owned(), settings.file().into_bytes());
    files.extend(imported.files.iter().map(|(path, content)| (path.clone(), content.clone())));
    files
}

fn counts(imported: &Imported) -> Vec<String> {
    let StoreContents { schema, policies, templates, links, identity_sources, .. } = &imported.contents;
    let in_folder = |folder: &str| {
        let is_in = |path: &&String| path.split('/').next() == Some(folder);
        imported.files.keys().filter(is_in).count()
    };
    let has_schema = schema.is_some() || imported.files.contains_key("schema.cedarschema");
    let mut counts = vec![if has_schema { "a schema".to_owned() } else { "no schema".to_owned() }];
    match in_folder("policies") {
        0 => counts.push(output::many(policies.len(), "policy", "policies")),
        files => counts.push(plural(files, "file") + " with policies"),
    }
    counts.push(plural(templates.len() + in_folder("templates"), "template"));
    counts.push(output::many(links.len(), "template-linked policy", "template-linked policies"));
    counts.push(plural(identity_sources.len() + in_folder("identity-sources"), "identity source"));
    counts
}

fn say(notes: &[Note]) {
    for Note { place, message, is_loss } in notes.iter().take(MAX_NOTES) {
        let (style, word) = if *is_loss { (WARNING, "left out:") } else { (HINT, "note:") };
        warn(&format_args!(
            "{} {}: {}",
            paint(style, word),
            output::printable(place),
            output::printable(message)
        ));
    }
    if let Some(more) = notes.len().checked_sub(MAX_NOTES).filter(|more| *more > 0) {
        warn(&format_args!("and {more} more"));
    }
}

/// AVP does not look at `@id`. Here it is the id, so two policies cannot have the same one.
fn say_duplicates(contents: &StoreContents) {
    let statements = contents.policies.iter().map(|policy| (&policy.id, &policy.statement));
    let templates = contents.templates.iter().map(|template| (&template.id, &template.statement));
    let mut by_annotation: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (id, statement) in statements.chain(templates) {
        if let Some(annotated) = annotation(statement, "id") {
            by_annotation.entry(annotated).or_default().insert(id);
        }
    }
    for (annotated, ids) in by_annotation.iter().filter(|(_, ids)| ids.len() > 1) {
        let ids: Vec<String> = ids.iter().map(|id| format!("`{}`", comment(id))).collect();
        warn(&format_args!(
            "{} @id(\"{}\") is that of {}: `check` refuses this; change all but one",
            paint(WARNING, "note:"),
            comment(annotated),
            ids.join(", ")
        ));
    }
}

/// What `check` says.
struct Checked {
    /// In one line.
    verdict: String,
    /// The store. `None`: it has errors.
    store: Option<Box<Store>>,
    /// Its files.
    files: StoreFiles,
}

fn check(files: &Files) -> Checked {
    let mut known = StoreFiles::default();
    for (path, content) in files.iter().filter(|(path, _)| StoreFiles::is_known(path)) {
        known.insert(path.clone(), content.clone());
    }
    let (store, findings) = progress::during(checking(&known), || build::check(&known, &Checks::default()));
    let (errors, warnings) = (count(&findings, Severity::Error), count(&findings, Severity::Warning));
    let verdict = match (errors, warnings) {
        (0, 0) => "the store is valid".to_owned(),
        (0, warnings) => format!("the store is valid, with {}", plural(warnings, "warning")),
        (errors, warnings) => {
            format!("{} and {} to look at", plural(errors, "error"), plural(warnings, "warning"))
        }
    };
    Checked { verdict, store: store.filter(|_| errors == 0).map(Box::new), files: known }
}

/// What a person may read.
const MAX_NOTES: usize = 200;
