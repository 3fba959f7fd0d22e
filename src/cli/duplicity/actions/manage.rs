//! `cleanup`, the `remove-…` actions and `replicate`: nothing is deleted without `--force`.

use super::{Done, Session};
use crate::cli::duplicity::fault::Result;
use crate::cli::duplicity::session;
use crate::engine::archive::private_dir;
use crate::engine::collection::{BackupChain, Collection};
use crate::engine::format::SetId;
use crate::engine::ops::replicate::ReplicaOptions;
use crate::engine::time::Timestamp;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

fn whole(chain: &BackupChain) -> Vec<SetId> {
    chain.sets().chain(&chain.replaced).map(|s| s.id).collect()
}

/// All chains but the newest `keep`, newest first.
fn all_but(collection: &Collection, keep: usize) -> impl Iterator<Item = &BackupChain> {
    collection.chains.iter().rev().skip(keep)
}

fn times<'a>(times: impl Iterator<Item = Timestamp> + 'a) -> String {
    let lines: Vec<String> = times.map(|t| t.to_asctime()).collect();
    lines.join("\n")
}

impl Session<'_> {
    pub(super) fn cleanup(&self) -> Result<Done> {
        self.scan()?;
        let force = self.forced();
        let stats = self.engine.cleanup(force, &self.cx)?;
        if let Some(set) = stats.resumable {
            self.log.notice(&format!(
                "The interrupted {set} stays: the next backup goes on with it."
            ));
        }
        if stats.found.is_empty() {
            self.log
                .warn("No extraneous files found, nothing deleted in cleanup.");
            return Ok(Done::Well);
        }
        let files = stats.files.join("\n");
        self.log.notice(&if force {
            format!("Deleting these file(s) from backend:\n{files}")
        } else {
            format!(
                "Found the following file(s) to delete:\n{files}\nRun duplicity again with the --force option to actually delete."
            )
        });
        Ok(Done::Well)
    }

    /// Chains that ended before a time, never the newest.
    pub(super) fn remove_older_than(&self, before: Timestamp) -> Result<Done> {
        let collection = self.scan()?;
        self.remove_before(&collection, before)
    }

    pub(super) fn remove_all_but(&self, keep: usize) -> Result<Done> {
        let collection = self.scan()?;
        let oldest_kept = collection.chains.iter().rev().nth(keep - 1);
        match oldest_kept.map(BackupChain::start) {
            Some(start) => self.remove_before(&collection, start),
            None => self.remove(&[], &whole),
        }
    }

    fn remove_before(&self, collection: &Collection, before: Timestamp) -> Result<Done> {
        let latest = collection.latest_chain();
        let kept = collection.chains.iter().filter(|c| c.end() >= before);
        let needed: Vec<Timestamp> = kept
            .flat_map(BackupChain::sets)
            .map(|s| s.id.time())
            .filter(|t| *t < before)
            .collect();
        if !needed.is_empty() {
            self.log.warn(&format!(
                "There are backup set(s) at time(s):\n{}\nWhich can't be deleted because newer sets depend on them.",
                times(needed.into_iter())
            ));
        }
        if latest.is_some_and(|c| c.end() < before) {
            self.log.warn(
                "The newest chain is older than that, and is kept all the same: the last backup is never deleted here.",
            );
        }
        let old: Vec<&BackupChain> = collection
            .chains
            .iter()
            .filter(|c| c.end() < before && latest.is_none_or(|l| l.start() != c.start()))
            .collect();
        self.remove(&old, &whole)
    }

    pub(super) fn remove_incrementals_of_all_but(&self, keep: usize) -> Result<Done> {
        let collection = self.scan()?;
        let mut chains: Vec<&BackupChain> = all_but(&collection, keep)
            .filter(|c| !c.incrementals.is_empty() || !c.replaced.is_empty())
            .collect();
        chains.reverse();
        let incrementals = |chain: &BackupChain| {
            let sets = chain.incrementals.iter().chain(&chain.replaced);
            sets.map(|s| s.id).filter(|id| !id.is_full()).collect()
        };
        self.remove(&chains, &incrementals)
    }

    fn remove(
        &self,
        chains: &[&BackupChain],
        sets: &dyn Fn(&BackupChain) -> Vec<SetId>,
    ) -> Result<Done> {
        if chains.is_empty() {
            self.log
                .notice("No old backup sets found, nothing deleted.");
            return Ok(Done::Well);
        }
        let ends = times(chains.iter().map(|c| c.end()));
        if !self.args.has("force") {
            self.log.notice(&format!(
                "Found old backup chain(s) at the following time:\n{ends}\nRerun command with --force option to actually delete."
            ));
            return Ok(Done::Well);
        }
        self.log
            .notice(&format!("Deleting backup chain(s) at time:\n{ends}"));
        if self.args.has("dry-run") {
            return Ok(Done::Well);
        }
        let doomed: Vec<SetId> = chains.iter().flat_map(|c| sets(c)).collect();
        self.engine.remove(&doomed, &self.cx)?;
        Ok(Done::Well)
    }

    /// Copies sets older than `--time` from the target `from` to this one.
    pub(super) fn replicate(&self, from: &OsStr, temp: &Path) -> Result<Done> {
        let scratch = private_dir("dupr-replicate-", temp)?;
        let (args, world, log) = (self.args, self.world, self.log);
        let origin = session::origin(args, from, temp, scratch.path(), world, log)?;
        let _lock = origin.lock("replicate", Duration::ZERO, &self.cx)?;
        let dry = args.has("dry-run");
        let options = ReplicaOptions {
            before: self.at()?,
            dry,
            ..ReplicaOptions::default()
        };
        let stats = origin.replicate(&self.engine, &options, &self.cx)?;
        let verb = if dry { "Would copy" } else { "Copied" };
        if stats.sets.is_empty() && stats.already == 0 {
            log.notice("There is no set to be copied.");
            return Ok(Done::Well);
        }
        log.notice(&format!(
            "{verb} {} set(s) with {} volume(s); {} set(s) were there already.",
            stats.sets.len(),
            stats.volumes,
            stats.already
        ));
        Ok(Done::Well)
    }
}
