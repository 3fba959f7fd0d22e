//! The tar dialect of difftars and sigtars.
//!
//! Written as Python's `tarfile` does in its PAX format, byte for byte; read in PAX, GNU, ustar and v7 form. What
//! could be taken in two ways (a directory with data, two long names for one member, sparse files) is an error, so
//! that no other program can see other content in a file than dupr does. See docs/format.md, "Tar dialect".

mod input;
mod pax;
mod read;
mod write;

pub use read::{TarReader, may_begin};
pub use write::{append_padding, write_header};

use crate::engine::entry::{Kind, Metadata};
use crate::engine::error::{Error as EngineError, ErrorKind};
use std::io;

/// Unit of a tar file: headers have this size, data is padded to it.
pub const TAR_BLOCK_BYTES: usize = 512;

/// A tar file ends on a multiple of this.
// COMPAT(dup all): tarfile.RECORDSIZE
pub const TAR_RECORD_BYTES: usize = 10_240;

/// Longest extension record (PAX header, long name) that is read. Linux paths have at most 4 KiB.
pub const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;

/// A member as its headers tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarHeader {
    /// Raw name; directories mostly end in `/`.
    pub name: Vec<u8>,
    /// What it is; with the raw text of a symbolic link.
    pub kind: Kind,
    /// Its attributes.
    pub meta: Metadata,
    /// Bytes of data that follow; 0 for all but files.
    pub size: u64,
}

impl Default for TarHeader {
    fn default() -> Self {
        Self {
            name: Vec::new(),
            kind: Kind::File,
            meta: Metadata::default(),
            size: 0,
        }
    }
}

/// Why bytes are not a tar file of this format.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file ends inside a member.
    #[error("tar ends inside a member, after {offset} bytes")]
    Truncated {
        /// Bytes read.
        offset: u64,
    },
    /// The checksum of a header does not fit.
    #[error("wrong checksum in the tar header at {offset}")]
    Checksum {
        /// Where the header starts.
        offset: u64,
    },
    /// A number that cannot be read or is out of range.
    #[error("bad {field} in the tar header at {offset}")]
    Number {
        /// Which field.
        field: &'static str,
        /// Where the header starts.
        offset: u64,
    },
    /// A malformed, oversized, repeated or contradictory extension header.
    #[error("bad extension in the tar header at {offset}: {reason}")]
    Extension {
        /// What is wrong.
        reason: &'static str,
        /// Where the header starts.
        offset: u64,
    },
    /// A type of member that duplicity never writes, such as a hard link.
    #[error("unsupported type {:?} in the tar header at {offset}", char::from(*.typeflag))]
    Type {
        /// The byte that tells the type.
        typeflag: u8,
        /// Where the header starts.
        offset: u64,
    },
    /// Data announced for something that is no file.
    #[error("data for a member that is no file in the tar header at {offset}")]
    UnexpectedData {
        /// Where the header starts.
        offset: u64,
    },
}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error.into(),
            error => EngineError::new(ErrorKind::Corrupt, error.to_string()),
        }
    }
}

/// Lets an error in the data of a member travel through `Read`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            error => EngineError::from(error).into(),
        }
    }
}

/// Bytes from `size` to the next block.
pub fn padding(size: u64) -> usize {
    (size.wrapping_neg() % TAR_BLOCK_BYTES as u64) as usize
}

#[cfg(test)]
mod tests;
