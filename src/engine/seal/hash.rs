//! Measures and hashes a file while it is written.
//!
//! The manifest names each volume by the SHA-1 of its sealed bytes. Hashing on the way out saves a second read.

use sha1::block_api::Sha1Core;
use sha1::digest::array::Array;
use sha1::digest::block_api::{Block, Buffer, FixedOutputCore, UpdateCore};
use std::fmt;
use std::io::{self, Write};

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
    fn update(&mut self, data: &[u8]) {
        self.catch_up();
        self.begun
            .digest_blocks(data, |blocks| self.core.update_blocks(blocks));
    }

    /// Takes `data` to be hashed later, and leaves an empty buffer.
    fn update_late(&mut self, data: &mut Vec<u8>) {
        self.catch_up();
        std::mem::swap(&mut self.late, data);
        let begun = match self.begun.get_pos() {
            0 => 0,
            begun => (self.begun.size() - begun).min(self.late.len()),
        };
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
        self.late.clear();
        self.done = 0;
    }

    fn finish(mut self) -> [u8; 20] {
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
    }
}
