//! Our own deflate: one search for matches, a code made for what was found, out.
//!
//! docs/decisions.md 30 tells why there is one. [`matches`](super::matches) and [`thorough`](super::thorough) find tokens, [`block`](super::block) writes
//! them.

use super::bits::BitWriter;
use super::block;
use super::matches::{Find, PIECE_BYTES};

/// Compresses data in one pass, with what `F` finds.
pub(super) struct OnePass<F> {
    finder: F,
}

impl<F: Find> OnePass<F> {
    pub(super) fn new() -> Self {
        Self { finder: F::new() }
    }

    /// Appends the deflate data of `plain`, from a byte boundary to a byte boundary and not the end of a stream. It
    /// may refer to the last 32 KiB of `history`, which must stand before it in the stream.
    pub(super) fn deflate(&mut self, history: &[u8], plain: &[u8], packed: &mut Vec<u8>) {
        let mut out = BitWriter::new(packed);
        let mut history = history;
        for piece in plain.chunks(PIECE_BYTES) {
            let mut left = piece;
            for tokens in F::blocks(self.finder.find(history, piece)) {
                left = block::write(tokens, left, &mut out);
            }
            history = piece;
        }
        block::sync(&mut out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::seal::deflate::encoder::END_OF_STREAM;
    use crate::engine::seal::deflate::matches::{Finder, HISTORY_BYTES};
    use crate::engine::seal::deflate::thorough::Thorough;
    use proptest::prelude::*;
    use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    fn random(bytes: usize, seed: u64) -> Vec<u8> {
        let mut data = vec![0; bytes];
        SmallRng::seed_from_u64(seed).fill_bytes(&mut data);
        data
    }

    /// A stream of pieces, each with all before it as history.
    fn packed<F: Find>(pieces: &[&[u8]]) -> Vec<u8> {
        let mut encoder = OnePass::<F>::new();
        let (mut plain, mut packed) = (Vec::new(), Vec::new());
        for piece in pieces {
            encoder.deflate(&plain, piece, &mut packed);
            plain.extend_from_slice(piece);
        }
        packed.extend(END_OF_STREAM);
        packed
    }

    fn inflate(packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::DeflateDecoder::new(packed)
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    /// Packs in all ways, checks that it inflates, and returns the lengths.
    fn check(pieces: &[&[u8]]) -> [usize; 3] {
        let all = [
            packed::<Finder<1>>(pieces),
            packed::<Finder<2>>(pieces),
            packed::<Thorough>(pieces),
        ];
        let names = ["one way", "two ways", "thorough"];
        for (packed, name) in all.iter().zip(names) {
            assert!(inflate(packed) == pieces.concat(), "{name}");
        }
        all.map(|packed| packed.len())
    }

    /// Data that is hard on an encoder, each for a reason of its own.
    fn hard() -> Vec<Vec<u8>> {
        let mut all = vec![
            Vec::new(),
            vec![7],
            vec![0; 1_000_000],
            random(600_000, 1),
            b"ab".repeat(200_000),
            (0..=255).cycle().take(300_000).collect(),
        ];
        // Runs of every length, between bytes that do not repeat.
        let mut runs = random(4, 2);
        for length in 0..300 {
            runs.extend(vec![b'r'; length]);
            runs.extend(random(5, length as u64));
        }
        all.push(runs);
        // Repetitions of every length, the longest match and beyond.
        let source = random(600, 3);
        let mut again = source.clone();
        for length in 0..300 {
            again.extend(&source[length..2 * length]);
            again.push(length as u8);
        }
        all.push(again);
        // Repetitions just within reach and just out of it, across pieces too.
        for distance in [HISTORY_BYTES - 1, HISTORY_BYTES, HISTORY_BYTES + 1] {
            all.push(random(distance, 4).repeat(12));
            all.push(random(distance * 2, 4).repeat(6));
        }
        // Frequencies that make the deepest tree.
        let (mut deep, mut now, mut next) = (Vec::new(), 1, 1);
        for byte in 0..26u8 {
            deep.extend(vec![byte; now]);
            (now, next) = (next, now + next);
        }
        let mut rng = SmallRng::seed_from_u64(5);
        for at in (1..deep.len()).rev() {
            deep.swap(at, rng.random_range(0..=at));
        }
        all.push(deep);
        all
    }

    #[test]
    fn hard_data_inflates() {
        for data in hard() {
            check(&[&data]);
            // With history, and ending everywhere in a piece.
            let cut = data.len() / 3;
            check(&[&data[..cut], &data[cut..]]);
        }
    }

    #[test]
    fn every_short_length_inflates() {
        let text = b"so much to say, so much to say, and so little said: ".repeat(8);
        for length in 0..text.len() {
            check(&[&text[..length]]);
            check(&[&text, &text[..length]]);
        }
    }

    #[test]
    fn runs_cost_next_to_nothing_and_noise_only_its_headers() {
        for bytes in check(&[&vec![0; 1_000_000]]) {
            assert!(bytes < 1_500, "{bytes}");
        }
        for bytes in check(&[&random(1_000_000, 6)]) {
            assert!(bytes < 1_000_500, "{bytes}");
        }
    }

    #[test]
    fn history_is_used_to_its_end_and_no_further() {
        let old = random(40_000, 7);
        let within = &old[old.len() - HISTORY_BYTES..][..5_000];
        for bytes in check(&[&old, within]) {
            assert!(bytes < old.len() + 500, "{bytes}");
        }
        let beyond = &old[old.len() - HISTORY_BYTES - 1..][..5_000];
        for bytes in check(&[&old, beyond]) {
            assert!(bytes > old.len() + 4_900, "{bytes}");
        }
    }

    #[test]
    fn output_follows_from_history_and_data_alone() {
        follows_from_history_and_data_alone::<Finder<2>>();
        follows_from_history_and_data_alone::<Thorough>();
    }

    fn follows_from_history_and_data_alone<F: Find>() {
        let data = b"a rose is a rose is a rose; ".repeat(3_000);
        let history = random(10_000, 9);
        let mut used = OnePass::<F>::new();
        used.deflate(&[], &random(300_000, 10), &mut Vec::new());
        used.deflate(&data, &data, &mut Vec::new());
        let (mut first, mut second) = (Vec::new(), Vec::new());
        OnePass::<F>::new().deflate(&history, &data, &mut first);
        used.deflate(&history, &data, &mut second);
        assert!(first == second);
    }

    #[test]
    fn zlib_itself_inflates_it() {
        // flate2 reads what zlib-rs reads; Python has the zlib of the system, as duplicity has.
        let script = "import sys, zlib\n\
                      d = zlib.decompressobj(-15)\n\
                      out = d.decompress(sys.stdin.buffer.read()) + d.flush()\n\
                      assert d.eof and not d.unused_data\n\
                      sys.stdout.buffer.write(out)";
        type Pack = fn(&[&[u8]]) -> Vec<u8>;
        let ways: [Pack; 2] = [packed::<Finder<2>>, packed::<Thorough>];
        for (data, way) in hard().iter().flat_map(|data| ways.map(|way| (data, way))) {
            let mut python = Command::new("python3")
                .args(["-c", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("python3 is needed (tests/setup installs it)");
            let mut stdin = python.stdin.take().unwrap();
            stdin.write_all(&way(&[data])).unwrap();
            drop(stdin);
            let output = python.wait_with_output().unwrap();
            assert!(output.status.success());
            assert!(&output.stdout == data, "{} bytes", data.len());
        }
    }

    #[test]
    fn the_thorough_search_finds_more() {
        let words: Vec<Vec<u8>> = (0..300).map(|n| random(2 + n as usize % 9, n)).collect();
        let mut rng = SmallRng::seed_from_u64(11);
        let text: Vec<u8> = (0..40_000)
            .flat_map(|_| words[rng.random_range(0..300)].clone())
            .collect();
        let [one, two, thorough] = check(&[&text]);
        assert!(thorough < two && two < one, "{thorough} {two} {one}");
    }

    /// Pieces of noise, runs and repetitions in any order.
    fn mixture() -> impl Strategy<Value = Vec<u8>> {
        let piece = (0u8..4, any::<u64>(), 0usize..3000);
        prop::collection::vec(piece, 0..30).prop_map(|pieces| {
            let mut data: Vec<u8> = Vec::new();
            for (kind, seed, length) in pieces {
                let mut rng = SmallRng::seed_from_u64(seed);
                match kind {
                    0 => data.extend(random(length, seed)),
                    1 => data.extend(vec![seed as u8; length]),
                    2 => data.extend((0..length).map(|_| b"etaoin "[rng.random_range(0..7)])),
                    _ => {
                        let from = rng.random_range(0..=data.len());
                        let to = data.len().min(from + length);
                        data.extend_from_within(from..to);
                    }
                }
            }
            data
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn anything_inflates(data in mixture(), cut in any::<prop::sample::Index>()) {
            let cut = if data.is_empty() { 0 } else { cut.index(data.len()) };
            check(&[&data[..cut], &data[cut..]]);
        }
    }
}
