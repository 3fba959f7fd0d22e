//! What is remembered of a profile beside its history: since when a schedule starts it, and what was told of it.
//!
//! Lives beside the history and is as little a condition: a damaged or lost file is an empty memory.

use super::History;
use crate::engine::error::{Error, Result};
use crate::engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What is remembered of a profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Memory {
    /// When its schedule was put into effect: what was planned before was nobody's to start.
    pub scheduled_since: Option<Timestamp>,
    /// When it was told that its backup is stale; nothing while it is not.
    pub stale_told: Option<Timestamp>,
}

impl Memory {
    /// What is remembered; nothing if there is no memory.
    pub fn of(state_dir: &Path, profile: &str) -> Self {
        std::fs::read(file(state_dir, profile))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Remembers this instead of what was there.
    ///
    /// # Errors
    /// The state directory cannot be made or written.
    pub fn keep(&self, state_dir: &Path, profile: &str) -> Result<()> {
        let path = file(state_dir, profile);
        let directory = path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
            let mut new = tempfile::NamedTempFile::new_in(directory)?;
            serde_json::to_writer(&mut new, self)?;
            new.write_all(b"\n")?;
            new.persist(&path).map(|_| ()).map_err(|e| e.error)
        };
        write().map_err(|e| Error::io("write", &path, e))
    }
}

fn file(state_dir: &Path, profile: &str) -> PathBuf {
    History::of(state_dir, profile)
        .path()
        .with_file_name("memory.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_memory_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Memory::of(dir.path(), "home"), Memory::default());
        let memory = Memory {
            scheduled_since: Some(Timestamp(5)),
            stale_told: None,
        };
        memory.keep(dir.path(), "home").unwrap();
        assert_eq!(Memory::of(dir.path(), "home"), memory);
        std::fs::write(dir.path().join("home/memory.json"), "{").unwrap();
        assert_eq!(Memory::of(dir.path(), "home"), Memory::default());
    }
}
