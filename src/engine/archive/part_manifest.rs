//! The part manifest: what duplicity sees of a set that dupr left half-done.
//!
//! dupr goes by its journal; this file is written for duplicity alone, under its name, and never read back for a set of
//! dupr's. duplicity goes on *before* the last volume it finds at the target, where that volume begins: it makes its entries
//! again from the source and leaves out what the volumes before it hold. Blocks of a file come out the same, but those of a
//! delta do not: its deltas are others than dupr's. So a volume that ends inside a delta is told only once duplicity
//! cannot begin there any more, two volumes later; until then it finds more volumes than are told and makes the set anew.

use super::durable::sync_dir;
use crate::engine::error::{Error, Result};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Volumes that must follow one that ends inside a delta before it is told.
const FOLLOWERS: u32 = 2;

/// The part manifest of the set being written.
#[derive(Debug)]
pub struct PartManifest {
    file: File,
    path: PathBuf,
    /// Volumes that are not told yet, with their lines and whether they end inside a delta.
    held: VecDeque<(u32, Vec<u8>, bool)>,
}

impl PartManifest {
    /// Begins it with its header.
    pub(super) fn create(path: &Path, header: &[u8]) -> Result<Self> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| Error::io("create", path, e))?;
        file.write_all(header)
            .map_err(|e| Error::io("write", path, e))?;
        if let Some(dir) = path.parent() {
            sync_dir(dir)?;
        }
        Ok(Self {
            file,
            path: path.to_path_buf(),
            held: VecDeque::new(),
        })
    }

    /// Tells of a committed volume as soon as that is safe. `lines` is what the manifest says of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, volume: u32, lines: Vec<u8>, in_delta: bool) -> Result<()> {
        self.held.push_back((volume, lines, in_delta));
        let mut text = Vec::new();
        while let Some((number, lines, in_delta)) = self.held.pop_front() {
            if in_delta && number.saturating_add(FOLLOWERS) > volume {
                self.held.push_front((number, lines, in_delta));
                break;
            }
            text.extend(lines);
        }
        if text.is_empty() {
            return Ok(());
        }
        self.file
            .write_all(&text)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| Error::io("write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_ends_inside_a_delta_is_told_two_volumes_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part");
        let mut part = PartManifest::create(&path, b"h ").unwrap();
        let told = |part: &mut PartManifest, volume: u32, in_delta| {
            part.add(volume, format!("{volume} ").into_bytes(), in_delta)
                .unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        assert_eq!(told(&mut part, 1, false), "h 1 ");
        assert_eq!(told(&mut part, 2, true), "h 1 ");
        assert_eq!(told(&mut part, 3, true), "h 1 ");
        assert_eq!(told(&mut part, 4, false), "h 1 2 ");
        assert_eq!(told(&mut part, 5, false), "h 1 2 3 4 5 ");
        assert_eq!(told(&mut part, 6, false), "h 1 2 3 4 5 6 ");
    }
}
