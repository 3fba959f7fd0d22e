//! Chains: a full set and the incrementals that follow it, linked by time.

use super::set::{BackupSet, StoredFile};
use crate::engine::format::SetId;
use crate::engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A full set and its incrementals, oldest first, each building on the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupChain {
    /// The full set.
    pub full: BackupSet,
    /// The incrementals, oldest first.
    pub incrementals: Vec<BackupSet>,
    /// Complete sets a later one took the place of: same basis, later time. Restores ignore them.
    #[serde(default)]
    pub replaced: Vec<BackupSet>,
}

impl BackupChain {
    /// Time of the full set.
    pub fn start(&self) -> Timestamp {
        self.full.id.time()
    }

    /// Time of the newest set.
    pub fn end(&self) -> Timestamp {
        self.incrementals.last().unwrap_or(&self.full).id.time()
    }

    /// The sets, oldest first.
    pub fn sets(&self) -> impl DoubleEndedIterator<Item = &BackupSet> {
        std::iter::once(&self.full).chain(&self.incrementals)
    }

    /// The sets that make up the state at `time`: the full one and every incremental made by then.
    pub fn sets_at(&self, time: Timestamp) -> impl Iterator<Item = &BackupSet> {
        std::iter::once(&self.full).chain(
            self.incrementals
                .iter()
                .take_while(move |s| s.id.time() <= time),
        )
    }

    /// The sets that made up the state at `time` as it was seen then: a set that was replaced later counts until
    /// then.
    pub fn state_at(&self, time: Timestamp) -> Vec<&BackupSet> {
        let by_then = || {
            self.sets()
                .chain(&self.replaced)
                .filter(move |s| s.id.time() <= time)
        };
        let mut sets = Vec::new();
        let mut next = by_then().max_by_key(|s| s.id.time());
        while let Some(set) = next {
            sets.push(set);
            next = set
                .id
                .basis()
                .and_then(|basis| by_then().find(|s| s.id.time() == basis && s.id != set.id));
        }
        match sets.last() {
            Some(set) if set.id.is_full() => sets.into_iter().rev().collect(),
            // A time before the first backup, or a gap that only an older replaced set has.
            _ => self.sets_at(time).collect(),
        }
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.sets()
            .chain(&self.replaced)
            .map(BackupSet::bytes)
            .sum()
    }
}

/// The sigtars that belong to a chain, oldest first, as far as they are there without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureChain {
    /// One file per set.
    pub files: Vec<StoredFile>,
}

/// Links complete sets by time; what fits nowhere is orphaned.
///
/// An incremental that builds on an earlier set of a chain replaces what came after that set: duplicity makes such
/// sets after it lost a sigtar, and any program after a listing that did not show the newest sets.
pub(super) fn build(mut sets: Vec<BackupSet>) -> (Vec<BackupChain>, Vec<BackupSet>) {
    sets.sort_by_key(|s| (s.id.time(), s.id));
    let mut chains: Vec<BackupChain> = Vec::new();
    let mut orphans = Vec::new();
    for set in sets {
        let SetId::Incremental { start, end } = set.id else {
            chains.push(BackupChain {
                full: set,
                incrementals: Vec::new(),
                replaced: Vec::new(),
            });
            continue;
        };
        if let Some(chain) = chains.iter_mut().find(|c| c.end() == start && end > start) {
            chain.incrementals.push(set);
        } else if let Some((chain, kept)) = chains.iter_mut().find_map(|c| {
            let kept = c.sets().position(|s| s.id.time() == start)?;
            (end > c.end()).then_some((c, kept))
        }) {
            let old = chain.incrementals.split_off(kept);
            chain.replaced.extend(old);
            chain.incrementals.push(set);
        } else {
            orphans.push(set);
        }
    }
    chains.sort_by_key(BackupChain::start);
    (chains, orphans)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain_of(sets: &[(i64, i64)]) -> (Vec<BackupChain>, Vec<BackupSet>) {
        let id = |(start, end): &(i64, i64)| match start {
            0 => SetId::Full {
                time: Timestamp(*end),
            },
            _ => SetId::Incremental {
                start: Timestamp(*start),
                end: Timestamp(*end),
            },
        };
        build(sets.iter().map(|s| BackupSet::new(id(s))).collect())
    }

    fn times(sets: &[&BackupSet]) -> Vec<i64> {
        sets.iter().map(|s| s.id.time().as_secs()).collect()
    }

    #[test]
    fn a_set_built_on_an_earlier_one_replaces_what_came_between() {
        let (chains, orphans) =
            chain_of(&[(0, 10), (10, 20), (20, 30), (30, 40), (20, 50), (50, 60)]);
        assert_eq!((chains.len(), orphans.len()), (1, 0));
        let state = |time| times(&chains[0].state_at(Timestamp(time)));
        assert_eq!(state(60), [10, 20, 50, 60]);
        assert_eq!(state(50), [10, 20, 50]);
        assert_eq!(state(45), [10, 20, 30, 40], "as it was seen then");
        assert_eq!(state(30), [10, 20, 30]);
        assert_eq!(
            state(5),
            [10],
            "a time before the first backup means the first"
        );
        assert_eq!(
            times(&chains[0].replaced.iter().collect::<Vec<_>>()),
            [30, 40]
        );
    }

    #[test]
    fn an_increment_without_its_basis_is_an_orphan() {
        let (chains, orphans) = chain_of(&[(0, 10), (15, 20), (20, 30)]);
        assert_eq!((chains.len(), orphans.len()), (1, 2));
    }
}
