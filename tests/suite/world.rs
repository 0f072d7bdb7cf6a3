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
#[derive(Clone)]
pub struct Parts {
    pub manifest: Value,
    /// The members of the head, without the tables of the map and the sources.
    pub members: Vec<(String, Vec<u8>)>,
    /// The files that it was built from.
    pub sources: Vec<(String, Vec<u8>)>,
    /// The index of the map, and its chunks.
    pub map: (Vec<u8>, Vec<Vec<u8>>),
}

impl Parts {
    pub fn of(bundle: &[u8]) -> Self {
        let Head { manifest, layout, members, .. } = Head::of(bundle);
        let mut starts = layout[4..].chunks_exact(8).map(|start| number64(start) as usize);
        let mut chunk = |id: &[u8]| {
            let start = starts.next().unwrap();
            bundle[start..start + number(&id[32..]) as usize].to_vec()
        };
        let of = |path: &str| &members.iter().find(|(known, _)| known == path).unwrap().1;
        let index = of(MAP).clone();
        let chunks = table(&index).iter().map(|(_, id)| chunk(id)).collect();
        let mut file = |ids: &[u8]| ids.chunks_exact(36).flat_map(&mut chunk).collect();
        let files = table(of(SOURCES));
        let sources = files
            .into_iter()
            .map(|(path, ids)| (String::from_utf8(path).unwrap(), file(&ids[32..])))
            .collect();
        let members = members.into_iter().filter(|(path, _)| path != MAP && path != SOURCES).collect();
        Self { manifest, members, sources, map: (index, chunks) }
    }

    pub fn member(&mut self, path: &str) -> &mut Vec<u8> {
        let mut all = self.members.iter_mut().chain(&mut self.sources);
        &mut all.find(|(known, _)| known == path).unwrap().1
    }

    pub fn together(mut self) -> Vec<u8> {
        let mut file = start();
        let mut starts = Vec::new();
        let mut place = |content: &[u8]| {
            starts.extend((file.len() as u64).to_le_bytes());
            file.extend(content);
        };
        self.map.1.iter().for_each(|chunk| place(chunk));
        let mut sources = Vec::new();
        for (path, content) in &self.sources {
            place(content);
            let hash = digest(&SHA256, content);
            let ids = [hash.as_ref(), hash.as_ref(), &(content.len() as u32).to_le_bytes()].concat();
            sources.push((path.clone().into_bytes(), ids));
        }
        let chunks = u32::try_from(starts.len() / 8).unwrap();
        let layout = [&chunks.to_le_bytes(), starts.as_slice()].concat();
        let own = [(MAP.to_owned(), self.map.0), (SOURCES.to_owned(), table_bytes(&sources))];
        for (path, content) in own {
            // Where it belongs, if the others stand in order.
            let at = self.members.iter().position(|(known, _)| *known > path).unwrap_or(self.members.len());
            self.members.insert(at, (path, content));
        }
        let listed = self
            .members
            .iter()
            .map(|(path, content)| json!({"path": path, "size": content.len(), "sha256": sha256(content)}));
        self.manifest["members"] = listed.collect();
        let contents: Vec<u8> = self.members.iter().flat_map(|(_, content)| content).copied().collect();
        file.extend(end(self.manifest.to_string().as_bytes(), b"", &layout, &contents));
        file
    }
}

/// The head of a bundle, read without this project.
pub struct Head {
    pub manifest: Value,
    /// Where the manifest, the signatures and the layout stand in the file.
    pub sections: [std::ops::Range<usize>; 3],
    /// Where the hashes of these stand.
    pub hashes: [std::ops::Range<usize>; 3],
    pub layout: Vec<u8>,
    pub members: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub fn of(bundle: &[u8]) -> Self {
        let end = bundle.len() - 32;
        let start = end - number(&bundle[end..]) as usize;
        let mut at = start + 3 * 36;
        let mut section = |number_of: usize| {
            let length = number(&bundle[start + number_of * 36..]) as usize;
            at += length;
            at - length..at
        };
        let sections = [section(0), section(1), section(2)];
        let hashes = [0, 1, 2].map(|number| start + number * 36 + 4..start + number * 36 + 36);
        let manifest: Value = serde_json::from_slice(&bundle[sections[0].clone()]).unwrap();
        let mut rest = &bundle[at..end];
        let members = manifest["members"].as_array().unwrap().iter().map(|member| {
            let (content, behind) = rest.split_at(member["size"].as_u64().unwrap() as usize);
            rest = behind;
            (member["path"].as_str().unwrap().to_owned(), content.to_vec())
        });
        let members = members.collect();
        Self { manifest, layout: bundle[sections[2].clone()].to_vec(), sections, hashes, members }
    }
}

/// A bundle without chunks, with this manifest, valid or not, and these contents of its members.
pub fn with_manifest(manifest: &[u8], contents: &[u8]) -> Vec<u8> {
    [start(), end(manifest, b"", &[0; 4], contents)].concat()
}

fn start() -> Vec<u8> {
    [MAGIC.as_slice(), &6_u32.to_le_bytes()].concat()
}

fn end(manifest: &[u8], signatures: &[u8], layout: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for section in [manifest, signatures, layout] {
        head.extend(u32::try_from(section.len()).unwrap().to_le_bytes());
        head.extend(digest(&SHA256, section).as_ref());
    }
    head.extend([manifest, signatures, layout, contents].concat());
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    [&head, length.as_slice(), &6_u32.to_le_bytes(), MAGIC].concat()
}

/// The rows of a table.
fn table(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = number(bytes) as usize;
    let cells = &bytes[4 + 4 * (2 * rows + 1)..];
    let cell = |cell: usize| {
        cells[number(&bytes[4 + 4 * cell..]) as usize..number(&bytes[8 + 4 * cell..]) as usize].to_vec()
    };
    (0..rows).map(|row| (cell(2 * row), cell(2 * row + 1))).collect()
}

fn table_bytes(rows: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut ends = vec![0_u32];
    for cell in rows.iter().flat_map(|(key, value)| [key, value]) {
        ends.push(ends.last().unwrap() + cell.len() as u32);
    }
    let numbers = [rows.len() as u32].into_iter().chain(ends).flat_map(u32::to_le_bytes);
    let cells = rows.iter().flat_map(|(key, value)| [key, value]).flatten().copied();
    numbers.chain(cells).collect()
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

fn number64(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

const MAGIC: &[u8; 24] = b"cedar-authorizer bundle\n";
const MAP: &str = "compiled/map.table";
const SOURCES: &str = "compiled/sources.table";

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
