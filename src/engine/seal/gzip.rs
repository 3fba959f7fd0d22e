//! gzip framing around [`deflate`](super::deflate); docs/format.md, "gzip".

use super::SealWriter;
use super::deflate::{DeflateWriter, Pool};
use super::hash::{HashingWriter, Written};
use super::inflate::{Crew, Inflate};
use crate::engine::ahead::fill;
use crate::engine::error::{Error, ErrorKind, Result};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read, Write};

/// No name, no time, unknown system: the header duplicity writes, but for the time, of which the engine has none.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// CRC-32 and length after the deflate data.
const TRAILER_BYTES: u64 = 8;

/// Bytes read from below at once.
const READ_BYTES: usize = 128 * 1024;

/// Writes a gzip file of one member.
pub(super) struct GzipWriter {
    deflate: DeflateWriter<HashingWriter<Box<dyn Write + Send>>>,
}

impl GzipWriter {
    pub(super) fn new(
        pool: &Pool,
        block_bytes: usize,
        out: Box<dyn Write + Send>,
    ) -> io::Result<Self> {
        let mut out = HashingWriter::new(out);
        out.write_all(&HEADER)?;
        Ok(Self {
            deflate: DeflateWriter::new(pool, block_bytes, out)?.with_checksum(),
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

    fn finish(self: Box<Self>) -> Result<Written> {
        let (mut out, totals) = self.deflate.finish()?;
        let crc = totals.crc.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "a gzip file was written without its checksum",
            )
        })?;
        out.write_all(&crc.to_le_bytes())?;
        // The format keeps the length modulo 2^32.
        out.write_all(&(totals.plain as u32).to_le_bytes())?;
        Ok(out.finish()?)
    }
}

/// Reads a gzip file of any number of members.
pub(super) enum GzipReader {
    /// Nothing was read yet.
    New(Option<(Input, Crew)>),
    /// Its first member, with a plain header, and how much of its content was read.
    First(Box<Inflate<Input>>, u64),
    /// All was read, and right.
    Ended,
    /// Members of any kind.
    Members(Box<MultiGzDecoder<BufReader<Input>>>),
}

type Input = Box<dyn Read + Send>;

impl GzipReader {
    pub(super) fn new(input: Input, crew: Crew) -> Self {
        Self::New(Some((input, crew)))
    }

    fn members(input: Input) -> Self {
        let input = BufReader::with_capacity(READ_BYTES, input);
        Self::Members(Box::new(MultiGzDecoder::new(input)))
    }

    /// Looks at the header: one without a name and the like is followed by the stream.
    fn open(mut input: Input, crew: Crew) -> io::Result<Self> {
        let mut header = [0; HEADER.len()];
        let (filled, outcome) = fill(&mut input, &mut header);
        outcome?;
        let is_plain = filled == HEADER.len() && header.starts_with(&HEADER[..4]);
        Ok(if is_plain {
            let inflate = Inflate::new(input, Some(crew), damaged).with_checksum();
            Self::First(Box::new(inflate), 0)
        } else {
            let seen = header.get(..filled).unwrap_or_default().to_vec();
            Self::members(Box::new(io::Cursor::new(seen).chain(input)))
        })
    }

    fn read_on(&mut self, data: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Self::New(input) => match input.take() {
                    Some((input, crew)) => *self = Self::open(input, crew)?,
                    // Reading goes on after an error.
                    None => return Err(damaged("it cannot be read on")),
                },
                Self::First(inflate, bytes) => {
                    let n = inflate.read(data)?;
                    *bytes += n as u64;
                    if n > 0 || data.is_empty() {
                        return Ok(n);
                    }
                    let mut trailer = [0; TRAILER_BYTES as usize];
                    inflate.rest().read_exact(&mut trailer)?;
                    // The format keeps the length modulo 2^32.
                    let checksum = inflate.checksum().unwrap_or_default();
                    let mut expected = checksum.to_le_bytes().to_vec();
                    expected.extend((*bytes as u32).to_le_bytes());
                    if trailer[..] != expected[..] {
                        return Err(damaged("its checksum is wrong"));
                    }
                    let is_last = inflate.rest().fill_buf()?.is_empty();
                    if let Self::First(inflate, _) = std::mem::replace(self, Self::Ended)
                        && !is_last
                    {
                        *self = Self::members(Box::new(inflate.into_rest()));
                    }
                }
                Self::Ended => return Ok(0),
                Self::Members(members) => return members.read(data),
            }
        }
    }
}

fn damaged(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}

impl Read for GzipReader {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        self.read_on(data).map_err(|e| match e.kind() {
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
