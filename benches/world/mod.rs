//! What the benchmarks work on: stores of any size, tokens, events. The same at every run.

pub mod events;
pub mod store;
pub mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use cedar_authorizer::store::{Store, build};

use store::Shape;

/// 2024-01-01 and 2100-01-01: tokens are valid from the one to the other.
pub const ISSUED_AT: u64 = 1_704_067_200;
pub const EXPIRES_AT: u64 = 4_102_444_800;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where Cargo builds: this executable is `<target>/release/deps/<name>`.
pub fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// The bundle of a store of this shape. It is kept as long as this executable is: large ones take a while.
pub fn bundle_file(shape: &Shape) -> PathBuf {
    try_bundle_file(shape).unwrap_or_else(|problem| panic!("{problem}"))
}

/// The same for a store that may be too large for a bundle.
pub fn try_bundle_file(shape: &Shape) -> Result<PathBuf, String> {
    let name = shape.name();
    let folder = bundles();
    let path = folder.join(format!("{name}.bundle"));
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let refusal = path.with_extension("refusal");
    let executable = modified(&std::env::current_exe().unwrap());
    if modified(&path) > executable {
        return Ok(path);
    }
    if modified(&refusal) > executable {
        return Err(fs::read_to_string(refusal).unwrap());
    }
    eprintln!("building a bundle: {name}");
    fs::create_dir_all(&folder).unwrap();
    let bytes = match built(shape) {
        Ok(bytes) => bytes,
        Err(problem) => {
            fs::write(refusal, &problem).unwrap();
            return Err(problem);
        }
    };
    // Half a bundle must not pass for one.
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes).unwrap();
    fs::rename(&unfinished, &path).unwrap();
    Ok(path)
}

fn built(shape: &Shape) -> Result<Vec<u8>, String> {
    let files = shape.files();
    let (store, findings) = Store::check(&files);
    let store = store.ok_or_else(|| format!("{findings:#?}"))?;
    build::bundle(&store, &files, 1).map_err(|error| error.to_string())
}

/// Where bundles are.
pub fn bundles() -> PathBuf {
    target().join("benches")
}
