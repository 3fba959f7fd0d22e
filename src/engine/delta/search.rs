//! Making deltas: finding the blocks of the basis in a new content.
//!
//! A window slides over the new content. Where the block after the last match comes next, whole runs of blocks are
//! compared by their sums at once; elsewhere the rolling sum is moved byte by byte and asked of the index's
//! filter. Time stays linear on any input: checks that find nothing are paid from a credit that grows with the bytes
//! passed. A check forgone makes the delta longer, never wrong.

use super::command::{END, write_copy, write_literal};
use super::rolling::RollingSum;
use super::signature::{LANES, full_lanes};
use super::{DELTA_MAGIC, SignatureIndex};
use std::io::{self, Read};
use std::sync::Arc;

/// Size of the window at first: enough for most files at once.
const WINDOW_BYTES_MIN: usize = 64 * 1024;

/// Size of the window when the content is long, unless two blocks are longer.
const WINDOW_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Most bytes compared at once, if that is more than the blocks MD4 takes side by side.
const RUN_BYTES_MAX: usize = 256 * 1024;

/// Credit earned by each byte passed, in bytes of MD4. Bounds the worst case to this many times the work.
const CREDIT_PER_BYTE: u64 = 4;

/// What a look into the table costs, in bytes of MD4.
const LOOKUP_COST: u64 = 16;

/// Most credit that can be saved, in blocks.
const CREDIT_BLOCKS_MAX: u64 = 1024;

/// The delta of a new content against the content an index describes. Yields the delta as [`Read`].
///
/// Memory: a window of 64 KiB to 2 MiB, or two blocks if they are longer, and as much output. The delta depends on
/// the contents only, not on how the input is cut into reads.
pub struct DeltaReader<R> {
    index: Arc<SignatureIndex>,
    input: R,
    input_ended: bool,
    window: Vec<u8>,
    /// End of what was read into the window.
    filled: usize,
    /// Where in the content the window starts.
    base: u64,
    /// Start of the bytes that belong to no match, in the window.
    literal: usize,
    /// The byte looked at, in the window.
    pos: usize,
    /// Sum of the block at `pos`; `None` right after a match.
    rolling: Option<RollingSum>,
    /// A copy that the next match may extend: offset in the basis and length.
    copy: Option<(u64, u64)>,
    /// End of the last match in the content, and the block of the basis that follows it.
    aligned: (u64, u64),
    /// Blocks to compare at once if the run goes on.
    run: usize,
    credit: u64,
    out: Vec<u8>,
    taken: usize,
    done: bool,
}

impl<R: Read> DeltaReader<R> {
    /// Starts a delta of what `new` yields. Reads nothing yet.
    pub fn new(index: Arc<SignatureIndex>, new: R) -> Self {
        let credit = credit_max(&index);
        Self {
            index,
            input: new,
            input_ended: false,
            window: Vec::new(),
            filled: 0,
            base: 0,
            literal: 0,
            pos: 0,
            rolling: None,
            copy: None,
            aligned: (0, 0),
            run: 1,
            credit,
            out: DELTA_MAGIC.to_be_bytes().to_vec(),
            taken: 0,
            done: false,
        }
    }

    /// The input, which has been read to its end once the delta has.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Goes on by one match, one window or the end.
    fn step(&mut self) -> io::Result<()> {
        let block_len = self.index.block_len();
        // Within a run of matches as many blocks as are compared at once, so that they fill the lanes.
        let wanted = match self.rolling {
            None => (self.run * block_len)
                .min(self.window.len() / 2)
                .max(block_len),
            Some(_) => block_len,
        };
        if self.filled - self.pos <= wanted && !self.input_ended {
            self.refill()?;
        }
        if self.filled - self.pos < block_len {
            self.finish();
        } else if self.index.blocks() == 0 {
            self.pos = self.filled - block_len + 1;
        } else if self.rolling.is_some() || !self.follow() {
            self.roll();
        }
        Ok(())
    }

    /// Drops what was passed from the window and reads as much as fits.
    fn refill(&mut self) -> io::Result<()> {
        self.flush_literal();
        self.window.copy_within(self.pos..self.filled, 0);
        self.base += self.pos as u64;
        self.filled -= self.pos;
        (self.pos, self.literal) = (0, 0);
        let two_blocks = 2 * self.index.block_len();
        let size = (2 * self.window.len()).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        self.window.resize(size.max(two_blocks), 0);
        while self.filled < self.window.len() {
            match self.input.read(&mut self.window[self.filled..]) {
                Ok(0) => {
                    self.input_ended = true;
                    break;
                }
                Ok(bytes) => self.filled += bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Compares what comes after a match with the blocks after it in the basis. `false` if the next one differs; its
    /// rolling sum is known then.
    fn follow(&mut self) -> bool {
        let block_len = self.index.block_len();
        let next = self.aligned_block(self.pos).unwrap_or(u64::MAX);
        if self.run == 1 {
            let sum = RollingSum::of(&self.window[self.pos..self.pos + block_len]);
            if self.index.weak(next) != Some(sum.digest()) {
                self.rolling = Some(sum);
                return false;
            }
        }
        let blocks = ((self.filled - self.pos) / block_len).min(self.run);
        let sums = self
            .index
            .sums_of(&self.window[self.pos..self.pos + blocks * block_len]);
        let equal = self.index.count_equal(next, &sums);
        if equal > 0 {
            self.matched(next, equal * block_len);
        }
        if equal == blocks {
            self.run = (2 * self.run).min(full_lanes(RUN_BYTES_MAX / block_len).max(LANES));
            return true;
        }
        self.run = 1;
        // The block that differs lies in the window still.
        self.rolling = Some(RollingSum::of(&self.window[self.pos..self.pos + block_len]));
        false
    }

    /// Moves on to the next match or the end of the window.
    fn roll(&mut self) {
        let block_len = self.index.block_len();
        let Some(mut sum) = self.rolling.take() else {
            return;
        };
        let last = self.filled - block_len;
        loop {
            let leaving = &self.window[self.pos..last];
            let entering = &self.window[self.pos + block_len..self.filled];
            let passed = self.index.scan(&mut sum, leaving, entering);
            self.pos += passed;
            self.credit += CREDIT_PER_BYTE * passed as u64;
            if self.index.may_contain(sum.digest()) {
                self.credit = self.credit.min(credit_max(&self.index));
                if let Some(block) = self.check(sum.digest()) {
                    self.matched(block, block_len);
                    return;
                }
            }
            if self.pos == last {
                break;
            }
            sum.rotate(self.window[self.pos], self.window[self.pos + block_len]);
            self.pos += 1;
            self.credit += CREDIT_PER_BYTE;
        }
        if self.input_ended {
            self.pos += 1;
        } else {
            self.rolling = Some(sum);
        }
    }

    /// The block that equals the one at `pos`, whose rolling sum is `weak`.
    fn check(&mut self, weak: u32) -> Option<u64> {
        let block_len = self.index.block_len();
        self.credit = self.credit.checked_sub(LOOKUP_COST)?;
        if self.credit < block_len as u64 || !self.index.contains(weak) {
            return None;
        }
        let sums = self
            .index
            .sums_of(&self.window[self.pos..self.pos + block_len]);
        let found = self.index.find(&sums, self.aligned_block(self.pos));
        if found.is_none() {
            self.credit -= block_len as u64;
        }
        found
    }

    /// The block that stands here if the basis goes on after the last match as the content does.
    fn aligned_block(&self, pos: usize) -> Option<u64> {
        let (end, next) = self.aligned;
        let distance = (self.base + pos as u64).checked_sub(end)?;
        let block_len = self.index.block_len() as u64;
        (distance % block_len == 0).then(|| next + distance / block_len)
    }

    /// Takes `bytes` bytes at `pos` from the basis, from the start of `block` on.
    fn matched(&mut self, block: u64, bytes: usize) {
        self.flush_literal();
        let block_len = self.index.block_len() as u64;
        let (offset, length) = (block * block_len, bytes as u64);
        match &mut self.copy {
            Some((start, so_far)) if *start + *so_far == offset => *so_far += length,
            _ => {
                self.flush_copy();
                self.copy = Some((offset, length));
            }
        }
        self.pos += bytes;
        self.literal = self.pos;
        self.rolling = None;
        self.aligned = (
            self.base + self.pos as u64,
            block + length.div_ceil(block_len),
        );
    }

    /// Looks for the last block of the basis, if it is a short one, at the end of the content; then ends the delta.
    fn finish(&mut self) {
        let last = self.index.blocks().wrapping_sub(1);
        if let Some(weak) = self.index.weak(last) {
            let mut sum = RollingSum::of(&self.window[self.pos..self.filled]);
            while self.pos < self.filled {
                let rest = &self.window[self.pos..self.filled];
                if sum.digest() == weak && self.credit >= rest.len() as u64 {
                    if self.index.count_equal(last, &self.index.sums_of(rest)) == 1 {
                        self.matched(last, rest.len());
                        break;
                    }
                    self.credit -= rest.len() as u64;
                }
                sum.drop_first(rest[0]);
                self.pos += 1;
            }
        }
        self.pos = self.filled;
        self.flush_literal();
        self.flush_copy();
        self.out.push(END);
        self.done = true;
    }

    fn flush_literal(&mut self) {
        if self.literal < self.pos {
            self.flush_copy();
            write_literal(&mut self.out, &self.window[self.literal..self.pos]);
            self.literal = self.pos;
        }
    }

    fn flush_copy(&mut self) {
        if let Some((offset, length)) = self.copy.take() {
            write_copy(&mut self.out, offset, length);
        }
    }
}

impl<R: Read> Read for DeltaReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.out.len() {
            if self.done {
                return Ok(0);
            }
            self.out.clear();
            self.taken = 0;
            self.step()?;
        }
        let bytes = buf.len().min(self.out.len() - self.taken);
        buf[..bytes].copy_from_slice(&self.out[self.taken..self.taken + bytes]);
        self.taken += bytes;
        Ok(bytes)
    }
}

fn credit_max(index: &SignatureIndex) -> u64 {
    CREDIT_BLOCKS_MAX * index.block_len() as u64
}
