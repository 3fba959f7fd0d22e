//! Makes the archive dir agree with the target, which is the authority.

use crate::engine::collection::Collection;
use crate::engine::context::Context;
use crate::engine::error::Result;
use crate::engine::format::SetId;
use crate::engine::target::Engine;
use std::collections::BTreeSet;

impl Engine {
    /// Makes the archive dir equal to the target: forgets what is gone, fetches what is missing.
    ///
    /// # Errors
    /// The target cannot be read, or no key opens what must be fetched.
    pub fn sync(&self, collection: &Collection, cx: &Context) -> Result<()> {
        self.forget_gone(collection)?;
        for set in collection.sets() {
            self.manifest(set, cx)?;
            if set.signature.is_some() {
                self.ensure_sigtar(set, cx)?;
            }
        }
        Ok(())
    }

    /// Removes local copies of sets that are no longer at the target. An empty listing removes nothing: a target
    /// that lost everything, or shows nothing, is no reason to lose the rest.
    ///
    /// # Errors
    /// The archive dir cannot be changed.
    pub(super) fn forget_gone(&self, collection: &Collection) -> Result<()> {
        let there: BTreeSet<SetId> = collection.every_set().map(|s| s.id).collect();
        if there.is_empty() {
            return Ok(());
        }
        let local: BTreeSet<SetId> = self
            .archive
            .files()?
            .into_iter()
            .filter(|(n, _)| !n.partial)
            .map(|(n, _)| n.set)
            .collect();
        for set in local.difference(&there) {
            self.archive.forget(*set)?;
        }
        Ok(())
    }
}
