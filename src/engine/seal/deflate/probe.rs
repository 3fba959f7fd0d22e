//! Finds the stretches of a block that deflate could not shrink, without compressing them.
//!
//! Media, archives and encrypted files cost deflate as much time as text and give nothing back. A stretch counts as
//! incompressible if every slice of it uses all byte values evenly and nothing in it repeats. Both tests look at the
//! bytes alone, so the same block is always cut the same way.

use std::ops::Range;

/// Bytes judged at once. Small enough that a tar header between two media files ends a stretch.
const SLICE_BYTES: usize = 4096;

/// Shortest stretch that is stored. Each one costs its neighbors their shared history, which is worth up to 32 KiB.
const MIN_RUN_BYTES: usize = 32 * 1024;

/// Bytes of a slice looked at first: enough to recognize text and code at once.
const GLANCE_BYTES: usize = 256;

/// One stretch of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Where it lies in the block.
    pub range: Range<usize>,
    /// Whether deflate can gain anything from it.
    pub compressible: bool,
}

/// Splits a block into stretches, in order and without gaps; neighbors differ in kind.
pub(super) fn stretches(block: &[u8]) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    let mut at = 0;
    let mut push = |range: Range<usize>, compressible: bool| match found.last_mut() {
        Some(last) if last.compressible == compressible => last.range.end = range.end,
        _ => found.push(Stretch {
            range,
            compressible,
        }),
    };
    while at < block.len() {
        let random = block[at..]
            .chunks_exact(SLICE_BYTES)
            .take_while(|slice| is_even(slice))
            .count()
            * SLICE_BYTES;
        if random >= MIN_RUN_BYTES && !repeats(&block[at..at + random]) {
            push(at..at + random, false);
            at += random;
        } else {
            // The slice after the even ones is known not to be even: it belongs here as well.
            let end = (at + random + SLICE_BYTES).min(block.len());
            push(at..end, true);
            at = end;
        }
    }
    found
}

/// Whether all byte values are about equally frequent, as in random data. Half of the bytes are looked at.
///
/// The sum of squared counts of n random bytes is n + n(n-1)/256 on average. The allowance of 6 % is six standard
/// deviations for half a slice and lets at most half a percent of possible gain pass as random.
fn is_even(slice: &[u8]) -> bool {
    let glance = &slice[..GLANCE_BYTES.min(slice.len())];
    // 256 random bytes give 511 with a deviation of 23; text gives thousands.
    let (_, sum) = squared_counts(glance.as_chunks::<8>().0.iter());
    if sum > 800 {
        return false;
    }
    // One of each two words, now the first and now the second, so that no structure hides in the others.
    const WHICH: u64 = 0x9E37_79B9_7F4A_7C15;
    let pairs = slice.as_chunks::<16>().0.iter().enumerate();
    let (n, sum) = squared_counts(pairs.map(|(number, pair)| {
        let (words, _) = pair.as_chunks::<8>();
        &words[(WHICH >> (number % 64) & 1) as usize]
    }));
    let expected = n + n * n.saturating_sub(1) / 256;
    sum * 100 <= expected * 106
}

/// How many bytes there are, at most 32767, and the sum over all byte values of the squared number of times each occurs.
fn squared_counts<'a>(words: impl Iterator<Item = &'a [u8; 8]>) -> (u64, u64) {
    // Four tables, since equal neighbors would wait for each other's increment.
    let mut counts = [[0i16; 256]; 4];
    let mut n = 0;
    for word in words {
        n += 8;
        for (at, &byte) in word.iter().enumerate() {
            counts[at % 4][usize::from(byte)] += 1;
        }
    }
    let [mut sum, b, c, d] = counts;
    for (((sum, b), c), d) in sum.iter_mut().zip(b).zip(c).zip(d) {
        *sum += b + c + d;
    }
    let squares = sum.iter().map(|&count| i32::from(count) * i32::from(count));
    (n, squares.sum::<i32>() as u64)
}

/// Whether byte sequences come back within deflate's window, though all values are equally frequent.
///
/// One position in 64, chosen by the byte found there, is remembered; so a repetition is met again wherever it lies.
fn repeats(run: &[u8]) -> bool {
    const TABLE: usize = 4096;
    const WINDOW: usize = 32 * 1024;
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let mut seen = [u32::MAX; TABLE];
    let mut hits = 0;
    let (words, _) = run.as_chunks::<8>();
    for (number, pair) in words.windows(2).enumerate() {
        let word = u64::from_le_bytes(pair[0]);
        let next = u64::from_le_bytes(pair[1]);
        // Sets bit 6 of each byte whose low six bits are zero.
        let mut chosen = (64 * EACH - (word & (63 * EACH))) & (64 * EACH);
        while chosen != 0 {
            let shift = chosen.trailing_zeros() & !7;
            chosen &= chosen - 1;
            let at = number * 8 + shift as usize / 8;
            let here = word >> shift | next << 1 << (63 - shift);
            let hash = here.wrapping_mul(0x9E37_79B1_85EB_CA87) >> 52;
            let place = &mut seen[hash as usize % TABLE];
            let before = *place as usize;
            *place = at as u32;
            let same = run.get(before..before + 8) == Some(&here.to_le_bytes());
            if before < at && at - before <= WINDOW && same {
                hits += 1;
            }
        }
    }
    // One remembered position in 32 hit again: about three percent of the bytes lie in repetitions.
    hits * 64 * 32 > run.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};

    fn random(bytes: usize, seed: u64) -> Vec<u8> {
        let mut data = vec![0; bytes];
        SmallRng::seed_from_u64(seed).fill_bytes(&mut data);
        data
    }

    fn kinds(block: &[u8]) -> Vec<(usize, bool)> {
        stretches(block)
            .into_iter()
            .map(|s| (s.range.len(), s.compressible))
            .collect()
    }

    #[test]
    fn random_data_is_stored() {
        assert_eq!(kinds(&random(256 * 1024, 1)), [(256 * 1024, false)]);
    }

    #[test]
    fn text_zeros_and_numbers_are_compressed() {
        let text: Vec<u8> = b"the quick brown fox "
            .iter()
            .cycle()
            .take(100_000)
            .copied()
            .collect();
        let letters: Vec<u8> = random(100_000, 2)
            .into_iter()
            .map(|b| b'a' + b % 64)
            .collect();
        for block in [text, vec![0; 100_000], letters] {
            assert_eq!(kinds(&block), [(100_000, true)]);
        }
    }

    #[test]
    fn even_but_repeating_data_is_compressed() {
        let ramp: Vec<u8> = (0..=255u8).cycle().take(128 * 1024).collect();
        assert_eq!(kinds(&ramp), [(128 * 1024, true)]);
        let twice = random(16 * 1024, 3).repeat(8);
        assert_eq!(kinds(&twice), [(128 * 1024, true)]);
    }

    #[test]
    fn random_words_between_words_of_zeros_are_compressed() {
        for step in [8, 16, 64, 1024, 2048] {
            for first in [0, step] {
                let mut data = random(128 * 1024, 3);
                for zeros in data[first..].chunks_mut(step).step_by(2) {
                    zeros.fill(0);
                }
                assert_eq!(kinds(&data), [(128 * 1024, true)], "{step} {first}");
            }
        }
    }

    #[test]
    fn media_between_text_is_found_to_the_slice() {
        let mut block = vec![b'x'; 10_000];
        block.extend(random(100_000, 4));
        block.extend(vec![b'y'; 10_000]);
        let found = kinds(&block);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].0 > 90_000 && !found[1].1, "{found:?}");
    }

    #[test]
    fn short_random_pieces_stay_with_their_neighbors() {
        let mut block = Vec::new();
        for seed in 0..8 {
            block.extend(random(12_000, seed));
            block.extend(vec![0; 512]);
        }
        assert!(kinds(&block).iter().all(|&(_, compressible)| compressible));
    }

    #[test]
    fn stretches_cover_the_block() {
        let mut rng = SmallRng::seed_from_u64(9);
        for _ in 0..50 {
            let mut block = Vec::new();
            for piece in 0..rng.random_range(0..6) {
                let bytes = rng.random_range(0..90_000);
                block.extend(if piece % 2 == 0 {
                    random(bytes, piece)
                } else {
                    vec![7; bytes]
                });
            }
            let mut at = 0;
            for stretch in stretches(&block) {
                assert_eq!(stretch.range.start, at);
                assert!(!stretch.range.is_empty());
                at = stretch.range.end;
            }
            assert_eq!(at, block.len());
        }
    }
}
