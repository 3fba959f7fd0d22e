//! Copies sets to another target, sealed as that one seals. The data is not made anew: volumes keep their bounds, so
//! source and copy restore alike, by any program.
//!
//! Order is that of a backup: volumes, sigtar, manifest last. A copy that was interrupted is gone on with: a volume
//! that is there and of a length noted here is not copied again.
//!
//! Where it is asked for, each file is read back before the manifest makes a set of them: a set that is there is whole.

use super::archived;
use super::copies::damaged;
use crate::engine::archive::SetRecord;
use crate::engine::collection::{BackupSet, StoredFile};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::{self, HashKind, Manifest};
use crate::engine::format::{FileKind, FileName, SetId};
use crate::engine::monitor::{Counter, Level};
use crate::engine::pipeline::{Sealed, Sealing};
use crate::engine::seal::Form;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Seek, Write};

/// How sets are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplicaOptions {
    /// Only sets made before this time.
    pub before: Option<Timestamp>,
    /// Only tell what would be copied.
    pub dry: bool,
    /// Read every file back before the next step.
    pub read_back: bool,
    /// Leave out a set that is damaged, and those that build on it, and go on with the others.
    pub go_on: bool,
    /// Refuse a target that holds nothing, and held sets before.
    pub refuse_emptied: bool,
}

/// A set that was not copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeftOut {
    /// The set.
    pub set: SetId,
    /// Why, in one line.
    pub reason: String,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplicaStats {
    /// Sets copied, oldest first.
    pub sets: Vec<SetId>,
    /// Sets that were at the other target already.
    pub already: u64,
    /// Volumes copied.
    pub volumes: u64,
    /// Bytes stored at the other target.
    pub bytes: u64,
    /// Sets that were left out, as [`ReplicaOptions::go_on`] wants it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

impl Engine {
    /// Copies the sets `to` lacks to its target, oldest first. Call it with the locks of both held.
    ///
    /// # Errors
    /// A file cannot be read, opened or stored; what was copied before stays. `Corrupt` for a volume whose hash is
    /// wrong: damage is never copied. `Unreachable` for a target that was emptied, where that is refused.
    pub fn replicate(
        &self,
        to: &Engine,
        options: &ReplicaOptions,
        cx: &Context,
    ) -> Result<ReplicaStats> {
        let collection = self.scan(cx)?;
        let there = to.scan(cx)?;
        to.check_target(&there, !options.refuse_emptied)?;
        let mut stats = ReplicaStats::default();
        let mut sets: Vec<&BackupSet> = collection.every_set().collect();
        sets.sort_by_key(|set| (set.id.time(), set.id));
        sets.retain(|set| options.before.is_none_or(|time| set.id.time() < time));
        for set in sets.iter().copied() {
            cx.cancel.check()?;
            if there.every_set().any(|s| s.id == set.id) {
                stats.already += 1;
                continue;
            }
            let basis = stats
                .left_out
                .iter()
                .find(|l| set.id.basis() == Some(l.set.time()))
                .map(|l| l.set);
            if let Some(basis) = basis {
                let reason = format!("it builds on the {basis}");
                stats.left_out.push(LeftOut {
                    set: set.id,
                    reason,
                });
                continue;
            }
            if !options.dry {
                let begun = there.incomplete.iter().find(|s| s.id == set.id);
                let lacks = |later: &&&BackupSet| {
                    later.id.time() > set.id.time() && there.every_set().all(|s| s.id != later.id)
                };
                let later = || -> Vec<&str> {
                    let later = sets.iter().filter(lacks);
                    let volumes = later.flat_map(|set| set.volumes.values());
                    volumes.map(|volume| volume.name.as_str()).collect()
                };
                match self.replicate_set((set, &later), begun, to, options, &mut stats, cx) {
                    Err(e) if options.go_on && e.kind() == ErrorKind::Corrupt => {
                        let reason = e.to_string();
                        let text = format!("the {} is not copied: {reason}", set.id);
                        cx.monitor.note(Level::Warning, &text);
                        stats.left_out.push(LeftOut {
                            set: set.id,
                            reason,
                        });
                        continue;
                    }
                    done => done.map_err(|e| e.within(format!("cannot copy the {}", set.id)))?,
                }
            }
            stats.sets.push(set.id);
        }
        Ok(stats)
    }

    /// Copies one set. `later` gives names of volumes that are to be copied after it.
    fn replicate_set<'n>(
        &self,
        (set, later): (&'n BackupSet, &dyn Fn() -> Vec<&'n str>),
        begun: Option<&BackupSet>,
        to: &Engine,
        options: &ReplicaOptions,
        stats: &mut ReplicaStats,
        cx: &Context,
    ) -> Result<()> {
        let mut put = |sealed: &Sealed, kind: FileKind, form: Form| -> Result<()> {
            stats.bytes += to.put(&sealed.spool, set.id, kind, form, cx)?;
            stats.volumes += u64::from(matches!(kind, FileKind::Volume(_)));
            match options.read_back {
                true => to.read_back(sealed, set.id, kind, form, cx),
                false => Ok(()),
            }
        };
        let (mut text, mut manifest) = self.remote_manifest(set, cx)?;
        text.rewind()?;
        // Sealed again, a volume has another hash, so what was copied of it before is worth nothing.
        if let Some(begun) = begun {
            for file in begun.files() {
                to.delete(file, false)?;
            }
        }
        let mut record = SetRecord {
            dumps: self.archive.record(set.id).dumps,
            ..SetRecord::default()
        };
        let numbers: Vec<u32> = manifest.volumes.keys().copied().collect();
        for number in numbers {
            cx.cancel.check()?;
            let missing = || {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("its volume {number} is not at {}", self.location()),
                )
            };
            let file = set.volumes.get(&number).ok_or_else(missing)?;
            let info = manifest.volumes.get_mut(&number).ok_or_else(missing)?;
            let form = to.target.seal.form();
            let sealed = self
                .reseal(file, info.hash.as_ref(), form, to, cx)
                .map_err(|e| {
                    let own = set.volumes.iter().filter(|(n, _)| **n > number);
                    let own = own.map(|(_, volume)| volume.name.as_str());
                    let to_come = || own.chain(later()).collect();
                    archived::explain(e, &*self.target.storage, &file.name, to_come)
                })?;
            info.hash = Some((HashKind::Sha1, sealed.sha1.clone()));
            record.volume_bytes.insert(number, sealed.bytes);
            put(&sealed, FileKind::Volume(number), form)?;
            cx.monitor.count(Counter::Volumes, 1);
        }
        if let Some(file) = &set.signature {
            let form = to.target.seal.form();
            let sealed = self.reseal(file, None, form, to, cx)?;
            put(&sealed, FileKind::Signature, form)?;
            record.sigtar_bytes = Some(sealed.bytes);
        }
        if let Some(json) = self.stored_stats(set, cx)? {
            to.store_stats(set.id, &json, cx)?;
        }
        let form = to.target.seal.manifest_form();
        let mut sealing = Sealing::begin(&*to.target.seal, form, &to.spool)?;
        write_manifest(&manifest, BufReader::new(text), &mut sealing)?;
        let sealed = sealing.finish()?;
        put(&sealed, FileKind::Manifest, form)?;
        to.archive.note(set.id, |known| *known = record)?;
        cx.monitor
            .note(Level::Notice, &format!("copied the {}", set.id));
        Ok(())
    }

    /// Reads a file that was just stored, and holds it against what was sealed.
    ///
    /// # Errors
    /// `Corrupt` if it is another; what a download reports.
    fn read_back(
        &self,
        sealed: &Sealed,
        set: SetId,
        kind: FileKind,
        form: Form,
        cx: &Context,
    ) -> Result<()> {
        let parsed = FileName {
            set,
            kind,
            form,
            partial: false,
        };
        let file = StoredFile {
            name: self.target.naming.format(&parsed),
            parsed,
            size: sealed.bytes,
        };
        let hash = (HashKind::Sha1, sealed.sha1.clone());
        self.download(&file, Some(&hash), cx)
            .map(|_| ())
            .map_err(|e| e.within("what was copied cannot be read back"))
    }

    /// Downloads a file, checks and opens it, and seals its content as `to` does.
    fn reseal(
        &self,
        file: &StoredFile,
        hash: Option<&(HashKind, String)>,
        form: Form,
        to: &Engine,
        cx: &Context,
    ) -> Result<Sealed> {
        let mut reader = self.fetch(file, hash, cx)?;
        let mut sealing = Sealing::begin(&*to.target.seal, form, &to.spool)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = reader
                .read(&mut buffer)
                .map_err(|e| damaged(e).within(format!("cannot read {}", file.name)))?;
            let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else {
                return sealing.finish();
            };
            sealing.write_all(read)?;
        }
    }
}

/// Writes a manifest with the list of files of the old one as it was.
fn write_manifest(manifest: &Manifest, old: impl BufRead, out: &mut impl Write) -> Result<()> {
    let volumes = Manifest {
        files: None,
        ..manifest.clone()
    };
    out.write_all(&volumes.to_bytes())?;
    let list: Vec<_> = manifest::FileList::new(old).collect::<std::io::Result<_>>()?;
    if manifest.has_list {
        out.write_all(&manifest::filelist_header(list.len() as u64))?;
        for change in &list {
            out.write_all(&manifest::filelist_line(change.word, &change.path))?;
        }
    }
    Ok(())
}
