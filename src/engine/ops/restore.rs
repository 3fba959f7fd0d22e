//! Restores a tree, a folder or a file as it was at a time.

use super::chooser::Chooser;
use super::replay::{Fill, Visitor};
use super::set_stream::Care;
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::entry::Entry;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Counted, Counter, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::select::Selection;
use crate::engine::stats::RestoreStats;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::engine::tree::{TreeWriter, WriteOptions};
use std::collections::BTreeMap;
use std::path::Path;

/// What to restore, and how.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// The state at this time; the newest if absent.
    pub time: Option<Timestamp>,
    /// Only this path; it becomes the destination itself. The root restores all.
    pub path: PathIndex,
    /// How the tree is written.
    pub write: WriteOptions,
}

impl Engine {
    /// The sets that make up the state at `time`, oldest first.
    ///
    /// # Errors
    /// `NoBackup` if there is no complete set.
    pub(super) fn sets_at<'c>(
        &self,
        collection: &'c Collection,
        time: Option<Timestamp>,
    ) -> Result<Vec<&'c BackupSet>> {
        let time = time.unwrap_or(Timestamp(i64::MAX));
        let chain = collection.chain_at(time).ok_or_else(|| {
            let mut text = format!("there is no backup at {}", self.location());
            if !collection.orphans.is_empty() {
                text.push_str(", only increments without their full set");
            } else if !collection.incomplete.is_empty() {
                text.push_str(", only unfinished sets");
            }
            Error::new(ErrorKind::NoBackup, text)
                .with_hint("check the target's URL and the file prefix")
        })?;
        Ok(chain.state_at(time))
    }

    /// Restores to `destination`, which must not exist or be an empty directory.
    ///
    /// What can be saved is saved: entries whose data is lost are counted as problems and never written, neither
    /// torn nor with an older content.
    ///
    /// # Errors
    /// `NoBackup` and `NotFound` if there is nothing to restore, `WrongKey`, trouble with target or destination.
    pub fn restore(
        &self,
        destination: &Path,
        options: &RestoreOptions,
        cx: &Context,
    ) -> Result<RestoreStats> {
        self.restore_chosen(destination, options, &Selection::everything(), cx)
    }

    /// Restores what `select` chooses, by paths as the archive has them. Folders that lead there come along.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn restore_chosen(
        &self,
        destination: &Path,
        options: &RestoreOptions,
        select: &Selection,
        cx: &Context,
    ) -> Result<RestoreStats> {
        let counted = Counted::new(cx.monitor);
        let cx = &Context {
            monitor: &counted,
            ..*cx
        };
        let collection = self.scan(cx)?;
        // Before anything is written at the destination.
        self.sets_at(&collection, options.time)?;
        let write = WriteOptions {
            part: options.path.clone(),
            ..options.write.clone()
        };
        let writer = TreeWriter::create(destination, write, cx)?;
        let mut visitor = Restore::into(writer, select, cx);
        let replayed = self.replay(
            &collection,
            options.time,
            &options.path,
            Care::Usual,
            &mut visitor,
            cx,
        )?;
        let Written {
            mut stats, found, ..
        } = visitor.finish()?;
        stats.volumes = replayed.volumes;
        stats.problems = counted.problems();
        if !found && stats.problems == 0 {
            return Err(if options.path.is_root() {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("the backup at {} holds no entries", self.location()),
                )
            } else {
                Error::new(
                    ErrorKind::NotFound,
                    format!("{} is not in the backup at that time", options.path),
                )
                .with_hint("`list` shows what is; paths are relative to the source")
            });
        }
        if replayed.losses > 0 {
            // Even if every lost file has a newer copy: the set is damaged, and that must be known.
            stats.problems = stats.problems.max(1);
        }
        Ok(stats)
    }
}

/// Writes what a replay shows.
pub(super) struct Restore<'a> {
    writer: TreeWriter<'a>,
    chooser: Chooser<'a>,
    stats: RestoreStats,
    cx: &'a Context<'a>,
    /// What was written and may not be what it should be, and why.
    doubts: Doubts,
    /// Whether a file was there already, or could not be made.
    passed: bool,
}

/// What was written.
pub(super) struct Written {
    pub stats: RestoreStats,
    /// What of it is in doubt.
    pub doubts: Doubts,
    /// Whether there was anything in the backup to be written.
    pub found: bool,
}

/// Paths that may not be what they should be, each with the reason.
pub(super) type Doubts = BTreeMap<PathIndex, String>;

impl<'a> Restore<'a> {
    /// Nothing written yet.
    pub fn into(writer: TreeWriter<'a>, select: &'a Selection, cx: &'a Context<'a>) -> Self {
        Self {
            writer,
            chooser: Chooser::new(select),
            stats: RestoreStats::default(),
            cx,
            doubts: Doubts::new(),
            passed: false,
        }
    }

    /// Gives folders their attributes.
    pub fn finish(self) -> Result<Written> {
        self.writer.finish()?;
        Ok(Written {
            found: self.passed || self.stats.entries > 0,
            stats: self.stats,
            doubts: self.doubts,
        })
    }

    /// Whether an entry is to be restored; folders that were waiting for one that is are made first.
    fn is_chosen(&mut self, entry: &Entry) -> Result<bool> {
        let Some(waiting) = self.chooser.choose(entry) else {
            return Ok(false);
        };
        for dir in &waiting {
            self.writer.other(dir)?;
            self.done(dir, 0);
        }
        Ok(true)
    }

    fn done(&mut self, entry: &Entry, bytes: u64) {
        self.stats.entries += 1;
        self.stats.content_bytes += bytes;
        self.cx.monitor.count(Counter::Entries, 1);
        self.cx.monitor.count(Counter::ContentBytes, bytes);
        self.cx.monitor.entry(&entry.path, None);
    }
}

impl Visitor for Restore<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        if !self.is_chosen(entry)? {
            return Ok(());
        }
        self.writer.other(entry)?;
        self.done(entry, 0);
        Ok(())
    }

    fn file(&mut self, entry: &Entry, fill: &mut Fill<'_>) -> Result<()> {
        if !self.is_chosen(entry)? {
            return Ok(());
        }
        let Some(mut sink) = self.writer.file(entry)? else {
            self.passed = true;
            return Ok(());
        };
        self.cx.monitor.begins(&entry.path);
        match fill(&mut sink) {
            Ok(bytes) => {
                sink.finish()?;
                self.done(entry, bytes);
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::Corrupt => {
                drop(sink);
                self.lost(&entry.path, &e.to_string())
            }
            Err(e) => Err(e.within(format!("cannot restore {}", entry.path))),
        }
    }

    fn lost(&mut self, path: &PathIndex, reason: &str) -> Result<()> {
        self.cx
            .monitor
            .problem(Problem::new(ProblemKind::Lost, path, reason));
        Ok(())
    }

    fn doubt(&mut self, path: &PathIndex, reason: &str) {
        self.doubts
            .entry(path.clone())
            .or_insert_with(|| reason.to_owned());
    }
}
