//! Signatures, deltas and patches of directories, without sets and targets: one sigtar or difftar in one stream.

use crate::engine::context::Context;
use crate::engine::delta::{DeltaReader, SignatureBuilder, SignatureIndex, block_len, patch};
use crate::engine::entry::{Entry, FileStamp};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::difftar::{self, DifftarReader, Member};
use crate::engine::format::sigtar::{self, SigtarReader};
use crate::engine::format::{BLOCK_BYTES, DiffKind};
use crate::engine::monitor::{EntryChange, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::stream::WalkItem;
use crate::engine::stream::change::{Action, changes};
use crate::engine::stream::overlay::Overlay;
use crate::engine::tree::{Existing, Local, Source, TreeWriter, Walk, WriteOptions, problem_kind};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Most bytes a patched file may have: a delta that was made to fill a disk is cut there.
const PATCHED_LIMIT: u64 = 1 << 50;

/// A stream that is open for writing, or none.
type MaybeOut<'a> = Option<&'a mut dyn Write>;

/// A tar being written: what goes into it, and how long it is.
struct Tar<'a> {
    out: MaybeOut<'a>,
    bytes: u64,
    member: Vec<u8>,
}

impl<'a> Tar<'a> {
    fn new(out: MaybeOut<'a>) -> Self {
        Self {
            out,
            bytes: 0,
            member: Vec::new(),
        }
    }

    /// Writes the member that was put together.
    fn end_member(&mut self) -> Result<()> {
        if let Some(out) = &mut self.out {
            out.write_all(&self.member)?;
        }
        self.bytes += self.member.len() as u64;
        self.member.clear();
        Ok(())
    }

    /// Writes a file, or the delta of one, in blocks if it is long.
    fn data(&mut self, diff: DiffKind, entry: &Entry, mut data: impl Read) -> Result<()> {
        let mut number = 0;
        loop {
            let mut block = Vec::with_capacity(BLOCK_BYTES);
            data.by_ref()
                .take(BLOCK_BYTES as u64)
                .read_to_end(&mut block)?;
            let last = block.len() < BLOCK_BYTES;
            if last && number == 0 {
                difftar::append_single(&mut self.member, diff, entry, &block);
            } else {
                number += 1;
                difftar::append_block(&mut self.member, diff, entry, number, &block);
            }
            self.end_member()?;
            if last {
                return Ok(());
            }
        }
    }

    fn end(mut self) -> Result<()> {
        // Both kinds of tar end in the same padding.
        self.member = vec![0; difftar::end_padding(self.bytes)];
        self.end_member()?;
        self.out.map_or(Ok(()), |out| Ok(out.flush()?))
    }
}

/// A file that is signed while it is read.
struct Signed<R> {
    input: R,
    signature: SignatureBuilder,
}

impl<R: Read> Read for Signed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.signature.push(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

/// Writes the signatures of a tree.
///
/// # Errors
/// The tree cannot be walked, or `out` not be written. Trouble with an entry is a problem for the monitor.
pub fn signatures(source: &Source, out: &mut dyn Write, cx: &Context) -> Result<()> {
    delta(source, Vec::new(), None, Some(out), cx)
}

/// Writes what changed since the `known` signatures, oldest first; everything without any. The signatures of what
/// changed go to `signed`.
///
/// # Errors
/// As [`signatures`], and `Corrupt` for signatures that cannot be read.
pub fn delta(
    source: &Source,
    known: Vec<Box<dyn Read + Send>>,
    out: MaybeOut<'_>,
    signed: MaybeOut<'_>,
    cx: &Context,
) -> Result<()> {
    let (mut tar, mut sigtar) = (Tar::new(out), Tar::new(signed));
    let layers = known
        .into_iter()
        .map(|sigtar| SigtarReader::new(sigtar).map(|e| e.map_err(Error::from)));
    let walk = Walk::new(source, cx)?.filter(|item| !matches!(item, Ok(WalkItem::Hole(_))));
    for change in changes(walk, Overlay::new(layers), &**source.owners()) {
        cx.cancel.check()?;
        let change = change?;
        let told = match change.action {
            Action::Deleted { .. } => {
                difftar::append_deleted(&mut tar.member, &change.path);
                sigtar::append_deleted(&mut sigtar.member, &change.path);
                tar.end_member()?;
                sigtar.end_member()?;
                EntryChange::Deleted
            }
            Action::Snapshot { entry, stamp } if entry.kind.is_file() => {
                if !file(source, &entry, &stamp, None, &mut tar, &mut sigtar, cx)? {
                    continue;
                }
                EntryChange::Added
            }
            Action::Snapshot { entry, .. } => {
                difftar::append_entry(&mut tar.member, &entry);
                sigtar::append_snapshot(&mut sigtar.member, &entry);
                tar.end_member()?;
                sigtar.end_member()?;
                EntryChange::Added
            }
            Action::Diff {
                entry,
                stamp,
                signature,
            } => {
                let index = SignatureIndex::parse(&signature)
                    .map_err(|e| Error::from(e).within(format!("signature of {}", entry.path)))?;
                let basis = Some(Arc::new(index));
                if !file(source, &entry, &stamp, basis, &mut tar, &mut sigtar, cx)? {
                    continue;
                }
                EntryChange::Modified
            }
        };
        cx.monitor.entry(&change.path, Some(told));
    }
    tar.end()?;
    sigtar.end()
}

/// Writes one file, whole or as a delta, and its signature; `false` if it cannot be opened, which the monitor is told.
fn file(
    source: &Source,
    entry: &Entry,
    stamp: &FileStamp,
    basis: Option<Arc<SignatureIndex>>,
    tar: &mut Tar<'_>,
    sigtar: &mut Tar<'_>,
    cx: &Context,
) -> Result<bool> {
    let input = match source.open(&entry.path, stamp) {
        Ok(input) => input,
        Err(e) => {
            let kind = problem_kind(&e);
            cx.monitor.problem(Problem::new(kind, &entry.path, e));
            return Ok(false);
        }
    };
    let mut input = Signed {
        // What grows while it is read is cut where it ended.
        input: input.take(entry.size),
        signature: SignatureBuilder::new(block_len(entry.size, None)),
    };
    match (&tar.out, basis) {
        (None, _) => {
            io::copy(&mut input, &mut io::sink())?;
        }
        (Some(_), None) => tar.data(DiffKind::Snapshot, entry, &mut input)?,
        (Some(_), Some(index)) => {
            tar.data(DiffKind::Diff, entry, DeltaReader::new(index, &mut input))?;
        }
    }
    sigtar::append_signature(&mut sigtar.member, entry, &input.signature.finish());
    sigtar.end_member()?;
    Ok(true)
}

/// The data of one file, over all its blocks.
struct Blocks<'r, R> {
    reader: &'r mut DifftarReader<R>,
    path: &'r PathIndex,
    /// The member that came after the last block.
    ahead: Option<Member>,
    /// Whether there may be further blocks.
    more: bool,
    ended: bool,
}

impl<R: Read> Read for Blocks<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // The reader is at the data of another file by now.
            if self.ended {
                return Ok(0);
            }
            let n = self.reader.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            if !self.more {
                self.ended = true;
                return Ok(0);
            }
            match self.reader.next_member().map_err(Error::from)? {
                Some(next) if next.block.is_some() && next.path == *self.path => {}
                next => {
                    self.ahead = next;
                    self.ended = true;
                }
            }
        }
    }
}

/// Brings the tree at `destination` to the state after the delta.
///
/// # Errors
/// `Corrupt` for a delta that cannot be read or does not fit the tree. What was changed by then stays changed; each
/// file has its old or its new content.
pub fn apply(destination: &Path, delta: impl Read, cx: &Context) -> Result<()> {
    let local = Local::open(destination)?;
    let options = WriteOptions {
        existing: Existing::Merge,
        ..WriteOptions::default()
    };
    let mut writer = TreeWriter::create(destination, options, cx)?;
    let mut reader = DifftarReader::new(delta);
    let mut ahead = reader.next_member().map_err(Error::from)?;
    while let Some(member) = ahead.take() {
        cx.cancel.check()?;
        if member.diff == DiffKind::Deleted {
            if let Err(e) = local.remove(&member.path) {
                cx.monitor
                    .problem(Problem::new(ProblemKind::Unwritable, &member.path, e));
            }
            ahead = reader.next_member().map_err(Error::from)?;
            continue;
        }
        let entry = Entry {
            path: member.path,
            kind: member.kind,
            meta: member.meta,
            size: 0,
        };
        if !matches!(entry.kind, crate::engine::entry::Kind::Dir) && local.is_dir(&entry.path) {
            local.remove(&entry.path).map_err(|e| {
                Error::from(e).within(format!("cannot make room for {}", entry.path))
            })?;
        }
        if !entry.kind.is_file() {
            writer.other(&entry)?;
            ahead = reader.next_member().map_err(Error::from)?;
            continue;
        }
        let mut blocks = Blocks {
            more: member.block.is_some(),
            reader: &mut reader,
            path: &entry.path,
            ahead: None,
            ended: false,
        };
        let basis = match member.diff {
            DiffKind::Diff => Some(local.file(&entry.path).map_err(|e| {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("the delta does not fit: {}: {e}", entry.path),
                )
            })?),
            _ => None,
        };
        if let Some(mut sink) = writer.file(&entry)? {
            match basis {
                None => {
                    io::copy(&mut blocks, &mut sink)?;
                }
                Some(mut basis) => {
                    patch(&mut basis, &mut blocks, &mut sink, PATCHED_LIMIT).map_err(|e| {
                        Error::from(e).within(format!("cannot patch {}", entry.path))
                    })?;
                }
            }
            sink.finish()?;
        }
        // Whatever was not read of it.
        io::copy(&mut blocks, &mut io::sink())?;
        let (more, next) = (blocks.more, blocks.ahead.take());
        ahead = if more {
            next
        } else {
            reader.next_member().map_err(Error::from)?
        };
    }
    writer.finish()
}
