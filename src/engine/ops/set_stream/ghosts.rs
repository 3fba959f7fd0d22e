//! The sigtar beside the volumes: it names what should have come, and did not.

use super::SetStream;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::sigtar::{SigEntry, SigtarReader};
use crate::engine::monitor::Level;
use crate::engine::path::PathIndex;

impl SetStream<'_> {
    pub(super) fn watch_sigtar(&mut self) -> Result<()> {
        if self.ghosts.is_some() || self.blind_from.is_some() {
            return Ok(());
        }
        match self.engine.sigtar(&self.set, self.cx) {
            Ok(input) => self.ghosts = Some(SigtarReader::new(input).skip_signatures()),
            Err(e) if e.kind() == ErrorKind::Unreachable => return Err(e),
            Err(e) => self.go_blind(PathIndex::root(), &e),
        }
        Ok(())
    }

    /// From `path` on the sigtar is of no use.
    fn go_blind(&mut self, path: PathIndex, error: &Error) {
        let text = format!("what the {} holds cannot be told: {error}", self.set.id);
        self.cx.monitor.note(Level::Warning, &text);
        self.losses += 1;
        self.ghosts = None;
        self.blind_from = Some(path);
    }

    /// The next entry the sigtar names that comes before `next` and was not given out.
    pub(super) fn next_ghost(&mut self, next: Option<&PathIndex>) -> Result<Option<SigEntry>> {
        loop {
            let Some(ghosts) = &mut self.ghosts else {
                return Ok(None);
            };
            if self.ghost.is_none() {
                match ghosts.next_entry() {
                    Ok(entry) => self.ghost = entry,
                    Err(e) if e.is_refusal() => continue,
                    Err(e) => {
                        self.go_blind(self.last.clone().unwrap_or_default(), &Error::from(e));
                        return Ok(None);
                    }
                }
            }
            let Some(ghost) = &self.ghost else {
                return Ok(None);
            };
            let told = self.last.as_ref().is_some_and(|l| ghost.path <= *l);
            if told || !ghost.path.is_within(&self.wanted) || next == Some(&ghost.path) {
                let arrived = next == Some(&ghost.path);
                self.ghost = None;
                if arrived {
                    return Ok(None);
                }
                continue;
            }
            if next.is_some_and(|n| *n < ghost.path) {
                return Ok(None);
            }
            return Ok(self.ghost.take());
        }
    }
}
