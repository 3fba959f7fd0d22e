//! What a signature chain knows: for each path what the newest sigtar that mentions it says, deletions left out.

use super::{Keyed, out_of_order};
use crate::engine::error::Result;
use crate::engine::format::sigtar::{SigEntry, SigState};
use crate::engine::path::PathIndex;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

impl Keyed for SigEntry {
    fn path(&self) -> &PathIndex {
        &self.path
    }
}

/// Sigtars of a chain laid over each other. Sorted, one entry a path, nothing deleted in it.
///
/// An error of any stream, or a stream out of order, is handed on once and ends the overlay. Holds one entry of each
/// stream in memory.
pub struct Overlay<I> {
    streams: Vec<I>,
    heads: BinaryHeap<Head>,
    started: bool,
}

/// The entry a stream stands at. The greatest comes out first: smallest path, then newest stream.
struct Head {
    entry: SigEntry,
    stream: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .entry
            .path
            .cmp(&self.entry.path)
            .then(self.stream.cmp(&other.stream))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl<I: Iterator<Item = Result<SigEntry>>> Overlay<I> {
    /// Lays the streams over each other; the oldest comes first in the list.
    pub fn new(oldest_first: impl IntoIterator<Item = I>) -> Self {
        Self {
            streams: oldest_first.into_iter().collect(),
            heads: BinaryHeap::new(),
            started: false,
        }
    }

    /// Reads the next entry of a stream, which must come after `last`.
    fn read(&mut self, stream: usize, last: Option<&PathIndex>) -> Result<()> {
        let Some(entries) = self.streams.get_mut(stream) else {
            return Ok(());
        };
        // COMPAT(dup 0.6): a run that went on with an interrupted one wrote the root once more.
        let again = |entry: &Result<SigEntry>| {
            last.is_some() && entry.as_ref().is_ok_and(|entry| entry.path.is_root())
        };
        let Some(entry) = entries.find(|entry| !again(entry)).transpose()? else {
            return Ok(());
        };
        if let Some(last) = last
            && *last >= entry.path
        {
            return Err(out_of_order(last, &entry.path));
        }
        self.heads.push(Head { entry, stream });
        Ok(())
    }

    /// What the newest stream says of the next path, and what the newest one before `cut` says of it, if that is another.
    fn group(&mut self, cut: usize) -> Result<Option<(Head, Option<SigState>)>> {
        if !self.started {
            self.started = true;
            for stream in 0..self.streams.len() {
                self.read(stream, None)?;
            }
        }
        let Some(newest) = self.heads.pop() else {
            return Ok(None);
        };
        let path = &newest.entry.path;
        let mut before = None;
        while self
            .heads
            .peek()
            .is_some_and(|head| head.entry.path == *path)
        {
            if let Some(older) = self.heads.pop() {
                if older.stream < cut && before.is_none() {
                    before = Some(older.entry.state);
                }
                self.read(older.stream, Some(path))?;
            }
        }
        self.read(newest.stream, Some(path))?;
        Ok(Some((newest, before)))
    }

    fn step(&mut self) -> Result<Option<SigEntry>> {
        while let Some((newest, _)) = self.group(0)? {
            if newest.entry.state != SigState::Deleted {
                return Ok(Some(newest.entry));
            }
        }
        Ok(None)
    }

    /// After an error there is nothing more.
    fn end(&mut self) {
        self.streams.clear();
        self.heads.clear();
    }

    /// Two states instead of one: the streams before `cut` are the older one. If the newer one `goes_on` with it, the
    /// other streams are its increments, and what they do not mention is the same; else they are a state of its own.
    pub fn pairs(self, cut: usize, goes_on: bool) -> Pairs<I> {
        Pairs {
            overlay: self,
            cut,
            goes_on,
        }
    }
}

/// What two states say of each path of which at least one knows something; see [`Overlay::pairs`]. Sorted; paths that are the
/// same for certain are left out.
pub struct Pairs<I> {
    overlay: Overlay<I>,
    cut: usize,
    goes_on: bool,
}

/// A path in two states, the older one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Where.
    pub path: PathIndex,
    /// What the older state has there.
    pub old: SigState,
    /// What the newer state has there.
    pub new: SigState,
}

impl<I: Iterator<Item = Result<SigEntry>>> Pairs<I> {
    fn step(&mut self) -> Result<Option<Pair>> {
        while let Some((newest, before)) = self.overlay.group(self.cut)? {
            let Head { entry, stream } = newest;
            let (old, new) = match stream < self.cut {
                true if self.goes_on => continue,
                true => (entry.state, SigState::Deleted),
                false => (before.unwrap_or(SigState::Deleted), entry.state),
            };
            if (&old, &new) != (&SigState::Deleted, &SigState::Deleted) {
                let path = entry.path;
                return Ok(Some(Pair { path, old, new }));
            }
        }
        Ok(None)
    }
}

impl<I: Iterator<Item = Result<SigEntry>>> Iterator for Pairs<I> {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.overlay.end();
        }
        item
    }
}

impl<I: Iterator<Item = Result<SigEntry>>> Iterator for Overlay<I> {
    type Item = Result<SigEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.end();
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entry::{Kind, Metadata};
    use crate::engine::error::ErrorKind;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn path(text: &str) -> PathIndex {
        PathIndex::new(text.as_bytes()).unwrap()
    }

    fn file(at: &str, version: u8) -> SigEntry {
        let state = SigState::File {
            meta: Metadata::default(),
            signature: vec![version],
        };
        SigEntry {
            path: path(at),
            state,
        }
    }

    fn deleted(at: &str) -> SigEntry {
        SigEntry {
            path: path(at),
            state: SigState::Deleted,
        }
    }

    fn overlay(sigtars: &[Vec<SigEntry>]) -> Result<Vec<SigEntry>> {
        Overlay::new(
            sigtars
                .iter()
                .map(|entries| entries.iter().cloned().map(Ok)),
        )
        .collect()
    }

    #[test]
    fn newest_wins_and_deleted_is_hidden() {
        let root = SigEntry {
            path: path(""),
            state: SigState::Other {
                kind: Kind::Dir,
                meta: Metadata::default(),
            },
        };
        let full = vec![
            root.clone(),
            file("a", 0),
            file("b", 0),
            file("c", 0),
            file("c.d", 0),
        ];
        let first = vec![file("a", 1), deleted("b"), file("c/x", 1)];
        let second = vec![file("a", 2), file("b", 2), deleted("c"), deleted("c/x")];
        let expected = vec![root, file("a", 2), file("b", 2), file("c.d", 0)];
        assert_eq!(overlay(&[full, first, second]).unwrap(), expected);
        assert_eq!(overlay(&[]).unwrap(), []);
    }

    #[test]
    fn the_root_may_come_again_in_what_old_restarts_left() {
        let root = || file("", 0);
        let older = vec![root(), root(), file("a", 0), root(), file("b", 0)];
        let expected = vec![root(), file("a", 0), file("b", 0)];
        assert_eq!(overlay(std::slice::from_ref(&older)).unwrap(), expected);
        let newer = vec![root(), deleted("a")];
        let expected = vec![root(), file("b", 0)];
        assert_eq!(overlay(&[older, newer]).unwrap(), expected);
    }

    #[test]
    fn disorder_is_an_error_even_under_a_newer_entry() {
        let older = vec![file("b", 0), file("a", 0)];
        let newer = vec![file("b", 1)];
        assert_eq!(
            overlay(&[older, newer]).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
        assert_eq!(
            overlay(&[vec![file("a", 0), file("a", 0)]])
                .unwrap_err()
                .kind(),
            ErrorKind::Corrupt
        );
    }

    fn sigtars(chain: &[BTreeMap<String, Option<u8>>]) -> Vec<Vec<SigEntry>> {
        let entry = |(at, version): (&String, &Option<u8>)| match version {
            Some(version) => file(at, *version),
            None => deleted(at),
        };
        let set = |set: &BTreeMap<String, Option<u8>>| {
            let mut entries: Vec<SigEntry> = set.iter().map(entry).collect();
            entries.sort_by(|a, b| a.path.cmp(&b.path));
            entries
        };
        chain.iter().map(set).collect()
    }

    /// What is there behind the last of these sigtars.
    fn replayed(sigtars: &[Vec<SigEntry>]) -> BTreeMap<PathIndex, SigState> {
        let mut known = BTreeMap::new();
        for entry in sigtars.iter().flatten().cloned() {
            match entry.state {
                SigState::Deleted => known.remove(&entry.path),
                state => known.insert(entry.path, state),
            };
        }
        known
    }

    proptest! {
        #[test]
        fn equals_replaying_the_sigtars(chain in proptest::collection::vec(
            proptest::collection::btree_map("[ab]{1,2}(/[ab])?", any::<Option<u8>>(), 0..8), 0..6)) {
            let sigtars = sigtars(&chain);
            let found: BTreeMap<_, _> = overlay(&sigtars).unwrap().into_iter().map(|e| (e.path, e.state)).collect();
            prop_assert_eq!(found, replayed(&sigtars));
        }

        #[test]
        fn pairs_are_both_states(
            chain in proptest::collection::vec(
                proptest::collection::btree_map("[ab]{1,2}(/[ab])?", any::<Option<u8>>(), 0..8), 0..6),
            cut in 0_usize..6,
            goes_on in any::<bool>(),
        ) {
            let sigtars = sigtars(&chain);
            let cut = cut.min(sigtars.len());
            let (older, newer) = sigtars.split_at(cut);
            let old = replayed(older);
            let new = replayed(if goes_on { &sigtars } else { newer });
            // Increments name all that they change, and perhaps more.
            let named = |path: &&PathIndex| !goes_on || newer.iter().flatten().any(|e| e.path == **path);
            let state = |states: &BTreeMap<PathIndex, SigState>, path: &PathIndex| {
                states.get(path).cloned().unwrap_or(SigState::Deleted)
            };
            let paths: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).filter(named).collect();
            let expected: Vec<Pair> = paths.into_iter().map(|path| Pair {
                path: path.clone(),
                old: state(&old, path),
                new: state(&new, path),
            }).collect();
            let streams = sigtars.iter().map(|entries| entries.iter().cloned().map(Ok));
            let found: Result<Vec<Pair>> = Overlay::new(streams).pairs(cut, goes_on).collect();
            prop_assert_eq!(found.unwrap(), expected);
        }
    }
}
