//! The identity sources of a policy store, and the keys that are kept with it.

use std::collections::BTreeSet;

use super::StoreFiles;
use super::finding::{Code, Finding, Position};
use super::schema::StoreSchema;
use crate::identity_source::IdentitySource;
use crate::token::key_set::KeySet;

pub(super) const FOLDER: &str = "identity-sources";
pub(super) const KEYS_FOLDER: &str = "jwks";

/// Reads the identity sources in the order of their names, each with its keys if the store has
/// them: those of the file that it names, else `jwks/<name>.json`.
pub(super) fn read(
    files: &StoreFiles,
    schema: Option<&StoreSchema>,
    findings: &mut Vec<Finding>,
) -> Vec<(IdentitySource, Option<KeySet>)> {
    let mut sources: Vec<(IdentitySource, Option<KeySet>)> = Vec::new();
    let mut used = BTreeSet::new();
    let mut count = 0;
    for file in files.in_folder(FOLDER, ".json") {
        count += 1;
        let Some(text) = files.text(file, findings) else {
            continue;
        };
        let name = file.rsplit('/').next().and_then(|name| name.strip_suffix(".json")).unwrap_or(file);
        let source = match IdentitySource::from_json(name, text) {
            Ok(source) => source,
            Err(error) => {
                findings.push(Finding::json(Code::IdentitySourceInvalid, file, error));
                continue;
            }
        };
        if let Some(schema) = schema {
            check_types(&source, file, text, schema, findings);
        }
        if source.client_ids().is_empty() {
            let finding = Finding::new(
                Code::ClientsUnrestricted,
                Position::file(file),
                "the tokens of every client of the user pool are accepted",
            );
            findings.push(finding.hint("list the clients of this API in `clientIds`"));
        }
        let same =
            |other: &IdentitySource| other.issuers().iter().any(|issuer| source.issuers().contains(issuer));
        if let Some((other, _)) = sources.iter().find(|(other, _)| same(other)) {
            let position = Position::find(file, text, "userPoolArn");
            let message = format!("identity source `{}` has the same issuer", other.name());
            findings.push(Finding::new(Code::IssuerDuplicate, position, message));
        }
        let keys = read_keys(files, file, text, &source, &mut used, findings);
        sources.push((source, keys));
    }
    if count == 0 {
        let at = Position::file(FOLDER);
        findings.push(Finding::new(Code::IdentitySourceMissing, at, "there is no identity source"));
    }
    for file in files.in_folder(KEYS_FOLDER, ".json").filter(|file| !used.contains(*file)) {
        let finding =
            Finding::new(Code::KeySetUnused, Position::file(file), "no identity source uses these keys");
        findings.push(finding.hint("the file has the name of its identity source, or is its `jwksFile`"));
    }
    sources
}

fn check_types(
    source: &IdentitySource,
    file: &str,
    text: &str,
    schema: &StoreSchema,
    findings: &mut Vec<Finding>,
) {
    let schema = &schema.schema;
    let types = [Some(source.principal_type()), source.group_type()];
    let unknown =
        types.into_iter().flatten().filter(|name| !schema.entity_types().any(|known| known == *name));
    let mut problem = |needle: &str, message: String| {
        let position = Position::find(file, text, needle);
        findings.push(Finding::new(Code::IdentitySourceMismatch, position, message));
    };
    let mut all_known = true;
    for name in unknown {
        all_known = false;
        problem(&format!("\"{name}\""), format!("the schema has no entity type `{name}`"));
    }
    let Some(group_type) = source.group_type().filter(|_| all_known) else {
        return;
    };
    let mut parents = schema.ancestors(source.principal_type()).into_iter().flatten();
    if !parents.any(|parent| parent == group_type) {
        let message = format!("in the schema, `{}` is not `in [{group_type}]`", source.principal_type());
        problem("groupEntityType", message);
    }
}

fn read_keys(
    files: &StoreFiles,
    source_file: &str,
    source_text: &str,
    source: &IdentitySource,
    used: &mut BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> Option<KeySet> {
    let file = match source.jwks_file() {
        Some(file) => file.to_owned(),
        None => format!("{KEYS_FOLDER}/{}.json", source.name()),
    };
    let Some(text) = files.get(&file) else {
        if source.jwks_file().is_some() {
            let position = Position::find(source_file, source_text, "jwksFile");
            let finding = Finding::new(Code::KeySetInvalid, position, format!("there is no file `{file}`"));
            findings
                .push(finding.hint(format!("key sets are files of `{KEYS_FOLDER}/` that end in `.json`")));
        }
        return None;
    };
    used.insert(file.clone());
    let at = Position::file(&file);
    let keys = match KeySet::parse(text) {
        Ok(keys) => keys,
        Err(error) => {
            findings.push(Finding::new(Code::KeySetInvalid, at, error));
            return None;
        }
    };
    if keys.is_empty() {
        findings.push(Finding::new(Code::KeySetInvalid, at.clone(), "no key of the set can be used"));
    } else if keys.skipped() > 0 {
        let message = format!("{} of the keys cannot be used and are skipped", keys.skipped());
        findings.push(Finding::new(Code::KeySkipped, at.clone(), message));
    }
    if keys.holds_development_key() {
        let finding = Finding::new(
            Code::DevelopmentKey,
            at,
            "the key set has the development key: everybody can sign tokens with it",
        );
        findings.push(finding.hint(format!(
            "remove `{file}` before you deploy; the function refuses it unless ALLOW_DEVELOPMENT_KEYS=true"
        )));
    }
    Some(keys)
}
