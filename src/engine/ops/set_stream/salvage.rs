//! Reading what is left of a set: volumes that fail their hash up to where they cannot be read, sets without a manifest.

use super::super::needed::Needed;
use super::SetStream;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::difftar::DifftarReader;
use crate::engine::format::manifest::VolumeInfo;
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;

/// How damage is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::ops) enum Care {
    /// Nothing of a volume that fails its hash is used.
    Usual,
    /// As usual, and everything that should be there is asked for.
    Strict,
    /// As strict, of volumes that lie here, each hashed while it is read. Only an end without any loss says something, and then
    /// that all was right: the first loss is an error.
    Swift,
    /// Whatever can be read is given out, and told to be doubtful where it is.
    Salvage,
}

impl SetStream<'_> {
    /// Reads all volumes there are, numbers that are missing included, and asks the sigtar what should be in them.
    pub(super) fn go_without_manifest(&mut self, reason: &Error) -> Result<()> {
        self.losses += 1;
        let text = format!(
            "the manifest of the {} cannot be used: {reason}",
            self.set.id
        );
        self.cx.monitor.note(Level::Warning, &text);
        self.needed = Needed::all_of(&self.set);
        self.watch_sigtar()?;
        if self.set.volumes.is_empty() {
            self.lost.push((PathIndex::root(), PathIndex::after_all()));
        } else if self.ghosts.is_none() {
            let text = format!(
                "whether the {} had more than {} volumes cannot be known",
                self.set.id,
                self.set.volumes.len()
            );
            self.cx.monitor.note(Level::Warning, &text);
        }
        Ok(())
    }

    /// Opens a volume although it is not what it should be, if that is wanted; whether it could be.
    pub(super) fn salvage_volume(
        &mut self,
        number: u32,
        reason: &Error,
        info: Option<&VolumeInfo>,
    ) -> Result<bool> {
        if self.care != Care::Salvage || reason.kind() != ErrorKind::Corrupt {
            return Ok(false);
        }
        let Some(file) = self.set.volumes.get(&number) else {
            return Ok(false);
        };
        let Ok(input) = self.engine.open_as_it_is(file) else {
            return Ok(false);
        };
        let text = format!("{reason}; reading what can be read of it");
        self.lose(&text, info)?;
        self.volumes += 1;
        self.number = number;
        self.hashed = false;
        self.doubtful = true;
        self.reader = Some(DifftarReader::new(input));
        Ok(true)
    }

    /// What was lost before `next` ends there, as entries come in order.
    pub(super) fn close_gap(&mut self, next: &PathIndex) {
        if self.care == Care::Salvage
            && let Some((_, to)) = self.lost.last_mut()
            && *to > *next
            && !self.doubtful
        {
            *to = next.clone();
        }
    }

    /// Remembers that the entry at `path` came out of the volume being read, if nothing vouches for that one yet.
    pub fn suspect(&mut self, path: &PathIndex) {
        if !self.hashed && !self.doubtful {
            self.unproven.push(path.clone());
        }
    }

    /// The volume was read to its end. A file that goes on in the next one stays unproven.
    pub(super) fn trust_volume(&mut self) {
        let last = self.last.as_ref();
        self.unproven.retain(|path| Some(path) == last);
    }

    /// Whether what comes now is from a volume that is known to be damaged.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Tells what is lost where nothing can name it entry by entry.
    pub fn tell_gaps(&self) {
        if self.blind_from.is_none() {
            return;
        }
        for (from, to) in &self.lost {
            let to = if *to == PathIndex::after_all() {
                "the end".to_owned()
            } else {
                to.to_string()
            };
            self.cx.monitor.problem(Problem {
                kind: ProblemKind::Lost,
                path: format!("{from} … {to}"),
                reason: format!("what the {} held between them is lost", self.set.id),
            });
        }
    }
}
