//! Whatever stands in the bucket: no panic. The bytes are taken for a file as they are, and for a manifest and what
//! follows it with the digests that belong to them, since no other bytes get past those.
#![no_main]

use aws_lc_rs::digest::{SHA256, digest};
use cedar_authorizer::bundle::{Bundle, DevelopmentKeys};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Bundle::open(data.to_vec(), DevelopmentKeys::Refuse);
    let Some((&[low, high], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (manifest, rest) = rest.split_at(length);
    let (signatures, rest) = rest.split_at(rest.len().min(64));
    let (layout, rest) = rest.split_at(rest.len().min(64));
    let (chunks, members) = rest.split_at(rest.len() / 2);
    let mut head = Vec::new();
    for section in [manifest, signatures, layout] {
        head.extend((section.len() as u32).to_le_bytes());
        head.extend(digest(&SHA256, section).as_ref());
    }
    head.extend([manifest, signatures, layout, members].concat());
    let (magic, version) = (b"cedar-authorizer bundle\n".as_slice(), 6_u32.to_le_bytes());
    let length = (head.len() as u32).to_le_bytes();
    let file = [magic, &version, chunks, &head, &length, &version, magic].concat();
    let _ = Bundle::open(file, DevelopmentKeys::Refuse);
});
