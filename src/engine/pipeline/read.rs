//! Reads changed files ahead of the packer: content or delta, and the signature, from one pass over the bytes.
//!
//! *A signature always describes what is stored*, even if the file changes meanwhile.

use super::signing::Signing;
use super::{closed, read_dump};
use crate::engine::context::Context;
use crate::engine::delta::{DeltaReader, SignatureBuilder, SignatureIndex, block_len};
use crate::engine::entry::{Entry, FileStamp};
use crate::engine::error::{Error, Result};
use crate::engine::format::{BLOCK_BYTES, DiffKind};
use crate::engine::monitor::{Counter, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::stream::change::{Action, Change};
use crate::engine::tree::{Source, problem_kind, stamp_of};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::Read;
use std::sync::Arc;

/// Files up to this many bytes are read whole and travel in batches; larger ones are streamed.
const SMALL_BYTES: u64 = 512 * 1024;
/// A batch is closed when its files reach this many bytes together, or this many entries.
const BATCH_BYTES: u64 = 512 * 1024;
const BATCH_ENTRIES: usize = 64;
/// Blocks of one stream waiting for the packer.
const STREAM_BLOCKS: usize = 16;

/// How files are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadOptions {
    /// Largest block of a signature, bytes.
    pub max_block: Option<u64>,
    /// A file that an interrupted run left in the middle: it is streamed whatever its size.
    pub cut: Option<PathIndex>,
}

/// Work for a reader.
pub(super) enum Job {
    Batch(Vec<Change>, Sender<Vec<Loaded>>),
    Stream(Change, Sender<Piece>),
}

/// The same work as the packer sees it, in order.
pub(super) enum Item {
    Batch(Receiver<Vec<Loaded>>),
    Stream(Receiver<Piece>),
}

/// A change with everything the packer needs.
pub(super) enum Loaded {
    /// Not a file, or gone: nothing was read.
    Entry(Change),
    /// A file, read whole.
    File {
        head: FileHead,
        data: Vec<u8>,
        tail: FileTail,
    },
    /// Could not be read; the problem was told.
    Nothing,
}

/// Part of a streamed file.
pub(super) enum Piece {
    Head(FileHead),
    /// Exactly [`BLOCK_BYTES`], except for the last one, which is shorter and may be empty.
    Block(Vec<u8>),
    Tail(FileTail),
    /// What came so far is not the whole, and must not be stored: why.
    Broken(String),
}

/// A file about to be packed.
pub(super) struct FileHead {
    pub entry: Entry,
    pub stamp: FileStamp,
    pub diff: DiffKind,
    pub replaces: bool,
    /// It is no file of the source: its length is known at its end only.
    pub is_dump: bool,
}

/// What is known once a file was read to its end.
pub(super) struct FileTail {
    pub signature: Vec<u8>,
    pub read_bytes: u64,
    /// It changed while it was read: the next run must look at it again.
    pub unsettled: bool,
}

/// The packer gave up: there is nobody to read for.
pub(super) struct Gone;

/// Cuts the stream of changes into jobs.
pub(super) fn feed(
    changes: impl Iterator<Item = Result<Change>>,
    source: &Source,
    options: &ReadOptions,
    jobs: &Sender<Job>,
    order: &Sender<Item>,
) -> Result<()> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let flush = |batch: &mut Vec<Change>, bytes: &mut u64| -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        *bytes = 0;
        let (tx, rx) = bounded(1);
        jobs.send(Job::Batch(std::mem::take(batch), tx))
            .map_err(|_| closed())?;
        order.send(Item::Batch(rx)).map_err(|_| closed())
    };
    for change in changes {
        let change = change?;
        let size = file_size(&change);
        let is_dump = size.is_some() && source.dumps().is_some_and(|d| d.has(&change.path));
        if is_dump
            || size.is_some_and(|s| s > SMALL_BYTES)
            || options.cut.as_ref() == Some(&change.path)
        {
            flush(&mut batch, &mut bytes)?;
            let (tx, rx) = bounded(STREAM_BLOCKS);
            jobs.send(Job::Stream(change, tx)).map_err(|_| closed())?;
            order.send(Item::Stream(rx)).map_err(|_| closed())?;
            continue;
        }
        bytes += size.unwrap_or(0);
        batch.push(change);
        if bytes >= BATCH_BYTES || batch.len() >= BATCH_ENTRIES {
            flush(&mut batch, &mut bytes)?;
        }
    }
    flush(&mut batch, &mut bytes)
}

fn file_size(change: &Change) -> Option<u64> {
    match &change.action {
        Action::Snapshot { entry, .. } | Action::Diff { entry, .. } if entry.kind.is_file() => {
            Some(entry.size)
        }
        _ => None,
    }
}

/// A reader: takes jobs until there are no more.
pub(super) fn serve(jobs: &Receiver<Job>, source: &Source, options: &ReadOptions, cx: &Context) {
    for job in jobs {
        // A closed channel means that the packer gave up; the next `recv` ends this loop then.
        match job {
            Job::Batch(changes, to) => {
                let loaded = changes
                    .into_iter()
                    .map(|c| load(c, source, options, cx))
                    .collect();
                let _ = to.send(loaded);
            }
            Job::Stream(change, to) => {
                let dump = source.dumps().filter(|d| d.has(&change.path));
                let _ = match dump {
                    Some(dumps) => read_dump::stream(change, dumps, options, cx, &to),
                    None => stream(change, source, options, cx, &to),
                };
            }
        }
    }
}

/// A change taken apart: the file to read and the signature to compare it with.
pub(super) fn file_of(
    change: Change,
) -> std::result::Result<(FileHead, Option<Vec<u8>>), Box<Change>> {
    let replaces = change.existed;
    match change.action {
        Action::Snapshot { ref entry, .. } if !entry.kind.is_file() => Err(Box::new(change)),
        Action::Snapshot { entry, stamp } => Ok((
            FileHead {
                entry,
                stamp,
                diff: DiffKind::Snapshot,
                replaces,
                is_dump: false,
            },
            None,
        )),
        Action::Diff {
            entry,
            stamp,
            signature,
        } => Ok((
            FileHead {
                entry,
                stamp,
                diff: DiffKind::Diff,
                replaces,
                is_dump: false,
            },
            Some(signature),
        )),
        Action::Deleted { .. } => Err(Box::new(change)),
    }
}

fn load(change: Change, source: &Source, options: &ReadOptions, cx: &Context) -> Loaded {
    let (head, basis) = match file_of(change) {
        Ok(file) => file,
        Err(other) => return Loaded::Entry(*other),
    };
    match load_file(&head, basis.as_deref(), source, options, cx) {
        Ok((data, tail)) => Loaded::File { head, data, tail },
        Err(e) => {
            report(&head.entry.path, &e, cx);
            Loaded::Nothing
        }
    }
}

fn report(path: &PathIndex, error: &std::io::Error, cx: &Context) {
    cx.monitor
        .problem(Problem::new(problem_kind(error), path, error));
}

fn load_file(
    head: &FileHead,
    basis: Option<&[u8]>,
    source: &Source,
    options: &ReadOptions,
    cx: &Context,
) -> std::io::Result<(Vec<u8>, FileTail)> {
    let mut content = Vec::new();
    let mut unsettled = true;
    // One more try for a file that was touched while it was read: most are at rest then.
    for _ in 0..2 {
        content.clear();
        let file = source.open(&head.entry.path, &head.stamp)?;
        let before = stamp_of(&file)?;
        content.reserve(before.size.min(2 * SMALL_BYTES) as usize + 1);
        // What a growing file gains after it was opened belongs to the next run.
        (&file).take(before.size).read_to_end(&mut content)?;
        if stamp_of(&file)? == before && content.len() as u64 == before.size {
            unsettled = false;
            break;
        }
    }
    if unsettled {
        tell_unsettled(&head.entry.path, cx);
    }
    cx.monitor.count(Counter::SourceBytes, content.len() as u64);
    let mut builder = SignatureBuilder::new(block_len(content.len() as u64, options.max_block));
    builder.push(&content);
    let tail = FileTail {
        signature: builder.finish(),
        read_bytes: content.len() as u64,
        unsettled,
    };
    match basis {
        None => Ok((content, tail)),
        Some(basis) => {
            let index = index(basis)?;
            let mut delta = Vec::new();
            DeltaReader::new(Arc::new(index), content.as_slice()).read_to_end(&mut delta)?;
            Ok((delta, tail))
        }
    }
}

pub(super) fn index(signature: &[u8]) -> std::io::Result<SignatureIndex> {
    SignatureIndex::parse(signature).map_err(|e| {
        Error::new(
            crate::engine::ErrorKind::Corrupt,
            "the signature of its older content is damaged",
        )
        .with_source(e)
        .into()
    })
}

fn tell_unsettled(path: &PathIndex, cx: &Context) {
    cx.monitor.problem(Problem::new(
        ProblemKind::ChangedWhileRead,
        path,
        "changed while it was read; the next backup will store it again",
    ));
}

/// The file's bytes on their way to the packer, feeding the signature as they pass.
pub(super) struct Tap<'a, R> {
    pub file: R,
    pub signing: Signing,
    pub read_bytes: u64,
    pub cx: &'a Context<'a>,
    pub failed: Option<std::io::Error>,
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = match self.file.read(buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Err(e),
            // What came so far is stored, as an end of file would be, so that the volume stays well formed.
            Err(e) => {
                self.failed = Some(e);
                0
            }
        };
        self.signing.push(&buffer[..n]);
        self.read_bytes += n as u64;
        self.cx.monitor.count(Counter::SourceBytes, n as u64);
        Ok(n)
    }
}

fn stream(
    change: Change,
    source: &Source,
    options: &ReadOptions,
    cx: &Context,
    to: &Sender<Piece>,
) -> std::result::Result<(), Gone> {
    let Ok((head, basis)) = file_of(change) else {
        return Ok(());
    };
    let path = head.entry.path.clone();
    let opened = source
        .open(&path, &head.stamp)
        .and_then(|f| Ok((stamp_of(&f)?, f.try_clone()?, f)));
    let index = basis.as_deref().map(index).transpose();
    let (before, again, file, index) = match (opened, index) {
        (Ok((before, again, file)), Ok(index)) => (before, again, file, index),
        (Err(e), _) | (_, Err(e)) => {
            report(&path, &e, cx);
            return Ok(());
        }
    };
    drop(basis);
    to.send(Piece::Head(head)).map_err(|_| Gone)?;
    let builder = SignatureBuilder::new(block_len(before.size, options.max_block));
    let mut tap = Tap {
        file: file.take(before.size),
        signing: match index {
            Some(_) => Signing::new(builder, before.size, cx.threads),
            None => Signing::Here(builder),
        },
        read_bytes: 0,
        cx,
        failed: None,
    };
    match index {
        None => blocks(&mut tap, to)?,
        Some(index) => blocks(&mut DeltaReader::new(Arc::new(index), &mut tap), to)?,
    }
    let after = stamp_of(&again);
    let mut unsettled = !after.is_ok_and(|s| s == before) || tap.read_bytes != before.size;
    if let Some(e) = tap.failed.take() {
        unsettled = true;
        cx.monitor.problem(Problem::new(
            ProblemKind::Unreadable,
            &path,
            format!("stopped reading after {} bytes: {e}", tap.read_bytes),
        ));
    } else if unsettled {
        tell_unsettled(&path, cx);
    }
    let end = match tap.signing.finish() {
        Ok(signature) => Piece::Tail(FileTail {
            signature,
            read_bytes: tap.read_bytes,
            unsettled,
        }),
        Err(e) => Piece::Broken(e.to_string()),
    };
    to.send(end).map_err(|_| Gone)
}

/// Sends blocks of [`BLOCK_BYTES`] until a shorter one ends the file.
pub(super) fn blocks(reader: &mut impl Read, to: &Sender<Piece>) -> std::result::Result<(), Gone> {
    loop {
        let mut block = vec![0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match reader.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                // `Tap` reports read errors itself; a delta cannot fail on bytes it is given.
                Err(_) => break,
            }
        }
        block.truncate(filled);
        to.send(Piece::Block(block)).map_err(|_| Gone)?;
        if filled < BLOCK_BYTES {
            return Ok(());
        }
    }
}
