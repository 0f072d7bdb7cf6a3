//! `replay`: recorded requests, decided again.

mod recorded_verdict;
mod report;

use std::path::PathBuf;

use clap::Args;

use crate::build::replace;
use crate::output::{Exit, Failure, OutputFormat, print};
use crate::recorded::judge::Court;
use crate::recorded::policies::PoliciesArgs;
use crate::recorded::traffic::{Filter, collect};
use report::Report;

/// Decide recorded requests again, and show what is decided otherwise
///
/// For trying a change of policies on real traffic before it is published, and for proving that a refactoring changes
/// nothing. Each request is decided with the policies of a store (`policies`, if none is named) or of a bundle. The
/// decision, its reason and its policies are compared with those that were recorded.
///
/// Requests come from `serve --record`, and from the decision log of a function with DECISION_LOG_REQUESTS=true, as
/// JSON or OCSF. A file may be plain or compressed with gzip, and an export of CloudWatch Logs: to S3, by Firehose, by
/// `aws logs filter-log-events`, `get-log-events` or `get-query-results`. Of a folder all files are read; `-` is standard
/// input. docs/replay.md says more.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer replay calls.jsonl
  cedar-authorizer replay calls.jsonl --store new-policies --list
  cedar-authorizer replay exported-logs/ --bundle s3://bucket/petstore.bundle
  cedar-authorizer replay calls.jsonl --route 'get /pets/{petId}' --format json --output out.json
  aws logs filter-log-events --log-group-name /aws/lambda/authorizer | cedar-authorizer replay -

Exit codes: 0 every request is decided as recorded; 1 could not run, or nothing could be decided;
2 something is decided otherwise; 3 invalid policy store or bundle")]
pub struct Replay {
    /// The records: files, folders, or `-`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    policies: PoliciesArgs,

    /// Only requests to this route, as records name it
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,

    /// Only requests of this caller: the id, or the whole entity
    #[arg(long, value_name = "ID")]
    caller: Option<String>,

    /// Show every request that is decided otherwise, too, not only groups of them
    #[arg(long)]
    list: bool,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,

    /// Write the result to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Replay {
    pub fn run(self) -> Result<Exit, Failure> {
        let (name, gate) = self.policies.open()?;
        let court = Court::new(&[&gate]);
        let filter = Filter { route: self.route.clone(), principal: self.caller.clone() };
        let mut listed = Vec::new();
        let verdicts = recorded_verdict::both;
        let traffic = collect(&self.files, &court, &verdicts, &filter, |differing| {
            if self.list {
                listed.push(report::Listed::of(differing));
            }
        })?;
        let report = Report { policies: name, traffic, list: self.list.then_some(listed) };
        let text = match self.format {
            OutputFormat::Human => report.to_text(),
            OutputFormat::Json => report.to_json()?,
        };
        match &self.output {
            Some(path) => replace(path, format!("{text}\n").as_bytes()).map_err(|error| {
                Failure::could_not_run(format_args!("cannot write `{}`: {error}", path.display()))
            })?,
            None => print(&text)?,
        }
        report.warn_of_differences();
        Ok(if report.traffic.differences.is_empty() { Exit::Fine } else { Exit::Denied })
    }
}
