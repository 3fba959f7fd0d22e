//! Places as other programs name them: rclone's remotes, GNOME's places, the aliases of Tahoe.

use super::parts::{Parts, components, decoded, utf8};
use super::{Place, usage};
use crate::engine::error::Result;

impl Parts<'_> {
    /// What follows `gio+`, without the password and a slash at the end.
    pub(super) fn gio(&self, scheme: &str) -> Result<Place> {
        let kind = scheme.get("gio+".len()..).unwrap_or_default();
        if kind.is_empty() || self.netloc.is_empty() {
            return Err(
                usage(format!("the {scheme}:// URL names no place")).with_hint(
                    "write it as GNOME does, with gio+ before it: gio+smb://SERVER/SHARE/FOLDER",
                ),
            );
        }
        let netloc = match (self.user_info(), self.netloc.rsplit_once('@')) {
            (Some(info), Some((_, host))) => {
                let user = info.split_once(':').map_or(info, |(user, _)| user);
                format!("{user}@{host}")
            }
            _ => self.netloc.to_string(),
        };
        let path = self.path.trim_end_matches('/');
        decoded(path)?;
        Ok(Place::Gio {
            uri: format!("{kind}://{netloc}{path}"),
        })
    }

    /// `remote:path`. A remote described in the URL itself is refused: its secrets would be arguments of rclone.
    pub(super) fn rclone(&self) -> Result<Place> {
        let root = [self.netloc.as_bytes(), &decoded(self.path)?].concat();
        // COMPAT(dup all): one slash after the colon is of the URL; `remote://dir` begins at the root.
        let root = utf8("rclone", root)?.replacen(":/", ":", 1);
        let hint = "write rclone://REMOTE:PATH, with a remote that `rclone config` knows";
        let Some((remote, _)) = root.split_once(':') else {
            return Err(usage("the rclone:// URL names no remote").with_hint(hint));
        };
        let plain = |c: char| c.is_alphanumeric() || "_-.+@ ".contains(c);
        if remote.is_empty() || remote.starts_with(['-', ' ']) || !remote.chars().all(plain) {
            return Err(
                usage("the rclone:// URL names a remote rclone has no name for").with_hint(hint),
            );
        }
        Ok(Place::Rclone {
            root: root.trim_end_matches('/').to_string(),
        })
    }
}

/// `ALIAS/DIRECTORY`.
pub(super) fn tahoe(path: Vec<u8>) -> Result<Place> {
    let (alias, dir) = components("tahoe", path)?;
    let plain = |alias: &String| !alias.starts_with('-') && !alias.contains(':');
    let alias = alias.filter(plain).ok_or_else(|| {
        usage("the tahoe:// URL names no alias")
            .with_hint("write tahoe://ALIAS/DIRECTORY; `tahoe list-aliases` shows them")
    })?;
    Ok(Place::Tahoe { alias, dir })
}
