//! What an edit would change, before it is saved: findings, answers and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::Finding;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::policies::{files, is_shown};
use super::reply::{self, Json, Refusal, blocking};
use super::{Page, matrix};
use crate::matrix::By;
use crate::matrix::comparison::{Change, changes};
use crate::serve::Served;
use crate::test::page::{FailedTest, Summary, run_tests};
use crate::test_bench::{Personas, TestBench};

/// The newest edit whose effects are asked for: only that of a writer who types is of interest.
#[derive(Debug, Default)]
pub struct Newest {
    number: AtomicU64,
    turn: Arc<Mutex<()>>,
}

impl Newest {
    fn begin(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn check(&self, number: u64) -> Result<(), Refusal> {
        if self.number.load(Ordering::Relaxed) == number {
            return Ok(());
        }
        Err(Refusal::conflict("a newer edit is looked at"))
    }
}

/// Edited files, by their paths.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edits {
    files: BTreeMap<String, String>,
}

/// What edits would change.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effects {
    /// What is wrong with the files.
    findings: Vec<Finding>,
    /// The cells of the matrix that would change. `None`: with errors nothing would.
    cells: Option<Vec<Change>>,
    /// What would become of the tests. `None`: they did not run.
    tests: Option<TestEffects>,
    /// What was left out, and why.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TestEffects {
    passed: usize,
    failed: Vec<FailedTest>,
    /// The names of those that pass with what is in force.
    newly_failed: BTreeSet<String>,
    /// The names of those that fail with what is in force, and would pass.
    mended: BTreeSet<String>,
}

/// `POST /_bench/api/policies/check`
pub async fn check(State(page): State<Page>, request: Request) -> Result<Json<Effects>, Refusal> {
    let Edits { files } = reply::body(request).await?;
    let number = page.newest.begin();
    let turn = Arc::clone(&page.newest.turn).lock_owned().await;
    page.newest.check(number)?;
    blocking(move || {
        // Given back when the work ends, even if nobody waits for it any more.
        let _turn = turn;
        let look = Look { served: &page.served, newest: &page.newest, number, begun: Instant::now() };
        look.effects(files).map(Json)
    })
    .await
}

/// A look at edits.
struct Look<'a> {
    served: &'a Served,
    newest: &'a Newest,
    number: u64,
    begun: Instant,
}

impl Look<'_> {
    fn effects(&self, edits: BTreeMap<String, String>) -> Result<Effects, Refusal> {
        let has_edits = !edits.is_empty();
        let files = self.edited(edits)?;
        let (store, findings) = Store::check(&files);
        let mut effects = Effects { findings, ..Effects::default() };
        let Some(store) = store else { return Ok(effects) };
        self.newest.check(self.number)?;
        let in_force = self.served.in_force.get();
        let path = self.served.settings.store.as_path();
        let after = if has_edits { Some(self.bench(store, files, path)?) } else { None };
        let bench = after.as_ref().unwrap_or(&in_force.bench);
        effects.cells = match &after {
            Some(after) => self.cells(&in_force.bench, after, &mut effects)?,
            None => Some(Vec::new()),
        };
        self.newest.check(self.number)?;
        if self.begun.elapsed() > PATIENCE {
            let seconds = self.begun.elapsed().as_secs();
            effects.notes.push(format!("The tests did not run: the answers alone took {seconds} seconds."));
            return Ok(effects);
        }
        self.add_tests(&mut effects, &in_force.bench, bench, path, has_edits)?;
        Ok(effects)
    }

    /// The files of the store with the edits.
    fn edited(&self, edits: BTreeMap<String, String>) -> Result<StoreFiles, Refusal> {
        let mut files = files(self.served)?;
        for (path, text) in edits {
            if !is_shown(&path) || files.get(&path).is_none() {
                return Err(Refusal::not_found(format!("`{path}` is no file of the policy store")));
            }
            files.insert(path, text.into_bytes());
        }
        Ok(files)
    }

    fn bench(&self, store: Store, files: StoreFiles, path: &Path) -> Result<TestBench, Refusal> {
        let personas = Personas::read(path)?;
        Ok(TestBench::new(path.display().to_string(), store, files, personas)?)
    }

    /// The cells that would change: for personas; for groups, if there are no personas, or too many of them.
    fn cells(
        &self,
        before: &TestBench,
        after: &TestBench,
        effects: &mut Effects,
    ) -> Result<Option<Vec<Change>>, Refusal> {
        let has_personas = after.personas().names().next().is_some();
        let of_personas = if has_personas { matrix::decide(after, By::Persona)? } else { None };
        let (by, matrix) = match of_personas {
            Some(matrix) => (By::Persona, Some(matrix)),
            None => (By::Group, matrix::decide(after, By::Group)?),
        };
        self.newest.check(self.number)?;
        let (Some(matrix), Some(kept)) = (matrix, matrix::decide(before, by)?) else {
            effects.notes.push("The answers are not compared: there are too many.".to_owned());
            return Ok(None);
        };
        if has_personas && by == By::Group {
            effects
                .notes
                .push("The answers of groups are compared: those of all personas are too many.".to_owned());
        }
        Ok(Some(changes(&kept, &matrix, after)))
    }

    fn add_tests(
        &self,
        effects: &mut Effects,
        before: &TestBench,
        after: &TestBench,
        path: &Path,
        has_edits: bool,
    ) -> Result<(), Refusal> {
        if self.served.settings.is_bundle {
            return Ok(());
        }
        let Some(Summary { passed, failed, problems }) = run_tests(after, path, MAX_TESTS)? else {
            effects.notes.push(format!("The tests did not run: there are more than {MAX_TESTS}."));
            return Ok(());
        };
        effects.notes.extend(problems);
        self.newest.check(self.number)?;
        let names = |tests: &[FailedTest]| -> BTreeSet<String> {
            tests.iter().map(|test| test.name.clone()).collect()
        };
        let now_failed = names(&failed);
        let before_failed = if has_edits {
            let summary = run_tests(before, path, MAX_TESTS)?;
            summary.map(|summary| names(&summary.failed)).unwrap_or_default()
        } else {
            now_failed.clone()
        };
        let newly_failed = now_failed.difference(&before_failed).cloned().collect();
        let mended = before_failed.difference(&now_failed).cloned().collect();
        effects.tests = Some(TestEffects { passed, failed, newly_failed, mended });
        Ok(())
    }
}

/// After this, a writer who waits wants to see what there is.
const PATIENCE: Duration = Duration::from_secs(4);

const MAX_TESTS: usize = 20_000;
