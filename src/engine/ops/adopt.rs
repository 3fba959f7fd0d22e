//! Takes over a set that duplicity left half-done: what of it is proven becomes the state dupr goes on from.
//!
//! duplicity leaves a part manifest, a part sigtar and volumes, and no word of the lengths, of the settings, or of the state
//! of a file that was cut in two. So every volume that is to be kept is read once: it must have the hash the part manifest
//! gives, and hold what the part sigtar says (`proof`). A file that was cut must still begin with the stored bytes; after
//! a delta that was cut nothing can go on. What is not proven is made anew.

use super::backup::BackupOptions;
use super::proof::{Cut, Doubt, Proof};
use crate::engine::archive::Checkpoint;
use crate::engine::collection::{BackupSet, Collection};
use crate::engine::context::Context;
use crate::engine::entry::FileStamp;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::difftar::DifftarReader;
use crate::engine::format::manifest::{self, Manifest, VolumeInfo};
use crate::engine::format::{DiffKind, FileKind, SetId};
use crate::engine::monitor::Level;
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use crate::engine::tree::{Source, stamp_of};
use flate2::read::MultiGzDecoder;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

/// What was proven of a volume, with the file it cuts.
type Kept = Vec<(Checkpoint, Option<Cut>)>;

impl Engine {
    /// The part manifest another program left of `set`, if it can be read.
    pub(super) fn foreign_part(&self, set: SetId) -> Option<Manifest> {
        let path = self.archive.file(set, FileKind::Manifest, true);
        Manifest::read_volumes(BufReader::new(File::open(path).ok()?)).ok()
    }

    /// Proves what another program left of `set`, and makes the part files dupr's own. The error inside tells why nothing
    /// can be kept.
    ///
    /// # Errors
    /// The archive dir cannot be written, or the target cannot be reached.
    pub(super) fn adopt(
        &self,
        set: SetId,
        source: &Source,
        options: &BackupOptions,
        collection: &Collection,
        cx: &Context,
    ) -> Result<std::result::Result<Vec<Checkpoint>, Doubt>> {
        let Some(part) = self.foreign_part(set) else {
            return Ok(Err("its part manifest cannot be read".into()));
        };
        let hosts = [&options.hostname]
            .into_iter()
            .chain(&options.hostname_aliases);
        let same_host = part
            .hostname
            .as_ref()
            .is_none_or(|h| hosts.into_iter().any(|o| o == h));
        let same_source = part.local_dir.as_ref().is_none_or(|d| *d == options.label);
        if !(options.allow_mismatch || same_host && same_source) {
            return Ok(Err("it is of another host or source".into()));
        }
        if !self.target.seal.can_read_back() {
            return Ok(Err("its volumes cannot be decrypted on this machine".into()));
        }
        let Some(there) = collection.incomplete.iter().find(|s| s.id == set) else {
            return Ok(Err("its volumes are not at the target".into()));
        };
        let basis = match set {
            SetId::Full { .. } => None,
            // What is wrong with the chain is told when the next set is begun.
            SetId::Incremental { .. } => match self.chain_to_extend(collection, options, cx) {
                Ok(chain) => Some(chain),
                Err(e) => return Ok(Err(e.to_string())),
            },
        };
        let Some(sigtar) = self.foreign_sigtar(set) else {
            return Ok(Err("it has no part sigtar".into()));
        };
        let count = part.volumes.len().min(there.volumes.len());
        let text = format!("checking {count} volumes of the {set} another program left half-done");
        cx.monitor.note(Level::Notice, &text);
        let (sigtar_out, filelist) = (self.archive.temp()?, self.archive.temp()?);
        let outs = (
            BufWriter::new(sigtar_out.as_file()),
            BufWriter::new(filelist.as_file()),
        );
        let mut proof = Proof::new(sigtar, self.overlay(basis, cx)?, set.time(), outs);
        let (mut kept, mut doubt) = self.prove(&part, there, &mut proof, cx)?;
        let flushed = proof.proven.sigtar.flush();
        flushed
            .and_then(|()| proof.proven.filelist.flush())
            .map_err(|e| Error::io("write", self.archive.path(), e))?;
        drop(proof);
        while let Some((last, cut)) = kept.last_mut() {
            let Some(path) = last.end().zip(cut.as_ref()) else {
                break;
            };
            last.cut_file = still_begins_with(source, &path.0, path.1);
            if last.cut_file.is_some() {
                break;
            }
            doubt = match path.1.diff {
                DiffKind::Diff => format!("the delta of {} cannot be continued", path.0),
                _ => format!("{} has changed", path.0),
            };
            kept.pop();
        }
        if kept.is_empty() {
            return Ok(Err(doubt));
        }
        if !doubt.is_empty() {
            let text = format!("only {} volumes of the {set} are kept: {doubt}", kept.len());
            cx.monitor.note(Level::Notice, &text);
        }
        self.archive.store_parts(sigtar_out, filelist)?;
        Ok(Ok(kept
            .into_iter()
            .map(|(checkpoint, _)| checkpoint)
            .collect()))
    }

    /// What duplicity signed of a set so far. At the very end it has packed it and given it its final name.
    fn foreign_sigtar(&self, set: SetId) -> Option<Box<dyn Read + Send>> {
        let open = |partial| File::open(self.archive.file(set, FileKind::Signature, partial));
        match open(true) {
            Ok(file) => Some(Box::new(BufReader::new(file))),
            Err(_) => Some(Box::new(MultiGzDecoder::new(BufReader::new(
                open(false).ok()?,
            )))),
        }
    }

    /// Reads the volumes, from the first to the first that is in doubt.
    fn prove<S, B, W>(
        &self,
        part: &Manifest,
        there: &BackupSet,
        proof: &mut Proof<S, B, W>,
        cx: &Context,
    ) -> Result<(Kept, Doubt)>
    where
        S: Read,
        B: Iterator<Item = Result<crate::engine::format::sigtar::SigEntry>>,
        W: Write,
    {
        let mut kept = Vec::new();
        for number in 1.. {
            cx.cancel.check()?;
            let (Some(told), Some(file)) = (part.volumes.get(&number), there.volumes.get(&number))
            else {
                let further = part.volumes.keys().next_back() > Some(&number);
                let doubt = match further {
                    true => format!("volume {number} is missing"),
                    false if kept.is_empty() => "its first volume is not at the target".into(),
                    false => String::new(),
                };
                return Ok((kept, doubt));
            };
            let lost = |why: &str| format!("volume {number}: {why}");
            if file.parsed.form != self.target.seal.form() {
                return Ok((kept, lost("encryption or compression are others now")));
            }
            if told.hash.is_none() {
                return Ok((kept, lost("its hash is not known")));
            }
            let read = self
                .fetch(file, told.hash.as_ref(), cx)
                .and_then(|input| check_volume(input, proof));
            match read {
                Ok(Ok(())) => {}
                Ok(Err(doubt)) => return Ok((kept, lost(&doubt))),
                Err(e) if e.kind() == ErrorKind::WrongKey => {
                    return Ok((kept, lost("the key of today does not open it")));
                }
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    return Ok((kept, lost(&e.to_string())));
                }
                Err(e) => return Err(e),
            }
            let (start, end, end_is_dir, cut) = proof.end_volume();
            if end != told.end {
                return Ok((kept, lost("it does not end where the part manifest says")));
            }
            let info = VolumeInfo {
                start,
                end,
                hash: told.hash.clone(),
            };
            let mut lines = Vec::new();
            manifest::write_volume(&mut lines, number, &info);
            let proven = &mut proof.proven;
            proven.stats.stored_bytes += file.size;
            proven.stats.volumes = number.into();
            let checkpoint = Checkpoint {
                volume: number,
                volume_bytes: file.size,
                end_block: info.end.block,
                end_is_dir,
                in_delta: cut.as_ref().is_some_and(|cut| cut.diff == DiffKind::Diff),
                sigtar_bytes: proven.sigtar_bytes,
                filelist_bytes: proven.filelist_bytes,
                filelist_lines: proven.filelist_lines,
                stats: proven.stats.clone(),
                ..Checkpoint::default()
            };
            let checkpoint = checkpoint.ending_at(&info.end.path).with_manifest(&lines);
            kept.push((checkpoint, cut));
        }
        Ok((kept, String::new()))
    }
}

/// Checks the members of one volume.
fn check_volume<S, B, W>(
    input: Box<dyn Read + Send>,
    proof: &mut Proof<S, B, W>,
) -> super::proof::Checked<()>
where
    S: Read,
    B: Iterator<Item = Result<crate::engine::format::sigtar::SigEntry>>,
    W: Write,
{
    let mut reader = DifftarReader::new(input);
    while let Some(member) = reader.next_member()? {
        if let Err(doubt) = proof.member(&member, &mut reader)? {
            return Ok(Err(doubt));
        }
    }
    Ok(Ok(()))
}

/// The stamp of a file in the source that begins with the bytes that are stored of it and has the attributes they have.
fn still_begins_with(source: &Source, path: &PathIndex, cut: &Cut) -> Option<FileStamp> {
    if cut.diff != DiffKind::Snapshot {
        return None;
    }
    let (entry, stamp) = source.look(path).ok()?;
    let (now, was) = (&entry.meta, &cut.meta);
    let same =
        (now.mode, now.uid, now.gid, now.mtime.max(0)) == (was.mode, was.uid, was.gid, was.mtime);
    if !same || !entry.kind.is_file() {
        return None;
    }
    let mut file = source.open(path, &stamp).ok()?;
    let mut rest = (&mut file).take(cut.bytes);
    let (mut sha1, mut bytes, mut piece) = (Sha1::new(), 0, vec![0; 256 * 1024]);
    loop {
        let n = rest.read(&mut piece).ok()?;
        let Some(read) = piece.get(..n).filter(|read| !read.is_empty()) else {
            break;
        };
        sha1.update(read);
        bytes += n as u64;
    }
    let is_same = bytes == cut.bytes && sha1.finalize() == cut.sha1.clone().finalize();
    let settled = stamp_of(&file).is_ok_and(|now| now == stamp);
    (is_same && settled).then_some(stamp)
}
