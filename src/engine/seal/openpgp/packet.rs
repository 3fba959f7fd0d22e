//! Reads the body of one packet, with its header and the lengths of its parts taken out.
//!
//! Both formats of headers and all kinds of lengths are known. A body that ends too early, and anything after it, is
//! damage: nothing dupr reads this way has more than one packet. RFC 4880, 4.2.

use crate::engine::error::{Error, ErrorKind};
use std::io::{self, Read};

/// The body of a packet that is the only one of its input.
pub(super) struct PacketBody<R> {
    input: R,
    /// Bytes of this part not read yet.
    left: u64,
    next: Next,
}

/// What comes after a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Part,
    /// The end, which must be that of the input.
    End,
    /// Nobody knows: the part lasts to the end of the input.
    Unbounded,
}

/// The type of a packet whose first octet is this; `None` if no packet begins so.
pub(super) fn type_of(first: u8) -> Option<u8> {
    match first >> 6 {
        0b10 => Some((first >> 2) & 0x0f),
        0b11 => Some(first & 0x3f),
        _ => None,
    }
}

impl<R: Read> PacketBody<R> {
    /// Reads the header; returns the type of the packet and its body.
    pub(super) fn open(mut input: R) -> io::Result<(u8, Self)> {
        let first = octet(&mut input)?;
        let Some(kind) = type_of(first) else {
            return Err(damaged("no packet begins where one should"));
        };
        let mut body = Self {
            input,
            left: 0,
            next: Next::End,
        };
        if first & 0x40 != 0 {
            body.next_part()?;
        } else {
            match first & 3 {
                3 => (body.left, body.next) = (u64::MAX, Next::Unbounded),
                log2 => body.left = number(&mut body.input, 1 << log2)?,
            }
        }
        Ok((kind, body))
    }

    /// Goes on within a part of which so many bytes are left, and behind which there is another.
    pub(super) fn within(input: R, left: u64) -> Self {
        Self {
            input,
            left,
            next: Next::Part,
        }
    }

    fn next_part(&mut self) -> io::Result<()> {
        let first = octet(&mut self.input)?;
        self.next = Next::End;
        self.left = match first {
            0..=191 => u64::from(first),
            192..=223 => (u64::from(first - 192) << 8) + u64::from(octet(&mut self.input)?) + 192,
            224..=254 => {
                self.next = Next::Part;
                1 << (first & 0x1f)
            }
            255 => number(&mut self.input, 4)?,
        };
        Ok(())
    }
}

impl<R: Read> Read for PacketBody<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        while self.left == 0 {
            if self.next == Next::End {
                return match self.input.read(&mut [0])? {
                    0 => Ok(0),
                    _ => Err(damaged("something follows it")),
                };
            }
            self.next_part()?;
        }
        let wanted = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(data.len());
        let n = self
            .input
            .read(data.get_mut(..wanted).unwrap_or_default())?;
        if self.next != Next::Unbounded {
            if n == 0 {
                return Err(damaged("it is cut off"));
            }
            self.left -= n as u64;
        }
        Ok(n)
    }
}

/// One octet.
pub(super) fn octet(input: &mut impl Read) -> io::Result<u8> {
    let mut octet = [0];
    input.read_exact(&mut octet).map_err(ended)?;
    let [octet] = octet;
    Ok(octet)
}

/// A number of so many octets, the highest first.
fn number(input: &mut impl Read, octets: usize) -> io::Result<u64> {
    (0..octets).try_fold(0, |number, _| Ok((number << 8) | u64::from(octet(input)?)))
}

/// Tells an end that came too early from an input that failed.
fn ended(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => error,
    }
}

/// The error for a message that is not as it should be.
pub(super) fn damaged(how: &str) -> io::Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("damaged OpenPGP message: {how}"),
    )
    .into()
}
