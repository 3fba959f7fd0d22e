//! What has to enter an increment: the walk compared with what the collection knew.
//!
//! Compared are existence, type and attributes, never content: a file whose attributes are the same is taken for
//! unchanged. See docs/format.md, "What triggers an entry".

use super::WalkItem;
use super::join::{Joined, MergeJoin, merge_join};
use crate::engine::entry::{Entry, FileStamp, Kind, Metadata};
use crate::engine::error::Result;
use crate::engine::format::sigtar::{SigEntry, SigState};
use crate::engine::path::PathIndex;

/// Finds this host's numbers for names of owners.
pub trait OwnerLookup: Sync {
    /// Number of the user of this name; `None` if there is none, or if numbers are to be taken as they are.
    fn uid_of(&self, name: &[u8]) -> Option<u32>;
    /// Number of the group of this name.
    fn gid_of(&self, name: &[u8]) -> Option<u32>;
}

/// Knows no names: owners are taken by number (`--numeric-owner`).
#[derive(Debug, Clone, Copy, Default)]
pub struct ByNumber;

impl OwnerLookup for ByNumber {
    fn uid_of(&self, _: &[u8]) -> Option<u32> {
        None
    }
    fn gid_of(&self, _: &[u8]) -> Option<u32> {
        None
    }
}

/// How an entry differs from what was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Not at all, as far as is compared.
    Unchanged,
    /// It was not there.
    New,
    /// It is of another type.
    Type,
    /// Same type; attributes, the text of a symbolic link, or device numbers differ.
    Modified,
}

/// Compares an entry with its state in the set before.
pub fn classify(now: &Entry, before: &SigState, owners: &dyn OwnerLookup) -> ChangeKind {
    let (kind, meta) = match before {
        SigState::Deleted => return ChangeKind::New,
        SigState::File { meta, .. } => (&Kind::File, meta),
        SigState::Other { kind, meta } => (kind, meta),
    };
    let same = match (&now.kind, kind) {
        (Kind::File, Kind::File) | (Kind::Dir, Kind::Dir) | (Kind::Fifo, Kind::Fifo) => {
            same_permissions(&now.meta, meta, owners) && same_time(now.meta.mtime, meta.mtime)
        }
        (Kind::Symlink(now), Kind::Symlink(before)) => now == before,
        (Kind::CharDevice { .. }, Kind::CharDevice { .. })
        | (Kind::BlockDevice { .. }, Kind::BlockDevice { .. }) => {
            same_permissions(&now.meta, meta, owners) && now.kind == *kind
        }
        _ => return ChangeKind::Type,
    };
    if same {
        ChangeKind::Unchanged
    } else {
        ChangeKind::Modified
    }
}

/// Whether two modification times count as the same: whole seconds, and all times up to 1970 are one.
pub fn same_time(a: i64, b: i64) -> bool {
    a == b || (a <= 0 && b <= 0)
}

/// Whether mode and owner on this host agree with those from a backup.
pub fn same_permissions(now: &Metadata, before: &Metadata, owners: &dyn OwnerLookup) -> bool {
    now.mode == before.mode
        && now.uid == owners.uid_of(&before.uname).unwrap_or(before.uid)
        && now.gid == owners.gid_of(&before.gname).unwrap_or(before.gid)
}

/// What is to be done about a path that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Store it whole.
    Snapshot {
        /// What is there now.
        entry: Entry,
        /// What tells whether it was touched since.
        stamp: FileStamp,
    },
    /// Store a delta against the known content. Only for files that were files before.
    Diff {
        /// What is there now.
        entry: Entry,
        /// What tells whether it was touched since.
        stamp: FileStamp,
        /// Signature of the known content.
        signature: Vec<u8>,
    },
    /// Record that it is gone.
    Deleted {
        /// Whether it was a regular file.
        was_file: bool,
    },
}

/// A path that changed since the set before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: PathIndex,
    /// What is to be done about it.
    pub action: Action,
    /// Whether there was anything at this path before.
    pub existed: bool,
}

/// Entries that were looked at and did not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unchanged {
    /// How many.
    pub entries: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
}

/// Changes between what was known and what a walk finds, in order. With nothing known, everything is new.
///
/// The root is never deleted, and nothing at or below a hole is.
pub fn changes<'a, W, B>(
    walk: W,
    before: B,
    owners: &'a dyn OwnerLookup,
) -> Changes<'a, W::IntoIter, B::IntoIter>
where
    W: IntoIterator<Item = Result<WalkItem>>,
    B: IntoIterator<Item = Result<SigEntry>>,
{
    Changes {
        joined: merge_join(walk, before),
        owners,
        hole: None,
        unchanged: Unchanged::default(),
    }
}

/// See [`changes`].
pub struct Changes<'a, W, B> {
    joined: MergeJoin<W, B, WalkItem, SigEntry>,
    owners: &'a dyn OwnerLookup,
    hole: Option<PathIndex>,
    unchanged: Unchanged,
}

impl<W, B> Changes<'_, W, B> {
    /// What did not change, of all that was looked at so far.
    pub fn unchanged(&self) -> Unchanged {
        self.unchanged
    }

    /// What there is to do about one path, if anything.
    fn change(&mut self, joined: Joined<WalkItem, SigEntry>) -> Option<Change> {
        let (now, before) = match joined {
            Joined::Left(now) => (Some(now), None),
            Joined::Right(before) => (None, Some(before)),
            Joined::Both(now, before) => (Some(now), Some(before)),
        };
        match now {
            Some(WalkItem::Hole(path)) => {
                self.hole = Some(path);
                None
            }
            Some(WalkItem::Entry { entry, stamp }) => {
                self.entry(entry, stamp, before.map(|before| before.state))
            }
            None => self.missing(before?),
        }
    }

    fn entry(
        &mut self,
        entry: Entry,
        stamp: FileStamp,
        before: Option<SigState>,
    ) -> Option<Change> {
        let kind = before.as_ref().map_or(ChangeKind::New, |before| {
            classify(&entry, before, self.owners)
        });
        if kind == ChangeKind::Unchanged {
            self.unchanged.entries += 1;
            self.unchanged.bytes += entry.size;
            return None;
        }
        let path = entry.path.clone();
        let action = match before {
            Some(SigState::File { signature, .. }) if entry.kind.is_file() => Action::Diff {
                entry,
                stamp,
                signature,
            },
            _ => Action::Snapshot { entry, stamp },
        };
        Some(Change {
            path,
            action,
            existed: kind != ChangeKind::New,
        })
    }

    fn missing(&self, before: SigEntry) -> Option<Change> {
        let was_file = match before.state {
            SigState::Deleted => return None,
            SigState::File { .. } => true,
            SigState::Other { .. } => false,
        };
        if before.path.is_root()
            || self
                .hole
                .as_ref()
                .is_some_and(|hole| before.path.is_within(hole))
        {
            return None;
        }
        Some(Change {
            path: before.path,
            action: Action::Deleted { was_file },
            existed: true,
        })
    }
}

impl<W, B> Iterator for Changes<'_, W, B>
where
    W: Iterator<Item = Result<WalkItem>>,
    B: Iterator<Item = Result<SigEntry>>,
{
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.joined.next()? {
                Ok(joined) => {
                    if let Some(change) = self.change(joined) {
                        return Some(Ok(change));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
