//! Measures and hashes a sealed file while it is written, or read.
//!
//! The manifest names each volume by the SHA-1 of its sealed bytes. Hashing on the way out saves a second read.

use sha1::block_api::Sha1Core;
use sha1::digest::array::Array;
use sha1::digest::block_api::{Block, Buffer, FixedOutputCore, UpdateCore};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What SHA-1 takes at once: 64 bytes.
pub(super) type Sha1Block = Block<Sha1Core>;

/// Passes bytes on and keeps their number and SHA-1.
pub(super) struct HashingWriter<W> {
    inner: W,
    hash: LateSha1,
    bytes: u64,
}

/// What went through until the end of a sealed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes in all.
    pub bytes: u64,
    /// SHA-1 of them, 40 lower-case hex digits, as manifests spell it.
    pub sha1: String,
}

impl<W: Write> HashingWriter<W> {
    /// Starts with nothing written.
    pub(super) fn new(inner: W) -> Self {
        Self {
            inner,
            hash: LateSha1::default(),
            bytes: 0,
        }
    }

    /// Bytes passed on so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Passes on all of `data`, and takes it away to be hashed later: block by block between other work, as far as that takes
    /// [`late`](Self::late) blocks, and the rest with what is written next.
    pub(super) fn write_late(&mut self, data: &mut Vec<u8>) -> io::Result<()> {
        self.inner.write_all(data)?;
        self.bytes += data.len() as u64;
        self.hash.update_late(data);
        data.clear();
        Ok(())
    }

    /// The hash, for who takes turns with it.
    pub(super) fn late(&mut self) -> &mut LateSha1 {
        &mut self.hash
    }

    /// Flushes and drops the writer below; what it was given.
    pub(super) fn finish(mut self) -> io::Result<Written> {
        self.inner.flush()?;
        Ok(Written {
            bytes: self.bytes,
            sha1: hex(&self.hash.finish()),
        })
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(data)?;
        self.hash.update(data.get(..n).unwrap_or(data));
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> fmt::Debug for HashingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingWriter")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Bytes of a file read at once.
const READ_BYTES: usize = 256 * 1024;

/// What went through of a sealed file that somebody reads.
#[derive(Clone, Default)]
pub struct ReadHash(Arc<Mutex<Passed>>);

/// The file as far as it was read.
#[derive(Default)]
struct Passed {
    /// What was read last may wait in it.
    hash: LateSha1,
    bytes: u64,
    ended: bool,
}

impl ReadHash {
    /// Reads `file` from here on, hashing all of it.
    pub(super) fn of(file: File) -> (impl Read + Send, Self) {
        let passed = Self::default();
        let reader = HashingReader {
            file,
            passed: passed.clone(),
            position: 0,
            spare: Vec::new(),
        };
        (reader, passed)
    }

    /// The whole file; `None` if it was not read to its end.
    pub fn whole(&self) -> Option<Written> {
        let mut passed = self.lock();
        let hash = std::mem::take(&mut passed.hash);
        passed.ended.then(|| Written {
            bytes: passed.bytes,
            sha1: hex(&hash.finish()),
        })
    }

    /// Hashes `data` for another hash, in turns with what was read here.
    pub(super) fn take_turns(&self, other: &mut LateSha1, data: &[u8]) {
        other.update_in_turns(data, &mut self.lock().hash);
    }

    fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a file. What was read last is where it waits to be hashed.
struct HashingReader {
    file: File,
    passed: ReadHash,
    /// How much of what waits was handed out.
    position: usize,
    spare: Vec<u8>,
}

impl Read for HashingReader {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let mut passed = self.passed.lock();
        if self.position == passed.hash.late.len() && !data.is_empty() {
            match self.spare.capacity() {
                // A new one comes cleared, at no cost.
                0 => self.spare = vec![0; READ_BYTES],
                _ => self.spare.resize(READ_BYTES, 0),
            }
            let read = self.file.read(&mut self.spare)?;
            self.spare.truncate(read);
            passed.bytes += read as u64;
            passed.ended = read == 0;
            passed.hash.update_late(&mut self.spare);
            self.position = 0;
        }
        let ready = passed.hash.late.get(self.position..).unwrap_or_default();
        let bytes = ready.len().min(data.len());
        data[..bytes].copy_from_slice(&ready[..bytes]);
        self.position += bytes;
        Ok(bytes)
    }
}

/// SHA-1 of bytes of which the latest may still wait. They can be hashed block by block in turns with other work: a hash and
/// a cipher both wait for themselves most of the time, and the processor does one while the other waits.
#[derive(Default)]
pub(super) struct LateSha1 {
    core: Sha1Core,
    /// The beginning of a block.
    begun: Buffer<Sha1Core>,
    /// What came last; the first `done` bytes are hashed. While there is more, no block is begun.
    late: Vec<u8>,
    done: usize,
}

impl LateSha1 {
    /// Hashes all of `data`.
    pub(super) fn update(&mut self, data: &[u8]) {
        self.catch_up();
        self.begun
            .digest_blocks(data, |blocks| self.core.update_blocks(blocks));
    }

    /// Hashes all of `data`, in turns with as much of what waits in `other`.
    fn update_in_turns(&mut self, data: &[u8], other: &mut Self) {
        self.catch_up();
        let (begun, data) = data.split_at(self.until_block(data.len()));
        self.update(begun);
        let (blocks, rest) = Array::slice_as_chunks(data);
        let (core, mut waiting) = other.turns(blocks.len());
        for block in blocks {
            self.core.update_blocks(std::slice::from_ref(block));
            if let Some((next, behind)) = waiting.split_first() {
                core.update_blocks(std::slice::from_ref(next));
                waiting = behind;
            }
        }
        self.update(rest);
    }

    /// How many of so many bytes end the block that was begun.
    fn until_block(&self, bytes: usize) -> usize {
        match self.begun.get_pos() {
            0 => 0,
            begun => (self.begun.size() - begun).min(bytes),
        }
    }

    /// Takes `data` to be hashed later, and leaves what was taken before, which is hashed.
    fn update_late(&mut self, data: &mut Vec<u8>) {
        self.catch_up();
        std::mem::swap(&mut self.late, data);
        let begun = self.until_block(self.late.len());
        let now = self.late.get(..begun).unwrap_or_default();
        self.begun
            .digest_blocks(now, |blocks| self.core.update_blocks(blocks));
        self.done = begun;
    }

    /// The hash, and the blocks that come next, at most so many. Who asks has to hash them.
    pub(super) fn turns(&mut self, most: usize) -> (&mut Sha1Core, &[Sha1Block]) {
        let waiting = self.late.get(self.done..).unwrap_or_default();
        let (blocks, _) = Array::slice_as_chunks(waiting);
        let blocks = blocks.get(..most).unwrap_or(blocks);
        self.done += size_of_val(blocks);
        (&mut self.core, blocks)
    }

    /// Hashes what waits.
    fn catch_up(&mut self) {
        let waiting = self.late.get(self.done..).unwrap_or_default();
        self.begun
            .digest_blocks(waiting, |blocks| self.core.update_blocks(blocks));
        self.done = self.late.len();
    }

    pub(super) fn finish(mut self) -> [u8; 20] {
        self.catch_up();
        let mut digest = Array::default();
        self.core.finalize_fixed_core(&mut self.begun, &mut digest);
        digest.into()
    }
}

/// SHA-1 after some blocks and the `rest` behind them.
pub(super) fn sha1_behind(core: Sha1Core, rest: &[u8]) -> [u8; 20] {
    let mut behind = LateSha1 {
        core,
        ..LateSha1::default()
    };
    behind.update(rest);
    behind.finish()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha1::{Digest, Sha1};

    fn sha1_hex(data: &[u8]) -> String {
        hex(&Sha1::digest(data))
    }

    #[test]
    fn sha1_of_the_standard_examples() {
        for (data, expected) in [
            (&b""[..], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ] {
            let mut writer = HashingWriter::new(io::sink());
            writer.write_all(data).unwrap();
            assert_eq!(writer.finish().unwrap().sha1, expected);
            assert_eq!(hex(&sha1_behind(Sha1Core::default(), data)), expected);
        }
    }

    #[test]
    fn only_bytes_the_inner_writer_took_are_counted() {
        struct Reluctant<'a>(&'a mut Vec<u8>);
        impl Write for Reluctant<'_> {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                self.0.extend(&data[..data.len().min(2)]);
                Ok(data.len().min(2))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut taken = Vec::new();
        let mut writer = HashingWriter::new(Reluctant(&mut taken));
        assert_eq!(writer.write(b"abc").unwrap(), 2);
        writer.write_all(b"c").unwrap();
        let written = writer.finish().unwrap();
        assert_eq!(taken, b"abc");
        assert_eq!(
            written,
            Written {
                bytes: 3,
                sha1: sha1_hex(b"abc")
            }
        );
    }

    /// A file of these bytes, from its start.
    fn file_of(data: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(data).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn only_a_file_that_was_read_to_its_end_has_a_hash() {
        let data = vec![7; READ_BYTES + 1];
        let (mut reader, hash) = ReadHash::of(file_of(&data));
        reader.read_exact(&mut vec![0; data.len()]).unwrap();
        assert_eq!(hash.whole(), None);

        let (mut reader, hash) = ReadHash::of(file_of(&data));
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), 262_145);
        let expected = Written {
            bytes: 262_145,
            sha1: sha1_hex(&data),
        };
        assert_eq!(hash.whole(), Some(expected));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_when_what_is_hashed(
            pieces in prop::collection::vec((0usize..300, any::<bool>(), 0usize..6), 0..40)
        ) {
            let mut all = Vec::new();
            let mut writer = HashingWriter::new(Vec::new());
            for (bytes, is_late, turns) in pieces {
                let mut piece: Vec<u8> = (0..bytes).map(|n| (all.len() + n * n) as u8).collect();
                all.extend(&piece);
                if is_late {
                    writer.write_late(&mut piece).unwrap();
                    prop_assert!(piece.is_empty());
                } else {
                    writer.write_all(&piece).unwrap();
                }
                let (core, blocks) = writer.late().turns(turns);
                prop_assert!(blocks.len() <= turns);
                core.update_blocks(blocks);
            }
            let expected = Written { bytes: all.len() as u64, sha1: sha1_hex(&all) };
            prop_assert_eq!(writer.finish().unwrap(), expected);
        }

        #[test]
        fn two_hashes_in_turns_are_those_of_each(
            pieces in prop::collection::vec((0usize..300, 0usize..400), 0..40)
        ) {
            let data = |bytes, salt: usize| (0..bytes).map(|n| (salt + n * n) as u8).collect::<Vec<u8>>();
            let file = data(pieces.iter().map(|(read, _)| read).sum(), 1);
            let (mut reader, hash) = ReadHash::of(file_of(&file));
            let (mut other, mut all) = (LateSha1::default(), Vec::new());
            let mut read = Vec::new();
            for (bytes, others) in pieces {
                reader.by_ref().take(bytes as u64).read_to_end(&mut read).unwrap();
                let others = data(others, all.len());
                hash.take_turns(&mut other, &others);
                all.extend(others);
            }
            reader.read_to_end(&mut read).unwrap();
            prop_assert!(read == file);
            let expected = Written { bytes: file.len() as u64, sha1: sha1_hex(&file) };
            prop_assert_eq!(hash.whole(), Some(expected));
            prop_assert_eq!(hex(&other.finish()), sha1_hex(&all));
        }
    }
}
