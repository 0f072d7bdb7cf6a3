//! What counts as an error: `--deny` and `--accept`.

use std::str::FromStr;

use cedar_authorizer::store::finding::{Code, Finding, Severity};
use clap::Args;

use crate::nearest::did_you_mean;

/// Which warnings count as errors, and which do not count.
#[derive(Debug, Args)]
pub struct Strictness {
    /// Warnings that count as errors: `warnings` for all, or a code; may be repeated
    #[arg(long, value_name = "warnings|CODE")]
    deny: Vec<Denied>,

    /// A code whose warnings are left out, also of those denied; may be repeated
    #[arg(long, value_name = "CODE", value_parser = warning)]
    accept: Vec<Code>,
}

/// Warnings that count as errors.
#[derive(Clone, Copy, Debug)]
enum Denied {
    Warnings,
    Of(Code),
}

impl FromStr for Denied {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == WARNINGS { Ok(Self::Warnings) } else { code(text, Some(WARNINGS)).map(Self::Of) }
    }
}

impl Strictness {
    /// Leaves out what is accepted and makes errors of what is denied. Returns how many warnings became errors.
    pub fn apply<T>(&self, findings: &mut Vec<(Finding, T)>) -> usize {
        findings.retain(|(finding, _)| {
            finding.severity == Severity::Error || !self.accept.contains(&finding.code)
        });
        let is_denied = |code: Code| {
            self.deny.iter().any(|denied| match denied {
                Denied::Warnings => true,
                Denied::Of(denied) => *denied == code,
            })
        };
        let mut count = 0;
        for (finding, _) in findings {
            if finding.severity == Severity::Warning && is_denied(finding.code) {
                finding.severity = Severity::Error;
                count += 1;
            }
        }
        count
    }
}

fn warning(text: &str) -> Result<Code, String> {
    let code = code(text, None)?;
    if code.severity() == Severity::Error {
        Err("this is an error, which cannot be accepted".to_owned())
    } else {
        Ok(code)
    }
}

fn code(text: &str, other: Option<&str>) -> Result<Code, String> {
    Code::from_name(text).ok_or_else(|| {
        let names = Code::ALL.iter().map(|code| code.name()).chain(other);
        match did_you_mean(text, names) {
            Some(advice) => format!("there is no such finding; {advice}"),
            None => "there is no such finding; docs/findings.md lists them".to_owned(),
        }
    })
}

const WARNINGS: &str = "warnings";
