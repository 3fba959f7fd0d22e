//! Sigtars: the copies in the archive dir, and how they get there.
//!
//! What an increment is compared with must be exactly what its set holds. So a sigtar that was cut short, or belongs
//! to another set, is refused when it is fetched.

use super::copies::{Trust, damaged, trust};
use crate::engine::archive::hash_of;
use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::FileKind;
use crate::engine::format::manifest::{FileChange, FileList, FileWord};
use crate::engine::format::sigtar::SigtarReader;
use crate::engine::format::tar::TAR_BLOCK_BYTES;
use crate::engine::monitor::Level;
use crate::engine::path::PathIndex;
use crate::engine::seal::Form;
use crate::engine::target::Engine;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

impl Engine {
    /// Opens the sigtar of a complete set: the copy here if it can be trusted, else one fetched from the target.
    ///
    /// # Errors
    /// `NotFound` if the target has none; `WrongKey` or `Corrupt` if it cannot be opened.
    pub(super) fn sigtar(&self, set: &BackupSet, cx: &Context) -> Result<Box<dyn Read + Send>> {
        self.ensure_sigtar(set, cx)?;
        let path = self.archive.file(set.id, FileKind::Signature, false);
        let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        Ok(opened(file))
    }

    /// Sees to it that an intact copy of a sigtar is here.
    ///
    /// # Errors
    /// As [`sigtar`](Self::sigtar).
    pub(super) fn ensure_sigtar(&self, set: &BackupSet, cx: &Context) -> Result<()> {
        let path = self.archive.file(set.id, FileKind::Signature, false);
        let trust = if path.exists() {
            Some(self.trust_in_sigtar(set, &path)?)
        } else {
            None
        };
        match trust {
            Some(Trust::Proven) => return Ok(()),
            // What is at the target now is not what was stored there.
            Some(Trust::Outdated) if self.is_ours(set) => return Ok(()),
            Some(Trust::Damaged) => cx.monitor.note(
                Level::Notice,
                &format!(
                    "the local copy of the sigtar of the {} is damaged; fetching it again",
                    set.id
                ),
            ),
            _ => {}
        }
        match self.fetch_sigtar(set, cx) {
            Err(e) if trust == Some(Trust::Outdated) && e.kind() != ErrorKind::Unreachable => {
                cx.monitor.note(
                    Level::Warning,
                    &format!("{e}; going by the copy in the archive dir"),
                );
                Ok(())
            }
            result => result,
        }
    }

    /// Opens the copy of a sigtar here, if it can be trusted; nothing is fetched.
    pub(super) fn sigtar_here(&self, set: &BackupSet) -> Option<Box<dyn Read + Send>> {
        let path = self.archive.file(set.id, FileKind::Signature, false);
        let file = File::open(&path).ok()?;
        match self.trust_in_sigtar(set, &path) {
            Ok(Trust::Proven) => Some(opened(file)),
            _ => None,
        }
    }

    fn trust_in_sigtar(&self, set: &BackupSet, path: &Path) -> Result<Trust> {
        let record = self.archive.record(set.id);
        let found = hash_of(path)?;
        let trust = trust(
            &found,
            record.sigtar_sha1.as_deref(),
            record.sigtar_bytes,
            set.signature.as_ref(),
        );
        if trust != Trust::Unknown {
            return Ok(trust);
        }
        let readable = File::open(path).and_then(|f| {
            std::io::copy(
                &mut MultiGzDecoder::new(BufReader::with_capacity(256 * 1024, f)),
                &mut std::io::sink(),
            )
        });
        if readable.is_err() {
            return Ok(Trust::Damaged);
        }
        self.archive.note(set.id, |record| {
            record.sigtar_bytes = set.signature.as_ref().map(|f| f.size);
            record.sigtar_sha1 = Some(found);
        })?;
        Ok(Trust::Proven)
    }

    /// Fetches a sigtar into the archive dir, replacing the copy there.
    fn fetch_sigtar(&self, set: &BackupSet, cx: &Context) -> Result<()> {
        let file = set.signature.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("the sigtar of the {} is not at the target", set.id),
            )
        })?;
        let mut reader = self.fetch(file, None, cx)?;
        let temp = self.archive.temp()?;
        let out = temp
            .as_file()
            .try_clone()
            .map_err(|e| Error::io("open", temp.path(), e))?;
        let mut writer = self.target.seal.seal(Form::Gzip, Box::new(out))?;
        let fail = |e: Error| e.within(format!("cannot read {}", file.name));
        let mut buffer = vec![0; 256 * 1024];
        let mut zeros = 0;
        loop {
            let n = reader.read(&mut buffer).map_err(|e| fail(damaged(e)))?;
            let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else {
                break;
            };
            let end = read.iter().rev().take_while(|b| **b == 0).count();
            zeros = if end == n { zeros + n } else { end };
            writer.write_all(read)?;
        }
        // The end of an archive; without it a sealed stream that cannot tell by itself may have been cut short.
        if zeros < TAR_BLOCK_BYTES {
            return Err(fail(Error::new(ErrorKind::Corrupt, "it is cut short")));
        }
        writer.finish()?;
        self.check_kin(set, temp.path(), cx).map_err(fail)?;
        let sha1 = hash_of(temp.path())?;
        self.archive.store(temp, set.id, FileKind::Signature)?;
        self.archive.note(set.id, |record| {
            record.sigtar_bytes = Some(file.size);
            record.sigtar_sha1 = Some(sha1);
        })
    }

    /// Refuses the sigtar of another set: deltas against wrong signatures cannot be patched. Every file that the
    /// manifest lists as stored must have its signature in it, and so must every entry at which a volume ends.
    fn check_kin(&self, set: &BackupSet, sigtar: &Path, cx: &Context) -> Result<()> {
        let path = self.archive.file(set.id, FileKind::Manifest, false);
        let (Ok(manifest), Ok(text)) = (self.manifest(set, cx), File::open(&path)) else {
            return Ok(());
        };
        let mut ends: Vec<PathIndex> = manifest.volumes.into_values().map(|v| v.end.path).collect();
        // An increment without changes has its one volume end at a root that is not in it.
        ends.retain(|path| !path.is_root());
        ends.sort();
        ends.dedup();
        let mut ends = ends.into_iter().peekable();
        let stored = |change: &FileChange| change.word != FileWord::Deleted;
        let list = FileList::new(BufReader::with_capacity(256 * 1024, text));
        // A list that is not in order is not gone by; an interrupted run of duplicity may leave one.
        let ascending = |last: &mut Option<PathIndex>, path: PathIndex| {
            let next = last.as_ref().is_none_or(|last| *last < path);
            *last = Some(path);
            next.then(|| last.clone())?
        };
        let mut list = list
            .map_while(|change| change.ok())
            .filter(stored)
            .map(|change| change.path)
            .scan(None, ascending)
            .peekable();
        let file = File::open(sigtar).map_err(|e| Error::io("open", sigtar, e))?;
        let input = MultiGzDecoder::new(BufReader::with_capacity(256 * 1024, file));
        for entry in SigtarReader::new(input).skip_signatures().flatten() {
            ends.next_if_eq(&entry.path);
            list.next_if_eq(&entry.path);
        }
        match ends.next().or_else(|| list.next()) {
            Some(path) => Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "it is not that of the {}: it knows nothing of {path}",
                    set.id
                ),
            )),
            None => Ok(()),
        }
    }
}

fn opened(file: File) -> Box<dyn Read + Send> {
    let file = BufReader::with_capacity(256 * 1024, file);
    Box::new(MultiGzDecoder::new(file))
}
