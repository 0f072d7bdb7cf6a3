//! Whatever stands in a file of policies: no panic and no overflow of the stack, and a bundle of every store that has no
//! errors.
#![no_main]

use std::sync::LazyLock;

use cedar_authorizer::bundle::StoreFiles;
use cedar_authorizer::store::{Checks, build, directory};
use libfuzzer_sys::fuzz_target;

static SAMPLE: LazyLock<StoreFiles> = LazyLock::new(|| {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");
    directory::read(sample.as_ref()).unwrap()
});

fuzz_target!(|text: &[u8]| {
    let mut files = SAMPLE.clone();
    files.insert("policies/fuzz.cedar".to_owned(), text.to_vec());
    let (store, findings) = build::check(&files, &Checks::default());
    assert!(store.is_some() || !findings.is_empty());
});
