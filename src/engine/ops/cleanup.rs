//! Removes what interrupted runs and crashed removals left behind.

use super::remove::RemoveStats;
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::{FileKind, FileName, SetId};
use crate::engine::seal::Form;
use crate::engine::target::Engine;

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
    /// `Unreachable`, and nothing was deleted: the target holds more than it lists. The target cannot be listed, or a file cannot be deleted.
    pub fn cleanup(&self, force: bool, cx: &Context) -> Result<CleanupStats> {
        let collection = self.scan(cx)?;
        let resumable = self.partial()?.filter(|p| p.resumable).map(|p| p.set);
        let mut stats = CleanupStats {
            resumable,
            ..CleanupStats::default()
        };
        let leftovers: Vec<&BackupSet> = collection
            .orphans
            .iter()
            .chain(&collection.incomplete)
            .filter(|s| Some(s.id) != resumable)
            .collect();
        if force {
            self.check_listing(&collection, &leftovers)?;
        }
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

    /// A listing that leaves out a manifest makes good sets look like leftovers: asks for each one by name.
    fn check_listing(&self, collection: &Collection, leftovers: &[&BackupSet]) -> Result<()> {
        let here: Vec<SetId> = self
            .archive
            .files()?
            .into_iter()
            .map(|(name, _)| name.set)
            .collect();
        for set in leftovers {
            let bases = || {
                let start = set.id.basis();
                let known = here
                    .iter()
                    .copied()
                    .filter(move |s| Some(s.time()) == start);
                known.chain(start.map(|time| SetId::Full { time }))
            };
            let wanted: Vec<SetId> = if set.is_complete() {
                bases().collect()
            } else {
                vec![set.id]
            };
            for id in wanted
                .into_iter()
                .filter(|id| !collection.every_set().any(|s| s.id == *id))
            {
                for form in [Form::Plain, Form::Cms, Form::Gpg] {
                    let name = FileName {
                        set: id,
                        kind: FileKind::Manifest,
                        form,
                        partial: false,
                    };
                    let name = self.target.naming.format(&name);
                    if self.target.storage.stat(&name)?.is_some() {
                        let text = format!(
                            "the listing of {} leaves out {name}, which is there",
                            self.location()
                        );
                        return Err(Error::new(ErrorKind::Unreachable, text)
                            .with_hint("nothing was deleted; try later"));
                    }
                }
            }
        }
        Ok(())
    }
}
