//! Writing a restored tree, entry by entry in ascending order.
//!
//! Nothing is written outside the destination: an entry is created in the handle of its directory, by its last
//! component, and that directory is one this restore has made or opened without following a link. So neither an
//! archive nor another user of the machine can lead a restore astray. Directories are private until everything below
//! them is done and then get their attributes, innermost first.

use super::beneath;
use super::destination::Destination;
pub use super::destination::Existing;
use super::dirs::{Dirs, make_dir, rename};
use super::metadata::Restoring;
use super::owner::Owners;
use super::sink::FileSink;
use crate::engine::context::Context;
use crate::engine::entry::{Entry, Kind};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fstat, makedev, mkdirat, mknodat, openat, statat, symlinkat,
    unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// Names tried for a temporary file.
const TEMP_NAMES: u32 = 10_000;

/// How a tree is written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// The part of the backup that becomes the destination; the root for all of it.
    pub part: PathIndex,
    /// What to do with a destination that holds something.
    pub existing: Existing,
    /// Whether owner and group are restored. By default only if the process may give files away: as root.
    pub restore_ownership: bool,
    /// Whether owners are taken by number, without looking at names.
    pub numeric_owner: bool,
    /// Cache of owner names.
    pub owners: Arc<Owners>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            part: PathIndex::root(),
            existing: Existing::Refuse,
            restore_ownership: rustix::process::geteuid().is_root(),
            numeric_owner: false,
            owners: Arc::default(),
        }
    }
}

/// Writes entries below a destination. Entries must come in ascending order, each at most once.
///
/// Trouble with one entry is a problem for the monitor; only what would befall every entry (disk full, read-only file
/// system, no handles) is an error. A restore without [`TreeWriter::finish`] leaves directories without attributes.
#[must_use = "directories get their attributes by finish()"]
pub struct TreeWriter<'a> {
    cx: Context<'a>,
    options: WriteOptions,
    base: Destination,
    /// Open directories from the destination inwards; empty until the first entry.
    dirs: Dirs,
    last: Option<PathIndex>,
    temps: u32,
    /// Entries that were there already and were not replaced.
    kept: u64,
}

/// Where a new entry goes: its name in the innermost open directory, or the destination itself.
pub(super) enum Slot {
    Inside(OsString),
    Destination,
}

impl<'a> TreeWriter<'a> {
    /// Prepares to write at `dest`, which is a directory, or whatever the root of the part restored is. Missing
    /// directories that lead there are created; `dest` itself only with the first entry.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if `dest` is not empty and is not to be merged with; errors of the file system.
    pub fn create(dest: &Path, options: WriteOptions, cx: &Context<'a>) -> Result<Self> {
        let base = Destination::open(dest, options.existing)?;
        Ok(Self {
            cx: *cx,
            options,
            base,
            dirs: Dirs::default(),
            last: None,
            temps: 0,
            kept: 0,
        })
    }

    /// Creates a directory and enters it.
    ///
    /// # Errors
    /// Only those that end the restore.
    pub fn dir(&mut self, entry: &Entry) -> Result<()> {
        let Some(slot) = self.place(entry)? else {
            return Ok(());
        };
        let opened = match &slot {
            Slot::Destination => Ok(self.base.enter()?),
            Slot::Inside(name) => self
                .dirs
                .handle()
                .and_then(|dir| make_dir(dir, name, self.options.existing)),
        };
        let path = entry
            .path
            .relative_to(&self.options.part)
            .unwrap_or_default();
        match opened.and_then(|handle| self.dirs.push(handle, path, Some(entry.clone()))) {
            Ok(()) => Ok(()),
            Err(error) => self.failed(entry, error),
        }
    }

    /// Creates a file; `None` if that failed, which the monitor was told.
    ///
    /// # Errors
    /// Only those that end the restore.
    pub fn file(&mut self, entry: &Entry) -> Result<Option<FileSink<'_, 'a>>> {
        let Some(slot) = self.place(entry)?.filter(|slot| !self.stays(slot, entry)) else {
            return Ok(None);
        };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self.temp(&slot, |dir, name| {
            openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
        }) {
            Ok((temp, fd)) => Ok(Some(FileSink::new(
                self,
                entry.clone(),
                slot,
                temp,
                File::from(fd),
            ))),
            Err(error) => self.failed(entry, error).map(|()| None),
        }
    }

    /// Creates a symbolic link. The text is taken as it is; nothing follows it here.
    ///
    /// # Errors
    /// Only those that end the restore.
    pub fn symlink(&mut self, entry: &Entry, text: &[u8]) -> Result<()> {
        let text = OsStr::from_bytes(text);
        self.node(entry, FileType::Symlink, |dir, name| {
            symlinkat(text, dir, name)
        })
    }

    /// Creates a named pipe.
    ///
    /// # Errors
    /// Only those that end the restore.
    pub fn fifo(&mut self, entry: &Entry) -> Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        self.node(entry, FileType::Fifo, |dir, name| {
            mknodat(dir, name, FileType::Fifo, mode, 0)
        })
    }

    /// Creates a device, which usually only root may do.
    ///
    /// # Errors
    /// Only those that end the restore.
    pub fn device(&mut self, entry: &Entry) -> Result<()> {
        let (kind, major, minor) = match entry.kind {
            Kind::CharDevice { major, minor } => (FileType::CharacterDevice, major, minor),
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, major, minor),
            _ => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    format!("{} is not a device", entry.path),
                ));
            }
        };
        let mode = Mode::RUSR | Mode::WUSR;
        self.node(entry, kind, |dir, name| {
            mknodat(dir, name, kind, mode, makedev(major, minor))
        })
    }

    /// Creates any entry but a file.
    ///
    /// # Errors
    /// As the method for its kind; [`ErrorKind::Internal`] for a file, whose content is wanted.
    pub fn other(&mut self, entry: &Entry) -> Result<()> {
        match &entry.kind {
            Kind::File => Err(Error::new(
                ErrorKind::Internal,
                format!("{} is a file", entry.path),
            )),
            Kind::Dir => self.dir(entry),
            Kind::Symlink(text) => self.symlink(entry, text),
            Kind::Fifo => self.fifo(entry),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => self.device(entry),
        }
    }

    /// Gives the directories still open their attributes, the destination last.
    ///
    /// # Errors
    /// None at present; the result is there for what may come.
    pub fn finish(mut self) -> Result<()> {
        self.leave(0);
        if self.kept > 0 {
            let text = format!("kept what was there already: entries {}", self.kept);
            self.cx.monitor.note(Level::Notice, &text);
        }
        Ok(())
    }

    /// Whether what has the place of an entry that is no directory is not to be replaced by it.
    fn stays(&mut self, slot: &Slot, entry: &Entry) -> bool {
        let existing = self.options.existing;
        if !matches!(existing, Existing::Older | Existing::Keep) {
            return false;
        }
        let name = match (slot, &self.base.parent) {
            (Slot::Inside(name), _) | (Slot::Destination, Some((_, name))) => name.clone(),
            (Slot::Destination, None) => return false,
        };
        let found = self
            .dir_of(slot)
            .and_then(|dir| statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW));
        let Ok(found) = found else { return false };
        let is_dir = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let stays = match existing {
            Existing::Older => is_dir || found.st_mtime >= entry.meta.mtime,
            _ => true,
        };
        self.kept += u64::from(stays);
        stays
    }

    /// Checks the order and opens the directory an entry belongs to; `None` if there is none to write it to.
    fn place(&mut self, entry: &Entry) -> Result<Option<Slot>> {
        if let Some(last) = &self.last
            && *last >= entry.path
        {
            let text = format!(
                "entries are out of order: {} comes after {last}",
                entry.path
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        self.last = Some(entry.path.clone());
        let Some(path) = entry.path.relative_to(&self.options.part) else {
            let text = format!(
                "{} is not in the part that is restored, {}",
                entry.path, self.options.part
            );
            return Err(Error::new(ErrorKind::Internal, text));
        };
        let Some(name) = path.file_name() else {
            return Ok(Some(Slot::Destination));
        };
        if self.dirs.is_empty() {
            let handle = self.base.enter()?;
            if let Err(error) = self.dirs.push(handle, PathIndex::root(), None) {
                return self.failed(entry, error).map(|()| None);
            }
        }
        match self.parents(&path.parent().unwrap_or_default()) {
            Ok(()) => Ok(Some(Slot::Inside(OsStr::from_bytes(name).to_owned()))),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let reason = "what should be its directory is not one";
                self.problem(ProblemKind::Refused, &entry.path, reason);
                Ok(None)
            }
            Err(error) => self.failed(entry, error).map(|()| None),
        }
    }

    /// Makes the directory `path` (relative to the destination) the innermost open one, creating what is missing.
    fn parents(&mut self, path: &PathIndex) -> Result<(), Errno> {
        let keep = self.dirs.leading_to(path);
        // The destination itself is left by finish() only.
        self.leave(keep.max(1));
        let depth = self.dirs.innermost()?.path.components().count();
        for component in path.components().skip(depth) {
            let above = self.dirs.innermost()?;
            let (dir, path) = (above.handle()?, above.path.join(component));
            let name = OsStr::from_bytes(component);
            match mkdirat(dir, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            let handle = openat(dir, name, beneath::DIR, Mode::empty())?;
            self.dirs.push(handle, path, None)?;
        }
        Ok(())
    }

    /// Leaves directories until `keep` are open, giving each its attributes.
    fn leave(&mut self, keep: usize) {
        while let Some((dir, reopened)) = self.dirs.leave(keep) {
            let Some(entry) = &dir.entry else { continue };
            match reopened.and_then(|()| dir.handle()) {
                Ok(handle) => self.set_attributes(handle, entry),
                Err(error) => {
                    self.problem(ProblemKind::Metadata, &entry.path, io::Error::from(error))
                }
            }
        }
    }

    /// Creates something that is neither file nor directory.
    fn node(
        &mut self,
        entry: &Entry,
        kind: FileType,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<(), Errno>,
    ) -> Result<()> {
        let Some(slot) = self.place(entry)?.filter(|slot| !self.stays(slot, entry)) else {
            return Ok(());
        };
        let made = self.temp(&slot, |dir, name| {
            make(dir, name)?;
            openat(
                dir,
                name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
        });
        let (temp, handle) = match made {
            Ok(made) => made,
            Err(error) => return self.failed(entry, error),
        };
        match fstat(&handle) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == kind => {
                self.set_attributes(handle.as_fd(), entry)
            }
            _ => {
                self.problem(
                    ProblemKind::Refused,
                    &entry.path,
                    "another object came in its place",
                );
                self.discard(&slot, &temp);
                return Ok(());
            }
        }
        self.commit(&entry.path, &slot, &temp)
    }

    /// Makes something under a temporary name beside its own.
    fn temp<T>(
        &mut self,
        slot: &Slot,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<T, Errno>,
    ) -> Result<(OsString, T), Errno> {
        for _ in 0..TEMP_NAMES {
            let name = OsString::from(format!(".dupr-{}.tmp", self.temps));
            self.temps = self.temps.wrapping_add(1);
            match make(self.dir_of(slot)?, &name) {
                Ok(made) => return Ok((name, made)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Errno::EXIST)
    }

    /// The directory a slot is in.
    fn dir_of(&self, slot: &Slot) -> Result<BorrowedFd<'_>, Errno> {
        match (slot, &self.base.parent) {
            (Slot::Inside(_), _) => self.dirs.handle(),
            (Slot::Destination, Some((parent, _))) => Ok(parent.as_fd()),
            // Nothing can take the place of `.` or `/`.
            (Slot::Destination, None) => Err(Errno::BUSY),
        }
    }

    /// Renames a finished entry to its own name.
    pub(super) fn commit(&mut self, path: &PathIndex, slot: &Slot, temp: &OsStr) -> Result<()> {
        let renamed = self.dir_of(slot).and_then(|dir| match slot {
            Slot::Inside(name) => rename(dir, temp, name, self.options.existing),
            Slot::Destination => {
                let Some((_, name)) = &self.base.parent else {
                    return Err(Errno::BUSY);
                };
                // An empty directory was allowed as destination; the entry takes its place.
                if self.base.exists {
                    match unlinkat(dir, name, AtFlags::REMOVEDIR) {
                        Ok(()) | Err(Errno::NOTDIR) => {}
                        Err(error) => return Err(error),
                    }
                }
                rename(dir, temp, name, self.options.existing)
            }
        });
        match renamed {
            Ok(()) => Ok(()),
            Err(error) => {
                self.discard(slot, temp);
                self.fail(path, error)
            }
        }
    }

    /// Removes an entry that does not get its name.
    pub(super) fn discard(&self, slot: &Slot, temp: &OsStr) {
        if let Ok(dir) = self.dir_of(slot) {
            // If even this fails there is nothing left to do; the name tells what it is.
            let _ = unlinkat(dir, temp, AtFlags::empty());
        }
    }

    /// Sets owner, mode and time; what cannot be set is a problem.
    pub(super) fn set_attributes(&self, handle: BorrowedFd<'_>, entry: &Entry) {
        let restoring = Restoring {
            ownership: self.options.restore_ownership,
            names: (!self.options.numeric_owner).then_some(&*self.options.owners),
        };
        for failure in restoring.apply(handle, entry) {
            self.problem(ProblemKind::Metadata, &entry.path, failure);
        }
    }

    fn failed(&self, entry: &Entry, error: Errno) -> Result<()> {
        self.fail(&entry.path, error)
    }

    /// A problem, or an error if the next entry would fare no better.
    fn fail(&self, path: &PathIndex, error: Errno) -> Result<()> {
        match error {
            Errno::NOSPC
            | Errno::DQUOT
            | Errno::ROFS
            | Errno::MFILE
            | Errno::NFILE
            | Errno::NOMEM => Err(Error::from(io::Error::from(error)).within(format!(
                "cannot write {path} at {}",
                self.base.path.display()
            ))),
            _ => {
                self.problem(ProblemKind::Unwritable, path, io::Error::from(error));
                Ok(())
            }
        }
    }

    fn problem(&self, kind: ProblemKind, path: &PathIndex, reason: impl std::fmt::Display) {
        self.cx.monitor.problem(Problem::new(kind, path, reason));
    }
}
