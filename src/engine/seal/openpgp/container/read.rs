//! Reads the container. Content is handed out as it is decrypted; the end is only told after the modification
//! detection code was found right and nothing followed the packet.

use super::super::packet::{PacketBody, damaged, octet};
use super::cfb::Decryptor;
use super::{BLOCK_BYTES, CODE_BYTES, CODE_HEADER, PREFIX_BYTES, VERSION};
use crate::engine::error::{Error, ErrorKind};
use crate::engine::seal::hash::{LateSha1, ReadHash};
use std::io::{self, BufReader, Read};
use subtle::ConstantTimeEq;

/// Type of the packet.
const PROTECTED: u8 = 18;

/// Content decrypted at once.
const BATCH_BYTES: usize = 32 * 1024;

/// Parts of gpg hold 8 KiB: not every one of them should be two reads of the input.
const READ_BYTES: usize = 64 * 1024;

/// The first encrypted octets, by which a session key is recognized, if `message` begins with a container of this kind.
pub(in super::super) fn first_octets(message: &[u8]) -> Option<[u8; PREFIX_BYTES]> {
    let mut first = [0; PREFIX_BYTES];
    let mut body = encrypted(message).ok()?;
    body.read_exact(&mut first).ok()?;
    Some(first)
}

/// Reads the packets inside a container.
pub(in super::super) struct ContainerReader<R> {
    body: PacketBody<BufReader<R>>,
    /// Taken away at the end of the stream.
    decryptor: Option<Decryptor>,
    code: LateSha1,
    /// Takes turns with the code.
    file: Option<ReadHash>,
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
    /// Starts to read; `input` stands at the packet's first octet. The hash of the `file` it comes from takes turns with the
    /// code.
    pub(in super::super) fn open(
        input: R,
        decryptor: Decryptor,
        file: Option<ReadHash>,
    ) -> io::Result<Self> {
        let mut reader = Self {
            body: encrypted(BufReader::with_capacity(READ_BYTES, input))?,
            decryptor: Some(decryptor),
            code: LateSha1::default(),
            file,
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
        let content = self.buffer.get(self.ready.clone()).unwrap_or_default();
        match &self.file {
            Some(file) => file.take_turns(&mut self.code, content),
            None => self.code.update(content),
        }
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
        let right = code.finish().ct_eq(found) & header.ct_eq(&CODE_HEADER);
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

/// The encrypted octets of the container that `input` is.
fn encrypted<R: Read>(input: R) -> io::Result<PacketBody<R>> {
    let (kind, mut body) = PacketBody::open(input)?;
    if kind != PROTECTED {
        return Err(damaged("it does not begin as it should"));
    }
    match octet(&mut body)? {
        VERSION => Ok(body),
        _ => Err(damaged("it has an unknown version")),
    }
}
