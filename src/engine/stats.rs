//! What an operation did, in numbers. The last word of each name is its unit.

use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Figures of one backup run. Defined as duplicity defines them (docs/format.md, "Statistics").
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct BackupStats {
    /// Time of the set.
    pub time: Timestamp,
    /// Entries of any kind looked at.
    pub source_entries: u64,
    /// Bytes read for new and changed files plus `st_size` of everything else.
    pub source_bytes: u64,
    /// Entries stored whole.
    pub new_entries: u64,
    /// `st_size` of the entries stored whole.
    pub new_bytes: u64,
    /// Entries recorded as gone.
    pub deleted_entries: u64,
    /// Files stored as a delta.
    pub changed_entries: u64,
    /// New length of the files stored as a delta.
    pub changed_bytes: u64,
    /// Entries written to the set: new, changed and deleted.
    pub delta_entries: u64,
    /// File data and deltas put into volumes, before compression, without headers.
    pub raw_delta_bytes: u64,
    /// Sealed volumes uploaded in this run.
    pub stored_bytes: u64,
    /// Volumes of the set, those of an interrupted run included.
    pub volumes: u64,
    /// Entries with problems.
    pub problems: u64,
    /// Volumes taken over from an interrupted run.
    pub resumed_volumes: u64,
}

/// Figures of a restore, a fetch or a verify.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RestoreStats {
    /// Entries written or compared.
    pub entries: u64,
    /// Bytes of file content written or compared.
    pub content_bytes: u64,
    /// Volumes fetched.
    pub volumes: u64,
    /// Differences found by a verify.
    pub differences: u64,
    /// Entries with problems, lost ones included.
    pub problems: u64,
}
