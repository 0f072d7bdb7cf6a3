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
    let Shape { policies, entities, routes } = shape;
    let folder = target().join("benches");
    let path = folder.join(format!("{policies}-policies-{entities}-entities-{routes}-routes.bundle"));
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if modified(&path) > modified(&std::env::current_exe().unwrap()) {
        return path;
    }
    eprintln!("building a bundle: {policies} policies, {entities} entities, {routes} routes");
    let files = shape.files();
    let (store, findings) = Store::check(&files);
    let store = store.unwrap_or_else(|| panic!("{findings:#?}"));
    let bytes = build::bundle(&store, &files, 1).unwrap();
    fs::create_dir_all(&folder).unwrap();
    // Half a bundle must not pass for one.
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes).unwrap();
    fs::rename(&unfinished, &path).unwrap();
    path
}
