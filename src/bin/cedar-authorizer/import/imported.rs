//! What an import found.

use crate::avp::contents::StoreContents;
use crate::init::files::Files;

/// A policy store from elsewhere.
#[derive(Debug, Default)]
pub struct Imported {
    /// A name for it, if its source has one.
    pub name: Option<String>,
    /// Its id in AVP, if it is there.
    pub policy_store_id: Option<String>,
    /// What Verified Permissions knows of it.
    pub contents: StoreContents,
    /// Files that are taken as they are.
    pub files: Files,
    /// What to say about it.
    pub notes: Vec<Note>,
}

/// Something about one part of what was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The resource, or the file and line.
    pub place: String,
    /// What is to be said.
    pub message: String,
    /// Whether something is missing in the store.
    pub is_loss: bool,
}

impl Imported {
    /// Something is missing in the store.
    pub fn left_out(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.notes.push(Note { place: place.into(), message: message.into(), is_loss: true });
    }

    /// Something is other than one may think, but nothing is missing.
    pub fn remark(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.notes.push(Note { place: place.into(), message: message.into(), is_loss: false });
    }
}
