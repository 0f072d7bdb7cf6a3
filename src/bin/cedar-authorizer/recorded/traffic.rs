//! Differences between decisions, in groups.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::input::inputs;
use super::judge::{Court, Judged};
use super::left_out::{LeftOuts, Why};
use super::line::{Line, Record};
use super::message::Place;
use super::pipeline::{Item, each};
use super::{Example, Traffic, TrafficDifference, Verdict};
use crate::access::Access;
use crate::output::Failure;
use crate::test_bench::TestBench;

/// Decides recorded requests under both stores.
///
/// # Errors
/// A file cannot be read, or has nothing that could be decided.
pub fn compare(files: &[PathBuf], old: &TestBench, new: &TestBench) -> Result<Traffic, Failure> {
    let court = Court::new(&[old.gate(), new.gate()]);
    let verdicts = |_: &Record<'_>, judged: &Judged| match judged.verdicts.as_slice() {
        [before, after] => Some((before.clone(), after.clone())),
        _ => None,
    };
    collect(files, &court, &verdicts, &Filter::default(), |_| {})
}

/// Which requests count.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those to this route.
    pub route: Option<String>,
    /// Only those of this caller: `PetStore::User::"alice"`, or the id alone.
    pub principal: Option<String>,
}

impl Filter {
    fn takes(&self, route: &str, judged: &Judged) -> bool {
        let is_caller = |wanted: &String| {
            *wanted == judged.principal || judged.principal.ends_with(&format!("::{wanted:?}"))
        };
        self.route.as_ref().is_none_or(|wanted| wanted == route)
            && self.principal.as_ref().is_none_or(is_caller)
    }
}

/// A request that is decided otherwise.
#[derive(Debug)]
pub struct Differing {
    pub place: Place,
    pub access: Access,
    pub route: String,
    pub before: Verdict,
    pub after: Verdict,
    pub judged: Arc<Judged>,
    request: String,
}

/// What came of a line.
enum Outcome {
    Same,
    Differs(Box<Differing>),
    LeftOut(Why),
}

/// Decides recorded requests, and compares the two verdicts that `verdicts` makes of each.
pub fn collect(
    files: &[PathBuf],
    court: &Court<'_>,
    verdicts: &(impl Fn(&Record<'_>, &Judged) -> Option<(Verdict, Verdict)> + Sync),
    filter: &Filter,
    mut tell: impl FnMut(&Differing),
) -> Result<Traffic, Failure> {
    let decide = |record: &Record<'_>, place: &Place| {
        let judged = match court.judge(record.request) {
            Ok(judged) => judged,
            Err(why) => return Some(Outcome::LeftOut(why)),
        };
        let route = record.route.clone().unwrap_or_else(|| judged.action_id.clone());
        if !filter.takes(&route, &judged) {
            return None;
        }
        let (before, after) = verdicts(record, &judged)?;
        if before == after {
            return Some(Outcome::Same);
        }
        let access = Access::between(&before.decision, &after.decision);
        let (place, request) = (place.clone(), record.request.to_owned());
        Some(Outcome::Differs(Box::new(Differing { place, access, route, before, after, judged, request })))
    };
    let work = |line: Line<'_>, place: &Place| match line {
        Line::Decision(record) => decide(&record, place),
        Line::LeftOut(why) => Some(Outcome::LeftOut(why)),
        Line::Shadow(_) | Line::OfFunction | Line::Other => None,
    };
    let (mut requests, mut left_out, mut groups) = (0, LeftOuts::default(), Groups::default());
    each("deciding recorded requests", &inputs(files)?, &work, |Item { place, value }| {
        match value {
            Outcome::LeftOut(why) => left_out.add(why, &place),
            Outcome::Same => requests += 1,
            Outcome::Differs(differing) => {
                requests += 1;
                tell(&differing);
                groups.add(*differing);
            }
        }
        Ok(())
    })?;
    if requests == 0 {
        return Err(nothing(left_out));
    }
    Ok(Traffic {
        files: files.iter().map(|file| file.display().to_string()).collect(),
        requests,
        left_out: left_out.into_vec(),
        differences: groups.into_vec(),
    })
}

/// There is no request that could be decided.
pub fn nothing(left_out: LeftOuts) -> Failure {
    let hint = "`serve --record FILE` writes requests, and the function with DECISION_LOG_REQUESTS=true; see \
                docs/replay.md";
    let message = "there are no recorded requests in what was named";
    // The most frequent reason says most.
    let why = left_out.into_vec().into_iter().max_by_key(|left_out| left_out.count);
    let failure = match why {
        Some(why) => Failure::could_not_run(format_args!("{message}: {} ({} times)", why.why, why.count)),
        None => Failure::could_not_run(message),
    };
    failure.hint(hint)
}

/// Differences, in groups.
#[derive(Default)]
struct Groups {
    groups: BTreeMap<Key, Group>,
    /// Hashes of the callers of all groups.
    callers: usize,
    hasher: RandomState,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    access: Access,
    route: String,
    before: Verdict,
    after: Verdict,
}

struct Group {
    count: u64,
    callers: HashSet<u64>,
    example: Example,
}

impl Groups {
    fn add(&mut self, differing: Differing) {
        let Differing { place, access, route, before, after, judged, request } = differing;
        let mut key = Key { access, route, before, after };
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&key) {
            key.route = OTHER_ROUTES.to_owned();
            key.before.policies.clear();
            key.after.policies.clear();
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            count: 0,
            callers: HashSet::new(),
            example: Example {
                place: place.to_string(),
                principal: judged.principal.clone(),
                action: judged.action.clone(),
                resource: judged.resource.clone(),
                request: serde_json::from_str(&request).unwrap_or(Value::Null),
            },
        });
        group.count += 1;
        if self.callers < MAX_CALLERS && group.callers.insert(self.hasher.hash_one(&judged.principal)) {
            self.callers += 1;
        }
    }

    fn into_vec(self) -> Vec<TrafficDifference> {
        let difference = |(key, group): (Key, Group)| TrafficDifference {
            access: key.access,
            route: key.route,
            before: key.before,
            after: key.after,
            count: group.count,
            callers: group.callers.len() as u64,
            example: group.example,
        };
        self.groups.into_iter().map(difference).collect()
    }
}

/// How many groups there are with a route of their own. More are no help to anybody.
const MAX_GROUPS: usize = 10_000;

/// The route of the groups beyond.
const OTHER_ROUTES: &str = "(other routes)";

/// How many callers are told apart, over all groups. Beyond it, the numbers of callers are lower limits.
const MAX_CALLERS: usize = 1_000_000;
