//! Signature algorithms.

pub use jsonwebtoken::Algorithm;

/// The accepted signature algorithms. All of them are asymmetric (RFC 7518 3.1, RFC 8037 3.1).
///
/// [`Algorithm`] also has the HMACs, and newer versions of it may have more. An algorithm that is not in this
/// list is accepted neither in a header nor in a key.
pub const ACCEPTED: [Algorithm; 9] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
];

/// The accepted algorithm with this name, as headers and keys write it. Names are case-sensitive.
pub fn accepted(name: &str) -> Option<Algorithm> {
    name.parse().ok().filter(|algorithm| ACCEPTED.contains(algorithm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asymmetric_algorithms_are_accepted_under_their_one_name() {
        for algorithm in ACCEPTED {
            let name = format!("{algorithm:?}");
            assert_eq!(accepted(&name), Some(algorithm), "{name}");
            assert_eq!(accepted(&name.to_lowercase()), None, "{name}");
        }
        for name in ["HS256", "HS384", "HS512", "none", "ES512", "ES256K", "Ed25519", "", " RS256"] {
            assert_eq!(accepted(name), None, "{name}");
        }
    }
}
