//! Applying deltas.

use super::command::{COPY, COPY_LAST, END, LITERAL, SHORT_LITERAL_MAX};
use super::{DELTA_MAGIC, Error};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// Bytes moved at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Ranges of a basis that are remembered for a delta that comes back to them. Each costs a look per copy.
const REMEMBERED_MAX: usize = 1024;

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
    let bytes = basis.seek(SeekFrom::End(0)).map_err(Error::Basis)?;
    let basis = Basis {
        inner: basis,
        bytes,
        pos: bytes,
    };
    apply(basis, delta, out, limit)
}

/// As [`patch`], with a basis that can be read only once, in order, and is not read further than needed. `backward` must
/// be that of the same delta.
///
/// # Errors
/// As [`patch`].
pub fn patch_passing<B, D, O>(
    basis: B,
    backward: &Backward,
    delta: D,
    out: &mut O,
    limit: u64,
) -> Result<u64, Error>
where
    B: Read,
    D: Read,
    O: Write + ?Sized,
{
    let remembered = backward.ranges.iter();
    let basis = Passing {
        inner: basis,
        pos: 0,
        remembered: remembered
            .map(|range| (range.clone(), Vec::new()))
            .collect(),
    };
    apply(basis, delta, out, limit)
}

/// What of its basis a delta copies after it has copied something behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backward {
    /// In ascending order, apart from each other.
    ranges: Vec<Range<u64>>,
}

impl Backward {
    /// Reads a delta for what it goes back to; `None` if that is more than `most` bytes.
    ///
    /// # Errors
    /// Those of a delta that is not whole.
    pub fn of<D: Read>(delta: D, most: u64) -> Result<Option<Self>, Error> {
        let mut delta = DeltaInput::open(delta)?;
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let (mut pos, mut bytes) = (0, 0u64);
        while let Some(command) = delta.command()? {
            match command {
                Command::Literal { length } => {
                    delta.copy_to(length, &mut io::sink())?;
                }
                Command::Copy { offset, length } => {
                    let end = offset.saturating_add(length);
                    if offset < pos {
                        let range = offset..end.min(pos);
                        bytes = bytes.saturating_add(range.end - range.start);
                        ranges.push(range);
                    }
                    pos = pos.max(end);
                }
            }
            if bytes > most || ranges.len() > REMEMBERED_MAX {
                return Ok(None);
            }
        }
        ranges.sort_by_key(|range| range.start);
        let mut apart: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        Ok(Some(Self { ranges: apart }))
    }
}

/// Applies a delta to either kind of basis.
fn apply<D, O>(mut basis: impl Source, delta: D, out: &mut O, limit: u64) -> Result<u64, Error>
where
    D: Read,
    O: Write + ?Sized,
{
    let mut delta = DeltaInput::open(delta)?;
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
    while let Some(command) = delta.command()? {
        match command {
            Command::Literal { length } => {
                count(length)?;
                delta.copy_to(length, &mut out)?;
            }
            Command::Copy { offset, length } => {
                count(length)?;
                basis.copy_to(offset, length, &mut buffer, &mut out)?;
            }
        }
    }
    if !delta.fill()?.is_empty() {
        return Err(Error::TrailingBytes);
    }
    out.flush().map_err(Error::Output)?;
    count(0)
}

/// What a delta says. Its end is no command.
enum Command {
    /// So many bytes follow.
    Literal { length: u64 },
    /// So many bytes of the basis.
    Copy { offset: u64, length: u64 },
}

/// The delta, read command by command.
struct DeltaInput<D>(BufReader<D>);

impl<D: Read> DeltaInput<D> {
    fn open(delta: D) -> Result<Self, Error> {
        let mut delta = Self(BufReader::with_capacity(BUFFER_BYTES, delta));
        let magic = delta.number(4)? as u32;
        match magic {
            DELTA_MAGIC => Ok(delta),
            magic => Err(Error::NotADelta { magic }),
        }
    }

    /// The next command; `None` at the end mark.
    fn command(&mut self) -> Result<Option<Command>, Error> {
        let command = self.number(1)? as u8;
        Ok(Some(match command {
            END => return Ok(None),
            1..=SHORT_LITERAL_MAX => Command::Literal {
                length: command.into(),
            },
            LITERAL..COPY => Command::Literal {
                length: self.number(1 << (command - LITERAL))?,
            },
            COPY..=COPY_LAST => {
                let widths = command - COPY;
                Command::Copy {
                    offset: self.number(1 << (widths / 4))?,
                    length: self.number(1 << (widths % 4))?,
                }
            }
            command => return Err(Error::BadCommand { command }),
        }))
    }

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

/// Where copies come from.
trait Source {
    fn copy_to<O: Write>(
        &mut self,
        offset: u64,
        length: u64,
        buffer: &mut [u8],
        out: &mut O,
    ) -> Result<(), Error>;
}

/// A basis that can be read anywhere, with the place it would be read from next: runs of copies need no seeks.
struct Basis<'a, B: ?Sized> {
    inner: &'a mut B,
    bytes: u64,
    pos: u64,
}

impl<B: Read + Seek + ?Sized> Source for Basis<'_, B> {
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

/// A basis that passes once. What will be copied again is remembered.
struct Passing<B> {
    inner: B,
    /// How much has passed.
    pos: u64,
    /// What is remembered, and its bytes as far as they have passed.
    remembered: Vec<(Range<u64>, Vec<u8>)>,
}

impl<B: Read> Passing<B> {
    /// Lets the basis pass up to `end`, and writes it.
    fn pass<O: Write>(&mut self, end: u64, buffer: &mut [u8], out: &mut O) -> Result<bool, Error> {
        while self.pos < end {
            let most = (end - self.pos).min(buffer.len() as u64) as usize;
            let bytes = match self.inner.read(&mut buffer[..most]) {
                Ok(0) => return Ok(false),
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::Basis(e)),
            };
            let piece = &buffer[..bytes];
            let passed = self.pos..self.pos + bytes as u64;
            for (range, kept) in &mut self.remembered {
                let from = range.start.max(passed.start);
                let to = range.end.min(passed.end);
                if from < to {
                    let (from, to) = (from - passed.start, to - passed.start);
                    kept.extend_from_slice(&piece[from as usize..to as usize]);
                }
            }
            out.write_all(piece).map_err(Error::Output)?;
            self.pos = passed.end;
        }
        Ok(true)
    }

    /// What is remembered from `at` on; nothing if that is not.
    fn recall(&self, at: u64) -> &[u8] {
        let holds = |(range, kept): &&(Range<u64>, Vec<u8>)| {
            range.start <= at && at < range.start + kept.len() as u64
        };
        let found = self.remembered.iter().find(holds);
        found
            .and_then(|(range, kept)| kept.get((at - range.start) as usize..))
            .unwrap_or_default()
    }
}

impl<B: Read> Source for Passing<B> {
    fn copy_to<O: Write>(
        &mut self,
        offset: u64,
        length: u64,
        buffer: &mut [u8],
        out: &mut O,
    ) -> Result<(), Error> {
        let outside = |basis| Error::CopyOutside {
            offset,
            length,
            basis,
        };
        let end = offset.checked_add(length).ok_or(outside(self.pos))?;
        let mut at = offset;
        while at < end.min(self.pos) {
            let kept = self.recall(at);
            let bytes = kept.len().min((end - at) as usize);
            if bytes == 0 {
                return Err(outside(self.pos));
            }
            out.write_all(&kept[..bytes]).map_err(Error::Output)?;
            at += bytes as u64;
        }
        // A copy of nothing asks for nothing, but must not lie outside either.
        let whole = self.pass(at, buffer, &mut io::sink())? && self.pass(end, buffer, out)?;
        if whole {
            Ok(())
        } else {
            Err(outside(self.pos))
        }
    }
}
