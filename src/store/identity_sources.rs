//! The identity sources of a policy store, and the keys that are kept with it.

use std::collections::BTreeSet;

use super::finding::{Code, Finding, Position, Text};
use super::schema::StoreSchema;
use super::{in_folder, read_text};
use crate::bundle::files::{IDENTITY_SOURCE_FOLDER, KEY_FOLDER, SETTINGS_FILE, StoreFiles, is_in};
use crate::token::TokenType;
use crate::token::identity_source::{IdentitySource, InvalidKeyUri, Provider};
use crate::token::key_set::KeySet;

/// Reads the identity sources in the order of their names, each with its keys if the store has them: those of the
/// file that the source names, otherwise `jwks/<name>.json`. `token_type` comes from the settings, if they could
/// be read.
pub(super) fn read(
    files: &StoreFiles,
    token_type: Option<Option<TokenType>>,
    schema: Option<&StoreSchema>,
    findings: &mut Vec<Finding>,
) -> Vec<IdentitySource> {
    let mut sources: Vec<IdentitySource> = Vec::new();
    let mut used = BTreeSet::new();
    let mut count = 0;
    for file in in_folder(files, IDENTITY_SOURCE_FOLDER, ".json") {
        count += 1;
        let Some(text) = read_text(files, file, findings) else {
            continue;
        };
        let name = IdentitySource::name_of_file(file);
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
        let mut source = source;
        match token_type {
            Some(Some(token_type)) => source.set_token_type(token_type),
            Some(None) if source.token_type().is_none() => {
                let message =
                    format!("`[tokens]` has no `type`, which identity source `{}` needs", source.name());
                let finding = Finding::new(Code::SettingsInvalid, Position::file(SETTINGS_FILE), message);
                findings.push(finding.hint("`type = \"access\"` or `type = \"id\"`"));
            }
            _ => {}
        }
        if source.accepted().is_empty() {
            let (who, key) = match (source.provider(), source.token_type()) {
                (Provider::OpenIdConnect, Some(TokenType::Access)) => ("audience", "audiences"),
                _ => ("client", "clientIds"),
            };
            let message = format!("tokens for every {who} of the issuer are accepted");
            let finding = Finding::new(Code::ClientsUnrestricted, Position::file(file), message);
            findings.push(finding.hint(format!("list those of this API in `{key}`")));
        }
        if let Some(other) = sources.iter().find(|other| source.shares_tokens_with(other)) {
            let key = match source.provider() {
                Provider::Cognito(_) => "userPoolArn",
                Provider::OpenIdConnect => "issuer",
            };
            let position = Text::new(file, text).find(key);
            let message = format!("identity source `{}` could accept the same tokens", other.name());
            let finding = Finding::new(Code::IssuerDuplicate, position, message);
            findings.push(finding.hint("two sources of one issuer need clients or audiences that differ"));
        }
        if let Some(other) = sources.iter().find(|other| source.shares_ids_with(other)) {
            let message =
                format!("a user of `{}` could have the id of a user or group of `{name}`", other.name());
            let finding = Finding::new(Code::IdentityAmbiguous, Position::file(file), message);
            findings
                .push(finding.hint("give them an `entityIdPrefix` each, neither the beginning of the other"));
        }
        if source.group_type() == Some(source.principal_type()) {
            let position = Text::new(file, text).find("groupEntityType");
            let message = "users and groups have one type, so a user could have the id of a group";
            findings.push(Finding::new(Code::IdentityAmbiguous, position, message));
        }
        let keys = read_keys(files, file, text, &source, &mut used, findings);
        let has_keys = keys.is_some() || source.jwks_file().is_some();
        if !has_keys && source.key_locations().iter().any(|location| !location.is_allowed()) {
            let position = Text::new(file, text).find("issuer");
            let message = format!("keys cannot be fetched from the `issuer`: {InvalidKeyUri}");
            let finding = Finding::new(Code::KeysUnfetchable, position, message);
            findings.push(finding.hint(format!("name `jwksUri`, or keep the keys in `{KEY_FOLDER}/`")));
        }
        if let Some(keys) = keys {
            source.pin_keys(keys);
        }
        sources.push(source);
    }
    if count == 0 {
        let at = Position::file(IDENTITY_SOURCE_FOLDER);
        let message = "there is no identity source, so no token could be accepted";
        let finding = Finding::new(Code::IdentitySourceMissing, at, message);
        findings.push(finding.hint(format!(
            "say in `{IDENTITY_SOURCE_FOLDER}/NAME.json` whose tokens are accepted, as AVP's CreateIdentitySource \
             takes it"
        )));
    }
    for file in in_folder(files, KEY_FOLDER, ".json").filter(|file| !used.contains(*file)) {
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
        let position = Text::new(file, text).find(needle);
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
    let file = source.pinned_keys_file();
    // A bundle copies no key files from other places.
    let Some(text) = files.get(&file).filter(|_| is_in(&file, KEY_FOLDER, ".json")) else {
        if source.jwks_file().is_some() {
            let position = Text::new(source_file, source_text).find("jwksFile");
            let finding =
                Finding::new(Code::KeySetInvalid, position, format!("there is no key set `{file}`"));
            findings.push(finding.hint(format!("key sets are files of `{KEY_FOLDER}/` that end in `.json`")));
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
    } else if keys.skipped() > keys.weak() {
        let message = format!("{} of the keys cannot be used and are skipped", keys.skipped() - keys.weak());
        findings.push(Finding::new(Code::KeySkipped, at.clone(), message));
    }
    if keys.weak() > 0 {
        let message =
            format!("{} of the keys are weak and are skipped: others could sign with them", keys.weak());
        let finding = Finding::new(Code::KeyWeak, at.clone(), message);
        findings.push(finding.hint("the issuer has to make new keys"));
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
