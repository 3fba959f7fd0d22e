//! One set: all files of one backup run.

use crate::engine::format::{FileKind, FileName, SetId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A file of a set as it lies at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its name at the target.
    pub name: String,
    /// What the name says.
    pub parsed: FileName,
    /// Its length in bytes.
    pub size: u64,
}

/// All files of one backup run found at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupSet {
    /// Its identity.
    pub id: SetId,
    /// The manifest. A set without one does not exist for a restore.
    pub manifest: Option<StoredFile>,
    /// The sigtar.
    pub signature: Option<StoredFile>,
    /// Statistics, if duplicity left any.
    pub stats: Option<StoredFile>,
    /// Volumes by number. Only the manifest tells how many there should be.
    pub volumes: BTreeMap<u32, StoredFile>,
}

impl BackupSet {
    /// A set of which no file is known yet.
    pub fn new(id: SetId) -> Self {
        Self {
            id,
            manifest: None,
            signature: None,
            stats: None,
            volumes: BTreeMap::new(),
        }
    }

    /// Adds a file of this set; gives back the one that lost if there were two for the same place.
    ///
    /// The better sealed form wins, so that a stray plain copy never hides the real file.
    pub fn insert(&mut self, file: StoredFile) -> Option<StoredFile> {
        let slot = match file.parsed.kind {
            FileKind::Manifest => &mut self.manifest,
            FileKind::Signature => &mut self.signature,
            FileKind::Stats => &mut self.stats,
            FileKind::Volume(n) => {
                return match self.volumes.remove(&n) {
                    None => {
                        self.volumes.insert(n, file);
                        None
                    }
                    Some(old) => {
                        let (winner, loser) = rank(old, file);
                        self.volumes.insert(n, winner);
                        Some(loser)
                    }
                };
            }
        };
        match slot.take() {
            None => {
                *slot = Some(file);
                None
            }
            Some(old) => {
                let (winner, loser) = rank(old, file);
                *slot = Some(winner);
                Some(loser)
            }
        }
    }

    /// Whether the manifest is there, which is uploaded last.
    pub fn is_complete(&self) -> bool {
        self.manifest.is_some()
    }

    /// Every file of the set.
    pub fn files(&self) -> impl Iterator<Item = &StoredFile> {
        self.manifest
            .iter()
            .chain(&self.signature)
            .chain(&self.stats)
            .chain(self.volumes.values())
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files().map(|f| f.size).sum()
    }

    /// Whether any of its files is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.files().any(|f| f.parsed.form.is_encrypted())
    }
}

/// Winner and loser of two files for one place: encrypted before gzip before plain, then the shorter name.
fn rank(a: StoredFile, b: StoredFile) -> (StoredFile, StoredFile) {
    let key = |f: &StoredFile| {
        (
            std::cmp::Reverse(f.parsed.form),
            f.name.len(),
            f.name.clone(),
        )
    };
    if key(&a) <= key(&b) { (a, b) } else { (b, a) }
}
