//! Buffered input for tar files, in units of headers, payloads and gaps.

use super::{Error, TAR_BLOCK_BYTES, padding};
use std::io::{self, Read};

/// Bytes read at once. Also the step in which data is skipped.
const BUFFER_BYTES: usize = 64 * 1024;

/// Buffered input that counts what was taken from it.
pub(super) struct Input<R> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes taken so far.
    pub(super) offset: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(inner: R) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self {
            inner,
            buffer,
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// What was read ahead.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes bytes that are buffered.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Makes sure something is buffered; 0 at the end of the input.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.end = read_some(&mut self.inner, &mut self.buffer)?;
        }
        Ok(self.end - self.start)
    }

    /// As [`Read::read`]; large reads go past the buffer.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && out.len() >= BUFFER_BYTES {
            let done = read_some(&mut self.inner, out)?;
            self.offset += done as u64;
            return Ok(done);
        }
        let done = self.fill()?.min(out.len());
        out[..done].copy_from_slice(&self.buffered()[..done]);
        self.consume(done);
        Ok(done)
    }

    /// Reads a block; `false` if the input ends before it.
    pub(super) fn read_block(&mut self, block: &mut [u8; TAR_BLOCK_BYTES]) -> Result<bool, Error> {
        if let Some(buffered) = self.buffered().first_chunk() {
            *block = *buffered;
            self.consume(TAR_BLOCK_BYTES);
            return Ok(true);
        }
        let mut filled = 0;
        while filled < TAR_BLOCK_BYTES {
            match self.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => {
                    return Err(Error::Truncated {
                        offset: self.offset,
                    });
                }
                done => filled += done,
            }
        }
        Ok(true)
    }

    /// Data of an extension header, with the zeros after it.
    pub(super) fn read_payload(
        &mut self,
        size: u64,
        mut payload: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        payload.clear();
        let mut wanted = size as usize;
        while wanted > 0 {
            let available = self.fill()?.min(wanted);
            if available == 0 {
                return Err(Error::Truncated {
                    offset: self.offset,
                });
            }
            payload.extend_from_slice(&self.buffered()[..available]);
            self.consume(available);
            wanted -= available;
        }
        self.skip(padding(size) as u64)?;
        Ok(payload)
    }

    /// Passes over bytes that must be there.
    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<(), Error> {
        while bytes > 0 {
            let available = (self.fill()? as u64).min(bytes);
            if available == 0 {
                return Err(Error::Truncated {
                    offset: self.offset,
                });
            }
            self.consume(available as usize);
            bytes -= available;
        }
        Ok(())
    }
}

fn read_some<R: Read>(input: &mut R, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(out) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
