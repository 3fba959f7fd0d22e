//! Packs changes into volumes, strictly in order, and keeps the sigtar and the list of changed files beside them.

use super::closed;
use super::commit::BegunVolume;
use super::read::{FileHead, FileTail, Item, Loaded, Piece};
use super::volume::{Sealed, Volume, VolumeLimits};
use crate::engine::archive::Spool;
use crate::engine::context::Context;
use crate::engine::entry::{Entry, FileStamp};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::{self, FileWord, VolumeInfo};
use crate::engine::format::{BLOCK_BYTES, DiffKind, difftar, sigtar};
use crate::engine::monitor::EntryChange;
use crate::engine::path::PathIndex;
use crate::engine::seal::Seal;
use crate::engine::stats::BackupStats;
use crate::engine::stream::change::{Action, Change};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where an interrupted set goes on.
#[derive(Debug, Clone)]
pub(crate) struct ResumePoint {
    /// Last entry that is at the target.
    pub path: PathIndex,
    /// Its last block there, if it goes on.
    pub block: Option<u32>,
    /// What the file was then, if it goes on.
    pub stamp: Option<FileStamp>,
}

/// A volume on its way to the target, with the state to note once it is there.
pub(super) struct SealedVolume {
    pub number: u32,
    pub sealed: Sealed,
    pub info: VolumeInfo,
    pub end_is_dir: bool,
    pub in_delta: bool,
    pub cut_file: Option<FileStamp>,
    pub sigtar_bytes: u64,
    pub filelist_bytes: u64,
    pub filelist_lines: u64,
    pub stats: BackupStats,
}

/// A file that only grows, with its length.
pub(crate) struct PartFile {
    out: BufWriter<File>,
    path: PathBuf,
    /// Bytes written so far, those of an interrupted run included.
    pub bytes: u64,
}

impl PartFile {
    /// Goes on writing `file` at its end, behind `bytes` bytes.
    pub fn new(file: File, path: PathBuf, bytes: u64) -> Self {
        Self {
            out: BufWriter::with_capacity(256 * 1024, file),
            path,
            bytes,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|e| Error::io("write", &self.path, e))
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> Result<()> {
        self.out
            .flush()
            .map_err(|e| Error::io("write", &self.path, e))
    }
}

/// What grows beside the volumes.
pub(crate) struct Parts {
    /// The sigtar of the set, not closed.
    pub sigtar: PartFile,
    /// The list of changed files of the set.
    pub filelist: PartFile,
    /// Lines in it.
    pub filelist_lines: u64,
}

/// The packer and what it has so far.
pub(crate) struct Packer {
    seal: Arc<dyn Seal>,
    limits: VolumeLimits,
    spool: Spool,
    volume: Option<(Volume, Sender<SealedVolume>)>,
    /// Whether the last entry added is a directory.
    in_dir: bool,
    /// Whether the last member added is a part of a delta that goes on.
    in_delta: bool,
    next_number: u32,
    resume: Option<ResumePoint>,
    member: Vec<u8>,
    record: Vec<u8>,
    /// Seconds since 1970.
    began: i64,
    /// What grew beside the volumes so far.
    pub parts: Parts,
    /// BackupStats of the set so far.
    pub stats: BackupStats,
}

impl Packer {
    /// A packer that writes volume `next_number` next.
    pub fn new(
        seal: Arc<dyn Seal>,
        limits: VolumeLimits,
        spool: Spool,
        next_number: u32,
        resume: Option<ResumePoint>,
        parts: Parts,
        stats: BackupStats,
    ) -> Self {
        Self {
            seal,
            limits,
            spool,
            volume: None,
            in_dir: false,
            in_delta: false,
            next_number,
            resume,
            member: Vec::new(),
            record: Vec::new(),
            began: i64::MAX,
            parts,
            stats,
        }
    }

    /// Packs everything that arrives, and sends volumes as they fill.
    pub(super) fn run(
        &mut self,
        order: &Receiver<Item>,
        out: &Sender<BegunVolume>,
        cx: &Context,
    ) -> Result<()> {
        for item in order {
            match item {
                Item::Batch(batch) => {
                    for loaded in batch.recv().map_err(|_| closed())? {
                        self.check_cancel(cx)?;
                        match loaded {
                            Loaded::Entry(change) => self.pack_entry(change, out, cx)?,
                            Loaded::File { head, data, tail } => {
                                self.pack_small(&head, &data, tail, out, cx)?
                            }
                            Loaded::Nothing => {}
                        }
                    }
                }
                Item::Stream(pieces) => {
                    self.check_cancel(cx)?;
                    self.pack_stream(&pieces, out, cx)?;
                }
            }
        }
        if let Some(ResumePoint {
            path,
            block: Some(_),
            ..
        }) = &self.resume
        {
            return Err(Error::new(
                ErrorKind::Source,
                format!("{path} went away since the interrupted run"),
            )
            .with_hint("run the backup again"));
        }
        if self.next_number == 1 && self.volume.is_none() {
            // An increment without changes still has its one, empty volume.
            self.begin_volume(out)?;
        }
        self.close_volume(None)
    }

    /// After the first signal: the volume in hand is closed and will be committed. After the second: nothing.
    fn check_cancel(&mut self, cx: &Context) -> Result<()> {
        if cx.cancel.is_requested() {
            if !cx.cancel.is_urgent() && self.volume.as_ref().is_some_and(|(v, _)| !v.is_empty()) {
                self.close_volume(None)?;
            }
            return cx.cancel.check();
        }
        Ok(())
    }

    fn pack_entry(
        &mut self,
        change: Change,
        out: &Sender<BegunVolume>,
        cx: &Context,
    ) -> Result<()> {
        match change.action {
            Action::Deleted { was_file } => {
                difftar::append_deleted(&mut self.member, &change.path);
                self.add_member(&change.path, None, None, out)?;
                sigtar::append_deleted(&mut self.record, &change.path);
                self.note_signature()?;
                if was_file {
                    self.list(FileWord::Deleted, &change.path)?;
                }
                self.stats.deleted_entries += 1;
                self.stats.delta_entries += 1;
                cx.monitor.entry(&change.path, Some(EntryChange::Deleted));
            }
            // Deltas are of files, which the readers turn into `Loaded::File`.
            Action::Diff { .. } => return Err(closed()),
            Action::Snapshot { entry, .. } => {
                difftar::append_entry(&mut self.member, &entry);
                self.add_member(&entry.path, None, None, out)?;
                self.in_dir = entry.kind.is_dir();
                sigtar::append_snapshot(&mut self.record, &entry);
                self.note_signature()?;
                self.count_new(&entry, change.existed, cx);
            }
        }
        Ok(())
    }

    fn pack_small(
        &mut self,
        head: &FileHead,
        data: &[u8],
        tail: FileTail,
        out: &Sender<BegunVolume>,
        cx: &Context,
    ) -> Result<()> {
        if data.len() < BLOCK_BYTES {
            difftar::append_single(&mut self.member, head.diff, &head.entry, data);
            self.add_member(&head.entry.path, None, None, out)?;
        } else {
            // The last part is shorter than a block, and empty if the length is a multiple of it.
            let parts = data.len() / BLOCK_BYTES + 1;
            for part in 0..parts {
                let block = &data[part * BLOCK_BYTES..data.len().min((part + 1) * BLOCK_BYTES)];
                self.add_block(head, part as u32 + 1, block, part + 1 == parts, out)?;
            }
        }
        self.stats.raw_delta_bytes += data.len() as u64;
        self.end_file(head, tail, cx)
    }

    fn pack_stream(
        &mut self,
        pieces: &Receiver<Piece>,
        out: &Sender<BegunVolume>,
        cx: &Context,
    ) -> Result<()> {
        // A file that could not be opened sends nothing at all; nor does a dump that was stopped by a signal, and a set
        // must not end without it.
        let Ok(Piece::Head(mut head)) = pieces.recv() else {
            return self.check_cancel(cx);
        };
        cx.monitor.begins(&head.entry.path);
        let skip = match self.resume.take() {
            Some(ResumePoint {
                path,
                block: Some(block),
                stamp,
            }) if path == head.entry.path => {
                if stamp.is_some_and(|stamp| stamp != head.stamp) {
                    let text = format!("{path} changed since the interrupted run");
                    return Err(
                        Error::new(ErrorKind::Source, text).with_hint("run the backup again")
                    );
                }
                block
            }
            _ => 0,
        };
        let mut number = 0;
        loop {
            match pieces.recv().map_err(|_| closed())? {
                Piece::Head(_) => return Err(closed()),
                Piece::Block(block) => {
                    number += 1;
                    let last = block.len() < BLOCK_BYTES;
                    if number <= skip {
                        continue;
                    }
                    self.stats.raw_delta_bytes += block.len() as u64;
                    if number == 1 && last {
                        difftar::append_single(&mut self.member, head.diff, &head.entry, &block);
                        self.add_member(&head.entry.path, None, None, out)?;
                    } else {
                        self.add_block(&head, number, &block, last, out)?;
                    }
                    if !last && cx.cancel.is_requested() {
                        if !cx.cancel.is_urgent() {
                            self.close_volume(Some(head.stamp))?;
                        }
                        cx.cancel.check()?;
                    }
                }
                Piece::Broken(reason) => {
                    cx.cancel.check()?;
                    let text = format!("{}: {reason}", head.entry.path);
                    return Err(Error::new(ErrorKind::Source, text));
                }
                Piece::Tail(tail) => {
                    if head.is_dump {
                        head.entry.size = tail.read_bytes;
                        self.stats.source_bytes += tail.read_bytes;
                    }
                    return self.end_file(&head, tail, cx);
                }
            }
        }
    }

    fn add_block(
        &mut self,
        head: &FileHead,
        number: u32,
        block: &[u8],
        last: bool,
        out: &Sender<BegunVolume>,
    ) -> Result<()> {
        difftar::append_block(&mut self.member, head.diff, &head.entry, number, block);
        let cut = (number > 1).then_some(head.stamp);
        self.add_member(&head.entry.path, (!last).then_some(number), cut, out)?;
        self.in_delta = head.diff == DiffKind::Diff && !last;
        Ok(())
    }

    /// Puts `self.member` into the volume, or into a new one if that is full. `cut` is the file that would be cut
    /// by a new volume here.
    fn add_member(
        &mut self,
        path: &PathIndex,
        block: Option<u32>,
        cut: Option<FileStamp>,
        out: &Sender<BegunVolume>,
    ) -> Result<()> {
        if self.volume.as_ref().is_some_and(|(v, _)| v.is_full()) {
            self.close_volume(cut)?;
        }
        if self.volume.is_none() {
            self.begin_volume(out)?;
        }
        let Some((volume, _)) = &mut self.volume else {
            return Err(closed());
        };
        volume.add(&self.member, path, block)?;
        self.in_dir = false;
        self.in_delta = false;
        self.member.clear();
        Ok(())
    }

    /// Starts a volume, and hands it to the uploaders.
    fn begin_volume(&mut self, out: &Sender<BegunVolume>) -> Result<()> {
        let volume = Volume::begin(&*self.seal, self.limits, &self.spool)?;
        let (sealed_tx, sealed) = bounded(1);
        let begun = BegunVolume {
            number: self.next_number,
            growing: volume.growing(),
            sealed,
        };
        out.send(begun).map_err(|_| closed())?;
        self.volume = Some((volume, sealed_tx));
        Ok(())
    }

    fn close_volume(&mut self, cut_file: Option<FileStamp>) -> Result<()> {
        let Some((volume, out)) = self.volume.take() else {
            return Ok(());
        };
        let (sealed, info) = volume.finish()?;
        self.parts.sigtar.flush()?;
        self.parts.filelist.flush()?;
        let number = self.next_number;
        self.next_number = number
            .checked_add(1)
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "too many volumes in one set"))?;
        self.stats.stored_bytes += sealed.bytes;
        self.stats.volumes = u64::from(number);
        // Only a file whose parts lie on both sides is cut.
        let cut_file = cut_file.filter(|_| info.end.block.is_some());
        out.send(SealedVolume {
            number,
            sealed,
            info,
            end_is_dir: self.in_dir,
            in_delta: self.in_delta,
            cut_file,
            sigtar_bytes: self.parts.sigtar.bytes,
            filelist_bytes: self.parts.filelist.bytes,
            filelist_lines: self.parts.filelist_lines,
            stats: self.stats.clone(),
        })
        .map_err(|_| closed())
    }

    /// Whether a file may change once more without its whole-second time telling: it was modified in the second
    /// the run began, or later.
    fn is_recent(&self, mtime: i64) -> bool {
        // Times in the far future are not those of a clock.
        (self.began..self.began.saturating_add(86_400)).contains(&mtime)
    }

    /// Notes the second in which files begin to be read, by the clock of the file system.
    ///
    /// # Errors
    /// The spool directory cannot be written.
    pub(super) fn note_beginning(&mut self) -> Result<()> {
        let dir = self.spool.dir();
        let made = tempfile::tempfile_in(dir).and_then(|f| f.metadata());
        self.began = made
            .map_err(|e| Error::io("create a spool file in", dir, e))?
            .mtime();
        Ok(())
    }

    fn end_file(&mut self, head: &FileHead, tail: FileTail, cx: &Context) -> Result<()> {
        if tail.unsettled || (!head.is_dump && self.is_recent(head.entry.meta.mtime)) {
            // Another time than the file has makes the next run look at it again.
            let mut entry = head.entry.clone();
            let mtime = entry.meta.mtime;
            entry.meta.mtime = if mtime > 0 { mtime - 1 } else { 1 };
            sigtar::append_signature(&mut self.record, &entry, &tail.signature);
        } else {
            sigtar::append_signature(&mut self.record, &head.entry, &tail.signature);
        }
        self.note_signature()?;
        let path = &head.entry.path;
        let size = head.entry.size;
        self.stats.source_bytes += tail.read_bytes.saturating_sub(size);
        if head.diff == DiffKind::Diff {
            self.stats.changed_entries += 1;
            self.stats.changed_bytes += size;
            self.stats.delta_entries += 1;
            cx.monitor.entry(path, Some(EntryChange::Modified));
            self.list(FileWord::Changed, path)
        } else {
            self.count_new(&head.entry, head.replaces, cx);
            self.list(FileWord::New, path)
        }
    }

    fn count_new(&mut self, entry: &Entry, replaces: bool, cx: &Context) {
        self.stats.new_entries += 1;
        self.stats.new_bytes += entry.size;
        self.stats.delta_entries += 1;
        let change = if replaces {
            EntryChange::Modified
        } else {
            EntryChange::Added
        };
        cx.monitor.entry(&entry.path, Some(change));
    }

    fn note_signature(&mut self) -> Result<()> {
        self.parts.sigtar.write(&self.record)?;
        self.record.clear();
        Ok(())
    }

    fn list(&mut self, word: FileWord, path: &PathIndex) -> Result<()> {
        self.parts.filelist_lines += 1;
        self.parts
            .filelist
            .write(&manifest::filelist_line(word, path))
    }

    /// Closes the sigtar.
    pub fn end_sigtar(&mut self) -> Result<()> {
        let padding = sigtar::end_padding(self.parts.sigtar.bytes);
        self.parts.sigtar.write(&vec![0; padding])?;
        self.parts.sigtar.flush()?;
        self.parts.filelist.flush()
    }
}
