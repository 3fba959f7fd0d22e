//! librsync: signatures of a file's content, deltas against them, and patching. Pure, streaming, bounded in memory.
//!
//! Only the classic kind is spoken: rolling sum and MD4, as duplicity writes and reads it, and as `rdiff -R rollsum
//! -H md4 -S 8` does. Signatures are byte-identical to librsync's; deltas are valid but may be cut differently.
//! See docs/format.md, "Signatures and deltas".

mod command;
mod index;
mod meter;
mod patch;
mod rolling;
mod search;
mod signature;

pub use index::SignatureIndex;
pub use meter::DeltaMeter;
pub use patch::{Backward, patch, patch_passing};
pub use search::DeltaReader;
pub use signature::{SignatureBuilder, block_len, changed_bytes, signed_bytes, signed_length};

use super::error::{Error as EngineError, ErrorKind};
use std::io;

/// First four bytes of a signature with rolling sum and MD4.
const SIGNATURE_MAGIC: u32 = 0x7273_0136;

/// First four bytes of a delta.
const DELTA_MAGIC: u32 = 0x7273_0236;

/// Bytes of a signature before the sums of the first block.
const SIGNATURE_HEADER_BYTES: usize = 12;

/// Bytes of MD4 in signatures we write.
// COMPAT(dup all): the length duplicity asks librsync for.
const STRONG_BYTES: usize = 8;

/// Bytes of a whole MD4.
const MD4_BYTES: usize = 16;

/// Longest block of a signature that is read: what the rule of [`block_len`] gives for a file of 4 PiB.
const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a signature or delta cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a signature at all.
    #[error("not a librsync signature (magic {magic:#010x})")]
    NotASignature {
        /// Its first four bytes.
        magic: u32,
    },
    /// A signature of a kind that duplicity never writes.
    #[error("librsync signature uses {kind}, only rolling sum with MD4 is supported")]
    UnsupportedSignature {
        /// Its sums.
        kind: &'static str,
    },
    /// A signature that ends early.
    #[error("librsync signature is truncated ({bytes} bytes)")]
    TruncatedSignature {
        /// Its length.
        bytes: usize,
    },
    /// A block length or sum length that makes no sense.
    #[error("librsync signature with blocks of {block} bytes and sums of {strong} bytes")]
    BadLengths {
        /// Length of a block.
        block: u32,
        /// Bytes of MD4 per block.
        strong: u32,
    },
    /// More blocks than can be numbered: 2^32.
    #[error("librsync signature has too many blocks")]
    TooManyBlocks,
    /// Not a delta at all.
    #[error("not a librsync delta (magic {magic:#010x})")]
    NotADelta {
        /// Its first four bytes.
        magic: u32,
    },
    /// A command that does not exist.
    #[error("unknown command {command:#04x} in a librsync delta")]
    BadCommand {
        /// Its first byte.
        command: u8,
    },
    /// The delta ends before its end mark.
    #[error("librsync delta is truncated")]
    TruncatedDelta,
    /// Bytes after the end mark.
    #[error("librsync delta goes on after its end mark")]
    TrailingBytes,
    /// A copy from beyond the end of the basis: the delta belongs to another file.
    #[error("librsync delta copies {length} bytes from {offset} of a basis of {basis}")]
    CopyOutside {
        /// Where the copy starts.
        offset: u64,
        /// Its length.
        length: u64,
        /// Length of the basis.
        basis: u64,
    },
    /// The result would be longer than allowed.
    #[error("librsync delta makes more than {limit} bytes")]
    TooLong {
        /// Most bytes allowed.
        limit: u64,
    },
    /// The basis cannot be read.
    #[error("cannot read the basis: {0}")]
    Basis(#[source] io::Error),
    /// The delta cannot be read.
    #[error("cannot read the delta: {0}")]
    Delta(#[source] io::Error),
    /// The result cannot be written.
    #[error("cannot write the result: {0}")]
    Output(#[source] io::Error),
}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        match error {
            Error::Basis(e) => EngineError::from(e).within("cannot read the basis"),
            Error::Delta(e) => EngineError::from(e).within("cannot read the delta"),
            Error::Output(e) => EngineError::from(e).within("cannot write the result"),
            Error::UnsupportedSignature { .. } => {
                EngineError::new(ErrorKind::Unsupported, error.to_string())
            }
            error => EngineError::new(ErrorKind::Corrupt, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
