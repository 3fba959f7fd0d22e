//! Deletes sets: newest first, and inside a set the manifest first.
//!
//! A crash anywhere leaves orphaned files, which a cleanup knows, never a set that looks whole and is not.

use crate::engine::collection::{BackupSet, Collection, StoredFile};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::SetId;
use crate::engine::target::Engine;
use std::collections::BTreeSet;

/// What was deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveStats {
    /// Sets, in the order of their deletion.
    pub sets: Vec<SetId>,
    /// Files at the target.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Engine {
    /// Deletes `sets` from the target, then from the archive dir. Call it with the lock held.
    ///
    /// Everything is checked against a fresh listing before the first deletion.
    ///
    /// # Errors
    /// `Usage`, and nothing was deleted: a named set is not there, a kept set depends on a named one, or no complete
    /// chain would stay.
    pub fn remove(&self, sets: &[SetId], cx: &Context) -> Result<RemoveStats> {
        let collection = self.scan(cx)?;
        let doomed: BTreeSet<SetId> = sets.iter().copied().collect();
        guard(&collection, &doomed)?;
        let mut stats = RemoveStats::default();
        let chains = collection.chains.iter().rev();
        let in_order = chains.flat_map(|c| c.replaced.iter().rev().chain(c.sets().rev()));
        for set in in_order.filter(|s| doomed.contains(&s.id)) {
            cx.cancel.check()?;
            self.delete_set(set, &mut stats)?;
        }
        Ok(stats)
    }

    /// Deletes the files of one set.
    pub(super) fn delete_set(&self, set: &BackupSet, stats: &mut RemoveStats) -> Result<()> {
        if let Some(manifest) = &set.manifest {
            self.delete(manifest, true)?;
            self.archive.forget(set.id)?;
        }
        let volumes = set.volumes.values().rev();
        let rest = set.signature.iter().chain(&set.stats).chain(volumes);
        let rest: Vec<&StoredFile> = rest.collect();
        self.at_once(&rest, |file| self.delete(file, false))?;
        self.archive.forget(set.id)?;
        for file in set.files() {
            stats.files += 1;
            stats.bytes += file.size;
        }
        stats.sets.push(set.id);
        Ok(())
    }
}

impl Engine {
    /// Deletes one file at the target. A manifest is seen to be gone: as long as it is there, its volumes must be.
    pub(super) fn delete(&self, file: &StoredFile, is_manifest: bool) -> Result<()> {
        let storage = &self.target.storage;
        let gone = storage.delete(&file.name).and_then(|()| match is_manifest {
            true => storage.stat(&file.name).map(|found| found.is_none()),
            false => Ok(true),
        });
        match gone {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(
                ErrorKind::Io,
                "it is still there after it was deleted",
            )),
            Err(e) => Err(e),
        }
        .map_err(|e| {
            e.within(format!(
                "cannot delete {} at {}",
                file.name,
                self.location()
            ))
        })
    }
}

/// Refuses removals that would lose more than they name.
fn guard(collection: &Collection, doomed: &BTreeSet<SetId>) -> Result<()> {
    let refuse =
        |text: String| Err(Error::new(ErrorKind::Usage, text).with_hint("nothing was deleted"));
    let all = || {
        collection
            .sets()
            .chain(collection.chains.iter().flat_map(|c| &c.replaced))
    };
    if let Some(gone) = doomed.iter().find(|d| !all().any(|s| s.id == **d)) {
        return refuse(format!("the {gone} is no longer at the target"));
    }
    for chain in &collection.chains {
        let mut broken: Option<SetId> = None;
        for set in chain.sets() {
            match broken {
                Some(basis) if !doomed.contains(&set.id) => {
                    return refuse(format!("the {} needs the {basis}", set.id));
                }
                _ if doomed.contains(&set.id) => broken = Some(set.id),
                _ => {}
            }
        }
    }
    let stays = collection
        .chains
        .iter()
        .any(|c| !doomed.contains(&c.full.id));
    if !doomed.is_empty() && !stays {
        return refuse("the last chain is never deleted".into());
    }
    Ok(())
}
