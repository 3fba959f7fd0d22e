//! Prefix codes of limited length for given frequencies (RFC 1951, 3.2.2).
//!
//! Lengths are those of Huffman's algorithm; codes above the limit are shortened and others lengthened until the code
//! is complete again. That is at most a few bits worse than the best limited code, and as quick as sorting. The code is
//! always complete and has two symbols or more, which every inflater accepts.

/// Most symbols an alphabet of deflate has.
const MOST_SYMBOLS: usize = 288;

/// Deepest level that is told apart from those below it. No code of deflate is longer.
const MOST_BITS: usize = 15;

/// Sets the length in bits of the code of each symbol; 0 for one that does not occur. `limit` is at most 15 and the
/// frequencies sum up to less than 2^48.
///
/// If fewer than two symbols occur, others get a code so that there are two.
pub(super) fn lengths(frequencies: &[u32], limit: usize, lengths: &mut [u8]) {
    let limit = limit.min(MOST_BITS);
    lengths.fill(0);
    let mut leaves = [0u64; MOST_SYMBOLS];
    let mut used = 0;
    for (leaf, symbol) in (0u64..)
        .zip(frequencies)
        .filter(|(_, frequency)| **frequency > 0)
        .map(|(symbol, &frequency)| u64::from(frequency) << 16 | symbol)
        .zip(&mut leaves)
    {
        *symbol = leaf;
        used += 1;
    }
    let leaves = &mut leaves[..used];
    if used < 2 {
        let only = leaves.first().map_or(0, |leaf| symbol(*leaf));
        for symbol in [only, usize::from(only == 0)] {
            if let Some(length) = lengths.get_mut(symbol) {
                *length = 1;
            }
        }
        return;
    }
    leaves.sort_unstable();

    // Rare symbols get the longest codes.
    let counts = code_counts(leaves, limit);
    let mut rarest_first = leaves.iter();
    for bits in (1..=limit).rev() {
        for leaf in rarest_first.by_ref().take(counts[bits] as usize) {
            if let Some(length) = lengths.get_mut(symbol(*leaf)) {
                *length = bits as u8;
            }
        }
    }
}

fn symbol(leaf: u64) -> usize {
    usize::from(leaf as u16)
}

/// How many codes there are of each length, for two or more leaves that are sorted by their weight, above bit 16.
fn code_counts(leaves: &[u64], limit: usize) -> [u32; MOST_BITS + 1] {
    let n = leaves.len().min(MOST_SYMBOLS);
    // Inner nodes come into being in the order of their weight, so two queues replace a heap.
    let mut weights = [0u64; MOST_SYMBOLS];
    let mut parents = [0usize; MOST_SYMBOLS];
    let mut leaf_parents = [0usize; MOST_SYMBOLS];
    let (mut leaf, mut inner) = (0, 0);
    for node in 0..n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            if leaf < n && (inner == node || leaves[leaf] >> 16 <= weights[inner]) {
                sum += leaves[leaf] >> 16;
                leaf_parents[leaf] = node;
                leaf += 1;
            } else {
                sum += weights[inner];
                parents[inner] = node;
                inner += 1;
            }
        }
        weights[node] = sum;
    }
    // The last inner node is the root. From it down, a node is one deeper than its parent.
    let mut depths = [0usize; MOST_SYMBOLS];
    for node in (0..n - 2).rev() {
        depths[node] = (depths[parents[node]] + 1).min(limit);
    }
    let mut counts = [0u32; MOST_BITS + 1];
    for parent in &leaf_parents[..n] {
        counts[(depths[*parent] + 1).min(limit)] += 1;
    }

    // Shares of the code space, in units of the longest code. Those cut off at the limit made it too much: each step
    // hangs one of them below a shorter code, which gives one unit back.
    let mut taken: u64 = (1..=limit)
        .map(|bits| u64::from(counts[bits]) << (limit - bits))
        .sum();
    while taken > 1 << limit {
        let Some(bits) = (1..limit).rev().find(|&bits| counts[bits] > 0) else {
            break;
        };
        counts[bits] -= 1;
        counts[bits + 1] += 2;
        counts[limit] -= 1;
        taken -= 1;
    }
    counts
}

/// The canonical codes for lengths, first bit lowest, as they are written.
pub(super) fn codes(lengths: &[u8], codes: &mut [u16]) {
    let mut next = [0u16; MOST_BITS + 1];
    let mut code = 0;
    for bits in 1..=MOST_BITS as u8 {
        next[usize::from(bits)] = code;
        let count = lengths.iter().filter(|&&length| length == bits).count() as u16;
        code = code.wrapping_add(count) << 1;
    }
    for (&length, code) in lengths.iter().zip(codes) {
        if let Some(next) = next.get_mut(usize::from(length)).filter(|_| length > 0) {
            *code = next.reverse_bits() >> (16 - u32::from(length));
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made(frequencies: &[u32], limit: usize) -> Vec<u8> {
        let mut out = vec![9; frequencies.len()];
        lengths(frequencies, limit, &mut out);
        out
    }

    /// Shares of the code space in units of 2^-15.
    fn space(lengths: &[u8]) -> u32 {
        let used = lengths.iter().filter(|&&length| length > 0);
        used.map(|length| 1 << (15 - length)).sum()
    }

    #[test]
    fn frequent_symbols_get_short_codes() {
        assert_eq!(made(&[5, 1, 0, 1, 9], 15), [2, 3, 0, 3, 1]);
    }

    #[test]
    fn there_are_always_two_codes() {
        assert_eq!(made(&[0, 0, 0], 15), [1, 1, 0]);
        assert_eq!(made(&[7, 0, 0], 15), [1, 1, 0]);
        assert_eq!(made(&[0, 0, 7], 15), [1, 0, 1]);
    }

    #[test]
    fn fibonacci_frequencies_stay_within_the_limit() {
        let mut fibonacci = vec![1u32, 1];
        while fibonacci.len() < 40 {
            fibonacci.push(fibonacci[fibonacci.len() - 1] + fibonacci[fibonacci.len() - 2]);
        }
        for (symbols, limit) in [(40, 15), (30, 15), (19, 7), (10, 4)] {
            let lengths = made(&fibonacci[..symbols], limit);
            assert_eq!(
                usize::from(*lengths.iter().max().unwrap()),
                limit,
                "{symbols}"
            );
            assert_eq!(space(&lengths), 1 << 15, "{symbols}");
        }
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // The example of RFC 1951, 3.2.2, with bits in the order of writing.
        let mut out = [0; 8];
        codes(&[3, 3, 3, 3, 3, 2, 4, 4], &mut out);
        assert_eq!(
            out,
            [0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111]
        );
    }

    proptest! {
        #[test]
        fn codes_are_complete_and_in_order(
            frequencies in prop::collection::vec(prop_oneof![Just(0u32), 1u32..20, any::<u32>()], 2..=286),
            seven in any::<bool>(),
        ) {
            let seven = seven && frequencies.len() <= 19;
            let limit = if seven { 7 } else { 15 };
            let lengths = made(&frequencies, limit);
            prop_assert_eq!(space(&lengths), 1 << 15);
            for (a, &more) in frequencies.iter().enumerate() {
                prop_assert!(usize::from(lengths[a]) <= limit);
                for (b, &less) in frequencies.iter().enumerate() {
                    prop_assert!(more <= less || less == 0 || lengths[a] <= lengths[b]);
                }
            }
        }
    }
}
