//! Whatever a caller sends: no panic, and nothing that verifies.
#![no_main]

use std::sync::{Arc, LazyLock};

use cedar_authorizer::time::UnixTime;
use cedar_authorizer::token::verify;
use cedar_authorizer::token::bearer::Bearer;
use cedar_authorizer::token::identity_source::IdentitySource;
use cedar_authorizer::token::key_set::{KeySet, KeySets};
use libfuzzer_sys::fuzz_target;

static SOURCE: LazyLock<IdentitySource> = LazyLock::new(|| {
    let text = include_str!("../../tests/data/stores/clinic/identity-sources/pool.json");
    IdentitySource::from_json("pool", text).unwrap()
});

static KEYS: LazyLock<KeySets> = LazyLock::new(|| {
    let keys = KeySet::parse(include_bytes!("../../policies/jwks/cognito.json")).unwrap();
    KeySets::new(vec![vec![Arc::new(keys)]])
});

fuzz_target!(|header: &str| {
    if let Ok(bearer) = Bearer::parse(header) {
        let now = UnixTime::from_seconds(1_704_067_201);
        let verified = verify(bearer, std::slice::from_ref(&*SOURCE), &KEYS, 0, now);
        assert!(verified.is_err());
    }
});
