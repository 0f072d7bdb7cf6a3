//! `import cedarling`: the directory or archive of a Cedarling.
//!
//! ```text
//! metadata.json              name and description
//! schema.cedarschema         or schemas/*.cedarschema, which are parts of one
//! policies/*.cedar           ids as here: @id, otherwise from the file
//! templates/*.cedar
//! entities/*.json            arrays of entities
//! trusted-issuers/*.json     OpenID providers, without audiences
//! ```
//!
//! Files are taken as they are. What they mean there does not all carry over: a Cedarling has several tokens and no
//! principal, and its actions are no routes. `check` says what is missing.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::archive;
use super::imported::Imported;
use super::resource::annotation;
use crate::avp::contents::ValidationMode;
use crate::init::files::Files;
use crate::init::text::{comment, slug};
use crate::output::Failure;

/// Reads a directory or archive.
pub fn read(path: &Path) -> Result<Imported, Failure> {
    let files = archive::read(path)?;
    let metadata: Option<Value> =
        files.get("metadata.json").and_then(|content| serde_json::from_slice(content).ok());
    if metadata.is_none() && !files.keys().any(|path| path.starts_with("policies/")) {
        let message = format!("`{}` is no policy store of Cedarling", path.display());
        return Err(Failure::could_not_run(message).hint("it has neither a `metadata.json` nor `policies/`"));
    }
    let of_store = |name: &str| metadata.as_ref()?.get("policy_store")?.get(name)?.as_str();
    let mut imported = Imported { name: of_store("name").map(str::to_owned), ..Imported::default() };
    imported.contents.description = of_store("description").map(str::to_owned);
    imported.contents.validation = ValidationMode::Strict;
    read_schema(&files, &mut imported);
    let mut entities: Vec<Value> = Vec::new();
    for (path, content) in &files {
        match path.split_once('/') {
            Some(("policies" | "templates", _)) if path.ends_with(".cedar") => {
                read_policies(path, content, &mut imported);
            }
            Some(("entities", _)) if path.ends_with(".json") => {
                match serde_json::from_slice::<Vec<Value>>(content) {
                    Ok(more) => entities.extend(more),
                    Err(error) => {
                        imported.left_out(path, format!("is no array of Cedar's entities: {error}"));
                    }
                }
            }
            Some(("trusted-issuers", _)) if path.ends_with(".json") => {
                read_issuers(path, content, &mut imported);
            }
            Some(("schemas", _)) => {}
            _ if ["metadata.json", "manifest.json", "schema.cedarschema"].contains(&path.as_str()) => {}
            _ => imported.left_out(path, "has no place in a store"),
        }
    }
    if !entities.is_empty() {
        imported
            .files
            .insert("entities.json".to_owned(), format!("{:#}\n", Value::from(entities)).into_bytes());
    }
    Ok(imported)
}

fn read_schema(files: &Files, imported: &mut Imported) {
    let is_schema = |path: &&String| path.starts_with("schemas/") && path.ends_with(".cedarschema");
    let parts = files.iter().filter(|(path, _)| path.as_str() == "schema.cedarschema" || is_schema(path));
    let parts: Vec<&[u8]> = parts.map(|(_, content)| content.as_slice()).collect();
    if !parts.is_empty() {
        imported.files.insert("schema.cedarschema".to_owned(), parts.join(&b"\n"[..]));
    } else {
        imported.contents.validation = ValidationMode::Off;
        imported.remark("the schema", "is missing, so policies are not validated");
    }
}

fn read_policies(path: &str, content: &[u8], imported: &mut Imported) {
    let text = std::str::from_utf8(content).unwrap_or_default();
    let count = cedar_authorizer::bundle::nesting::policies(text).map_or(0, |starts| starts.len());
    // There, the id of a file's only policy is the name of the file; here it has a number.
    if count == 1 && annotation(text, "id").is_none() {
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".cedar");
        imported.remark(path, format!("has no `@id`: its policy is `{}#1` here", comment(stem)));
    }
    imported.files.insert(path.to_owned(), content.to_vec());
}

/// A file has one issuer, or several by their ids.
fn read_issuers(path: &str, content: &[u8], imported: &mut Imported) {
    let issuers: Map<String, Value> = match serde_json::from_slice(content) {
        Ok(issuers) => issuers,
        Err(error) => return imported.left_out(path, format!("is not JSON: {error}")),
    };
    if is_issuer(&Value::Object(issuers.clone())) {
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".json");
        return read_issuer(path, stem, &Value::Object(issuers), imported);
    }
    for (id, issuer) in &issuers {
        if is_issuer(issuer) {
            read_issuer(path, id, issuer, imported);
        } else {
            imported.left_out(path, format!("`{}` is no trusted issuer", comment(id)));
        }
    }
}

fn is_issuer(value: &Value) -> bool {
    value.is_object() && ENDPOINTS.iter().any(|name| value.get(name).is_some())
}

/// An issuer becomes an identity source as far as it can: whose entities callers are is not said there.
fn read_issuer(path: &str, id: &str, issuer: &Value, imported: &mut Imported) {
    let endpoint = ENDPOINTS.iter().find_map(|name| issuer.get(name)?.as_str()).unwrap_or_default();
    let url = endpoint.strip_suffix("/.well-known/openid-configuration").unwrap_or(endpoint);
    if !url.starts_with("https://") {
        return imported.left_out(path, format!("the issuer `{}` is no https URL", comment(url)));
    }
    let tokens = issuer.get("token_metadata").and_then(Value::as_object);
    let of_token = |name: &str, member: &str| tokens?.get(name)?.get(member)?.as_str();
    let (token, selection) = match of_token("access_token", "entity_type_name") {
        Some(_) => ("access_token", "accessTokenOnly"),
        None => ("id_token", "identityTokenOnly"),
    };
    let user_id = of_token(token, "user_id").or_else(|| of_token(token, "principal_id")).unwrap_or("sub");
    let entity_type =
        of_token(token, "entity_type_name").or_else(|| of_token("access_token", "entity_type_name"));
    let namespace = entity_type.and_then(|name| name.rsplit_once("::")).map(|(namespace, _)| namespace);
    let principal = namespace.map_or_else(|| "User".to_owned(), |namespace| format!("{namespace}::User"));
    let slug = slug(id);
    let name = if slug.is_empty() { "issuer" } else { slug.as_str() };
    let source = json!({
        "principalEntityType": principal,
        "configuration": { "openIdConnectConfiguration": {
            "issuer": url,
            "tokenSelection": { selection: { "principalIdClaim": user_id } },
        } },
    });
    imported.files.insert(format!("identity-sources/{name}.json"), format!("{source:#}\n").into_bytes());
    imported.left_out(
        path,
        format!(
            "the audiences of `{}` are not known, and callers are `{}` by a guess: complete \
             `identity-sources/{name}.json`",
            comment(url),
            comment(&principal)
        ),
    );
}

/// The members that name the provider.
const ENDPOINTS: [&str; 3] = ["configuration_endpoint", "openid_configuration_endpoint", "issuer"];
