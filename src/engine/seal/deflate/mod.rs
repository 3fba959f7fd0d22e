//! Deflate on many threads: blocks are compressed apart, each with the end of the one before at hand, and joined in order
//! to one stream.
//!
//! Every MiB a block does without that end, behind a mark: from there on the stream can be inflated alone.
//!
//! The stream depends only on the bytes written and the level, never on the number or the speed of threads. So does
//! the estimate of its length: at block n it knows the blocks up to n - [`IN_FLIGHT`] and no others, even if more
//! are done. docs/architecture.md, "A backup", tells why volumes are cut by such a rule.

mod bits;
mod block;
mod encoder;
mod matches;
mod one_pass;
mod prefix;
mod probe;
mod thorough;
mod token;

use super::Compression;
use crate::engine::error::{Error, ErrorKind};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

pub(super) use encoder::END_OF_STREAM;
use encoder::encoder;
use matches::HISTORY_BYTES;

/// Blocks that may be in work for one writer. Bounds the memory and sets the lag of the estimate, so it is part of
/// where volumes end: not a tuning knob.
pub(super) const IN_FLIGHT: usize = 16;

/// Bytes per block unless a smaller target asks for less.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// Plain bytes after which a block begins that refers to nothing before it, so that reading can begin there.
/// docs/decisions.md 38 has what that costs and gains.
const RESTART_BYTES: usize = 1 << 20;

/// What stands before such a block: two empty stored blocks, as `pigz -i` marks its own.
pub(super) const MARK: [u8; 10] = [0, 0, 0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff];

/// Smallest block: below, looking at the history of each again takes most of the time.
const MIN_BLOCK_BYTES: usize = 16 * 1024;

/// A block to compress and where to send the result.
struct Job {
    block: Block,
    packed: Vec<u8>,
    /// Whether the checksum is wanted.
    checked: bool,
    reply: Sender<Packed>,
}

/// Plain bytes, after the end of the block before.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    /// How many of them are the block's history.
    history: usize,
    /// Whether it begins with a mark, and refers to nothing before it.
    is_restart: bool,
}

impl Block {
    fn len(&self) -> usize {
        self.bytes.len() - self.history
    }

    /// Its history and itself.
    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.history)
    }

    /// Begins anew behind another block.
    fn follow(&mut self, before: &Block, is_restart: bool) {
        self.bytes.clear();
        if !is_restart {
            let history = before.bytes.len().saturating_sub(HISTORY_BYTES);
            self.bytes
                .extend_from_slice(before.bytes.get(history..).unwrap_or_default());
        }
        self.history = self.bytes.len();
        self.is_restart = is_restart;
    }
}

/// A compressed block, together with its plain buffer for reuse.
struct Packed {
    block: Block,
    packed: Vec<u8>,
    /// CRC-32 of the plain block and its length, as gzip wants them.
    crc: Option<crc32fast::Hasher>,
}

/// The threads that compress for all writers of one seal. They start with the first writer.
pub(super) struct Pool {
    compression: Compression,
    threads: usize,
    jobs: Mutex<Option<Sender<Job>>>,
}

impl Pool {
    pub(super) fn new(compression: Compression, threads: usize) -> Self {
        Self {
            compression,
            threads: threads.max(1),
            jobs: Mutex::new(None),
        }
    }

    /// Whether it makes anything smaller at all.
    pub(super) fn compresses(&self) -> bool {
        self.compression != Compression::None
    }

    /// The way to the workers, who go home when the last sender is gone.
    fn jobs(&self) -> io::Result<Sender<Job>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*jobs {
            return Ok(sender.clone());
        }
        let (sender, receiver) = unbounded();
        for number in 1..=self.threads {
            let receiver = receiver.clone();
            let compression = self.compression;
            std::thread::Builder::new()
                .name(format!("deflate-{number}"))
                .spawn(move || work(&receiver, compression))
                .map_err(|e| Error::from(e).within("cannot start a thread for compression"))?;
        }
        Ok(jobs.insert(sender).clone())
    }
}

fn work(jobs: &Receiver<Job>, compression: Compression) {
    let mut encoder = encoder(compression);
    for Job {
        block,
        mut packed,
        checked,
        reply,
    } in jobs
    {
        packed.clear();
        if block.is_restart {
            packed.extend(MARK);
        }
        let (history, plain) = block.parts();
        let crc = checked.then(|| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(plain);
            crc
        });
        encoder.encode(history, plain, &mut packed);
        // A writer that is gone was abandoned: nobody misses the block.
        let _ = reply.send(Packed { block, packed, crc });
    }
}

/// Writes raw deflate data, without header or trailer, to `out`.
pub(super) struct DeflateWriter<W> {
    out: W,
    jobs: Sender<Job>,
    block_bytes: usize,
    /// The block being filled.
    block: Block,
    /// Plain bytes of the blocks since the last mark, or the beginning.
    since_mark: usize,
    /// Blocks in work, oldest first, with their plain lengths.
    ring: VecDeque<(usize, Receiver<Packed>)>,
    spare: Vec<(Block, Vec<u8>)>,
    /// Plain bytes of the blocks that were written out, and their compressed bytes.
    done_plain: u64,
    done_packed: u64,
    /// That of the plain bytes of these blocks, if it is wanted.
    crc: Option<crc32fast::Hasher>,
}

/// What a finished stream held.
pub(super) struct Totals {
    /// Plain bytes.
    pub plain: u64,
    /// CRC-32 of the plain bytes, if it was wanted.
    pub crc: Option<u32>,
}

impl<W: Write> DeflateWriter<W> {
    /// Starts a stream; its blocks hold `block_bytes` each, which is part of what the output depends on.
    pub(super) fn new(pool: &Pool, block_bytes: usize, out: W) -> io::Result<Self> {
        Ok(Self {
            out,
            jobs: pool.jobs()?,
            block_bytes: block_bytes.max(MIN_BLOCK_BYTES),
            block: Block::default(),
            since_mark: 0,
            ring: VecDeque::with_capacity(IN_FLIGHT),
            spare: Vec::new(),
            done_plain: 0,
            done_packed: 0,
            crc: None,
        })
    }

    /// Computes the CRC-32 of the plain bytes as well. To be called before anything is written.
    pub(super) fn with_checksum(mut self) -> Self {
        self.crc = Some(crc32fast::Hasher::new());
        self
    }

    /// Length of the stream if it ended here. What is still in work is taken to shrink as the rest did; the first
    /// blocks, of which nothing is known, not to shrink at all.
    pub(super) fn estimated_bytes(&self) -> u64 {
        let pending = self
            .ring
            .iter()
            .map(|(plain, _)| *plain as u64)
            .sum::<u64>()
            + self.block.len() as u64;
        let guess = if self.done_plain == 0 {
            pending
        } else {
            (u128::from(pending) * u128::from(self.done_packed) / u128::from(self.done_plain))
                as u64
        };
        self.done_packed + guess + END_OF_STREAM.len() as u64
    }

    /// Sends the filled block to the workers, after taking in the oldest one if the ring is full.
    fn submit(&mut self) -> io::Result<()> {
        if self.ring.len() >= IN_FLIGHT {
            self.take_in_oldest()?;
        }
        let (mut fresh, packed) = self.spare.pop().unwrap_or_default();
        self.since_mark += self.block.len();
        let is_restart = self.since_mark >= RESTART_BYTES;
        if is_restart {
            self.since_mark = 0;
        }
        fresh.follow(&self.block, is_restart);
        let block = std::mem::replace(&mut self.block, fresh);
        let (reply, answer) = bounded(1);
        self.ring.push_back((block.len(), answer));
        self.jobs
            .send(Job {
                block,
                packed,
                checked: self.crc.is_some(),
                reply,
            })
            .map_err(|_| lost())
    }

    fn take_in_oldest(&mut self) -> io::Result<()> {
        let Some((plain, answer)) = self.ring.pop_front() else {
            return Ok(());
        };
        let Packed { block, packed, crc } = answer.recv().map_err(|_| lost())?;
        self.out.write_all(&packed)?;
        self.done_plain += plain as u64;
        self.done_packed += packed.len() as u64;
        if let (Some(all), Some(crc)) = (&mut self.crc, &crc) {
            all.combine(crc);
        }
        self.spare.push((block, packed));
        Ok(())
    }

    /// Writes out all blocks and the end of the stream.
    pub(super) fn finish(mut self) -> io::Result<(W, Totals)> {
        if self.block.len() > 0 {
            self.submit()?;
        }
        while !self.ring.is_empty() {
            self.take_in_oldest()?;
        }
        self.out.write_all(&END_OF_STREAM)?;
        Ok((
            self.out,
            Totals {
                plain: self.done_plain,
                crc: self.crc.map(crc32fast::Hasher::finalize),
            },
        ))
    }
}

impl<W: Write> Write for DeflateWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.block_bytes - self.block.len();
        self.block.bytes.reserve_exact(room);
        let n = data.len().min(room);
        let taken = data.get(..n).unwrap_or(data);
        self.block.bytes.extend_from_slice(taken);
        if self.block.len() == self.block_bytes {
            self.submit()?;
        }
        Ok(n)
    }

    /// Does nothing: a flush in the middle would make the output depend on when it came.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lost() -> io::Error {
    Error::new(ErrorKind::Internal, "a thread for compression ended early").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::seal::tests::mixed;
    use std::io::Read;

    fn deflate(data: &[u8], threads: usize, piece: usize) -> (Vec<u8>, Vec<u64>) {
        let pool = Pool::new(Compression::Default, threads);
        let writer = DeflateWriter::new(&pool, 64 * 1024, Vec::new()).unwrap();
        let mut writer = writer.with_checksum();
        let mut estimates = Vec::new();
        for piece in data.chunks(piece) {
            writer.write_all(piece).unwrap();
            estimates.push(writer.estimated_bytes());
        }
        let (packed, totals) = writer.finish().unwrap();
        assert_eq!(totals.plain, data.len() as u64);
        assert_eq!(totals.crc, Some(crc32fast::hash(data)));
        (packed, estimates)
    }

    #[test]
    fn output_and_estimates_do_not_depend_on_threads() {
        let data = mixed(4_000_000);
        let one = deflate(&data, 1, 10_000);
        for threads in [2, 8] {
            assert!(deflate(&data, threads, 10_000) == one, "{threads} threads");
        }
        assert!(deflate(&data, 2, 333_333).0 == one.0, "size of writes");
    }

    #[test]
    fn stream_inflates_to_what_was_written() {
        for bytes in [0, 1, 65_535, 65_536, 65_537, 3_000_000] {
            let data = mixed(bytes);
            let (packed, _) = deflate(&data, 2, 70_001);
            let mut plain = Vec::new();
            flate2::read::DeflateDecoder::new(&packed[..])
                .read_to_end(&mut plain)
                .unwrap();
            assert!(plain == data, "{bytes}");
        }
    }

    #[test]
    fn estimate_comes_close_to_the_length() {
        let data = mixed(8_000_000);
        let (packed, estimates) = deflate(&data, 2, 65_536);
        let (real, last) = (packed.len() as f64, *estimates.last().unwrap() as f64);
        assert!(
            (last / real - 1.0).abs() < 0.05,
            "estimated {last}, real {real}"
        );
    }

    #[test]
    fn failing_output_ends_the_stream_with_its_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let pool = Pool::new(Compression::Default, 2);
        let mut writer = DeflateWriter::new(&pool, 16 * 1024, Full).unwrap();
        let error = writer.write_all(&mixed(2_000_000)).unwrap_err();
        assert_eq!(Error::from(error).kind(), ErrorKind::Full);
    }
}
