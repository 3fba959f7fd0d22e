//! Removes what interrupted runs and crashed removals left behind.

use super::remove::RemoveStats;
use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::engine::Engine;
use crate::engine::error::Result;
use crate::engine::format::SetId;

/// What a cleanup found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanupStats {
    /// Sets that are orphaned or incomplete, whether they were removed or not.
    pub found: Vec<SetId>,
    /// Names of their files at the target.
    pub files: Vec<String>,
    /// What was removed.
    pub removed: RemoveStats,
    /// A set that is kept because the next backup goes on with it.
    pub resumable: Option<SetId>,
}

impl Engine {
    /// Lists orphaned and incomplete sets, and with `force` deletes them. Call it with the lock held.
    ///
    /// An interrupted set that can be resumed stays.
    ///
    /// # Errors
    /// The target cannot be listed, or a file cannot be deleted.
    pub fn cleanup(&self, force: bool, cx: &Context) -> Result<CleanupStats> {
        let collection = self.scan(cx)?;
        let resumable = self.partial()?.filter(|p| p.resumable).map(|p| p.set);
        let mut stats = CleanupStats { resumable, ..CleanupStats::default() };
        let leftovers: Vec<&BackupSet> = collection
            .orphans
            .iter()
            .chain(&collection.incomplete)
            .filter(|s| Some(s.id) != resumable)
            .collect();
        for set in leftovers {
            stats.found.push(set.id);
            stats.files.extend(set.files().map(|f| f.name.clone()));
            if force {
                cx.cancel.check()?;
                self.delete_set(set, &mut stats.removed)?;
            }
        }
        if force {
            self.forget_gone(&collection)?;
        }
        Ok(stats)
    }
}
