//! Which paths take the space at the target.
//!
//! Manifests say between which paths a volume lies, the listing how large it is, sigtars which entries a set holds and how
//! long the files were. The bytes of a volume are shared out to its entries by their lengths, those of changed files by the
//! blocks that their older signature does not have. That is an estimate: how well a file could be compressed stands nowhere.

use super::sync::Copies;
use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::delta::{changed_bytes, signed_bytes};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::BLOCK_BYTES;
use crate::engine::format::manifest::{Manifest, VolumeInfo};
use crate::engine::format::sigtar::{SigEntry, SigState, SigtarReader};
use crate::engine::path::PathIndex;
use crate::engine::stream::group::{Groups, Peek};
use crate::engine::target::Engine;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

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
        let mut number = 0;
        for chain in &collection.chains {
            let sets: Vec<&BackupSet> = chain.sets().chain(&chain.replaced).collect();
            self.bring_copies(&sets, Copies::All, cx)?;
            let (mut shares, mut sigtars) = (Vec::new(), Vec::new());
            for set in &sets {
                number += 1;
                let share = SetShare::new(number, set, self.manifest(set, cx)?);
                usages.volume_bytes += share.volume_bytes;
                usages.other_bytes += set.bytes().saturating_sub(share.volume_bytes);
                shares.push(share);
                sigtars.push(Sigtar {
                    reader: SigtarReader::new(self.sigtar(set, cx)?),
                    head: None,
                });
            }
            let mut give = |share: &Share<'_>| {
                for at in shown(share.path, below, depth) {
                    let (usage, last) = paths.entry(at).or_default();
                    usage.stored_bytes += share.bytes;
                    usage.full_bytes += if share.is_full { share.bytes } else { 0 };
                    usage.entries += u64::from(share.is_first);
                    if *last != share.set {
                        *last = share.set;
                        usage.sets += 1;
                    }
                }
            };
            let mut groups = Groups::new();
            while let Some((_, members)) = groups.next_group(&mut sigtars)? {
                cx.cancel.check()?;
                let mut older: Option<Vec<u8>> = None;
                for i in members {
                    let entry = sigtars.get_mut(i).and_then(|s| s.head.take());
                    let (Some(entry), Some(share)) = (entry, shares.get_mut(i)) else {
                        continue;
                    };
                    let (bytes, signature) = match entry.state {
                        SigState::File { signature, .. } => {
                            let whole = || signed_bytes(&signature);
                            let bytes = older
                                .as_ref()
                                .map_or_else(whole, |older| changed_bytes(older, &signature));
                            (bytes, Some(signature))
                        }
                        _ => (0, None),
                    };
                    older = signature;
                    share.push(Weighed::new(entry.path, bytes), &mut give);
                }
            }
            shares.iter_mut().for_each(|share| share.flush(&mut give));
        }
        for set in collection.orphans.iter().chain(&collection.incomplete) {
            usages.other_bytes += set.bytes();
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

/// A sigtar, and where it stands.
struct Sigtar {
    reader: SigtarReader<Box<dyn Read + Send>>,
    head: Option<SigEntry>,
}

impl Peek for Sigtar {
    fn peek_path(&mut self) -> Result<Option<&PathIndex>> {
        if self.head.is_none() {
            self.head = self.reader.next_entry().map_err(Error::from)?;
        }
        Ok(self.head.as_ref().map(|entry| &entry.path))
    }
}

/// Part of a volume that is given to a path.
struct Share<'a> {
    path: &'a PathIndex,
    bytes: u64,
    /// Number of the set.
    set: usize,
    is_full: bool,
    is_first: bool,
}

/// The volumes of a set that were not shared out, and the entries that may be in the next.
struct SetShare {
    number: usize,
    is_full: bool,
    volumes: VecDeque<(u64, VolumeInfo)>,
    waiting: VecDeque<Weighed>,
    volume_bytes: u64,
}

impl SetShare {
    fn new(number: usize, set: &BackupSet, manifest: Manifest) -> Self {
        let volumes: VecDeque<_> = manifest
            .volumes
            .into_iter()
            .filter_map(|(n, info)| Some((set.volumes.get(&n)?.size, info)))
            .collect();
        Self {
            number,
            is_full: set.id.is_full(),
            volume_bytes: volumes.iter().map(|(bytes, _)| bytes).sum(),
            volumes,
            waiting: VecDeque::new(),
        }
    }

    /// Takes the next entry; volumes that end before it are shared out.
    fn push(&mut self, entry: Weighed, give: &mut impl FnMut(&Share<'_>)) {
        while let Some((_, info)) = self.volumes.front()
            && info.end.path < entry.path
        {
            self.share_next(give);
        }
        self.waiting.push_back(entry);
    }

    /// Shares out the rest.
    fn flush(&mut self, give: &mut impl FnMut(&Share<'_>)) {
        while !self.volumes.is_empty() {
            self.share_next(give);
        }
    }

    fn share_next(&mut self, give: &mut impl FnMut(&Share<'_>)) {
        let Some((bytes, info)) = self.volumes.pop_front() else {
            return;
        };
        let (set, is_full) = (self.number, self.is_full);
        let mut share = |path: &PathIndex, bytes: u64, is_first: bool| {
            give(&Share {
                path,
                bytes,
                set,
                is_full,
                is_first,
            });
        };
        share_out(bytes, &info, &mut self.waiting, &mut share);
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
    fn new(path: PathIndex, content: u64) -> Self {
        Self {
            path,
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
