//! Where a source lies: which file system, from where to where it reaches, what is mounted inside it. Read from the answer
//! of `findmnt`; pure.

use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub target: PathBuf,
    /// The device, or the dataset; of btrfs with the subvolume in brackets behind it.
    pub source: String,
    /// Its type.
    pub fstype: String,
}

/// What `findmnt --json --list` says, in the order of mounting.
pub(super) fn parse(text: &str) -> Option<Vec<Mount>> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let word = |mount: &serde_json::Value, key: &str| {
        let word = mount.get(key).and_then(|value| value.as_str());
        word.unwrap_or_default().to_owned()
    };
    let mounts = document.get("filesystems")?.as_array()?;
    let mounts = mounts.iter().map(|mount| Mount {
        target: word(mount, "target").into(),
        source: word(mount, "source"),
        fstype: word(mount, "fstype"),
    });
    Some(mounts.collect())
}

/// The mount a path lies on.
pub(super) fn of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let holding = mounts.iter().filter(|m| path.starts_with(&m.target));
    // Of two at one place the later covers the earlier.
    holding.max_by_key(|m| m.target.components().count())
}

/// What is mounted below a path.
pub(super) fn inside<'a>(mounts: &'a [Mount], path: &'a Path) -> impl Iterator<Item = &'a Path> {
    let targets = mounts.iter().map(|m| m.target.as_path());
    targets.filter(move |target| target.starts_with(path) && *target != path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_mount_holds_a_path() {
        let text = r#"{"filesystems": [
            {"target":"/", "source":"/dev/sda1", "fstype":"ext4"},
            {"target":"/srv", "source":"/dev/sdb", "fstype":"xfs"},
            {"target":"/srv", "source":"tank/srv", "fstype":"zfs"},
            {"target":"/srv/app/db", "source":"tank/db", "fstype":"zfs"},
            {"target":"/srvx", "source":null, "fstype":"tmpfs"}]}"#;
        let mounts = parse(text).unwrap();
        let on = |path: &str| of(&mounts, Path::new(path)).unwrap().source.as_str();
        assert_eq!(on("/srv/app"), "tank/srv");
        assert_eq!(on("/srv/app/db/x"), "tank/db");
        assert_eq!(on("/srvx"), "");
        assert_eq!(on("/home"), "/dev/sda1");
        let within: Vec<_> = inside(&mounts, Path::new("/srv/app")).collect();
        assert_eq!(within, [Path::new("/srv/app/db")]);
        assert!(parse("findmnt: nonsense").is_none());
    }
}
