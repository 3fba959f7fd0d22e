//! Makes the archive dir agree with the target, which is the authority.

use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::engine::Engine;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::Manifest;
use crate::engine::format::{FileKind, SetId};
use crate::engine::monitor::Level;
use crate::engine::seal::Form;
use flate2::bufread::MultiGzDecoder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};

/// Largest manifest that is read: names of some million changed files.
const MANIFEST_LIMIT: u64 = 4 << 30;

impl Engine {
    /// The manifest of a complete set: from the archive dir if it fits the listing, else from the target.
    ///
    /// # Errors
    /// `Corrupt` if it is at the target but unreadable; `WrongKey` if no key opens it.
    pub fn manifest(&self, set: &BackupSet, cx: &Context) -> Result<Manifest> {
        if let Some(manifest) = self.archive.manifest(set.id)? {
            return Ok(manifest);
        }
        let manifest = self.remote_manifest(set, cx)?;
        let (bytes, manifest) = manifest;
        self.archive.store_bytes(&bytes, set.id, FileKind::Manifest)?;
        Ok(manifest)
    }

    /// The manifest as it is at the target: its text and what it says.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub(super) fn remote_manifest(&self, set: &BackupSet, cx: &Context) -> Result<(Vec<u8>, Manifest)> {
        let file = set
            .manifest
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{} has no manifest", set.id)))?;
        let bytes = self.fetch_whole(file, MANIFEST_LIMIT, cx)?;
        let manifest = Manifest::parse(&bytes)
            .map_err(|e| Error::new(ErrorKind::Corrupt, format!("{} is damaged", file.name)).with_source(e))?;
        Ok((bytes, manifest))
    }

    /// Opens the sigtar of a complete set: the local copy, or one fetched from the target and kept.
    ///
    /// # Errors
    /// `NotFound` if the target has none; `WrongKey` or `Corrupt` if it cannot be opened.
    pub(super) fn sigtar(&self, set: &BackupSet, cx: &Context) -> Result<Box<dyn Read + Send>> {
        let path = self.archive.file(set.id, FileKind::Signature, false);
        if !path.exists() {
            self.fetch_sigtar(set, cx)?;
        }
        let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(256 * 1024, file))))
    }

    /// Fetches a sigtar into the archive dir, replacing the copy there.
    ///
    /// # Errors
    /// As [`sigtar`](Self::sigtar).
    pub(super) fn fetch_sigtar(&self, set: &BackupSet, cx: &Context) -> Result<()> {
        let file = set.signature.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("the sigtar of {} is not at the target", set.id))
        })?;
        let mut reader = self.fetch(file, None, cx)?;
        let temp = self.archive.temp()?;
        let out = temp.as_file().try_clone().map_err(|e| Error::io("open", temp.path(), e))?;
        let mut writer = self.target.seal.seal(Form::Gzip, Box::new(out))?;
        let damaged = |e: std::io::Error| Error::from(e).within(format!("cannot read {}", file.name));
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = reader.read(&mut buffer).map_err(damaged)?;
            if n == 0 {
                break;
            }
            writer.write_all(&buffer[..n])?;
        }
        writer.finish()?;
        self.archive.store(temp, set.id, FileKind::Signature)
    }

    /// Checks that the local copy of a sigtar can be read to its end; a damaged one is fetched again.
    ///
    /// # Errors
    /// It is damaged and the one at the target cannot be read either.
    pub(super) fn ensure_sigtar(&self, set: &BackupSet, cx: &Context) -> Result<()> {
        let path = self.archive.file(set.id, FileKind::Signature, false);
        if path.exists() {
            let read = File::open(&path).and_then(|f| {
                std::io::copy(&mut MultiGzDecoder::new(BufReader::with_capacity(256 * 1024, f)), &mut std::io::sink())
            });
            match read {
                Ok(_) => return Ok(()),
                Err(e) => cx.monitor.note(
                    Level::Notice,
                    &format!("the local copy of the sigtar of {} is damaged ({e}); fetching it again", set.id),
                ),
            }
        }
        self.fetch_sigtar(set, cx)
    }

    /// Makes the archive dir equal to the target: forgets what is gone, fetches what is missing.
    ///
    /// # Errors
    /// The target cannot be read, or no key opens what must be fetched.
    pub fn sync(&self, collection: &Collection, cx: &Context) -> Result<()> {
        self.forget_gone(collection)?;
        for set in collection.sets() {
            self.manifest(set, cx)?;
            if set.signature.is_some() && !self.archive.has(set.id, FileKind::Signature) {
                self.fetch_sigtar(set, cx)?;
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
        let there: BTreeSet<SetId> =
            collection.sets().chain(collection.chains.iter().flat_map(|c| &c.replaced)).chain(&collection.orphans).map(|s| s.id).collect();
        if there.is_empty() {
            return Ok(());
        }
        let local: BTreeSet<SetId> =
            self.archive.files()?.into_iter().filter(|(n, _)| !n.partial).map(|(n, _)| n.set).collect();
        for set in local.difference(&there) {
            self.archive.forget(*set)?;
        }
        Ok(())
    }
}
