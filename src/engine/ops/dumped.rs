//! Which dumps a set holds whole: noted when it is made, and read from its sigtar where nothing is noted.
//!
//! A dump always has the time of its set, so whatever was dumped stands in the sigtar of that set, and a hole does not.

use crate::engine::archive::DumpRecord;
use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::error::{Error, Result};
use crate::engine::format::sigtar::{SigState, SigtarReader};
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use crate::engine::tree::Dumps;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};

impl Engine {
    /// The dumps of a complete set, which lie below `folder`. Of a set this machine has no note of, one that lacks a
    /// database is not told from one in which there was none.
    ///
    /// # Errors
    /// Trouble with its sigtar.
    pub fn dumps_in(
        &self,
        set: &BackupSet,
        folder: &PathIndex,
        cx: &Context,
    ) -> Result<DumpRecord> {
        if let Some(known) = self.archive.record(set.id).dumps {
            return Ok(known);
        }
        let found = DumpRecord {
            stored: stored(self.sigtar(set, cx)?, folder)?,
            missing: BTreeSet::new(),
        };
        self.archive
            .note(set.id, |record| record.dumps = Some(found.clone()))?;
        Ok(found)
    }

    /// The dumps of the set that is about to be finished. One that an interrupted run left out has failed, too.
    pub(super) fn dumped(&self, dumps: &Dumps) -> Result<DumpRecord> {
        let path = self.archive.part_sigtar();
        let part = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        let stored = stored(BufReader::with_capacity(256 * 1024, part), dumps.folder())?;
        dumps
            .paths()
            .filter(|path| !stored.contains(&text(path)))
            .for_each(|path| dumps.left_out(path));
        let failures = dumps.failures();
        Ok(DumpRecord {
            stored,
            missing: failures.iter().map(|(path, _)| text(path)).collect(),
        })
    }
}

/// The files below `folder` that a sigtar has the signatures of.
fn stored(sigtar: impl Read, folder: &PathIndex) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in SigtarReader::new(sigtar).skip_signatures() {
        let entry = entry.map_err(Error::from)?;
        if entry.path.is_within(folder) {
            if matches!(entry.state, SigState::File { .. }) {
                found.insert(text(&entry.path));
            }
        } else if entry.path > *folder {
            break;
        }
    }
    Ok(found)
}

fn text(path: &PathIndex) -> String {
    String::from_utf8_lossy(path.as_bytes()).into_owned()
}
