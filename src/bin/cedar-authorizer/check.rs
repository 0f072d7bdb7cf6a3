//! `check`: finds everything that is wrong with a policy store.

mod inputs;
mod template;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use cedar_authorizer::store::finding::{Finding, Severity};
use cedar_authorizer::store::{Checks, build};
use clap::Args;
use serde_json::json;

use crate::deployment::Deployment;
use crate::output::{self, ERROR, Exit, Failure, OutputFormat, SUCCESS, many, paint, plural, print};
use crate::progress;
use crate::store::{StoreArgs, checking, count};

/// Find everything that is wrong with a policy store
///
/// Reads all files, validates the policies against the schema (strictly, as Verified Permissions does), and reports
/// every problem with its code, file and line. Warnings do not make it fail.
///
/// With a SAM or CloudFormation template, it also says where its authorizers, CACHE_KEY and the store disagree: what
/// API Gateway would cache, for how long, and what it would apply it to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer check
  cedar-authorizer check --store ../shop/policies --format json
  cedar-authorizer check --inputs
  cedar-authorizer check --template template.yaml --parameter StageName=prod

Exit codes: 0 no errors, 1 could not read the store or template, 3 errors")]
pub struct Check {
    #[command(flatten)]
    store: StoreArgs,

    /// Show what each route reads of a call, and the smallest cache key that it needs
    #[arg(long)]
    inputs: bool,

    /// A SAM or CloudFormation template whose authorizers are compared with the store
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// A parameter of the template, which overrides its default; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", requires = "template", value_parser = parameter)]
    parameters: Vec<(String, String)>,

    /// For how many seconds a token is valid; Cognito's default is an hour
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "template")]
    token_life: u32,

    /// The form of the findings
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl Check {
    pub fn run(self) -> Result<Exit, Failure> {
        let Self { store, inputs, template, parameters, token_life, format } = self;
        let files = store.read()?;
        let checks = Checks::default();
        let (checked, findings) = progress::during(checking(&files), || build::check(&files, &checks));
        let of_template = match (&template, &checked) {
            (Some(path), Some(checked)) => {
                let name = path.display().to_string();
                let text = fs::read_to_string(path)
                    .map_err(|error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}")))?;
                let parameters: BTreeMap<String, String> = parameters.into_iter().collect();
                template::audit(&Deployment::read(&text, &parameters), checked, &name, token_life)
            }
            _ => Vec::new(),
        };
        let routes = checked.as_ref().filter(|_| inputs).map(inputs::route_inputs);
        let shown = findings.iter().map(|finding| output::finding(finding, &store.name()));
        let shown: Vec<String> = shown.chain(of_template.iter().map(output::finding_of_template)).collect();
        let findings: Vec<Finding> = findings.into_iter().chain(of_template).collect();
        let (errors, warnings) = (count(&findings, Severity::Error), count(&findings, Severity::Warning));
        match format {
            OutputFormat::Json => {
                let mut report = json!({
                    "store": store.name(),
                    "errors": errors,
                    "warnings": warnings,
                    "findings": findings,
                });
                if let (Some(routes), Some(report)) = (routes, report.as_object_mut()) {
                    report.insert("routes".to_owned(), json!(routes));
                }
                print(&format_args!("{report:#}"))?;
            }
            OutputFormat::Human => {
                for line in
                    shown.iter().cloned().chain(routes.iter().flat_map(|routes| inputs::lines(routes)))
                {
                    print(&line)?;
                }
                let verdict = match &checked {
                    Some(store) if errors == 0 => {
                        let (policies, routes) =
                            (store.policies.policies().count(), store.routes.routes().len());
                        let (policies, routes) =
                            (many(policies, "policy", "policies"), plural(routes, "route"));
                        paint(SUCCESS, &format!("ok: {policies}, {routes}"))
                    }
                    _ => paint(ERROR, &format!("invalid: {}", plural(errors, "error"))),
                };
                let also =
                    if warnings > 0 { format!(", {}", plural(warnings, "warning")) } else { String::new() };
                print(&format_args!("{verdict}{also}"))?;
            }
        }
        Ok(if errors == 0 { Exit::Fine } else { Exit::Invalid })
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
