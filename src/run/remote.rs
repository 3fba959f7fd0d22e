//! What lies at a target, held against what this machine knows of it. Names and lengths tell, so no key is needed and
//! nothing is changed, here or there.

use super::open::{self, Surroundings};
use crate::engine::archive::{ArchiveDir, SetRecord};
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::error::Result;
use crate::engine::format::{FileKind, SetId};
use crate::engine::time::Timestamp;
use crate::profile::Profile;
use serde::Serialize;
use std::collections::BTreeSet;

/// Further attempts at a target that does not answer: somebody is waiting.
const RETRIES: u32 = 1;

/// What a look at a target has shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remote {
    /// Time of the newest set that restores, as far as names and lengths tell.
    pub newest: Option<Timestamp>,
    /// Chains there.
    pub chains: u64,
    /// Sets in them.
    pub sets: u64,
    /// Bytes of all files of the format.
    pub bytes: u64,
    /// Files that a cleanup would remove.
    pub leftovers: u64,
    /// Files that are not dupr's.
    pub strangers: u64,
    /// Sets there of which this machine knows nothing: somebody else made them, or the archive dir was lost.
    pub unknown_here: u64,
    /// What is not as it was left, a line each.
    pub differences: Vec<String>,
}

/// Lists the target of a profile and holds it against the archive dir.
///
/// # Errors
/// The target cannot be listed, or the archive dir cannot be read.
pub fn look(profile: &Profile, around: &Surroundings<'_>) -> Result<Remote> {
    let mut profile = profile.clone();
    profile.target.retries = profile.target.retries.min(RETRIES);
    let storage = open::storage(&profile, around)?;
    let objects = storage.list();
    let objects = objects.map_err(|e| e.within(format!("cannot list {}", storage.location())))?;
    let naming = open::naming(&profile);
    let collection = Collection::from_listing(&objects, &naming);
    let dir = &profile.backup.archive_dir;
    // None is made by a look.
    let archive = match dir.is_dir() {
        true => Some(ArchiveDir::at(dir, naming)?),
        false => None,
    };
    let known = match &archive {
        Some(archive) => known_sets(archive)?,
        None => BTreeSet::new(),
    };
    let record = |set: SetId| archive.as_ref().map(|a| a.record(set)).unwrap_or_default();
    Ok(compared(&collection, &known, &record))
}

/// The sets whose manifests lie in the archive dir. One that is being written is none yet.
fn known_sets(archive: &ArchiveDir) -> Result<BTreeSet<SetId>> {
    let half_done = archive.part_sets()?;
    let files = archive.files()?.into_iter().map(|(name, _)| name);
    let manifests = files.filter(|n| !n.partial && n.kind == FileKind::Manifest);
    let sets = manifests.map(|n| n.set);
    Ok(sets.filter(|set| !half_done.contains(set)).collect())
}

fn compared(
    collection: &Collection,
    known: &BTreeSet<SetId>,
    record: &dyn Fn(SetId) -> SetRecord,
) -> Remote {
    let there: BTreeSet<SetId> = collection.every_set().map(|s| s.id).collect();
    let mut differences = Vec::new();
    for set in known.difference(&there) {
        differences.push(format!("the {set} is known here and not at the target"));
    }
    for set in collection.every_set() {
        let flaws = flaws(set, &record(set.id));
        differences.extend(flaws.into_iter().map(|f| format!("the {}: {f}", set.id)));
    }
    let whole = |set: &&BackupSet| flaws(set, &record(set.id)).is_empty();
    let ends = collection.chains.iter().filter_map(|chain| {
        let last = chain.sets().take_while(whole).last();
        last.map(|set| set.id.time())
    });
    let every = || collection.every_set().chain(&collection.incomplete);
    Remote {
        newest: ends.max(),
        chains: collection.chains.len() as u64,
        sets: collection.sets().count() as u64,
        bytes: every().map(BackupSet::bytes).sum(),
        leftovers: collection.leftover_files() as u64,
        strangers: collection.strangers,
        unknown_here: there.difference(known).count() as u64,
        differences,
    }
}

/// What is wrong with a set as names and lengths show it.
fn flaws(set: &BackupSet, known: &SetRecord) -> Vec<String> {
    let mut flaws = Vec::new();
    if set.manifest.as_ref().is_some_and(|m| m.size == 0) {
        flaws.push("the manifest is empty".to_owned());
    }
    let numbers = set.volumes.keys().chain(known.volume_bytes.keys());
    for number in 1..=numbers.copied().max().unwrap_or(1) {
        let length = known.volume_bytes.get(&number);
        match (set.volumes.get(&number), length) {
            (None, _) => flaws.push(format!("volume {number} is missing")),
            (Some(v), Some(length)) if v.size != *length => {
                flaws.push(format!(
                    "volume {number} has {} bytes instead of {length}",
                    v.size
                ));
            }
            _ if known.damaged_volumes.contains(&number) => {
                flaws.push(format!("volume {number} was damaged when it was last read"));
            }
            _ => {}
        }
    }
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::names::Naming;
    use crate::engine::storage::Object;

    const FULL: &str = "20260101T000000Z";
    const NEXT: &str = "20260102T000000Z";

    fn there(names: &[String]) -> Collection {
        let object = |name: &String| Object {
            name: name.clone(),
            size: 10,
        };
        let objects: Vec<Object> = names.iter().map(object).collect();
        Collection::from_listing(&objects, &Naming::default())
    }

    fn names() -> Vec<String> {
        let mut names: Vec<String> = ["manifest", "vol1.difftar", "vol2.difftar"]
            .map(|end| format!("duplicity-full.{FULL}.{end}"))
            .to_vec();
        names.extend(
            ["manifest", "vol1.difftar"].map(|end| format!("duplicity-inc.{FULL}.to.{NEXT}.{end}")),
        );
        names
    }

    fn look(names: &[String], known: &Collection, lengths: &[(u32, u64)]) -> Remote {
        let known = known.every_set().map(|s| s.id).collect();
        compared(&there(names), &known, &|set| SetRecord {
            volume_bytes: match set.is_full() {
                true => lengths.iter().copied().collect(),
                false => Default::default(),
            },
            ..SetRecord::default()
        })
    }

    #[test]
    fn what_is_as_it_was_left_shows_no_difference() {
        let all = names();
        let seen = look(&all, &there(&all), &[(1, 10), (2, 10)]);
        assert_eq!((seen.chains, seen.sets, seen.bytes), (1, 2, 50));
        assert_eq!(seen.differences, Vec::<String>::new());
        let newest = there(&all).newest_time();
        assert_eq!((seen.newest, seen.unknown_here), (newest, 0));
        // Somebody else's sets are no difference.
        let seen = look(&all, &Collection::default(), &[]);
        assert_eq!((seen.differences.len(), seen.unknown_here), (0, 2));
    }

    #[test]
    fn a_set_that_is_gone_and_a_volume_that_is_missing_or_short_are_told() {
        let all = names();
        let known = there(&all);
        let seen = look(&all[..3], &known, &[]);
        assert!(
            seen.differences[0].contains("not at the target"),
            "{seen:?}"
        );
        let without: Vec<String> = all
            .iter()
            .filter(|n| !n.contains("vol1"))
            .cloned()
            .collect();
        let seen = look(&without, &known, &[]);
        assert_eq!((seen.differences.len(), seen.newest), (2, None), "{seen:?}");
        let seen = look(&all, &known, &[(1, 10), (2, 11)]);
        assert!(seen.differences[0].ends_with("volume 2 has 10 bytes instead of 11"));
        assert_eq!(
            seen.newest, None,
            "what builds on it does not restore either"
        );
        let seen = look(&all, &known, &[(3, 10)]);
        assert!(seen.differences[0].ends_with("volume 3 is missing"));
    }
}
