//! Uploads volumes and notes, in volume order, what is safely at the target.

use super::pack::SealedVolume;
use crate::engine::archive::{Checkpoint, Journal};
use crate::engine::context::Context;
use crate::engine::error::{Error, Result};
use crate::engine::format::manifest::{self, VolumeInfo};
use crate::engine::format::names::Naming;
use crate::engine::format::{FileKind, FileName, SetId};
use crate::engine::monitor::Counter;
use crate::engine::seal::Form;
use crate::engine::storage::Storage;
use base64::Engine as _;
use crossbeam_channel::{Receiver, Sender};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// An uploader: takes sealed volumes until there are no more.
pub(super) fn upload(
    sealed: &Receiver<SealedVolume>,
    done: &Sender<(SealedVolume, Result<()>)>,
    storage: &dyn Storage,
    name_of: &(dyn Fn(u32) -> String + Sync),
) {
    for volume in sealed {
        let name = name_of(volume.number);
        let result = storage
            .put_settled(&name, volume.sealed.spool.path())
            .map_err(|e| e.within(format!("cannot upload {name} to {}", storage.location())));
        // After a failure the run ends: what comes next would be uploaded for nothing.
        let failed = result.is_err();
        if done.send((volume, result)).is_err() || failed {
            return;
        }
    }
}

/// Writes the part manifest and the journal.
pub(crate) struct Committer {
    journal: Journal,
    manifest: File,
    manifest_path: PathBuf,
    manifest_bytes: u64,
    sigtar: File,
    filelist: File,
    set: SetId,
    form: Form,
    naming: Naming,
    next: u32,
}

impl Committer {
    /// A committer for the volumes of `set` from `next` on. `sigtar` and `filelist` are the files the packer writes.
    pub fn new(
        journal: Journal,
        manifest: (File, PathBuf, u64),
        sigtar: File,
        filelist: File,
        names: (SetId, Form, Naming),
        next: u32,
    ) -> Self {
        let (manifest, manifest_path, manifest_bytes) = manifest;
        let (set, form, naming) = names;
        Self {
            journal,
            manifest,
            manifest_path,
            manifest_bytes,
            sigtar,
            filelist,
            set,
            form,
            naming,
            next,
        }
    }

    /// Name of a volume at the target.
    pub fn name_of(&self) -> impl Fn(u32) -> String + Sync + use<> {
        let (naming, set, form) = (self.naming.clone(), self.set, self.form);
        move |n| {
            naming.format(&FileName {
                set,
                kind: FileKind::Volume(n),
                form,
                partial: false,
            })
        }
    }

    /// Commits what arrives until the uploaders end. Later volumes wait for earlier ones.
    pub(super) fn run(
        &mut self,
        done: &Receiver<(SealedVolume, Result<()>)>,
        cx: &Context,
    ) -> Result<()> {
        let mut waiting = BTreeMap::new();
        let mut failed = None;
        for (volume, result) in done {
            match result {
                Ok(()) => {
                    waiting.insert(volume.number, volume);
                }
                // What was uploaded before it can still be committed; nothing new is begun.
                Err(e) => {
                    failed.get_or_insert(e);
                    break;
                }
            }
            while let Some(volume) = waiting.remove(&self.next) {
                self.commit(volume, cx)?;
                self.next += 1;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn commit(&mut self, volume: SealedVolume, cx: &Context) -> Result<()> {
        let SealedVolume {
            number,
            sealed,
            info,
            ..
        } = volume;
        let VolumeInfo { end, .. } = &info;
        let (end_path, end_block) = (end.path.clone(), end.block);
        let mut text = Vec::new();
        manifest::write_volume(&mut text, number, &info);
        let sync = |file: &File| file.sync_data();
        self.manifest
            .write_all(&text)
            .and_then(|()| sync(&self.manifest))
            .and_then(|()| sync(&self.sigtar))
            .and_then(|()| sync(&self.filelist))
            .map_err(|e| Error::io("write", &self.manifest_path, e))?;
        self.manifest_bytes += text.len() as u64;
        cx.monitor.count(Counter::Volumes, 1);
        cx.monitor.count(Counter::StoredBytes, sealed.bytes);
        self.journal.commit(&Checkpoint {
            volume: number,
            volume_bytes: sealed.bytes,
            end_path: base64::engine::general_purpose::STANDARD.encode(end_path.as_bytes()),
            end_block,
            end_is_dir: volume.end_is_dir,
            cut_file: volume.cut_file,
            manifest_bytes: self.manifest_bytes,
            sigtar_bytes: volume.sigtar_bytes,
            filelist_bytes: volume.filelist_bytes,
            filelist_lines: volume.filelist_lines,
            stats: volume.stats,
        })
    }
}
