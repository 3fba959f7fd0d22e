//! Takes a path out of the middle of a large volume, without inflating what comes before it.
//!
//! Members are in the order of their paths, and a volume can be read from any of its restart points on; so the one to begin
//! at is found by halving, as a word in a dictionary. All of that is guessed: what looks like a restart point or like a
//! member may be the content of a file, such as a volume somebody backed up. So nothing is given out before it is proven: each
//! entry that the sigtar of the set has of the path must come, in that order and no other, with the same attributes and with
//! content that has the same signature. On any doubt there is nothing, and the volume is read from its beginning.
//! docs/decisions.md 55 and 64.

use super::needed::Input;
use crate::engine::ahead::fill;
use crate::engine::delta::{SignatureBuilder, SignatureIndex, signed_bytes};
use crate::engine::entry::{Entry, Metadata};
use crate::engine::format::difftar::{
    DifftarReader, Member, append_block, append_deleted, append_entry, append_single, find_members,
};
use crate::engine::format::sigtar::{SigEntry, SigState, SigtarReader};
use crate::engine::format::{BLOCK_BYTES, DiffKind};
use crate::engine::path::PathIndex;
use crate::engine::seal::Middle;
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;
use tempfile::SpooledTempFile;

/// Most content that is taken out: it is written twice, and hashed once more.
const MOST_BYTES: u64 = 32 << 20;

/// Most entries that are taken out.
const MOST_ENTRIES: usize = 4096;

/// How much may be read before what is wanted, and of headers in it.
const REACH_BYTES: u64 = 32 << 20;

/// Halving ends when there is so little of the sealed file between the ends.
const NEAR_BYTES: u64 = 128 * 1024;

/// How much is looked at to see which members are there.
const PIECE_BYTES: usize = 4 * BLOCK_BYTES;

/// How many places that turn out to be no restart points are passed over at a time.
const TRIES: usize = 4;

/// Bytes kept in memory; more goes to an unlinked file.
const MEMORY_BYTES: usize = 4 << 20;

/// What a sigtar has at and below a path; `None` if it is nothing, or too much to be taken out.
pub(super) fn signed_within(
    sigtar: SigtarReader<impl Read>,
    wanted: &PathIndex,
) -> Option<Vec<SigEntry>> {
    let mut signed = Vec::new();
    let mut bytes = 0;
    for entry in sigtar {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) if e.is_refusal() => continue,
            Err(_) => return None,
        };
        if entry.path.is_within(wanted) {
            bytes += length_of(&entry);
            signed.push(entry);
        } else if entry.path > *wanted {
            break;
        }
        if bytes > MOST_BYTES || signed.len() > MOST_ENTRIES {
            return None;
        }
    }
    (!signed.is_empty()).then_some(signed)
}

fn length_of(entry: &SigEntry) -> u64 {
    match &entry.state {
        SigState::File { signature, .. } => signed_bytes(signature),
        _ => 0,
    }
}

/// The members at and below `wanted`, as a volume of their own, if they are what is `signed`.
pub(super) fn take_out(
    middle: &Middle,
    wanted: &PathIndex,
    signed: impl FnOnce() -> Option<Vec<SigEntry>>,
    spool_dir: &Path,
) -> Option<Input> {
    let sight = sight_before(middle, wanted)?;
    let signed = signed()?;
    let bytes: u64 = signed.iter().map(length_of).sum();
    let input = Cursor::new(sight.piece).chain(sight.content);
    let mut found = Found {
        reader: DifftarReader::new(input.take(bytes + REACH_BYTES)),
        out: tempfile::spooled_tempfile_in(MEMORY_BYTES, spool_dir),
    };
    let mut member = found.next()?;
    while !member.path.is_within(wanted) {
        if member.path > *wanted {
            return None;
        }
        member = found.next()?;
    }
    for entry in &signed {
        member = found.take(member, entry)?;
    }
    let is_behind = member.path > *wanted && !member.path.is_within(wanted);
    let mut out = found.out;
    out.rewind().ok()?;
    is_behind.then(|| Box::new(out) as Input)
}

/// What is to be seen behind a place in a volume.
struct Sight {
    place: u64,
    /// Content from the beginning of a member on, and what follows it.
    piece: Vec<u8>,
    content: Box<dyn Read>,
    /// Path of the last member in the piece.
    last: PathIndex,
}

/// The last place of which it can be seen that it is before `wanted`.
fn sight_before(middle: &Middle, wanted: &PathIndex) -> Option<Sight> {
    let (mut low, mut high) = (0, middle.bytes().ok()?);
    let mut before = None;
    while high - low > NEAR_BYTES {
        let half = low + (high - low) / 2;
        match look(middle, half, high) {
            Some(sight) if sight.last < *wanted => {
                low = sight.place;
                before = Some(sight);
            }
            _ => high = half,
        }
    }
    before
}

/// What is to be seen behind the first useful place from `from` to `to`.
fn look(middle: &Middle, mut from: u64, to: u64) -> Option<Sight> {
    for _ in 0..TRIES {
        let (place, mut content) = middle.content(from)?;
        if place >= to {
            return None;
        }
        let mut piece = vec![0; PIECE_BYTES];
        let (filled, _) = fill(&mut content, &mut piece);
        piece.truncate(filled);
        if let Some((start, last)) = find_members(&piece) {
            piece.drain(..start);
            return Some(Sight {
                place,
                piece,
                content,
                last,
            });
        }
        from = place + 1;
    }
    None
}

/// Members that may be the right ones, and those that are.
struct Found<R> {
    reader: DifftarReader<R>,
    out: SpooledTempFile,
}

impl<R: Read> Found<R> {
    fn next(&mut self) -> Option<Member> {
        self.reader.next_member().ok()?
    }

    /// Takes the entry that begins with `member` if it is what is `signed`. Returns the member behind it.
    fn take(&mut self, member: Member, signed: &SigEntry) -> Option<Member> {
        if member.path != signed.path {
            return None;
        }
        let mut record = Vec::new();
        match (&signed.state, member.diff) {
            (SigState::Deleted, DiffKind::Deleted) => append_deleted(&mut record, &member.path),
            (SigState::Other { kind, meta }, DiffKind::Snapshot)
                if *kind == member.kind && *meta == member.meta =>
            {
                append_entry(&mut record, &entry(&member));
            }
            (SigState::File { meta, signature }, DiffKind::Snapshot)
                if member.kind.is_file() && is_signed_so(&member.meta, meta) =>
            {
                return self.take_file(member, signature);
            }
            // What a delta makes is not to be seen here.
            _ => return None,
        }
        self.out.write_all(&record).ok()?;
        self.next()
    }

    fn take_file(&mut self, mut member: Member, signature: &[u8]) -> Option<Member> {
        let (block_len, _) = SignatureIndex::layout(signature).ok()?;
        let mut builder = SignatureBuilder::new(block_len);
        let entry = entry(&member);
        let mut data = Vec::with_capacity(BLOCK_BYTES);
        let mut record = Vec::new();
        let mut number = member.block;
        if number.is_some_and(|number| number != 1) {
            return None;
        }
        loop {
            if member.size > BLOCK_BYTES as u64 {
                return None;
            }
            data.clear();
            self.reader.read_to_end(&mut data).ok()?;
            builder.push(&data);
            record.clear();
            match number {
                None => append_single(&mut record, member.diff, &entry, &data),
                Some(number) => append_block(&mut record, member.diff, &entry, number, &data),
            }
            self.out.write_all(&record).ok()?;
            let next = self.next()?;
            let is_last = number.is_none() || data.len() < BLOCK_BYTES;
            if is_last {
                return (builder.finish() == signature).then_some(next);
            }
            number = number.and_then(|number| number.checked_add(1));
            let goes_on = next.path == entry.path
                && next.diff == member.diff
                && next.meta == entry.meta
                && next.block == number;
            if !goes_on {
                return None;
            }
            member = next;
        }
    }
}

/// A file that had just been changed has a time one second earlier in its sigtar.
fn is_signed_so(meta: &Metadata, signed: &Metadata) -> bool {
    let earlier = Metadata {
        mtime: meta.mtime.saturating_sub(1),
        ..meta.clone()
    };
    *signed == *meta || *signed == earlier
}

fn entry(member: &Member) -> Entry {
    Entry {
        path: member.path.clone(),
        kind: member.kind.clone(),
        meta: member.meta.clone(),
        size: member.size,
    }
}

#[cfg(test)]
mod tests;
