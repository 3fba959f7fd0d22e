//! Looks at stored data: manifests and sizes, a sample against the live source, a real restore of a few files.

use super::outcome::StepOutcome;
use crate::engine::archive::private_dir;
use crate::engine::context::Context;
use crate::engine::entry::Entry;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::ops::output::Output;
use crate::engine::ops::restore::RestoreOptions;
use crate::engine::stats::RestoreStats;
use crate::engine::target::Engine;
use crate::plan::CheckKind;
use crate::profile::Profile;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Most files a check fetches: each may need volumes of its own.
const MOST_FILES: usize = 500;

/// Does one check.
///
/// # Errors
/// `Corrupt` if stored data is damaged, and trouble with the target.
pub fn check(
    engine: &Engine,
    profile: &Profile,
    kind: CheckKind,
    done: &mut StepOutcome,
    cx: &Context<'_>,
) -> Result<()> {
    match kind {
        CheckKind::Quick => quick(engine, cx),
        CheckKind::Spot { sample_percent } => {
            let share = |files: usize| {
                #[allow(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss
                )]
                let n = (files as f64 * sample_percent / 100.0).ceil() as usize;
                n
            };
            samples(
                engine,
                profile,
                &share,
                Some(&profile.source.root),
                done,
                cx,
            )
        }
        CheckKind::RestoreTest { files } => {
            let files = usize::try_from(files).unwrap_or(usize::MAX);
            samples(engine, profile, &|_| files, None, done, cx)
        }
    }
}

fn quick(engine: &Engine, cx: &Context<'_>) -> Result<()> {
    let collection = engine.scan(cx)?;
    if collection.chains.is_empty() {
        return Err(Error::new(
            ErrorKind::NoBackup,
            format!("{} holds no backup", engine.location()),
        ));
    }
    let mut damage = engine.losses(&collection)?;
    let leftovers = [
        (
            &collection.incomplete,
            "has no manifest: a run that was interrupted left it, or the manifest is lost",
        ),
        (
            &collection.orphans,
            "builds on a set that is not there; cleanup removes it",
        ),
    ];
    for (sets, what) in leftovers {
        for set in sets
            .iter()
            .filter(|set| !damage.iter().any(|d| d.set == set.id))
        {
            cx.monitor
                .note(Level::Notice, &format!("{} {what}", set.id));
        }
    }
    for chain in &collection.chains {
        damage.extend(engine.damage_of(chain, cx)?);
    }
    for found in damage.iter().take(20) {
        cx.monitor
            .note(Level::Notice, &format!("{}: {}", found.set, found.reason));
    }
    match damage.first() {
        None => Ok(()),
        Some(first) => {
            let more = if damage.len() > 1 {
                format!(" and {} more", damage.len() - 1)
            } else {
                String::new()
            };
            Err(Error::new(
                ErrorKind::Corrupt,
                format!("{}: {}{more}", first.set, first.reason),
            ))
        }
    }
}

/// Files of a state, thinned out while they come so that memory does not grow with their number.
struct Files {
    paths: Vec<(u64, Entry)>,
    seen: usize,
    seed: u64,
}

impl Output for Files {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        if !entry.kind.is_file() {
            return Ok(());
        }
        self.seen += 1;
        let rank = mixed(self.seed ^ self.seen as u64);
        // The lowest ranks are a fair sample of any size up to the limit.
        if self.paths.len() < MOST_FILES
            || self.paths.last().is_some_and(|(worst, _)| rank < *worst)
        {
            let at = self.paths.partition_point(|(r, _)| *r < rank);
            self.paths.insert(at, (rank, entry.clone()));
            self.paths.truncate(MOST_FILES);
        }
        Ok(())
    }
}

/// A number that looks random and is the same for the same input (splitmix64).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Restores a sample into a temporary directory; compares it with `live`, if given, where that is unchanged.
fn samples(
    engine: &Engine,
    profile: &Profile,
    share: &dyn Fn(usize) -> usize,
    live: Option<&Path>,
    done: &mut StepOutcome,
    cx: &Context<'_>,
) -> Result<()> {
    let mut files = Files {
        paths: Vec::new(),
        seen: 0,
        seed: cx.now.as_secs().unsigned_abs(),
    };
    engine.list(None, &mut files, cx)?;
    let wanted = share(files.seen).min(MOST_FILES);
    let place = private_dir("dupr-check-", &profile.backup.temp_dir)?;
    let mut stats = RestoreStats::default();
    for (n, (_, entry)) in files.paths.iter().take(wanted).enumerate() {
        cx.cancel.check()?;
        let destination = place.path().join(n.to_string());
        let options = RestoreOptions {
            path: entry.path.clone(),
            ..RestoreOptions::default()
        };
        let one = engine.restore(&destination, &options, cx)?;
        stats.entries += one.entries;
        stats.content_bytes += one.content_bytes;
        stats.volumes += one.volumes;
        stats.problems += one.problems;
        if let Some(root) = live
            && differs(&destination, root, entry).unwrap_or(false)
        {
            stats.differences += 1;
            let reason = "content differs from the source although size and time are the same";
            cx.monitor.problem(Problem::new(
                ProblemKind::ChangedWhileRead,
                &entry.path,
                reason,
            ));
        }
        let _ = std::fs::remove_file(&destination);
    }
    let read = wanted.min(files.paths.len());
    cx.monitor.note(
        Level::Notice,
        &format!("{read} of {} files read back", files.seen),
    );
    done.problem_count = stats.problems;
    done.restore = Some(stats);
    Ok(())
}

/// Whether a restored file differs from the live one; `None` where the live one was touched since, or is gone.
fn differs(restored: &Path, root: &Path, entry: &Entry) -> Option<bool> {
    let live = if entry.path.is_root() {
        root.to_owned()
    } else {
        root.join(entry.path.as_path())
    };
    let metadata = live.symlink_metadata().ok()?;
    let size = restored.metadata().ok()?.len();
    if !metadata.is_file() || metadata.mtime() != entry.meta.mtime || metadata.len() != size {
        return None;
    }
    same_content(restored, &live).ok().map(|same| !same)
}

fn same_content(a: &Path, b: &Path) -> std::io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let n = fill(&mut a, &mut left)?;
        let m = fill(&mut b, &mut right)?;
        if left.get(..n) != right.get(..m) {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
        match file.read(rest)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entry::{Kind, Metadata};
    use crate::engine::path::PathIndex;

    #[test]
    fn a_sample_is_bounded_fair_and_the_same_for_the_same_seed() {
        let take = |seed| {
            let mut files = Files {
                paths: Vec::new(),
                seen: 0,
                seed,
            };
            for i in 0..5000 {
                let path = PathIndex::new(format!("f{i}").as_bytes()).unwrap();
                files
                    .entry(&Entry {
                        path,
                        kind: Kind::File,
                        meta: Metadata::default(),
                        size: 0,
                    })
                    .unwrap();
            }
            assert_eq!((files.paths.len(), files.seen), (MOST_FILES, 5000));
            files
                .paths
                .into_iter()
                .map(|(_, e)| e.path)
                .collect::<Vec<_>>()
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }

    #[test]
    fn contents_are_compared_to_the_last_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let mut bytes = vec![7u8; 200_000];
        std::fs::write(&a, &bytes).unwrap();
        std::fs::write(&b, &bytes).unwrap();
        assert!(same_content(&a, &b).unwrap());
        bytes[199_999] = 8;
        std::fs::write(&b, &bytes).unwrap();
        assert!(!same_content(&a, &b).unwrap());
        std::fs::write(&b, &bytes[..199_999]).unwrap();
        assert!(!same_content(&a, &b).unwrap());
    }
}
