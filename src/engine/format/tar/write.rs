//! Writing of headers, byte-identical to Python's `tarfile` in PAX format.

use super::{TAR_BLOCK_BYTES, padding, pax};
use crate::engine::entry::{Kind, Metadata};
use std::borrow::Cow;
use std::ops::Range;

/// Where the fields of a ustar header lie.
mod field {
    use super::Range;

    pub const NAME: Range<usize> = 0..100;
    pub const MODE: Range<usize> = 100..108;
    pub const UID: Range<usize> = 108..116;
    pub const GID: Range<usize> = 116..124;
    pub const SIZE: Range<usize> = 124..136;
    pub const MTIME: Range<usize> = 136..148;
    pub const CHECKSUM: Range<usize> = 148..156;
    pub const TYPE: usize = 156;
    pub const LINK: Range<usize> = 157..257;
    pub const MAGIC: Range<usize> = 257..265;
    pub const UNAME: Range<usize> = 265..297;
    pub const GNAME: Range<usize> = 297..329;
    pub const DEV_MAJOR: Range<usize> = 329..337;
    pub const DEV_MINOR: Range<usize> = 337..345;
}

/// First number that does not fit 7 octal digits.
const SHORT_LIMIT: u64 = 1 << 21;
/// First number that does not fit 11 octal digits.
const LONG_LIMIT: u64 = 1 << 33;

/// What goes into one header block.
struct Block<'a> {
    name: &'a [u8],
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: u64,
    typeflag: u8,
    link: &'a [u8],
    uname: &'a [u8],
    gname: &'a [u8],
    device: Option<(u32, u32)>,
}

/// Appends the header of a member, preceded by a PAX header if something does not fit ustar: a text that is not
/// ASCII or too long, or a number that is negative or too large.
///
/// Directories get a `/` at the end of `name` if it has none. `size` counts the bytes of data to follow, 0 for
/// all but files.
pub fn write_header(out: &mut Vec<u8>, name: &[u8], kind: &Kind, meta: &Metadata, size: u64) {
    let name = if kind.is_dir() && !name.ends_with(b"/") {
        Cow::Owned([name, b"/"].concat())
    } else {
        Cow::Borrowed(name)
    };
    let (typeflag, link, device): (u8, &[u8], _) = match kind {
        Kind::File => (b'0', b"", None),
        Kind::Symlink(text) => (b'2', text, None),
        Kind::CharDevice { major, minor } => (b'3', b"", Some((*major, *minor))),
        Kind::BlockDevice { major, minor } => (b'4', b"", Some((*major, *minor))),
        Kind::Dir => (b'5', b"", None),
        Kind::Fifo => (b'6', b"", None),
    };
    let mut records = pax::Records::default();
    records.text("path", &name, field::NAME.len());
    records.text("linkpath", link, field::LINK.len());
    records.text("uname", &meta.uname, field::UNAME.len());
    records.text("gname", &meta.gname, field::GNAME.len());
    let mut number = |key, value: i64, limit: u64| match u64::try_from(value) {
        Ok(fits) if fits < limit => fits,
        _ => {
            records.number(key, value);
            0
        }
    };
    let uid = number("uid", meta.uid.into(), SHORT_LIMIT) as u32;
    let gid = number("gid", meta.gid.into(), SHORT_LIMIT) as u32;
    let size = number("size", i64::try_from(size).unwrap_or(i64::MAX), LONG_LIMIT);
    let mtime = number("mtime", meta.mtime, LONG_LIMIT);
    let payload = records.finish();
    if !payload.is_empty() {
        write_block(
            out,
            &Block {
                name: b"././@PaxHeader",
                mode: 0,
                uid: 0,
                gid: 0,
                size: payload.len() as u64,
                mtime: 0,
                typeflag: b'x',
                link: b"",
                uname: b"",
                gname: b"",
                device: None,
            },
        );
        out.extend_from_slice(&payload);
        append_padding(out, payload.len() as u64);
    }
    write_block(
        out,
        &Block {
            name: &name,
            mode: meta.mode & 0o7777,
            uid,
            gid,
            size,
            mtime,
            typeflag,
            link,
            uname: &meta.uname,
            gname: &meta.gname,
            device,
        },
    );
}

/// Appends zeros after `size` bytes of data, up to the next block.
pub fn append_padding(out: &mut Vec<u8>, size: u64) {
    out.resize(out.len() + padding(size), 0);
}

fn write_block(out: &mut Vec<u8>, content: &Block) {
    let mut block = [0; TAR_BLOCK_BYTES];
    put_ascii(&mut block[field::NAME], content.name);
    put_octal(&mut block[field::MODE], content.mode.into());
    put_octal(&mut block[field::UID], content.uid.into());
    put_octal(&mut block[field::GID], content.gid.into());
    put_octal(&mut block[field::SIZE], content.size);
    put_octal(&mut block[field::MTIME], content.mtime);
    block[field::CHECKSUM].fill(b' ');
    block[field::TYPE] = content.typeflag;
    put_ascii(&mut block[field::LINK], content.link);
    block[field::MAGIC].copy_from_slice(b"ustar\x0000");
    put_ascii(&mut block[field::UNAME], content.uname);
    put_ascii(&mut block[field::GNAME], content.gname);
    // COMPAT(dup 3.2.1): Python 3.11 leaves the device numbers of all else NUL; older ones wrote zeros.
    if let Some((major, minor)) = content.device {
        put_device(&mut block[field::DEV_MAJOR], major);
        put_device(&mut block[field::DEV_MINOR], minor);
    }
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    // Six digits and a NUL; the blank after them stays.
    put_octal(
        &mut block[field::CHECKSUM.start..field::CHECKSUM.end - 1],
        sum.into(),
    );
    out.extend_from_slice(&block);
}

/// Octal digits with leading zeros up to a final NUL. The value must fit.
fn put_octal(field: &mut [u8], mut value: u64) {
    let Some((last, digits)) = field.split_last_mut() else {
        return;
    };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 8) as u8;
        value /= 8;
    }
}

/// Octal, or GNU's base 256 for numbers Python cannot write in this format but reads.
fn put_device(field: &mut [u8], value: u32) {
    if u64::from(value) < SHORT_LIMIT {
        return put_octal(field, value.into());
    }
    field.fill(0);
    field[0] = 0x80;
    let start = field.len() - 4;
    field[start..].copy_from_slice(&value.to_be_bytes());
}

/// Text cut to the field; one `?` for each character that is not ASCII and each byte that is not UTF-8.
fn put_ascii(field: &mut [u8], text: &[u8]) {
    if text.is_ascii() {
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
        return;
    }
    let characters = text.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().map(|_| '?');
        chunk.valid().chars().chain(invalid)
    });
    for (slot, c) in field.iter_mut().zip(characters) {
        *slot = if c.is_ascii() { c as u8 } else { b'?' };
    }
}
