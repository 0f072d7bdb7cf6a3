//! `replay` and `redact`: recorded requests.

mod containers;
mod hostile;
mod interrupts;
mod recordings;
mod redaction;
mod shadows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use cedar_authorizer::function::telemetry::settings::{DecisionLogSettings, Format};
use serde_json::{Value, json};

use crate::gateway::Request;
use crate::listening::{Kennel, context};
use crate::world::{run, stderr, stdout};

/// Calls to the kennel, and what its function wrote of them.
pub struct Recording {
    pub kennel: Kennel,
    pub lines: String,
    folder: tempfile::TempDir,
}

impl Recording {
    /// So many calls, of every outcome.
    pub fn of(count: usize, format: Format, cache_key: &str) -> Self {
        let kennel = Kennel::new();
        if cache_key == "token" {
            // What is left reads nothing of the path, so an answer may be for all pets.
            fs::remove_file(kennel.store.path().join("policies/pets.cedar")).unwrap();
            fs::remove_file(kennel.store.path().join("policies/report.cedar")).unwrap();
        }
        let settings = DecisionLogSettings { format, has_requests: true, ..DecisionLogSettings::default() };
        let function = kennel.listen(&settings, cache_key);
        let people = People::new(&kennel);
        let mut lines = String::new();
        for number in 0..count {
            lines += &function.ask(&people.call(number).to_string(), &context()).1;
        }
        Self { kennel, lines, folder: tempfile::tempdir().unwrap() }
    }

    pub fn store(&self) -> &str {
        self.kennel.store.path().to_str().unwrap()
    }

    /// A file in a folder of this recording.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What `replay` says of a file.
    #[track_caller]
    pub fn replay(&self, file: &str) -> Value {
        let output = replay(file, self.store(), &["--format", "json"]);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2)), "{}", stderr(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(code == Some(0), report["differences"] == json!([]), "{report}");
        report
    }
}

pub fn replay(file: &str, store: &str, arguments: &[&str]) -> Output {
    run(&[&["replay", file, "--store", store], arguments].concat())
}

/// Who calls.
struct People {
    tokens: Vec<String>,
}

impl People {
    fn new(kennel: &Kennel) -> Self {
        let mut tokens = vec![
            kennel.token("ann", &json!({"username": "Ann"})),
            kennel.token("ben", &json!({})),
            kennel.token("sue", &json!({"cognito:groups": ["staff"]})),
            kennel.token("\"q\\u{0}<b>", &json!({"cognito:groups": ["staff", "a b"]})),
        ];
        tokens.extend((0..20).map(|number| kennel.token(&format!("person-{number}"), &json!({}))));
        Self { tokens }
    }

    /// The event of a call. They repeat themselves, but not soon.
    fn call(&self, number: usize) -> Value {
        let token = &self.tokens[number % self.tokens.len()];
        let pet = ["7", "8", "9", "10", "99", "a b", "ü"][number % 7];
        let house = ["7", "4", "open", "-1"][number % 4];
        let path = format!("/pets/{}", number % 7);
        let in_house = format!("/houses/{house}/pets/{}", number % 7);
        let request = match number % 11 {
            0..4 => Request {
                parameters: json!({"petId": pet}),
                ..Request::new(token, "GET", "/pets/{petId}", &path)
            },
            4..7 => Request {
                parameters: json!({"houseId": house, "petId": pet}),
                ..Request::new(
                    token,
                    if number.is_multiple_of(3) { "PUT" } else { "GET" },
                    "/houses/{houseId}/pets/{petId}",
                    &in_house,
                )
            },
            7 | 8 => Request {
                query: &[("year", "2025"), ("kind", "all")],
                headers: json!({"X-Tenant": "kennel"}),
                ..Request::new(token, "GET", "/report", "/report")
            },
            9 => Request::new("no-token", "GET", "/report", "/report"),
            _ => Request::new(token, "POST", "/pets/{petId}", "/pets/7/toys"),
        };
        match number % 3 {
            0 => request.rest(),
            1 => request.http2(),
            _ => request.http1(),
        }
    }
}

/// How many lines of a report are left out, by reason.
fn left_out(report: &Value) -> Vec<(String, u64)> {
    let all = report["leftOut"].as_array().unwrap().iter();
    all.map(|left_out| (left_out["why"].as_str().unwrap().to_owned(), left_out["count"].as_u64().unwrap()))
        .collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}
