//! Uploads volumes and notes, in volume order, what is safely at the target.

use super::pack::SealedVolume;
use crate::engine::archive::{Checkpoint, Journal, PartManifest};
use crate::engine::context::Context;
use crate::engine::error::{Error, Result};
use crate::engine::format::manifest::{self, VolumeInfo};
use crate::engine::format::names::Naming;
use crate::engine::format::{FileKind, FileName, SetId};
use crate::engine::monitor::Counter;
use crate::engine::seal::Form;
use crate::engine::storage::{Growing, Storage};
use crossbeam_channel::{Receiver, Sender};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A volume that was begun: it can be uploaded while it is written.
pub(super) struct BegunVolume {
    pub number: u32,
    /// Its file.
    pub growing: Arc<Growing>,
    /// Brings the rest once it is sealed.
    pub sealed: Receiver<SealedVolume>,
}

/// An uploader: takes volumes that were begun until there are no more, or until an upload `has_failed`. The first of a new set
/// claims the set's names: another run may have begun one in the same second.
pub(super) fn upload(
    begun: &Receiver<BegunVolume>,
    done: &Sender<Result<SealedVolume>>,
    storage: &dyn Storage,
    name_of: &(dyn Fn(u32) -> String + Sync),
    is_new: bool,
    has_failed: &AtomicBool,
) {
    for volume in begun {
        // The run ends: what comes now would be made and uploaded for nothing.
        if has_failed.load(Ordering::Relaxed) {
            return volume.growing.refuse();
        }
        let name = name_of(volume.number);
        let is_first = is_new && volume.number == 1;
        let put = storage.put_growing(&name, &volume.growing, is_first);
        // A packer that ended early tells why itself.
        let result = match put {
            Ok(()) => match volume.sealed.recv() {
                Ok(sealed) => Ok(sealed),
                Err(_) => return,
            },
            Err(_) if volume.growing.is_abandoned() => return,
            Err(e) => Err(e.within(format!("cannot upload {name} to {}", storage.location()))),
        };
        if result.is_err() {
            has_failed.store(true, Ordering::Relaxed);
            volume.growing.refuse();
        }
        if done.send(result).is_err() {
            return;
        }
    }
}

/// Writes the journal and the part manifest.
pub(crate) struct Committer {
    journal: Journal,
    manifest: PartManifest,
    sigtar: File,
    sigtar_path: PathBuf,
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
        manifest: PartManifest,
        (sigtar, sigtar_path): (File, PathBuf),
        filelist: File,
        names: (SetId, Form, Naming),
        next: u32,
    ) -> Self {
        let (set, form, naming) = names;
        Self {
            journal,
            manifest,
            sigtar,
            sigtar_path,
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

    /// Commits what arrives until the uploaders end. Later volumes wait for earlier ones; after a failure those that were on their
    /// way already still count.
    pub(super) fn run(
        &mut self,
        done: &Receiver<Result<SealedVolume>>,
        cx: &Context,
    ) -> Result<()> {
        let mut waiting = BTreeMap::new();
        let mut failed = None;
        for result in done {
            match result {
                Ok(volume) => {
                    waiting.insert(volume.number, volume);
                }
                Err(e) => {
                    failed.get_or_insert(e);
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
        let mut lines = Vec::new();
        manifest::write_volume(&mut lines, number, &info);
        self.sigtar
            .sync_data()
            .and_then(|()| self.filelist.sync_data())
            .map_err(|e| Error::io("write", &self.sigtar_path, e))?;
        cx.monitor.count(Counter::Volumes, 1);
        cx.monitor.count(Counter::StoredBytes, sealed.bytes);
        let checkpoint = Checkpoint {
            volume: number,
            volume_bytes: sealed.bytes,
            end_block: end.block,
            end_is_dir: volume.end_is_dir,
            in_delta: volume.in_delta,
            cut_file: volume.cut_file,
            sigtar_bytes: volume.sigtar_bytes,
            filelist_bytes: volume.filelist_bytes,
            filelist_lines: volume.filelist_lines,
            stats: volume.stats,
            ..Checkpoint::default()
        };
        self.journal
            .commit(&checkpoint.ending_at(&end.path).with_manifest(&lines))?;
        self.manifest.add(number, lines, volume.in_delta)
    }
}
