//! Renaming parts of a restored tree: the parts are moved when all is written, so that the order of entries stays that
//! of the archive.
//!
//! A path takes the name of the longest renamed part that leads to it, once. Nothing is followed and nothing leaves the
//! destination: every directory on the way is opened beneath it without following links. Directories that gain or lose an
//! entry keep their times.

use super::beneath;
use crate::engine::context::Context;
use crate::engine::error::{Error, Result};
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    CWD, Mode, RenameFlags, Timespec, Timestamps, fstat, futimens, mkdirat, openat, renameat_with,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Old and new paths, relative to the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    pairs: Vec<(PathIndex, PathIndex)>,
}

impl Renames {
    /// Moves what is restored as `from` to `to`; a later pair for the same path holds.
    pub fn add(&mut self, from: PathIndex, to: PathIndex) {
        self.pairs.retain(|(known, _)| *known != from);
        self.pairs.push((from, to));
    }

    /// Moves them in the tree at `destination`, and returns how many could not be moved, which the monitor was told.
    /// Those keep their old names. Parts that were not restored are passed over.
    ///
    /// # Errors
    /// The destination cannot be opened.
    pub fn apply(mut self, destination: &Path, cx: &Context) -> Result<u64> {
        if self.pairs.is_empty() {
            return Ok(0);
        }
        let root = openat(CWD, destination, beneath::DIR, Mode::empty())
            .map_err(|e| Error::io("open", destination, e.into()))?;
        // Inner parts leave before the parts that hold them.
        self.pairs.sort_by(|a, b| b.0.cmp(&a.0));
        let mut waiting = Vec::new();
        let mut failed = 0;
        let mut fail = |path: &PathIndex, error: Errno| {
            failed += 1;
            cx.monitor.problem(Problem::new(
                ProblemKind::Unwritable,
                path,
                format!("cannot be renamed: {}", std::io::Error::from(error)),
            ));
        };
        // All leave before any arrives: `a` to `b` and `b` to `a` change places.
        for (number, (from, to)) in self.pairs.into_iter().enumerate() {
            let name = format!(".dupr-rename-{}-{number}", std::process::id());
            let place = PathIndex::root().join(name.as_bytes());
            match step(&root, &from, &place) {
                Ok(()) => waiting.push((place, from, to)),
                Err(Errno::NOENT) => cx.monitor.note(
                    Level::Info,
                    &format!("{from} was not restored: nothing to rename"),
                ),
                Err(e) => fail(&from, e),
            }
        }
        for (place, from, to) in waiting.into_iter().rev() {
            if let Err(e) = make_parents(&root, &to).and_then(|()| step(&root, &place, &to)) {
                fail(&from, e);
                if let Err(e) = step(&root, &place, &from) {
                    fail(&place, e);
                }
            }
        }
        Ok(failed)
    }
}

/// A directory and its times before an entry came or went.
struct Held {
    handle: OwnedFd,
    times: Timestamps,
}

impl Held {
    fn open(root: &OwnedFd, path: &PathIndex) -> Result<Self, Errno> {
        let handle = beneath::open(root.as_fd(), path.as_bytes(), beneath::DIR)?;
        let stat = fstat(&handle)?;
        let time = |seconds, nanos| Timespec {
            tv_sec: seconds,
            tv_nsec: nanos as _,
        };
        let times = Timestamps {
            last_access: time(stat.st_atime as _, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime as _, stat.st_mtime_nsec),
        };
        Ok(Self { handle, times })
    }

    /// Gives it its times back.
    fn leave(self) {
        // Times are a courtesy: the data is where it belongs.
        let _ = futimens(&self.handle, &self.times);
    }
}

fn parts(path: &PathIndex) -> (PathIndex, Vec<u8>) {
    let name = path.file_name().unwrap_or_default().to_vec();
    (path.parent().unwrap_or_default(), name)
}

fn step(root: &OwnedFd, from: &PathIndex, to: &PathIndex) -> Result<(), Errno> {
    let ((old_dir, old), (new_dir, new)) = (parts(from), parts(to));
    let left = Held::open(root, &old_dir)?;
    let entered = Held::open(root, &new_dir)?;
    let moved = renameat_with(
        &left.handle,
        OsStr::from_bytes(&old),
        &entered.handle,
        OsStr::from_bytes(&new),
        RenameFlags::NOREPLACE,
    );
    entered.leave();
    left.leave();
    moved
}

/// Makes the directories that lead to a path, private to the user: the archive says nothing of them.
fn make_parents(root: &OwnedFd, path: &PathIndex) -> Result<(), Errno> {
    let mut here = PathIndex::root();
    let mut names: Vec<&[u8]> = path.components().collect();
    names.pop();
    for name in names {
        let held = Held::open(root, &here)?;
        match mkdirat(&held.handle, OsStr::from_bytes(name), Mode::RWXU) {
            Ok(()) => held.leave(),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e),
        }
        here = here.join(name);
        // Whatever is there must be a directory.
        beneath::open(root.as_fd(), here.as_bytes(), beneath::DIR)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::context::Cancel;
    use crate::engine::monitor::Silent;
    use crate::engine::time::Timestamp;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn path(text: &str) -> PathIndex {
        PathIndex::new(text.as_bytes()).unwrap()
    }

    fn apply(dir: &Path, pairs: &[(&str, &str)]) -> u64 {
        let mut renames = Renames::default();
        for (from, to) in pairs {
            renames.add(path(from), path(to));
        }
        let cancel = Cancel::new();
        let cx = Context {
            monitor: &Silent,
            cancel: &cancel,
            now: Timestamp(0),
            threads: 1,
        };
        renames.apply(dir, &cx).unwrap()
    }

    #[test]
    fn the_longest_leading_part_is_renamed_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        fs::write(dir.join("a/one"), "1").unwrap();
        fs::write(dir.join("a/b/two"), "2").unwrap();
        fs::write(dir.join("x"), "x").unwrap();
        fs::write(dir.join("y"), "y").unwrap();
        let before = fs::metadata(dir).unwrap().modified().unwrap();
        let pairs = [
            ("a", "new/place"),
            ("a/b", "b"),
            ("x", "y"),
            ("y", "x"),
            ("no", "way"),
        ];
        assert_eq!(apply(dir, &pairs), 0);
        assert_eq!(fs::read_to_string(dir.join("new/place/one")).unwrap(), "1");
        assert_eq!(fs::read_to_string(dir.join("b/two")).unwrap(), "2");
        assert!(dir.join("b/c").is_dir() && !dir.join("a").exists());
        assert_eq!(fs::read_to_string(dir.join("x")).unwrap(), "y");
        assert_eq!(fs::read_to_string(dir.join("y")).unwrap(), "x");
        assert_eq!(fs::metadata(dir).unwrap().modified().unwrap(), before);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 4);
    }

    #[test]
    fn nothing_is_overwritten_and_no_link_is_followed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = dir.path();
        for name in ["a", "b", "c"] {
            fs::write(dir.join(name), name).unwrap();
        }
        symlink(other.path(), dir.join("out")).unwrap();
        assert_eq!(apply(dir, &[("a", "b"), ("c", "out/c")]), 2);
        for name in ["a", "b", "c"] {
            assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), name);
        }
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    }
}
