//! Makes the archive dir agree with the target, which is the authority.

use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::{FileKind, SetId};
use crate::engine::target::Engine;
use std::collections::BTreeSet;

/// Of which files copies are wanted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// Manifests and sigtars.
    All,
    /// Manifests.
    Manifests,
}

impl Engine {
    /// Makes the archive dir equal to the target: forgets what is gone, fetches what is missing.
    ///
    /// # Errors
    /// The target cannot be read, or no key opens what must be fetched.
    pub fn sync(&self, collection: &Collection, cx: &Context) -> Result<()> {
        self.forget_gone(collection)?;
        let sets: Vec<&BackupSet> = collection.sets().collect();
        self.bring_copies(&sets, Copies::All, cx)?;
        for set in sets {
            self.manifest(set, cx)?;
            if set.signature.is_some() {
                self.ensure_sigtar(set, cx)?;
            }
        }
        Ok(())
    }

    /// Fetches what is not here at all of the manifests and sigtars of `sets`, several at once. What is wrong with one is told
    /// by whoever needs it.
    ///
    /// # Errors
    /// `Interrupted`, and `Unreachable`: then nobody should try again at once.
    pub(super) fn bring_copies(
        &self,
        sets: &[&BackupSet],
        copies: Copies,
        cx: &Context,
    ) -> Result<()> {
        let lacks = |set: &&&BackupSet| {
            let has_sigtar = copies == Copies::Manifests
                || set.signature.is_none()
                || self.archive.has(set.id, FileKind::Signature);
            !has_sigtar || !self.archive.has(set.id, FileKind::Manifest)
        };
        let lacking: Vec<&BackupSet> = sets.iter().filter(lacks).copied().collect();
        let bring = |set: &&BackupSet| {
            cx.cancel.check()?;
            self.manifest(set, cx)?;
            match copies {
                Copies::All => self.ensure_sigtar(set, cx),
                Copies::Manifests => Ok(()),
            }
        };
        let gives_up = |e: &Error| {
            let kind = e.kind();
            matches!(
                kind,
                ErrorKind::Interrupted | ErrorKind::Unreachable | ErrorKind::WrongKey
            )
        };
        let brought = self.at_once(&lacking, |set| match bring(set) {
            Err(e) if gives_up(&e) => Err(e),
            _ => Ok(()),
        });
        match brought {
            Err(e) if e.kind() != ErrorKind::WrongKey => Err(e),
            _ => Ok(()),
        }
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
