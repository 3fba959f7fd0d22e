//! A frozen file system to back up from: made before the walk, removed on every way out.
//!
//! A snapshot has a name made of the profile's, so that one an ended machine left behind is found and replaced by the next
//! run. Paths in the archive are those of the source. What is mounted inside the source is not in a snapshot of it, and told.

mod place;
mod ways;

use self::ways::Way;
use super::program::Program;
use crate::engine::context::{Cancel, Context};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::profile::{Profile, SnapshotKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a tool may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A snapshot that exists as long as this does.
pub struct Snapshot<'a> {
    root: PathBuf,
    way: Way,
    cx: Context<'a>,
}

/// Calls a tool; its answer.
///
/// Not ended by a signal: each takes moments, and what was made must be removed.
fn call(words: &[&str]) -> Result<String> {
    let program = Program {
        argv: words.iter().map(|w| (*w).to_owned()).collect(),
        timeout: Some(PATIENCE),
        may_be_empty: true,
        ..Program::default()
    };
    program
        .answer(&Cancel::new())
        .map_err(|e| Error::new(ErrorKind::Source, format!("`{}`: {e}", words.join(" "))))
}

/// A path without links on the way to its last component.
fn resolved(root: &Path) -> std::io::Result<PathBuf> {
    match (root.parent(), root.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
        _ => Ok(root.to_owned()),
    }
}

/// How the source of a profile would be frozen, and what would be missing from the snapshot; `None` for not at all.
fn look(profile: &Profile) -> Result<Option<(Way, PathBuf, Vec<PathBuf>)>> {
    let wanted = profile.source.snapshot;
    if wanted == SnapshotKind::None {
        return Ok(None);
    }
    let declared = &profile.source.root;
    let root = resolved(declared).map_err(|e| Error::io("look at", declared, e))?;
    let answer = call(&[
        "findmnt",
        "--json",
        "--list",
        "--output",
        "TARGET,SOURCE,FSTYPE",
    ])?;
    let mounts = place::parse(&answer).ok_or_else(|| {
        Error::new(
            ErrorKind::Source,
            "findmnt did not say what is mounted where",
        )
    })?;
    let Some(mount) = place::of(&mounts, &root) else {
        return Err(Error::new(
            ErrorKind::Source,
            format!("{} lies on no file system that is known", root.display()),
        ));
    };
    let name = format!("dupr-{}", profile.backup.name);
    let way = ways::find(wanted, mount, &root, &name)?;
    let Some(way) = way else {
        return Ok(None);
    };
    let mut missing: Vec<PathBuf> = place::inside(&mounts, &root).map(Path::to_owned).collect();
    missing.extend(way.holes(&root)?);
    missing.sort();
    missing.dedup();
    Ok(Some((way, root, missing)))
}

/// Freezes the file system of a profile's source, if it is to be.
///
/// # Errors
/// `Source` if it cannot be frozen; nothing is left then.
pub fn take<'a>(profile: &Profile, cx: &Context<'a>) -> Result<Option<Snapshot<'a>>> {
    let frozen = |e: Error| {
        e.within("cannot take a snapshot")
            .with_hint("see docs/profile.md, \"Snapshots\"; snapshot = \"none\" does without")
    };
    let Some((way, root, missing)) = look(profile).map_err(frozen)? else {
        if profile.source.snapshot != SnapshotKind::None {
            let text = "the file system of the source has no snapshots: reading it as it is";
            cx.monitor.note(Level::Notice, text);
        }
        return Ok(None);
    };
    // Left behind by a run that could not end; the lock says that it is nobody else's.
    if way.remove() == Some(true) {
        let text = format!("removed {way}, which an earlier run left behind");
        cx.monitor.note(Level::Notice, &text);
    }
    let mut snapshot = Snapshot {
        root: PathBuf::new(),
        way,
        cx: *cx,
    };
    let seen_at = snapshot.way.make().map_err(frozen)?;
    snapshot.root = seen_at;
    cx.monitor.note(
        Level::Info,
        &format!("reading the source from {}", snapshot.way),
    );
    if !profile.source.one_filesystem {
        for path in missing {
            let below = path.strip_prefix(&root).unwrap_or(&path);
            let below = PathIndex::new(below.as_os_str().as_bytes()).unwrap_or_default();
            let reason = "a file system of its own: it is not in the snapshot";
            cx.monitor
                .problem(Problem::new(ProblemKind::Unreadable, &below, reason));
        }
    }
    Ok(Some(snapshot))
}

/// How the source would be frozen, in words; `None` if it would not.
///
/// # Errors
/// It could not be.
pub fn try_out(profile: &Profile) -> Result<Option<String>> {
    Ok(
        look(profile)?.map(|(way, _, missing)| match missing.as_slice() {
            [] => way.to_string(),
            [one, ..] => format!(
                "{way}; {} things mounted inside are not in it, such as {}",
                missing.len(),
                one.display()
            ),
        }),
    )
}

impl Snapshot<'_> {
    /// Where the source is found in it.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if self.way.remove() == Some(false) {
            let text = format!(
                "{} could not be removed; the next run tries again",
                self.way
            );
            self.cx.monitor.note(Level::Warning, &text);
        }
    }
}
