//! `check`: finds everything that is wrong with a policy store.

mod inputs;
pub mod openapi;
pub mod template;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::store::finding::{Finding, Severity};
use cedar_authorizer::store::{Checks, Store, build};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::deployment::{self, Deployment};
use crate::description::Description;
use crate::findings::strictness::Strictness;
use crate::findings::{Home, Sources, Width, github, human, sarif};
use crate::output::{ERROR, Exit, Failure, SUCCESS, many, paint, plural, print};
use crate::progress;
use crate::store::{StoreArgs, checking};
use crate::watch::watch;

/// Find everything that is wrong with a policy store
///
/// Reads all files, validates the policies against the schema (strictly, as Verified Permissions does), and reports
/// every problem with its code, file and line. Warnings do not make it fail, unless `--deny` says so. A policy accepts
/// warnings about itself with the annotation `@accept("code")`.
///
/// It also names the policies that read more than the cache key of API Gateway has: the function denies their routes.
/// `--cache-key` says which key is in use. With a SAM or CloudFormation template, it says where its authorizers,
/// CACHE_KEY and the store disagree: what API Gateway would cache, for how long, and what it would apply it to. With an
/// OpenAPI description, it names the routes that the store lacks, those that nobody may take, and those that the API
/// lacks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cedar-authorizer check
  cedar-authorizer check --store ../shop/policies --format json
  cedar-authorizer check --deny warnings --accept development-key
  cedar-authorizer check --format sarif > check.sarif
  cedar-authorizer check --inputs
  cedar-authorizer check --template template.yaml --parameter StageName=prod
  cedar-authorizer check --openapi petstore.yaml
  cedar-authorizer check --watch

Exit codes: 0 no errors, 1 could not read the store, template or description, 3 errors or denied warnings")]
pub struct Check {
    #[command(flatten)]
    store: StoreArgs,

    /// Show what each route reads of a call, and the smallest cache key that it needs
    #[arg(long)]
    inputs: bool,

    /// The cache key that is in use: `none`, `token`, or identity sources, as in CACHE_KEY
    #[arg(long, value_name = "KEY", default_value = "token", conflicts_with = "template")]
    cache_key: CacheKey,

    /// A SAM or CloudFormation template whose authorizers are compared with the store
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,

    /// A parameter of the template, which overrides its default; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", requires = "template", value_parser = parameter)]
    parameters: Vec<(String, String)>,

    /// An OpenAPI description of the API, whose routes are compared with the store
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,

    /// For how many seconds a token is valid; Cognito's default is an hour
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "template")]
    token_life: u32,

    /// Find also what is larger than Verified Permissions takes
    #[arg(long)]
    avp_limits: bool,

    #[command(flatten)]
    strictness: Strictness,

    /// The form of the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Check again whenever a file changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// The form of the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Human,
    /// For programs
    Json,
    /// For code scanners: SARIF 2.1.0
    Sarif,
    /// For workflows of GitHub: commands that show the findings in a change
    Github,
}

impl Check {
    pub fn run(self) -> Result<Exit, Failure> {
        if self.inputs && matches!(self.format, Format::Sarif | Format::Github) {
            let hint = "use `--format human` or `--format json`";
            return Err(Failure::could_not_run("this format has no place for `--inputs`").hint(hint));
        }
        if self.watch {
            let paths: Vec<PathBuf> =
                [&self.store.store].into_iter().chain(&self.template).chain(&self.openapi).cloned().collect();
            return watch(&paths, || self.nested(), || self.run_once());
        }
        self.run_once()
    }

    /// The templates of nested stacks that the template names.
    fn nested(&self) -> Vec<PathBuf> {
        let template = self.template.iter();
        template.flat_map(|path| deployment::nested_templates(path, &self.parameters)).collect()
    }

    fn run_once(&self) -> Result<Exit, Failure> {
        let files = self.store.read()?;
        let checks = Checks {
            // With a template, its own keys are compared with the store.
            cache_key: self.template.is_none().then(|| self.cache_key.clone()),
            avp_limits: self.avp_limits,
        };
        let (store, findings) = progress::during(checking(&files), || build::check(&files, &checks));
        self.check_cache_key(store.as_ref())?;
        let template = self.template.as_ref().map(read_text).transpose()?;
        let description = self.openapi.as_ref().map(read_text).transpose()?;
        let mut sources = Sources::new(&self.store.store, &files);
        let mut findings: Vec<(Finding, Home)> =
            findings.into_iter().map(|finding| (finding, Home::Store)).collect();
        if let (Some((name, text)), Some(store)) = (&template, &store) {
            sources.add(name, text);
            let parameters: BTreeMap<String, String> = self.parameters.iter().cloned().collect();
            let folder = self.template.as_ref().and_then(|path| path.parent());
            let deployment = Deployment::read(text, &parameters, folder);
            let of_template = template::audit(&deployment, store, name, self.token_life);
            findings.extend(of_template.into_iter().map(|finding| (finding, Home::Elsewhere)));
        }
        if let (Some((name, text)), Some(store)) = (&description, &store) {
            sources.add(name, text);
            let of_description = match Description::read(text.as_bytes()) {
                Ok(description) => openapi::audit(&description, store, name),
                Err(problem) => vec![openapi::unreadable(&problem, name)],
            };
            findings.extend(of_description.into_iter().map(|finding| (finding, Home::Elsewhere)));
        }
        let denied = self.strictness.apply(&mut findings);
        let report = Report { check: self, sources: &sources, store: store.as_ref(), findings, denied };
        print(&report.text())?;
        Ok(if report.count(Severity::Error) == 0 { Exit::Fine } else { Exit::Invalid })
    }

    /// The function does not start with a key that mixes up callers.
    fn check_cache_key(&self, store: Option<&Store>) -> Result<(), Failure> {
        let Some(location) = store.map(|store| &store.settings.token_location) else {
            return Ok(());
        };
        if self.cache_key.holds_token(location) {
            return Ok(());
        }
        let message = format!("the cache key `{}` does not have the token", self.cache_key);
        let hint = format!(
            "add the header `{}` to it: one caller would get the answers of another",
            location.header
        );
        Err(Failure::could_not_run(message).hint(hint))
    }
}

/// What `check` has found.
struct Report<'a> {
    check: &'a Check,
    sources: &'a Sources<'a>,
    /// `None`: the store cannot be used.
    store: Option<&'a Store>,
    findings: Vec<(Finding, Home)>,
    /// How many of the errors are denied warnings.
    denied: usize,
}

impl Report<'_> {
    fn text(&self) -> String {
        let sources = self.sources;
        let findings = self.findings.iter().map(|(finding, home)| (finding, *home));
        match self.check.format {
            Format::Json => format!("{:#}", self.json()),
            Format::Sarif => format!("{:#}", sarif::log(findings, sources)),
            Format::Github => {
                self.lines(findings.map(|(finding, home)| github::command(finding, home, sources)))
            }
            Format::Human => {
                let width = Width::of_stdout();
                let findings =
                    findings.map(|(finding, home)| format!("{}\n", human(finding, home, sources, width)));
                self.lines(findings.chain(self.routes().iter().flat_map(|routes| inputs::lines(routes))))
            }
        }
    }

    /// These lines, and the verdict.
    fn lines(&self, lines: impl Iterator<Item = String>) -> String {
        let mut text = String::new();
        for line in lines {
            // A string takes whatever is written to it.
            let _ = writeln!(text, "{line}");
        }
        text + &self.verdict()
    }

    fn json(&self) -> Value {
        let findings: Vec<&Finding> = self.findings.iter().map(|(finding, _)| finding).collect();
        let mut report = json!({
            "store": self.check.store.name(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "findings": findings,
        });
        if let (Some(routes), Some(report)) = (self.routes(), report.as_object_mut()) {
            report.insert("routes".to_owned(), json!(routes));
        }
        report
    }

    fn routes(&self) -> Option<Vec<inputs::RouteInputs>> {
        self.store.filter(|_| self.check.inputs).map(inputs::route_inputs)
    }

    fn verdict(&self) -> String {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let verdict = match self.store {
            Some(store) if errors == 0 => {
                let (policies, routes) = (store.policy_count(), store.routes.routes().len());
                let (policies, routes) = (many(policies, "policy", "policies"), plural(routes, "route"));
                paint(SUCCESS, &format!("ok: {policies}, {routes}"))
            }
            _ if errors == self.denied => paint(ERROR, &format!("denied: {}", plural(errors, "warning"))),
            _ => {
                let denied = match self.denied {
                    0 => String::new(),
                    denied => format!(" with {}", plural(denied, "denied warning")),
                };
                paint(ERROR, &format!("invalid: {}{denied}", plural(errors, "error")))
            }
        };
        let also = if warnings > 0 { format!(", {}", plural(warnings, "warning")) } else { String::new() };
        format!("{verdict}{also}")
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|(finding, _)| finding.severity == severity).count()
    }
}

/// The name and the text of the template.
fn read_text(path: &PathBuf) -> Result<(String, String), Failure> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::could_not_run(format_args!("cannot read `{name}`: {error}")))?;
    Ok((name, text))
}

pub fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
