//! The identity sources of a bundle, with the keys that are kept with them.
//!
//! The files are those of the store, read unchanged: they are few and small. They were checked when the bundle
//! was built. Whatever could let the wrong tokens in is checked again.

use super::archive::Members;
use super::files::{IDENTITY_SOURCE_FOLDER, KEY_FOLDER, is_in};
use crate::token::TokenType;
use crate::token::identity_source::IdentitySource;
use crate::token::key_set::{InvalidKeySet, KeySet};

/// Reads the identity sources in the order of their names. `token_type` comes from the settings.
///
/// # Errors
/// [`InvalidIdentitySources`]: the first problem that is found.
pub(super) fn read(
    members: &Members<'_>,
    token_type: Option<TokenType>,
) -> Result<Vec<IdentitySource>, InvalidIdentitySources> {
    let mut sources: Vec<IdentitySource> = Vec::new();
    for path in members.paths().filter(|path| is_in(path, IDENTITY_SOURCE_FOLDER, ".json")) {
        let invalid = |cause| InvalidIdentitySources::Source { path: path.to_owned(), cause };
        let text = members.get(path).and_then(|content| str::from_utf8(content).ok());
        let text = text.ok_or_else(|| invalid(InvalidSource::NotUtf8))?;
        let mut source = IdentitySource::from_json(IdentitySource::name_of_file(path), text)
            .map_err(|error| invalid(InvalidSource::Json(error)))?;
        if let Some(token_type) = token_type {
            source.set_token_type(token_type);
        }
        if source.token_type().is_none() {
            return Err(invalid(InvalidSource::NoTokenType));
        }
        if source.group_type() == Some(source.principal_type()) {
            return Err(invalid(InvalidSource::GroupsAreUsers));
        }
        for other in &sources {
            if source.shares_tokens_with(other) {
                return Err(invalid(InvalidSource::SameTokens(other.name().to_owned())));
            }
            if source.shares_ids_with(other) {
                return Err(invalid(InvalidSource::SameIds(other.name().to_owned())));
            }
        }
        if let Some(keys) = pinned_keys(members, &source)? {
            source.pin_keys(keys);
        }
        sources.push(source);
    }
    if sources.is_empty() { Err(InvalidIdentitySources::Missing) } else { Ok(sources) }
}

fn pinned_keys(
    members: &Members<'_>,
    source: &IdentitySource,
) -> Result<Option<KeySet>, InvalidIdentitySources> {
    let path = source.pinned_keys_file();
    let Some(content) = members.get(&path).filter(|_| is_in(&path, KEY_FOLDER, ".json")) else {
        return if source.jwks_file().is_some() {
            Err(InvalidIdentitySources::NoKeySet(path))
        } else {
            Ok(None)
        };
    };
    let keys = match KeySet::parse(content) {
        Ok(keys) if keys.is_empty() => return Err(InvalidIdentitySources::NoKey(path)),
        Ok(keys) => keys,
        Err(cause) => return Err(InvalidIdentitySources::KeySet { path, cause }),
    };
    Ok(Some(keys))
}

/// Why the identity sources of a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidIdentitySources {
    /// A key set cannot be read.
    #[error("`{path}`: {cause}")]
    KeySet {
        /// Its file.
        path: String,
        /// What is wrong with it.
        cause: InvalidKeySet,
    },
    /// There is no identity source.
    #[error("there is no identity source")]
    Missing,
    /// A key set has no key that can be used.
    #[error("`{0}`: no key of the set can be used")]
    NoKey(String),
    /// The key set that an identity source names is missing.
    #[error("there is no key set `{0}`")]
    NoKeySet(String),
    /// An identity source cannot be used.
    #[error("`{path}`: {cause}")]
    Source {
        /// Its file.
        path: String,
        /// What is wrong with it.
        cause: InvalidSource,
    },
}

/// What is wrong with an identity source.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSource {
    /// Users and groups have the same type.
    #[error("users and groups have one type, so a user could have the id of a group")]
    GroupsAreUsers,
    /// Not what AVP's `CreateIdentitySource` accepts.
    #[error(transparent)]
    Json(serde_json::Error),
    /// The settings do not say which of a user pool's tokens is used.
    #[error("`[tokens]` in `store.toml` has no `type`")]
    NoTokenType,
    /// The file is not UTF-8.
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// Two sources could make the same entity.
    #[error("a user could have the id of a user or group of `{0}`")]
    SameIds(String),
    /// Two sources could accept the same token.
    #[error("identity source `{0}` could accept the same tokens")]
    SameTokens(String),
}
