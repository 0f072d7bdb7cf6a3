//! The wire format of Protocol Buffers, as far as spans need it: <https://protobuf.dev/programming-guides/encoding/>.

/// The value of a field.
#[derive(Debug, PartialEq)]
pub enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, with their numbers.
pub fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = match key & 7 {
            0 => Field::Number(varint(&mut message)),
            1 => Field::Number(fixed(&mut message, 8)),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Number(fixed(&mut message, 4)),
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let length = message.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (digits, rest) = message.split_at(length);
    *message = rest;
    digits.iter().rev().fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f))
}

fn fixed(message: &mut &[u8], length: usize) -> u64 {
    let (bytes, rest) = message.split_at(length);
    *message = rest;
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[test]
fn the_examples_of_the_guide_are_read() {
    assert_eq!(fields(&[0x08, 0x96, 0x01]), [(1, Field::Number(150))]);
    let text = [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67];
    assert_eq!(fields(&text), [(2, Field::Bytes(b"testing"))]);
}
