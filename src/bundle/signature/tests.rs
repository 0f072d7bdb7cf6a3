use std::fmt::Write;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use proptest::prelude::*;

use super::*;
use crate::store::build::{CannotSign, InvalidPrivateKey, PrivateKey, sign};

const MANIFEST: &[u8] = br#"{"name":"petstore","revision":7}"#;

/// Made with OpenSSL 3.0.19: `openssl genpkey -algorithm ed25519 -out key.pem`.
const OPENSSL_PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIG+a+ig6UrJ8qW/pDOqwkYYxPG24DL1SRv97uHhDSmPR
-----END PRIVATE KEY-----
";

/// `openssl pkey -in key.pem -pubout -out key.pub.pem`
const OPENSSL_PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEATB60G2eAr+O6QMmtuiImSlYrgO4c0dMb0bAqQ9bJkfk=
-----END PUBLIC KEY-----
";

/// `openssl pkey -pubin -in key.pub.pem -outform DER | openssl dgst -sha256 -binary |
/// openssl base64 -A | tr '+/' '-_' | tr -d '='`
const OPENSSL_KEY_ID: &str = "eI0b-on9bIRBGR21AXWFEgo48maCq4eQvG1mSbz56SI";

/// Made from `manifest.pae` for [`MANIFEST`], as the module describes:
/// `openssl pkeyutl -sign -rawin -inkey key.pem -in manifest.pae | openssl base64 -A`
const OPENSSL_SIGNATURE: &str =
    "R6fSfKHzv/xCL/fKyS6F8jBVkIniVfnQgl8dMRQmQi6a9x84w+XbTrWsSCKOPeiqwJ6V0d1ehYhnqPZdguF+Bw==";

/// RFC 8410 10.3, version 2 of PKCS#8 with an attribute and the public key.
const RFC_8410_PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";

/// RFC 8410 10.1.
const RFC_8410_PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

fn envelope(signatures: &str) -> String {
    format!(
        r#"{{"payloadType":"application/vnd.cedar-authorizer.manifest+json","signatures":[{signatures}]}}"#
    )
}

fn openssl_envelope() -> String {
    envelope(&format!(r#"{{"keyid":"{OPENSSL_KEY_ID}","sig":"{OPENSSL_SIGNATURE}"}}"#))
}

/// A number of keys, always the same ones, in the order of their ids.
fn keys<const N: usize>() -> [PrivateKey; N] {
    let mut keys: [PrivateKey; N] = std::array::from_fn(|n| key_of_seed(&[u8::try_from(n).unwrap() + 1; 32]));
    keys.sort_by(|a, b| a.public_key().key_id().cmp(b.public_key().key_id()));
    keys
}

fn key_of_seed(seed: &[u8]) -> PrivateKey {
    pem("PRIVATE KEY", &[&hex("302e020100300506032b657004220420")[..], seed].concat()).parse().unwrap()
}

fn trust(keys: &[&PrivateKey]) -> PublicKeys {
    let keys: Vec<String> = keys.iter().map(|key| key.public_key().to_string()).collect();
    keys.join(",").parse().unwrap()
}

fn id(key: &PrivateKey) -> KeyId {
    key.public_key().key_id().clone()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut altered = bytes.to_vec();
    altered[bit / 8] ^= 1 << (bit % 8);
    altered
}

// The published examples.

#[test]
fn the_pre_authentication_encoding_is_that_of_dsse() {
    // protocol.md of DSSE 1.0.2, "Test Vectors".
    let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
    assert_eq!(pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"), expected);
    // Lengths are in bytes, zero is a digit, and the content may be anything.
    assert_eq!(pre_authentication_encoding("é", b"\0 \xff"), b"DSSEv1 2 \xc3\xa9 3 \0 \xff");
    assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    assert_eq!(
        pre_authentication_encoding(PAYLOAD_TYPE, MANIFEST),
        br#"DSSEv1 46 application/vnd.cedar-authorizer.manifest+json 32 {"name":"petstore","revision":7}"#
    );
}

#[test]
fn keys_and_signatures_are_those_of_rfc_8032() {
    // Section 7.1: TEST 1, TEST 2, TEST 3 and TEST SHA(abc).
    for (seed, public_key, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
             d25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
             387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659\
             4a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
             454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030\
             3dca179c138ac17ad9bef1177331a704",
        ),
    ] {
        let key = key_of_seed(&hex(seed));
        let (message, signature) = (hex(message), hex(signature));
        assert_eq!(*key.public_key(), STANDARD.encode(hex(public_key)).parse().unwrap());
        assert_eq!(key.sign(&message).unwrap()[..], signature);
        assert!(key.public_key().has_signed(&message, &signature.try_into().unwrap()));
    }
}

#[test]
fn signs_and_writes_what_openssl_does() {
    let key: PrivateKey = OPENSSL_PRIVATE_KEY.parse().unwrap();
    assert_eq!(key.to_pem().unwrap().as_str(), OPENSSL_PRIVATE_KEY);
    assert_eq!(*key.public_key(), OPENSSL_PUBLIC_KEY.parse().unwrap());
    assert!(OPENSSL_PUBLIC_KEY.contains(&format!("\n{}\n", key.public_key())));
    assert_eq!(key.public_key().key_id().to_string(), OPENSSL_KEY_ID);
    assert_eq!(sign(MANIFEST, &[key]).unwrap().to_json(), openssl_envelope());
}

#[test]
fn verifies_what_openssl_signed() {
    let signatures = Signatures::parse(openssl_envelope().as_bytes()).unwrap();
    let verified = signatures.verify(MANIFEST, &OPENSSL_PUBLIC_KEY.parse().unwrap());
    assert_eq!(verified.map(|key_id| key_id.to_string()).as_deref(), Ok(OPENSSL_KEY_ID));
}

#[test]
fn reads_the_keys_of_rfc_8410() {
    let key: PrivateKey = RFC_8410_PRIVATE_KEY.parse().unwrap();
    assert_eq!(*key.public_key(), RFC_8410_PUBLIC_KEY.parse().unwrap());
}

// What is trusted.

#[test]
fn every_flipped_bit_of_the_manifest_is_refused() {
    let [key] = keys();
    let trusted = trust(&[&key]);
    let signatures = sign(MANIFEST, &[key]).unwrap();
    for bit in 0..MANIFEST.len() * 8 {
        let verified = signatures.verify(&flip(MANIFEST, bit), &trusted);
        assert!(matches!(verified, Err(Untrusted::Invalid(_))), "bit {bit}: {verified:?}");
    }
    for manifest in [b"".as_slice(), &MANIFEST[..MANIFEST.len() - 1], &[MANIFEST, b"\n"].concat()] {
        assert!(signatures.verify(manifest, &trusted).is_err());
    }
}

#[test]
fn every_flipped_bit_of_the_envelope_is_refused() {
    let keys: [PrivateKey; 2] = keys();
    let trusted = trust(&[&keys[0], &keys[1]]);
    let json = sign(MANIFEST, &keys[..1]).unwrap().to_json();
    for bit in 0..json.len() * 8 {
        let signatures = Signatures::parse(&flip(json.as_bytes(), bit));
        let verified = signatures.map(|signatures| signatures.verify(MANIFEST, &trusted));
        assert!(!matches!(verified, Ok(Ok(_))), "bit {bit}: {verified:?}");
    }
}

#[test]
fn every_flipped_bit_of_either_signature_is_refused_by_who_trusts_both() {
    let keys: [PrivateKey; 2] = keys();
    let trusted = trust(&[&keys[0], &keys[1]]);
    let signed = sign(MANIFEST, &keys).unwrap();
    for (at, key) in keys.iter().enumerate() {
        for bit in 0..SIGNATURE_BYTES * 8 {
            let mut altered = signed.clone();
            altered.0[at].bytes = flip(&altered.0[at].bytes, bit).try_into().unwrap();
            let verified = altered.verify(MANIFEST, &trusted);
            assert_eq!(verified, Err(Untrusted::Invalid(id(key))), "bit {bit} of signature {at}");
        }
    }
}

#[test]
fn every_flipped_bit_of_the_payload_type_makes_another_signature() {
    let [key] = keys();
    let trusted = trust(&[&key]);
    for bit in 0..PAYLOAD_TYPE.len() * 8 {
        // Flips every bit except the topmost one of a byte, which would not be UTF-8.
        let Ok(payload_type) = String::from_utf8(flip(PAYLOAD_TYPE.as_bytes(), bit)) else { continue };
        let bytes = key.sign(&pre_authentication_encoding(&payload_type, MANIFEST)).unwrap();
        let signatures = Signatures::in_order([(id(&key), bytes)].into_iter()).unwrap();
        assert_eq!(signatures.verify(MANIFEST, &trusted), Err(Untrusted::Invalid(id(&key))));
    }
}

#[test]
fn a_signature_of_the_bare_manifest_is_refused() {
    let [key] = keys();
    let signatures = Signatures::in_order([(id(&key), key.sign(MANIFEST).unwrap())].into_iter()).unwrap();
    assert_eq!(signatures.verify(MANIFEST, &trust(&[&key])), Err(Untrusted::Invalid(id(&key))));
}

#[test]
fn strangers_are_refused_and_named() {
    let [a, b, trusted] = keys();
    let (trusted, ids) = (trust(&[&trusted]), vec![id(&a), id(&b)]);
    let verified = sign(MANIFEST, &[a, b]).unwrap().verify(MANIFEST, &trusted);
    let message = format!("the bundle is not signed by a trusted key, but by `{}`, `{}`", ids[0], ids[1]);
    assert_eq!(verified.as_ref().unwrap_err().to_string(), message);
    assert_eq!(verified, Err(Untrusted::Stranger { signers: ids }));
}

#[test]
fn a_key_id_alone_opens_nothing() {
    let [stranger, trusted] = keys();
    let bytes = sign(MANIFEST, &[stranger]).unwrap().0[0].bytes;
    let forged = Signatures::in_order([(id(&trusted), bytes)].into_iter()).unwrap();
    assert_eq!(forged.verify(MANIFEST, &trust(&[&trusted])), Err(Untrusted::Invalid(id(&trusted))));
}

#[test]
fn a_valid_signature_under_the_id_of_another_key_is_refused() {
    let [a, b] = keys();
    let trusted = trust(&[&a, &b]);
    let bytes = sign(MANIFEST, &[a]).unwrap().0[0].bytes;
    let mislabelled = Signatures::in_order([(id(&b), bytes)].into_iter()).unwrap();
    assert_eq!(mislabelled.verify(MANIFEST, &trusted), Err(Untrusted::Invalid(id(&b))));
}

#[test]
fn keys_can_be_rotated_in_any_order() {
    let [old, new] = keys();
    let (old_id, new_id) = (id(&old), id(&new));
    let (trust_old, trust_new) = (trust(&[&old]), trust(&[&new]));
    let (trust_both, trust_both_reversed) = (trust(&[&old, &new]), trust(&[&new, &old]));
    let verify =
        |keys: &[PrivateKey], trusted: &PublicKeys| sign(MANIFEST, keys).unwrap().verify(MANIFEST, trusted);
    let both = [old, new];
    for trusted in [&trust_both, &trust_both_reversed] {
        assert_eq!(verify(&both[..1], trusted), Ok(old_id.clone()));
        assert_eq!(verify(&both[1..], trusted), Ok(new_id.clone()));
        assert_eq!(verify(&both, trusted), Ok(old_id.clone()));
    }
    assert_eq!(verify(&both, &trust_old), Ok(old_id.clone()));
    assert_eq!(verify(&both, &trust_new), Ok(new_id.clone()));
    assert_eq!(verify(&both[..1], &trust_new), Err(Untrusted::Stranger { signers: vec![old_id] }));
    assert_eq!(verify(&both[1..], &trust_old), Err(Untrusted::Stranger { signers: vec![new_id] }));
}

#[test]
fn a_damaged_signature_of_a_key_that_is_not_trusted_does_not_count() {
    let [old, new] = keys();
    let trusted = trust(&[&new]);
    let new_id = id(&new);
    let mut signatures = sign(MANIFEST, &[old, new]).unwrap();
    signatures.0[0].bytes = [0; SIGNATURE_BYTES];
    assert_eq!(signatures.verify(MANIFEST, &trusted), Ok(new_id));
}

// Signing.

#[test]
fn the_order_of_the_keys_does_not_matter() {
    let [a, b, c] = keys();
    let one = sign(MANIFEST, &[a, b, c]).unwrap();
    let [a, b, c] = keys();
    let other = sign(MANIFEST, &[c, a, b]).unwrap();
    assert_eq!(one.to_json(), other.to_json());
    assert_eq!(Signatures::parse(one.to_json().as_bytes()).unwrap(), one);
}

#[test]
fn signs_with_one_to_eight_different_keys() {
    assert_eq!(sign(MANIFEST, &[]), Err(CannotSign::NoKey));
    assert_eq!(sign(MANIFEST, &keys::<9>()), Err(CannotSign::TooManyKeys));
    let [first] = keys();
    let [second] = keys();
    assert_eq!(sign(MANIFEST, &[first, second]), Err(CannotSign::DuplicateKey));

    let largest = sign(MANIFEST, &keys::<MAX_KEYS>()).unwrap();
    assert_eq!(largest.to_json().len(), 1303);
    assert_eq!(Signatures::parse(largest.to_json().as_bytes()).unwrap(), largest);
}

// Envelopes.

#[test]
fn envelopes_are_written_in_one_way() {
    let (id, sig) = (OPENSSL_KEY_ID, OPENSSL_SIGNATURE);
    let signature = format!(r#"{{"keyid":"{id}","sig":"{sig}"}}"#);
    let good = openssl_envelope();
    let [a, b] = keys().map(|key: PrivateKey| {
        let key_id = key.public_key().key_id();
        format!(r#"{{"keyid":"{key_id}","sig":"{sig}"}}"#)
    });
    assert!(Signatures::parse(good.as_bytes()).is_ok());
    assert!(Signatures::parse(envelope(&format!("{a},{b}")).as_bytes()).is_ok());

    #[track_caller]
    fn refuse(json: &str, expected: &str) {
        let name = format!("{:?}", Signatures::parse(json.as_bytes()).unwrap_err());
        assert_eq!(name.split(['(', ' ']).next(), Some(expected), "{json}");
    }
    // Not the JSON of an envelope.
    for json in [
        "",
        "{}",
        "[]",
        "null",
        good.strip_suffix('}').unwrap(),
        &format!("{good}x"),
        &format!("\u{feff}{good}"),
    ] {
        refuse(json, "Json");
    }
    // Unknown, missing and repeated members, and other types.
    refuse(&good.replace("{\"payloadType", "{\"payload\":\"\",\"payloadType"), "Json");
    refuse(&good.replace("{\"keyid", "{\"cert\":\"\",\"keyid"), "Json");
    refuse(&good.replace("payloadType", "payload_type"), "Json");
    refuse(&good.replace(r#""signatures""#, r#""signatures":[],"signatures""#), "Json");
    refuse(&good.replace(r#""sig":"#, r#""sig":"","sig":"#), "Json");
    refuse(&good.replace(r#""sig":"#, r#""sig":"","\u0073ig":"#), "Json");
    refuse(&good.replace(r#""keyid":"#, r#""keyid":"","keyid":"#), "Json");
    refuse(&envelope(&format!(r#"{{"sig":"{sig}"}}"#)), "Json");
    refuse(&envelope(&format!(r#"{{"keyid":null,"sig":"{sig}"}}"#)), "Json");
    refuse(&envelope(&format!(r#"{{"keyid":"{id}"}}"#)), "Json");
    refuse(&envelope(&format!(r#"{{"keyid":"{id}","sig":5}}"#)), "Json");
    refuse(&format!(r#"{{"signatures":[{signature}]}}"#), "Json");
    // Other types, and types that only look like this one.
    refuse(&good.replace("manifest+json", "manifest"), "PayloadType");
    refuse(&good.replace("application/", "Application/"), "PayloadType");
    refuse(&good.replace("manifest+json", "manifest+json "), "PayloadType");
    // Key ids.
    for other in ["", "key-1", id.split_at(1).1, &format!("{id}="), &format!("{id}AA"), &id.replace('-', "+")]
    {
        refuse(&good.replace(id, other), "KeyId");
    }
    // Stray bits in the last character.
    refuse(&good.replace("56SI", "56SJ"), "KeyId");
    // Signatures: none, too short, too long, other alphabets, no padding, stray bits.
    for other in [
        "",
        "AA==",
        sig.split_at(4).1,
        &format!("AAAA{sig}"),
        &sig.replace('/', "_"),
        sig.split_at(86).0,
        "?",
    ] {
        refuse(&good.replace(sig, other), "Signature");
    }
    refuse(&good.replace("Bw==", "Bx=="), "Signature");
    refuse(&good.replace("Bw==", "Bw= ="), "Signature");
    // How many, and in which order.
    refuse(&envelope(""), "NoSignature");
    refuse(&envelope(&format!("{b},{a}")), "Order");
    refuse(&envelope(&format!("{a},{a}")), "Order");
    refuse(&envelope(&[signature.as_str(); 9].join(",")), "TooManySignatures");
    refuse(&format!("{}{good}", " ".repeat(MAX_BYTES)), "TooLarge");
    // The right content, but spelt in another way.
    refuse(&format!("{good}\n"), "Spelling");
    refuse(&format!(" {good}"), "Spelling");
    refuse(&good.replace(':', ": "), "Spelling");
    refuse(&good.replace("application/", r"application\/"), "Spelling");
    refuse(&envelope(&format!(r#"{{"sig":"{sig}","keyid":"{id}"}}"#)), "Spelling");
    refuse(&format!(r#"["{PAYLOAD_TYPE}",[["{id}","{sig}"]]]"#), "Spelling");
}

// Public keys.

#[test]
fn public_keys_are_read_in_every_form() {
    let key: PublicKey = OPENSSL_PUBLIC_KEY.parse().unwrap();
    let (line, raw) = (key.to_string(), STANDARD.encode(&key.to_string_bytes()[12..]));
    for text in [
        line.as_str(),
        &raw,
        OPENSSL_PUBLIC_KEY,
        &OPENSSL_PUBLIC_KEY.replace('\n', " "),
        &OPENSSL_PUBLIC_KEY.replace('\n', "\r\n"),
        &OPENSSL_PUBLIC_KEY.replace('\n', ""),
    ] {
        assert_eq!(text.parse(), Ok(key.clone()), "{text}");
    }
}

impl PublicKey {
    fn to_string_bytes(&self) -> Vec<u8> {
        STANDARD.decode(self.to_string()).unwrap()
    }
}

#[test]
fn lists_of_public_keys_mix_forms_and_separators() {
    let [a, b, c] = keys().map(|key: PrivateKey| key.public_key().clone());
    let raw = STANDARD.encode(&c.to_string_bytes()[12..]);
    let pem = |key: &PublicKey| pem("PUBLIC KEY", &key.to_string_bytes());
    for text in [
        format!("{a},{b},{raw}"),
        format!("{a} {b} {raw}"),
        format!("\n{a},\n{b},\n{raw},\n"),
        format!("{}{}{raw}", pem(&a), pem(&b)),
        format!("{a},{} {raw}", pem(&b).replace('\n', " ")),
        format!("{}{b}\t{}", pem(&a).trim_end(), pem(&c)),
    ] {
        let keys: PublicKeys = text.parse().unwrap();
        assert_eq!(keys.iter().collect::<Vec<_>>(), [&a, &b, &c], "{text}");
    }
}

#[test]
fn a_bad_public_key_is_named() {
    let [good, other] = keys().map(|key: PrivateKey| key.public_key().to_string());
    let public = pem("PUBLIC KEY", &STANDARD.decode(&good).unwrap());
    // `openssl genpkey -algorithm x25519 | openssl pkey -pubout`
    let x25519 = "MCowBQYDK2VuAyEAYSlJIxm8Zu9WJPVqn37wDLeLMgYAja5E3hnS2omtCXY=";
    // `openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout`
    let p256 = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEVE2TmMAV8I41BmUpRqdS4MAx/tz5\
                y9SpitKdqaOUkvdQMrLkvJmr2UtQtI87vfDuozTJ+J5y93pTTatcWawy9g==";
    for (text, reason) in [
        (x25519, InvalidPublicKey::Algorithm),
        (p256, InvalidPublicKey::Algorithm),
        (&pem("PUBLIC KEY", &STANDARD.decode(p256).unwrap()), InvalidPublicKey::Algorithm),
        // A raw key in PEM.
        (&pem("PUBLIC KEY", &[7; 32]), InvalidPublicKey::Algorithm),
        ("*", InvalidPublicKey::Encoding),
        (r"-----BEGIN\nPUBLIC", InvalidPublicKey::Encoding),
        (good.trim_end_matches('='), InvalidPublicKey::Encoding),
        (&good.replacen('A', "_", 1), InvalidPublicKey::Encoding),
        (good.split_at(40).0, InvalidPublicKey::Length),
        (good.split_at(12).0, InvalidPublicKey::Algorithm),
        (&public.replace("PUBLIC", "RSA PUBLIC"), InvalidPublicKey::Encoding),
        (&public.replace("END PUBLIC", "END"), InvalidPublicKey::Encoding),
        (public.split_at(50).0, InvalidPublicKey::Encoding),
        (&public.replace("\nM", "\n,M"), InvalidPublicKey::Encoding),
        ("AAAA", InvalidPublicKey::Length),
        (&STANDARD.encode([7; 31]), InvalidPublicKey::Length),
        (&STANDARD.encode([7; 33]), InvalidPublicKey::Length),
        (&STANDARD.encode([7; 64]), InvalidPublicKey::Length),
        (&STANDARD.encode([&STANDARD.decode(&good).unwrap()[..], b"\0"].concat()), InvalidPublicKey::Length),
        (OPENSSL_PRIVATE_KEY, InvalidPublicKey::Private),
        (OPENSSL_PRIVATE_KEY.lines().nth(1).unwrap(), InvalidPublicKey::Private),
        (&RFC_8410_PRIVATE_KEY.replace("PRIVATE", "EC PRIVATE"), InvalidPublicKey::Private),
        (&STANDARD.encode([0; 32]), InvalidPublicKey::Weak),
    ] {
        let error = format!("{other},{text}").parse::<PublicKeys>().unwrap_err();
        assert_eq!(error, InvalidPublicKeys::Key { position: 2, reason }, "{text}");
        assert_eq!(error.to_string(), format!("key 2 is {reason}"));
    }
}

#[test]
fn lists_of_public_keys_are_neither_empty_nor_repetitive_nor_endless() {
    let parse = |text: &str| text.parse::<PublicKeys>().map(|_| ());
    for text in ["", " ", ",", " ,\n, "] {
        assert_eq!(parse(text), Err(InvalidPublicKeys::Empty), "{text:?}");
    }
    let [a, b] = keys().map(|key: PrivateKey| key.public_key().clone());
    let raw = STANDARD.encode(&a.to_string_bytes()[12..]);
    let duplicate = InvalidPublicKeys::Duplicate { position: 3, first: 1 };
    assert_eq!(parse(&format!("{a},{b},{raw}")), Err(duplicate));
    assert_eq!(duplicate.to_string(), "key 3 is the same as key 1");

    let mut list = String::new();
    for (count, key) in keys::<9>().iter().enumerate() {
        write!(list, "{} ", key.public_key()).unwrap();
        let expected = if count < MAX_KEYS { Ok(()) } else { Err(InvalidPublicKeys::TooMany) };
        assert_eq!(parse(&list), expected);
    }
}

#[test]
fn keys_for_which_anybody_can_sign_are_refused() {
    // Every encoding of a point of small order, as in "Taming the many EdDSAs" (Chalkias,
    // Garillot, Nikolaenko), table 6: canonical ones first.
    let small_order = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    const CANONICAL: usize = 8;
    // R = the neutral element, S = 0: valid for a key of order n where n divides the hash, so for
    // one message in n.
    let mut signature = [0; SIGNATURE_BYTES];
    signature[0] = 1;
    for (at, point) in small_order.iter().map(|point| hex(point)).enumerate() {
        let library = UnparsedPublicKey::new(&ED25519, &point);
        let forged = (0..200_u8).filter(|message| library.verify(&[*message], &signature).is_ok()).count();
        // This is not left to the library, because it refuses only what is not canonical.
        assert_eq!(forged > 0, at < CANONICAL, "{at}: {forged}");
        let refused = Err(InvalidPublicKey::Weak);
        assert_eq!(STANDARD.encode(&point).parse::<PublicKey>(), refused, "{at}");
        assert_eq!(STANDARD.encode(to_der(&point)).parse::<PublicKey>(), refused, "{at}");
    }
    // p itself is 0 written in a second way, and so are the 18 values above it. p - 2 is the largest one left.
    for first in 0xec..=0xff {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (first, 0x7f);
        assert_eq!(STANDARD.encode(point).parse::<PublicKey>(), Err(InvalidPublicKey::Weak));
    }
    let mut point = [0xff; 32];
    (point[0], point[31]) = (0xeb, 0x7f);
    assert!(STANDARD.encode(point).parse::<PublicKey>().is_ok());
}

fn to_der(point: &[u8]) -> Vec<u8> {
    [&hex("302a300506032b6570032100")[..], point].concat()
}

#[test]
fn the_second_signature_of_a_message_is_refused() {
    // RFC 8032 5.1.7: S must be below the order of the group. Otherwise S + L would be valid as well.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let [key] = keys();
    let mut signature = key.sign(MANIFEST).unwrap();
    let mut carry = 0;
    for (byte, addend) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(addend) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert_eq!(carry, 0);
    assert!(!key.public_key().has_signed(MANIFEST, &signature));
}

// Private keys.

#[test]
fn a_new_key_can_be_written_read_and_used() {
    let key = PrivateKey::generate().unwrap();
    let read: PrivateKey = key.to_pem().unwrap().parse().unwrap();
    assert_eq!(read.public_key(), key.public_key());
    assert_ne!(PrivateKey::generate().unwrap().public_key(), key.public_key());
    assert!(sign(MANIFEST, &[read]).unwrap().verify(MANIFEST, &trust(&[&key])).is_ok());
}

#[test]
fn a_private_key_never_shows_itself() {
    let key: PrivateKey = OPENSSL_PRIVATE_KEY.parse().unwrap();
    let shown = format!("{key:?}").to_lowercase();
    let seed = &STANDARD.decode(OPENSSL_PRIVATE_KEY.lines().nth(1).unwrap()).unwrap()[16..];
    let as_hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    for secret in [&as_hex, &STANDARD.encode(seed).to_lowercase(), &format!("{seed:?}")] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains(&OPENSSL_KEY_ID.to_lowercase()), "{shown}");
}

#[test]
fn private_keys_of_every_other_form_are_refused_with_their_reason() {
    let v1 = hex(
        "302e020100300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
    );
    let v2 = hex(
        "3051020101300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842\
                  81210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
    );
    let private = |der: &[u8]| pem("PRIVATE KEY", der);
    for der in [&v1, &v2] {
        let key: PrivateKey = private(der).parse().unwrap();
        assert_eq!(*key.public_key(), RFC_8410_PUBLIC_KEY.parse().unwrap());
    }
    let good = private(&v1);
    // `openssl genpkey -algorithm x25519`
    let x25519 = STANDARD.decode("MC4CAQAwBQYDK2VuBCIEIEiNCiYF4UPjVCHljXpLMbe5gacnLnEjVREduLXx+KdW").unwrap();
    // `openssl genpkey -algorithm ed448`
    let ed448 = "MEcCAQAwBQYDK2VxBDsEOYsfkeAAOiX0Hmo4grPv2jvkNxhzAVUS0xxqSINwf6yYsMMsW9Kka3koxKJtkehsqI45GhXw\
                 xrrOeQ==";
    // `openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256`
    let p256 = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgiC0xBc/lfSmm4wdsKAPSHX2RyA73b5i856hYtNQpxfWhRANC\
                AAQVHXhwTpmqERJ4NxoI0preyaAjsGTAkQ+iUf7Bfl8usKFgMLjGhy9NR9ENqJaJXg9tBx9hiiD/fIdDvZUd+i+p";
    for (text, reason) in [
        (private(&x25519), InvalidPrivateKey::Algorithm),
        (private(&STANDARD.decode(ed448).unwrap()), InvalidPrivateKey::Algorithm),
        (private(&STANDARD.decode(p256).unwrap()), InvalidPrivateKey::Algorithm),
        (private(&[7; 32]), InvalidPrivateKey::Algorithm),
        (private(b""), InvalidPrivateKey::Algorithm),
        // A missing end, extra bytes, another public key, no key, another version.
        (private(&v1[..47]), InvalidPrivateKey::Der),
        (private(&[&v1[..], b"\0"].concat()), InvalidPrivateKey::Der),
        (private(&flip(&v2, 82 * 8)), InvalidPrivateKey::Der),
        (private(&[b"\x30\x0a", &v1[2..12]].concat()), InvalidPrivateKey::Der),
        (private(&flip(&v1, 4 * 8 + 2)), InvalidPrivateKey::Der),
        (String::new(), InvalidPrivateKey::Encoding),
        (STANDARD.encode(&v1), InvalidPrivateKey::Encoding),
        (format!("{good}{good}"), InvalidPrivateKey::Encoding),
        (format!("# mine\n{good}"), InvalidPrivateKey::Encoding),
        (good.replace("\nMC4", "\nMC"), InvalidPrivateKey::Encoding),
        (good.replace("\nMC4", "\n*MC4"), InvalidPrivateKey::Encoding),
        (good.replace("END PRIVATE", "END PUBLIC"), InvalidPrivateKey::Encoding),
        (good.trim_end_matches("-\n").to_owned(), InvalidPrivateKey::Encoding),
        (good.replace("PRIVATE", "ENCRYPTED PRIVATE"), InvalidPrivateKey::Encrypted),
        (good.replace("PRIVATE", "EC PRIVATE"), InvalidPrivateKey::Label),
        (good.replace("PRIVATE", "OPENSSH PRIVATE"), InvalidPrivateKey::Label),
        (good.replace("PRIVATE KEY", "CERTIFICATE"), InvalidPrivateKey::Label),
        (OPENSSL_PUBLIC_KEY.to_owned(), InvalidPrivateKey::Public),
    ] {
        if text == good {
            panic!("not altered for {reason}");
        }
        assert_eq!(text.parse::<PrivateKey>().unwrap_err(), reason, "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_a_panic(
        text in r#"(-----BEGIN |-----END |PUBLIC KEY|PRIVATE KEY|-----|MCowBQYDK2VwAyEA|[,\n =]|\PC){0,12}"#,
    ) {
        prop_assert!(Signatures::parse(text.as_bytes()).is_err());
        prop_assert!(text.parse::<PrivateKey>().is_err());
        prop_assert!(text.parse::<PublicKeys>().is_err());
    }

    #[test]
    fn what_is_signed_verifies_and_every_changed_byte_does_not(
        manifest in proptest::collection::vec(any::<u8>(), 1..200), at: usize, change in 1..=255_u8,
    ) {
        let keys: [PrivateKey; 2] = keys();
        let trusted = trust(&[&keys[0], &keys[1]]);
        let signatures = sign(&manifest, &keys).unwrap();
        prop_assert_eq!(signatures.verify(&manifest, &trusted), Ok(id(&keys[0])));

        let mut altered = manifest.clone();
        altered[at % manifest.len()] ^= change;
        prop_assert!(signatures.verify(&altered, &trusted).is_err());
    }
}
