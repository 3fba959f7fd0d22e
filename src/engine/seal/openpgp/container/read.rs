//! Reads the container. Content is handed out as it is decrypted; the end is only told after the modification
//! detection code was found right and nothing followed the packet.

use super::cfb::Decryptor;
use super::{BLOCK_BYTES, CODE_BYTES, CODE_HEADER, PREFIX_BYTES, VERSION};
use crate::engine::error::{Error, ErrorKind};
use sha1::{Digest, Sha1};
use std::io::{self, BufReader, Read};
use subtle::ConstantTimeEq;

/// New-format header of packet 18; it has no other.
const PROTECTED: u8 = 0xc0 | 18;

/// Content decrypted at once.
const BATCH_BYTES: usize = 32 * 1024;

/// Parts of gpg hold 8 KiB: not every one of them should be two reads of the input.
const READ_BYTES: usize = 64 * 1024;

/// The first encrypted octets, by which a session key is recognized, if `message` begins with a container of this kind.
pub(in super::super) fn first_octets(message: &[u8]) -> Option<[u8; PREFIX_BYTES]> {
    let mut first = [0; PREFIX_BYTES];
    let mut body = Body::open(message).ok()?;
    body.read_exact(&mut first).ok()?;
    Some(first)
}

/// Reads the packets inside a container.
pub(in super::super) struct ContainerReader<R> {
    body: Body<BufReader<R>>,
    /// Taken away at the end of the stream.
    decryptor: Option<Decryptor>,
    code: Sha1,
    /// Content to hand out, then what is held back: up to [`CODE_BYTES`] that may be the code, and the beginning of a
    /// block.
    pub(super) buffer: Vec<u8>,
    /// Where the content to hand out begins and ends.
    ready: std::ops::Range<usize>,
    /// How much of the buffer is decrypted.
    plain: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// The code was right.
    Checked,
    Failed,
}

impl<R: Read> ContainerReader<R> {
    /// Starts to read; `input` stands at the packet's first octet.
    pub(in super::super) fn open(input: R, decryptor: Decryptor) -> io::Result<Self> {
        let mut reader = Self {
            body: Body::open(BufReader::with_capacity(READ_BYTES, input))?,
            decryptor: Some(decryptor),
            code: Sha1::new(),
            buffer: Vec::with_capacity(BATCH_BYTES + CODE_BYTES + BLOCK_BYTES),
            ready: 0..0,
            plain: 0,
            state: State::Running,
        };
        reader.skip_prefix()?;
        Ok(reader)
    }

    fn skip_prefix(&mut self) -> io::Result<()> {
        self.fill()?;
        let content = self.buffer.get(self.ready.clone()).unwrap_or_default();
        // The library would take text for an armored message.
        if content.get(PREFIX_BYTES).is_none_or(|tag| tag & 0x80 == 0) {
            self.state = State::Failed;
            return Err(damaged("no packet is inside"));
        }
        self.ready.start += PREFIX_BYTES;
        Ok(())
    }

    /// Whether the container is whole. Reads on to its end, if the reader of the packets did not, and hands out
    /// nothing more.
    pub(in super::super) fn check(&mut self) -> io::Result<()> {
        while self.state != State::Checked {
            self.ready.start = self.ready.end;
            self.fill()?;
        }
        self.ready.start = self.ready.end;
        Ok(())
    }

    /// Decrypts the next batch; at the end, checks the code. Nothing may be left to hand out.
    fn fill(&mut self) -> io::Result<()> {
        let result = match self.state {
            State::Running => self.next_batch(),
            State::Checked => Ok(()),
            State::Failed => {
                Err(Error::new(ErrorKind::Corrupt, "reading goes on after an error").into())
            }
        };
        result.inspect_err(|_| {
            self.state = State::Failed;
            self.ready.start = self.ready.end;
        })
    }

    fn next_batch(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.ready.end);
        self.plain -= self.ready.end;
        self.ready = 0..0;

        let mut batch = self.body.by_ref().take(BATCH_BYTES as u64);
        let ended = batch.read_to_end(&mut self.buffer)? < BATCH_BYTES;

        let fresh = self.buffer.get_mut(self.plain..).unwrap_or_default();
        if !ended && let Some(decryptor) = &mut self.decryptor {
            decryptor.blocks(fresh);
            self.plain += fresh.len() / BLOCK_BYTES * BLOCK_BYTES;
        } else if let Some(decryptor) = self.decryptor.take() {
            decryptor.last(fresh);
            self.plain = self.buffer.len();
        }
        self.ready.end = self.plain.saturating_sub(CODE_BYTES);
        self.code.update(&self.buffer[self.ready.clone()]);
        if ended {
            self.check_code()?;
        }
        Ok(())
    }

    fn check_code(&mut self) -> io::Result<()> {
        let Some((header, found)) = self
            .buffer
            .get(self.ready.end..)
            .and_then(|packet| packet.split_first_chunk::<2>())
            .filter(|(_, found)| found.len() + CODE_HEADER.len() == CODE_BYTES)
        else {
            return Err(damaged("it is too short"));
        };
        let mut code = std::mem::take(&mut self.code);
        code.update(header);
        let right = code.finalize()[..].ct_eq(found) & header.ct_eq(&CODE_HEADER);
        if !bool::from(right) {
            return Err(damaged("its modification detection code is wrong"));
        }
        self.state = State::Checked;
        Ok(())
    }
}

impl<R: Read> Read for ContainerReader<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && self.state != State::Checked && !data.is_empty() {
            self.fill()?;
        }
        let content = self.buffer.get(self.ready.clone()).unwrap_or_default();
        let n = content.len().min(data.len());
        data[..n].copy_from_slice(&content[..n]);
        self.ready.start += n;
        Ok(n)
    }
}

/// The body of the packet after its version octet, with the lengths of its parts taken out.
struct Body<R> {
    input: R,
    /// Bytes of this part not read yet.
    left: u64,
    /// Whether no part follows.
    is_last: bool,
}

impl<R: Read> Body<R> {
    fn open(mut input: R) -> io::Result<Self> {
        if octet(&mut input)? != PROTECTED {
            return Err(damaged("it does not begin as it should"));
        }
        let mut body = Self {
            input,
            left: 0,
            is_last: false,
        };
        body.next_part()?;
        match octet(&mut body)? {
            VERSION => Ok(body),
            _ => Err(damaged("it has an unknown version")),
        }
    }

    fn next_part(&mut self) -> io::Result<()> {
        let first = octet(&mut self.input)?;
        self.is_last = !(224..=254).contains(&first);
        self.left = match first {
            0..=191 => u64::from(first),
            192..=223 => (u64::from(first - 192) << 8) + u64::from(octet(&mut self.input)?) + 192,
            224..=254 => 1 << (first & 0x1f),
            255 => {
                let mut length = [0; 4];
                self.input.read_exact(&mut length).map_err(ended)?;
                u64::from(u32::from_be_bytes(length))
            }
        };
        Ok(())
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            if self.is_last {
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
        if n == 0 && wanted != 0 {
            return Err(damaged("it is cut off"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

fn octet(input: &mut impl Read) -> io::Result<u8> {
    let mut octet = [0];
    input.read_exact(&mut octet).map_err(ended)?;
    let [octet] = octet;
    Ok(octet)
}

/// Tells an end that came too early from an input that failed.
fn ended(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => error,
    }
}

fn damaged(how: &str) -> io::Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("damaged OpenPGP message: {how}"),
    )
    .into()
}
