//! Making signatures.

use super::{SIGNATURE_HEADER_BYTES, SIGNATURE_MAGIC, STRONG_BYTES};
use fast_rsync::{Signature, SignatureOptions};
use std::collections::HashSet;

/// Block lengths are multiples of this.
// COMPAT(dup all): the unit of librsync's own default.
const BLOCK_UNIT: u64 = 512;

/// Least bytes hashed at once where blocks are small enough: MD4 is fast only over several blocks side by side.
const BATCH_BYTES: usize = 256 * 1024;

/// Most blocks hashed side by side by any machine. Blocks that do not fill the lanes are hashed one by one, each as long
/// as all of them take together.
pub(super) const LANES: usize = 8;

/// Most bytes collected to fill the lanes; beyond it blocks are hashed alone.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The length of a signature's blocks for a file of `file_len` bytes: its square root, rounded up to a multiple of
/// 512, and at most `max` (rounded up likewise).
// COMPAT(dup 3.0.3): older versions used 512 and multiples up to 2048. Any length is read.
pub fn block_len(file_len: u64, max: Option<u64>) -> usize {
    let round_up = |n: u64| n.max(1).div_ceil(BLOCK_UNIT).saturating_mul(BLOCK_UNIT);
    let length = round_up(file_len.isqrt());
    let length = max.map_or(length, |max| length.min(round_up(max)));
    length.min(super::BLOCK_BYTES_MAX as u64) as usize
}

/// How long the content of a signature is: no shorter and no longer than this. `None` if it is none of ours.
pub fn signed_length(signature: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| {
        let bytes = signature.get(at..at + 4)?;
        Some(u64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
    };
    let (block, strong) = (word(4)?, word(8)?);
    let sums = signature.len().checked_sub(SIGNATURE_HEADER_BYTES)? as u64;
    // The last block may be short, by all but a byte.
    let most = (sums / (4 + strong)).saturating_mul(block);
    let least = most.saturating_sub(block.saturating_sub(1));
    Some((least.min(most), most))
}

/// About how long the content of a signature is: never less, and at most a block more. 0 if it is none of ours.
pub fn signed_bytes(signature: &[u8]) -> u64 {
    signed_length(signature).map_or(0, |(_, most)| most)
}

/// About how many bytes of a content are not in an older one: its blocks whose sums the older signature does not have. All
/// of them if the two cannot be compared.
pub fn changed_bytes(older: &[u8], signature: &[u8]) -> u64 {
    let head = signature.get(..SIGNATURE_HEADER_BYTES);
    let strong = signature
        .get(8..SIGNATURE_HEADER_BYTES)
        .and_then(|b| Some(u32::from_be_bytes(b.try_into().ok()?)));
    let (Some(strong), true) = (strong, older.get(..SIGNATURE_HEADER_BYTES) == head) else {
        return signed_bytes(signature);
    };
    let size = 4 + strong as usize;
    let known: HashSet<&[u8]> = sums(older, size).collect();
    let new = sums(signature, size).filter(|sum| !known.contains(sum));
    let block = signed_bytes(signature) / (sums(signature, size).count() as u64).max(1);
    (new.count() as u64).saturating_mul(block)
}

/// The sums of the blocks of a signature, `size` bytes each.
fn sums(signature: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    let sums = signature.get(SIGNATURE_HEADER_BYTES..).unwrap_or_default();
    sums.chunks_exact(size)
}

/// Makes the signature of a content that comes in pieces.
///
/// Memory: the signature itself (12 bytes a block) and at most 4 MiB or one block, whichever is more.
pub struct SignatureBuilder {
    block_len: usize,
    /// Bytes collected before they are hashed: a multiple of `block_len`.
    batch: usize,
    pending: Vec<u8>,
    signature: Vec<u8>,
}

impl SignatureBuilder {
    /// Starts a signature with blocks of `block_len` bytes (at least 1).
    pub fn new(block_len: usize) -> Self {
        let block_len = block_len.clamp(1, super::BLOCK_BYTES_MAX);
        let wanted = BATCH_BYTES.max(LANES * block_len).min(BATCH_BYTES_MAX);
        let batch = full_lanes(wanted / block_len).max(1) * block_len;
        let mut signature = Vec::with_capacity(SIGNATURE_HEADER_BYTES);
        signature.extend_from_slice(&SIGNATURE_MAGIC.to_be_bytes());
        signature.extend_from_slice(&(block_len as u32).to_be_bytes());
        signature.extend_from_slice(&(STRONG_BYTES as u32).to_be_bytes());
        Self {
            block_len,
            batch,
            pending: Vec::new(),
            signature,
        }
    }

    /// How many bytes are hashed at a time: pieces of this length need no copy.
    pub fn batch_bytes(&self) -> usize {
        self.batch
    }

    /// Adds the next piece, of any length.
    pub fn push(&mut self, mut data: &[u8]) {
        if !self.pending.is_empty() {
            let missing = (self.batch - self.pending.len()).min(data.len());
            let (fill, rest) = data.split_at(missing);
            self.pending.extend_from_slice(fill);
            data = rest;
            if self.pending.len() < self.batch {
                return;
            }
            let pending = std::mem::take(&mut self.pending);
            self.hash(&pending);
            self.pending = pending;
            self.pending.clear();
        }
        let (whole, rest) = data.split_at(data.len() / self.batch * self.batch);
        self.hash(whole);
        self.pending.extend_from_slice(rest);
    }

    /// The signature. Of no content at all, the header.
    pub fn finish(mut self) -> Vec<u8> {
        let pending = std::mem::take(&mut self.pending);
        self.hash(&pending);
        self.signature
    }

    /// Appends the sums of whole blocks, or of the last bytes.
    fn hash(&mut self, data: &[u8]) {
        if !data.is_empty() {
            let sums = Signature::calculate(data, options(self.block_len, STRONG_BYTES));
            self.signature
                .extend_from_slice(&sums.serialized()[SIGNATURE_HEADER_BYTES..]);
        }
    }
}

/// So many blocks, less those that would not fill the lanes if others do.
pub(super) fn full_lanes(blocks: usize) -> usize {
    match blocks {
        0..LANES => blocks,
        _ => blocks / LANES * LANES,
    }
}

pub(super) fn options(block_len: usize, strong_bytes: usize) -> SignatureOptions {
    SignatureOptions {
        block_size: block_len as u32,
        crypto_hash_size: strong_bytes as u32,
    }
}
