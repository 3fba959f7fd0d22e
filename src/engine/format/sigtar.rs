//! Sigtars: what a set knows of every entry it holds, with the librsync signature of each file.
//!
//! Member names are `signature/PATH`, `snapshot/PATH` for all but files, and `deleted/PATH`. A sigtar is never cut
//! into volumes, and the sigtars of a chain, laid over each other, tell the state at any of its sets. See
//! docs/format.md, "Sigtar".

use super::member;
use super::tar::{self, TAR_BLOCK_BYTES, TAR_RECORD_BYTES, TarReader, append_padding};
use crate::engine::entry::{Entry, Kind, Metadata};
use crate::engine::path::PathIndex;
use std::io::{self, Read};

pub use super::member::{Error, Refusal};

/// Longest signature that is read: it has to be held in memory for a delta.
///
/// Enough for a file of 700 GB under the smallest cap on blocks duplicity ever set (2048 bytes), and for any file
/// without one.
pub const SIGNATURE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// One entry of a sigtar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigEntry {
    /// Where it lies.
    pub path: PathIndex,
    /// What was there when the set was made.
    pub state: SigState,
}

/// What was at a path when a set was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigState {
    /// A regular file.
    File {
        /// Its attributes.
        meta: Metadata,
        /// Its librsync signature; empty if the reader skips them.
        signature: Vec<u8>,
    },
    /// Something else.
    Other {
        /// What.
        kind: Kind,
        /// Its attributes.
        meta: Metadata,
    },
    /// Nothing any more.
    Deleted,
}

/// Appends a regular file.
pub fn append_signature(out: &mut Vec<u8>, entry: &Entry, signature: &[u8]) {
    let name = member::name("signature", &entry.path, "");
    let size = signature.len() as u64;
    tar::write_header(out, &name, &Kind::File, &member::stored(&entry.meta), size);
    out.extend_from_slice(signature);
    append_padding(out, size);
}

/// Appends an entry that is no file.
pub fn append_snapshot(out: &mut Vec<u8>, entry: &Entry) {
    let name = member::name("snapshot", &entry.path, "");
    tar::write_header(out, &name, &entry.kind, &member::stored(&entry.meta), 0);
}

/// Appends the mark that a path is gone.
pub fn append_deleted(out: &mut Vec<u8>, path: &PathIndex) {
    let name = member::name("deleted", path, "");
    tar::write_header(out, &name, &Kind::File, &Metadata::default(), 0);
}

/// How many zeros end a sigtar after `total` bytes: two blocks, then up to a full record.
pub fn end_padding(total: u64) -> usize {
    let end = 2 * TAR_BLOCK_BYTES;
    let used = ((total + end as u64) % TAR_RECORD_BYTES as u64) as usize;
    end + (TAR_RECORD_BYTES - used) % TAR_RECORD_BYTES
}

/// Reads the entries of one sigtar. As an iterator it ends after an error that is not a refusal.
pub struct SigtarReader<R> {
    tar: TarReader<R>,
    skip_signatures: bool,
    failed: bool,
}

impl<R: Read> SigtarReader<R> {
    /// Starts at the first entry.
    pub fn new(input: R) -> Self {
        Self {
            tar: TarReader::new(input),
            skip_signatures: false,
            failed: false,
        }
    }

    /// Leaves every [`SigState::File`] without its signature, which saves copying them where only names and
    /// attributes count.
    pub fn skip_signatures(mut self) -> Self {
        self.skip_signatures = true;
        self
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// After [`Error::Refused`] the next call goes on with the member that follows; any other error is final.
    pub fn next_entry(&mut self) -> Result<Option<SigEntry>, Error> {
        match self.tar.next_header()? {
            Some(_) => self.entry().map(Some),
            None => Ok(None),
        }
    }

    /// The path of the next entry as it stands there, not proven to be one; `None` at the end. What else there is to the
    /// entry is passed over, unless [`entry`](Self::entry) asks for it.
    ///
    /// # Errors
    /// All are final.
    pub fn next_path(&mut self) -> Result<Option<&[u8]>, Error> {
        let header = self.tar.next_header()?;
        Ok(header.map(|header| {
            let (_, path) = member::split_word(&header.name);
            match path.strip_suffix(b"/").unwrap_or(path) {
                b"." => b"",
                path => path,
            }
        }))
    }

    /// The entry whose path was read last.
    ///
    /// # Errors
    /// As [`next_entry`](Self::next_entry).
    pub fn entry(&mut self) -> Result<SigEntry, Error> {
        let header = self.tar.header();
        let refused = |reason| Error::Refused {
            name: header.name.clone(),
            reason,
        };
        let (word, rest) = member::split_word(&header.name);
        let path = member::path(rest).map_err(|reason| refused(reason.into()))?;
        let state = match word {
            b"signature" if !header.kind.is_file() => return Err(refused(Refusal::NotAFile)),
            b"signature" if header.size > SIGNATURE_BYTES_MAX => {
                return Err(refused(Refusal::TooLong));
            }
            b"signature" => {
                let (meta, size) = (header.meta.clone(), header.size);
                let mut signature = Vec::new();
                if !self.skip_signatures {
                    // Grows with what is really there: the announced size may be a lie.
                    signature.reserve_exact(size.min(1024 * 1024) as usize);
                    self.tar
                        .read_to_end(&mut signature)
                        .map_err(tar::Error::Io)?;
                }
                SigState::File { meta, signature }
            }
            b"snapshot" => SigState::Other {
                kind: header.kind.clone(),
                meta: header.meta.clone(),
            },
            b"deleted" => SigState::Deleted,
            _ => return Err(refused(Refusal::UnknownWord)),
        };
        Ok(SigEntry { path, state })
    }

    /// Reads the input to its end, past the end of the tar, so that what guards it gets checked. Returns the number
    /// of bytes.
    ///
    /// # Errors
    /// Whatever the input reports.
    pub fn drain(&mut self) -> io::Result<u64> {
        self.tar.drain()
    }
}

impl<R: Read> Iterator for SigtarReader<R> {
    type Item = Result<SigEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let result = self.next_entry();
        self.failed = result.as_ref().is_err_and(|e| !e.is_refusal());
        result.transpose()
    }
}

#[cfg(test)]
mod tests;
