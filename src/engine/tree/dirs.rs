//! The directories a restore is in, from the destination inwards, each by a handle.
//!
//! Only the innermost handles and that of the destination stay open. The others are found again below the
//! destination's, without following links, and must be the same directories they were.

use super::beneath;
use super::destination::Existing;
use crate::engine::entry::Entry;
use crate::engine::path::PathIndex;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Mode, RenameFlags, fstat, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;

/// Handles kept open besides the destination's, counted from the innermost.
const OPEN_HANDLES: usize = 16;

/// A stack of open directories.
#[derive(Default)]
pub(super) struct Dirs(Vec<Dir>);

/// A directory being filled.
pub(super) struct Dir {
    /// Relative to the destination.
    pub path: PathIndex,
    /// The entry with the attributes to set; `None` for directories the backup, or the part restored, does not hold.
    pub entry: Option<Entry>,
    handle: Option<OwnedFd>,
    device: u64,
    inode: u64,
}

impl Dir {
    /// The handle, which is open for the innermost directory.
    pub fn handle(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.handle.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }
}

impl Dirs {
    /// Whether not even the destination was entered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Enters a directory.
    pub fn push(
        &mut self,
        handle: OwnedFd,
        path: PathIndex,
        entry: Option<Entry>,
    ) -> Result<(), Errno> {
        let stat = fstat(&handle)?;
        if let Some(far) = self
            .0
            .len()
            .checked_sub(OPEN_HANDLES)
            .filter(|far| *far > 0)
            && let Some(above) = self.0.get_mut(far)
        {
            above.handle = None;
        }
        let (device, inode) = (stat.st_dev, stat.st_ino);
        self.0.push(Dir {
            path,
            entry,
            handle: Some(handle),
            device,
            inode,
        });
        Ok(())
    }

    /// How many of the directories lead to `path`, or are it.
    pub fn leading_to(&self, path: &PathIndex) -> usize {
        self.0
            .iter()
            .take_while(|dir| path.is_within(&dir.path))
            .count()
    }

    /// The innermost directory, with its handle open.
    pub fn innermost(&mut self) -> Result<&Dir, Errno> {
        self.reopen()?;
        self.0.last().ok_or(Errno::BADF)
    }

    /// The handle of the innermost directory, if it is open.
    pub fn handle(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.0.last().ok_or(Errno::BADF)?.handle()
    }

    /// Leaves the innermost directory if more than `keep` are open; its handle is open unless that failed.
    pub fn leave(&mut self, keep: usize) -> Option<(Dir, Result<(), Errno>)> {
        if self.0.len() <= keep {
            return None;
        }
        let reopened = self.reopen();
        self.0.pop().map(|dir| (dir, reopened))
    }

    /// Gets a new handle of the innermost directory if it was closed on the way down.
    fn reopen(&mut self) -> Result<(), Errno> {
        let Some((dir, above)) = self.0.split_last_mut() else {
            return Ok(());
        };
        if dir.handle.is_some() {
            return Ok(());
        }
        let destination = above.first().ok_or(Errno::BADF)?.handle()?;
        let handle = beneath::open(destination, dir.path.as_bytes(), beneath::DIR)?;
        let stat = fstat(&handle)?;
        if (stat.st_dev, stat.st_ino) != (dir.device, dir.inode) {
            return Err(Errno::NOTDIR);
        }
        dir.handle = Some(handle);
        Ok(())
    }
}

/// Makes and opens a directory. One that is there is kept if that is allowed; when merging, anything else in its place is
/// removed.
pub(super) fn make_dir(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    existing: Existing,
) -> Result<OwnedFd, Errno> {
    match mkdirat(parent, name, Mode::RWXU) {
        Err(Errno::EXIST) if existing != Existing::Refuse => {
            match openat(parent, name, beneath::DIR, Mode::empty()) {
                Err(Errno::NOTDIR | Errno::LOOP) if existing == Existing::Merge => {
                    unlinkat(parent, name, AtFlags::empty())?;
                    mkdirat(parent, name, Mode::RWXU)?;
                }
                result => return result,
            }
        }
        result => result?,
    }
    openat(parent, name, beneath::DIR, Mode::empty())
}

/// Renames within a directory. Unless merging, an entry of that name is in the way: two names that a file system does
/// not tell apart, or somebody else's doing.
pub(super) fn rename(
    dir: BorrowedFd<'_>,
    from: &OsStr,
    to: &OsStr,
    existing: Existing,
) -> Result<(), Errno> {
    if matches!(existing, Existing::Merge | Existing::Older) {
        return renameat(dir, from, dir, to);
    }
    match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        // Not offered by this file system or kernel.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            match statat(dir, to, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => renameat(dir, from, dir, to),
                Ok(_) => Err(Errno::EXIST),
                Err(error) => Err(error),
            }
        }
        result => result,
    }
}
