//! What a block is made of: literals, and matches of a length and a distance (RFC 1951, 3.2.5).
//!
//! A token is a number whose parts are indices of tables, so that counting and writing it take no decisions: a literal
//! has a distance as well, of no bits.

/// Bits 0 to 8: byte of a literal, or 253 more than the length of a match, so 256 to 511. Bits 9 to 13: slot of the
/// distance, [`NO_DISTANCE`] for literals. From bit 14 on: what the slot leaves open of the distance.
pub(super) type Token = u32;

/// The slot of literals, which have no distance.
const NO_DISTANCE: u32 = 30;

/// Values of bits 0 to 8.
pub(super) const HEADS: usize = 512;
/// Slots, used or not.
pub(super) const SLOTS: usize = 32;
/// Symbols for literals, the end of the block and lengths; the last two never occur, but have fixed codes.
pub(super) const LITERALS: usize = 288;
/// Symbols for distances.
pub(super) const DISTANCES: usize = 30;
/// The symbol that ends a block.
pub(super) const END_OF_BLOCK: usize = 256;

/// Shortest and longest match.
pub(super) const LENGTHS: std::ops::RangeInclusive<usize> = 3..=258;

#[inline(always)]
pub(super) fn literal(byte: u8) -> Token {
    u32::from(byte) | NO_DISTANCE << 9
}

/// A match of 3 to 258 bytes, 1 to 32768 bytes back.
#[inline(always)]
pub(super) fn matched(length: usize, distance: usize) -> Token {
    // Two slots for each power of two: the top bit and the one below it make the slot, the rest is written as it is.
    let distance = (distance as u32).wrapping_sub(1);
    let (slot, rest) = if distance < 4 {
        (distance, 0)
    } else {
        let top = 31 - distance.leading_zeros();
        let half = distance >> (top - 1) & 1;
        (2 * top + half, distance & ((1 << (top - 1)) - 1))
    };
    (length as u32 + 253) & 511 | slot << 9 | rest << 14
}

/// Bits 0 to 8.
#[inline(always)]
pub(super) fn head(token: Token) -> usize {
    token as usize % HEADS
}

#[inline(always)]
pub(super) fn slot(token: Token) -> usize {
    (token >> 9) as usize % SLOTS
}

/// What the slot leaves open of the distance.
#[inline(always)]
pub(super) fn rest(token: Token) -> u64 {
    u64::from(token >> 14)
}

/// Plain bytes a token stands for.
#[inline(always)]
pub(super) fn plain_bytes(token: Token) -> usize {
    head(token).checked_sub(253).filter(|&n| n > 2).unwrap_or(1)
}

/// How a head is written: its symbol, then the lowest `extra_bits` of `extra`.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub symbol: u16,
    pub extra_bits: u8,
    pub extra: u8,
}

/// Of each head.
pub(super) static HEAD: [Head; HEADS] = heads();

const fn heads() -> [Head; HEADS] {
    let mut heads = [Head {
        symbol: 285,
        extra_bits: 0,
        extra: 0,
    }; HEADS];
    let mut at = 0;
    while at < 256 {
        heads[at].symbol = at as u16;
        at += 1;
    }
    // Eight symbols for one length each, then four for each power of two. The longest has a symbol of its own.
    let mut symbol = 257;
    while at < HEADS - 1 {
        let extra_bits = if symbol < 265 { 0 } else { (symbol - 261) / 4 };
        let mut extra = 0;
        while extra < 1 << extra_bits && at < HEADS - 1 {
            heads[at] = Head {
                symbol,
                extra_bits: extra_bits as u8,
                extra,
            };
            extra += 1;
            at += 1;
        }
        symbol += 1;
    }
    heads
}

/// Bits a slot leaves open.
pub(super) fn rest_bits(slot: usize) -> u32 {
    match slot {
        4..DISTANCES => slot as u32 / 2 - 1,
        _ => 0,
    }
}

/// How often each head and slot occurs.
pub(super) struct Histogram {
    pub heads: [u32; HEADS],
    pub slots: [u32; SLOTS],
}

impl Histogram {
    pub(super) fn of(tokens: &[Token]) -> Self {
        // Two tables each, since equal neighbors would wait for each other's increment.
        let mut heads = [[0u32; HEADS]; 2];
        let mut slots = [[0u32; SLOTS]; 2];
        let (pairs, odd) = tokens.as_chunks::<2>();
        for pair in pairs {
            for (at, &token) in pair.iter().enumerate() {
                heads[at][head(token)] += 1;
                slots[at][slot(token)] += 1;
            }
        }
        for &token in odd {
            heads[0][head(token)] += 1;
            slots[0][slot(token)] += 1;
        }
        let [mut sum, other] = heads;
        sum.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        let heads = sum;
        let [mut sum, other] = slots;
        sum.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        Self { heads, slots: sum }
    }

    /// That of these tokens and others together.
    pub(super) fn with(&self, other: &Self) -> Self {
        let (mut heads, mut slots) = (self.heads, self.slots);
        heads.iter_mut().zip(other.heads).for_each(|(a, b)| *a += b);
        slots.iter_mut().zip(other.slots).for_each(|(a, b)| *a += b);
        Self { heads, slots }
    }

    /// How often each symbol for literals and lengths occurs, with one end of the block.
    pub(super) fn literals(&self) -> [u32; LITERALS] {
        let mut symbols = [0; LITERALS];
        for (head, count) in HEAD.iter().zip(self.heads) {
            symbols[usize::from(head.symbol)] += count;
        }
        symbols[END_OF_BLOCK] = 1;
        symbols
    }

    /// Plain bytes all tokens stand for.
    pub(super) fn plain_bytes(&self) -> usize {
        let heads = self.heads.iter().enumerate();
        heads
            .map(|(head, &count)| plain_bytes(head as Token) * count as usize)
            .sum()
    }

    /// Bits of all tokens besides their symbols.
    pub(super) fn extra_bits(&self) -> u64 {
        let heads = HEAD.iter().zip(self.heads);
        let lengths: u64 = heads
            .map(|(head, count)| u64::from(head.extra_bits) * u64::from(count))
            .sum();
        let slots = self.slots.iter().enumerate();
        lengths
            + slots
                .map(|(slot, &count)| u64::from(rest_bits(slot)) * u64::from(count))
                .sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First length of each symbol from 257 on, as the table of RFC 1951, 3.2.5 has them.
    const FIRST_LENGTHS: [usize; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
        131, 163, 195, 227, 258,
    ];

    #[test]
    fn lengths_are_those_of_the_standard() {
        for length in LENGTHS {
            let head = HEAD[head(matched(length, 1))];
            let first = FIRST_LENGTHS.iter().rposition(|&first| first <= length);
            let first = first.unwrap();
            assert_eq!(usize::from(head.symbol), 257 + first, "{length}");
            let extra = usize::from(head.extra);
            assert_eq!(FIRST_LENGTHS[first] + extra, length);
            assert!(extra < 1 << head.extra_bits, "{length}");
        }
        for byte in 0..=255 {
            assert_eq!(HEAD[head(literal(byte))].symbol, u16::from(byte));
            assert_eq!(plain_bytes(literal(byte)), 1);
        }
    }

    #[test]
    fn distances_are_those_of_the_standard() {
        // The first distance of each slot follows from the bits of those before.
        let mut first = 1;
        for at in 0..DISTANCES {
            for rest_value in 0..1 << rest_bits(at) {
                let token = matched(258, first + rest_value);
                assert_eq!((slot(token), rest(token)), (at, rest_value as u64));
                assert_eq!(plain_bytes(token), 258);
            }
            first += 1 << rest_bits(at);
        }
        assert_eq!(first, 32769);
    }
}
