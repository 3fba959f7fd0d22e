//! Everything found at a target, sorted into chains and leftovers. Pure: built from a list of names and sizes.

pub mod chain;
pub mod set;

pub use chain::{BackupChain, SignatureChain};
pub use set::{BackupSet, StoredFile};

use super::format::names::Naming;
use super::storage::Object;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a target holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Collection {
    /// Chains of complete sets, by the time of their full set, oldest first.
    pub chains: Vec<BackupChain>,
    /// Complete incremental sets whose basis is missing, by time.
    pub orphans: Vec<BackupSet>,
    /// Sets without a manifest: left by a run that was interrupted or is under way, by time.
    pub incomplete: Vec<BackupSet>,
    /// Files that carry the same set and number as another one, in another form: never read, never removed.
    pub duplicates: Vec<StoredFile>,
    /// Objects whose names are not of the format: never touched.
    pub strangers: u64,
}

impl Collection {
    /// Sorts a listing. Names that `naming` does not know are counted as strangers.
    pub fn from_listing(objects: &[Object], naming: &Naming) -> Self {
        let mut sets: BTreeMap<_, BackupSet> = BTreeMap::new();
        let mut collection = Collection::default();
        // Sorted, so that the result does not depend on the order of a listing.
        let mut objects: Vec<&Object> = objects.iter().collect();
        objects.sort();
        for object in objects {
            match naming.parse(&object.name) {
                Some(name) if !name.partial => {
                    let file = StoredFile {
                        name: object.name.clone(),
                        parsed: name,
                        size: object.size,
                    };
                    let set = sets
                        .entry(name.set)
                        .or_insert_with(|| BackupSet::new(name.set));
                    if let Some(extra) = set.insert(file) {
                        collection.duplicates.push(extra);
                    }
                }
                _ => collection.strangers += 1,
            }
        }
        let (complete, incomplete) = sets
            .into_values()
            .partition(|s: &BackupSet| s.is_complete());
        collection.incomplete = incomplete;
        collection
            .incomplete
            .sort_by_key(|s: &BackupSet| s.id.time());
        let (chains, orphans) = chain::build(complete);
        collection.chains = chains;
        collection.orphans = orphans;
        collection
    }

    /// All complete sets that belong to a chain, oldest first.
    pub fn sets(&self) -> impl Iterator<Item = &BackupSet> {
        self.chains.iter().flat_map(BackupChain::sets)
    }

    /// All sets with a manifest, replaced and orphaned ones included.
    pub fn every_set(&self) -> impl Iterator<Item = &BackupSet> {
        let replaced = self.chains.iter().flat_map(|c| &c.replaced);
        self.sets().chain(replaced).chain(&self.orphans)
    }

    /// The newest chain, by the time of its newest set.
    pub fn latest_chain(&self) -> Option<&BackupChain> {
        self.chains.iter().max_by_key(|c| c.end())
    }

    /// Time of the newest set of any kind, incomplete ones included.
    pub fn newest_time(&self) -> Option<Timestamp> {
        let complete = self.sets().chain(&self.orphans).chain(&self.incomplete);
        complete.map(|s| s.id.time()).max()
    }

    /// The chain that knows the state at `time`: the newest one that began by then; if all began later, the
    /// oldest.
    // COMPAT(dup all): a time before the first backup means the first backup.
    pub fn chain_at(&self, time: Timestamp) -> Option<&BackupChain> {
        let begun = self
            .chains
            .iter()
            .filter(|c| c.start() <= time)
            .max_by_key(|c| c.start());
        begun.or_else(|| self.chains.iter().min_by_key(|c| c.start()))
    }

    /// Number of objects that belong to no complete chain and could be removed by a cleanup.
    pub fn leftover_files(&self) -> usize {
        self.orphans
            .iter()
            .chain(&self.incomplete)
            .map(|s| s.files().count())
            .sum()
    }
}
