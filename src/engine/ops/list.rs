//! Lists the entries of a state, from the sigtars alone.

use super::output::Output;
use super::sync::Copies;
use crate::engine::context::Context;
use crate::engine::entry::{Entry, Kind};
use crate::engine::error::{Error, Result};
use crate::engine::format::sigtar::{SigEntry, SigState, SigtarReader};
use crate::engine::monitor::Counter;
use crate::engine::stream::overlay::Overlay;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;

impl Engine {
    /// Shows `output` every entry of the state at `time`, in path order, and returns their number. Lengths of files
    /// are not known to the format and are 0.
    ///
    /// # Errors
    /// `NoBackup` if there is no set, and trouble with the sigtars.
    pub fn list(
        &self,
        time: Option<Timestamp>,
        output: &mut dyn Output,
        cx: &Context,
    ) -> Result<u64> {
        let collection = self.scan(cx)?;
        let mut layers = Vec::new();
        let sets = self.sets_at(&collection, time)?;
        self.tell_lost(&collection, time, cx)?;
        self.bring_copies(&sets, Copies::All, cx)?;
        for set in sets {
            let sigtar = SigtarReader::new(self.sigtar(set, cx)?).skip_signatures();
            layers.push(sigtar.map(|e| e.map_err(Error::from)));
        }
        let mut entries = 0;
        for entry in Overlay::new(layers) {
            cx.cancel.check()?;
            if let Some(entry) = shown(entry?) {
                output.entry(&entry)?;
                entries += 1;
            }
        }
        cx.monitor.count(Counter::Entries, entries);
        Ok(entries)
    }
}

/// What a sigtar says of a path, unless that it is gone. Its length is not known.
pub fn shown(entry: SigEntry) -> Option<Entry> {
    let (kind, meta) = match entry.state {
        SigState::File { meta, .. } => (Kind::File, meta),
        SigState::Other { kind, meta } => (kind, meta),
        SigState::Deleted => return None,
    };
    Some(Entry {
        path: entry.path,
        kind,
        meta,
        size: 0,
    })
}
