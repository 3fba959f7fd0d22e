//! A signature made searchable: from the rolling sum of a window to the blocks of the basis that may equal it.
//!
//! Memory is about 20 bytes a block: the sums themselves (12), a hash table of block numbers (6), and a Bloom filter
//! (2 to 4) that answers nearly all questions without touching the table. Lookups take bounded time on any input.

use super::rolling::RollingSum;
use super::signature::options;
use super::{BLOCK_BYTES_MAX, Error, MD4_BYTES, SIGNATURE_HEADER_BYTES, SIGNATURE_MAGIC};
use fast_rsync::Signature;

/// Bytes of the rolling sum in a signature.
const WEAK_BYTES: usize = 4;

/// Marks a free slot; as the number of a block it would lie beyond the most that are taken.
const FREE: u32 = u32::MAX;

/// Slots looked at before giving up. Only a signature made to harm fills that many in a row with one sum; blocks
/// that find no place are not matched, which makes a delta longer, not wrong.
const PROBES_MAX: usize = 128;

/// A signature, taken apart.
struct Header<'a> {
    block_len: usize,
    strong_bytes: usize,
    /// Rolling and strong sums of all blocks.
    sums: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(signature: &'a [u8]) -> Result<Self, Error> {
        let truncated = || Error::TruncatedSignature {
            bytes: signature.len(),
        };
        let (header, sums) = signature
            .split_first_chunk::<SIGNATURE_HEADER_BYTES>()
            .ok_or_else(truncated)?;
        let [m0, m1, m2, m3, b0, b1, b2, b3, s0, s1, s2, s3] = *header;
        let magic = u32::from_be_bytes([m0, m1, m2, m3]);
        let block = u32::from_be_bytes([b0, b1, b2, b3]);
        let strong = u32::from_be_bytes([s0, s1, s2, s3]);
        match magic {
            SIGNATURE_MAGIC => {}
            0x7273_0137 => return Err(Error::UnsupportedSignature { kind: "BLAKE2" }),
            0x7273_0146 => {
                return Err(Error::UnsupportedSignature {
                    kind: "RabinKarp and MD4",
                });
            }
            0x7273_0147 => {
                return Err(Error::UnsupportedSignature {
                    kind: "RabinKarp and BLAKE2",
                });
            }
            magic => return Err(Error::NotASignature { magic }),
        }
        let (block_len, strong_bytes) = (block as usize, strong as usize);
        if !(1..=BLOCK_BYTES_MAX).contains(&block_len) || !(1..=MD4_BYTES).contains(&strong_bytes) {
            return Err(Error::BadLengths { block, strong });
        }
        let entry_bytes = WEAK_BYTES + strong_bytes;
        if sums.len() % entry_bytes != 0 {
            return Err(truncated());
        }
        Ok(Self {
            block_len,
            strong_bytes,
            sums,
        })
    }
}

/// A signature, ready for deltas against the content it describes.
pub struct SignatureIndex {
    block_len: usize,
    strong_bytes: usize,
    /// Rolling and strong sums of all blocks, as in the signature.
    sums: Vec<u8>,
    /// Block numbers, at or after the place their rolling sum gives.
    slots: Vec<u32>,
    /// Three bits in one word for each rolling sum that occurs.
    filter: Vec<u64>,
    filter_shift: u32,
}

impl SignatureIndex {
    /// Bytes per block and number of blocks of a signature, without making it ready.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn layout(signature: &[u8]) -> Result<(usize, u64), Error> {
        let header = Header::parse(signature)?;
        let blocks = header.sums.len() / (WEAK_BYTES + header.strong_bytes);
        Ok((header.block_len, blocks as u64))
    }

    /// Reads a signature.
    ///
    /// # Errors
    /// Not a signature, one with other sums than rolling sum and MD4, with senseless lengths, or a truncated one.
    pub fn parse(signature: &[u8]) -> Result<Self, Error> {
        let Header {
            block_len,
            strong_bytes,
            sums,
        } = Header::parse(signature)?;
        let blocks = sums.len() / (WEAK_BYTES + strong_bytes);
        if blocks >= FREE as usize {
            return Err(Error::TooManyBlocks);
        }
        // 16 to 32 bits a block: about one false answer in 200 for unrelated data.
        let filter_words = (blocks / 4).next_power_of_two().max(2);
        let mut index = Self {
            block_len,
            strong_bytes,
            sums: sums.to_vec(),
            slots: vec![FREE; blocks + blocks / 2 + 1],
            filter: vec![0; filter_words],
            filter_shift: u64::BITS - filter_words.trailing_zeros(),
        };
        for block in 0..blocks as u32 {
            index.insert(block);
        }
        Ok(index)
    }

    /// Bytes per block.
    pub fn block_len(&self) -> usize {
        self.block_len
    }

    /// Number of blocks, with the last one that may be shorter.
    pub fn blocks(&self) -> u64 {
        (self.sums.len() / self.entry_bytes()) as u64
    }

    /// Moves `sum` over the pairs of bytes that leave and enter its window, until a block may have the sum. Returns
    /// how many pairs were used; all of them if nothing was found before.
    pub(super) fn scan(&self, sum: &mut RollingSum, leaving: &[u8], entering: &[u8]) -> usize {
        let (filter, shift) = (self.filter.as_slice(), self.filter_shift);
        let mut rolling = *sum;
        let mut passed = 0;
        for (old, new) in leaving.iter().zip(entering) {
            if is_set(filter, shift, hash(rolling.digest())) {
                break;
            }
            rolling.rotate(*old, *new);
            passed += 1;
        }
        *sum = rolling;
        passed
    }

    /// Whether a block may have this rolling sum. Quick, and mostly right when it says yes.
    pub(super) fn may_contain(&self, weak: u32) -> bool {
        is_set(&self.filter, self.filter_shift, hash(weak))
    }

    /// Whether any block has this rolling sum.
    pub(super) fn contains(&self, weak: u32) -> bool {
        self.probe(weak).next().is_some()
    }

    /// A block with these sums: `preferred` if it is one, else the first of all.
    pub(super) fn find(&self, sums: &[u8], preferred: Option<u64>) -> Option<u64> {
        if let Some(block) = preferred.filter(|block| self.entry(*block) == Some(sums)) {
            return Some(block);
        }
        let (weak, _) = sums.split_first_chunk()?;
        self.probe(u32::from_be_bytes(*weak))
            .map(u64::from)
            .find(|b| self.entry(*b) == Some(sums))
    }

    /// How many blocks from `first` on have the sums that stand in `sums` one after the other.
    pub(super) fn count_equal(&self, first: u64, sums: &[u8]) -> usize {
        let entry_bytes = self.entry_bytes();
        let start = usize::try_from(first)
            .ok()
            .and_then(|f| f.checked_mul(entry_bytes));
        let known = start.and_then(|s| self.sums.get(s..)).unwrap_or_default();
        let pairs = known
            .chunks_exact(entry_bytes)
            .zip(sums.chunks_exact(entry_bytes));
        pairs.take_while(|(a, b)| a == b).count()
    }

    /// The rolling sum of a block.
    pub(super) fn weak(&self, block: u64) -> Option<u32> {
        let (weak, _) = self.entry(block)?.split_first_chunk()?;
        Some(u32::from_be_bytes(*weak))
    }

    /// The sums of each block of `data`, as in a signature.
    pub(super) fn sums_of(&self, data: &[u8]) -> Vec<u8> {
        let options = options(self.block_len, self.strong_bytes);
        let mut sums = Signature::calculate(data, options).into_serialized();
        sums.drain(..SIGNATURE_HEADER_BYTES);
        sums
    }

    fn entry_bytes(&self) -> usize {
        WEAK_BYTES + self.strong_bytes
    }

    fn entry(&self, block: u64) -> Option<&[u8]> {
        let entry_bytes = self.entry_bytes();
        let start = usize::try_from(block).ok()?.checked_mul(entry_bytes)?;
        self.sums.get(start..start.checked_add(entry_bytes)?)
    }

    /// Blocks with this rolling sum, lowest number first.
    fn probe(&self, weak: u32) -> impl Iterator<Item = u32> {
        let occupied = self.places(weak).map_while(|place| {
            self.slots
                .get(place)
                .copied()
                .filter(|block| *block != FREE)
        });
        occupied.filter(move |block| self.weak(u64::from(*block)) == Some(weak))
    }

    /// Places of the table where a block with this rolling sum may stand.
    fn places(&self, weak: u32) -> impl Iterator<Item = usize> + use<> {
        let count = self.slots.len();
        // The upper half of the hash, scaled to the table.
        let home = ((hash(weak) >> 32) * count as u64) >> 32;
        (home as usize..count)
            .chain(0..home as usize)
            .take(PROBES_MAX)
    }

    /// Enters a block, unless one with equal sums is there: of equal blocks the first is enough.
    fn insert(&mut self, block: u32) {
        let Some(weak) = self.weak(block.into()) else {
            return;
        };
        for place in self.places(weak) {
            match self.slots.get(place) {
                Some(&FREE) => {
                    self.slots[place] = block;
                    let hash = hash(weak);
                    self.filter[(hash >> self.filter_shift) as usize] |= filter_mask(hash);
                    return;
                }
                Some(&other) if self.entry(other.into()) == self.entry(block.into()) => return,
                _ => {}
            }
        }
    }
}

impl std::fmt::Debug for SignatureIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SignatureIndex({} blocks of {} bytes)",
            self.blocks(),
            self.block_len
        )
    }
}

#[inline(always)]
fn is_set(filter: &[u64], shift: u32, hash: u64) -> bool {
    let mask = filter_mask(hash);
    filter
        .get((hash >> shift) as usize)
        .is_some_and(|word| word & mask == mask)
}

/// The bits of a hash inside its word; taken from below those that choose the word.
#[inline(always)]
fn filter_mask(hash: u64) -> u64 {
    1 << (hash >> 19 & 63) | 1 << (hash >> 25 & 63) | 1 << (hash >> 31 & 63)
}

/// Spreads the rolling sum, whose upper bits are the ones that are used.
#[inline(always)]
fn hash(weak: u32) -> u64 {
    u64::from(weak).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
