//! Manifests and sigtars: the copies in the archive dir, and the files at the target they are copies of.
//!
//! A copy is used if it is what was stored (its hash) and the target still shows the file it was made of (its length);
//! otherwise the file is fetched again. So a damaged, old or foreign copy costs a download, never a wrong backup. If
//! the file at the target cannot be used, a copy that is what was stored still can.

use crate::engine::archive::{hash_of, hex};
use crate::engine::collection::{BackupSet, StoredFile};
use crate::engine::context::Context;
use crate::engine::engine::Engine;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::FileKind;
use crate::engine::format::manifest::Manifest;
use crate::engine::monitor::Level;
use crate::engine::seal::Form;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

/// Largest manifest that is read: names of some million changed files.
const MANIFEST_LIMIT: u64 = 4 << 30;

/// How far a local copy can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It is what was stored, and of the file the target shows.
    Proven,
    /// Nothing is known of it: another program put it there.
    Unknown,
    /// It is what was stored, but the target shows another file, or none.
    Outdated,
    /// It is not what was stored.
    Damaged,
}

fn trust(
    found: &str,
    stored: Option<&str>,
    known: Option<u64>,
    listed: Option<&StoredFile>,
) -> Trust {
    match (stored, known) {
        (Some(stored), _) if stored != found => Trust::Damaged,
        (Some(_), Some(known)) if listed.is_some_and(|f| f.size == known) => Trust::Proven,
        (Some(_), _) => Trust::Outdated,
        (None, _) => Trust::Unknown,
    }
}

impl Engine {
    /// The manifest of a complete set: the copy here if it can be trusted, else from the target.
    ///
    /// # Errors
    /// `Corrupt` if it is at the target but unreadable; `WrongKey` if no key opens it.
    pub fn manifest(&self, set: &BackupSet, cx: &Context) -> Result<Manifest> {
        let copy = self.manifest_copy(set)?;
        if let Some((manifest, Trust::Proven | Trust::Unknown)) = copy {
            return Ok(manifest);
        }
        match self.remote_manifest(set, cx) {
            Ok((bytes, manifest)) => {
                self.keep_manifest(set, &bytes, cx);
                Ok(manifest)
            }
            // With a public key alone, nothing can be fetched: then the copy has to do.
            Err(e) if e.kind() == ErrorKind::WrongKey && !self.target.seal.can_read_back() => {
                copy.map(|(manifest, _)| manifest).ok_or(e)
            }
            Err(e) => Err(e),
        }
    }

    /// The manifest of a set for reading data back: if the one at the target is damaged, an intact copy here.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub(super) fn manifest_or_copy(&self, set: &BackupSet, cx: &Context) -> Result<Manifest> {
        let error = match self.manifest(set, cx) {
            Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => e,
            result => return result,
        };
        match self.manifest_copy(set)? {
            Some((manifest, Trust::Outdated)) => {
                cx.monitor.note(
                    Level::Warning,
                    &format!("{error}; going by the copy in the archive dir"),
                );
                Ok(manifest)
            }
            _ => Err(error),
        }
    }

    /// The copy of a manifest, if there is one and it can be read.
    fn manifest_copy(&self, set: &BackupSet) -> Result<Option<(Manifest, Trust)>> {
        let path = self.archive.file(set.id, FileKind::Manifest, false);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let record = self.archive.record(set.id);
        let mut trust = trust(
            &hex(&bytes),
            record.manifest_sha1.as_deref(),
            record.manifest_bytes,
            set.manifest.as_ref(),
        );
        // Stored as it is, it has the same length there.
        let plain = set
            .manifest
            .as_ref()
            .filter(|f| f.parsed.form == Form::Plain);
        if trust == Trust::Unknown && plain.is_some_and(|f| f.size != bytes.len() as u64) {
            trust = Trust::Damaged;
        }
        let manifest = Manifest::parse_volumes(&bytes)
            .ok()
            .filter(|m| fault(m, set).is_none());
        Ok(manifest.map(|m| (m, trust)))
    }

    fn keep_manifest(&self, set: &BackupSet, bytes: &[u8], cx: &Context) {
        let kept = self
            .archive
            .store_bytes(bytes, set.id, FileKind::Manifest)
            .and_then(|()| {
                self.archive.note(set.id, |record| {
                    record.manifest_bytes = set.manifest.as_ref().map(|f| f.size);
                    record.manifest_sha1 = Some(hex(bytes));
                })
            });
        if let Err(e) = kept {
            cx.monitor.note(
                Level::Info,
                &format!("the manifest of the {} is not kept here: {e}", set.id),
            );
        }
    }

    /// The manifest as it is at the target: its text and what it says.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub(super) fn remote_manifest(
        &self,
        set: &BackupSet,
        cx: &Context,
    ) -> Result<(Vec<u8>, Manifest)> {
        let file = set.manifest.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{} has no manifest", set.id))
        })?;
        let damaged = |why: String| {
            Error::new(
                ErrorKind::Corrupt,
                format!("{} is damaged: {why}", file.name),
            )
        };
        let bytes = match self.fetch_whole(file, MANIFEST_LIMIT, cx) {
            Err(e) if e.kind() == ErrorKind::WrongKey && self.key_opens_rest(set, file, cx) => {
                return Err(damaged(
                    "the key that opens its set does not open it".into(),
                ));
            }
            bytes => bytes?,
        };
        let manifest = Manifest::parse_volumes(&bytes).map_err(|e| damaged(e.to_string()))?;
        match fault(&manifest, set) {
            Some(why) => Err(damaged(why)),
            None => Ok((bytes, manifest)),
        }
    }

    /// Whether the key opens the smallest other file of a set: then a file it does not open is damaged.
    fn key_opens_rest(&self, set: &BackupSet, file: &StoredFile, cx: &Context) -> bool {
        let others = set
            .files()
            .filter(|f| f.parsed.form == Form::Gpg && f.name != file.name && f.size > 0);
        let smallest = others
            .min_by_key(|f| f.size)
            .filter(|_| self.target.seal.can_read_back());
        smallest.is_some_and(|f| {
            self.fetch(f, None, cx)
                .is_ok_and(|mut r| r.read(&mut [0]).is_ok())
        })
    }

    /// Opens the sigtar of a complete set: the copy here if it can be trusted, else one fetched from the target.
    ///
    /// # Errors
    /// `NotFound` if the target has none; `WrongKey` or `Corrupt` if it cannot be opened.
    pub(super) fn sigtar(&self, set: &BackupSet, cx: &Context) -> Result<Box<dyn Read + Send>> {
        self.ensure_sigtar(set, cx)?;
        let path = self.archive.file(set.id, FileKind::Signature, false);
        let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(
            256 * 1024,
            file,
        ))))
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
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = reader
                .read(&mut buffer)
                .map_err(|e| damaged(e).within(format!("cannot read {}", file.name)))?;
            if n == 0 {
                break;
            }
            writer.write_all(&buffer[..n])?;
        }
        writer.finish()?;
        let sha1 = hash_of(temp.path())?;
        self.archive.store(temp, set.id, FileKind::Signature)?;
        self.archive.note(set.id, |record| {
            record.sigtar_bytes = Some(file.size);
            record.sigtar_sha1 = Some(sha1);
        })
    }
}

/// An error of reading an opened file: what came was fetched whole, so it is damaged unless the error says more.
pub(super) fn damaged(error: std::io::Error) -> Error {
    let error = Error::from(error);
    match error.kind() {
        ErrorKind::Io => Error::new(ErrorKind::Corrupt, "it is damaged").with_source(error),
        _ => error,
    }
}

/// What is wrong with a manifest that can be parsed: a lost piece leaves one that knows too little.
fn fault(manifest: &Manifest, set: &BackupSet) -> Option<String> {
    let last = manifest.volumes.keys().last().copied().unwrap_or(0);
    if manifest.volumes.len() as u64 != u64::from(last) {
        return Some("it leaves out a volume".into());
    }
    let further = set.volumes.keys().last().copied().unwrap_or(0);
    (!manifest.has_list && further > last)
        .then(|| format!("it ends with volume {last}, and volume {further} is at the target"))
}
