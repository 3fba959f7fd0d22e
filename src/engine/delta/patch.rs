//! Applying deltas.

use super::command::{COPY, COPY_LAST, END, LITERAL, SHORT_LITERAL_MAX};
use super::{DELTA_MAGIC, Error};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// Bytes moved at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Writes to `out` what `delta` makes of `basis`, and returns the number of bytes.
///
/// Streams: the delta is read once, the basis where it says. `limit` is the most bytes that may come out, to stop a
/// delta that was made to fill a disk.
///
/// # Errors
/// Anything but a whole delta that fits the basis, or trouble with one of the three files. What was written by then
/// is worthless.
pub fn patch<B, D, O>(basis: &mut B, delta: D, out: &mut O, limit: u64) -> Result<u64, Error>
where
    B: Read + Seek + ?Sized,
    D: Read,
    O: Write + ?Sized,
{
    let mut delta = DeltaInput(BufReader::with_capacity(BUFFER_BYTES, delta));
    let magic = delta.number(4)? as u32;
    if magic != DELTA_MAGIC {
        return Err(Error::NotADelta { magic });
    }
    let basis_bytes = basis.seek(SeekFrom::End(0)).map_err(Error::Basis)?;
    let mut basis = Basis {
        inner: basis,
        bytes: basis_bytes,
        pos: basis_bytes,
    };
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut written = 0u64;
    let mut count = |length: u64| {
        written = written
            .checked_add(length)
            .filter(|w| *w <= limit)
            .ok_or(Error::TooLong { limit })?;
        Ok(written)
    };
    loop {
        let command = delta.number(1)? as u8;
        match command {
            END => break,
            1..=SHORT_LITERAL_MAX => {
                count(command.into())?;
                delta.copy_to(command.into(), &mut out)?;
            }
            LITERAL..COPY => {
                let length = delta.number(1 << (command - LITERAL))?;
                count(length)?;
                delta.copy_to(length, &mut out)?;
            }
            COPY..=COPY_LAST => {
                let widths = command - COPY;
                let offset = delta.number(1 << (widths / 4))?;
                let length = delta.number(1 << (widths % 4))?;
                count(length)?;
                basis.copy_to(offset, length, &mut buffer, &mut out)?;
            }
            command => return Err(Error::BadCommand { command }),
        }
    }
    if !delta.fill()?.is_empty() {
        return Err(Error::TrailingBytes);
    }
    out.flush().map_err(Error::Output)?;
    count(0)
}

/// The delta, read command by command.
struct DeltaInput<D>(BufReader<D>);

impl<D: Read> DeltaInput<D> {
    /// What is buffered; nothing at the end.
    fn fill(&mut self) -> Result<&[u8], Error> {
        while let Err(e) = self.0.fill_buf() {
            if e.kind() != io::ErrorKind::Interrupted {
                return Err(Error::Delta(e));
            }
        }
        Ok(self.0.buffer())
    }

    /// A big-endian number of `width` bytes.
    fn number(&mut self, width: usize) -> Result<u64, Error> {
        let mut value = 0;
        for _ in 0..width {
            let byte = *self.fill()?.first().ok_or(Error::TruncatedDelta)?;
            self.0.consume(1);
            value = value << 8 | u64::from(byte);
        }
        Ok(value)
    }

    fn copy_to<O: Write>(&mut self, mut length: u64, out: &mut O) -> Result<(), Error> {
        while length > 0 {
            let available = self.fill()?;
            if available.is_empty() {
                return Err(Error::TruncatedDelta);
            }
            let bytes = (available.len() as u64).min(length);
            out.write_all(&available[..bytes as usize])
                .map_err(Error::Output)?;
            self.0.consume(bytes as usize);
            length -= bytes;
        }
        Ok(())
    }
}

/// The basis, with the place it would be read from next: runs of copies need no seeks.
struct Basis<'a, B: ?Sized> {
    inner: &'a mut B,
    bytes: u64,
    pos: u64,
}

impl<B: Read + Seek + ?Sized> Basis<'_, B> {
    fn copy_to<O: Write>(
        &mut self,
        offset: u64,
        length: u64,
        buffer: &mut [u8],
        out: &mut O,
    ) -> Result<(), Error> {
        let end = offset.checked_add(length).filter(|end| *end <= self.bytes);
        let Some(end) = end else {
            return Err(Error::CopyOutside {
                offset,
                length,
                basis: self.bytes,
            });
        };
        if self.pos != offset {
            self.inner
                .seek(SeekFrom::Start(offset))
                .map_err(Error::Basis)?;
            self.pos = offset;
        }
        while self.pos < end {
            let bytes = (end - self.pos).min(buffer.len() as u64) as usize;
            let piece = &mut buffer[..bytes];
            self.inner.read_exact(piece).map_err(Error::Basis)?;
            self.pos += bytes as u64;
            out.write_all(piece).map_err(Error::Output)?;
        }
        Ok(())
    }
}
