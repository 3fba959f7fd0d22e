//! A local tree that is changed in place: files are opened, and what is gone is removed, never through a link.

use super::beneath;
use crate::engine::error::{Error, Result};
use crate::engine::path::PathIndex;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A directory and what lies below it.
pub struct Local {
    root: OwnedFd,
}

impl Local {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// It is not there or no directory.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty())
            .map_err(|e| Error::io("open", path, e.into()))?;
        Ok(Self { root })
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Those of opening; a symbolic link on the way is one.
    pub fn file(&self, path: &PathIndex) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(File::from(beneath::open(
            self.root.as_fd(),
            path.as_bytes(),
            flags,
        )?))
    }

    /// Whether there is a directory, and no link to one.
    pub fn is_dir(&self, path: &PathIndex) -> bool {
        self.parent(path).is_ok_and(|(dir, name)| {
            statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        })
    }

    /// Removes an entry and everything below it; one that is not there is a success.
    ///
    /// # Errors
    /// Something of it cannot be removed.
    pub fn remove(&self, path: &PathIndex) -> io::Result<()> {
        let (dir, name) = match self.parent(path) {
            Ok(found) => found,
            // What should hold it is gone, or is something else by now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        match unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {
                let by_handle = format!("/proc/self/fd/{}", dir.as_raw_fd());
                std::fs::remove_dir_all(Path::new(&by_handle).join(name))
            }
            Err(e) => Err(e.into()),
        }
    }

    fn parent<'p>(&self, path: &'p PathIndex) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let parent = path.parent().unwrap_or_default();
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let dir = beneath::open(self.root.as_fd(), parent.as_bytes(), beneath::DIR)?;
        Ok((dir, OsStr::from_bytes(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn removal_stays_in_the_tree() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), "c").unwrap();
        fs::write(other.path().join("kept"), "k").unwrap();
        symlink(other.path(), dir.path().join("out")).unwrap();
        let local = Local::open(dir.path()).unwrap();
        let path = |text: &str| PathIndex::new(text.as_bytes()).unwrap();
        assert!(local.is_dir(&path("a/b")) && !local.is_dir(&path("out")));
        assert!(local.file(&path("out/kept")).is_err());
        local.remove(&path("out/kept")).unwrap();
        assert!(other.path().join("kept").exists());
        for name in ["a", "out", "none", "none/at/all"] {
            local.remove(&path(name)).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(other.path().join("kept").exists());
    }
}
