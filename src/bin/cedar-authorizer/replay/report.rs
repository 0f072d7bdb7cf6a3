//! What came of a replay.

use std::fmt::Write;

use serde::Serialize;

use crate::access::Access;
use crate::output::{ERROR, Failure, HINT, SUCCESS, WARNING, many, paint, printable, warn};
use crate::recorded::traffic::Differing;
use crate::recorded::{Traffic, TrafficDifference, Verdict};

/// Recorded requests beside what is decided now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The store or bundle that decides, as it was named.
    pub policies: String,
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Each request that is decided otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<Vec<Listed>>,
}

/// A request that is decided otherwise.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    place: String,
    access: Access,
    route: String,
    before: Verdict,
    after: Verdict,
    principal: String,
    resource: String,
}

impl Listed {
    pub fn of(differing: &Differing) -> Self {
        Self {
            place: differing.place.to_string(),
            access: differing.access,
            route: differing.route.clone(),
            before: differing.before.clone(),
            after: differing.after.clone(),
            principal: differing.judged.principal.clone(),
            resource: differing.judged.resource.clone(),
        }
    }
}

impl Report {
    pub fn to_json(&self) -> Result<String, Failure> {
        let json = serde_json::to_value(self).map_err(Failure::could_not_run)?;
        Ok(format!("{json:#}"))
    }

    /// For people. Everything that comes from files is made printable.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for difference in &self.traffic.differences {
            add_group(&mut text, difference);
        }
        for listed in self.list.iter().flatten() {
            let Listed { place, access, route, before, after, principal, resource } = listed;
            let line = format!(
                "{place}  {}  {route}: {} -> {}, {principal} on {resource}",
                access.name(),
                told(before),
                told(after)
            );
            let _ = writeln!(text, "{}", printable(&line));
        }
        if self.list.as_ref().is_some_and(|list| !list.is_empty()) {
            text.push('\n');
        }
        let differing = self.differing();
        let same = self.traffic.requests.saturating_sub(differing);
        let _ = write!(
            text,
            "{}: {same} decided as recorded, {differing} otherwise",
            count(self.traffic.requests, "request", "requests")
        );
        for left_out in &self.traffic.left_out {
            let line = format!("left out {}: {}; first: {}", left_out.count, left_out.why, left_out.first);
            let _ = write!(text, "\n{}", printable(&line));
        }
        text
    }

    /// How many requests are decided otherwise.
    fn differing(&self) -> u64 {
        self.traffic.differences.iter().map(|difference| difference.count).sum()
    }

    /// The last line: what came of it.
    pub fn warn_of_differences(&self) {
        let policies = printable(&self.policies);
        match self.differing() {
            0 => warn(&format_args!("{}: `{policies}` decides as recorded", paint(SUCCESS, "ok"))),
            differing => {
                let requests = count(differing, "request", "requests");
                warn(&format_args!(
                    "{}: `{policies}` decides {requests} otherwise",
                    paint(ERROR, "different")
                ));
                if self.list.is_none() {
                    warn(&format_args!("  {} --list shows each of them", paint(HINT, "help:")));
                }
            }
        }
    }
}

fn add_group(text: &mut String, difference: &TrafficDifference) {
    let TrafficDifference { access, route, before, after, count: requests, callers, example } = difference;
    let style = match access {
        Access::Gained => ERROR,
        Access::Lost => WARNING,
        Access::Same => HINT,
    };
    let _ = writeln!(text, "{} {}", paint(style, access.name()), printable(route));
    let _ = writeln!(text, "  recorded  {}", printable(&told(before)));
    let _ = writeln!(text, "  now       {}", printable(&told(after)));
    let _ = writeln!(
        text,
        "  {} of {}",
        count(*requests, "request", "requests"),
        count(*callers, "caller", "callers")
    );
    let first = format!("{}, {} on {}", example.place, example.principal, example.resource);
    let _ = writeln!(text, "  first: {}\n", printable(&first));
}

fn told(verdict: &Verdict) -> String {
    let Verdict { decision, reason, policies } = verdict;
    if policies.is_empty() {
        format!("{decision}, {reason}")
    } else {
        format!("{decision}, {reason}: {}", policies.join(", "))
    }
}

fn count(count: u64, one: &str, several: &str) -> String {
    many(usize::try_from(count).unwrap_or(usize::MAX), one, several)
}
