//! `check`: all that is wrong with a policy store.

use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::Severity;
use clap::Args;
use serde_json::json;

use crate::output::{self, ERROR, Exit, Failure, Format, SUCCESS, paint, print};
use crate::store::{StoreArgs, count};

/// Find everything that is wrong with a policy store
///
/// Reads all files, validates the policies against the schema (strictly, as Verified Permissions
/// does), and reports every problem with its code, file and line. Warnings do not fail it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer check
  cedar-authorizer check --store ../shop/policies --format json

Exit codes: 0 no errors, 1 could not read the store, 3 errors")]
pub struct Check {
    #[command(flatten)]
    store: StoreArgs,

    /// The form of the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Check {
    pub fn run(self) -> Result<Exit, Failure> {
        let Self { store, format } = self;
        let (checked, findings) = Store::check(&store.read()?);
        let (errors, warnings) = (count(&findings, Severity::Error), count(&findings, Severity::Warning));
        match format {
            Format::Json => {
                let report = json!({
                    "store": store.name(),
                    "errors": errors,
                    "warnings": warnings,
                    "findings": findings,
                });
                print(&format_args!("{report:#}"))?;
            }
            Format::Human => {
                for finding in &findings {
                    print(&output::finding(finding, &store.name()))?;
                }
                let verdict = match &checked {
                    Some(store) => {
                        let (policies, routes) =
                            (store.policies.policies().count(), store.routes.routes().len());
                        let (policies, routes) =
                            (many(policies, "policy", "policies"), plural(routes, "route"));
                        paint(SUCCESS, &format!("ok: {policies}, {routes}"))
                    }
                    None => paint(ERROR, &format!("invalid: {}", plural(errors, "error"))),
                };
                let also =
                    if warnings > 0 { format!(", {}", plural(warnings, "warning")) } else { String::new() };
                print(&format_args!("{verdict}{also}"))?;
            }
        }
        Ok(if checked.is_some() { Exit::Fine } else { Exit::Invalid })
    }
}

fn plural(count: usize, noun: &str) -> String {
    many(count, noun, &format!("{noun}s"))
}

fn many(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
