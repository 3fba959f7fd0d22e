//! Commands of a delta: literal bytes, copies from the basis, and the end.

/// Ends a delta.
pub(super) const END: u8 = 0x00;
/// Longest literal whose length is the command itself.
pub(super) const SHORT_LITERAL_MAX: u8 = 0x40;
/// Literals with a length of 1, 2, 4 or 8 bytes.
pub(super) const LITERAL: u8 = 0x41;
/// Copies with an offset and a length of 1, 2, 4 or 8 bytes each: 16 commands.
pub(super) const COPY: u8 = 0x45;
/// Last of the copies.
pub(super) const COPY_LAST: u8 = 0x54;

/// Appends a literal; nothing for no bytes.
pub(super) fn write_literal(out: &mut Vec<u8>, data: &[u8]) {
    match u8::try_from(data.len()) {
        Ok(0) => return,
        Ok(length) if length <= SHORT_LITERAL_MAX => out.push(length),
        _ => {
            let (width, bytes) = number(data.len() as u64);
            out.push(LITERAL + width);
            out.extend_from_slice(&bytes[8 - (1 << width)..]);
        }
    }
    out.extend_from_slice(data);
}

/// Appends a copy from the basis.
pub(super) fn write_copy(out: &mut Vec<u8>, offset: u64, length: u64) {
    let (offset_width, offset) = number(offset);
    let (length_width, length) = number(length);
    out.push(COPY + 4 * offset_width + length_width);
    out.extend_from_slice(&offset[8 - (1 << offset_width)..]);
    out.extend_from_slice(&length[8 - (1 << length_width)..]);
}

/// The power of two of bytes that hold a number, and all eight of them, big-endian.
fn number(value: u64) -> (u8, [u8; 8]) {
    let width = match value {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    };
    (width, value.to_be_bytes())
}
