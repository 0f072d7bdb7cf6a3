//! Whatever a key server sends: no panic, and no more keys than are allowed.
#![no_main]

use cedar_authorizer::token::key_set::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(keys) = KeySet::parse(text) {
        assert!(keys.len() + keys.skipped() <= 100);
    }
});
