//! Difftars: the tar members that hold what is new, changed and gone, in the order of paths.
//!
//! Member names are `snapshot/PATH`, `diff/PATH`, `deleted/PATH`, and `multivol_snapshot/PATH/N`,
//! `multivol_diff/PATH/N` for files of more than one block. A volume is a run of whole members. See docs/format.md,
//! "Difftar".

use super::tar::{self, TAR_BLOCK_BYTES, TAR_RECORD_BYTES, TarReader, append_padding};
use super::{BLOCK_BYTES, DiffKind, member};
use crate::engine::entry::{Entry, Kind, Metadata};
use crate::engine::path::PathIndex;
use std::io::{self, Read};

pub use super::member::{Error, Refusal};

/// One member of a difftar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// How it stores the entry.
    pub diff: DiffKind,
    /// The entry.
    pub path: PathIndex,
    /// Number of the block if the file has several, from 1; readers go by the order, not by the number.
    pub block: Option<u32>,
    /// What the entry is. Of a deleted one only the path is known.
    pub kind: Kind,
    /// Its attributes; the same in every block of a file.
    pub meta: Metadata,
    /// Bytes of data in this member.
    pub size: u64,
}

fn single_word(diff: DiffKind) -> &'static str {
    match diff {
        DiffKind::Snapshot => "snapshot",
        DiffKind::Diff => "diff",
        DiffKind::Deleted => "deleted",
    }
}

/// Appends a file, or the delta of one, whose data is shorter than a block.
pub fn append_single(out: &mut Vec<u8>, diff: DiffKind, entry: &Entry, data: &[u8]) {
    let name = member::name(single_word(diff), &entry.path, "");
    append_data(out, &name, entry, data);
}

/// Appends block `number`, from 1, of a file or of its delta.
///
/// All blocks but the last hold [`BLOCK_BYTES`](super::BLOCK_BYTES); the last holds the rest and may be empty.
pub fn append_block(out: &mut Vec<u8>, diff: DiffKind, entry: &Entry, number: u32, data: &[u8]) {
    let word = match diff {
        DiffKind::Diff => "multivol_diff",
        _ => "multivol_snapshot",
    };
    let mut name = member::name(word, &entry.path, ".");
    name.extend_from_slice(format!("/{number}").as_bytes());
    append_data(out, &name, entry, data);
}

fn append_data(out: &mut Vec<u8>, name: &[u8], entry: &Entry, data: &[u8]) {
    let size = data.len() as u64;
    tar::write_header(out, name, &Kind::File, &member::stored(&entry.meta), size);
    out.extend_from_slice(data);
    append_padding(out, size);
}

/// Appends an entry that is no file.
pub fn append_entry(out: &mut Vec<u8>, entry: &Entry) {
    // COMPAT(dup all): only a directory at the root is spelled with a dot.
    let root = if entry.kind.is_dir() { "./" } else { "" };
    let name = member::name("snapshot", &entry.path, root);
    tar::write_header(out, &name, &entry.kind, &member::stored(&entry.meta), 0);
}

/// Appends the mark that a path is gone.
pub fn append_deleted(out: &mut Vec<u8>, path: &PathIndex) {
    let name = member::name("deleted", path, "");
    tar::write_header(out, &name, &Kind::File, &Metadata::default(), 0);
}

/// How many zeros end a volume after `bytes_written` bytes of members: 1 to 10 240, up to a full record.
///
/// That may be a single zero block. The bytes of a resumed run are counted from the start of the run.
pub fn end_padding(bytes_written: u64) -> usize {
    TAR_RECORD_BYTES - (bytes_written % TAR_RECORD_BYTES as u64) as usize
}

/// Most headers that are looked at to find where members begin.
const TRIED_HEADERS: usize = 4096;

/// Where in `piece`, which was taken from the middle of a volume at a multiple of [`TAR_BLOCK_BYTES`](tar::TAR_BLOCK_BYTES),
/// a member begins after which members follow each other to the end; and the path of the last of them.
///
/// It is a guess. Content of files may look like members, but not beyond the block it is stored in: pieces should be longer
/// than four blocks, and where none begins in the first half, none does.
pub fn find_members(piece: &[u8]) -> Option<(usize, PathIndex)> {
    // Members that end with the piece are told from the end of the volume by what is cut off behind them.
    let piece = piece.get(..piece.len().checked_sub(1)? / TAR_BLOCK_BYTES * TAR_BLOCK_BYTES + 1)?;
    let mut tried = 0;
    (0..piece.len() / 2)
        .step_by(TAR_BLOCK_BYTES)
        .filter(|at| tar::may_begin(piece.get(*at..).unwrap_or_default()))
        .take(TRIED_HEADERS)
        .find_map(|at| Some((at, last_of_chain(piece.get(at..)?, &mut tried)?)))
}

/// The path of the last member if nothing but members comes until `piece` breaks off.
fn last_of_chain(piece: &[u8], tried: &mut usize) -> Option<PathIndex> {
    let mut reader = DifftarReader::new(piece);
    let mut last = None;
    while *tried < TRIED_HEADERS {
        *tried += 1;
        match reader.next_member() {
            Ok(Some(member)) if member.size <= BLOCK_BYTES as u64 => last = Some(member.path),
            Err(Error::Tar(tar::Error::Truncated { .. })) => return last,
            _ => return None,
        }
    }
    None
}

/// Reads the members of one volume. As [`Read`] it yields the data of the current member.
pub struct DifftarReader<R> {
    tar: TarReader<R>,
}

impl<R: Read> DifftarReader<R> {
    /// Starts at the first member.
    pub fn new(input: R) -> Self {
        Self {
            tar: TarReader::new(input),
        }
    }

    /// The next member, after what is left of the current one; `None` at the end of the volume.
    ///
    /// # Errors
    /// After [`Error::Refused`] the next call goes on with the member that follows; any other error is final.
    pub fn next_member(&mut self) -> Result<Option<Member>, Error> {
        let Some(header) = self.tar.next_header()? else {
            // What guards the input, a checksum or a signature, stands at its very end.
            self.tar.drain().map_err(tar::Error::from)?;
            return Ok(None);
        };
        let refused = |reason| Error::Refused {
            name: header.name.clone(),
            reason,
        };
        let (word, rest) = member::split_word(&header.name);
        let (diff, blocks) = match word {
            b"snapshot" => (DiffKind::Snapshot, false),
            b"diff" => (DiffKind::Diff, false),
            b"deleted" => (DiffKind::Deleted, false),
            b"multivol_snapshot" => (DiffKind::Snapshot, true),
            b"multivol_diff" => (DiffKind::Diff, true),
            _ => return Err(refused(Refusal::UnknownWord)),
        };
        let (rest, block) = if blocks {
            let (rest, block) = split_block(rest).ok_or_else(|| refused(Refusal::BadBlock))?;
            (rest, Some(block))
        } else {
            (rest, None)
        };
        let path = member::path(rest).map_err(|reason| refused(reason.into()))?;
        if (blocks || diff == DiffKind::Diff) && !header.kind.is_file() {
            return Err(refused(Refusal::NotAFile));
        }
        let (kind, meta) = (header.kind.clone(), header.meta.clone());
        Ok(Some(Member {
            diff,
            path,
            block,
            kind,
            meta,
            size: header.size,
        }))
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

/// Data of the current member. Ends early only with an error.
impl<R: Read> Read for DifftarReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.tar.read(out)
    }
}

/// Takes the block number off `path/number`.
fn split_block(rest: &[u8]) -> Option<(&[u8], u32)> {
    let (path, digits) = match rest.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&rest[..slash], &rest[slash + 1..]),
        None => (&rest[..0], rest),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number > 0).then_some((path, number))
}

#[cfg(test)]
mod tests;
