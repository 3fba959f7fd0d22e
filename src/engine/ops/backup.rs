//! Makes a full or an incremental set, or goes on with an interrupted one.

use super::resume::Resumed;
use crate::engine::archive::JournalHead;
use crate::engine::collection::{BackupChain, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::format::manifest;
use crate::engine::monitor::{Counted, Counter, Level, Once};
use crate::engine::pipeline::{
    self, Committer, Packer, PartFile, ReadOptions, ResumePoint, VolumeLimits,
};
use crate::engine::stats::BackupStats;
use crate::engine::stream::WalkItem;
use crate::engine::stream::change::{ByNumber, OwnerLookup, changes};
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::engine::tree::{Dumps, Source, Walk, with_dumps};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which set to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A full set.
    Full,
    /// A set on top of the newest one; an error if that cannot be extended.
    #[default]
    Incremental,
}

/// How a backup is made.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// Which set to make.
    pub mode: Mode,
    /// Name of this host, as the manifest notes it.
    pub hostname: Vec<u8>,
    /// Other names of this host that count as the same.
    pub hostname_aliases: Vec<Vec<u8>>,
    /// The source as it is spelled in the manifest; an increment must have the same.
    pub label: Vec<u8>,
    /// Size a volume should not exceed by much, bytes.
    pub volume_bytes: u64,
    /// Largest signature block, bytes; by the length of the file if absent.
    pub max_block: Option<u64>,
    /// Compare owners by number only.
    pub numeric_owner: bool,
    /// Goes on although host or source differ from those of the chain.
    pub allow_mismatch: bool,
    /// Goes on although the source is empty and was not before.
    pub allow_empty: bool,
    /// Goes on although the target holds nothing, and this machine knows of sets there.
    pub allow_empty_target: bool,
    /// Goes on although the newest set cannot be opened with today's key. Only for a full set.
    pub allow_new_key: bool,
    /// What else must be the same for an interrupted run to be resumed, such as the selection.
    pub fingerprint: String,
    /// Never goes on with an interrupted run.
    pub fresh: bool,
    /// Makes a full set if the newest chain cannot be extended, instead of failing.
    pub or_full: bool,
    /// The manifest lists the files that changed. Without the list nobody can tell from it in which set a file changed.
    pub list_files: bool,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            hostname: Vec::new(),
            hostname_aliases: Vec::new(),
            label: Vec::new(),
            volume_bytes: 200 << 20,
            max_block: None,
            numeric_owner: false,
            allow_mismatch: false,
            allow_empty: false,
            allow_empty_target: false,
            allow_new_key: false,
            fingerprint: String::new(),
            fresh: false,
            or_full: false,
            list_files: true,
        }
    }
}

impl BackupOptions {
    /// Options for a full set.
    pub fn full() -> Self {
        Self {
            mode: Mode::Full,
            ..Self::default()
        }
    }

    /// Options for an incremental set.
    pub fn incremental() -> Self {
        Self::default()
    }
}

/// What a backup made.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupReport {
    /// The set.
    pub set: SetId,
    /// Its figures.
    pub stats: BackupStats,
    /// Why it is a full set although an increment was asked for.
    pub full_because: Option<String>,
}

/// A set about to be written, or written on.
pub(super) struct Begun<'a> {
    pub set: SetId,
    pub basis: Option<&'a BackupChain>,
    pub resumed: Option<Resumed>,
    /// Why it is a full set although an increment was asked for.
    pub because: Option<String>,
}

impl Engine {
    /// Backs up `source`. Call it with the lock held.
    ///
    /// The set exists once this returns: its manifest is at the target. Trouble with single entries is counted in
    /// [`BackupStats::problems`]; dumps that failed are known to [`Dumps::failures`].
    ///
    /// # Errors
    /// Nothing was written if the source is missing or suddenly empty (`Source`), the clock is behind the newest
    /// set (`Clock`), the key does not open the newest set (`WrongKey`), host or source differ (`Mismatch`), or the
    /// chain cannot be extended (`NoBackup`, `Corrupt`). After any other error the run can be resumed.
    pub fn backup(
        &self,
        source: &Source,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<BackupReport> {
        if source.dumps().is_none() {
            return self.attempt(source, options, cx);
        }
        let once = Once::new(cx.monitor);
        let mut cx = Context {
            monitor: &once,
            ..*cx
        };
        loop {
            match self.attempt(source, options, &cx) {
                // The set goes back to before that dump and on without it.
                Err(e) if source.dumps().is_some_and(Dumps::take_broken) => {
                    cx.cancel.check()?;
                    cx.monitor
                        .note(Level::Warning, &format!("{e}; going on without it"));
                    // Nothing of it may be left; then it begins again under another name.
                    cx.now = cx.now.plus(1);
                }
                ended => return ended,
            }
        }
    }

    fn attempt(
        &self,
        source: &Source,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<BackupReport> {
        let counted = Counted::new(cx.monitor);
        let cx = &Context {
            monitor: &counted,
            ..*cx
        };
        let collection = self.scan_mended(cx)?;
        self.check_key(&collection, options, cx)?;
        self.check_target(&collection, options.allow_empty_target)?;
        self.check_source(source, &collection, options, cx)?;
        let abandoned = self.archive.part_sets()?;
        let begun = match self.resume_point(source, options, &collection, cx)? {
            Some((set, resumed)) => self.go_on(set, resumed, &collection, options, cx)?,
            None => self.begin(&collection, options, cx)?,
        };
        let (set, full_because) = (begun.set, begun.because.clone());
        let mut stats = self.write_set(source, options, begun, &collection, cx)?;
        stats.problems = counted.problems();
        self.remove_abandoned(&collection, &abandoned, set, cx)?;
        Ok(BackupReport {
            set,
            stats,
            full_because,
        })
    }

    fn begin<'a>(
        &self,
        collection: &'a Collection,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<Begun<'a>> {
        let time = set_time(collection.newest_time(), cx.now)?;
        let full = |because| Begun {
            set: SetId::Full { time },
            basis: None,
            resumed: None,
            because,
        };
        let begun = match options.mode {
            Mode::Full => full(None),
            Mode::Incremental => match self.chain_to_extend(collection, options, cx) {
                Ok(chain) => Begun {
                    set: SetId::Incremental {
                        start: chain.end(),
                        end: time,
                    },
                    basis: Some(chain),
                    resumed: None,
                    because: None,
                },
                Err(e)
                    if options.or_full
                        && matches!(e.kind(), ErrorKind::NoBackup | ErrorKind::Corrupt) =>
                {
                    cx.monitor
                        .note(Level::Warning, &format!("{e}; making a full backup"));
                    full(Some(e.to_string()))
                }
                Err(e) => return Err(e),
            },
        };
        for set in self.archive.part_sets()? {
            if !collection.every_set().any(|s| s.id == set) {
                self.archive.forget(set)?;
            }
        }
        self.archive.discard_parts()?;
        Ok(begun)
    }

    /// Goes on with an interrupted set, unless it is an increment whose chain has been damaged meanwhile.
    fn go_on<'a>(
        &self,
        set: SetId,
        resumed: Resumed,
        collection: &'a Collection,
        options: &BackupOptions,
        cx: &Context,
    ) -> Result<Begun<'a>> {
        let resumed = Some(resumed);
        match set {
            SetId::Full { .. } => Ok(Begun {
                set,
                basis: None,
                resumed,
                because: None,
            }),
            SetId::Incremental { .. } => match self.chain_to_extend(collection, options, cx) {
                Ok(chain) => Ok(Begun {
                    set,
                    basis: Some(chain),
                    resumed,
                    because: None,
                }),
                // Says why, and makes a full set if that is wanted.
                Err(_) => self.begin(collection, options, cx),
            },
        }
    }

    fn write_set(
        &self,
        source: &Source,
        options: &BackupOptions,
        begun: Begun<'_>,
        collection: &Collection,
        cx: &Context,
    ) -> Result<BackupStats> {
        let set = begun.set;
        let before = self.overlay(begun.basis, cx)?;
        let is_new = begun.resumed.is_none();
        let resumed = begun.resumed.unwrap_or_default();
        let last = resumed.checkpoints.last().cloned();
        let mut stats = last.as_ref().map(|c| c.stats.clone()).unwrap_or_default();
        stats.time = set.time();
        stats.resumed_volumes = last.as_ref().map_or(0, |c| u64::from(c.volume));
        let seen = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let walk = with_dumps(Walk::new(source, cx)?, source, set.time(), cx)?;
        let walk = count(walk, Arc::clone(&seen), cx);
        let point = resumed.point.clone();
        let owners: &dyn OwnerLookup = if options.numeric_owner {
            &ByNumber
        } else {
            &**source.owners()
        };
        let changes = changes(walk, before, owners)
            .filter(move |c| c.as_ref().map_or(true, |c| !is_done(c, point.as_ref())));

        let (packer, committer) = self.stages(set, options, &resumed, stats)?;
        let read = ReadOptions {
            max_block: options.max_block,
            cut: resumed.point.filter(|p| p.block.is_some()).map(|p| p.path),
        };
        let stages = pipeline::Stages {
            packer,
            committer,
            uploads: self.uploads,
            is_new,
        };
        let last = |packer: &mut Packer, committed: &_| {
            packer.end_sigtar()?;
            self.seal_sigtar(set, committed)
        };
        let storage = &*self.target.storage;
        let packed = pipeline::run(changes, source, &read, stages, storage, last, cx);
        self.tell_notices(cx);
        let (mut packer, sigtar) = packed?;
        packer.stats.source_entries = seen.0.load(Ordering::Relaxed);
        packer.stats.source_bytes += seen.1.load(Ordering::Relaxed);
        self.remove_surplus(collection, set, packer.stats.volumes)?;
        let dumps = source.dumps().map(|dumps| self.dumped(dumps)).transpose()?;
        self.finish_set(
            set,
            &manifest_header(options),
            options.list_files,
            (&packer, sigtar),
            dumps,
            cx,
        )?;
        Ok(packer.stats)
    }

    /// Opens the part files, from their beginning or at the last checkpoint.
    fn stages(
        &self,
        set: SetId,
        options: &BackupOptions,
        resumed: &Resumed,
        stats: BackupStats,
    ) -> Result<(Packer, Committer)> {
        let archive = &self.archive;
        let last = resumed.checkpoints.last();
        let sigtar_path = archive.part_sigtar();
        let filelist_path = archive.part_filelist();
        let sigtar_bytes = last.map_or(0, |c| c.sigtar_bytes);
        let filelist_bytes = last.map_or(0, |c| c.filelist_bytes);
        let sigtar = archive.open_part(&sigtar_path, sigtar_bytes)?;
        let filelist = archive.open_part(&filelist_path, filelist_bytes)?;
        let head = JournalHead {
            schema: JournalHead::SCHEMA,
            set,
            settings: self.settings_digest(options),
        };
        let journal = archive.resume_journal(&head, &resumed.checkpoints)?;
        archive.claim_parts(set)?;
        let mut manifest = archive.part_manifest(set, &manifest_header(options))?;
        for done in &resumed.checkpoints {
            let lines = done.manifest_lines().unwrap_or_default();
            manifest.add(done.volume, lines, done.in_delta)?;
        }
        let next = last.map_or(1, |c| c.volume + 1);
        let again = |file: &std::fs::File, path: &std::path::Path| {
            file.try_clone().map_err(|e| Error::io("open", path, e))
        };
        let committer = Committer::new(
            journal,
            manifest,
            (again(&sigtar, &sigtar_path)?, sigtar_path.clone()),
            again(&filelist, &filelist_path)?,
            (set, self.target.seal.form(), self.target.naming.clone()),
            next,
        );
        let parts = pipeline::Parts {
            sigtar: PartFile::new(sigtar, sigtar_path, sigtar_bytes),
            filelist: PartFile::new(filelist, filelist_path, filelist_bytes),
            filelist_lines: last.map_or(0, |c| c.filelist_lines),
        };
        let limits = VolumeLimits {
            volume_bytes: options.volume_bytes,
        };
        let seal = Arc::clone(&self.target.seal);
        let packer = Packer::new(
            seal,
            limits,
            self.spool.clone(),
            next,
            resumed.point.clone(),
            parts,
            stats,
        );
        Ok((packer, committer))
    }
}

/// How the manifest of a set begins.
fn manifest_header(options: &BackupOptions) -> Vec<u8> {
    let mut header = Vec::new();
    manifest::write_header(&mut header, &options.hostname, &options.label);
    header
}

/// Time of a new set: now, one second later if a set of this second exists.
///
/// # Errors
/// The newest set lies in the future: times of sets must rise, or the chain cannot be read.
fn set_time(newest: Option<Timestamp>, now: Timestamp) -> Result<Timestamp> {
    match newest {
        Some(newest) if newest > now => Err(Error::new(
            ErrorKind::Clock,
            format!("the clock says {now}, but the newest set at the target is of {newest}"),
        )
        .with_hint("set the clock right")),
        Some(newest) if newest == now => Ok(now.plus(1)),
        _ => Ok(now),
    }
}

fn is_done(change: &crate::engine::stream::change::Change, point: Option<&ResumePoint>) -> bool {
    point.is_some_and(|p| change.path < p.path || (change.path == p.path && p.block.is_none()))
}

/// Counts entries and their sizes as they are walked over.
fn count<'a>(
    walk: impl Iterator<Item = Result<WalkItem>> + Send + 'a,
    seen: Arc<(AtomicU64, AtomicU64)>,
    cx: &'a Context<'a>,
) -> impl Iterator<Item = Result<WalkItem>> + Send + 'a {
    walk.inspect(move |item| {
        if let Ok(WalkItem::Entry { entry, .. }) = item {
            seen.0.fetch_add(1, Ordering::Relaxed);
            seen.1.fetch_add(entry.size, Ordering::Relaxed);
            cx.monitor.count(Counter::SourceEntries, 1);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_is_refused() {
        assert_eq!(
            set_time(Some(Timestamp(10)), Timestamp(9))
                .unwrap_err()
                .kind(),
            ErrorKind::Clock
        );
        assert_eq!(
            set_time(Some(Timestamp(10)), Timestamp(10)).unwrap(),
            Timestamp(11)
        );
        assert_eq!(set_time(None, Timestamp(10)).unwrap(), Timestamp(10));
    }
}
