//! Everything there is to say about one bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::bundle::signature::{KeyId, PublicKeys, SignatureStatus};
use cedar_authorizer::bundle::{
    self, Bundle, DevelopmentKeys, InvalidBundle, Member, MemberState, StoreFiles, Survey, Trust, Unreadable,
};
use cedar_authorizer::function::source::LoadFailure;
use cedar_authorizer::store::Store;
use cedar_authorizer::store::finding::{Finding, Severity};
use cedar_authorizer::time::{UnixTime, iso_8601};
use cedar_authorizer::token::identity_source::IdentitySource;
use cedar_authorizer::token::key_set::KeySet;
use serde::Serialize;
use serde_json::json;

use super::source::Source;
use super::{extract, verify};
use crate::output::{
    ERROR, Failure, HINT, OutputFormat, SUCCESS, WARNING, many, paint, plural, print, printable, warn,
};
use crate::progress;
use crate::publish::signatures;
use crate::store::{checking, count};

/// Everything there is to say about one bundle.
pub struct Report<'a> {
    source: &'a Source,
    bytes: Vec<u8>,
    survey: Survey,
    /// The status of each signature.
    signatures: Vec<(KeyId, SignatureStatus)>,
    /// `None`: the archive is incomplete.
    files: Option<StoreFiles>,
    /// `None`: it cannot be opened.
    bundle: Option<Bundle>,
    /// `None`: there is no bundle.
    counts: Option<Counts>,
    /// Why the function would not use it, apart from the development key and the function's own settings.
    problems: Vec<String>,
    /// The findings of `check` about the store in it.
    findings: Vec<Finding>,
    /// `None`: this was not asked for, or cannot be answered.
    differences: Option<Vec<verify::MemberDifference>>,
    extracted: Option<PathBuf>,
}

impl<'a> Report<'a> {
    /// One of the keys in `trusted` must have signed the bundle. Without `trusted`, signatures are not checked.
    pub fn new(source: &'a Source, bytes: Vec<u8>, trusted: Option<&PublicKeys>, now: UnixTime) -> Self {
        let survey = bundle::survey(&bytes);
        let trusted = source.trusted(trusted);
        let signatures = survey.check_signatures(trusted);
        let trust = Trust { development_keys: DevelopmentKeys::Allow, public_keys: trusted };
        let mut problems: Vec<String> = survey.problems.iter().map(ToString::to_string).collect();
        // The function reads parts of a policy only when a call needs them. Here they are all read at once.
        let opened = Bundle::open(bytes.clone(), trust)
            .and_then(|bundle| Ok((Some(Counts::count(&bundle)?), Some(bundle))));
        let is_store_invalid = matches!(opened, Err(InvalidBundle::IdentitySources(_)));
        let (counts, bundle) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if survey.problems.is_empty() && !is_store_invalid {
                    problems.push(error.to_string());
                }
                (None, None)
            }
        };
        if bundle.as_ref().is_some_and(|bundle: &Bundle| bundle.manifest().has_ended(now)) {
            problems.push(LoadFailure::Expired.to_string());
        }
        let files = bundle::unpack(&bytes).ok().map(|mut files| {
            files.retain_known();
            files
        });
        let check = |files: &StoreFiles| progress::during(checking(files), || Store::check(files).1);
        let findings = files.as_ref().map(check).unwrap_or_default();
        if is_store_invalid {
            let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
            problems.extend(errors.map(ToString::to_string));
        }
        Self {
            source,
            bytes,
            survey,
            signatures,
            files,
            bundle,
            counts,
            problems,
            findings,
            differences: None,
            extracted: None,
        }
    }

    /// Whether the bundle cannot be used, or is not what its sources make.
    pub fn is_invalid(&self) -> bool {
        !self.is_usable() || self.differences.as_ref().is_some_and(|differences| !differences.is_empty())
    }

    /// Whether the function may use it, judged by the bundle alone.
    fn is_usable(&self) -> bool {
        self.bundle.is_some() && self.problems.is_empty()
    }

    /// Compares it with what its sources make.
    pub fn verify(&mut self) -> Result<(), Failure> {
        match &self.bundle {
            Some(bundle) => self.differences = Some(verify::differences(bundle, &self.bytes)?),
            None => warn(&"not verified: the bundle cannot be opened"),
        }
        Ok(())
    }

    /// Writes the sources. This also works for a bundle that cannot be used, if these are the sources it
    /// was built from.
    pub fn extract(&mut self, target: &Path) -> Result<(), Failure> {
        match &self.files {
            Some(files) => {
                extract::write(files, target)?;
                self.extracted = Some(target.to_owned());
            }
            None => warn(&"nothing was extracted: the bundle is not whole"),
        }
        Ok(())
    }

    pub fn print(&self, format: OutputFormat) -> Result<(), Failure> {
        match format {
            OutputFormat::Json => self.print_json(),
            OutputFormat::Human => self.print_human(),
        }
    }

    fn print_json(&self) -> Result<(), Failure> {
        let manifest = self.survey.manifest.as_ref();
        let members: Vec<_> = self
            .members()
            .map(|(Member { path, size, sha256 }, state)| {
                json!({"path": path, "size": size, "sha256": sha256, "state": state.name()})
            })
            .collect();
        let verification = self.differences.as_ref().map(|differences| {
            let members: Vec<_> = differences.iter().map(|difference| &difference.member).collect();
            json!({"matches": differences.is_empty(), "differences": members})
        });
        let extracted = self.extracted.as_ref().map(
            |directory| json!({"directory": directory.display().to_string(), "files": self.count_of_files()}),
        );
        print(&format_args!(
            "{:#}",
            json!({
                "bundle": self.source.to_string(),
                "status": if self.is_usable() { "usable" } else { "unusable" },
                "problems": self.problems,
                "bytes": self.bytes.len(),
                "sha256": self.sha256(),
                "formatVersion": self.survey.format_version,
                "name": manifest.map(|manifest| &manifest.name),
                "tenant": manifest.and_then(|manifest| manifest.tenant.as_ref()),
                "revision": manifest.map(|manifest| manifest.revision),
                "created": manifest.and_then(|manifest| manifest.created),
                "notAfter": manifest.and_then(|manifest| manifest.not_after),
                "signatures": signatures(&self.signatures),
                "cedarVersion": manifest.map(|manifest| &manifest.cedar_version),
                "members": members,
                "counts": self.counts,
                "developmentKey": self.bundle.as_ref().map(trusts_development_key),
                "findings": self.findings,
                "verification": verification,
                "extracted": extracted,
            })
        ))
    }

    fn print_human(&self) -> Result<(), Failure> {
        let identity = match &self.survey.manifest {
            Some(manifest) => format!("{} revision {}", printable(&manifest.name), manifest.revision),
            None => "no bundle that can be read".to_owned(),
        };
        print(&format_args!("{}: {identity}", printable(&self.source.to_string())))?;
        let cedar = self.survey.manifest.as_ref().map(|manifest| printable(&manifest.cedar_version));
        let time = |seconds: Option<u64>| seconds.and_then(|seconds| iso_8601(seconds.saturating_mul(1000)));
        let manifest = self.survey.manifest.as_ref();
        let tenant = manifest.and_then(|manifest| manifest.tenant.as_ref());
        let rows = [
            ("tenant", tenant.map(ToString::to_string)),
            ("created", time(manifest.and_then(|manifest| manifest.created))),
            ("good until", time(manifest.and_then(|manifest| manifest.not_after))),
            ("signed by", manifest.map(|_| signers(&self.signatures))),
            ("format", self.survey.format_version.map(|version| version.to_string())),
            ("cedar", cedar),
            ("size", Some(format!("{} bytes", self.bytes.len()))),
            ("sha256", Some(self.sha256())),
            ("contents", self.counts.as_ref().map(Counts::to_string)),
            ("warnings", self.warnings()),
            ("files", manifest.map(|_| self.survey.members.len().to_string())),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                print(&format_args!("  {} {value}", paint(HINT, &format!("{name:<10}"))))?;
            }
        }
        for (Member { path, size, sha256 }, state) in self.members() {
            let mark = match state {
                MemberState::Whole => String::new(),
                state => paint(ERROR, &format!(" {}", state.name())),
            };
            print(&format_args!("  {size:>10}  {}  {}{mark}", printable(sha256), printable(path)))?;
        }
        let differences = self.differences.iter().flatten().map(|difference| &difference.message);
        for problem in self.problems.iter().chain(differences) {
            print(&format_args!("{}: {}", paint(ERROR, "error"), printable(problem)))?;
        }
        if self.differences.as_ref().is_some_and(Vec::is_empty) {
            let signed = if self.signatures.is_empty() {
                "nobody signed it"
            } else if self.signatures.iter().any(|(_, status)| *status == SignatureStatus::Valid) {
                "a trusted key signed it"
            } else {
                "its signatures were not checked"
            };
            let verified = paint(SUCCESS, "verified");
            print(&format_args!("{verified}: the sources make every byte of it; {signed}"))?;
        }
        if let Some(target) = &self.extracted {
            let files = plural(self.count_of_files(), "file");
            print(&format_args!("{}: {files} to {}", paint(SUCCESS, "extracted"), target.display()))?;
        }
        match (self.is_usable(), self.is_invalid()) {
            (false, _) => print(&paint(ERROR, "unusable: no function loads it")),
            (true, true) => print(&paint(ERROR, "not verified: build it anew")),
            (true, false) => Ok(()),
        }
    }

    /// Everything to warn of, in one line.
    fn warnings(&self) -> Option<String> {
        let bundle = self.bundle.as_ref()?;
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in &self.findings {
            *codes.entry(finding.code.name()).or_default() += 1;
        }
        let codes = codes.iter().map(|(code, count)| match count {
            1 => (*code).to_owned(),
            count => format!("{code} ({count})"),
        });
        let mut parts = vec![codes.collect::<Vec<_>>().join(", ")];
        // The function no longer checks these, but the store could not be built again.
        let errors = count(&self.findings, Severity::Error);
        if errors > 0 {
            parts.push(format!("{} for `check` of this version", plural(errors, "error")));
        }
        if trusts_development_key(bundle) {
            parts.push("the function refuses it unless ALLOW_DEVELOPMENT_KEYS=true".to_owned());
        }
        parts.retain(|part| !part.is_empty());
        (!parts.is_empty()).then(|| paint(WARNING, &parts.join("; ")))
    }

    fn members(&self) -> impl Iterator<Item = (&Member, MemberState)> {
        self.survey.members.iter().map(|(member, state)| (member, *state))
    }

    fn count_of_files(&self) -> usize {
        self.files.as_ref().map_or(0, |files| files.iter().count())
    }

    fn sha256(&self) -> String {
        digest(&SHA256, &self.bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The names of the signers, and the status of each signature.
pub fn signers(signatures: &[(KeyId, SignatureStatus)]) -> String {
    let signer = |(key_id, status): &(KeyId, SignatureStatus)| {
        let style = match status {
            SignatureStatus::Invalid => ERROR,
            SignatureStatus::NotChecked => WARNING,
            SignatureStatus::Valid => SUCCESS,
        };
        format!("{key_id} ({})", paint(style, &status.to_string()))
    };
    match signatures {
        [] => "nobody".to_owned(),
        signatures => signatures.iter().map(signer).collect::<Vec<_>>().join(", "),
    }
}

fn trusts_development_key(bundle: &Bundle) -> bool {
    bundle
        .identity_sources()
        .iter()
        .filter_map(IdentitySource::pinned_keys)
        .any(KeySet::holds_development_key)
}

/// How many things of each kind are in a bundle.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    policies: usize,
    templates: usize,
    template_links: usize,
    routes: usize,
    entities: usize,
    identity_sources: usize,
}

impl Counts {
    fn count(bundle: &Bundle) -> Result<Self, Unreadable> {
        let policies = bundle.policies()?;
        let template_links = policies.policies().filter(|policy| policy.template_id().is_some()).count();
        // The actions of the schema are entities too. They are kept with those of the store.
        let is_action = |name: &String| name.rsplit("::").next() == Some("Action");
        Ok(Self {
            policies: policies.policies().count() - template_links,
            templates: policies.templates().count(),
            template_links,
            routes: bundle.routes().routes().len(),
            entities: bundle.entities().types()?.iter().filter(|name| !is_action(name)).count(),
            identity_sources: bundle.identity_sources().len(),
        })
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { policies, templates, template_links, routes, entities, identity_sources } = self;
        let parts = [
            many(*policies, "policy", "policies"),
            plural(*templates, "template"),
            plural(*template_links, "template link"),
            plural(*routes, "route"),
            many(*entities, "entity", "entities"),
            plural(*identity_sources, "identity source"),
        ];
        f.write_str(&parts.join(", "))
    }
}
