//! What the layout of a policy store has no place for: dates, names, descriptions, tags, aliases.
//!
//! It is kept in the folder `.avp` of the store, which is never part of a bundle:
//!
//! ```text
//! .avp/store.json                     the store itself
//! .avp/schema.json                    dates of the schema
//! .avp/policies/<id>.json             a static policy: its id, and where it stands
//! .avp/templates/<id>.json            a policy template
//! .avp/template-links/<id>.json       a template-linked policy
//! .avp/identity-sources/<id>.json     an identity source
//! .avp/journal.json                   a change that is being made, see `storage`
//! ```
//!
//! A note without its policy is nothing.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::avp::moment::Moment;

/// The folder of the notes.
pub const NOTES_FOLDER: &str = ".avp";

/// The note about the store.
pub const STORE_NOTE: &str = ".avp/store.json";

/// The note about the schema.
pub const SCHEMA_NOTE: &str = ".avp/schema.json";

/// What has a note of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    IdentitySource,
    Link,
    Policy,
    Template,
}

impl Kind {
    /// The folder with the notes of this kind.
    pub fn folder(self) -> &'static str {
        match self {
            Self::IdentitySource => ".avp/identity-sources/",
            Self::Link => ".avp/template-links/",
            Self::Policy => ".avp/policies/",
            Self::Template => ".avp/templates/",
        }
    }

    /// The file with the note about something.
    pub fn note(self, id: &str) -> String {
        format!("{}{}.json", self.folder(), file_name(id))
    }
}

/// The note about a policy, a template or an identity source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Note {
    /// The id, if the name of the file does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Which of several policies of the file it is about, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_date: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_date: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The id of the template that a policy is linked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    /// The token that the client gave to the request that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// The SHA-256 of that request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// The note about a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreNote {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_store_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_date: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_date: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deletion_protection: bool,
    /// AVP's `EncryptionSettings`, as given. Nothing is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_settings: Option<Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// Another name of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// With `policy-store-alias/` before it.
    pub name: String,
    pub created_at: Moment,
    /// When a client has deleted it softly.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deleted_at: Option<Moment>,
}

impl Note {
    /// A note about something that is made now.
    pub fn new(id: &str, file: &str, now: Moment) -> Self {
        Self {
            id: (file_name(id) != encoded(id)).then(|| id.to_owned()),
            file: Some(file.to_owned()),
            created_date: Some(now),
            last_updated_date: Some(now),
            ..Self::default()
        }
    }
}

/// The id in the name of a note's file.
pub fn id_of(path: &str, kind: Kind) -> Option<String> {
    let name = path.strip_prefix(kind.folder())?.strip_suffix(".json")?;
    percent_decode_str(name).decode_utf8().ok().map(Into::into)
}

/// The name of the file for something with this id, without the extension. Any id has one that every file system
/// takes.
pub fn file_name(id: &str) -> String {
    match encoded(id) {
        name if (1..=MAX_NAME_BYTES).contains(&name.len()) => name,
        _ => format!("sha256-{}", sha256(id)),
    }
}

/// The SHA-256 of a text in hexadecimal.
pub fn sha256(text: &str) -> String {
    hex::encode(digest(&SHA256, text.as_bytes()))
}

/// The content of a note.
pub fn written(note: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(note).unwrap_or_default();
    text.push(b'\n');
    text
}

fn encoded(id: &str) -> String {
    utf8_percent_encode(id, IN_FILE_NAMES).to_string()
}

/// All but letters, digits, `-` and `_`.
const IN_FILE_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// File systems take names of 255 bytes. The rest is for extensions.
const MAX_NAME_BYTES: usize = 200;
