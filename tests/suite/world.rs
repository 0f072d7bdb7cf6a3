//! The sample store, its people, and golden files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use cedar_authorizer::decide::outcome::Outcome;
use cedar_authorizer::decide::{Gate, Session};
use cedar_authorizer::gateway::cache_key::CacheKey;
use cedar_authorizer::gateway::call::Call;
use cedar_authorizer::store::{Store, build, directory};
use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::Unverified;
use cedar_authorizer::token::key_set::{KeySet, KeySets};
use serde_json::{Value, json};

pub const CLI: &str = env!("CARGO_BIN_EXE_cedar-authorizer");
pub const FUNCTION: &str = env!("CARGO_BIN_EXE_cedar-authorizer-lambda");

/// 2024-01-01 and 2100-01-01: tokens in events are valid from the first to the second.
pub const ISSUED_AT: u64 = 1_704_067_200;
pub const EXPIRES_AT: u64 = 4_102_444_800;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn sample_store() -> PathBuf {
    root().join("policies")
}

/// Runs the command line in the folder of the package.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(CLI).args(arguments).current_dir(root()).output().unwrap()
}

#[track_caller]
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A token of a persona, valid for decades, with some claims replaced.
#[track_caller]
pub fn token(persona: &str, claims: Value) -> String {
    let mut all = json!({"iat": ISSUED_AT, "exp": EXPIRES_AT});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let output = run(&["token", "--as", persona, "--claims", &all.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim_end().to_owned()
}

pub fn method_arn(verb: &str, path: &str) -> String {
    format!("arn:aws:execute-api:us-east-1:123456789012:ymy8tbxw7b/test/{verb}{path}")
}

pub fn event(token: &str, verb: &str, path: &str) -> Value {
    json!({"type": "TOKEN", "authorizationToken": token, "methodArn": method_arn(verb, path)})
}

pub fn bundle_bytes(revision: u64) -> Vec<u8> {
    let files = directory::read(&sample_store()).unwrap();
    let (store, _) = Store::check(&files);
    build::bundle(&store.unwrap(), &files, revision).unwrap()
}

pub fn sample_bundle() -> Bundle {
    Bundle::open(bundle_bytes(1), DevelopmentKeys::Allow).unwrap()
}

/// A bundle taken apart, to be put together again with correct lengths and hashes, as anybody could.
pub struct Parts {
    pub manifest: Value,
    pub members: Vec<(String, Vec<u8>)>,
}

impl Parts {
    pub fn of(bundle: &[u8]) -> Self {
        let length = u32::from_le_bytes(bundle[28..32].try_into().unwrap()) as usize;
        let (manifest, mut rest) = bundle[100..].split_at(length);
        let manifest: Value = serde_json::from_slice(manifest).unwrap();
        let members = manifest["members"].as_array().unwrap().iter().map(|member| {
            let (content, behind) = rest.split_at(member["size"].as_u64().unwrap() as usize);
            rest = behind;
            (member["path"].as_str().unwrap().to_owned(), content.to_vec())
        });
        let members = members.collect();
        Self { manifest, members }
    }

    pub fn member(&mut self, path: &str) -> &mut Vec<u8> {
        &mut self.members.iter_mut().find(|(known, _)| known == path).unwrap().1
    }

    pub fn together(mut self) -> Vec<u8> {
        let listed = self
            .members
            .iter()
            .map(|(path, content)| json!({"path": path, "size": content.len(), "sha256": sha256(content)}));
        self.manifest["members"] = listed.collect();
        let contents: Vec<u8> = self.members.iter().flat_map(|(_, content)| content).copied().collect();
        with_manifest(self.manifest.to_string().as_bytes(), &contents)
    }
}

/// A bundle with this manifest, valid or not, and these contents of its members.
pub fn with_manifest(manifest: &[u8], contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(manifest.len()).unwrap().to_le_bytes();
    let hash = digest(&SHA256, manifest);
    [
        b"cedar-authorizer bundle\n".as_slice(),
        &5_u32.to_le_bytes(),
        &length,
        hash.as_ref(),
        // No signatures.
        &[0; 4],
        digest(&SHA256, b"").as_ref(),
        manifest,
        contents,
    ]
    .concat()
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares with a checked-in file; with `UPDATE_GOLDEN=1` writes the file instead.
#[track_caller]
pub fn golden(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} is not what is checked in; look, then update with UPDATE_GOLDEN=1\n--- checked in\n{expected}\n--- now\n{actual}",
        path.display()
    );
}

pub fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The development key as the only key of every issuer.
pub fn development_keys(bundle: &Bundle) -> KeySets {
    let keys = Arc::new(KeySet::parse(development_key_set().to_string().as_bytes()).unwrap());
    KeySets::new(bundle.identity_sources().iter().map(|_| vec![Arc::clone(&keys)]).collect())
}

/// Verifies the token of a call, which is signed with the development key.
pub fn session(call: &Call, bundle: &Bundle, now: UnixTime) -> Result<Session, Unverified> {
    let gate = Gate::new(bundle.clone(), development_keys(bundle));
    gate.authenticate(call.authorization(bundle.token_location())?, now)
}

/// Verifies the token of a call, which is signed with the development key, and decides. There is no cache.
pub fn answer(call: &Call, bundle: &Bundle, now: UnixTime) -> Result<Arc<Outcome>, Unverified> {
    answer_under(&CacheKey::None, call, bundle, now)
}

/// The same for a cache with this key.
pub fn answer_under(
    key: &CacheKey,
    call: &Call,
    bundle: &Bundle,
    now: UnixTime,
) -> Result<Arc<Outcome>, Unverified> {
    Ok(session(call, bundle, now)?.authorize(call, key)?)
}

/// A copy of a policy store that can be changed.
pub struct StoreCopy(tempfile::TempDir);

impl StoreCopy {
    /// A copy of the sample store, without its tests.
    pub fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        for (path, content) in directory::read(&sample_store()).unwrap().iter() {
            copy.write(path, content);
        }
        let personas = fs::read(sample_store().join("personas.toml")).unwrap();
        copy.write("personas.toml", &personas);
        copy
    }

    /// A copy of any store, with its personas and tests.
    pub fn of(store: &Path) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        for path in files_in(store) {
            let name = path.strip_prefix(store).unwrap().to_str().unwrap();
            copy.write(name, &fs::read(&path).unwrap());
        }
        copy
    }

    /// A copy without keys, so that they are fetched from `uri`.
    pub fn with_jwks_uri(uri: &str) -> Self {
        let copy = Self::new();
        copy.remove("jwks/cognito.json");
        let text = fs::read_to_string(copy.path().join("identity-sources/cognito.json")).unwrap();
        let mut source: Value = serde_json::from_str(&text).unwrap();
        source["jwksUri"] = uri.into();
        copy.write("identity-sources/cognito.json", source.to_string().as_bytes());
        copy
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn uri(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path().join(path)).unwrap();
    }
}

/// All files in a folder and the folders in it.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// The public half of the development key, from the sample store.
pub fn development_key_set() -> Value {
    let text = fs::read_to_string(sample_store().join("jwks/cognito.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}
