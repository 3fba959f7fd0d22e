//! Going on with an interrupted set: what of it is safely at the target, and whether it still fits.

use super::backup::{BackupOptions, Mode};
use super::basis::KEY_IS_LOCKED;
use crate::engine::archive::{Checkpoint, JournalHead};
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::{FileKind, SetId};
use crate::engine::monitor::Level;
use crate::engine::path::PathIndex;
use crate::engine::pipeline::ResumePoint;
use crate::engine::target::Engine;
use crate::engine::tree::{Source, stamp_of};
use sha1::{Digest, Sha1};
use std::io::Read;
use std::path::PathBuf;

/// A set that was being written when its run ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartialSet {
    /// The set.
    pub set: SetId,
    /// The volume a resumed run writes next.
    pub next_volume: u32,
    /// Whether volumes of it are known to be at the target. What duplicity left is checked before any is kept.
    pub resumable: bool,
}

/// What is kept of an interrupted set.
#[derive(Default)]
pub(super) struct Resumed {
    pub checkpoints: Vec<Checkpoint>,
    pub point: Option<ResumePoint>,
}

impl Engine {
    /// The set that was being written when the last run ended, as the archive dir knows it.
    ///
    /// # Errors
    /// The archive dir cannot be read.
    pub fn partial(&self) -> Result<Option<PartialSet>> {
        if let Some((head, checkpoints)) = self.own_journal()? {
            let done = checkpoints.last().map_or(0, |c| c.volume);
            return Ok(Some(PartialSet {
                set: head.set,
                next_volume: done + 1,
                resumable: done > 0,
            }));
        }
        let Some(set) = self.archive.part_sets()?.pop() else {
            return Ok(None);
        };
        let part = self.foreign_part(set);
        let told = part.map_or(0, |part| part.volumes.len() as u32);
        Ok(Some(PartialSet {
            set,
            next_volume: told + 1,
            resumable: told > 0,
        }))
    }

    /// The journal of an interrupted run, if its part files are still as it left them. Another program may have gone on with
    /// the set since, finished or removed it.
    fn own_journal(&self) -> Result<Option<(JournalHead, Vec<Checkpoint>)>> {
        let journal = self.archive.journal()?;
        Ok(journal.filter(|(head, _)| self.archive.owns_parts(head.set)))
    }

    /// Where to go on, if an interrupted set is there and everything about it still fits.
    ///
    /// # Errors
    /// The archive dir cannot be read.
    pub(super) fn resume_point(
        &self,
        source: &Source,
        options: &BackupOptions,
        collection: &Collection,
        cx: &Context,
    ) -> Result<Option<(SetId, Resumed)>> {
        let own = self.own_journal()?;
        let left = match &own {
            Some((head, _)) => Some(head.set),
            None => self.archive.part_sets()?.pop(),
        };
        let Some(set) = left else {
            return Ok(None);
        };
        let because = |reason: &str| {
            cx.monitor.note(
                Level::Notice,
                &format!("the interrupted {set} is not resumed: {reason}"),
            );
            Ok(None)
        };
        if collection.every_set().any(|s| s.id == set) {
            // Only the last local steps were missing.
            return Ok(None);
        }
        if options.fresh {
            return because("a new one was asked for");
        }
        if options.mode == Mode::Full && !set.is_full() {
            return because("a full backup was asked for");
        }
        let chain_end = collection.latest_chain().map(|c| c.end());
        if chain_end.is_some_and(|end| end >= set.time())
            || (set.basis().is_some() && set.basis() != chain_end)
        {
            return because("the target holds newer sets");
        }
        let there = collection.incomplete.iter().find(|s| s.id == set);
        let stored = |c: &Checkpoint| {
            there
                .and_then(|s| s.volumes.get(&c.volume))
                .is_some_and(|v| v.size == c.volume_bytes)
        };
        let mut checkpoints = match own {
            Some((head, _)) if head.settings != self.settings_digest(options) => {
                return because("the settings changed");
            }
            Some((_, mut checkpoints)) => {
                let good = checkpoints.iter().take_while(|c| stored(c)).count();
                checkpoints.truncate(good);
                checkpoints
            }
            None => match self.adopt(set, source, options, collection, cx)? {
                Ok(checkpoints) => checkpoints,
                Err(doubt) => return because(&doubt),
            },
        };
        let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |m| m.len());
        let (sigtar, filelist) = (
            length(self.archive.part_sigtar()),
            length(self.archive.part_filelist()),
        );
        while let Some(last) = checkpoints.last() {
            let whole = last.sigtar_bytes <= sigtar && last.filelist_bytes <= filelist;
            let path = last.end();
            let unchanged = match (&last.cut_file, &path, last.end_block) {
                (_, Some(_), None) => true,
                (Some(stamp), Some(path), Some(_)) => source
                    .open(path, stamp)
                    .is_ok_and(|f| stamp_of(&f).is_ok_and(|now| now == *stamp)),
                _ => false,
            };
            let is_dir = |p: &PathIndex| source.look(p).is_ok_and(|(entry, _)| entry.kind.is_dir());
            // What is in a folder that came in the place of a file would be stored below that file.
            let unchanged = unchanged && (last.end_is_dir || !path.as_ref().is_some_and(is_dir));
            if let (true, true, Some(path)) = (whole, unchanged, path) {
                let point = Some(ResumePoint {
                    path,
                    block: last.end_block,
                    stamp: last.cut_file,
                });
                self.check_partial_key(there, cx)?;
                cx.monitor.note(
                    Level::Notice,
                    &format!(
                        "going on with the interrupted {set} at volume {}",
                        last.volume + 1
                    ),
                );
                return Ok(Some((set, Resumed { checkpoints, point })));
            }
            // Back to the last volume that ended between two entries, or in a file that is as it was.
            checkpoints.pop();
        }
        because("none of its volumes can be kept")
    }

    /// Lists the target. If the last run ended while its manifest was on the way and a torn one is there, that goes
    /// first: it makes a set look complete that is not.
    ///
    /// # Errors
    /// The target cannot be listed or read.
    pub(super) fn scan_mended(&self, cx: &Context) -> Result<Collection> {
        let collection = self.scan(cx)?;
        let (unfinished, last) = match (self.own_journal()?, self.archive.part_sets()?.pop()) {
            (Some((head, done)), _) if !self.archive.has(head.set, FileKind::Manifest) => {
                (head.set, done.last().map_or(0, |c| c.volume))
            }
            // duplicity renames its part manifest once the one at the target is whole.
            (None, Some(set)) => {
                let told = self.foreign_part(set).unwrap_or_default().volumes;
                (set, told.keys().next_back().copied().unwrap_or(0))
            }
            _ => return Ok(collection),
        };
        let Some(set) = collection.every_set().find(|s| s.id == unfinished) else {
            return Ok(collection);
        };
        let is_torn = match self.remote_manifest(set, cx) {
            Ok((_, manifest)) => !manifest.has_list || !manifest.volumes.contains_key(&last),
            Err(e) if e.kind() == ErrorKind::Corrupt => true,
            Err(e) if e.kind() == ErrorKind::WrongKey => false,
            Err(e) => return Err(e),
        };
        match &set.manifest {
            Some(manifest) if is_torn => {
                cx.monitor.note(
                    Level::Notice,
                    &format!("the manifest of the {} is torn; removing it", set.id),
                );
                self.delete(manifest, true)?;
                self.scan(cx)
            }
            _ => Ok(collection),
        }
    }

    /// The volumes that are there must open with today's key.
    fn check_partial_key(&self, set: Option<&BackupSet>, cx: &Context) -> Result<()> {
        let Some(first) = set.and_then(|s| s.volumes.get(&1)) else {
            return Ok(());
        };
        if !self.target.seal.can_read_back() || !first.parsed.form.is_encrypted() {
            return Ok(());
        }
        let mut byte = [0];
        let opened = self
            .fetch(first, None, cx)
            .and_then(|mut r| Ok(r.read(&mut byte)?));
        match opened {
            Err(e) if e.kind() == ErrorKind::WrongKey && !self.target.seal.can_read_back() => {
                cx.monitor.note(Level::Notice, KEY_IS_LOCKED);
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::WrongKey => Err(Error::new(
                ErrorKind::WrongKey,
                "the key does not open the volumes of the interrupted run",
            )
            .with_source(e)
            .with_hint("use the passphrase or key of that run, or start a new set with --fresh")),
            _ => Ok(()),
        }
    }

    /// Digest of everything that must be the same in the run that goes on.
    pub(super) fn settings_digest(&self, options: &BackupOptions) -> String {
        let text = format!(
            "{:?} {:?} {} {:?} {:?} {:?} {}",
            String::from_utf8_lossy(&options.label),
            String::from_utf8_lossy(&options.hostname),
            options.volume_bytes,
            options.max_block,
            self.target.seal.form(),
            self.target.naming,
            options.fingerprint,
        );
        Sha1::digest(text.as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    /// Removes volumes of `set` beyond its last: an earlier run got further before it was cut back.
    pub(super) fn remove_surplus(
        &self,
        before: &Collection,
        set: SetId,
        volumes: u64,
    ) -> Result<()> {
        let there = before
            .incomplete
            .iter()
            .filter(|s| s.id == set)
            .flat_map(|s| &s.volumes);
        for (_, file) in there.filter(|(number, _)| u64::from(**number) > volumes) {
            self.delete(file, false)?;
        }
        Ok(())
    }

    /// Once a new set is complete: removes what the runs in `abandoned` left at the target. Only sets whose part
    /// files are here: any other incomplete set may be another program's work in progress.
    pub(super) fn remove_abandoned(
        &self,
        before: &Collection,
        abandoned: &[SetId],
        made: SetId,
        cx: &Context,
    ) -> Result<()> {
        for set in before
            .incomplete
            .iter()
            .filter(|s| s.id != made && abandoned.contains(&s.id))
        {
            cx.monitor.note(
                Level::Notice,
                &format!("removing what is left of the interrupted {}", set.id),
            );
            for file in set.files() {
                self.target.storage.delete(&file.name)?;
            }
        }
        Ok(())
    }
}
