//! Which paths take the space at the target.
//!
//! Manifests say between which paths a volume lies, the listing how large it is, sigtars which entries a set holds and how
//! long the files were. The bytes of a volume are shared out to its entries by their lengths. That is an estimate:
//! how well a file could be compressed, and how long a delta is, stands nowhere.

use crate::engine::context::Context;
use crate::engine::delta::signed_bytes;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::BLOCK_BYTES;
use crate::engine::format::manifest::VolumeInfo;
use crate::engine::format::sigtar::{SigEntry, SigState, SigtarReader};
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of a member beside its data.
const MEMBER_BYTES: u64 = 512;

/// What one path takes, with all below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Usage {
    /// Sealed bytes at the target over all sets, estimated.
    pub stored_bytes: u64,
    /// Those of full sets among them.
    pub full_bytes: u64,
    /// Entries of all sets.
    pub entries: u64,
    /// Sets that hold something of it.
    pub sets: u64,
}

/// Space by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Usages {
    /// Sealed bytes of all volumes.
    pub volume_bytes: u64,
    /// Sealed bytes of manifests and sigtars.
    pub other_bytes: u64,
    /// By path, each with what lies below it; paths no deeper than asked for.
    pub paths: BTreeMap<String, Usage>,
}

impl Engine {
    /// What takes the space, `depth` folders deep below `below`. Reads manifests and sigtars, of which copies are here.
    ///
    /// # Errors
    /// `NoBackup` if there is no set; trouble with manifests and sigtars.
    pub fn usage(&self, below: &PathIndex, depth: usize, cx: &Context) -> Result<Usages> {
        let collection = self.scan(cx)?;
        let mut usages = Usages::default();
        let mut paths: BTreeMap<PathIndex, (Usage, usize)> = BTreeMap::new();
        for (number, set) in collection.every_set().enumerate() {
            let manifest = self.manifest(set, cx)?;
            let mut sigtar = SigtarReader::new(self.sigtar(set, cx)?);
            usages.other_bytes += set.bytes();
            let mut share = |path: &PathIndex, bytes: u64, is_first: bool| {
                for at in shown(path, below, depth) {
                    let (usage, last) = paths.entry(at).or_default();
                    usage.stored_bytes += bytes;
                    usage.full_bytes += if set.id.is_full() { bytes } else { 0 };
                    usage.entries += u64::from(is_first);
                    if *last != number + 1 {
                        *last = number + 1;
                        usage.sets += 1;
                    }
                }
            };
            // Entries of the volume at hand, and the one that was read too far.
            let mut waiting: VecDeque<Weighed> = VecDeque::new();
            let mut is_read = false;
            for (n, info) in &manifest.volumes {
                cx.cancel.check()?;
                let Some(bytes) = set.volumes.get(n).map(|v| v.size) else {
                    continue;
                };
                usages.volume_bytes += bytes;
                usages.other_bytes -= bytes.min(usages.other_bytes);
                while !is_read && waiting.back().is_none_or(|e| e.path <= info.end.path) {
                    match sigtar.next_entry().map_err(Error::from)? {
                        Some(entry) => waiting.push_back(Weighed::of(entry)),
                        None => is_read = true,
                    }
                }
                share_out(bytes, info, &mut waiting, &mut share);
            }
        }
        if usages.volume_bytes == 0 {
            let text = format!("{} holds no backup", self.location());
            return Err(Error::new(ErrorKind::NoBackup, text));
        }
        usages.paths = paths
            .into_iter()
            .map(|(path, (usage, _))| (path.to_string(), usage))
            .collect();
        Ok(usages)
    }
}

/// An entry of a sigtar, with the bytes of tar it comes to.
struct Weighed {
    path: PathIndex,
    bytes: u64,
    /// Bytes in the volumes before.
    done: u64,
    is_told: bool,
}

impl Weighed {
    fn of(entry: SigEntry) -> Self {
        let content = match &entry.state {
            SigState::File { signature, .. } => signed_bytes(signature),
            _ => 0,
        };
        Self {
            path: entry.path,
            bytes: content + MEMBER_BYTES,
            done: 0,
            is_told: false,
        }
    }

    /// Where its part in a volume with these bounds ends.
    fn end(&self, info: &VolumeInfo) -> u64 {
        match info.end.block {
            Some(block) if info.end.path == self.path => u64::from(block) * BLOCK_BYTES as u64,
            _ => self.bytes,
        }
    }

    /// Bytes of it in a volume with these bounds.
    fn within(&self, info: &VolumeInfo) -> u64 {
        // A delta is shorter than its file, and may be cut where the file would not be.
        self.end(info).max(self.done + MEMBER_BYTES) - self.done
    }
}

/// Shares the bytes of a volume out to its entries, and drops those that end in it.
fn share_out(
    bytes: u64,
    info: &VolumeInfo,
    waiting: &mut VecDeque<Weighed>,
    share: &mut impl FnMut(&PathIndex, u64, bool),
) {
    let count = waiting
        .iter()
        .take_while(|e| e.path <= info.end.path)
        .count();
    let mut weight: u128 = waiting
        .iter()
        .take(count)
        .map(|e| u128::from(e.within(info)))
        .sum();
    let mut left = u128::from(bytes);
    for entry in waiting.iter_mut().take(count) {
        let own = u128::from(entry.within(info));
        // What is left is shared by what is left, so that nothing is lost by rounding.
        let part = left * own / weight.max(1);
        weight -= own;
        left -= part;
        let part = u64::try_from(part).unwrap_or(u64::MAX);
        share(&entry.path, part, !entry.is_told);
        entry.is_told = true;
        entry.done = entry.end(info);
    }
    let goes_on = info.end.block.is_some();
    let ended = waiting
        .iter()
        .take_while(|e| e.path < info.end.path || (e.path == info.end.path && !goes_on))
        .count();
    waiting.drain(..ended);
}

/// The paths under which an entry is counted: itself and the folders above, from `below` on and no deeper than `depth`.
fn shown(path: &PathIndex, below: &PathIndex, depth: usize) -> Vec<PathIndex> {
    let Some(rest) = path.relative_to(below) else {
        return Vec::new();
    };
    let mut at = below.clone();
    let mut all = vec![at.clone()];
    for name in rest.components().take(depth) {
        at = at.join(name);
        all.push(at.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::manifest::Bound;

    fn p(text: &str) -> PathIndex {
        PathIndex::new(text.as_bytes()).unwrap()
    }

    fn weighed(path: &str, bytes: u64) -> Weighed {
        Weighed {
            path: p(path),
            bytes,
            done: 0,
            is_told: false,
        }
    }

    fn bound(path: &str, block: Option<u32>) -> Bound {
        Bound {
            path: p(path),
            block,
        }
    }

    #[test]
    fn every_byte_of_a_volume_is_given_to_somebody() {
        let block = BLOCK_BYTES as u64;
        let mut waiting = VecDeque::from([
            weighed("a", block),
            weighed("b", 4 * block),
            weighed("c", 7),
        ]);
        let mut given = Vec::new();
        let mut share =
            |path: &PathIndex, bytes, first| given.push((path.to_string(), bytes, first));
        let info = |start, end| VolumeInfo {
            start,
            end,
            hash: None,
        };
        let first = info(bound("a", None), bound("b", Some(1)));
        share_out(1000, &first, &mut waiting, &mut share);
        let second = info(bound("b", Some(2)), bound("b", None));
        share_out(777, &second, &mut waiting, &mut share);
        assert_eq!(
            given,
            [
                ("a".to_owned(), 500, true),
                ("b".to_owned(), 500, true),
                ("b".to_owned(), 777, false)
            ]
        );
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn paths_are_counted_with_all_above_them() {
        let names = |path: &str, below: &str, depth| {
            shown(&p(path), &p(below), depth)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("a/b/c", "", 2), [".", "a", "a/b"]);
        assert_eq!(names("a/b/c", "a", 1), ["a", "a/b"]);
        assert!(names("x", "a", 1).is_empty());
    }
}
