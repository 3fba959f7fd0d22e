//! The end of a set: sigtar, then manifest. Only with its manifest at the target does it exist.

use crate::engine::archive::{Checkpoint, DumpRecord, SetRecord, Spool, hash_of};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::{FileKind, FileName, SetId, manifest};
use crate::engine::monitor::Counter;
use crate::engine::pipeline::{Packer, Sealing};
use crate::engine::seal::Form;
use crate::engine::storage::Grower;
use crate::engine::target::Engine;
use crossbeam_channel::Receiver;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// The sigtar of a set, sealed.
pub(super) struct SealedSigtar {
    /// The copy that stays here.
    local: NamedTempFile,
    /// Bytes at the target, if it is there already; otherwise the target gets the same as is kept here.
    stored: Option<u64>,
}

impl Engine {
    /// Uploads sigtar and manifest of a set whose volumes are committed, and keeps the local copies.
    /// `header` is how its manifest begins, which ends with the list of changed files if that is wanted.
    pub(super) fn finish_set(
        &self,
        set: SetId,
        header: &[u8],
        list_files: bool,
        (packer, sigtar): (&Packer, SealedSigtar),
        dumps: Option<DumpRecord>,
        cx: &Context,
    ) -> Result<()> {
        let done = self.archive.journal()?.filter(|(head, _)| head.set == set);
        let Some((_, checkpoints)) = done else {
            let lost = format!("the journal of the {set} is gone");
            return Err(Error::new(ErrorKind::Io, lost).with_hint("run the backup again"));
        };
        let mut record = SetRecord {
            volume_bytes: checkpoints
                .iter()
                .map(|c| (c.volume, c.volume_bytes))
                .collect(),
            dumps,
            ..SetRecord::default()
        };
        self.finish_sigtar(set, sigtar, &mut record, cx)?;
        let manifest = self.whole_manifest(header, list_files, &checkpoints, packer)?;
        let form = self.target.seal.manifest_form();
        record.manifest_sha1 = Some(hash_of(manifest.path())?);
        record.manifest_bytes =
            Some(self.upload_sealed(manifest.path(), set, FileKind::Manifest, form, cx)?);
        self.archive.note(set, |known| *known = record)?;
        self.archive.store(manifest, set, FileKind::Manifest)?;
        self.archive.discard_parts()
    }

    /// Seals the sigtar, while the last volumes are on their way. What is sealed for the target goes there at once, and becomes
    /// visible when all volumes are `committed`; if that is not to be, it never does.
    pub(super) fn seal_sigtar(&self, set: SetId, committed: &Receiver<()>) -> Result<SealedSigtar> {
        let part = self.archive.part_sigtar();
        // The local copy is always gzipped plain text; if that is what the target gets too, it is made once.
        let seal_local = || {
            let spool = Spool::new(self.archive.path(), self.archive.path());
            self.seal_file(&part, Form::Gzip, &spool)
        };
        let form = self.target.seal.form();
        if form == Form::Gzip {
            let local = seal_local()?;
            return Ok(SealedSigtar {
                local,
                stored: None,
            });
        }
        let sealed = self.seal_file(&part, form, &self.spool)?;
        let bytes = length(&sealed)?;
        let name = self.name_of(set, FileKind::Signature, form);
        let grower = Grower::new(sealed.path(), bytes);
        let growing = grower.growing();
        growing.grew(bytes as usize)?;
        std::thread::scope(|scope| {
            let put = scope.spawn(|| self.target.storage.put_growing(&name, &growing, false));
            let local = seal_local();
            match (&local, committed.recv()) {
                (Ok(_), Ok(())) => grower.finish(),
                // Whoever did not commit tells why.
                _ => drop(grower),
            }
            let put = put.join().unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Internal, "a worker thread panicked"))
            });
            let local = local?;
            put.map_err(|e| self.not_uploaded(&name, e))?;
            let stored = Some(bytes);
            Ok(SealedSigtar { local, stored })
        })
    }

    fn finish_sigtar(
        &self,
        set: SetId,
        SealedSigtar { local, stored }: SealedSigtar,
        record: &mut SetRecord,
        cx: &Context,
    ) -> Result<()> {
        let stored = match stored {
            Some(bytes) => {
                self.tell_notices(cx);
                cx.monitor.count(Counter::StoredBytes, bytes);
                bytes
            }
            None => self.put(&local, set, FileKind::Signature, Form::Gzip, cx)?,
        };
        record.sigtar_bytes = Some(stored);
        record.sigtar_sha1 = Some(hash_of(local.path())?);
        self.archive.store(local, set, FileKind::Signature)
    }

    /// The manifest: header, volumes, and the list of changed files.
    fn whole_manifest(
        &self,
        header: &[u8],
        list_files: bool,
        checkpoints: &[Checkpoint],
        packer: &Packer,
    ) -> Result<NamedTempFile> {
        let unreadable = |number| {
            let text = format!("the journal does not tell what volume {number} holds");
            Error::new(ErrorKind::Corrupt, text).with_hint("run the backup again")
        };
        if checkpoints.len() as u64 != packer.stats.volumes {
            return Err(unreadable(packer.stats.volumes));
        }
        let temp = self.archive.temp()?;
        let write = |e| Error::io("write", temp.path(), e);
        let mut out = BufWriter::new(temp.as_file());
        out.write_all(header).map_err(write)?;
        for done in checkpoints {
            let lines = done
                .manifest_lines()
                .ok_or_else(|| unreadable(done.volume.into()))?;
            out.write_all(&lines).map_err(write)?;
        }
        // A list that is not wanted is empty: what follows the volumes ends the manifest.
        let lines = if list_files {
            packer.parts.filelist_lines
        } else {
            0
        };
        out.write_all(&manifest::filelist_header(lines))
            .map_err(write)?;
        if list_files {
            let mut filelist = File::open(self.archive.part_filelist())
                .map_err(|e| Error::io("open", &self.archive.part_filelist(), e))?;
            std::io::copy(&mut filelist, &mut out).map_err(write)?;
        }
        out.flush().map_err(write)?;
        drop(out);
        Ok(temp)
    }

    pub(super) fn upload_sealed(
        &self,
        path: &Path,
        set: SetId,
        kind: FileKind,
        form: Form,
        cx: &Context,
    ) -> Result<u64> {
        let sealed = self.seal_file(path, form, &self.spool)?;
        self.put(&sealed, set, kind, form, cx)
    }

    /// Uploads a sealed file and returns its length.
    pub(super) fn put(
        &self,
        file: &NamedTempFile,
        set: SetId,
        kind: FileKind,
        form: Form,
        cx: &Context,
    ) -> Result<u64> {
        let name = self.name_of(set, kind, form);
        let put = self.target.storage.put(&name, file.path());
        put.map_err(|e| self.not_uploaded(&name, e))?;
        self.tell_notices(cx);
        let bytes = length(file)?;
        cx.monitor.count(Counter::StoredBytes, bytes);
        Ok(bytes)
    }

    fn name_of(&self, set: SetId, kind: FileKind, form: Form) -> String {
        self.target.naming.format(&FileName {
            set,
            kind,
            form,
            partial: false,
        })
    }

    fn not_uploaded(&self, name: &str, error: Error) -> Error {
        error.within(format!("cannot upload {name} to {}", self.location()))
    }

    pub(super) fn seal_file(
        &self,
        path: &Path,
        form: Form,
        spool: &Spool,
    ) -> Result<NamedTempFile> {
        let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let mut sealing = Sealing::begin(&*self.target.seal, form, spool)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = file
                .read(&mut buffer)
                .map_err(|e| Error::io("read", path, e))?;
            if n == 0 {
                return Ok(sealing.finish()?.spool);
            }
            sealing.write_all(&buffer[..n])?;
        }
    }
}

fn length(file: &NamedTempFile) -> Result<u64> {
    let metadata = file.as_file().metadata();
    Ok(metadata
        .map_err(|e| Error::io("stat", file.path(), e))?
        .len())
}
