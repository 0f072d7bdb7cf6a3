//! What is printed at the start.

mod sample;

pub use sample::UPGRADE;
use std::fmt::Display;
use std::path::Path;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::store::finding::{Finding, Severity};

use super::api::{Kind, ServedApi};
use super::in_force::{LastLook, Origin};
use super::{Serve, Served};
use crate::findings::{Home, Sources, Width, human};
use crate::output::{Failure, HINT, WARNING, paint, plural, print, printable, warn};

/// Prints the findings of a look that are errors, and what else is wrong.
pub fn warn_of(origin: &Origin, look: &LastLook) {
    let errors = look.findings.iter().filter(|finding| finding.severity == Severity::Error);
    show(origin, look, errors);
    if let Some((problem, hint)) = &look.problem {
        warn(&format_args!("{}: {}", paint(WARNING, "warning"), printable(problem)));
        if let Some(hint) = hint {
            warn(&format_args!("  {} {hint}", paint(HINT, "help:")));
        }
    }
}

/// Why nothing can be served.
pub fn failure(origin: &Origin, look: LastLook) -> Failure {
    let errors: Vec<&Finding> =
        look.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    if !errors.is_empty() {
        show(origin, &look, errors.into_iter());
        return Failure::invalid(format_args!("the policy store `{}` is invalid", origin.name()));
    }
    let (problem, hint) = look.problem.unwrap_or_default();
    let failure = Failure::could_not_run(problem);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Prints what is not served as the template or the description says.
pub fn warn_of_api(api: &ServedApi) {
    let files = StoreFiles::default();
    let (sources, width) = (Sources::new(Path::new(""), &files), Width::of_stderr());
    for finding in api.findings.iter().take(MAX_SHOWN) {
        warn(&format_args!("{}\n", human(finding, Home::Elsewhere, &sources, width)));
    }
    if let Some(more) = api.findings.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
        warn(&format_args!("... and {more} more; `check` shows all of them"));
    }
}

fn show<'a>(origin: &Origin, look: &LastLook, findings: impl Iterator<Item = &'a Finding>) {
    let name = origin.name();
    let (sources, width) = (Sources::new(Path::new(&name), &look.files), Width::of_stderr());
    for finding in findings {
        warn(&format_args!("{}\n", human(finding, Home::Store, &sources, width)));
    }
}

/// Prints where clients find what is served, and what it is.
pub fn print_facts(serve: &Serve, served: &Served) -> Result<(), Failure> {
    let in_force = served.in_force.get();
    let (api, address) = (&in_force.api, &served.settings.address);
    if !serve.listen.is_loopback() {
        let text = "whoever reaches this address can sign tokens that this process accepts";
        warn(&format_args!("{}: {text}", paint(WARNING, "warning")));
    }
    print(&format_args!("listening on {address}"))?;
    let routes = plural(api.routes.routes().len(), "route");
    fact("api", &format_args!("{}, {}; {routes}", printable(&api.name), kind(api.kind())))?;
    fact("store", &format_args!("{}, watched for changes", served.settings.store.display()))?;
    for authorizer in &api.authorizers {
        let seconds = authorizer.time_to_live.as_secs();
        let text = match (&authorizer.key, seconds) {
            (CacheKey::None, _) | (_, 0) => "answers are not kept".to_owned(),
            (key, seconds) => format!("answers are kept for {seconds} seconds under `{key}`"),
        };
        fact("cache", &text)?;
    }
    if let Some(url) = &serve.authorizer {
        fact("authorizer", url)?;
    }
    match &serve.backend {
        Some(url) => fact("backend", url)?,
        None => fact("backend", &"a mock, which shows what a backend would get")?,
    }
    fact("bench", &format_args!("{address}/_bench/"))?;
    match sample::line(&in_force, address) {
        Some(curl) => fact("try", &curl),
        None => Ok(()),
    }
}

fn fact(name: &str, text: &impl Display) -> Result<(), Failure> {
    print(&format_args!("  {} {text}", paint(HINT, &format!("{name:<10}"))))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::RestRequest => "a REST API with a REQUEST authorizer",
        Kind::RestToken => "a REST API with a TOKEN authorizer",
        Kind::Http => "an HTTP API with payload format 2.0",
        Kind::HttpSimple => "an HTTP API with simple responses",
        Kind::HttpV1 => "an HTTP API with payload format 1.0",
        Kind::WebSocket => "a WebSocket API",
    }
}

/// More would push what matters off the screen.
const MAX_SHOWN: usize = 20;
