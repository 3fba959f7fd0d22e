//! The file systems that can be frozen, and the tools that do it.

use super::call;
use super::place::Mount;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::profile::SnapshotKind;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Number of the directory at the root of a subvolume of btrfs.
const SUBVOLUME_ROOT: u64 = 256;

/// Part of a logical volume's size that may change while its snapshot exists; thin volumes need none.
const LVM_ROOM: &str = "10%ORIGIN";

/// One file system, and what its snapshot is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    kind: Kind,
    /// The source below the file system that is frozen.
    below: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A subvolume, and the snapshot in it.
    Btrfs {
        subvolume: PathBuf,
        snapshot: PathBuf,
    },
    /// A dataset, where it is mounted, and the name behind its `@`.
    Zfs {
        dataset: String,
        mounted: PathBuf,
        name: String,
    },
    /// A logical volume, its snapshot, and where that is mounted.
    Lvm {
        origin: String,
        snapshot: String,
        is_thin: bool,
        fstype: String,
        mounted: PathBuf,
    },
}

/// How `root`, which lies on `mount`, is frozen; `None` if it need not be and cannot.
pub(super) fn find(
    wanted: SnapshotKind,
    mount: &Mount,
    root: &Path,
    name: &str,
) -> Result<Option<Way>> {
    let below = |top: &Path| {
        root.strip_prefix(top)
            .map(Path::to_owned)
            .unwrap_or_default()
    };
    let kind = match (wanted, mount.fstype.as_str()) {
        (SnapshotKind::Btrfs | SnapshotKind::Auto, "btrfs") => {
            let subvolume = subvolume(root, &mount.target)?;
            let snapshot = subvolume.join(format!(".{name}"));
            let below = below(&subvolume);
            let kind = Kind::Btrfs {
                subvolume,
                snapshot,
            };
            return Ok(Some(Way { kind, below }));
        }
        (SnapshotKind::Zfs | SnapshotKind::Auto, "zfs") => Kind::Zfs {
            dataset: mount.source.clone(),
            mounted: mount.target.clone(),
            name: name.to_owned(),
        },
        (SnapshotKind::Lvm, _) => logical_volume(mount, name)?,
        (SnapshotKind::Auto, _) if mount.source.starts_with("/dev/mapper/") => {
            // What else the device mapper makes, such as encrypted disks, is no logical volume.
            match logical_volume(mount, name) {
                Ok(kind) => kind,
                Err(_) => return Ok(None),
            }
        }
        (SnapshotKind::Auto | SnapshotKind::None, _) => return Ok(None),
        (wanted @ (SnapshotKind::Btrfs | SnapshotKind::Zfs), other) => {
            let wanted = format!("{wanted:?}").to_lowercase();
            let text = format!("{} is {other}, not {wanted}", mount.target.display());
            return Err(Error::new(ErrorKind::Source, text));
        }
    };
    Ok(Some(Way {
        kind,
        below: below(&mount.target),
    }))
}

/// The subvolume of btrfs that holds `path`.
fn subvolume(path: &Path, mount: &Path) -> Result<PathBuf> {
    for dir in path.ancestors() {
        let meta = dir
            .symlink_metadata()
            .map_err(|e| Error::io("look at", dir, e))?;
        if meta.is_dir() && meta.ino() == SUBVOLUME_ROOT {
            return Ok(dir.to_owned());
        }
        if dir == mount {
            break;
        }
    }
    let text = format!("{} lies in no subvolume that can be frozen", path.display());
    Err(Error::new(ErrorKind::Source, text))
}

fn logical_volume(mount: &Mount, name: &str) -> Result<Kind> {
    let words = [
        "lvs",
        "--noheadings",
        "--separator",
        "/",
        "--options",
        "vg_name,lv_name,pool_lv",
    ];
    let answer = call(&[&words[..], &[mount.source.as_str()]].concat())?;
    let mut parts = answer.trim().split('/').map(str::trim);
    let (group, volume, pool) = (parts.next(), parts.next(), parts.next());
    let (Some(group), Some(volume)) = (group, volume) else {
        let text = format!("{} is no logical volume", mount.source);
        return Err(Error::new(ErrorKind::Source, text));
    };
    Ok(Kind::Lvm {
        origin: format!("{group}/{volume}"),
        snapshot: format!("{group}/{name}"),
        is_thin: pool.is_some_and(|p| !p.is_empty()),
        fstype: mount.fstype.clone(),
        mounted: PathBuf::from(format!("/run/{name}")),
    })
}

impl Way {
    /// Makes the snapshot; where the source is found in it.
    ///
    /// # Errors
    /// A tool failed. What was made until then is removed by [`Way::remove`].
    pub fn make(&self) -> Result<PathBuf> {
        match &self.kind {
            Kind::Btrfs {
                subvolume,
                snapshot,
            } => {
                let (from, to) = (text(subvolume)?, text(snapshot)?);
                call(&["btrfs", "subvolume", "snapshot", "-r", from, to])?;
                Ok(within(snapshot, &self.below))
            }
            Kind::Zfs {
                dataset,
                mounted,
                name,
            } => {
                call(&["zfs", "snapshot", &format!("{dataset}@{name}")])?;
                Ok(within(
                    &mounted.join(".zfs/snapshot").join(name),
                    &self.below,
                ))
            }
            Kind::Lvm {
                origin,
                snapshot,
                is_thin,
                fstype,
                mounted,
            } => {
                let name = snapshot.rsplit('/').next().unwrap_or(snapshot);
                let mut words = vec!["lvcreate", "--snapshot", "--name", name];
                if *is_thin {
                    // A snapshot of a thin volume is not switched on by itself.
                    words.extend(["--setactivationskip", "n"]);
                } else {
                    words.extend(["--extents", LVM_ROOM]);
                }
                words.push(origin);
                call(&words)?;
                std::fs::create_dir_all(mounted).map_err(|e| Error::io("create", mounted, e))?;
                // xfs refuses a second file system with the same number, and others know no such option.
                let options = if fstype == "xfs" { "ro,nouuid" } else { "ro" };
                let device = format!("/dev/{snapshot}");
                call(&["mount", "-o", options, &device, text(mounted)?])?;
                Ok(within(mounted, &self.below))
            }
        }
    }

    /// Removes the snapshot: whether that went well, or `None` if there is none.
    pub fn remove(&self) -> Option<bool> {
        match &self.kind {
            Kind::Btrfs { snapshot, .. } => {
                snapshot.symlink_metadata().ok()?;
                let removed =
                    text(snapshot).and_then(|s| call(&["btrfs", "subvolume", "delete", s]));
                Some(removed.is_ok())
            }
            Kind::Zfs { dataset, name, .. } => {
                let snapshot = format!("{dataset}@{name}");
                call(&["zfs", "list", "-t", "snapshot", &snapshot]).ok()?;
                Some(call(&["zfs", "destroy", &snapshot]).is_ok())
            }
            Kind::Lvm {
                snapshot, mounted, ..
            } => {
                call(&["lvs", snapshot]).ok()?;
                // It may not have been mounted.
                let _ = text(mounted).and_then(|m| call(&["umount", m]));
                let _ = std::fs::remove_dir(mounted);
                Some(call(&["lvremove", "--yes", snapshot]).is_ok())
            }
        }
    }

    /// What lies in `root` and is not in the snapshot, although nothing is mounted there: subvolumes in a subvolume.
    pub fn holes(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let Kind::Btrfs { subvolume, .. } = &self.kind else {
            return Ok(Vec::new());
        };
        let answer = call(&["btrfs", "subvolume", "list", "-o", text(subvolume)?])?;
        let top = call(&["btrfs", "subvolume", "show", text(subvolume)?])?;
        // The first line names the subvolume as the list does, from the top of the file system.
        let top = top.lines().next().unwrap_or_default().trim().to_owned();
        Ok(nested(&answer, &top)
            .map(|inner| subvolume.join(inner))
            .filter(|path| path.starts_with(root))
            .collect())
    }
}

/// Paths of the subvolumes in a list, relative to the subvolume `top` that holds them.
fn nested<'a>(list: &'a str, top: &'a str) -> impl Iterator<Item = &'a str> {
    let top = top.trim_matches('/');
    list.lines().filter_map(move |line| {
        let (_, path) = line.split_once(" path ")?;
        let inner = path.strip_prefix(top).unwrap_or(path);
        Some(inner.trim_start_matches('/'))
    })
}

/// `below` may be nothing: no slash is added then.
fn within(top: &Path, below: &Path) -> PathBuf {
    match below.as_os_str().is_empty() {
        true => top.to_owned(),
        false => top.join(below),
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(
            ErrorKind::Source,
            format!("{} is not a name in UTF-8", path.display()),
        )
    })
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Btrfs { snapshot, .. } => write!(f, "the btrfs snapshot {}", snapshot.display()),
            Kind::Zfs { dataset, name, .. } => write!(f, "the zfs snapshot {dataset}@{name}"),
            Kind::Lvm { snapshot, .. } => write!(f, "the lvm snapshot {snapshot}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subvolumes_are_found_below_theirs() {
        let list = "ID 257 gen 9 top level 256 path home/cache\nID 258 gen 9 top level 256 path home/a b\n";
        assert_eq!(nested(list, "home").collect::<Vec<_>>(), ["cache", "a b"]);
        assert_eq!(
            nested("ID 257 gen 9 top level 5 path x\n", "/").collect::<Vec<_>>(),
            ["x"]
        );
    }

    #[test]
    fn a_file_system_without_snapshots_is_an_error_only_if_one_was_asked_for() {
        let mount = Mount {
            target: "/srv".into(),
            source: "/dev/sda1".into(),
            fstype: "ext4".into(),
        };
        let find = |kind| find(kind, &mount, Path::new("/srv/x"), "dupr-home");
        assert_eq!(find(SnapshotKind::Auto).unwrap(), None);
        assert!(find(SnapshotKind::Btrfs).is_err() && find(SnapshotKind::Zfs).is_err());
    }
}
