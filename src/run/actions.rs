//! Steps done by the engine: one arm per [`Action`], each a call.

use super::open::{self, Surroundings};
use super::outcome::StepOutcome;
use super::products::{Products, TargetView};
use super::runner::Actions;
use super::snapshot::{self, Snapshot};
use super::{checks, dump, search};
use crate::engine::collection::Collection;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::monitor::Level;
use crate::engine::ops::backup::Mode;
use crate::engine::ops::replicate::ReplicaOptions;
use crate::engine::ops::restore::RestoreOptions;
use crate::engine::ops::verify::VerifyOptions;
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::engine::tree::write::Existing;
use crate::engine::tree::{Source, WriteOptions};
use crate::plan::batch::Overwrite;
use crate::plan::state::{Damage, Partial};
use crate::plan::{Action, BackupAction, BackupMode, RemoveAction, Step};
use crate::profile::Profile;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Does steps with the engine.
pub struct EngineActions<'a> {
    /// The opened target.
    pub engine: &'a Engine,
    /// The target it is a copy of.
    pub origin: Option<&'a Engine>,
    /// What the user declared.
    pub profile: &'a Profile,
    /// What was handed down from the outside.
    pub around: &'a Surroundings<'a>,
    /// Takes listings and differences.
    pub products: Mutex<&'a mut (dyn Products + Send)>,
    /// Whether a set of this run lacks a dump.
    pub dumps_failed: AtomicBool,
}

impl Actions for EngineActions<'_> {
    fn act(
        &self,
        step: &Step,
        _attempt: u32,
        done: &mut StepOutcome,
        cx: &Context<'_>,
    ) -> Result<()> {
        let outcome = self.work(step, done, cx);
        if matches!(
            step.action,
            Action::Restore { .. } | Action::Verify { .. } | Action::Check(_)
        ) {
            let lossy = done.problem_count > 0
                || matches!(&outcome, Err(e) if e.kind() == ErrorKind::Corrupt);
            done.damaged = Some(self.damaged_sets(lossy, cx));
        }
        outcome
    }
}

impl<'a> EngineActions<'a> {
    fn work(&self, step: &Step, done: &mut StepOutcome, cx: &Context<'_>) -> Result<()> {
        match &step.action {
            // The runner runs hooks itself.
            Action::Hook(_) => Ok(()),
            Action::Backup(action) => self.backup(action, done, cx),
            Action::Restore {
                path,
                destination,
                time,
                force,
                overwrite,
            } => {
                let existing = match overwrite {
                    Some(Overwrite::Never) => Existing::Keep,
                    Some(Overwrite::Older) => Existing::Older,
                    Some(Overwrite::Always) => Existing::Merge,
                    None if *force => Existing::Merge,
                    None => Existing::Refuse,
                };
                let write = WriteOptions {
                    existing,
                    ..WriteOptions::default()
                };
                let options = RestoreOptions {
                    time: *time,
                    path: index(path)?,
                    write,
                };
                self.restore(destination, &options, done, cx)
            }
            Action::Verify {
                path,
                local,
                time,
                compare,
            } => self.verify(path, local, *time, *compare, done, cx),
            Action::List { time } => self.engine.list(*time, *self.products(), cx).map(|_| ()),
            Action::Status => self.status(cx),
            Action::Remove(action) => self.remove(action, done, cx),
            Action::Cleanup { force } => self.cleanup(*force, done, cx),
            Action::Sync => {
                let collection = self.engine.scan(cx)?;
                self.engine.sync(&collection, cx)
            }
            Action::Replicate(_) => self.replicate(done, cx),
            Action::Check(kind) => checks::check(self.engine, self.profile, *kind, done, cx),
            Action::Members { .. } => Err(Error::new(
                ErrorKind::Internal,
                "a profile has no members to run",
            )),
            Action::Find { pattern } => search::find(self.engine, pattern, *self.products(), cx),
            Action::Versions { path } => {
                search::versions(self.engine, &index(path)?, *self.products(), cx)
            }
            Action::Diff { from, to } => {
                search::diff(self.engine, *from, *to, *self.products(), cx)
            }
        }
    }

    /// Sets known to be damaged. After losses the target is looked at as well, for volumes that are missing or too short.
    fn damaged_sets(&self, lossy: bool, cx: &Context<'_>) -> Vec<SetId> {
        let mut sets = self.engine.archive().damaged_sets();
        if lossy && let Ok(collection) = self.engine.scan(cx) {
            for chain in &collection.chains {
                let damage = self.engine.damage_of(chain, cx).unwrap_or_default();
                sets.extend(damage.iter().filter(|d| d.data_lost).map(|d| d.set));
            }
        }
        sets.sort();
        sets.dedup();
        sets
    }

    fn products(&self) -> std::sync::MutexGuard<'_, &'a mut (dyn Products + Send)> {
        self.products.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backup(
        &self,
        action: &BackupAction,
        done: &mut StepOutcome,
        cx: &Context<'_>,
    ) -> Result<()> {
        let mode = match action.mode {
            BackupMode::Full => Mode::Full,
            BackupMode::Incremental => Mode::Incremental,
            BackupMode::Resume { set, .. } if set.is_full() => Mode::Full,
            BackupMode::Resume { .. } => Mode::Incremental,
        };
        let dumping = dump::prepare(self.profile, self.around, cx);
        let snapshot = snapshot::take(self.profile, cx)?;
        let root = snapshot.as_ref().map(Snapshot::root);
        let root = root.unwrap_or(&self.profile.source.root);
        let mut source = open::source_at(self.profile, root, cx.now, self.around.zone)?;
        if let Some(dumping) = &dumping {
            source = source.with_dumps(dumping.dumps());
        }
        let options = open::backup_options(self.profile, mode, self.around.host);
        let report = self.engine.backup(&source, &options, cx)?;
        drop(snapshot);
        done.problem_count = report.stats.problems;
        done.set = Some(report.set);
        done.backup = Some(report.stats);
        match dumping.map_or(Ok(()), |d| d.end(cx)) {
            Ok(()) => Ok(()),
            Err(e) => {
                self.dumps_failed.store(true, Ordering::SeqCst);
                Err(e)
            }
        }
    }

    fn restore(
        &self,
        destination: &Path,
        options: &RestoreOptions,
        done: &mut StepOutcome,
        cx: &Context<'_>,
    ) -> Result<()> {
        let stats = self.engine.restore(destination, options, cx)?;
        done.problem_count = stats.problems;
        done.restore = Some(stats);
        Ok(())
    }

    fn verify(
        &self,
        path: &Path,
        local: &Path,
        time: Option<Timestamp>,
        compare: bool,
        done: &mut StepOutcome,
        cx: &Context<'_>,
    ) -> Result<()> {
        let source = if local == self.profile.source.root {
            open::source(self.profile, cx.now, self.around.zone)?
        } else {
            Source::new(local)
        };
        let options = VerifyOptions {
            time,
            path: index(path)?,
            compare,
        };
        let stats = self
            .engine
            .verify(&source, &options, *self.products(), cx)?;
        done.problem_count = stats.problems;
        done.restore = Some(stats);
        Ok(())
    }

    fn status(&self, cx: &Context<'_>) -> Result<()> {
        let collection = self.engine.scan(cx)?;
        let mut damaged = Vec::new();
        let newest = collection.latest_chain();
        for chain in &collection.chains {
            match self.engine.damage_of(chain, cx) {
                Ok(list) => damaged.extend(list.into_iter().map(|d| Damage {
                    set: d.set,
                    reason: d.reason,
                })),
                // Without the key the listing is all there is to tell. Of the newest chain it was told before the plan.
                Err(e) if e.kind() == ErrorKind::WrongKey => {
                    if newest != Some(chain) {
                        cx.monitor.note(Level::Notice, &e.to_string());
                    }
                }
                Err(e) => return Err(e),
            }
        }
        let partial = self.engine.partial()?.filter(|p| p.resumable);
        self.products().status(&TargetView {
            target: &self.engine.location().to_string(),
            collection: &collection,
            damaged: &damaged,
            partial: partial.map(|p| Partial {
                set: p.set,
                next_volume: p.next_volume,
            }),
        })
    }

    fn remove(
        &self,
        action: &RemoveAction,
        done: &mut StepOutcome,
        cx: &Context<'_>,
    ) -> Result<()> {
        let sets: Vec<_> = action.sets.iter().map(|r| r.set).collect();
        if sets.is_empty() {
            return Ok(());
        }
        if self.dumps_failed.load(Ordering::SeqCst) {
            return Err(Error::new(
                ErrorKind::Source,
                "nothing was removed: the set of this run lacks a dump, and an older one may hold its last",
            ));
        }
        let collection = self.engine.scan(cx)?;
        guard(action, &collection)?;
        if !action.force {
            cx.monitor.note(
                Level::Notice,
                "nothing was removed: --force, or force = true under [retention], removes",
            );
            done.removed = sets;
            return Ok(());
        }
        let removal = self.engine.remove(&sets, cx);
        let Some(stats) = self.permitted(removal, &collection, cx)? else {
            return Ok(());
        };
        done.removed = stats.sets;
        done.freed_bytes = stats.bytes;
        Ok(())
    }

    fn replicate(&self, done: &mut StepOutcome, cx: &Context<'_>) -> Result<()> {
        let Some(origin) = self.origin else {
            return Err(Error::new(ErrorKind::Internal, "the origin is not open"));
        };
        let options = ReplicaOptions {
            read_back: true,
            go_on: true,
            refuse_emptied: !self.profile.backup.once.allow_empty_target,
            ..ReplicaOptions::default()
        };
        let stats = origin.replicate(self.engine, &options, cx)?;
        let there = self.engine.scan(cx)?;
        done.set = there.sets().map(|s| s.id).max_by_key(|id| id.time());
        let left_out = stats.left_out.len();
        let first = stats.left_out.first().cloned();
        done.replica = Some(stats);
        first.map_or(Ok(()), |first| {
            let text = format!("cannot copy the {}: {}", first.set, first.reason);
            let error = Error::new(ErrorKind::Corrupt, text);
            Err(match left_out {
                1 => error,
                n => error.with_hint(format!("{n} sets were left out, the others are copied")),
            })
        })
    }

    /// What a removal did; `None` where the target permits none. That is what such a target is there for, and no failure.
    fn permitted<T>(
        &self,
        removal: Result<T>,
        before: &Collection,
        cx: &Context<'_>,
    ) -> Result<Option<T>> {
        let files = |collection: &Collection| -> usize {
            let left_over = collection.orphans.iter().chain(&collection.incomplete);
            let replaced = collection.chains.iter().flat_map(|c| &c.replaced);
            let sets = collection.sets().chain(replaced).chain(left_over);
            sets.map(|set| set.files().count()).sum()
        };
        match removal {
            Err(e) if e.kind() == ErrorKind::Denied => {
                // A target that lets go of some files and not of others is in a state nobody asked for.
                if files(&self.engine.scan(cx)?) < files(before) {
                    return Err(e);
                }
                let text = format!("nothing was removed: the target does not permit it ({e})");
                cx.monitor.note(Level::Notice, &text);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    fn cleanup(&self, force: bool, done: &mut StepOutcome, cx: &Context<'_>) -> Result<()> {
        let before = self.engine.scan(cx)?;
        let removal = self.engine.cleanup(force, cx);
        let Some(stats) = self.permitted(removal, &before, cx)? else {
            return Ok(());
        };
        if let Some(set) = stats.resumable {
            cx.monitor.note(
                Level::Notice,
                &format!("{set} stays: the next backup goes on with it"),
            );
        }
        if !force && !stats.found.is_empty() {
            let files = stats.files.len();
            cx.monitor.note(
                Level::Notice,
                &format!("nothing was removed: {files} files would be with --force"),
            );
            done.removed = stats.found;
            return Ok(());
        }
        done.removed = stats.removed.sets;
        done.freed_bytes = stats.removed.bytes;
        Ok(())
    }
}

/// Whether the plan still fits what is at the target now. The engine checks dependencies once more itself.
///
/// Everything that is to stay must be there. The set made by this very run is one of those; it has the time at
/// which it really began, so any newer one of its kind stands for it. A backup that was to come first and failed
/// so stops the removal.
fn guard(action: &RemoveAction, now: &Collection) -> Result<()> {
    let there = |set: &SetId| now.sets().any(|s| s.id == *set);
    let missing: Vec<SetId> = action
        .kept
        .iter()
        .map(|r| r.set)
        .filter(|s| !there(s))
        .collect();
    let newest = action
        .kept
        .iter()
        .map(|r| r.set)
        .filter(there)
        .map(|s| s.time())
        .max();
    let stand_in = |gone: &SetId| {
        now.sets()
            .any(|s| s.id.is_full() == gone.is_full() && newest.is_none_or(|n| s.id.time() > n))
    };
    match missing.as_slice() {
        [] => Ok(()),
        [made] if stand_in(made) => Ok(()),
        [first, ..] => Err(Error::new(
            ErrorKind::NotFound,
            format!("nothing was removed: {first}, which was to stay, is not at the target"),
        )
        .with_hint("make a backup that succeeds first; removal is planned anew with each run")),
    }
}

/// A path on the command line as the engine has it.
fn index(path: &Path) -> Result<PathIndex> {
    PathIndex::new(path.as_os_str().as_bytes()).map_err(|e| {
        Error::new(
            ErrorKind::Usage,
            format!("{} cannot be looked up in a backup: {e}", path.display()),
        )
        .with_hint("give it relative to the source, without `..`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::collection::{BackupChain, BackupSet};
    use crate::plan::Removal;

    fn removal(time: i64) -> Removal {
        let time = Timestamp(time);
        Removal {
            set: SetId::Full { time },
            chain: time,
            bytes: 0,
            reason: String::new(),
        }
    }

    #[test]
    fn a_removal_needs_everything_that_is_to_stay() {
        let collection = |times: &[i64]| Collection {
            chains: times
                .iter()
                .map(|time| BackupChain {
                    full: BackupSet::new(SetId::Full {
                        time: Timestamp(*time),
                    }),
                    incrementals: Vec::new(),
                    replaced: Vec::new(),
                })
                .collect(),
            ..Collection::default()
        };
        let action = RemoveAction {
            rule: "keep-fulls 2".into(),
            sets: vec![removal(1)],
            kept: vec![removal(20), removal(30)],
            force: true,
        };
        assert!(guard(&action, &collection(&[1, 20, 30])).is_ok());
        // The set of this run began a little later than it was planned.
        assert!(guard(&action, &collection(&[1, 20, 33])).is_ok());
        let backup_failed = guard(&action, &collection(&[1, 20])).unwrap_err();
        assert!(
            backup_failed
                .to_string()
                .starts_with("nothing was removed: full "),
            "{backup_failed}"
        );
        assert!(guard(&action, &collection(&[1, 33])).is_err());
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        assert!(index(Path::new("Mail/inbox")).is_ok());
        assert_eq!(
            index(Path::new("../etc")).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }
}
