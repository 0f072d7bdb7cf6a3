//! Changes that were agreed to: the file of `--allow-only`.
//!
//! ```text
//! # carol looks after the kennel now
//! matrix gained persona carol "delete /pets/{petId}"
//! test fails tests/pets.yaml "carol deletes no pets"
//! traffic gained "get /pets" no-matching-permit [] -> allowed-by-policy ["kennel"]
//! ```
//!
//! A line names one change: a view, what happens, and what it happens to. A name is written as a JSON string unless it is
//! a plain word. `diff --format agreement` prints such lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::output::{Failure, is_obeyed, printable};

/// A line: the name of one change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(Vec<Token>);

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Text(String),
    /// Names in an order.
    List(Vec<String>),
}

impl Line {
    /// The begin of a line: a view, and what happens there.
    pub fn new(view: &str, what: &str) -> Self {
        Self(vec![Token::Text(view.to_owned()), Token::Text(what.to_owned())])
    }

    /// Adds a name.
    pub fn text(mut self, text: &str) -> Self {
        self.0.push(Token::Text(text.to_owned()));
        self
    }

    /// Adds names.
    pub fn list(mut self, names: &[String]) -> Self {
        self.0.push(Token::List(names.to_vec()));
        self
    }

    /// Reads a line. `None`: it is empty, or a comment.
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(line: &str) -> Result<Option<Self>, String> {
        let mut rest = line.trim();
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(None);
        }
        let mut tokens = Vec::new();
        while !rest.is_empty() {
            let (token, after) = token(rest)?;
            if after.chars().next().is_some_and(|next| !next.is_whitespace()) {
                return Err("there is no blank between two parts".to_owned());
            }
            tokens.push(token);
            rest = after.trim_start();
        }
        let line = Self(tokens);
        line.check()?;
        Ok(Some(line))
    }

    /// Whether a change can have this name.
    fn check(&self) -> Result<(), String> {
        let mut words = self.0.iter().map(|token| match token {
            Token::Text(text) => text.as_str(),
            Token::List(_) => "[",
        });
        let (view, what) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let of_view: Vec<&(&str, &[&str], &str)> = FORMS.iter().filter(|(name, ..)| *name == view).collect();
        if of_view.is_empty() {
            let mut views: Vec<&str> = FORMS.iter().map(|(name, ..)| *name).collect();
            views.dedup();
            return Err(format!("there is no view `{}`; there are {}", printable(view), views.join(", ")));
        }
        let Some((.., form)) = of_view.iter().find(|(_, known, _)| known.contains(&what)) else {
            let known: Vec<&str> = of_view.iter().flat_map(|(_, known, _)| known.iter().copied()).collect();
            let what = printable(what);
            return Err(format!(
                "no change of the view `{view}` is `{what}`; there are {}",
                known.join(", ")
            ));
        };
        let shape = self.0.iter().skip(2).map(|token| match token {
            Token::Text(_) => 'T',
            Token::List(_) => 'L',
        });
        if shape.collect::<String>() != *form {
            let words = form.chars().map(|part| if part == 'T' { "a name" } else { "a list" });
            let words = words.collect::<Vec<_>>().join(", ");
            return Err(format!("after `{view} {what}` there should be {words}"));
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, token) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(" ")?;
            }
            match token {
                Token::Text(text) if is_plain(text) => f.write_str(text)?,
                Token::Text(text) => f.write_str(&quoted(text))?,
                Token::List(names) => {
                    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                    write!(f, "[{}]", names.join(","))?;
                }
            }
        }
        Ok(())
    }
}

/// The first part of a line, and what comes after it.
fn token(text: &str) -> Result<(Token, &str), String> {
    if !text.starts_with(['"', '[']) {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        if !is_plain(word) {
            return Err(format!("`{}` should be in double quotes", printable(word)));
        }
        return Ok((Token::Text(word.to_owned()), rest));
    }
    let is_list = text.starts_with('[');
    let broken = |error: serde_json::Error| format!("a part is no JSON: {error}");
    let (token, end) = if is_list {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Vec<String>>();
        let value = values.next().ok_or("a list is missing")?;
        (Token::List(value.map_err(broken)?), values.byte_offset())
    } else {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let value = values.next().ok_or("a text is missing")?;
        (Token::Text(value.map_err(broken)?), values.byte_offset())
    };
    Ok((token, text.get(end..).unwrap_or_default()))
}

/// Whether a name needs no quotes.
fn is_plain(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-.:/@>".contains(char);
    !text.is_empty() && text.chars().all(is_plain)
}

/// A JSON string without characters that a terminal would obey.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.chars().fold(String::new(), |mut quoted, char| {
        if is_obeyed(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                quoted += &format!("\\u{unit:04x}");
            }
        } else {
            quoted.push(char);
        }
        quoted
    })
}

/// The lines of a file.
#[derive(Debug, Default)]
pub struct Agreement {
    /// With the number of the line, from 1.
    lines: BTreeMap<Line, usize>,
}

impl Agreement {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or a line is malformed.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = printable(&path.display().to_string());
        let unreadable =
            |error: &dyn fmt::Display| Failure::could_not_run(format_args!("cannot read `{shown}`: {error}"));
        let text = std::fs::read(path).map_err(|error| unreadable(&error))?;
        let text = String::from_utf8(text).map_err(|_| unreadable(&"the file is not UTF-8"))?;
        Self::parse(&text).map_err(|(number, problem)| {
            let at = format!("{shown}:{number}");
            Failure::could_not_run(format_args!("`{at}`: {problem}"))
                .hint("`diff --format agreement` prints the lines that there are")
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut lines = BTreeMap::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if let Some(line) = Line::parse(line).map_err(|problem| (number + 1, problem))? {
                lines.entry(line).or_insert(number + 1);
            }
        }
        Ok(Self { lines })
    }

    /// Whether a change was agreed to.
    pub fn has(&self, line: &Line) -> bool {
        self.lines.contains_key(line)
    }

    /// The lines that name none of these changes, in the order of the file.
    pub fn stale(&self, changes: &BTreeSet<&Line>) -> Vec<(usize, String)> {
        let stale = self.lines.iter().filter(|(line, _)| !changes.contains(line));
        let mut stale: Vec<(usize, String)> =
            stale.map(|(line, number)| (*number, line.to_string())).collect();
        stale.sort();
        stale
    }
}

/// The views, what happens there, and what comes after it: `T` for a name, `L` for a list of names.
const FORMS: [(&str, &[&str], &str); 7] = [
    ("tokens", &["changed"], "TTTT"),
    ("matrix", &["gained", "lost"], "TTT"),
    ("test", &["fails", "passes", "gained", "lost", "gained-and-lost"], "TT"),
    ("traffic", &["gained", "lost"], "TTLTTL"),
    ("shadow", &["gained", "lost"], "TTLTTL"),
    ("proof", &["more", "less", "more-undecided", "less-undecided"], "TTTTT"),
    ("proof", &["not-asked"], "T"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        for line in [
            Line::new("matrix", "gained").text("persona").text("carol").text("delete /pets/{petId}"),
            Line::new("matrix", "lost").text("group").text("\"#\u{1b}[1m\u{202e}\n").text(""),
            Line::new("test", "fails").text("tests/pets.yaml").text("alice deletes a pet"),
            Line::new("traffic", "gained")
                .text("get /pets")
                .text("no-matching-permit")
                .list(&[])
                .text("->")
                .text("allowed-by-policy")
                .list(&["a b".to_owned(), "\\\"]".to_owned()]),
            Line::new("proof", "more")
                .text("A::User")
                .text("A::Action")
                .text("get /")
                .text("A::App")
                .text("0f"),
        ] {
            let text = line.to_string();
            assert!(!text.contains(char::is_control) && !text.contains('\u{202e}'), "{text:?}");
            assert_eq!(Line::parse(&format!("  {text} ")), Ok(Some(line)), "{text}");
        }
    }

    #[test]
    fn a_malformed_line_says_what_is_wrong() {
        for (line, problem) in [
            ("everything", "there is no view `everything`; there are tokens, matrix"),
            ("matrix may persona a b", "no change of the view `matrix` is `may`; there are gained, lost"),
            ("matrix", "no change of the view `matrix` is ``"),
            ("matrix gained carol \"get /\"", "there should be a name, a name, a name"),
            ("matrix gained persona carol [\"get /\"]", "there should be a name"),
            ("matrix gained persona carol get /pets/{petId}", "`/pets/{petId}` should be in double quotes"),
            ("matrix gained persona \"carol", "a part is no JSON"),
            ("matrix gained persona \"carol\"\"get /\"", "no blank between"),
            ("traffic gained a b [1] -> c []", "a part is no JSON"),
            ("[] gained", "there is no view `[`"),
            ("*", "`*` should be in double quotes"),
        ] {
            let error = Line::parse(line).unwrap_err();
            assert!(error.contains(problem), "{line}: {error}");
        }
        let error = Agreement::parse("# why\n\nmatrix gained persona a b\nnonsense\n").unwrap_err();
        assert_eq!(error.0, 4);
    }

    #[test]
    fn a_line_agrees_to_one_change_and_is_stale_without_it() {
        let agreement =
            Agreement::parse("matrix gained persona a \"get /\" \r\n#x\nmatrix \"lost\" group b c").unwrap();
        let line = |what: &str| Line::new("matrix", what).text("persona").text("a").text("get /");
        assert!(agreement.has(&line("gained")) && !agreement.has(&line("lost")));
        let gained = line("gained");
        let stale = agreement.stale(&BTreeSet::from([&gained]));
        assert_eq!(stale, [(3, "matrix lost group b c".to_owned())]);
    }
}
