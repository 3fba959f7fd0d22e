//! Giving a restored entry its owner, mode and time, through a handle and never through a path.
//!
//! The three are independent: a refused owner does not cost the mode, nor the time. Setuid and setgid bits are only
//! set on files whose owner or group is the one they were made for.

use super::owner::Owners;
use crate::engine::entry::{Entry, Kind, Metadata};
use crate::engine::stream::change::OwnerLookup;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_NOW, Uid, chmod, chownat, fchmod, fstat,
    futimens, utimensat,
};
use rustix::io::Errno;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// How attributes are restored.
#[derive(Debug, Clone, Copy)]
pub struct Restoring<'a> {
    /// Whether owner and group are set at all.
    pub ownership: bool,
    /// Where names are looked up; `None` takes numbers as they are.
    pub names: Option<&'a Owners>,
}

impl Restoring<'_> {
    /// Numbers of owner and group on this host.
    fn owner(&self, meta: &Metadata) -> (u32, u32) {
        let uid = self
            .names
            .and_then(|names| names.uid_of(&meta.uname))
            .unwrap_or(meta.uid);
        let gid = self
            .names
            .and_then(|names| names.gid_of(&meta.gname))
            .unwrap_or(meta.gid);
        (uid, gid)
    }

    /// Sets owner, mode and time of what `handle` refers to; returns what could not be set, a line each.
    ///
    /// Files and directories need a handle for reading or writing; for everything else it must be opened with
    /// `O_PATH`, since opening a device or a fifo may have effects.
    pub fn apply(&self, handle: BorrowedFd<'_>, entry: &Entry) -> Vec<String> {
        let mut failures = Vec::new();
        let mut check = |what: &str, result: Result<(), Errno>| {
            if let Err(error) = result {
                failures.push(format!(
                    "cannot set {what}: {}",
                    std::io::Error::from(error)
                ));
            }
        };
        let meta = &entry.meta;
        let wanted = self.owner(meta);
        if self.ownership {
            check(
                &format!("owner {}:{}", wanted.0, wanted.1),
                set_owner(handle, wanted),
            );
        }
        if matches!(entry.kind, Kind::Symlink(_)) {
            // Links have no mode; a time of their own is a courtesy some file systems do not offer.
            let _ = utimensat(handle, "", &times(meta.mtime), AtFlags::EMPTY_PATH);
            return failures;
        }
        let mode = match allowed_mode(handle, entry, wanted) {
            Ok(mode) => {
                if mode != meta.mode {
                    check("setuid or setgid, the owner differs", Err(Errno::PERM));
                }
                mode
            }
            Err(error) => {
                check("mode", Err(error));
                return failures;
            }
        };
        let mode_bits = Mode::from_raw_mode(mode);
        if matches!(entry.kind, Kind::File | Kind::Dir) {
            check(&format!("mode {mode:o}"), fchmod(handle, mode_bits));
            check("modification time", futimens(handle, &times(meta.mtime)));
        } else {
            // The only way to an object by a handle that was never opened: the link leads to the object itself.
            let link = format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd());
            check(&format!("mode {mode:o}"), chmod(link.as_str(), mode_bits));
            check(
                "modification time",
                utimensat(CWD, link.as_str(), &times(meta.mtime), AtFlags::empty()),
            );
        }
        failures
    }
}

/// Sets owner and group, or at least the group.
fn set_owner(handle: BorrowedFd<'_>, (uid, gid): (u32, u32)) -> Result<(), Errno> {
    let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let result = chownat(handle, "", user, group, AtFlags::EMPTY_PATH);
    if result.is_err() {
        // A member of the group may give a file to the group; the refusal is reported either way.
        let _ = chownat(handle, "", None, group, AtFlags::EMPTY_PATH);
    }
    result
}

/// The mode without setuid and setgid where they would lend rights of another owner than the archive says.
fn allowed_mode(
    handle: BorrowedFd<'_>,
    entry: &Entry,
    (uid, gid): (u32, u32),
) -> Result<u32, Errno> {
    let mut mode = entry.meta.mode & 0o7777;
    // On a directory setgid lends nothing.
    if mode & (SETUID | SETGID) != 0 && !entry.kind.is_dir() {
        let stat = fstat(handle)?;
        if stat.st_uid != uid {
            mode &= !SETUID;
        }
        if stat.st_gid != gid {
            mode &= !SETGID;
        }
    }
    Ok(mode)
}

fn times(mtime: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
        last_modification: Timespec {
            tv_sec: mtime,
            tv_nsec: 0,
        },
    }
}
