//! Holds two states against each other, from the sigtars alone.

use super::sync::Copies;
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, Result};
use crate::engine::format::sigtar::SigtarReader;
use crate::engine::stream::overlay::{Overlay, Pair};
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;

impl Engine {
    /// Shows `tell` what the states at two times say of each path, in path order, with the signatures of files. What one of them
    /// took over from the other as it was is left out.
    ///
    /// # Errors
    /// `NoBackup` if there is no set at one of the times, trouble with the sigtars, and those of `tell`.
    pub fn two_states(
        &self,
        collection: &Collection,
        (from, to): (Timestamp, Timestamp),
        tell: &mut dyn FnMut(Pair) -> Result<()>,
        cx: &Context,
    ) -> Result<()> {
        let old = self.sets_at(collection, Some(from))?;
        self.tell_lost(collection, Some(from), cx)?;
        let new = self.sets_at(collection, Some(to))?;
        self.tell_lost(collection, Some(to), cx)?;
        // Within a chain each sigtar is read once.
        let is_begun_by_it = old.iter().zip(&new).all(|(old, new)| old.id == new.id);
        let goes_on = old.len() <= new.len() && is_begun_by_it;
        let further = if goes_on { old.len() } else { 0 };
        let mut layers = Vec::new();
        let sets: Vec<&BackupSet> = old
            .iter()
            .chain(new.iter().skip(further))
            .copied()
            .collect();
        self.bring_copies(&sets, Copies::All, cx)?;
        for set in sets {
            let sigtar = SigtarReader::new(self.sigtar(set, cx)?);
            layers.push(sigtar.map(|e| e.map_err(Error::from)));
        }
        for pair in Overlay::new(layers).pairs(old.len(), goes_on) {
            cx.cancel.check()?;
            tell(pair?)?;
        }
        Ok(())
    }
}
