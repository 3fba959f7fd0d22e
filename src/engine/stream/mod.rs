//! Streams sorted by path, and the two ways to put them together: pair two ([`join`]), group many ([`group`]).
//!
//! Every stream holds a path at most once, in ascending order of [`PathIndex`]; combinators check that and refuse
//! a stream that breaks it, because a merge of unsorted streams loses entries without a word.

pub mod change;
pub mod group;
pub mod join;
pub mod overlay;

use super::entry::{Entry, FileStamp};
use super::error::{Error, ErrorKind};
use super::path::PathIndex;

/// Something with a place in the order.
pub trait Keyed {
    /// Its place.
    fn path(&self) -> &PathIndex;
}

/// What a walk over a source finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalkItem {
    /// An entry that belongs to the backup.
    Entry {
        /// What was found.
        entry: Entry,
        /// What tells later whether a file was touched since.
        stamp: FileStamp,
    },
    /// A place that could not be read. Whatever was known of it and of what lies below stays as it was.
    Hole(PathIndex),
}

impl Keyed for WalkItem {
    fn path(&self) -> &PathIndex {
        match self {
            WalkItem::Entry { entry, .. } => &entry.path,
            WalkItem::Hole(path) => path,
        }
    }
}

impl Keyed for Entry {
    fn path(&self) -> &PathIndex {
        &self.path
    }
}

/// The error for a stream that is not sorted.
fn out_of_order(before: &PathIndex, after: &PathIndex) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("entries are out of order: {after} comes after {before}"),
    )
}
