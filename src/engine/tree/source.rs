//! The tree that is backed up: where it is, what of it, and how its files are opened.
//!
//! A file is opened by its path below the root, without following links, long after the walk has seen it. The stamp
//! taken then tells whether it is still the same file.

use super::beneath;
use super::dumps::Dumps;
use super::owner::Owners;
use crate::engine::context::Context;
use crate::engine::entry::{Entry, FileStamp, Kind, Metadata};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::ProblemKind;
use crate::engine::path::PathIndex;
use crate::engine::select::{self, Selection};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A tree, file or symbolic link to back up. May be shared by threads.
#[derive(Debug)]
pub struct Source {
    root: PathBuf,
    select: Selection,
    follow_symlinks: bool,
    owners: Arc<Owners>,
    dumps: Option<Arc<Dumps>>,
    root_dir: OnceLock<OwnedFd>,
}

/// The file at a path is not the one that was looked at before: it was replaced, or its type changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("replaced by another file meanwhile")]
pub struct Replaced;

impl Source {
    /// The tree at `root`, as the user typed it, and all of it.
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = select::canonical(root.as_ref().as_os_str().as_bytes());
        Self {
            root: PathBuf::from(OsString::from_vec(root)),
            select: Selection::everything(),
            follow_symlinks: false,
            owners: Arc::default(),
            dumps: None,
            root_dir: OnceLock::new(),
        }
    }

    /// Only what the rules select. They must have been built for the same root.
    pub fn with_selection(mut self, select: Selection) -> Self {
        self.select = select;
        self
    }

    /// Symbolic links are stored as what they point to.
    pub fn following_symlinks(mut self, yes: bool) -> Self {
        self.follow_symlinks = yes;
        self
    }

    /// Shares a cache of owner names.
    pub fn with_owners(mut self, owners: Arc<Owners>) -> Self {
        self.owners = owners;
        self
    }

    /// Stores dumps with it.
    pub fn with_dumps(mut self, dumps: Arc<Dumps>) -> Self {
        self.dumps = Some(dumps);
        self
    }

    /// What is dumped with it.
    pub fn dumps(&self) -> Option<&Dumps> {
        self.dumps.as_deref()
    }

    /// Where the tree lies, without trailing slashes and `.` components.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The rules.
    pub fn selection(&self) -> &Selection {
        &self.select
    }

    /// Whether symbolic links are stored as what they point to.
    pub fn follows_symlinks(&self) -> bool {
        self.follow_symlinks
    }

    /// The cache of owner names.
    pub fn owners(&self) -> &Arc<Owners> {
        &self.owners
    }

    /// Opens a file found by a walk, for reading. Never blocks on a fifo and never follows a link (unless the source
    /// follows links).
    ///
    /// # Errors
    /// Those of opening; [`Replaced`] as the inner error if it is no longer the file `stamp` was taken of.
    /// [`problem_kind`] tells which problem an error is.
    pub fn open(&self, path: &PathIndex, stamp: &FileStamp) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = if path.is_root() {
            let link = if self.follow_symlinks {
                OFlags::empty()
            } else {
                OFlags::NOFOLLOW
            };
            openat(CWD, &self.root, flags | link, Mode::empty())?
        } else if self.follow_symlinks {
            openat(self.root_dir()?, path.as_path(), flags, Mode::empty())?
        } else {
            match beneath::open(self.root_dir()?, path.as_bytes(), flags) {
                // Another kind of object has come in its place.
                Err(
                    rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR | rustix::io::Errno::NXIO,
                ) => {
                    return Err(io::Error::other(Replaced));
                }
                result => result?,
            }
        };
        let stat = fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || stat.st_ino != stamp.ino
            || stat.st_dev != stamp.dev
        {
            return Err(io::Error::other(Replaced));
        }
        Ok(File::from(fd))
    }

    /// Looks at one path again, as a walk would: for a second try after [`Source::open`] failed.
    ///
    /// # Errors
    /// Those of the system; a socket is [`io::ErrorKind::Unsupported`].
    pub fn look(&self, path: &PathIndex) -> io::Result<(Entry, FileStamp)> {
        let looked = if path.is_root() {
            look_at(
                CWD,
                &cstring(self.root.as_os_str().as_bytes())?,
                path.clone(),
                self,
            )?
        } else {
            let parent = path.parent().unwrap_or_default();
            let name = cstring(path.file_name().unwrap_or_default())?;
            let dir = if self.follow_symlinks {
                let parent = if parent.is_root() {
                    Path::new(".")
                } else {
                    parent.as_path()
                };
                openat(
                    self.root_dir()?,
                    parent,
                    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?
            } else {
                beneath::open(
                    self.root_dir()?,
                    parent.as_bytes(),
                    OFlags::PATH | OFlags::DIRECTORY,
                )?
            };
            look_at(dir.as_fd(), &name, path.clone(), self)?
        };
        match looked {
            Some(found) => Ok((found.entry, found.stamp)),
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "a socket")),
        }
    }

    /// A handle of the root directory, opened once.
    pub(super) fn root_dir(&self) -> io::Result<BorrowedFd<'_>> {
        if self.root_dir.get().is_none() {
            let link = if self.follow_symlinks {
                OFlags::empty()
            } else {
                OFlags::NOFOLLOW
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | link;
            let fd = openat(CWD, &self.root, flags, Mode::empty())?;
            // Another thread may have been faster; its handle is as good.
            let _ = self.root_dir.set(fd);
        }
        self.root_dir
            .get()
            .map(AsFd::as_fd)
            .ok_or_else(|| io::Error::other("no handle of the source"))
    }

    /// Looks at the root.
    ///
    /// # Errors
    /// [`ErrorKind::Source`] if it is missing, cannot be looked at, or is a socket.
    pub(super) fn look_at_root(&self, cx: &Context) -> Result<Looked> {
        let fail =
            |error: Error| error.within(format!("cannot read the source {}", self.root.display()));
        let looked = cstring(self.root.as_os_str().as_bytes())
            .and_then(|name| Ok(look_at(CWD, &name, PathIndex::root(), self)?))
            .map_err(|error| fail(Error::new(ErrorKind::Source, error.to_string())))?;
        let Some(looked) = looked else {
            return Err(fail(Error::new(ErrorKind::Source, "it is a socket")));
        };
        if matches!(looked.entry.kind, Kind::Symlink(_)) {
            let text = format!(
                "{} is a symbolic link; only the link itself is backed up",
                self.root.display()
            );
            cx.monitor
                .note(crate::engine::monitor::Level::Warning, &text);
        }
        Ok(looked)
    }
}

/// Which problem an error of [`Source::open`] or of reading is.
pub fn problem_kind(error: &io::Error) -> ProblemKind {
    if error.get_ref().is_some_and(|inner| inner.is::<Replaced>()) {
        ProblemKind::ChangedWhileRead
    } else if error.kind() == io::ErrorKind::NotFound {
        ProblemKind::Vanished
    } else {
        ProblemKind::Unreadable
    }
}

/// The stamp of an open file, to be compared with the one a walk took.
///
/// # Errors
/// Those of `fstat`.
pub fn stamp_of(file: &File) -> io::Result<FileStamp> {
    Ok(stamp(&fstat(file)?))
}

/// An entry as it was found.
pub(super) struct Looked {
    pub entry: Entry,
    pub stamp: FileStamp,
}

/// Looks at `name` in a directory; `None` if it is a socket.
pub(super) fn look_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
    path: PathIndex,
    source: &Source,
) -> Result<Option<Looked>, rustix::io::Errno> {
    let follow = if source.follow_symlinks {
        AtFlags::empty()
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    let stat = statat(dir, name, follow)?;
    let Some(kind) = kind_of(dir, name, &stat)? else {
        return Ok(None);
    };
    let meta = Metadata {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        uname: source.owners.user_name(stat.st_uid),
        gname: source.owners.group_name(stat.st_gid),
    };
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    Ok(Some(Looked {
        entry: Entry {
            path,
            kind,
            meta,
            size,
        },
        stamp: stamp(&stat),
    }))
}

fn kind_of(
    dir: BorrowedFd<'_>,
    name: &CStr,
    stat: &Stat,
) -> Result<Option<Kind>, rustix::io::Errno> {
    let (major, minor) = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink(readlinkat(dir, name, Vec::new())?.into_bytes().into()),
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        _ => return Ok(None),
    }))
}

fn stamp(stat: &Stat) -> FileStamp {
    let nanoseconds = |seconds: i64, rest: u64| {
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::try_from(rest).unwrap_or_default())
    };
    FileStamp {
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        ino: stat.st_ino,
        dev: stat.st_dev,
    }
}

/// A name for the system. Names from listings and checked paths hold no NUL.
pub(super) fn cstring(name: &[u8]) -> io::Result<std::ffi::CString> {
    std::ffi::CString::new(name)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the name has a NUL byte"))
}
