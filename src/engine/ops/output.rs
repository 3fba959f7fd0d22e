//! Products of an operation: entries and differences. Telemetry may be dropped, products may not.

use crate::engine::entry::Entry;
use crate::engine::error::Result;
use crate::engine::path::PathIndex;

/// How a local tree differs from a state in the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The entry.
    pub path: PathIndex,
    /// In which way; a verify tells the first only, as duplicity does.
    pub kind: DifferenceKind,
}

/// In which way an entry differs; "local" against "backup".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only local.
    New,
    /// Only in the backup.
    Missing,
    /// Another type: duplicity's words.
    Type {
        /// Local type.
        local: &'static str,
        /// Type in the backup.
        backup: &'static str,
    },
    /// Owner, group or mode.
    Permissions {
        /// Local `uid:gid mode`.
        local: String,
        /// The same in the backup.
        backup: String,
    },
    /// Whole-second modification time.
    Mtime {
        /// Local time, seconds since 1970.
        local: i64,
        /// Time in the backup.
        backup: i64,
    },
    /// Content.
    Data,
    /// Text of a symbolic link.
    LinkTarget {
        /// Local text.
        local: Box<[u8]>,
        /// Text in the backup.
        backup: Box<[u8]>,
    },
    /// Device numbers.
    Device,
}

/// Takes what an operation produces, in path order.
pub trait Output {
    /// An entry of a listing.
    ///
    /// # Errors
    /// It cannot be taken; the operation ends.
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        let _ = entry;
        Ok(())
    }

    /// A difference found by a verify.
    ///
    /// # Errors
    /// It cannot be taken; the operation ends.
    fn difference(&mut self, difference: &Difference) -> Result<()> {
        let _ = difference;
        Ok(())
    }
}

/// Takes everything and keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl Output for Discard {}
