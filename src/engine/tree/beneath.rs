//! Opening paths below a directory without following a single symbolic link.
//!
//! The kernel's `openat2` does it in one call. Where it is missing or filtered out, and for paths longer than the
//! kernel takes, the path is opened component by component, each with `O_NOFOLLOW`; the guarantee is the same.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Flags of a directory that is opened to be read or changed.
pub const DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// Opens `path`, raw bytes relative to `root` and free of `.` and `..`; the root itself if empty.
///
/// # Errors
/// `ELOOP` or `ENOTDIR` if a component is a symbolic link; whatever else opening may fail with.
pub fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = if path.is_empty() {
        OsStr::new(".")
    } else {
        OsStr::from_bytes(path)
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, name, flags, Mode::empty(), resolve) {
        // Old kernel; filtered by a container; raced with a rename; path too long.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::NAMETOOLONG) => {
            by_component(root, path, flags)
        }
        result => result,
    }
}

/// Opens `path` component by component.
fn by_component(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut dir: Option<OwnedFd> = None;
    let mut components = path
        .split(|b| *b == b'/')
        .filter(|c| !c.is_empty())
        .peekable();
    while let Some(component) = components.next() {
        if component == b".." || component == b"." {
            return Err(Errno::XDEV);
        }
        let from = dir.as_ref().map_or(root, AsFd::as_fd);
        let how = if components.peek().is_some() {
            step
        } else {
            flags
        };
        dir = Some(openat(
            from,
            OsStr::from_bytes(component),
            how,
            Mode::empty(),
        )?);
    }
    match dir {
        Some(fd) => Ok(fd),
        None => openat(root, ".", flags, Mode::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::fs;

    #[test]
    fn no_link_is_followed_by_either_way() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        fs::write(temp.path().join("a/b/c"), "x").unwrap();
        std::os::unix::fs::symlink("b", temp.path().join("a/link")).unwrap();
        std::os::unix::fs::symlink("b/c", temp.path().join("a/leaf")).unwrap();
        let root = openat(
            CWD,
            temp.path(),
            OFlags::RDONLY | OFlags::DIRECTORY,
            Mode::empty(),
        )
        .unwrap();
        for way in [open, |root: BorrowedFd<'_>, path: &[u8], flags| {
            by_component(root, path, flags | OFlags::NOFOLLOW)
        }] {
            assert!(way(root.as_fd(), b"a/b/c", OFlags::RDONLY).is_ok());
            assert!(way(root.as_fd(), b"", DIR).is_ok());
            for bad in [b"a/link/c".as_slice(), b"a/leaf", b"../x"] {
                assert!(way(root.as_fd(), bad, OFlags::RDONLY).is_err(), "{bad:?}");
            }
        }
        assert!(open(root.as_fd(), b"/etc", DIR).is_err());
    }

    #[test]
    fn paths_longer_than_the_kernel_takes() {
        let temp = tempfile::tempdir().unwrap();
        let root = openat(
            CWD,
            temp.path(),
            OFlags::RDONLY | OFlags::DIRECTORY,
            Mode::empty(),
        )
        .unwrap();
        let name = "d".repeat(200);
        let mut path = Vec::new();
        for _ in 0..30 {
            let parent = open(root.as_fd(), &path, DIR).unwrap();
            rustix::fs::mkdirat(&parent, name.as_str(), Mode::RWXU).unwrap();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
        }
        assert!(path.len() > 4096);
        assert!(open(root.as_fd(), &path, DIR).is_ok());
    }
}
