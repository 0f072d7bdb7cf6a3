//! Save as test: what was tried goes into a file of `tests/`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use cedar_authorizer::time::UnixTime;
use serde::Serialize;
use serde_json::json;

use super::Page;
use super::attempt::Attempt;
use super::policies::place_of;
use super::reply::{self, Json, Refusal, blocking};
use crate::init::text;
use crate::output::Failure;
use crate::serve::Served;
use crate::test::page::{NewTest, TestText, names_in};
use crate::test_bench::{ApiKind, CONNECT, DEFAULT_TIME};

/// Where the test is.
#[derive(Debug, Serialize)]
pub struct SavedTest {
    /// The file, relative to the store.
    file: String,
    /// The name of the test.
    name: String,
}

/// `POST /_bench/api/save-test`
pub async fn save(State(page): State<Page>, request: Request) -> Result<Json<SavedTest>, Refusal> {
    let attempt: Attempt = reply::body(request).await?;
    if page.served.settings.is_bundle {
        return Err(Refusal::conflict("a bundle has no tests").hint("serve the policy store, with `--store`"));
    }
    let turn = page.saving.lock_owned().await;
    blocking(move || {
        let _turn = turn;
        let name = add(&page.served, &attempt)?;
        Ok(Json(SavedTest { file: FILE.to_owned(), name }))
    })
    .await
}

fn add(served: &Served, attempt: &Attempt) -> Result<String, Refusal> {
    let in_force = served.in_force.get();
    let bench = &in_force.bench;
    let now: UnixTime = SystemTime::now().into();
    if attempt.has_token() {
        return Err(Refusal::bad_request("a token is not kept in a file").hint("ask with claims instead"));
    }
    // Tests are asked at a time of their own, so a token that expires is one that expires then.
    let mut attempt = attempt.clone();
    if let Some(seconds) = attempt.expires_in.take() {
        let expiry = i64::try_from(DEFAULT_TIME.as_seconds()).unwrap_or(i64::MAX).saturating_add(seconds);
        attempt.claims.get_or_insert_default().insert("exp".to_owned(), json!(expiry));
    }
    let mut request = attempt.request(&in_force, now)?;
    if request.api == ApiKind::WebSocket {
        // Whatever path a client opens, the connection is what is asked for.
        request.verb.clear();
        CONNECT.clone_into(&mut request.path);
    }
    let new = NewTest {
        all_claims: attempt.given_claims(bench)?,
        request,
        has_address: attempt.has_address(),
        persona: attempt.persona,
        claims: attempt.claims,
    };
    let TestText { name, body } = new.text(bench)?;
    let store = &served.settings.store;
    let (before, known) = read(store, |path| names_in(bench, path))?;
    let name = free_name(&name, &known);
    let text = format!("{before}  - name: {}\n{body}", text::yaml(&name));
    let failed = |error: io::Error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write `{FILE}`: {error}"))
    };
    let folder = store.join("tests");
    fs::create_dir_all(&folder).map_err(failed)?;
    place_of(store, "tests")?;
    // Whoever reads the tests finds the old file or the new one. The new one is read first, by those who will.
    let mut file =
        tempfile::Builder::new().prefix(".").suffix(".yaml").tempfile_in(&folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    names_in(bench, file.path()).map_err(|failure| {
        Refusal::conflict(format!("no test can be added to `{FILE}`: {failure}"))
            .hint("this page adds to a list at the end of the file; move what follows it, or rename the file")
    })?;
    crate::build::replace(&folder.join(FILE_NAME), text.as_bytes()).map_err(failed)?;
    Ok(name)
}

/// The text of the file up to the place of the next test, and the names of its tests.
fn read(
    store: &Path,
    names: impl Fn(&Path) -> Result<Vec<String>, Failure>,
) -> Result<(String, Vec<String>), Refusal> {
    let path = store.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            place_of(store, FILE)?;
            let known = names(&path).map_err(|failure| {
                Refusal::conflict(format!("no test can be added to `{FILE}`: {failure}"))
                    .hint("mend the file first")
            })?;
            Ok((format!("{}\n", text.trim_end()), known))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((HEAD.to_owned(), Vec::new())),
        Err(error) => Err(Refusal::conflict(format!("cannot read `{FILE}`: {error}"))),
    }
}

/// The name, with a number if there is one of that name.
fn free_name(name: &str, known: &[String]) -> String {
    let is_free = |name: &String| !known.contains(name);
    let numbered = (2_u32..).map(|number| format!("{name} ({number})"));
    [name.to_owned()].into_iter().chain(numbered).find(is_free).unwrap_or_default()
}

const FILE: &str = "tests/test-bench.yaml";
const FILE_NAME: &str = "test-bench.yaml";

const HEAD: &str = "# Saved in the test bench of `cedar-authorizer serve`.\ntests:\n";
