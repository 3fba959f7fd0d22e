//! What is safely at the target of a set being written: the place from which an interrupted run goes on.
//!
//! One JSON line per committed volume, written after the part files it speaks of are on disk. The first line
//! fingerprints the settings: a run with other settings starts anew. The lines hold what the manifest will say, and the
//! files they speak of have names of dupr's own: what duplicity does to its part files meanwhile changes none of it.

use crate::engine::entry::FileStamp;
use crate::engine::error::{Error, Result};
use crate::engine::format::SetId;
use crate::engine::path::PathIndex;
use crate::engine::stats::BackupStats;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// First line of a journal: which set it belongs to, and the settings it was begun with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// Version of this file.
    pub schema: u32,
    /// The set.
    pub set: SetId,
    /// Digest of source, selection, seal, volume size and names.
    pub settings: String,
}

impl JournalHead {
    /// Version of the file as it is written today. Another one is passed over.
    pub const SCHEMA: u32 = 2;
}

/// State after a committed volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Volumes 1 to this one are at the target.
    pub volume: u32,
    /// Length of this volume's file there, bytes.
    pub volume_bytes: u64,
    /// Path of the last entry in it, raw bytes in base64; empty for the root.
    pub end_path: String,
    /// Last block of that entry in this volume, if the entry goes on in the next one.
    pub end_block: Option<u32>,
    /// Whether that entry is a directory. If it is not and has become one, what is in it has no place in this set.
    #[serde(default)]
    pub end_is_dir: bool,
    /// Whether that entry is a delta that goes on. duplicity must not go on with it: its deltas are others.
    pub in_delta: bool,
    /// State of that file when it was opened, if it goes on.
    pub cut_file: Option<FileStamp>,
    /// What the manifest says of the volume, in base64.
    pub manifest: String,
    /// Length of the part sigtar, bytes.
    pub sigtar_bytes: u64,
    /// Length of the part file list, bytes.
    pub filelist_bytes: u64,
    /// Lines in the part file list.
    pub filelist_lines: u64,
    /// Tar bytes of all volumes so far; the padding of the next one depends on it.
    pub stats: BackupStats,
}

impl Checkpoint {
    /// Sets what the manifest says of the volume.
    pub fn with_manifest(mut self, lines: &[u8]) -> Self {
        self.manifest = BASE64.encode(lines);
        self
    }

    /// What the manifest says of the volume; `None` if it cannot be read.
    pub fn manifest_lines(&self) -> Option<Vec<u8>> {
        BASE64.decode(&self.manifest).ok()
    }

    /// Sets the path of the last entry.
    pub fn ending_at(mut self, path: &PathIndex) -> Self {
        self.end_path = BASE64.encode(path.as_bytes());
        self
    }

    /// Path of the last entry; `None` if it cannot be read.
    pub fn end(&self) -> Option<PathIndex> {
        PathIndex::new(&BASE64.decode(&self.end_path).ok()?).ok()
    }
}

/// The journal of the set being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    const NAME: &'static str = "dupr-journal.jsonl";

    /// Begins the journal of a new set.
    pub(super) fn create(dir: &Path, head: &JournalHead) -> Result<Self> {
        let path = dir.join(Self::NAME);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io("create", &path, e))?;
        let mut journal = Self { file, path };
        journal.line(head)?;
        super::sync_dir(dir)?;
        Ok(journal)
    }

    /// Goes on with a journal, cut back to the head and `checkpoints`.
    pub(super) fn rewrite(
        dir: &Path,
        head: &JournalHead,
        checkpoints: &[Checkpoint],
    ) -> Result<Self> {
        let mut journal = Self::create(dir, head)?;
        for checkpoint in checkpoints {
            journal.line(checkpoint)?;
        }
        Ok(journal)
    }

    /// Reads the journal of an interrupted run; a torn last line is dropped. `None` if there is none to go by.
    pub(super) fn read(dir: &Path) -> Result<Option<(JournalHead, Vec<Checkpoint>)>> {
        let path = dir.join(Self::NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let mut lines = BufReader::new(file).lines();
        let head: Option<JournalHead> = match lines.next() {
            Some(Ok(line)) => serde_json::from_str(&line).ok(),
            _ => None,
        };
        let Some(head) = head.filter(|h| h.schema == JournalHead::SCHEMA) else {
            return Ok(None);
        };
        let checkpoints = lines
            .map_while(|l| serde_json::from_str(&l.ok()?).ok())
            .collect();
        Ok(Some((head, checkpoints)))
    }

    /// Adds a checkpoint, durably.
    ///
    /// # Errors
    /// The journal cannot be written; the volume then does not count as committed.
    pub fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.line(checkpoint)
    }

    fn line<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| {
            Error::new(
                crate::engine::error::ErrorKind::Internal,
                "cannot encode the journal",
            )
            .with_source(e)
        })?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| Error::io("write", &self.path, e))
    }

    /// Removes the journal of a set that is complete or given up.
    pub(super) fn remove(dir: &Path) -> Result<()> {
        let path = dir.join(Self::NAME);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path, e))
            }
            _ => Ok(()),
        }
    }
}
