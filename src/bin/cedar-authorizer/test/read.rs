//! Reading test files: from YAML to cases. Nothing in a file is ignored.

mod keys;
mod step;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cedar_authorizer::gateway::cache_key::{CacheKey, InvalidCacheKey};

use super::case::{CacheSettings, Case, Step};
use super::fields::{Fields, list};
use super::problem::{Problem, Problems};
use crate::gateway_cache::GatewayCache;
use crate::test_bench::TestBench;
use crate::yaml::{self, Node, Place};
use keys::{ALL, DEFAULTS, SEQUENCE_EVENT, SEQUENCE_STEP};
use step::{StepReader, Variant};

/// Reads a test file.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read_file(bench: &TestBench, path: &Path) -> Result<Vec<Case>, Vec<Problem>> {
    let name = path.display().to_string();
    let problems = Problems::new(&name, MAX_CASES);
    let cases = match read_text(path) {
        Ok(text) => {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            TestFileReader { bench, folder, file: name.into(), problems: &problems }.read(&text)
        }
        Err(message) => {
            problems.add(Place::START, message);
            Vec::new()
        }
    };
    if problems.count() == 0 { Ok(cases) } else { Err(problems.into_sorted()) }
}

/// The text of a file for people, without a byte order mark.
///
/// # Errors
/// Why it cannot be read.
pub fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| format!("cannot read the file: {error}"))?;
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read the file: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("the file is larger than {} MiB", MAX_BYTES / 1024 / 1024));
    }
    // Editors on Windows write a byte order mark.
    let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8")?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Reads one file.
struct TestFileReader<'a> {
    bench: &'a TestBench,
    /// The folder of the file.
    folder: PathBuf,
    file: Arc<str>,
    problems: &'a Problems,
}

impl TestFileReader<'_> {
    fn read(&self, text: &str) -> Vec<Case> {
        let mut of_yaml = Vec::new();
        let root = yaml::parse(text, MAX_NODES, &mut of_yaml);
        of_yaml.into_iter().for_each(|problem| self.problems.add_yaml(problem));
        let root = match root {
            Ok(Some(root)) if !root.is_null() => root,
            Ok(_) => {
                self.no_tests(Place::START);
                return Vec::new();
            }
            Err(problem) => {
                self.problems.add_yaml(problem);
                return Vec::new();
            }
        };
        let Some(file) = Fields::read(self.problems, &root, "a test file") else { return Vec::new() };
        file.allow("a test file", &["tests"], &ALL);
        let Some(node) = file.get("tests") else {
            self.no_tests(root.place);
            return Vec::new();
        };
        let Some(tests) = node.list() else {
            self.problems.add(node.place, "`tests` should be a list");
            return Vec::new();
        };
        if tests.is_empty() {
            self.no_tests(node.place);
        }
        let mut known = BTreeMap::new();
        tests.iter().flat_map(|test| self.read_test(test, &mut known)).collect()
    }

    fn no_tests(&self, place: Place) {
        let hint = "add `tests:` with a list of tests, each with `name`, `as`, `request` and `expect`";
        self.problems.add_with(place, "there are no tests in this file", hint);
    }

    fn read_test(&self, node: &Rc<Node>, known: &mut BTreeMap<String, Place>) -> Vec<Case> {
        let Some(test) = Fields::read(self.problems, node, "a test") else { return Vec::new() };
        let name = match test.text("name") {
            Some((name, place)) => {
                if let Some(first) = known.insert(name.to_owned(), place) {
                    let message = format!("the name `{name}` is taken by the test in line {}", first.line);
                    self.problems.add_with(place, message, "give each test of a file a name of its own");
                }
                name
            }
            None => {
                self.problems.add(node.place, "the test has no `name`");
                ""
            }
        };
        if test.has("requests") { self.read_sequence(test, name) } else { self.read_single(test, name) }
    }

    /// A test with one step for each case.
    fn read_single(&self, test: Fields<'_>, name: &str) -> Vec<Case> {
        let steps = self.steps().read_test(test);
        let case = |(variant, step): (Variant, Step)| Case {
            file: Arc::clone(&self.file),
            place: test.place,
            name: variant.name(name),
            steps: vec![step],
            cache: None,
        };
        steps.into_iter().map(case).collect()
    }

    /// A test whose steps go through one cache.
    fn read_sequence(&self, test: Fields<'_>, name: &str) -> Vec<Case> {
        let own = ["name", "cache_key", "ttl", "requests"];
        let known: Vec<&str> = own.into_iter().chain(DEFAULTS).collect();
        test.allow("a test with `requests`", &known, &ALL);
        let key = test
            .parsed("cache_key", |text| text.parse::<CacheKey>().map_err(|InvalidCacheKey| InvalidCacheKey));
        let seconds = test.number::<u32>("ttl");
        if let Some((_, place)) =
            test.text("ttl").filter(|_| seconds.is_some_and(|seconds| seconds > MAX_TTL))
        {
            self.problems.add(place, format!("API Gateway keeps answers for at most {MAX_TTL} seconds"));
        }
        let settings = CacheSettings {
            key: key.unwrap_or(CacheKey::Token),
            time_to_live: Duration::from_secs(seconds.unwrap_or(DEFAULT_TTL).into()),
        };
        let location = self.bench.bundle().token_location().clone();
        if let Err(unknown) = GatewayCache::<()>::new(settings.key.clone(), settings.time_to_live, location) {
            let place = test.text("cache_key").map_or(test.place, |(_, place)| place);
            self.problems.add(place, unknown);
        }
        let Some(requests) = test.get("requests") else {
            self.problems.add(test.place, "`requests` is empty");
            return Vec::new();
        };
        let Some(items) = requests.list() else {
            self.problems.add(requests.place, "`requests` should be a list");
            return Vec::new();
        };
        if items.is_empty() {
            self.problems.add(requests.place, "`requests` is an empty list");
        }
        let (mut steps, mut reader) = (Vec::new(), self.steps());
        for item in items {
            let Some(own) = Fields::read(self.problems, item, "a request") else { continue };
            if own.has("event") {
                own.allow("a request of a sequence with `event`", &SEQUENCE_EVENT, &ALL);
            } else {
                own.allow("a request of a sequence", &SEQUENCE_STEP, &ALL);
            }
            steps.extend(reader.read_of_sequence(own.with_defaults(test)));
        }
        let (file, place, name) = (Arc::clone(&self.file), test.place, name.to_owned());
        if steps.is_empty() {
            Vec::new()
        } else {
            vec![Case { file, place, name, steps, cache: Some(settings) }]
        }
    }

    fn steps(&self) -> StepReader<'_> {
        StepReader::new(self.bench, &self.folder, self.problems)
    }
}

/// Advice that lists keys.
fn takes(keys: &[&str]) -> String {
    format!("it takes {}", list(keys))
}

/// API Gateway's default and limit for `AuthorizerResultTtlInSeconds`, in seconds.
///
/// Source: API reference of `CreateAuthorizer`.
const DEFAULT_TTL: u32 = 300;
const MAX_TTL: u32 = 3600;

/// Far more than people write.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
const MAX_NODES: usize = 4_000_000;
const MAX_CASES: usize = 500_000;
