//! The archive format, byte by byte: names, manifests, tar members. Pure: bytes in, bytes out.
//!
//! docs/format.md describes every file kind; the code links to its sections.

pub mod difftar;
pub mod manifest;
mod member;
pub mod names;
pub mod quote;
pub mod sigtar;
pub mod tar;

use super::seal::Form;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Bytes of file data per tar member.
///
/// Fixed by the format, not a tuning knob: a resumed run finds its place by counting blocks of this size.
// COMPAT(dup all): the size of one read of the original.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// Identity of a set: what kind it is and the times in its file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetId {
    /// A full set, made at this time.
    Full {
        /// Start of the run that made it.
        time: Timestamp,
    },
    /// An incremental set.
    Incremental {
        /// Time of the set it builds on.
        start: Timestamp,
        /// Start of the run that made it.
        end: Timestamp,
    },
}

impl SetId {
    /// The time whose state the set holds.
    pub fn time(&self) -> Timestamp {
        match *self {
            SetId::Full { time } => time,
            SetId::Incremental { end, .. } => end,
        }
    }

    /// The time of the set this one builds on; `None` for a full one.
    pub fn basis(&self) -> Option<Timestamp> {
        match *self {
            SetId::Full { .. } => None,
            SetId::Incremental { start, .. } => Some(start),
        }
    }

    /// Whether this is a full set.
    pub fn is_full(&self) -> bool {
        matches!(self, SetId::Full { .. })
    }
}

impl std::fmt::Display for SetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}",
            if self.is_full() {
                "full"
            } else {
                "incremental"
            },
            self.time()
        )
    }
}

/// What a file of a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A piece of the difftar; numbers start at 1.
    Volume(u32),
    /// The manifest.
    Manifest,
    /// The sigtar.
    Signature,
    /// Statistics, written by duplicity 2.1 and later on request.
    Stats,
}

/// A file name, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileName {
    /// The set the file belongs to.
    pub set: SetId,
    /// What it is.
    pub kind: FileKind,
    /// How it is sealed, as the end of the name says.
    pub form: Form,
    /// A part file of a run in progress (archive dir only).
    pub partial: bool,
}

/// How a difftar member stores an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiffKind {
    /// Whole.
    Snapshot,
    /// As a librsync delta against its state in the set before.
    Diff,
    /// It is gone.
    Deleted,
}
