//! Compresses one block of bytes to deflate data that may stand anywhere in a stream.
//!
//! What an encoder appends begins and ends on a byte boundary, refers to nothing but the block and its history, and never
//! ends the stream, so encoded blocks can be made in any order and joined. RFC 1951 describes the format.

use super::bits::BitWriter;
use super::block::store;
use super::one_pass::OnePass;
use super::probe::stretches;
use crate::engine::error::{Error, ErrorKind};
use crate::engine::seal::Compression;
use flate2::{Compress, FlushCompress};
use std::io;

/// Ends a stream of encoded blocks: an empty last block with fixed codes.
pub(in crate::engine::seal) const END_OF_STREAM: [u8; 2] = [0x03, 0x00];

/// A way to compress blocks. One per worker thread.
pub(super) trait BlockEncoder: Send {
    /// Appends the block's deflate data to `packed`. `history` is what stands before it in the stream.
    ///
    /// # Errors
    /// `Internal` if the compressor is broken.
    fn encode(&mut self, history: &[u8], block: &[u8], packed: &mut Vec<u8>) -> io::Result<()>;
}

/// The encoder for a level of compression.
pub(super) fn encoder(compression: Compression) -> Box<dyn BlockEncoder> {
    // docs/decisions.md 27 has the measurements. Level 8 of zlib-rs is slower than 9 and no smaller.
    match compression {
        Compression::None => Box::new(Stored),
        Compression::Fast => Box::new(Mixed(OnePass::<1>::new())),
        Compression::Default => Box::new(Mixed(OnePass::<2>::new())),
        Compression::Best => Box::new(Mixed(Zlib::new(9))),
    }
}

/// Does not compress.
struct Stored;

impl BlockEncoder for Stored {
    fn encode(&mut self, _history: &[u8], block: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
        store(block, &mut BitWriter::new(packed));
        Ok(())
    }
}

/// Compresses what can be compressed, and stores the rest.
struct Mixed<D>(D);

impl<D: Deflate> BlockEncoder for Mixed<D> {
    fn encode(&mut self, history: &[u8], block: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
        for stretch in stretches(block) {
            let Some(plain) = block.get(stretch.range.clone()) else {
                continue;
            };
            if !stretch.compressible {
                store(plain, &mut BitWriter::new(packed));
                continue;
            }
            // What lies behind a stored stretch is farther back than a match may reach.
            let history = if stretch.range.start == 0 {
                history
            } else {
                &[]
            };
            self.0.deflate(history, plain, packed)?;
        }
        Ok(())
    }
}

/// A compressor, from a byte boundary to a byte boundary.
trait Deflate: Send {
    fn deflate(&mut self, history: &[u8], plain: &[u8], packed: &mut Vec<u8>) -> io::Result<()>;
}

impl<const WAYS: u32> Deflate for OnePass<WAYS> {
    fn deflate(&mut self, history: &[u8], plain: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
        OnePass::deflate(self, history, plain, packed);
        Ok(())
    }
}

/// zlib-rs.
struct Zlib {
    state: Compress,
}

impl Zlib {
    fn new(level: u32) -> Self {
        Self {
            state: Compress::new(flate2::Compression::new(level), false),
        }
    }
}

impl Deflate for Zlib {
    fn deflate(
        &mut self,
        history: &[u8],
        mut plain: &[u8],
        packed: &mut Vec<u8>,
    ) -> io::Result<()> {
        let broken = "the compressor reported a broken state";
        let broken = |e| Error::new(ErrorKind::Internal, broken).with_source(e);
        self.state.reset();
        if !history.is_empty() {
            self.state.set_dictionary(history).map_err(broken)?;
        }
        packed.reserve(plain.len() / 2 + 1024);
        loop {
            let before = self.state.total_in();
            self.state
                .compress_vec(plain, packed, FlushCompress::Sync)
                .map_err(broken)?;
            plain = &plain[(self.state.total_in() - before) as usize..];
            // Room left over means that the flush is complete.
            if packed.len() < packed.capacity() {
                return Ok(());
            }
            packed.reserve(plain.len() + 1024);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngCore, SeedableRng, rngs::SmallRng};
    use std::io::Read;

    fn inflate(packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::DeflateDecoder::new(packed)
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    #[test]
    fn blocks_join_to_one_stream() {
        let mut noise = vec![0; 300_000];
        SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
        let mut mixed = b"header header header".repeat(1000);
        mixed.extend(&noise[..150_000]);
        mixed.extend(b"trailer".repeat(3000));
        let blocks: [&[u8]; 6] = [b"a", &noise, b"", &mixed, &[0; 70_000], b"the end"];
        for level in [
            Compression::None,
            Compression::Fast,
            Compression::Default,
            Compression::Best,
        ] {
            let mut encoder = encoder(level);
            let (mut plain, mut packed) = (Vec::new(), Vec::new());
            for block in blocks {
                encoder.encode(&plain, block, &mut packed).unwrap();
                plain.extend(block);
            }
            packed.extend(END_OF_STREAM);
            assert!(inflate(&packed) == plain, "{level:?}");
        }
    }

    #[test]
    fn an_encoded_block_does_not_depend_on_what_was_encoded_before() {
        let mut used = encoder(Compression::Default);
        let block = b"some words, some more words, and the same words again".repeat(500);
        let mut rest = Vec::new();
        used.encode(&[], &[5; 100_000], &mut rest).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::with_capacity(7));
        encoder(Compression::Default)
            .encode(b"words", &block, &mut first)
            .unwrap();
        used.encode(b"words", &block, &mut second).unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn incompressible_data_grows_by_less_than_a_thousandth() {
        let mut noise = vec![0; 1 << 20];
        SmallRng::seed_from_u64(2).fill_bytes(&mut noise);
        let mut packed = Vec::new();
        encoder(Compression::Default)
            .encode(&[], &noise, &mut packed)
            .unwrap();
        assert!(packed.len() < noise.len() + 1000, "{}", packed.len());
    }
}
