//! Keys with which somebody other than the owner could sign.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_authorizer::reason::Reason;
use cedar_authorizer::store::finding::Code;
use cedar_authorizer::store::{Store, directory};
use cedar_authorizer::token::jws::verify_jws;
use cedar_authorizer::token::key_set::KeySet;
use serde_json::{Value, json};

use crate::loopback::{Function, KeyServer};
use crate::signing::SigningKey;
use crate::world::{FUNCTION, StoreCopy, development_key_set};

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// y of the points of order 4, 1, 2 and, twice, 8; then p and p + 1, which are 0 and 1 again. Little-endian, without
/// the sign of x.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn point(hex: &str, sign: u8) -> [u8; 32] {
    let mut point = [0; 32];
    for (byte, digits) in point.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    point[31] |= sign << 7;
    point
}

/// All encodings of the eight points, including those that no real key has.
fn points_of_small_order() -> Vec<[u8; 32]> {
    SMALL_ORDER.iter().flat_map(|hex| [point(hex, 0), point(hex, 1)]).collect()
}

#[test]
fn nobody_signs_for_an_ed25519_point_of_small_order() {
    let points = points_of_small_order();
    for key in &points {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": encode(key)});
        let keys = key_set(&[jwk]);
        // A signature without the private key: S is 0, and R is one of the eight points. It is right for one
        // message in eight.
        for number in 0..32 {
            let header = encode(json!({"alg": "EdDSA", "kid": "k"}).to_string().as_bytes());
            let input = format!("{header}.{}", encode(json!({"jti": number}).to_string().as_bytes()));
            for r in &points {
                let token = format!("{input}.{}", encode(&[r.as_slice(), &[0; 32]].concat()));
                assert_eq!(verify_jws(&token, &keys), Err(Reason::KeyUnknown), "{key:02x?}");
            }
        }
        assert_eq!((keys.len(), keys.skipped(), keys.weak()), (0, 1, 1), "{key:02x?}");
    }
}

#[test]
fn an_ed25519_key_is_written_in_one_way() {
    // p + 3 is 3 again, and a point. No real key has it with y above p.
    for y in [0xf0, 0xff] {
        let mut bytes = [0xff; 32];
        bytes[0] = y;
        for last in [0x7f, 0xff] {
            bytes[31] = last;
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&bytes)});
            assert_eq!(key_set(&[jwk]).len(), 0, "{bytes:02x?}");
        }
    }
    let key = SigningKey::ed25519();
    let keys = key_set(&[key.jwk("k")]);
    assert_eq!((keys.len(), keys.weak()), (1, 0));
    let x = URL_SAFE_NO_PAD.decode(key.jwk("k")["x"].as_str().unwrap()).unwrap();
    for bytes in [&x[1..], &[x.as_slice(), &[0]].concat(), &[]] {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(bytes)});
        assert_eq!(key_set(&[jwk]).len(), 0);
    }
}

#[test]
fn a_point_that_is_not_on_its_curve_is_no_key() {
    for (key, name, prime) in [
        (SigningKey::p256(), "P-256", "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
        (
            SigningKey::p384(),
            "P-384",
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe\
             ffffffff0000000000000000ffffffff",
        ),
    ] {
        let jwk = key.jwk("k");
        let decode = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let (x, y) = (decode("x"), decode("y"));
        let with = |x: &[u8], y: &[u8]| {
            let keys =
                key_set(&[json!({"kty": "EC", "crv": name, "kid": "k", "x": encode(x), "y": encode(y)})]);
            (keys.len(), keys.skipped())
        };
        assert_eq!(with(&x, &y), (1, 0));
        let prime: Vec<u8> = prime
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
            .collect();
        let zeros = vec![0; x.len()];
        let ones = vec![0xff; x.len()];
        let mut other = y.clone();
        other[5] ^= 1;
        let longer = [&[0], x.as_slice()].concat();
        for (x, y) in [
            (&x, &other),
            (&y, &x),
            (&x, &x),
            (&x, &zeros),
            (&zeros, &zeros),
            (&prime, &y),
            (&prime, &prime),
            (&ones, &y),
            (&x, &ones),
            (&longer, &y),
            (&x, &longer),
            (&x[1..].to_vec(), &y),
            (&Vec::new(), &Vec::new()),
        ] {
            assert_eq!(with(x, y), (0, 1), "{name} {x:02x?} {y:02x?}");
        }
    }
}

#[test]
fn an_rsa_key_that_others_can_sign_with_is_weak() {
    let jwk = SigningKey::rsa().jwk("k");
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let even = [&n[..n.len() - 1], &[n[n.len() - 1] & 0xfe]].concat();
    let short = [&[0x7f], &n[1..]].concat();
    for (n, e, weak) in [
        (n.clone(), vec![1, 0, 1], None),
        (n.clone(), vec![3], None),
        (n.clone(), vec![1], Some(1)),
        (n.clone(), vec![2], Some(1)),
        (n.clone(), vec![1, 0, 0], Some(1)),
        (n.clone(), vec![0, 1, 0, 1], Some(0)),
        (n.clone(), vec![], Some(0)),
        (n.clone(), vec![2, 0, 0, 0, 1], Some(0)),
        (n.clone(), n.clone(), Some(0)),
        (even, vec![1, 0, 1], Some(1)),
        (short, vec![1, 0, 1], Some(1)),
        (vec![1, 1], vec![1, 0, 1], Some(1)),
        ([&[0], n.as_slice()].concat(), vec![1, 0, 1], Some(0)),
        ([n.as_slice(); 5].concat(), vec![1, 0, 1], Some(0)),
        (vec![], vec![1, 0, 1], Some(0)),
    ] {
        let keys = key_set(&[json!({"kty": "RSA", "kid": "k", "n": encode(&n), "e": encode(&e)})]);
        let expected = weak.map_or((1, 0, 0), |weak| (0, 1, weak));
        assert_eq!((keys.len(), keys.skipped(), keys.weak()), expected, "{} bytes {e:?}", n.len());
    }
}

#[test]
fn a_weak_key_does_not_spoil_the_set_nor_stand_for_a_good_one() {
    let good = SigningKey::ed25519();
    let weak = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": encode(&point(SMALL_ORDER[1], 0))});
    let keys = key_set(&[weak, good.jwk("k")]);
    assert_eq!((keys.len(), keys.skipped(), keys.weak()), (1, 1, 1));
    let token = good.token(&json!({"alg": "EdDSA", "kid": "k"}), &json!({}));
    assert_eq!(verify_jws(&token, &keys), Ok(b"{}".to_vec()));
}

#[test]
fn weak_keys_are_counted_by_check_and_in_the_log() {
    let weak = json!({"kty": "OKP", "crv": "Ed25519", "kid": "w", "x": encode(&point(SMALL_ORDER[3], 1))});
    let mut keys = development_key_set();
    keys["keys"].as_array_mut().unwrap().push(weak.clone());

    let store = StoreCopy::new();
    let codes = |keys: &Value| {
        store.write("jwks/cognito.json", keys.to_string().as_bytes());
        let (checked, findings) = Store::check(&directory::read(store.path()).unwrap());
        let of_keys = findings.iter().map(|finding| finding.code);
        let of_keys =
            of_keys.filter(|code| [Code::KeyWeak, Code::KeySkipped, Code::KeySetInvalid].contains(code));
        (checked.is_some(), of_keys.collect::<Vec<_>>())
    };
    assert_eq!(codes(&json!({"keys": [weak.clone()]})), (false, vec![Code::KeySetInvalid, Code::KeyWeak]));
    assert_eq!(codes(&keys), (true, vec![Code::KeyWeak]));

    let start = |store: &StoreCopy| {
        let uri = store.uri();
        let environment =
            [("BUNDLE_URI", uri.as_str()), ("CACHE_KEY", "none"), ("ALLOW_DEVELOPMENT_KEYS", "true")];
        Function::start(FUNCTION, environment).unwrap().logs()
    };
    let message = "the key set has weak keys, which are not used; others could sign with them";
    assert!(start(&store).contains(message));
    let server = KeyServer::start(keys);
    assert!(start(&StoreCopy::with_jwks_uri(&server.uri())).contains(message));
    server.set(json!({"keys": [weak]}));
    let logs = start(&StoreCopy::with_jwks_uri(&server.uri()));
    assert!(logs.contains("no key of the set can be used: others than their owner could sign"), "{logs}");
}
