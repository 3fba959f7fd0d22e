//! gzip framing around [`deflate`](super::deflate); docs/format.md, "gzip".

use super::SealWriter;
use super::deflate::{DeflateWriter, Pool};
use crate::engine::error::{Error, ErrorKind, Result};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufReader, Read, Write};

/// No name, no time, unknown system: the header duplicity writes, but for the time, of which the engine has none.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// CRC-32 and length after the deflate data.
const TRAILER_BYTES: u64 = 8;

/// Bytes read from below at once.
const READ_BYTES: usize = 128 * 1024;

/// Writes a gzip file of one member.
pub(super) struct GzipWriter {
    deflate: DeflateWriter<Box<dyn Write + Send>>,
}

impl GzipWriter {
    pub(super) fn new(
        pool: &Pool,
        block_bytes: usize,
        mut out: Box<dyn Write + Send>,
    ) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self {
            deflate: DeflateWriter::new(pool, block_bytes, out)?,
        })
    }
}

impl Write for GzipWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.deflate.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.deflate.flush()
    }
}

impl SealWriter for GzipWriter {
    fn estimated_bytes(&self) -> u64 {
        HEADER.len() as u64 + self.deflate.estimated_bytes() + TRAILER_BYTES
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let (mut out, totals) = self.deflate.finish()?;
        out.write_all(&totals.crc.to_le_bytes())?;
        // The format keeps the length modulo 2^32.
        out.write_all(&(totals.plain as u32).to_le_bytes())?;
        Ok(out.flush()?)
    }
}

/// Reads a gzip file of any number of members.
pub(super) struct GzipReader<R: Read> {
    members: MultiGzDecoder<BufReader<R>>,
}

impl<R: Read> GzipReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            members: MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, input)),
        }
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        self.members.read(data).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof
                if e.get_ref().is_none_or(|inner| !inner.is::<Error>()) =>
            {
                Error::new(ErrorKind::Corrupt, "damaged gzip data")
                    .with_source(e)
                    .into()
            }
            _ => e,
        })
    }
}
