//! Broken policy stores and what is said of them.

use std::fmt::Write;
use std::fs;

use cedar_authorizer::source::directory;
use cedar_authorizer::store::Store;

use crate::world::{golden, root};

/// Each folder of `tests/data/stores` is a store; beside it stands what `check` says of it.
#[test]
fn each_store_has_its_golden_findings() {
    let folder = root().join("tests/data/stores");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        count += 1;
        let (store, findings) = Store::check(&directory::read(&path).unwrap());
        let mut text = String::new();
        for finding in &findings {
            writeln!(text, "{finding}").unwrap();
            if let Some(hint) = &finding.hint {
                writeln!(text, "  help: {hint}").unwrap();
            }
        }
        writeln!(text, "{}", if store.is_some() { "usable" } else { "not usable" }).unwrap();
        let is_bad = path.file_name().unwrap().to_str().unwrap().ends_with("_bad");
        assert_eq!(store.is_none(), is_bad, "{}\n{text}", path.display());
        golden(&path.with_extension("findings.txt"), &text);
    }
    assert!(count > 0);
}
