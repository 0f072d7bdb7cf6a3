//! Findings: what is wrong with a policy store, and where.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::sync::OnceLock;
use std::{fmt, iter};

use serde::Serialize;

/// One problem in a policy store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: Code,
    /// Where it is.
    pub position: Position,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A problem with the severity of its code.
    pub fn new(code: Code, position: Position, message: impl fmt::Display) -> Self {
        // One problem is one line, whatever a parser wrote.
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { severity: code.severity(), code, position, message, hint: None }
    }

    /// A problem that a reader of JSON has with a file. `serde_json` ends its message with the position,
    /// `... at line 3 column 14`. Other libraries pass on only this text.
    pub fn json(code: Code, file: &str, error: impl fmt::Display) -> Self {
        let message = error.to_string();
        let number = |text: &str| text.parse().ok();
        let place = message.rsplit_once(" at line ").and_then(|(message, place)| {
            let (line, column) = place.split_once(" column ")?;
            Some((message, Position::line(file, number(line)?, number(column)?)))
        });
        let (message, position) = place.unwrap_or((&message, Position::file(file)));
        Self::new(code, position, message)
    }

    /// The same problem with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, position, message, hint: _ } = self;
        write!(f, "{position}: {severity}[{code}]: {message}")
    }
}

/// A place in a policy store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The path, relative to the store.
    pub file: String,
    /// The line, counted from 1. `None`: the file as a whole, or its absence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl Position {
    /// A file as a whole.
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: None, column: None }
    }

    /// A line and column from a parser. `serde_json` uses zero for "nowhere".
    pub fn line(file: &str, line: usize, column: usize) -> Self {
        let known = |number: usize| (number > 0).then_some(number);
        Self { file: file.to_owned(), line: known(line), column: known(line).and(known(column)) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        f.write_str(file)?;
        [line, column].into_iter().flatten().try_for_each(|number| write!(f, ":{number}"))
    }
}

/// The text of a file, to look up positions in it. The tables for that are computed once for all findings.
#[derive(Clone, Debug)]
pub(super) struct Text<'a> {
    file: Cow<'a, str>,
    text: Cow<'a, str>,
    places: OnceLock<Places>,
    /// Where each word and each string, without its quotes, is first found.
    words: OnceLock<HashMap<Box<str>, usize>>,
}

/// Where the lines of a text begin, and how many characters come before each block of it.
#[derive(Clone, Debug)]
struct Places {
    /// Where each line begins.
    lines: Vec<usize>,
    /// The characters before each block of [`BLOCK`] bytes.
    characters: Vec<usize>,
}

impl<'a> Text<'a> {
    pub(super) fn new(file: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        Self { file: file.into(), text: text.into(), places: OnceLock::new(), words: OnceLock::new() }
    }

    /// The file as a whole.
    pub(super) fn whole(&self) -> Position {
        Position::file(&self.file)
    }

    /// The length in bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The position of a byte offset.
    pub(super) fn at(&self, offset: usize) -> Position {
        if !self.text.is_char_boundary(offset) {
            return self.whole();
        }
        let places = self.places.get_or_init(|| Places::new(&self.text));
        let line = places.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| places.lines.get(line)).copied().unwrap_or_default();
        let before = |offset| places.characters_before(&self.text, offset);
        Position::line(&self.file, line, before(offset) - before(start) + 1)
    }

    /// Where a text is first found in the file, otherwise the file as a whole.
    pub(super) fn find(&self, needle: &str) -> Position {
        self.text.find(needle).map_or_else(|| self.whole(), |offset| self.at(offset))
    }

    /// A part of the text.
    pub(super) fn part(&self, part: std::ops::Range<usize>) -> Option<&str> {
        self.text.get(part)
    }

    /// Where a text is first found in a part of the file, as a byte offset.
    pub(super) fn find_in(&self, part: std::ops::Range<usize>, needle: &str) -> Option<usize> {
        let start = part.start;
        self.text.get(part)?.find(needle).map(|offset| start + offset)
    }

    /// Where a string with this value is first found, as the byte offset of its first quote.
    pub(super) fn string(&self, value: &str) -> Option<usize> {
        let escaped = format!("{value:?}");
        let offset = self.word(escaped.get(1..escaped.len() - 1)?)?;
        offset.checked_sub(1).filter(|quote| self.text.as_bytes().get(*quote) == Some(&b'"'))
    }

    /// The position of a string with this value, otherwise the file as a whole.
    pub(super) fn find_string(&self, value: &str) -> Position {
        self.string(value).map_or_else(|| self.whole(), |offset| self.at(offset))
    }

    /// The position of a word or of a quoted string, otherwise the file as a whole.
    pub(super) fn find_word(&self, word: &str) -> Position {
        self.word(word).map_or_else(|| self.whole(), |offset| self.at(offset))
    }

    fn word(&self, word: &str) -> Option<usize> {
        self.words.get_or_init(|| words(&self.text)).get(word).copied()
    }
}

impl Places {
    fn new(text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = iter::once(0).chain(newlines.map(|(offset, _)| offset + 1)).collect();
        let blocks = text.as_bytes().chunks(BLOCK).scan(0, |before, block| {
            let of_block = *before;
            *before += characters(block);
            Some(of_block)
        });
        Self { lines, characters: blocks.collect() }
    }

    fn characters_before(&self, text: &str, offset: usize) -> usize {
        let block = offset / BLOCK;
        let before = self.characters.get(block).copied();
        // At the end of a text that is made of whole blocks, there is no further block.
        let (block, before) = match before {
            Some(before) => (block, before),
            None => (block.saturating_sub(1), self.characters.last().copied().unwrap_or_default()),
        };
        before + text.as_bytes().get(block * BLOCK..offset).map_or(0, characters)
    }
}

/// How many characters begin in a part of a text.
fn characters(part: &[u8]) -> usize {
    part.iter().filter(|byte| !matches!(byte, 0x80..=0xbf)).count()
}

/// Where each word and each string of Cedar or JSON is first found.
fn words(text: &str) -> HashMap<Box<str>, usize> {
    let mut found = HashMap::new();
    let mut rest = text;
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    while let Some(start) = rest.find(|char: char| char == '"' || char == '/' || is_part(char)) {
        let (_, from) = rest.split_at(start);
        let (word, behind) = match from.strip_prefix('"') {
            Some(inside) => {
                let mut is_escaped = false;
                let end = inside.find(|char: char| {
                    let ends = char == '"' && !is_escaped;
                    is_escaped = char == '\\' && !is_escaped;
                    ends
                });
                let (word, quote) = inside.split_at(end.unwrap_or(inside.len()));
                (Some(word), quote.strip_prefix('"').unwrap_or(quote))
            }
            None if from.starts_with("//") => (None, from.trim_start_matches(|char| char != '\n')),
            None if from.starts_with('/') => (None, from.trim_start_matches('/')),
            None => {
                let (word, behind) = from.split_at(from.find(|char| !is_part(char)).unwrap_or(from.len()));
                (Some(word), behind)
            }
        };
        if let Some(word) = word {
            let quote = usize::from(from.starts_with('"'));
            found.entry(word.into()).or_insert(text.len() - from.len() + quote);
        }
        rest = behind;
    }
    found
}

/// Columns are counted from the beginning of a block, so that a text of one long line takes no longer.
const BLOCK: usize = 256;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The store cannot be used.
    Error,
    /// The store can be used, but perhaps does not do what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident, $code:literal, $severity:ident;)+) => {
        /// The kinds of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Code { $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+ }

        impl Code {
            /// Every code, in the order of the documented table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable kebab-case name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// How bad a problem of this kind is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// One sentence for people, as in the documented table.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// A file cannot be read, is not UTF-8, or is too large.
    FileUnreadable, "file-unreadable", Error;
    /// A file is not part of the layout of a policy store, so nothing reads it.
    FileUnknown, "file-unknown", Warning;
    /// `store.toml` is missing, or has something that it should not have.
    SettingsInvalid, "settings-invalid", Error;
    /// Strict validation is off.
    ValidationOff, "validation-off", Warning;
    /// There is no schema, or there are two.
    SchemaMissing, "schema-missing", Error;
    /// The schema cannot be read.
    SchemaInvalid, "schema-invalid", Error;
    /// Cedar warns of something in the schema.
    SchemaWarning, "schema-warning", Warning;
    /// The namespace has no action that is a route.
    RouteMissing, "route-missing", Error;
    /// A route leads to an action that the schema does not have, or not for its resource.
    RouteInvalid, "route-invalid", Error;
    /// Two actions are the same route.
    RouteConflict, "route-conflict", Error;
    /// The resource of the API is not an entity of the schema.
    ResourceInvalid, "resource-invalid", Error;
    /// A resource is made of several parameters with no `/` between them, so two requests could be for one resource.
    ResourceAmbiguous, "resource-ambiguous", Warning;
    /// A policy or template cannot be read, or stands in the folder of the other.
    PolicyInvalid, "policy-invalid", Error;
    /// A policy or template is deeper than it may be: brackets, `if`, chained operators and accesses together.
    PolicyTooDeep, "policy-too-deep", Error;
    /// Two policies, templates or links have one id.
    PolicyDuplicate, "policy-duplicate", Error;
    /// A policy does not fit the schema.
    PolicyMismatch, "policy-mismatch", Error;
    /// Cedar warns of something in a policy.
    PolicyWarning, "policy-warning", Warning;
    /// There are no policies, so every request is denied.
    PolicyMissing, "policy-missing", Warning;
    /// A template link cannot be read, or does not fit its template.
    LinkInvalid, "link-invalid", Error;
    /// The entities cannot be read, or do not fit the schema.
    EntitiesInvalid, "entities-invalid", Error;
    /// An entity is of a type that tokens make.
    EntityOfPrincipal, "entity-of-principal", Error;
    /// There is no identity source, so no token can be accepted.
    IdentitySourceMissing, "identity-source-missing", Error;
    /// An identity source cannot be read.
    IdentitySourceInvalid, "identity-source-invalid", Error;
    /// An identity source names a type that the schema does not have, or has otherwise.
    IdentitySourceMismatch, "identity-source-mismatch", Error;
    /// Two identity sources with one issuer could both accept the same token.
    IssuerDuplicate, "issuer-duplicate", Error;
    /// Users of one identity source could pass for users or groups of another, or of the same.
    IdentityAmbiguous, "identity-ambiguous", Error;
    /// An identity source accepts tokens for every client or audience of its issuer.
    ClientsUnrestricted, "clients-unrestricted", Warning;
    /// A policy reads a claim that no identity source provides.
    ClaimUnprovided, "claim-unprovided", Warning;
    /// A policy names a group that no identity source makes.
    GroupUnprovided, "group-unprovided", Warning;
    /// A key set cannot be read, is missing, or has no usable key.
    KeySetInvalid, "key-set-invalid", Error;
    /// A key set has keys that cannot be used.
    KeySkipped, "key-skipped", Warning;
    /// A key set has keys with which others than their owner could sign.
    KeyWeak, "key-weak", Warning;
    /// Keys may not be fetched from where the issuer has them, so no token of it is accepted.
    KeysUnfetchable, "keys-unfetchable", Warning;
    /// A key set belongs to no identity source.
    KeySetUnused, "key-set-unused", Warning;
    /// A key set has the development key, whose private half everybody has.
    DevelopmentKey, "development-key", Warning;
    /// Patterns cannot tell these routes apart, so a caller who may call both is denied one, in part or as a whole, under a key without the path.
    GrantInexact, "grant-inexact", Warning;
    /// A grant for all that a caller may do can be larger than a response.
    GrantTooLarge, "grant-too-large", Warning;
    /// A grant for all that a caller may do can need more evaluations of conditions than one answer may take, and is then for one method.
    GrantExpensive, "grant-expensive", Warning;
    /// The bundle of the store would be larger than the function reads.
    BundleTooLarge, "bundle-too-large", Error;
    /// No bundle can be made of the store: something in it cannot be written exactly, or not be read again.
    BundleImpossible, "bundle-impossible", Error;
    /// The template cannot be read.
    TemplateInvalid, "template-invalid", Error;
    /// Something in the template cannot be known from its text, so it was not checked.
    TemplateUnresolved, "template-unresolved", Warning;
    /// `BUNDLE_NAME` is not set, so the function accepts the bundle of any store.
    BundleNameMissing, "bundle-name-missing", Warning;
    /// `BUNDLE_NAME` is the name of another store.
    BundleNameMismatch, "bundle-name-mismatch", Error;
    /// Answers are kept under another key than `CACHE_KEY` says.
    CacheKeyMismatch, "cache-key-mismatch", Error;
    /// `CACHE_KEY` names a key, but no answers are kept.
    CacheKeyUnused, "cache-key-unused", Warning;
    /// The key under which answers are kept does not have the token.
    TokenNotInKey, "token-not-in-key", Error;
    /// A route reads more than the key under which its answers are kept.
    RouteNotCacheable, "route-not-cacheable", Error;
    /// Answers are kept for as long as a token lives.
    TtlTooLong, "ttl-too-long", Warning;
    /// Simple responses do not go with the key, the payload format or `SIMPLE_RESPONSES`.
    SimpleResponsesMismatch, "simple-responses-mismatch", Error;
    /// The API has a route that the policy store does not have.
    RouteUnknown, "route-unknown", Error;
    /// The policy store has routes that the API does not have.
    RouteUndeployed, "route-undeployed", Warning;
    /// A route of the policy store has no authorizer.
    RouteUnprotected, "route-unprotected", Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Puts findings in the order of the files.
pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (&a.position, a.code).cmp(&(&b.position, b.code)));
}

/// An error with its causes, separated by colons.
pub(super) fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_becomes_a_line_and_a_column_in_characters() {
        let text = Text::new("f", "ab\ncäd\n");
        for (offset, expected) in
            [(0, "f:1:1"), (1, "f:1:2"), (3, "f:2:1"), (5, "f"), (6, "f:2:3"), (8, "f:3:1"), (99, "f")]
        {
            assert_eq!(text.at(offset).to_string(), expected);
        }
        assert_eq!(text.find("d").to_string(), "f:2:3");
        assert_eq!(text.find("x").to_string(), "f");
        assert_eq!(Position::line("f", 0, 0).to_string(), "f");
    }

    #[test]
    fn positions_are_those_of_a_naive_count() {
        for text in [String::new(), "é".repeat(BLOCK), "aé\n".repeat(BLOCK), "x".repeat(3 * BLOCK)] {
            let known = Text::new("f", text.as_str());
            for offset in (0..=text.len()).filter(|offset| text.is_char_boundary(*offset)) {
                let lines: Vec<&str> = text.get(..offset).unwrap().split('\n').collect();
                let column = lines.last().unwrap().chars().count() + 1;
                assert_eq!(known.at(offset), Position::line("f", lines.len(), column), "{offset}");
            }
        }
    }

    #[test]
    fn a_hundred_thousand_positions_take_seconds_and_not_hours() {
        let begun = std::time::Instant::now();
        for line in
            ["permit (principal, action, resource) when { context.token.x };\n", "permit (principal) ; "]
        {
            let text = line.repeat(100_000);
            let known = Text::new("f", text.as_str());
            for number in 0..100_000 {
                let position = known.at(number * line.len() + 8);
                let expected =
                    if line.ends_with('\n') { (number + 1, 9) } else { (1, number * line.len() + 9) };
                assert_eq!((position.line.unwrap(), position.column.unwrap()), expected);
            }
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    }

    #[test]
    fn words_and_strings_are_found_where_they_first_stand() {
        let text = Text::new("f", r#"// "no" word / "a" wörd "b\"//" "a" "\\" x_1/y"#);
        let text = Text::new("f", text.text.replace("/ \"a\"", "\n\"a\""));
        for (word, expected) in
            [("no", "f"), ("a", "f:2:2"), ("wörd", "f:2:5"), ("x_1", "f:2:27"), ("y", "f:2:31"), ("z", "f")]
        {
            assert_eq!(text.find_word(word).to_string(), expected, "{word}");
        }
        assert_eq!(text.find_string("a").to_string(), "f:2:1");
        assert_eq!(text.find_string("b\"//").to_string(), "f:2:10");
        assert_eq!(text.find_string("x_1").to_string(), "f");
    }

    #[test]
    fn a_finding_prints_on_one_line() {
        let finding = Finding::new(Code::PolicyInvalid, Position::line("a.cedar", 2, 3), "no\n  good");
        assert_eq!(finding.to_string(), "a.cedar:2:3: error[policy-invalid]: no good");
    }
}
