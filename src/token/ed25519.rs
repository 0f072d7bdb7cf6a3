//! Ed25519 public keys (RFC 8032 5.1.5), of tokens and of bundles.

/// Whether anybody can make signatures for this key: it is one of the eight points of small order, or a point
/// that is written in a second way.
///
/// AWS-LC accepts points of small order. Such a point has at most eight multiples, so a signature of any message is
/// found after a few attempts, without a private key.
pub(crate) fn is_weak(key: &[u8; PUBLIC_KEY_BYTES]) -> bool {
    !is_canonical(key) || is_of_small_order(key)
}

/// RFC 8032 5.1.3: the coordinate y, of 255 bits, is below p.
fn is_canonical(bytes: &[u8; PUBLIC_KEY_BYTES]) -> bool {
    y_of(bytes).iter().rev().lt(P.iter().rev())
}

fn is_of_small_order(bytes: &[u8; PUBLIC_KEY_BYTES]) -> bool {
    SMALL_ORDER_Y.contains(&y_of(bytes))
}

/// The coordinate y, little-endian, without the sign of x in the topmost bit.
fn y_of(bytes: &[u8; PUBLIC_KEY_BYTES]) -> [u8; PUBLIC_KEY_BYTES] {
    let mut y = *bytes;
    let [.., last] = &mut y;
    *last &= 0x7f;
    y
}

/// RFC 8032 5.1.5.
pub(crate) const PUBLIC_KEY_BYTES: usize = 32;

/// 2^255 - 19 (RFC 8032 5.1), little-endian.
const P: [u8; PUBLIC_KEY_BYTES] = little_endian(0xed, 0xff, 0x7f);

/// The y of the points of order 4, 1, 2 and, twice, 8. Each y has one or two x. libsodium refuses the same points
/// (`ge25519_has_small_order`).
const SMALL_ORDER_Y: [[u8; PUBLIC_KEY_BYTES]; 5] = [
    little_endian(0x00, 0x00, 0x00),
    little_endian(0x01, 0x00, 0x00),
    little_endian(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn little_endian(first: u8, middle: u8, last: u8) -> [u8; PUBLIC_KEY_BYTES] {
    let mut bytes = [middle; PUBLIC_KEY_BYTES];
    let [lowest, .., highest] = &mut bytes;
    *lowest = first;
    *highest = last;
    bytes
}
