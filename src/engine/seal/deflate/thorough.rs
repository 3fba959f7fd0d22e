//! Splits a piece of data into literals and repetitions, looking at many candidates: for `best`.
//!
//! Positions with the same five bytes are chained, and a bounded number of them is compared, the last first; of those with
//! the same four and three bytes only the last. A match is held until it is known that the next position has no longer
//! one. A block ends where the next has codes of its own that are worth their table. docs/decisions.md 39 has what it costs and gains.
//!
//! The tokens follow from history and piece alone, and every candidate is compared.

use super::block;
use super::matches::{Find, HISTORY_BYTES, PAD, PIECE_BYTES, Window, boxed, word};
use super::token::{LENGTHS, Token, literal, matched};

/// Positions compared for one match, and while a match of [`GOOD`] bytes is held.
const MOST_LOOKED_AT: usize = 48;
const MOST_LOOKED_AT_AGAIN: usize = 12;

/// Bytes of a match that is held from which on less is done for a longer one.
const GOOD: usize = 8;

/// Bytes of a match that is held from which on no longer one is looked for.
const VERY_GOOD: usize = 64;

/// Bytes of a match with which one is content.
const ENOUGH: usize = 128;

/// How far back a match of three bytes is worth more than three literals.
const NEAR: usize = 512;

/// Tokens that are at least in a block.
const BLOCK_TOKENS: usize = 4096;

/// Logarithms of the number of entries of the tables for five and four, and for three bytes.
const TABLE_BITS: u32 = 15;
const SHORT_BITS: u32 = 13;

/// One more than the last position at which what leads here was met; 0 for none.
type Last<const ENTRIES: usize> = Box<[u32; ENTRIES]>;

/// The search.
pub(super) struct Thorough {
    window: Box<Window>,
    fives: Last<{ 1 << TABLE_BITS }>,
    fours: Last<{ 1 << TABLE_BITS }>,
    threes: Last<{ 1 << SHORT_BITS }>,
    /// For each position within reach, that before it in its chain of five bytes.
    chain: Last<HISTORY_BYTES>,
    tokens: Vec<Token>,
}

/// The last positions before this one that begin with the same five, four and three bytes, most likely.
#[derive(Clone, Copy)]
struct Candidates {
    five: u32,
    four: u32,
    three: u32,
}

/// A match; of length 0 if there is none.
#[derive(Clone, Copy, Default)]
struct Match {
    length: usize,
    distance: usize,
}

/// How many bytes are equal at two positions, up to `most`.
#[inline(always)]
fn equal(window: &Window, one: usize, other: usize, most: usize) -> usize {
    let mut length = 0;
    while length < most {
        let different = word(window, one + length) ^ word(window, other + length);
        if different != 0 {
            length += different.trailing_zeros() as usize / 8;
            break;
        }
        length += 8;
    }
    length.min(most)
}

impl Thorough {
    /// Enters a position; returns those before it.
    #[inline(always)]
    fn enter(&mut self, at: usize) -> Candidates {
        const MULTIPLIER: u64 = 0x9E37_79B1_85EB_CA87;
        let word = word(&self.window, at);
        let hash = |bytes: u32, bits: u32| {
            let hash = (word << (64 - 8 * bytes)).wrapping_mul(MULTIPLIER) >> (64 - bits);
            hash as usize
        };
        let now = at as u32 + 1;
        let five = &mut self.fives[hash(5, TABLE_BITS) % (1 << TABLE_BITS)];
        let five = std::mem::replace(five, now);
        let four = &mut self.fours[hash(4, TABLE_BITS) % (1 << TABLE_BITS)];
        let four = std::mem::replace(four, now);
        let three = &mut self.threes[hash(3, SHORT_BITS) % (1 << SHORT_BITS)];
        let three = std::mem::replace(three, now);
        self.chain[at % HISTORY_BYTES] = five;
        Candidates { five, four, three }
    }

    /// The longest match of up to `most` bytes that is longer than `least`.
    #[inline(always)]
    fn longest(
        &self,
        at: usize,
        candidates: Candidates,
        least: usize,
        most: usize,
        mut looks: usize,
    ) -> Match {
        let window = &*self.window;
        let here = word(window, at) as u32;
        let (mut length, mut distance) = (least, 0);
        let shorts = [
            (candidates.three, 3, NEAR, 0xff_ffff),
            (candidates.four, 4, HISTORY_BYTES, u32::MAX),
        ];
        for (last, bytes, reach, mask) in shorts {
            let Some(other) = (last as usize).checked_sub(1).filter(|_| length < bytes) else {
                continue;
            };
            let back = at - other;
            if back <= reach && (word(window, other) as u32 ^ here) & mask == 0 {
                let found = equal(window, at, other, most);
                if found > length {
                    (length, distance) = (found, back);
                }
            }
        }
        let mut next = candidates.five as usize;
        while looks > 0 && next > 0 && length < most {
            looks -= 1;
            let other = next - 1;
            let back = at - other;
            if back > HISTORY_BYTES {
                break;
            }
            // Those bytes first that would make it longer than the best.
            let tail = length.saturating_sub(3);
            if word(window, at + tail) as u32 == word(window, other + tail) as u32
                && word(window, other) as u32 == here
            {
                let found = equal(window, at, other, most);
                if found > length {
                    (length, distance) = (found, back);
                    if found >= ENOUGH {
                        break;
                    }
                }
            }
            // The entry of a position just out of reach is that of this one.
            if back == HISTORY_BYTES {
                break;
            }
            next = self.chain[other % HISTORY_BYTES] as usize;
        }
        match distance {
            0 => Match::default(),
            _ => Match { length, distance },
        }
    }
}

impl Find for Thorough {
    fn blocks(tokens: &[Token]) -> Vec<&[Token]> {
        block::cut(tokens, BLOCK_TOKENS)
    }

    fn new() -> Self {
        Self {
            window: boxed(0),
            fives: boxed(0),
            fours: boxed(0),
            threes: boxed(0),
            chain: boxed(0),
            tokens: Vec::with_capacity(PIECE_BYTES),
        }
    }

    fn find(&mut self, history: &[u8], piece: &[u8]) -> &[Token] {
        let history = &history[history.len().saturating_sub(HISTORY_BYTES)..];
        let piece = &piece[..piece.len().min(PIECE_BYTES)];
        let start = history.len();
        let end = start + piece.len();
        self.window[..start].copy_from_slice(history);
        self.window[start..end].copy_from_slice(piece);
        self.window[end..end + PAD].fill(0);
        // What the chains hold is reached from these alone.
        self.fives.fill(0);
        self.fours.fill(0);
        self.threes.fill(0);
        self.tokens.clear();
        for at in 0..start {
            self.enter(at);
        }
        let mut at = start;
        // The match at the position before.
        let mut held = Match::default();
        while at < end {
            let candidates = self.enter(at);
            let most = (*LENGTHS.end()).min(end - at);
            let looks = match held.length {
                0..GOOD => MOST_LOOKED_AT,
                GOOD..VERY_GOOD => MOST_LOOKED_AT_AGAIN,
                _ => 0,
            };
            let found = match looks {
                0 => Match::default(),
                _ => self.longest(at, candidates, held.length.max(2), most, looks),
            };
            if held.length > 0 && found.length <= held.length {
                self.tokens.push(matched(held.length, held.distance));
                let stop = at - 1 + held.length;
                for inner in at + 1..stop {
                    self.enter(inner);
                }
                at = stop;
                held = Match::default();
                continue;
            }
            if held.length > 0 {
                self.tokens.push(literal(word(&self.window, at - 1) as u8));
            }
            if found.length == 0 {
                self.tokens.push(literal(word(&self.window, at) as u8));
            }
            held = found;
            at += 1;
        }
        &self.tokens
    }
}
