//! The log of a run that is under way: a file beside the logs of past runs that grows by a line at a time, for others to follow.
//!
//! Whoever writes it holds its lock, which ends with the process: a file without one was left by a run that was killed, and the
//! next run removes it. It is a comfort as the logs are; a run goes on without.

use super::history::History;
use crate::engine::error::{Error, Result};
use crate::engine::time::Timestamp;
use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How the name of such a file ends.
const EXTENSION: &str = "running";

/// The log of this process's run, until it is dropped.
#[derive(Debug)]
pub struct Running {
    file: File,
    path: PathBuf,
}

impl Running {
    /// Begins the log of a run beside this history, and removes those of runs that were killed.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin(history: &History, started: Timestamp) -> Result<Self> {
        let folder = folder(history);
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|e| Error::io("create", &folder, e))?;
        sweep(&folder);
        let name = format!("{}-{}.{EXTENSION}", started.to_name(), std::process::id());
        let path = folder.join(name);
        loop {
            let made = locked(&path).map_err(|e| Error::io("create", &path, e))?;
            // Whoever sweeps may have come between making and locking it.
            if let Some(file) = made {
                return Ok(Self { file, path });
            }
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, line: &str) -> std::io::Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A new file with its lock; `None` if it was removed meanwhile.
fn locked(path: &Path) -> std::io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(Some(file).filter(|file| file.metadata().is_ok_and(|meta| meta.nlink() > 0)))
}

/// Removes what runs have left that were killed.
fn sweep(folder: &Path) {
    for path in files(folder).unwrap_or_default() {
        let file = OpenOptions::new().append(true).open(&path);
        let is_left = |file: File| {
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
                && std::fs::remove_file(&path).is_ok()
        };
        let _ = file.map(is_left);
    }
}

fn folder(history: &History) -> PathBuf {
    history.path().with_file_name("logs")
}

/// Logs of runs that were under way, the oldest first.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The log of another process's run.
#[derive(Debug)]
pub struct Followed {
    file: File,
    path: PathBuf,
    /// Bytes of a line that is not whole yet.
    rest: Vec<u8>,
}

/// What has come since the last look.
#[derive(Debug, PartialEq, Eq)]
pub struct More {
    /// Lines.
    pub lines: Vec<String>,
    /// Whether the run has ended, and nothing more comes.
    pub is_last: bool,
}

impl Followed {
    /// The run of this history that is under way; of several the one that began first, for which the others wait.
    ///
    /// # Errors
    /// It cannot be looked for.
    pub fn of(history: &History) -> Result<Option<Self>> {
        let folder = folder(history);
        let files = files(&folder).map_err(|e| Error::io("list", &folder, e))?;
        for path in files {
            let file = match File::open(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(|e| Error::io("open", &path, e))?,
            };
            let rest = Vec::new();
            let followed = Self { file, path, rest };
            if !followed.is_over() {
                return Ok(Some(followed));
            }
        }
        Ok(None)
    }

    /// What has come since this was last asked.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn more(&mut self) -> Result<More> {
        // In this order: what was written before the end is read.
        let is_last = self.is_over();
        let read = self.file.read_to_end(&mut self.rest);
        read.map_err(|e| Error::io("read", &self.path, e))?;
        let whole = match self.rest.iter().rposition(|b| *b == b'\n') {
            _ if is_last => self.rest.len(),
            Some(end) => end + 1,
            None => 0,
        };
        let come: Vec<u8> = self.rest.drain(..whole).collect();
        let lines = String::from_utf8_lossy(&come)
            .lines()
            .map(str::to_owned)
            .collect();
        Ok(More { lines, is_last })
    }

    fn is_over(&self) -> bool {
        let taken = rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockShared);
        if taken.is_ok() {
            let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        }
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_run_is_followed_to_its_end() {
        let state = tempfile::tempdir().unwrap();
        let history = History::of(state.path(), "home");
        assert!(Followed::of(&history).unwrap().is_none());
        let mut first = Running::begin(&history, Timestamp(5)).unwrap();
        first.add("one").unwrap();
        let mode = std::fs::metadata(&first.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // One that waits for it is not the one that is meant, and does not take its log away.
        let waits = Running::begin(&history, Timestamp(6)).unwrap();
        let mut followed = Followed::of(&history).unwrap().unwrap();
        let more = |lines: &[&str], is_last| More {
            lines: lines.iter().map(|l| (*l).to_owned()).collect(),
            is_last,
        };
        assert_eq!(followed.more().unwrap(), more(&["one"], false));
        assert_eq!(followed.more().unwrap(), more(&[], false));
        first.file.write_all(b"half").unwrap();
        assert_eq!(followed.more().unwrap(), more(&[], false));
        first.file.write_all(b" a line\n").unwrap();
        first.add("last").unwrap();
        drop(first);
        assert_eq!(
            followed.more().unwrap(),
            more(&["half a line", "last"], true)
        );
        drop(waits);
        assert!(Followed::of(&history).unwrap().is_none());
        assert_eq!(
            files(&folder(&history)).unwrap(),
            [""; 0].map(PathBuf::from)
        );
    }

    #[test]
    fn what_a_killed_run_left_is_not_followed_and_goes_away() {
        let state = tempfile::tempdir().unwrap();
        let history = History::of(state.path(), "home");
        drop(Running::begin(&history, Timestamp(5)).unwrap());
        let left = folder(&history).join("19700101T000000Z-1.running");
        std::fs::write(&left, "of old\n").unwrap();
        assert!(Followed::of(&history).unwrap().is_none());
        let running = Running::begin(&history, Timestamp(6)).unwrap();
        assert!(!left.exists() && running.path.exists());
    }
}
