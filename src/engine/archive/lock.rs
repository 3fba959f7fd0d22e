//! One run at a time per archive dir.
//!
//! The same `lockfile` and the same kind of lock duplicity takes, so the two exclude each other. The kernel holds
//! it: it ends with its process and is never stale.

use crate::engine::error::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The lock of an archive dir, held until dropped.
#[derive(Debug)]
pub struct Lock {
    // Closed after the file is removed, so that nobody locks a file that is about to vanish unnoticed.
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, waiting for at most `wait`; `holder` is written into the file for the message others get. While it waits,
    /// `stop` is told who holds it, and asked whether to give up.
    ///
    /// # Errors
    /// `Locked` if another run still holds it then; the message names that run.
    pub(super) fn take(
        dir: &Path,
        holder: &str,
        wait: Duration,
        stop: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let path = dir.join("lockfile");
        let started = Instant::now();
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|e| Error::io("open", &path, e))?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    // COMPAT(dup all): the other side unlinks the file, so what was locked may be gone.
                    let locked = file
                        .metadata()
                        .map_err(|e| Error::io("stat", &path, e))?
                        .ino();
                    if std::fs::metadata(&path).is_ok_and(|m| m.ino() == locked) {
                        // Only for people: a failure to write it does not matter.
                        let _ = file.set_len(0).and_then(|()| file.rewind());
                        let _ = file.write_all(holder.as_bytes());
                        return Ok(Self { _file: file, path });
                    }
                    continue;
                }
                Err(e) if e == rustix::io::Errno::AGAIN || e == rustix::io::Errno::ACCESS => {
                    let who = words_of(file);
                    if started.elapsed() >= wait || stop(&who) {
                        return Err(Error::new(
                            ErrorKind::Locked,
                            format!("{} is locked by {who}", dir.display()),
                        )
                        .with_hint(
                            "wait for it to end, or let this run wait with [run] lock-wait",
                        ));
                    }
                }
                Err(e) => return Err(Error::io("lock", &path, e.into())),
            }
            std::thread::sleep(Duration::from_millis(200).min(wait));
        }
    }
}

/// Who holds the lock of the archive dir at `dir`, in that run's own words. `None` if nobody does, if it cannot be told, or
/// if it is this process, whose locks this ends: for those who only look.
pub fn holder(dir: &Path) -> Option<String> {
    let file = File::open(dir.join("lockfile")).ok()?;
    fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
    Some(words_of(file))
}

/// What the holder of a lock wrote into it.
fn words_of(file: File) -> String {
    let mut who = String::new();
    let _ = file.take(200).read_to_string(&mut who);
    match who.trim_end() {
        "" => "another run".to_owned(),
        who => who.replace('\n', " "),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), "run 1", Duration::ZERO, &|_| false).unwrap();
        assert!(dir.path().join("lockfile").exists());
        drop(lock);
        assert!(!dir.path().join("lockfile").exists());
        Lock::take(dir.path(), "run 2", Duration::ZERO, &|_| false).unwrap();
    }
}
