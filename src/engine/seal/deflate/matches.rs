//! Splits a piece of data into literals and repetitions of what came before.
//!
//! A table remembers, for the hash of each four bytes, the last two positions they were met at; the longer match of the
//! two counts. A match is given up for a literal if the next position has a longer one. Which candidate is longest is
//! found without branches: what the processor cannot foresee is only whether there is a match at all, and how long
//! past eight bytes. Indices are reduced to the size of arrays of a power of two, so they are never out of bounds.
//!
//! The tokens follow from history and piece alone: the table is cleared for each, and every candidate is compared.

use super::token::{LENGTHS, Token, literal, matched};

/// How far back a match may reach.
pub(super) const HISTORY_BYTES: usize = 32 * 1024;

/// Longest piece that is searched at once.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// Room for history and piece.
pub(super) const WINDOW: usize = (HISTORY_BYTES + PIECE_BYTES).next_power_of_two();

/// Bytes after the window: words are read whole. Also the last bytes of a piece, which are not searched.
pub(super) const PAD: usize = 16;

/// Logarithm of the number of entries of the table.
const TABLE_BITS: u32 = 15;

/// The top bit of each byte: how much of two words is equal is told by as many of these as there are equal bytes, from the
/// lowest on. Such numbers are ordered as those of the bytes are.
const TOPS: u64 = u64::from_le_bytes([0x80; 8]);

/// A match has at least four bytes, as many as are hashed.
const SHORT: u64 = TOPS & u32::MAX as u64;

/// All that is compared at once. A match of that length is taken, whatever comes next.
const WORD: u64 = TOPS;

/// Literals in a row after which positions are skipped, more and more, until the next match.
const DULL: usize = 128;

/// Most positions skipped at once.
const MOST_SKIPPED: usize = 32;

/// Matches above this many bytes enter the table with their first and last bytes only: they are likely runs, and
/// what repeats is found by either.
const LONG_MATCH: usize = 40;

pub(super) type Window = [u8; WINDOW + PAD];
/// The low 16 bits of two positions each, the last one in the low half. Older ones than the window shine through as
/// if they were recent, and fail the comparison or happen to match.
type Table = [u32; 1 << TABLE_BITS];

/// The search. `WAYS` is how many positions of an entry are tried, 1 or 2.
pub(super) struct Finder<const WAYS: u32> {
    window: Box<Window>,
    table: Box<Table>,
    tokens: Box<[Token; PIECE_BYTES]>,
}

/// What is known of a position.
#[derive(Clone, Copy)]
struct Found {
    /// Eight bytes from there on.
    word: u64,
    /// Positions met before.
    entry: u32,
    /// How much is equal at the best of them, up to [`WORD`]; below [`SHORT`] it is no match.
    equal: u64,
    distance: usize,
}

/// An array too large for the stack.
pub(super) fn boxed<T: Clone, const N: usize>(value: T) -> Box<[T; N]> {
    let array = vec![value; N].into_boxed_slice().try_into();
    array.unwrap_or_else(|_| unreachable!("the vector has the length of the array"))
}

/// Eight bytes of the window.
#[inline(always)]
pub(super) fn word(window: &Window, at: usize) -> u64 {
    let at = at % WINDOW;
    let bytes = window.get(at..at + 8).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Remembers that the low four bytes of `word` stand at a position; returns the entry as it was.
#[inline(always)]
fn enter(table: &mut Table, word: u64, at: usize) -> u32 {
    let place = place(table, word);
    let before = *place;
    *place = before << 16 | u32::from(at as u16);
    before
}

/// The same for a position that may have been entered already.
#[inline(always)]
fn enter_once(table: &mut Table, word: u64, at: usize) {
    let place = place(table, word);
    let before = *place;
    let after = before << 16 | u32::from(at as u16);
    *place = if before as u16 == at as u16 {
        before
    } else {
        after
    };
}

#[inline(always)]
fn place(table: &mut Table, word: u64) -> &mut u32 {
    let hash = (word as u32).wrapping_mul(0x9E37_79B1) >> (32 - TABLE_BITS);
    &mut table[hash as usize % (1 << TABLE_BITS)]
}

/// Enters four positions from `at` on.
#[inline(always)]
fn enter_four(window: &Window, table: &mut Table, at: usize) {
    let word = word(window, at);
    enter(table, word, at);
    enter(table, word >> 8, at + 1);
    enter(table, word >> 16, at + 2);
    enter(table, word >> 24, at + 3);
}

/// How far back the `way`-th position of an entry lies; `None` if that is out of reach.
///
/// Positions are entered in order, so it is never before the start of the window.
#[inline(always)]
fn distance(entry: u32, way: u32, at: usize) -> Option<usize> {
    let distance = (at as u16).wrapping_sub((entry >> (16 * (way & 1))) as u16);
    (distance.wrapping_sub(1) < HISTORY_BYTES as u16).then_some(usize::from(distance))
}

/// Enters a position and looks for the best match of up to eight bytes.
#[inline(always)]
fn look<const WAYS: u32>(window: &Window, table: &mut Table, at: usize) -> Found {
    let here = word(window, at);
    let entry = enter(table, here, at);
    let (mut best, mut best_distance) = (0, 0);
    for way in 0..WAYS {
        let distance = (at as u16).wrapping_sub((entry >> (16 * (way & 1))) as u16);
        let other = word(window, at.wrapping_sub(usize::from(distance)));
        let different = here ^ other;
        // Ones for the lowest bits that are equal.
        let equal = !different & different.wrapping_sub(1);
        let equal = if distance.wrapping_sub(1) < HISTORY_BYTES as u16 {
            equal
        } else {
            0
        };
        if equal > best {
            best = equal;
            best_distance = usize::from(distance);
        }
    }
    Found {
        word: here,
        entry,
        equal: best & TOPS,
        distance: best_distance,
    }
}

/// How many bytes are equal at two positions of which eight are known to be.
#[inline(never)]
fn extend(window: &Window, at: usize, distance: usize, most: usize) -> usize {
    let mut length = 8;
    while length < most {
        let here = word(window, at + length);
        let different = here ^ word(window, at + length - distance);
        if different != 0 {
            length += different.trailing_zeros() as usize / 8;
            break;
        }
        length += 8;
    }
    length.min(most)
}

/// Length and distance of the longest match at a position of which eight bytes match.
#[inline(always)]
fn longest<const WAYS: u32>(
    window: &Window,
    at: usize,
    found: Found,
    most: usize,
) -> (usize, usize) {
    let length = extend(window, at, found.distance, most);
    if WAYS > 1
        && length < LONG_MATCH
        && let Some(distance) = distance(found.entry, 1, at)
        && distance > found.distance
        && word(window, at - distance) == found.word
    {
        let other = extend(window, at, distance, most);
        if other > length {
            return (other, distance);
        }
    }
    (length, found.distance)
}

/// A way to find repetitions.
pub(super) trait Find: Send {
    fn new() -> Self;

    /// Which tokens make a block of deflate data.
    fn blocks(tokens: &[Token]) -> Vec<&[Token]>;

    /// The tokens of a piece of at most [`PIECE_BYTES`], of which those after at most [`HISTORY_BYTES`] of `history`
    /// may refer to it. What is longer than that is left out.
    fn find(&mut self, history: &[u8], piece: &[u8]) -> &[Token];
}

impl<const WAYS: u32> Find for Finder<WAYS> {
    // Half as many gain less by codes that fit than they lose by tables.
    fn blocks(tokens: &[Token]) -> Vec<&[Token]> {
        tokens.chunks(32 * 1024).collect()
    }

    fn new() -> Self {
        Self {
            window: boxed(0),
            table: boxed(0),
            tokens: boxed(0),
        }
    }

    fn find(&mut self, history: &[u8], piece: &[u8]) -> &[Token] {
        let history = &history[history.len().saturating_sub(HISTORY_BYTES)..];
        let piece = &piece[..piece.len().min(PIECE_BYTES)];
        let start = history.len();
        let end = start + piece.len();
        let (window, table, tokens) = (&mut *self.window, &mut *self.table, &mut *self.tokens);
        window[..start].copy_from_slice(history);
        window[start..end].copy_from_slice(piece);
        window[end..end + PAD].fill(0);
        let window = &*window;
        table.fill(0);
        // Every other position of the history is enough to find what repeats.
        for at in (0..start.saturating_sub(8)).step_by(4) {
            let word = word(window, at);
            enter(table, word, at);
            enter(table, word >> 16, at + 2);
        }

        let mut count = 0;
        let mut push = |token| {
            tokens[count % PIECE_BYTES] = token;
            count += 1;
        };
        let mut at = start;
        let mut last_match = start;
        let searched = end.saturating_sub(PAD);
        let mut here = look::<WAYS>(window, table, at);
        while at < searched {
            // Looked at before it is known to be needed: the processor works on both positions at once.
            let next = look::<WAYS>(window, table, at + 1);
            let longer_next = next.equal > here.equal;
            if here.equal < SHORT || longer_next {
                push(literal(here.word as u8));
                at += 1;
                here = next;
                if at - last_match > DULL && here.equal < SHORT {
                    let skipped = ((at - last_match) / DULL).min(MOST_SKIPPED);
                    let stop = (at + skipped).min(searched);
                    for at in at..stop {
                        push(literal(word(window, at) as u8));
                    }
                    at = stop;
                    here = look::<WAYS>(window, table, at);
                }
                continue;
            }
            // Positions in the match are entered in groups, for the length of a loop cannot be foreseen either.
            enter(table, here.word >> 16, at + 2);
            enter(table, here.word >> 24, at + 3);
            let stop = if here.equal < WORD {
                let length = 8 - here.equal.leading_zeros() as usize / 8;
                push(matched(length, here.distance));
                at + length
            } else {
                let most = (*LENGTHS.end()).min(end - at);
                let (length, distance) = longest::<WAYS>(window, at, here, most);
                push(matched(length, distance));
                let stop = at + length;
                let mut inner = at + 4;
                if length > LONG_MATCH {
                    enter(table, here.word >> 32, at + 4);
                    inner = stop - 16;
                }
                while inner < stop - 4 {
                    enter_four(window, table, inner);
                    inner += 4;
                }
                let tail = word(window, stop - 4);
                enter_once(table, tail, stop - 4);
                enter_once(table, tail >> 8, stop - 3);
                stop
            };
            let tail = word(window, stop - 2);
            enter_once(table, tail, stop - 2);
            enter_once(table, tail >> 8, stop - 1);
            at = stop;
            last_match = stop;
            here = look::<WAYS>(window, table, at);
        }
        for at in at..end {
            push(literal(word(window, at) as u8));
        }
        &self.tokens[..count.min(PIECE_BYTES)]
    }
}
