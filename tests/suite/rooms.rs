//! The rooms of the library, one above the other: what each imports, and from where.

use std::fs;
use std::path::Path;

use crate::world::root;

/// The rooms in the order of `lib.rs`, from the ground up.
fn rooms(lib: &str) -> Vec<String> {
    let declared = |line: &str| {
        let line = line.trim();
        let rest = line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?;
        Some(rest.strip_suffix(';')?.to_owned())
    };
    lib.lines().filter_map(declared).collect()
}

/// A source file of the library: the path of its module, and its text without comments and unit tests.
struct Source {
    modules: Vec<String>,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Option<Self> {
        let modules: Vec<String> = path.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
        if modules.iter().any(|module| module == "tests") {
            return None;
        }
        let (text, _) = text.split_once("#[cfg(test)]\nmod ").unwrap_or((text, ""));
        let code = |line: &&str| !line.trim_start().starts_with("//");
        Some(Self { modules, text: text.lines().filter(code).collect::<Vec<_>>().join("\n") })
    }

    /// The rooms that it imports from or names in a path.
    fn imports(&self) -> Vec<String> {
        // In a file this many modules deep, this many `super` lead to the root.
        let up = "super::".repeat(self.modules.len());
        let mut found = Vec::new();
        for prefix in ["crate::", &up] {
            let mut pieces = self.text.split(prefix);
            let mut before = pieces.next().and_then(|piece| piece.chars().next_back());
            for piece in pieces {
                let is_longer = |before: char| before.is_alphanumeric() || before == '_' || before == ':';
                if !before.is_some_and(is_longer) {
                    found.extend(heads(piece));
                }
                before = piece.chars().next_back();
            }
        }
        found
    }
}

/// The first names of a path, or of each path of a group in braces.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![head(path)];
    };
    let (mut depth, mut paths) = (0, vec![String::new()]);
    for next in group.chars() {
        match next {
            '}' if depth == 0 => break,
            ',' if depth == 0 => paths.push(String::new()),
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => paths.last_mut().unwrap().push(next),
        }
    }
    paths.iter().map(|path| head(path)).filter(|head| !head.is_empty()).collect()
}

fn head(path: &str) -> String {
    path.trim_start().chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect()
}

/// Imports from a later room into an earlier one, and names that are not rooms.
fn against_the_arrows(rooms: &[String], sources: &[Source]) -> Vec<String> {
    let floor = |name: &str| rooms.iter().position(|room| room == name);
    let mut found = Vec::new();
    for source in sources {
        let file = source.modules.join("/");
        let own = floor(&source.modules[0]);
        for import in source.imports() {
            match (own, floor(&import)) {
                (Some(own), Some(other)) if other <= own => {}
                _ => found.push(format!("{file}.rs imports from `{import}`")),
            }
        }
    }
    found
}

fn read(folder: &Path, prefix: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_apart = prefix.is_empty() && (name == "bin" || name == "lib.rs");
        if path.is_dir() && !is_apart {
            read(&path, &format!("{prefix}{name}/"), sources);
        } else if !is_apart {
            let text = fs::read_to_string(&path).unwrap();
            sources.extend(Source::new(&format!("{prefix}{name}"), &text));
        }
    }
}

#[test]
fn an_arrow_goes_only_from_a_later_room_to_an_earlier_one() {
    let rooms = rooms(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!((6..=12).contains(&rooms.len()), "{rooms:?}");
    let mut sources = Vec::new();
    read(&root().join("src"), "", &mut sources);
    let used = |room: &String| sources.iter().any(|source| source.modules[0] == *room);
    assert!(rooms.iter().all(used), "{rooms:?}");
    assert!(sources.iter().map(|source| source.imports().len()).sum::<usize>() > 200);
    assert_eq!(against_the_arrows(&rooms, &sources), [""; 0]);
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let rooms = ["reason", "token", "store"].map(str::to_owned);
    for (path, text, expected) in [
        ("token.rs", "use crate::reason::Reason;", None),
        ("token.rs", "use crate::token::jws;", None),
        ("token.rs", "use crate::store::Store;", Some("store")),
        ("token.rs", "use crate::{reason, store::{Store, finding}};", Some("store")),
        ("token.rs", "use crate::{\n    reason::{Reason, Status},\n    store,\n};", Some("store")),
        ("token.rs", "fn f() { crate::store::check() }", Some("store")),
        ("token.rs", "pub(crate) use crate::store as x;", Some("store")),
        ("token.rs", "use super::store::Store;", Some("store")),
        ("token/jws.rs", "use super::store::Store;", None),
        ("token/jws.rs", "use super::super::store::Store;", Some("store")),
        ("token/jws.rs", "use super::super::reason;", None),
        ("token.rs", "use crate::elsewhere::X;", Some("elsewhere")),
        ("token.rs", "// use crate::store::Store;\n/// See [`crate::store`].", None),
        ("token.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::Store;\n}", None),
        ("token/tests.rs", "use crate::store::Store;", None),
        ("reason.rs", "use my_crate::store;", None),
    ] {
        let sources: Vec<Source> = Source::new(path, text).into_iter().collect();
        let stem = path.strip_suffix(".rs").unwrap();
        let expected: Vec<String> =
            expected.iter().map(|import| format!("{stem}.rs imports from `{import}`")).collect();
        assert_eq!(against_the_arrows(&rooms, &sources), expected, "{path}: {text}");
    }
}
