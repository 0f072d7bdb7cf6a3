//! A side of a comparison: a policy store with a test bench, wherever it came from.

mod git;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cedar_authorizer::bundle::signature::PublicKeys;
use cedar_authorizer::bundle::{self, Bundle, DevelopmentKeys, StoreFiles, Tenant, Trust};
use cedar_authorizer::store::finding::Severity;
use cedar_authorizer::store::{Store, build, directory};
use serde::Serialize;
use tempfile::TempDir;

use crate::inspect::source;
use crate::output::{Failure, printable};
use crate::progress;
use crate::store::{StoreArgs, checking};
use crate::test_bench::{Personas, TestBench, TestIssuer};

/// A policy store that answers requests.
pub struct Side {
    pub identity: Identity,
    pub bench: TestBench,
    /// The folder with its tests, if it has one.
    pub folder: Option<Folder>,
}

/// What a report says of a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// As it was given.
    pub name: String,
    /// The name of the policy store.
    pub store: String,
    /// The tenant that a bundle is for.
    pub tenant: Option<Tenant>,
    /// The revision of a bundle.
    pub revision: Option<u64>,
    /// The SHA-256 of the manifest of a bundle.
    pub digest: Option<String>,
    /// The commit of a git revision.
    pub commit: Option<String>,
    /// Who signed a bundle. `None`: it is none.
    pub signatures: Option<Vec<Signature>>,
}

/// A signature of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    pub key_id: String,
    /// `valid`, `invalid` or `not-checked`.
    pub status: &'static str,
}

/// A folder with a policy store.
pub enum Folder {
    Given(PathBuf),
    /// Of git. It is removed with the side.
    Unpacked {
        path: PathBuf,
        _removed_at_end: TempDir,
    },
}

impl Folder {
    pub fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Unpacked { path, .. } => path,
        }
    }
}

/// What is read of a side before its test bench is made.
pub struct ReadSide {
    pub identity: Identity,
    pub store: Store,
    pub files: StoreFiles,
    pub bundle: Bundle,
    /// `None`: bundles have none.
    pub personas: Option<Personas>,
    pub folder: Option<Folder>,
}

/// Which side of a comparison it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It was valid when it was made. It need not pass checks that `check` has learned since.
    Old,
    /// It must pass every check.
    New,
}

/// Reads a side: a directory, a bundle, or a git revision.
///
/// # Errors
/// There is no such thing, it is invalid, or none of the trusted keys signed it.
pub fn read(text: &str, age: Age, trusted: Option<&PublicKeys>) -> Result<ReadSide, Failure> {
    let path = Path::new(text);
    if text.starts_with("s3://") || text.starts_with("file://") || path.is_file() {
        return read_bundle(text, trusted);
    }
    if path.is_dir() {
        return read_folder(text, Folder::Given(path.to_owned()), None, age);
    }
    if let Some((revision, within)) = text.split_once(':') {
        let unpacked = progress::during(format!("reading `{}`", printable(text)), || {
            git::unpack(revision, within).map_err(|failure| failure.about(text))
        })?;
        let folder = Folder::Unpacked { path: unpacked.path, _removed_at_end: unpacked.folder };
        return read_folder(text, folder, Some(unpacked.commit), age);
    }
    let message = format!("there is no file or directory `{}`", printable(text));
    Err(Failure::could_not_run(message).hint(
        "name the directory of a policy store, a bundle, s3://bucket/key, or a git revision as `main:policies`",
    ))
}

/// Both sides with their test benches. Bundles have no personas: then those of the other side are used.
///
/// # Errors
/// The system has no random numbers.
pub fn pair(old: ReadSide, new: ReadSide) -> Result<(Side, Side), Failure> {
    let issuer = Arc::new(TestIssuer::new()?);
    let personas = match (&new.personas, &old.personas) {
        (Some(personas), _) | (None, Some(personas)) => Some(personas.clone()),
        (None, None) => None,
    };
    Ok((old.into_side(personas.as_ref(), &issuer)?, new.into_side(personas.as_ref(), &issuer)?))
}

impl ReadSide {
    /// The side of a bundle that was opened, and whose store was read.
    pub fn of_bundle(
        name: String,
        bytes: &[u8],
        (store, files): (Store, StoreFiles),
        bundle: Bundle,
        trusted: Option<&PublicKeys>,
    ) -> Self {
        let identity = Identity::of_bundle(name, bytes, &bundle, trusted);
        Self { identity, store, files, bundle, personas: None, folder: None }
    }

    fn into_side(self, of_other: Option<&Personas>, issuer: &Arc<TestIssuer>) -> Result<Side, Failure> {
        let Self { identity, store, files, bundle, personas, folder } = self;
        let none = || Personas::parse(Path::new("personas.toml"), "");
        let personas = match personas.or_else(|| of_other.cloned()) {
            Some(personas) => personas,
            None => none()?,
        };
        let name = identity.name.clone();
        let bench = TestBench::of_bundle(name, store, files, bundle, personas, Arc::clone(issuer));
        Ok(Side { identity, bench, folder })
    }
}

impl Identity {
    /// The identity of a bundle.
    pub fn of_bundle(name: String, bytes: &[u8], bundle: &Bundle, trusted: Option<&PublicKeys>) -> Self {
        let manifest = bundle.manifest();
        let signatures = bundle::survey(bytes).check_signatures(trusted);
        let signature =
            |(key_id, status): &(bundle::signature::KeyId, bundle::signature::SignatureStatus)| Signature {
                key_id: key_id.to_string(),
                status: status.name(),
            };
        Self {
            name,
            store: manifest.name.clone(),
            tenant: manifest.tenant.clone(),
            revision: Some(manifest.revision),
            digest: Some(bundle.digest().to_owned()),
            commit: None,
            signatures: Some(signatures.iter().map(signature).collect()),
        }
    }

    /// The identity for people, in one line.
    pub fn shown(&self) -> String {
        let Self { name, store, tenant, revision, digest, commit, signatures } = self;
        let mut shown = format!("{name}: {store}");
        if let Some(tenant) = tenant {
            shown += &format!(" for the tenant {tenant}");
        }
        if let Some(revision) = revision {
            shown += &format!(" revision {revision}");
        }
        if let Some(commit) = commit {
            shown += &format!(", commit {}", short(commit));
        }
        if let Some(digest) = digest {
            shown += &format!(", digest {}", short(digest));
        }
        let signer = |Signature { key_id, status }: &Signature| format!("{key_id} ({status})");
        match signatures.as_deref() {
            None => {}
            Some([]) => shown += ", signed by nobody",
            Some(signatures) => {
                let signers: Vec<String> = signatures.iter().map(signer).collect();
                shown += &format!(", signed by {}", signers.join(", "));
            }
        }
        shown
    }
}

/// The first digits of a hash.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn read_folder(name: &str, folder: Folder, commit: Option<String>, age: Age) -> Result<ReadSide, Failure> {
    let shown = StoreArgs { store: PathBuf::from(name) };
    let hint = "a policy store is a directory with a `store.toml`";
    let files = progress::during(format!("reading `{}`", printable(name)), || directory::read(folder.path()));
    let files = files.map_err(|error| Failure::could_not_run(error).hint(hint))?;
    let (store, findings) = progress::during(checking(&files), || match age {
        Age::New => Store::check(&files),
        Age::Old => match Store::open(&files) {
            Ok(store) => (Some(store), Vec::new()),
            Err(findings) => (None, findings),
        },
    });
    let Some(store) = store else {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        shown.warn_of(&files, errors);
        return Err(Failure::invalid(format_args!("the policy store `{}` is invalid", printable(name))));
    };
    let personas = Personas::read(folder.path())?;
    let bundle = progress::during("building the bundle", || {
        let bytes = build::bundle(&store, &files, DIRECTORY_REVISION).map_err(Failure::invalid)?;
        Bundle::open(bytes, DevelopmentKeys::Allow).map_err(Failure::invalid)
    });
    let bundle = bundle.map_err(|failure| failure.about(name))?;
    let identity = Identity {
        name: name.to_owned(),
        store: store.settings.name.clone(),
        tenant: None,
        revision: None,
        digest: None,
        commit,
        signatures: None,
    };
    Ok(ReadSide { identity, store, files, bundle, personas: Some(personas), folder: Some(folder) })
}

fn read_bundle(text: &str, trusted: Option<&PublicKeys>) -> Result<ReadSide, Failure> {
    let source = source::parse(text).map_err(|error| Failure::could_not_run(error).about(text))?;
    open_bundle(text, source.read()?, trusted)
}

/// Opens a bundle and the store in it. It could be opened when it was made, so it need not pass checks that `check` has
/// learned since.
///
/// # Errors
/// It cannot be used, or none of the trusted keys signed it.
pub fn open_bundle(name: &str, bytes: Vec<u8>, trusted: Option<&PublicKeys>) -> Result<ReadSide, Failure> {
    let trust = Trust { development_keys: DevelopmentKeys::Allow, public_keys: trusted };
    let invalid = |problem: String| {
        let lines: Vec<String> = problem.lines().map(printable).collect();
        let shown = printable(name);
        Failure::invalid(format_args!("`{shown}` cannot be used: {}", lines.join("\n")))
            .hint(format!("`cedar-authorizer inspect {shown}` shows all that is wrong with it"))
    };
    let bundle = Bundle::open(bytes.clone(), trust).map_err(|error| invalid(error.to_string()))?;
    let files = bundle::unpack(&bytes).map_err(|error| invalid(error.to_string()))?;
    let store = Store::open(&files).map_err(|findings| {
        let first = findings.first().map(|finding| finding.message.clone());
        invalid(format!("its policy store is invalid: {}", first.unwrap_or_default()))
    })?;
    Ok(ReadSide::of_bundle(name.to_owned(), &bytes, (store, files), bundle, trusted))
}

/// The revision of a store that was never built, the same as in the function.
const DIRECTORY_REVISION: u64 = 0;
