//! Logs of past runs: a text file for each run that history knows, beside the history, for its owner only.
//!
//! As much a comfort as history is: a log that is lost costs nothing but itself. The newest [`KEPT_LOGS`] are kept as long as
//! they take no more than [`KEPT_BYTES`] together.

use super::history::History;
use crate::engine::error::{Error, Result};
use crate::engine::time::Timestamp;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Logs kept for a profile: a year of daily runs, and some by hand.
pub const KEPT_LOGS: usize = 400;

/// Bytes the logs of a profile may take; the newest one is kept in any case.
pub const KEPT_BYTES: u64 = 32 << 20;

/// The logs beside one history.
#[derive(Debug, Clone)]
pub struct Logs {
    folder: PathBuf,
    kept: usize,
    bytes: u64,
}

impl Logs {
    /// The logs that belong to a history.
    pub fn beside(history: &History) -> Self {
        Self {
            folder: history.path().with_file_name("logs"),
            kept: KEPT_LOGS,
            bytes: KEPT_BYTES,
        }
    }

    /// The log of the run that began at `started`; `None` if it is not kept.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(&self, started: Timestamp) -> Result<Option<Vec<String>>> {
        let path = self.file(started);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                Ok(Some(text.lines().map(str::to_owned).collect()))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &path, e)),
        }
    }

    /// Keeps the log of a run, and drops the oldest ones beyond what is kept. Two runs of one second share a file.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn keep(&self, started: Timestamp, lines: &[String]) -> Result<()> {
        let folder = &self.folder;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| Error::io("create", folder, e))?;
        let path = self.file(started);
        let mut text = lines.join("\n");
        text.push('\n');
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|e| Error::io("write", &path, e))?;
        self.prune().map_err(|e| Error::io("prune", folder, e))
    }

    /// Names sort by time, so the oldest come first.
    fn prune(&self) -> std::io::Result<()> {
        let mut logs: Vec<(PathBuf, u64)> = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            if is_log(&path) {
                logs.push((path, entry.metadata()?.len()));
            }
        }
        logs.sort();
        let (mut count, mut bytes) = (0, 0);
        for (path, length) in logs.into_iter().rev() {
            count += 1;
            bytes += length;
            if count > 1 && (count > self.kept || bytes > self.bytes) {
                match std::fs::remove_file(&path) {
                    // Another run of the profile was faster.
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn file(&self, started: Timestamp) -> PathBuf {
        self.folder.join(format!("{}.log", started.to_name()))
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn logs(state: &Path) -> Logs {
        Logs::beside(&History::of(state, "home"))
    }

    #[test]
    fn what_was_kept_is_read_back_and_is_private() {
        let state = tempfile::tempdir().unwrap();
        let logs = logs(state.path());
        assert_eq!(logs.read(Timestamp(5)).unwrap(), None);
        let lines = ["one".to_owned(), "two".to_owned()];
        logs.keep(Timestamp(5), &lines).unwrap();
        assert_eq!(logs.read(Timestamp(5)).unwrap(), Some(lines.to_vec()));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&logs.folder), mode(&logs.file(Timestamp(5)))),
            (0o700, 0o600)
        );
    }

    #[test]
    fn the_oldest_are_dropped_by_number_and_by_size_and_the_newest_stays() {
        let state = tempfile::tempdir().unwrap();
        let mut logs = logs(state.path());
        logs.kept = 3;
        for day in 0..5 {
            logs.keep(Timestamp(day * 86_400), &["x".repeat(99)])
                .unwrap();
        }
        let kept = |logs: &Logs, day: i64| logs.read(Timestamp(day * 86_400)).unwrap().is_some();
        let days = |logs: &Logs| (0..9).filter(|d| kept(logs, *d)).collect::<Vec<i64>>();
        assert_eq!(days(&logs), [2, 3, 4]);
        logs.bytes = 150;
        logs.keep(Timestamp(5 * 86_400), &["x".repeat(999)])
            .unwrap();
        assert_eq!(days(&logs), [5]);
        // What is not a log of a run is not touched.
        std::fs::write(logs.folder.join("note.txt"), "mine").unwrap();
        logs.keep(Timestamp(6 * 86_400), &["x".to_owned()]).unwrap();
        assert!(logs.folder.join("note.txt").exists());
    }
}
