//! The sample stores: nothing to complain of, and tests that need every policy.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::{StoreCopy, files_in, golden, root, run, stderr, stdout};

/// The key with method and path, which a store needs whose resources come from the path.
const PATH: &str = "method.request.header.Authorization,context.httpMethod,context.path";
const PATH_AND_ADDRESS: &str =
    "method.request.header.Authorization,context.httpMethod,context.path,context.identity.sourceIp";

struct Sample {
    /// Its folder in the repository.
    folder: &'static str,
    /// The `CACHE_KEY` that its README names.
    cache_key: &'static str,
    /// How many policies and template links it has.
    policies: usize,
    routes: usize,
    /// The coverage of its tests, in percent.
    coverage: &'static str,
}

const SAMPLES: [Sample; 5] = [
    // Its front page is for everybody, so no test can show that somebody is denied it.
    Sample { folder: "policies", cache_key: "token", policies: 6, routes: 4, coverage: "95" },
    Sample { folder: "samples/photoflash", cache_key: PATH, policies: 6, routes: 7, coverage: "100" },
    Sample {
        folder: "samples/tinytodo",
        cache_key: PATH_AND_ADDRESS,
        policies: 7,
        routes: 8,
        coverage: "100",
    },
    Sample { folder: "samples/digitalpetstore", cache_key: PATH, policies: 5, routes: 9, coverage: "100" },
    Sample { folder: "samples/multitenant", cache_key: PATH, policies: 6, routes: 10, coverage: "100" },
];

impl Sample {
    fn path(&self) -> PathBuf {
        root().join(self.folder)
    }
}

#[test]
fn every_sample_is_in_the_table() {
    let mut folders: Vec<String> = fs::read_dir(root().join("samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| format!("samples/{}", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    folders.push("policies".to_owned());
    folders.sort();
    let mut known: Vec<&str> = SAMPLES.iter().map(|sample| sample.folder).collect();
    known.sort_unstable();
    assert_eq!(folders, known);
}

#[test]
fn check_has_nothing_to_say_of_a_sample_under_the_key_that_its_readme_names() {
    for Sample { folder, cache_key, policies, routes, .. } in SAMPLES {
        // `check` warns of the development key, which this one has on purpose.
        if folder == "policies" {
            continue;
        }
        let output = run(&["check", "--store", folder, "--cache-key", cache_key]);
        assert_eq!(output.status.code(), Some(0), "{folder}\n{}", stderr(&output));
        assert_eq!(stderr(&output), "", "{folder}");
        assert_eq!(stdout(&output), format!("ok: {policies} policies, {routes} routes\n"), "{folder}");
        let readme = fs::read_to_string(root().join(folder).join("README.md")).unwrap();
        assert!(readme.contains(&format!("`{cache_key}`")), "{folder}");
    }
}

#[test]
fn the_tests_of_a_sample_pass_and_try_all_of_it() {
    for Sample { folder, coverage, .. } in SAMPLES {
        let output = run(&["test", "--store", folder, "--coverage-min", coverage]);
        assert!(output.status.success(), "{folder}\n{}{}", stdout(&output), stderr(&output));
    }
}

#[test]
fn each_policy_of_a_sample_is_needed_by_one_of_its_tests() {
    for sample in SAMPLES {
        let mut policies = 0;
        for path in files_in(&sample.path().join("policies")) {
            let text = fs::read_to_string(&path).unwrap();
            for policy in text.split_inclusive(";\n") {
                assert_fails(&sample, &path, &text.replace(policy, ""), policy);
                policies += 1;
            }
        }
        for (links, link) in without_each_link(&sample) {
            assert_fails(&sample, &sample.path().join("template-links.json"), &links.to_string(), &link);
            policies += 1;
        }
        assert_eq!(policies, sample.policies, "{}", sample.folder);
    }
}

/// The template links of a sample without one of them, and which one.
fn without_each_link(sample: &Sample) -> Vec<(Value, String)> {
    let Ok(text) = fs::read_to_string(sample.path().join("template-links.json")) else {
        return Vec::new();
    };
    let links: Vec<Value> = serde_json::from_str(&text).unwrap();
    let without = |left_out: &Value| links.iter().filter(|link| *link != left_out).cloned().collect();
    links.iter().map(|link| (without(link), link["id"].to_string())).collect()
}

/// The tests of a sample fail if one of its files is this one.
#[track_caller]
fn assert_fails(sample: &Sample, changed: &Path, content: &str, without: &str) {
    let copy = StoreCopy::of(&sample.path());
    let name = changed.strip_prefix(sample.path()).unwrap();
    copy.write(name.to_str().unwrap(), content.as_bytes());
    let output = run(&["test", "--store", copy.path().to_str().unwrap()]);
    let said = || format!("{} without {without}\n{}{}", sample.folder, stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(2), "{}", said());
}

#[test]
fn the_matrix_of_a_sample_is_what_is_checked_in() {
    for Sample { folder, .. } in SAMPLES {
        let output = run(&["matrix", "--store", folder]);
        assert!(output.status.success(), "{folder}\n{}", stderr(&output));
        let name = Path::new(folder).file_name().unwrap().to_str().unwrap();
        golden(&root().join(format!("tests/data/samples/{name}.txt")), &stdout(&output));
    }
}
