//! What lies at a target and belongs to no chain, with duplicity's numbers of warnings: front ends clean up when they see one.

use crate::engine::collection::{BackupSet, Collection};
use crate::engine::format::SetId;
use crate::engine::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Signatures that follow no full ones.
const ORPHANED_SIGNATURE: i32 = 2;
/// The newest chain has no signatures that reach as far.
const UNMATCHED_SIGNATURE: i32 = 4;
/// A set that follows none.
const ORPHANED_BACKUP: i32 = 6;

/// Warnings about a collection: number and text.
pub fn warnings(collection: &Collection) -> Vec<(i32, String)> {
    let signatures = || {
        let sets = collection.every_set().chain(&collection.incomplete);
        sets.filter_map(|set| Some((set.id, set.signature.as_ref()?)))
    };
    let mut next: BTreeMap<Timestamp, Timestamp> = BTreeMap::new();
    for (id, _) in signatures() {
        if let SetId::Incremental { start, end } = id {
            let furthest = next.entry(start).or_insert(end);
            *furthest = end.max(*furthest);
        }
    }
    let mut attached = BTreeSet::new();
    let mut ends = BTreeSet::new();
    for (id, _) in signatures().filter(|(id, _)| id.is_full()) {
        let mut end = id.time();
        attached.insert(end);
        // Times grow from set to set, or the chain would never end.
        while let Some(after) = next.get(&end).filter(|after| **after > end) {
            end = *after;
            attached.insert(end);
        }
        ends.insert(end);
    }
    let mut warnings = Vec::new();
    let orphaned: Vec<&str> = signatures()
        .filter(
            |(id, _)| matches!(id, SetId::Incremental { start, .. } if !attached.contains(start)),
        )
        .map(|(_, file)| file.name.as_str())
        .collect();
    if !orphaned.is_empty() {
        let text = format!("Signatures that follow no others:\n{}", orphaned.join("\n"));
        warnings.push((ORPHANED_SIGNATURE, text));
    }
    let newest = collection.latest_chain().map(|chain| chain.end());
    if !ends.is_empty() && newest.is_none_or(|newest| !ends.contains(&newest)) {
        let text = "The signatures do not reach as far as the newest chain, or further";
        warnings.push((UNMATCHED_SIGNATURE, text.into()));
    }
    if !collection.orphans.is_empty() {
        let sets: Vec<String> = collection.orphans.iter().map(files).collect();
        let text = format!("Sets that follow no others:\n{}", sets.join("\n"));
        warnings.push((ORPHANED_BACKUP, text));
    }
    warnings
}

/// Manifest and volumes of a set.
fn files(set: &BackupSet) -> String {
    let names = set.manifest.iter().chain(set.volumes.values());
    let names: Vec<&str> = names.map(|file| file.name.as_str()).collect();
    format!("[{}]", names.join(", "))
}
