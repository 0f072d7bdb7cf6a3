//! RSA public keys: which numbers make one.

/// Why two numbers do not make a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidRsaKey {
    /// Of a form or size that is not supported.
    Unsupported,
    /// Others than the owner could sign with it.
    Weak,
}

/// Checks modulus and exponent, both big-endian.
///
/// | | accepted | source |
/// |---|---|---|
/// | modulus | odd, 2048 to 8192 bits | RFC 7518 3.3 has the floor, AWS-LC has the ceiling |
/// | | without the fingerprint of ROCA | CVE-2017-15361 |
/// | exponent | odd, 3 to 2^33 | RFC 8017 3.1 has the floor, AWS-LC the ceiling |
/// | both | no leading zeros | RFC 7518 2, `Base64urlUInt` |
pub(super) fn check(modulus: &[u8], exponent: &[u8]) -> Result<(), InvalidRsaKey> {
    let (Some((first, _)), Some(last)) = (modulus.split_first(), modulus.last()) else {
        return Err(InvalidRsaKey::Unsupported);
    };
    let bits = modulus.len().saturating_mul(8) - first.leading_zeros() as usize;
    let exponent = number(exponent).ok_or(InvalidRsaKey::Unsupported)?;
    if *first == 0 || bits > MAX_BITS || exponent >= EXPONENTS_END {
        return Err(InvalidRsaKey::Unsupported);
    }
    let is_odd = last % 2 == 1 && exponent % 2 == 1;
    if bits >= MIN_BITS && is_odd && exponent >= 3 && !has_roca_fingerprint(modulus) {
        Ok(())
    } else {
        Err(InvalidRsaKey::Weak)
    }
}

/// A number without leading zeros.
fn number(bytes: &[u8]) -> Option<u64> {
    if *bytes.first()? == 0 {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)))
}

/// Whether the library of CVE-2017-15361 made the modulus. The private key of such a key can be computed.
///
/// Its primes have the form `k * M + (65537^a mod M)`, where M is the product of the first primes. So the modulus
/// of such a key is a power of 65537 modulo each of these primes. So is one in 2^28 other moduli (M. Nemec et al.,
/// "The Return of Coppersmith's Attack", CCS 2017, section 2.2).
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        // There are fewer different powers than the prime, so this covers them all.
        let mut power = 1;
        (1..*prime).any(|_| {
            power = power * 65_537 % prime;
            power == rest
        })
    })
}

const MIN_BITS: usize = 2048;
const MAX_BITS: usize = 8192;
const EXPONENTS_END: u64 = 1 << 33;

/// The odd primes up to 167, the largest one in M for the smallest of these keys.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const E: [u8; 3] = [1, 0, 1];

    /// The digits of a number in base 2^32, least significant first.
    type Number = Vec<u32>;

    fn product(one: &[u32], other: &[u32]) -> Number {
        let mut product = vec![0; one.len() + other.len()];
        for (at, digit) in one.iter().enumerate() {
            let mut carry = 0;
            for (offset, factor) in other.iter().enumerate() {
                let sum = u64::from(product[at + offset]) + u64::from(*digit) * u64::from(*factor) + carry;
                product[at + offset] = sum as u32;
                carry = sum >> 32;
            }
            product[at + other.len()] = carry as u32;
        }
        product
    }

    fn sum(one: &[u32], other: &[u32]) -> Number {
        let mut carry = 0;
        let digit = |number: &[u32], at: usize| u64::from(number.get(at).copied().unwrap_or(0));
        let digits = (0..=one.len().max(other.len())).map(|at| {
            let sum = digit(one, at) + digit(other, at) + carry;
            carry = sum >> 32;
            sum as u32
        });
        digits.collect()
    }

    fn bytes(number: &[u32]) -> Vec<u8> {
        number.iter().rev().flat_map(|digit| digit.to_be_bytes()).skip_while(|byte| *byte == 0).collect()
    }

    fn rest(number: &[u32], prime: u32) -> u32 {
        let digits = number.iter().rev();
        digits.fold(0, |rest, digit| ((u64::from(rest) << 32 | u64::from(*digit)) % u64::from(prime)) as u32)
    }

    /// `k * M + (65537^a mod M)`. The power is computed from its remainders modulo each prime (Chinese remainder
    /// theorem).
    fn roca_number(k: &[u32], a: u32) -> Number {
        let (mut power, mut m) = (vec![1], vec![1]);
        for prime in [2].iter().chain(&ROCA_PRIMES) {
            let wanted = (0..a).fold(1 % prime, |power, _| power * 65_537 % prime);
            while rest(&power, *prime) != wanted {
                power = sum(&power, &m);
            }
            m = product(&m, &[*prime]);
        }
        sum(&product(k, &m), &power)
    }

    fn digits(count: usize) -> impl Strategy<Value = Number> {
        prop::collection::vec(any::<u32>(), count)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn a_modulus_of_the_form_of_roca_is_weak(
            k in digits(27), other in digits(27), a in 1_u32..5000, b in 1_u32..5000,
        ) {
            let modulus = bytes(&product(&roca_number(&k, a), &roca_number(&other, b)));
            prop_assume!(modulus.len() > 256);
            prop_assert_eq!(check(&modulus, &E), Err(InvalidRsaKey::Weak));
            // Its neighbours do not have the fingerprint, whatever else is wrong with them.
            let mut neighbour = modulus;
            *neighbour.last_mut().unwrap() ^= 2;
            prop_assert_eq!(check(&neighbour, &E), Ok(()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_other_odd_modulus_is_not(mut modulus in prop::collection::vec(any::<u8>(), 256)) {
            modulus[0] |= 0x80;
            modulus[255] |= 1;
            prop_assert_eq!(check(&modulus, &E), Ok(()));
        }
    }

    #[test]
    fn a_modulus_and_an_exponent_have_bounds() {
        use InvalidRsaKey::{Unsupported, Weak};

        let modulus = |bits: usize| {
            let mut modulus = vec![0x5b; bits.div_ceil(8)];
            modulus[0] = 1 << ((bits - 1) % 8);
            modulus
        };
        for (bits, expected) in [
            (2047, Err(Weak)),
            (2048, Ok(())),
            (2049, Ok(())),
            (4096, Ok(())),
            (8192, Ok(())),
            (8193, Err(Unsupported)),
            (512, Err(Weak)),
        ] {
            assert_eq!(check(&modulus(bits), &E), expected, "{bits}");
        }
        for (exponent, expected) in [
            (vec![3], Ok(())),
            (vec![1, 0xff, 0xff, 0xff, 0xff], Ok(())),
            (vec![2, 0, 0, 0, 1], Err(Unsupported)),
            (vec![0xff; 9], Err(Unsupported)),
            (vec![], Err(Unsupported)),
            (vec![0, 3], Err(Unsupported)),
            (vec![0], Err(Unsupported)),
            (vec![1], Err(Weak)),
            (vec![2], Err(Weak)),
            (vec![1, 0, 0], Err(Weak)),
        ] {
            assert_eq!(check(&modulus(2048), &exponent), expected, "{exponent:?}");
        }
        let even = [&modulus(2048)[..255], &[0x5a]].concat();
        assert_eq!(check(&even, &E), Err(Weak));
        for modulus in [vec![], vec![0], [&[0], modulus(2048).as_slice()].concat()] {
            assert_eq!(check(&modulus, &E), Err(Unsupported));
        }
    }
}
