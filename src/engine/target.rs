//! A target and its archive dir, opened. Operations are its methods, one file each in `ops`.

use super::archive::{ArchiveDir, Lock, Spool};
use super::collection::Collection;
use super::context::Context;
use super::error::{Error, Result};
use super::format::names::Naming;
use super::monitor::Level;
use super::seal::Seal;
use super::storage::{Location, Storage};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A place that keeps backups: where, under which names, and sealed how.
#[derive(Clone)]
pub struct Target {
    /// Moves the bytes.
    pub storage: Arc<dyn Storage>,
    /// Spells the names.
    pub naming: Naming,
    /// Encrypts and compresses.
    pub seal: Arc<dyn Seal>,
}

/// One opened target with its archive dir.
#[derive(Clone)]
pub struct Engine {
    pub(super) target: Target,
    pub(super) archive: ArchiveDir,
    pub(super) spool: Spool,
    pub(super) uploads: usize,
}

impl Engine {
    /// Puts target and archive dir together; touches nothing remote. Volumes are spooled in the archive dir.
    pub fn open(target: Target, archive: ArchiveDir) -> Self {
        let spool = Spool::new(archive.path(), archive.path());
        Self {
            target,
            archive,
            spool,
            uploads: 1,
        }
    }

    /// Spools volumes in `dir` instead: it needs room for `uploads + 1` of them.
    pub fn with_spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spool = Spool::new(dir, self.archive.path());
        self
    }

    /// Uploads so many volumes at once; at least 1.
    pub fn with_uploads(mut self, uploads: usize) -> Self {
        self.uploads = uploads.max(1);
        self
    }

    /// Printable place of the target, without secrets.
    pub fn location(&self) -> &Location {
        self.target.storage.location()
    }

    /// The archive dir.
    pub fn archive(&self) -> &ArchiveDir {
        &self.archive
    }

    /// How volumes are spooled, sealed and named.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where sealed files wait for their upload.
    pub fn spool_dir(&self) -> &Path {
        self.spool.dir()
    }

    /// Takes the lock of the archive dir: one run at a time. Leftovers of killed runs are swept.
    ///
    /// # Errors
    /// `Locked` if another run, dupr's or duplicity's, holds it for longer than `wait`.
    pub fn lock(&self, holder: &str, wait: Duration, cx: &Context) -> Result<Lock> {
        let is_told = Cell::new(false);
        let lock = self.archive.lock(holder, wait, &|who| {
            if !is_told.replace(true) {
                let text = format!("waiting for {who} to end");
                cx.monitor.note(Level::Notice, &text);
            }
            cx.cancel.is_requested()
        })?;
        self.archive.sweep()?;
        self.spool.sweep();
        Ok(lock)
    }

    /// Lists the target and sorts what is there into chains and leftovers.
    ///
    /// # Errors
    /// The target cannot be listed.
    pub fn scan(&self, cx: &Context) -> Result<Collection> {
        let objects = self.target.storage.list().map_err(|e: Error| {
            e.within(format!("cannot list {}", self.target.storage.location()))
        })?;
        self.tell_notices(cx);
        Ok(Collection::from_listing(&objects, &self.target.naming))
    }

    /// Passes on what the target has to tell.
    pub(super) fn tell_notices(&self, cx: &Context) {
        for notice in self.target.storage.notices() {
            cx.monitor.note(Level::Warning, &notice);
        }
    }
}
