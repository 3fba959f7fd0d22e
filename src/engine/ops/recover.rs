//! For the worst day: restores what can be restored from whatever is left of a chain, and tells the rest.
//!
//! Sets need no manifest and no sigtar here, volumes may be missing or damaged, increments may be gone. What is written is
//! either as it was, or told to be doubtful: an older state, or from a volume that fails its hash. A delta is never applied
//! to what it was not made for.

use super::replay::Visitor;
use super::restore::{Restore, RestoreOptions, Written};
use super::set_stream::Care;
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::monitor::{Counted, Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::select::Selection;
use crate::engine::stats::RestoreStats;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::engine::tree::{TreeWriter, WriteOptions};
use std::path::Path;

impl Engine {
    /// Restores to `destination`, which must not exist or be an empty directory, what is left of the state at
    /// `options.time`. Everything that is lost or doubtful is a problem.
    ///
    /// # Errors
    /// `NoBackup` if no volume is there, `WrongKey` if no key opens any, trouble with target or destination.
    pub fn recover(
        &self,
        destination: &Path,
        options: &RestoreOptions,
        cx: &Context,
    ) -> Result<RestoreStats> {
        let counted = Counted::new(cx.monitor);
        let cx = &Context {
            monitor: &counted,
            ..*cx
        };
        let collection = self.scan(cx)?;
        let sets = what_is_left(&collection, options.time.unwrap_or(Timestamp(i64::MAX)));
        if sets.iter().all(|set| set.volumes.is_empty()) {
            let text = format!("there is no volume of a backup at {}", self.location());
            return Err(Error::new(ErrorKind::NoBackup, text)
                .with_hint("check the place and the file prefix"));
        }
        for set in sets.iter().filter(|set| set.files().next().is_none()) {
            let text = format!("nothing is left of the {}", set.id);
            cx.monitor.note(Level::Warning, &text);
        }
        let write = WriteOptions {
            part: options.path.clone(),
            ..options.write.clone()
        };
        let writer = TreeWriter::create(destination, write, cx)?;
        let everything = Selection::everything();
        let mut visitor = Restore::into(writer, &everything, cx);
        let sets: Vec<&BackupSet> = sets.iter().collect();
        let shown: &mut dyn Visitor = &mut visitor;
        let replayed = self.replay_sets(&sets, &options.path, Care::Salvage, shown, cx)?;
        let Written {
            mut stats,
            mut doubts,
            ..
        } = visitor.finish()?;
        let place = |path: &PathIndex| match path.relative_to(&options.path) {
            Some(path) if !path.is_root() => destination.join(path.as_path()),
            _ => destination.to_owned(),
        };
        self.vouch(&sets, &mut doubts, &place, cx)?;
        for (path, reason) in &doubts {
            let problem = Problem::new(ProblemKind::Doubtful, path, reason);
            cx.monitor.problem(problem);
        }
        stats.volumes = replayed.volumes;
        stats.problems = counted.problems();
        if replayed.losses > 0 {
            stats.problems = stats.problems.max(1);
        }
        Ok(stats)
    }
}

/// The sets that make up the state at `time`, oldest first, as far as their names are left. Those of which nothing is left
/// stand there empty, so that it is known where something is missing.
fn what_is_left(collection: &Collection, time: Timestamp) -> Vec<BackupSet> {
    let sets = collection.every_set().chain(&collection.incomplete);
    let mut sets: Vec<&BackupSet> = sets.filter(|s| s.id.time() <= time).collect();
    sets.sort_by_key(|s| s.id.time());
    let full = sets
        .iter()
        .rfind(|s| s.id.is_full() && !s.volumes.is_empty());
    let (mut chain, mut end) = match full {
        Some(full) => (vec![(*full).clone()], full.id.time()),
        None => (Vec::new(), Timestamp(i64::MIN)),
    };
    // Each step takes the increment that begins where the last one ended, or the first that begins later.
    loop {
        let next = sets
            .iter()
            .filter(|s| s.id.basis().is_some_and(|basis| basis >= end))
            .min_by_key(|s| (s.id.basis(), std::cmp::Reverse(s.volumes.len())));
        let Some((next, basis)) = next.and_then(|s| Some((*s, s.id.basis()?))) else {
            return chain;
        };
        if basis > end {
            let gone = match chain.is_empty() {
                true => SetId::Full { time: basis },
                false => SetId::Incremental {
                    start: end,
                    end: basis,
                },
            };
            chain.push(BackupSet::new(gone));
        }
        end = next.id.time();
        chain.push(next.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::names::Naming;
    use crate::engine::storage::Object;

    fn left(names: &[&str]) -> Vec<(i64, usize)> {
        let objects: Vec<Object> = names
            .iter()
            .map(|name| Object {
                name: (*name).to_owned(),
                size: 1,
            })
            .collect();
        let collection = Collection::from_listing(&objects, &Naming::default());
        what_is_left(&collection, Timestamp(i64::MAX))
            .iter()
            .map(|s| (s.id.time().as_secs() % 100, s.volumes.len()))
            .collect()
    }

    #[test]
    fn missing_links_keep_their_places() {
        let (full, one, two) = (
            "duplicity-full.20260101T000000Z.vol1.difftar.gz",
            "duplicity-inc.20260101T000000Z.to.20260101T000010Z.vol1.difftar.gz",
            "duplicity-inc.20260101T000010Z.to.20260101T000020Z.vol1.difftar.gz",
        );
        assert_eq!(left(&[full, one, two]), [(0, 1), (10, 1), (20, 1)]);
        assert_eq!(left(&[full, two]), [(0, 1), (10, 0), (20, 1)]);
        assert_eq!(left(&[one, two]), [(0, 0), (10, 1), (20, 1)]);
        assert_eq!(left(&[two]), [(10, 0), (20, 1)]);
        assert!(left(&["duplicity-full.20260101T000000Z.manifest"]).is_empty());
    }
}
