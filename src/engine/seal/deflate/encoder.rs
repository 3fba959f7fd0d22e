//! Compresses one block of bytes to deflate data that may stand anywhere in a stream.
//!
//! What an encoder appends begins and ends on a byte boundary, refers to nothing but the block and its history, and never
//! ends the stream, so encoded blocks can be made in any order and joined. RFC 1951 describes the format.

use super::bits::BitWriter;
use super::block::store;
use super::matches::{Find, Finder};
use super::one_pass::OnePass;
use super::probe::stretches;
use super::thorough::Thorough;
use crate::engine::seal::Compression;

/// Ends a stream of encoded blocks: an empty last block with fixed codes.
pub(in crate::engine::seal) const END_OF_STREAM: [u8; 2] = [0x03, 0x00];

/// A way to compress blocks. One per worker thread.
pub(super) trait BlockEncoder: Send {
    /// Appends the block's deflate data to `packed`. `history` is what stands before it in the stream.
    fn encode(&mut self, history: &[u8], block: &[u8], packed: &mut Vec<u8>);
}

/// The encoder for a level of compression.
pub(super) fn encoder(compression: Compression) -> Box<dyn BlockEncoder> {
    // docs/decisions.md 30 and 39 have the measurements.
    match compression {
        Compression::None => Box::new(Stored),
        Compression::Fast => Box::new(Mixed::<Finder<1>>::new()),
        Compression::Default => Box::new(Mixed::<Finder<2>>::new()),
        Compression::Best => Box::new(Mixed::<Thorough>::new()),
    }
}

/// Does not compress.
struct Stored;

impl BlockEncoder for Stored {
    fn encode(&mut self, _history: &[u8], block: &[u8], packed: &mut Vec<u8>) {
        store(block, &mut BitWriter::new(packed));
    }
}

/// Compresses what can be compressed, and stores the rest.
struct Mixed<F>(OnePass<F>);

impl<F: Find> Mixed<F> {
    fn new() -> Self {
        Self(OnePass::new())
    }
}

impl<F: Find> BlockEncoder for Mixed<F> {
    fn encode(&mut self, history: &[u8], block: &[u8], packed: &mut Vec<u8>) {
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
            self.0.deflate(history, plain, packed);
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
                encoder.encode(&plain, block, &mut packed);
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
        used.encode(&[], &[5; 100_000], &mut rest);
        let (mut first, mut second) = (Vec::new(), Vec::with_capacity(7));
        encoder(Compression::Default).encode(b"words", &block, &mut first);
        used.encode(b"words", &block, &mut second);
        assert_eq!(first, second);
    }

    #[test]
    fn incompressible_data_grows_by_less_than_a_thousandth() {
        let mut noise = vec![0; 1 << 20];
        SmallRng::seed_from_u64(2).fill_bytes(&mut noise);
        let mut packed = Vec::new();
        encoder(Compression::Default).encode(&[], &noise, &mut packed);
        assert!(packed.len() < noise.len() + 1000, "{}", packed.len());
    }
}
