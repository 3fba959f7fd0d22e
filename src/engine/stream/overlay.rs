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

    fn step(&mut self) -> Result<Option<SigEntry>> {
        if !self.started {
            self.started = true;
            for stream in 0..self.streams.len() {
                self.read(stream, None)?;
            }
        }
        while let Some(newest) = self.heads.pop() {
            let path = &newest.entry.path;
            while self
                .heads
                .peek()
                .is_some_and(|head| head.entry.path == *path)
            {
                if let Some(older) = self.heads.pop() {
                    self.read(older.stream, Some(path))?;
                }
            }
            self.read(newest.stream, Some(path))?;
            if newest.entry.state != SigState::Deleted {
                return Ok(Some(newest.entry));
            }
        }
        Ok(None)
    }
}

impl<I: Iterator<Item = Result<SigEntry>>> Iterator for Overlay<I> {
    type Item = Result<SigEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.streams.clear();
            self.heads.clear();
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

    proptest! {
        #[test]
        fn equals_replaying_the_sigtars(chain in proptest::collection::vec(
            proptest::collection::btree_map("[ab]{1,2}(/[ab])?", any::<Option<u8>>(), 0..8), 0..6)) {
            let mut known = BTreeMap::new();
            let sigtars: Vec<Vec<SigEntry>> = chain.iter().map(|set| {
                let sorted: BTreeMap<PathIndex, Option<u8>> = set.iter().map(|(p, v)| (path(p), *v)).collect();
                for (path, version) in &sorted {
                    match version {
                        Some(version) => known.insert(path.clone(), *version),
                        None => known.remove(path),
                    };
                }
                sorted.into_iter().map(|(path, version)| SigEntry {
                    path,
                    state: version.map_or(SigState::Deleted, |v| SigState::File {
                        meta: Metadata::default(),
                        signature: vec![v],
                    }),
                }).collect()
            }).collect();
            let found: BTreeMap<PathIndex, u8> = overlay(&sigtars).unwrap().into_iter().map(|entry| match entry.state {
                SigState::File { signature, .. } => (entry.path, signature[0]),
                _ => unreachable!(),
            }).collect();
            prop_assert_eq!(found, known);
        }
    }
}
