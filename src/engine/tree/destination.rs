//! The place a restore writes to, before anything is written.
//!
//! It must be empty or not exist, unless it is to be merged with. Here, and only here, links are followed: the user
//! named the path.

use super::beneath;
use crate::engine::error::{Error, ErrorKind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What to do with a destination that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Refuse to restore.
    #[default]
    Refuse,
    /// Keep what is there and replace what is in the way, but for directories that are not empty.
    Merge,
    /// Add what is missing; replace only what was changed last before the entry that takes its place.
    Older,
    /// Add what is missing, and replace nothing.
    Keep,
}

/// Where the destination is.
pub(super) struct Destination {
    pub path: PathBuf,
    /// The directory it lies in, and its name there; `None` for destinations like `.` and `/`, which always exist.
    pub parent: Option<(OwnedFd, OsString)>,
    pub exists: bool,
}

impl Destination {
    /// Looks at `dest` and creates the directories that lead there.
    pub fn open(dest: &Path, existing: Existing) -> Result<Self> {
        let io = |error: Errno| Error::io("restore to", dest, error.into());
        let used = |what: &str| {
            Error::new(
                ErrorKind::Usage,
                format!("cannot restore to {}: {what}", dest.display()),
            )
            .with_hint("choose a directory that is empty or does not exist")
        };
        let exists = match statat(CWD, dest, AtFlags::empty()) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                if existing == Existing::Refuse && !is_empty(dest)? {
                    return Err(used("it is not empty"));
                }
                true
            }
            Ok(_) if existing == Existing::Refuse => return Err(used("it exists already")),
            Ok(_) => true,
            Err(Errno::NOENT) if statat(CWD, dest, AtFlags::SYMLINK_NOFOLLOW).is_ok() => {
                return Err(used("it is a symbolic link that leads nowhere"));
            }
            Err(Errno::NOENT) => false,
            Err(error) => return Err(io(error)),
        };
        let parent = match dest.file_name() {
            None => None,
            Some(name) => {
                let dir = match dest.parent() {
                    Some(parent) if !parent.as_os_str().is_empty() => parent,
                    _ => Path::new("."),
                };
                std::fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let handle = openat(CWD, dir, flags, Mode::empty()).map_err(io)?;
                Some((handle, name.to_owned()))
            }
        };
        Ok(Self {
            path: dest.to_owned(),
            parent,
            exists,
        })
    }

    /// Opens the destination as a directory, creating it if need be. Here, and only here, a link is followed: the
    /// user named it.
    pub fn enter(&self) -> Result<OwnedFd> {
        let opened = match &self.parent {
            Some((parent, name)) if !self.exists => mkdirat(parent, name, Mode::RWXU)
                .and_then(|()| openat(parent, name, beneath::DIR, Mode::empty())),
            _ => openat(
                CWD,
                &self.path,
                beneath::DIR.difference(OFlags::NOFOLLOW),
                Mode::empty(),
            ),
        };
        opened.map_err(|error| Error::io("open the destination", &self.path, error.into()))
    }
}

fn is_empty(dir: &Path) -> Result<bool> {
    let mut entries = std::fs::read_dir(dir).map_err(|error| Error::io("read", dir, error))?;
    Ok(entries.next().is_none())
}
