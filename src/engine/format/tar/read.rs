//! Streaming reading of tar files.

use super::input::Input;
use super::pax::Overrides;
use super::{EXTENSION_BYTES_MAX, Error, TAR_BLOCK_BYTES, TarHeader, padding};
use crate::engine::entry::Kind;
use std::io::{self, Read};
use std::sync::Arc;
use tar::Header;

/// Most bytes of global PAX headers kept: they are looked through for each member. duplicity writes none.
const GLOBAL_BYTES_MAX: usize = 4096;

/// Reads members one after the other. As [`Read`] it yields the data of the current member.
///
/// The end is a zero block or the end of the input between two members; what follows a zero block is not looked at.
pub struct TarReader<R> {
    input: Input<R>,
    state: State,
    /// Bytes of data of the current member not read yet.
    remaining: u64,
    /// Zeros after them.
    padding: usize,
    block: [u8; TAR_BLOCK_BYTES],
    header: TarHeader,
    extensions: Extensions,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    /// After an error nothing that follows can be trusted.
    Failed,
}

/// What precedes a member; the buffers are kept from one to the next.
#[derive(Default)]
struct Extensions {
    global: Vec<u8>,
    pax: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    /// Starts at the first header. Reads nothing yet.
    pub fn new(input: R) -> Self {
        Self {
            input: Input::new(input),
            state: State::Open,
            remaining: 0,
            padding: 0,
            block: [0; TAR_BLOCK_BYTES],
            header: TarHeader::default(),
            extensions: Extensions::default(),
        }
    }

    /// The next member, after what is left of the current one; `None` at the end.
    ///
    /// # Errors
    /// Anything but a well-formed member of the format, or an end inside one. No member can be read after an error.
    pub fn next_header(&mut self) -> Result<Option<&TarHeader>, Error> {
        match self.state {
            State::Open => {}
            State::Ended => return Ok(None),
            State::Failed => {
                return Err(Error::Truncated {
                    offset: self.input.offset,
                });
            }
        }
        // Undone below once a member or a clean end was read.
        self.state = State::Failed;
        self.input.skip(self.remaining + self.padding as u64)?;
        (self.remaining, self.padding) = (0, 0);
        if !self.read_headers()? {
            self.state = State::Ended;
            return Ok(None);
        }
        self.remaining = self.header.size;
        self.padding = padding(self.header.size);
        self.state = State::Open;
        Ok(Some(&self.header))
    }

    /// The member last returned by [`next_header`](Self::next_header).
    pub fn header(&self) -> &TarHeader {
        &self.header
    }

    /// Reads the input to its end, so that a hash or an authentication code behind it gets checked. Returns the
    /// number of bytes.
    ///
    /// # Errors
    /// Whatever the input reports.
    pub fn drain(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        while self.input.fill()? > 0 {
            bytes += self.input.buffered().len() as u64;
            self.input.consume(self.input.buffered().len());
        }
        Ok(bytes)
    }

    /// Reads headers up to and with that of a member; `false` at the end of the file.
    fn read_headers(&mut self) -> Result<bool, Error> {
        self.extensions.clear();
        loop {
            let offset = self.input.offset;
            if !self.input.read_block(&mut self.block)? || is_zero(&self.block) {
                return match self.extensions.is_empty() {
                    true => Ok(false),
                    false => Err(Error::Truncated { offset }),
                };
            }
            if !checksum_fits(&self.block) {
                return Err(Error::Checksum { offset });
            }
            let old = Header::from_byte_slice(&self.block).as_old();
            let [typeflag] = old.linkflag;
            if !matches!(typeflag, b'x' | b'g' | b'L' | b'K') {
                self.read_member(offset)?;
                return Ok(true);
            }
            let bad = |reason| Error::Extension { reason, offset };
            let size = number(&old.size).and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or(Error::Number {
                field: "size",
                offset,
            })?;
            if size > EXTENSION_BYTES_MAX {
                return Err(bad("too long"));
            }
            let payload = self.input.read_payload(size, self.extensions.buffer())?;
            self.extensions.add(typeflag, payload).map_err(bad)?;
        }
    }

    /// Fills `self.header` from the block and what preceded it.
    fn read_member(&mut self, offset: u64) -> Result<(), Error> {
        let bad = |reason| Error::Extension { reason, offset };
        let mut pax = Overrides::default();
        pax.read(&self.extensions.global).map_err(bad)?;
        if let Some(payload) = &self.extensions.pax {
            pax.read(payload).map_err(bad)?;
        }
        let block = Header::from_byte_slice(&self.block);
        let (old, ustar, gnu) = (block.as_old(), block.as_ustar(), block.as_gnu());
        let header = &mut self.header;

        header.name.clear();
        match (pax.path, &self.extensions.name) {
            (Some(_), Some(_)) => return Err(bad("two names")),
            (Some(name), None) => header.name.extend_from_slice(name),
            (None, Some(name)) => header.name.extend_from_slice(until_nul(name)),
            (None, None) => {
                let prefix = ustar.map(|u| until_nul(&u.prefix)).unwrap_or_default();
                if !prefix.is_empty() {
                    header.name.extend_from_slice(prefix);
                    header.name.push(b'/');
                }
                header.name.extend_from_slice(until_nul(&old.name));
            }
        }

        let (uname, gname, major, minor): (&[u8], &[u8], &[u8], &[u8]) = match (ustar, gnu) {
            (Some(u), _) => (&u.uname, &u.gname, &u.dev_major, &u.dev_minor),
            (None, Some(g)) => (&g.uname, &g.gname, &g.dev_major, &g.dev_minor),
            (None, None) => (b"", b"", b"", b""),
        };
        set_text(
            &mut header.meta.uname,
            pax.uname.unwrap_or_else(|| until_nul(uname)),
        );
        set_text(
            &mut header.meta.gname,
            pax.gname.unwrap_or_else(|| until_nul(gname)),
        );
        let get = |name, over: Option<i64>, raw: &[u8]| {
            over.or_else(|| number(raw)).ok_or(Error::Number {
                field: name,
                offset,
            })
        };
        let out_of_range = |field| Error::Number { field, offset };
        header.meta.mode = (get("mode", None, &old.mode)? & 0o7777) as u32;
        header.meta.uid = id(get("uid", pax.uid, &old.uid)?).ok_or(out_of_range("uid"))?;
        header.meta.gid = id(get("gid", pax.gid, &old.gid)?).ok_or(out_of_range("gid"))?;
        header.meta.mtime = get("mtime", pax.mtime, &old.mtime)?;
        let size = get("size", pax.size, &old.size)?;
        header.size = u64::try_from(size).map_err(|_| out_of_range("size"))?;

        let device = || -> Result<(u32, u32), Error> {
            let part =
                |field, raw| u32::try_from(get(field, None, raw)?).map_err(|_| out_of_range(field));
            Ok((part("device major", major)?, part("device minor", minor)?))
        };
        header.kind = match old.linkflag {
            // v7 knows directories by their name only.
            [0] if header.name.ends_with(b"/") => Kind::Dir,
            [0 | b'0' | b'7'] => Kind::File,
            [b'2'] => Kind::Symlink(match (pax.link, &self.extensions.link) {
                (Some(_), Some(_)) => return Err(bad("two link targets")),
                (Some(text), None) => text.into(),
                (None, Some(text)) => until_nul(text).into(),
                (None, None) => until_nul(&old.linkname).into(),
            }),
            [b'3'] => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
            [b'4'] => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
            [b'5'] => Kind::Dir,
            [b'6'] => Kind::Fifo,
            [typeflag] => return Err(Error::Type { typeflag, offset }),
        };
        if header.size > 0 && !header.kind.is_file() {
            return Err(Error::UnexpectedData { offset });
        }
        Ok(())
    }
}

/// Data of the current member. Ends early only with an error.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(out.len());
        if wanted == 0 {
            return Ok(0);
        }
        let done = self.input.read(&mut out[..wanted])?;
        if done == 0 {
            self.state = State::Failed;
            return Err(Error::Truncated {
                offset: self.input.offset,
            }
            .into());
        }
        self.remaining -= done as u64;
        Ok(done)
    }
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.name.is_none() && self.link.is_none()
    }

    fn clear(&mut self) {
        self.spare.extend(self.pax.take());
        self.spare.extend(self.name.take());
        self.spare.extend(self.link.take());
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn add(&mut self, typeflag: u8, payload: Vec<u8>) -> Result<(), &'static str> {
        let slot = match typeflag {
            b'g' => {
                if self.global.len() + payload.len() > GLOBAL_BYTES_MAX {
                    return Err("too many global records");
                }
                Overrides::default().read(&payload)?;
                self.global
                    .extend_from_slice(payload.split(|b| *b == 0).next().unwrap_or_default());
                self.spare.push(payload);
                return Ok(());
            }
            b'x' => &mut self.pax,
            b'L' => &mut self.name,
            _ => &mut self.link,
        };
        match slot.replace(payload) {
            Some(_) => Err("repeated"),
            None => Ok(()),
        }
    }
}

/// Whether a header may begin here: the mark of all formats but the oldest is where it should be, and the checksum fits.
pub fn may_begin(bytes: &[u8]) -> bool {
    let magic = bytes.get(257..262) == Some(b"ustar");
    magic && bytes.first_chunk().is_some_and(checksum_fits)
}

fn is_zero(block: &[u8; TAR_BLOCK_BYTES]) -> bool {
    block.iter().all(|b| *b == 0)
}

/// The checksum counts its own field as blanks. Some old writers summed signed bytes.
fn checksum_fits(block: &[u8; TAR_BLOCK_BYTES]) -> bool {
    let field = &Header::from_byte_slice(block).as_old().cksum;
    let Some(stored) = number(field) else {
        return false;
    };
    let blanks = 8 * i64::from(b' ');
    let unsigned = |bytes: &[u8]| i64::from(bytes.iter().map(|b| u32::from(*b)).sum::<u32>());
    let signed = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|b| i64::from(b.cast_signed()))
            .sum::<i64>()
    };
    unsigned(block) - unsigned(field) + blanks == stored
        || signed(block) - signed(field) + blanks == stored
}

/// A number field: octal with blanks around, nothing at all for 0, or base 256 behind an octet of 0x80 or 0xff.
fn number(field: &[u8]) -> Option<i64> {
    match field {
        [sign @ (0x80 | 0xff), digits @ ..] => {
            let start = if *sign == 0x80 { 0 } else { -1 };
            digits
                .iter()
                .try_fold(start, |n: i64, d| Some(n.checked_mul(256)? + i64::from(*d)))
        }
        _ => until_nul(field).trim_ascii().iter().try_fold(0i64, |n, d| {
            let digit = d.checked_sub(b'0').filter(|d| *d < 8)?;
            Some(n.checked_mul(8)? + i64::from(digit))
        }),
    }
}

/// Owner and group numbers. Old Pythons wrote the highest ones as negative.
fn id(number: i64) -> Option<u32> {
    u32::try_from(number)
        .ok()
        .or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// Most members share their owner with the one before, so its name is shared as well.
fn set_text(slot: &mut Arc<[u8]>, text: &[u8]) {
    if **slot != *text {
        *slot = Arc::from(text);
    }
}
