//! Writes tokens as one block of deflate data, in whichever of the three forms is shortest (RFC 1951, 3.2.3).

use super::bits::BitWriter;
use super::prefix;
use super::token::{
    DISTANCES, END_OF_BLOCK, HEAD, HEADS, Histogram, LITERALS, SLOTS, Token, head, rest, rest_bits,
    slot,
};

/// Longest stored block.
const MOST_STORED: usize = u16::MAX as usize;

/// Order in which the lengths of the codes for lengths are written.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Lengths of the codes of a block.
struct Lengths {
    literals: [u8; LITERALS],
    distances: [u8; DISTANCES],
}

impl Lengths {
    /// Those the standard gives for blocks without a table.
    fn fixed() -> Self {
        let mut literals = [8; LITERALS];
        literals[144..256].fill(9);
        literals[256..280].fill(7);
        Self {
            literals,
            distances: [5; DISTANCES],
        }
    }

    fn fitting(literals: &[u32; LITERALS], distances: &[u32]) -> Self {
        let mut lengths = Self {
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
        };
        prefix::lengths(literals, 15, &mut lengths.literals);
        prefix::lengths(distances, 15, &mut lengths.distances);
        lengths
    }

    /// Bits of all symbols.
    fn cost(&self, literals: &[u32; LITERALS], distances: &[u32]) -> u64 {
        let cost = |counts: &[u32], lengths: &[u8]| -> u64 {
            let both = counts.iter().zip(lengths);
            both.map(|(&count, &length)| u64::from(count) * u64::from(length))
                .sum()
        };
        cost(literals, &self.literals) + cost(distances, &self.distances)
    }
}

/// The lengths of a block's codes as they stand before it: themselves compressed.
struct Table {
    /// Codes for literals and distances that are listed.
    literals: usize,
    distances: usize,
    /// Symbols with what they leave open.
    symbols: Vec<(u8, u8)>,
    lengths: [u8; 19],
    /// Of `lengths`, those that are listed.
    listed: usize,
}

impl Table {
    fn of(lengths: &Lengths) -> Self {
        let listed = |lengths: &[u8], least: usize| {
            let last = lengths.iter().rposition(|&length| length > 0);
            last.map_or(least, |last| (last + 1).max(least))
        };
        let literals = listed(&lengths.literals, END_OF_BLOCK + 1);
        let distances = listed(&lengths.distances, 1);
        let all = [
            &lengths.literals[..literals],
            &lengths.distances[..distances],
        ]
        .concat();
        let symbols = shorten(&all);

        let mut counts = [0; 19];
        for &(symbol, _) in &symbols {
            counts[usize::from(symbol)] += 1;
        }
        let mut lengths = [0; 19];
        prefix::lengths(&counts, 7, &mut lengths);
        let last = ORDER.iter().rposition(|&symbol| lengths[symbol] > 0);
        Self {
            literals,
            distances,
            symbols,
            lengths,
            listed: last.map_or(4, |last| (last + 1).max(4)),
        }
    }

    fn bits(&self) -> u64 {
        let symbols = self.symbols.iter();
        let symbols = symbols.map(|&(symbol, _)| {
            u64::from(self.lengths[usize::from(symbol)]) + u64::from(repeat_bits(symbol))
        });
        14 + 3 * self.listed as u64 + symbols.sum::<u64>()
    }

    fn write(&self, out: &mut BitWriter) {
        out.put(self.literals as u64 - 257, 5);
        out.put(self.distances as u64 - 1, 5);
        out.put(self.listed as u64 - 4, 4);
        for &symbol in &ORDER[..self.listed] {
            out.put(u64::from(self.lengths[symbol]), 3);
        }
        let mut codes = [0; 19];
        prefix::codes(&self.lengths, &mut codes);
        for &(symbol, repeats) in &self.symbols {
            let at = usize::from(symbol);
            out.put(u64::from(codes[at]), u32::from(self.lengths[at]));
            out.put(u64::from(repeats), repeat_bits(symbol));
        }
    }
}

/// Replaces runs of equal lengths by the symbols 16 (the one before, 3 to 6 times), 17 and 18 (zeros, 3 to 10 and 11
/// to 138).
fn shorten(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut symbols = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|a, b| a == b) {
        let (value, mut left) = (run[0], run.len());
        if value > 0 {
            symbols.push((value, 0));
            left -= 1;
        }
        while left >= 3 {
            let (symbol, least, most) = match value {
                0 if left >= 11 => (18, 11, 138),
                0 => (17, 3, 10),
                _ => (16, 3, 6),
            };
            let repeats = left.min(most);
            symbols.push((symbol, (repeats - least) as u8));
            left -= repeats;
        }
        symbols.extend(std::iter::repeat_n((value, 0), left));
    }
    symbols
}

/// Bits that follow a symbol of the table.
fn repeat_bits(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// Appends the tokens, which stand for the first bytes of `plain`, as one block that is not the last; returns the other
/// bytes.
pub(super) fn write<'a>(tokens: &[Token], plain: &'a [u8], out: &mut BitWriter) -> &'a [u8] {
    let histogram = Histogram::of(tokens);
    let (plain, others) = plain.split_at(plain.len().min(histogram.plain_bytes()));
    let literals = histogram.literals();
    let distances = &histogram.slots[..DISTANCES];
    let extra = histogram.extra_bits();

    let fitting = Lengths::fitting(&literals, distances);
    let table = Table::of(&fitting);
    let with_table = table.bits() + fitting.cost(&literals, distances);
    let fixed = Lengths::fixed();
    let without = fixed.cost(&literals, distances);
    // Headers of stored blocks, and at most a byte before the first.
    let stored = 8 * (plain.len() + 1 + 5 * plain.len().div_ceil(MOST_STORED)) as u64;

    let bits = extra + with_table.min(without);
    if stored <= bits {
        store(plain, out);
    } else if with_table < without {
        out.put(0b100, 3);
        table.write(out);
        write_tokens(tokens, &fitting, bits, out);
    } else {
        out.put(0b010, 3);
        write_tokens(tokens, &fixed, bits, out);
    }
    others
}

/// Cuts tokens into blocks of a multiple of `step` tokens, where codes of their own save more than their table costs.
pub(super) fn cut(tokens: &[Token], step: usize) -> Vec<&[Token]> {
    let mut blocks = Vec::new();
    // The block that may grow: how many tokens it has, what they are, and the bits it takes.
    let mut block: Option<(usize, Histogram, u64)> = None;
    let mut rest = tokens;
    for piece in tokens.chunks(step.max(1)) {
        let histogram = Histogram::of(piece);
        let alone = bits(&histogram);
        block = Some(match block.take() {
            None => (piece.len(), histogram, alone),
            Some((length, before, taken)) => {
                let both = before.with(&histogram);
                let together = bits(&both);
                if together <= taken + alone {
                    (length + piece.len(), both, together)
                } else {
                    let (done, others) = rest.split_at(length.min(rest.len()));
                    blocks.push(done);
                    rest = others;
                    (piece.len(), histogram, alone)
                }
            }
        });
    }
    if !rest.is_empty() {
        blocks.push(rest);
    }
    blocks
}

/// Bits of a block with a table of its own.
fn bits(histogram: &Histogram) -> u64 {
    let (literals, distances) = (histogram.literals(), &histogram.slots[..DISTANCES]);
    let fitting = Lengths::fitting(&literals, distances);
    let table = Table::of(&fitting).bits();
    3 + histogram.extra_bits() + table + fitting.cost(&literals, distances)
}

/// Writes the tokens and the end of the block, `bits` at most.
fn write_tokens(tokens: &[Token], lengths: &Lengths, bits: u64, out: &mut BitWriter) {
    let mut codes = [0; LITERALS];
    prefix::codes(&lengths.literals, &mut codes);
    let mut heads = [(0u32, 0u32); HEADS];
    for (place, head) in heads.iter_mut().zip(HEAD) {
        let symbol = usize::from(head.symbol);
        let length = u32::from(lengths.literals[symbol]);
        let code = u32::from(codes[symbol]) | u32::from(head.extra) << length;
        *place = (code, length + u32::from(head.extra_bits));
    }
    let end = (
        u64::from(codes[END_OF_BLOCK]),
        u32::from(lengths.literals[END_OF_BLOCK]),
    );
    let mut codes = [0; DISTANCES];
    prefix::codes(&lengths.distances, &mut codes);
    // The code, its length, and the length with what the slot leaves open. Literals have a slot of no bits.
    let mut slots = [(0u16, 0u8, 0u8); SLOTS];
    for (at, (&code, &length)) in codes.iter().zip(&lengths.distances).enumerate() {
        slots[at] = (code, length, length + rest_bits(at) as u8);
    }
    // A head takes up to 20 bits and a distance 28.
    let code = |token: Token| {
        let (head, head_bits) = heads[head(token)];
        let (code, code_bits, bits) = slots[slot(token)];
        let distance = u64::from(code) | rest(token) << (code_bits & 63);
        (
            u64::from(head) | distance << (head_bits & 63),
            head_bits + u32::from(bits),
        )
    };
    out.put_all(tokens, code, bits.div_ceil(8) as usize);
    out.put(end.0, end.1);
}

/// Appends the bytes as they are.
pub(super) fn store(plain: &[u8], out: &mut BitWriter) {
    for piece in plain.chunks(MOST_STORED) {
        let length = piece.len() as u16;
        out.put(0, 3);
        out.put_bytes(&length.to_le_bytes());
        out.put_bytes(&(!length).to_le_bytes());
        out.put_bytes(piece);
    }
}

/// Appends an empty stored block, after which a byte begins.
pub(super) fn sync(out: &mut BitWriter) {
    out.put(0, 3);
    out.put_bytes(&[0, 0, 0xff, 0xff]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::seal::deflate::token::{LENGTHS, literal, matched};
    use proptest::prelude::*;
    use std::io::Read;

    /// Writes tokens, and inflates what was written.
    fn there_and_back(tokens: &[Token], plain: &[u8]) -> (usize, Vec<u8>) {
        let mut packed = Vec::new();
        let mut out = BitWriter::new(&mut packed);
        write(tokens, plain, &mut out);
        sync(&mut out);
        let bytes = packed.len();
        packed.extend(super::super::encoder::END_OF_STREAM);
        let mut inflated = Vec::new();
        flate2::read::DeflateDecoder::new(&packed[..])
            .read_to_end(&mut inflated)
            .unwrap();
        (bytes, inflated)
    }

    /// What tokens stand for.
    fn resolved(tokens: &[Token]) -> Vec<u8> {
        let first_of_slot = |at: usize| 1 + (0..at).map(|slot| 1 << rest_bits(slot)).sum::<usize>();
        let mut plain: Vec<u8> = Vec::new();
        for &token in tokens {
            if head(token) < 256 {
                plain.push(head(token) as u8);
            } else {
                let distance = first_of_slot(slot(token)) + rest(token) as usize;
                for _ in 0..head(token) - 253 {
                    plain.push(plain[plain.len() - distance]);
                }
            }
        }
        plain
    }

    #[test]
    fn runs_in_the_table_are_shortened() {
        assert_eq!(shorten(&[0; 11]), [(18, 0)]);
        assert_eq!(shorten(&[0; 139]), [(18, 127), (0, 0)]);
        assert_eq!(shorten(&[0, 0, 0, 5]), [(17, 0), (5, 0)]);
        assert_eq!(shorten(&[4; 9]), [(4, 0), (16, 3), (4, 0), (4, 0)]);
        assert_eq!(shorten(&[1, 1, 1]), [(1, 0), (1, 0), (1, 0)]);
    }

    #[test]
    fn every_length_and_far_distances_come_back() {
        let mut tokens: Vec<Token> = (0..40_000u32)
            .map(|i| literal(((i * i) >> 7) as u8))
            .collect();
        for length in LENGTHS {
            for distance in [1, 4, 5, 193, 24_577, 32_767, 32_768] {
                tokens.push(matched(length, distance));
            }
        }
        let plain = resolved(&tokens);
        assert!(there_and_back(&tokens, &plain).1 == plain);
    }

    #[test]
    fn frequencies_beyond_the_longest_code_come_back() {
        // Fibonacci numbers make the deepest tree there is: 28 literals would need codes of 27 bits.
        let (mut tokens, mut now, mut next) = (Vec::new(), 1, 1);
        for byte in 0..28 {
            tokens.extend(std::iter::repeat_n(literal(byte), now));
            (now, next) = (next, now + next);
        }
        let plain = resolved(&tokens);
        assert!(there_and_back(&tokens, &plain).1 == plain);
    }

    #[test]
    fn the_shortest_form_is_taken() {
        let few: Vec<Token> = b"few bytes".map(literal).to_vec();
        let (bytes, plain) = there_and_back(&few, b"few bytes");
        assert_eq!(plain, b"few bytes");
        assert!(bytes < 5 + 9 + 5, "fixed codes: {bytes}");

        let noise: Vec<u8> = (0..70_000u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        let noise: Vec<u8> = noise
            .iter()
            .enumerate()
            .map(|(i, b)| b ^ ((i * i) >> 9) as u8)
            .collect();
        let tokens: Vec<Token> = noise.iter().copied().map(literal).collect();
        let (bytes, plain) = there_and_back(&tokens, &noise);
        assert!(plain == noise);
        assert!(bytes <= noise.len() + 16, "stored: {bytes}");
    }

    #[test]
    fn blocks_are_cut_where_the_content_changes_and_only_there() {
        let words = |seed: u32, first: u8| -> Vec<Token> {
            let byte = |i: u32| first + ((i.wrapping_mul(seed) >> 13) % 20) as u8;
            (0..20_000).map(|i| literal(byte(i))).collect()
        };
        let one = words(40_503, b'a');
        assert_eq!(cut(&one, 1000), [&one[..]]);
        let two = [one, words(30_011, 200)].concat();
        let blocks = cut(&two, 1000);
        let lengths: Vec<usize> = blocks.iter().map(|block| block.len()).collect();
        assert_eq!(lengths, [20_000, 20_000]);
        assert!(blocks.concat() == two);
        assert!(cut(&[], 1000).is_empty());
    }

    proptest! {
        #[test]
        fn cut_tokens_are_all_there(bytes in prop::collection::vec(any::<u8>(), 0..3000), step in 0usize..500) {
            let tokens: Vec<Token> = bytes.into_iter().map(literal).collect();
            let blocks = cut(&tokens, step);
            prop_assert!(blocks.iter().all(|block| !block.is_empty()));
            prop_assert!(blocks.concat() == tokens);
        }

        #[test]
        fn any_tokens_come_back(kinds in prop::collection::vec((any::<bool>(), any::<u8>(), 3usize..=258, 1usize..=32768), 1..2000)) {
            let (mut tokens, mut bytes) = (Vec::new(), 0);
            for (is_match, byte, length, distance) in kinds {
                if is_match && bytes > 0 {
                    tokens.push(matched(length, 1 + distance % bytes.min(32768)));
                    bytes += length;
                } else {
                    tokens.push(literal(byte));
                    bytes += 1;
                }
            }
            let plain = resolved(&tokens);
            prop_assert!(there_and_back(&tokens, &plain).1 == plain);
        }
    }
}
