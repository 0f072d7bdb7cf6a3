//! Keys in text (RFC 7468).
//!
//! ```text
//! -----BEGIN PUBLIC KEY-----
//! MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
//! -----END PUBLIC KEY-----
//! ```
//!
//! White space within the base64 is ignored, because consoles and shells turn lines into words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// A block with its label. Its content is wiped from memory, because it may be a private key.
pub(crate) struct Block<'a> {
    pub label: &'a str,
    body: &'a str,
}

impl<'a> Block<'a> {
    /// The block at the start of a text, and what follows it.
    pub fn split(text: &'a str) -> Option<(Self, &'a str)> {
        let (label, rest) = text.strip_prefix(BEGIN)?.split_once(DASHES)?;
        let (body, rest) = rest.split_once(END)?;
        let rest = rest.strip_prefix(label)?.strip_prefix(DASHES)?;
        Some((Self { label, body }, rest))
    }

    /// The only block of a text.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (block, rest) = Self::split(text.trim_ascii())?;
        rest.is_empty().then_some(block)
    }

    /// The bytes, DER for keys.
    pub fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        // Full capacity from the start, because growing would leave copies behind.
        let mut base64 = Zeroizing::new(String::with_capacity(self.body.len()));
        base64.extend(self.body.split_ascii_whitespace());
        STANDARD.decode(base64.as_bytes()).ok().map(Zeroizing::new)
    }
}

/// Whether a text starts like a block.
pub(super) fn is_block(text: &str) -> bool {
    text.starts_with(BEGIN)
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
