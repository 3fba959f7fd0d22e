//! Where sealed files wait for their upload.
//!
//! The names of spool files carry a mark of the archive dir, so that a run finds what a killed run of the same profile
//! left, and nothing else, in a directory that may be everybody's.

use super::record::hex;
use crate::engine::error::{Error, Result};
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir};

/// A directory for spool files of one archive dir.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    prefix: String,
}

impl Spool {
    /// Spool files of `archive` in `dir`.
    pub fn new(dir: impl Into<PathBuf>, archive: &Path) -> Self {
        let mut mark = hex(archive.as_os_str().as_bytes());
        mark.truncate(12);
        Self {
            dir: dir.into(),
            prefix: format!(".dupr-{mark}-"),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new spool file, readable by the user only; gone when dropped.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn file(&self) -> Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix(&self.prefix)
            .suffix(".tmp")
            .tempfile_in(&self.dir)
            .map_err(|e| Error::io("create a spool file in", &self.dir, e))
    }

    /// Removes what a killed run left; call it with the lock of the archive dir held. What cannot be removed stays.
    pub fn sweep(&self) {
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&self.prefix) && name.ends_with(".tmp") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// A new directory for the user only, whatever the umask says: what is restored into it has the modes it had behind closed
/// doors. Gone when dropped.
///
/// # Errors
/// `place` cannot be written.
pub fn private_dir(prefix: &str, place: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(place)
        .map_err(|e| Error::io("create a directory in", place, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_directory_is_private() {
        let place = tempfile::tempdir().unwrap();
        let made = private_dir("x-", place.path()).unwrap();
        let mode = made.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn only_its_own_leftovers_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let ours = Spool::new(dir.path(), Path::new("/archive/a"));
        let theirs = Spool::new(dir.path(), Path::new("/archive/b"));
        let keep = |spool: &Spool| spool.file().unwrap().keep().unwrap().1;
        let (left, other) = (keep(&ours), keep(&theirs));
        ours.sweep();
        assert!(!left.exists() && other.exists());
    }
}
