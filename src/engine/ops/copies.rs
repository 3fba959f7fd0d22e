//! Manifests, and how far a copy in the archive dir can be trusted; see also `sigtars`.
//!
//! A copy is used if it is what was stored (its hash) and the target still shows the file it was made of (its length);
//! otherwise the file is fetched again. So a damaged, old or foreign copy costs a download, never a wrong backup. If
//! the file at the target cannot be used, a copy that is what was stored still can.

use crate::engine::archive::hash_of;
use crate::engine::collection::{BackupSet, StoredFile};
use crate::engine::context::Context;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::manifest::Manifest;
use crate::engine::format::{FileKind, SetId};
use crate::engine::monitor::Level;
use crate::engine::seal::Form;
use crate::engine::target::Engine;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::sync::OnceLock;

/// Largest manifest that is read: names of some ten million changed files.
const MANIFEST_LIMIT: u64 = 4 << 30;

/// How far a local copy can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is what was stored, and of the file the target shows.
    Proven,
    /// Nothing is known of it: another program put it there.
    Unknown,
    /// It is what was stored, but the target shows another file, or none.
    Outdated,
    /// It is not what was stored.
    Damaged,
}

/// How far a copy with the hash `found` can be trusted, by what is known of it and what the target shows.
pub(super) fn trust(
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
            Ok(_) if matches!(copy, Some((_, Trust::Outdated))) && self.is_ours(set) => {
                Err(Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "the manifest of the {} at the target is not the one that was stored",
                        set.id
                    ),
                ))
            }
            Ok((text, manifest)) => {
                self.keep_manifest(set, text, cx);
                Ok(manifest)
            }
            // With a public key alone, nothing can be fetched: then the copy has to do.
            Err(e) if e.kind() == ErrorKind::WrongKey && !self.target.seal.can_read_back() => {
                copy.map(|(manifest, _)| manifest).ok_or(e)
            }
            Err(e) => Err(e),
        }
    }

    /// Reads the manifest of a set at the target, whatever copy there is: if a signature is required, it is good then, and
    /// so are the hashes of the volumes in it.
    ///
    /// # Errors
    /// `Corrupt` if the signature or anything else is not as it should be; `WrongKey`; what fetching reports.
    pub fn prove_manifest(&self, set: &BackupSet, cx: &Context) -> Result<()> {
        self.remote_manifest(set, cx).map(|_| ())
    }

    /// For each set, what damage the manifest at the target has, whatever copy there is.
    pub(super) fn manifest_damages(&self, sets: &[&BackupSet], cx: &Context) -> Vec<Option<Error>> {
        let places: Vec<_> = sets.iter().map(|set| (set, OnceLock::new())).collect();
        let look = |(set, place): &(&&BackupSet, OnceLock<Error>)| {
            if let Err(e) = self.remote_manifest(set, cx)
                && e.kind() == ErrorKind::Corrupt
            {
                let _ = place.set(e);
            }
            Ok(())
        };
        // It ends none of the errands.
        let _ = self.at_once(&places, look);
        places
            .into_iter()
            .map(|(_, place)| place.into_inner())
            .collect()
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

    /// Whether what is known of a set is of the very set the target shows: its volumes are there with the lengths they
    /// were stored with.
    pub(super) fn is_ours(&self, set: &BackupSet) -> bool {
        let known = self.archive.record(set.id).volume_bytes;
        let pairs = known
            .iter()
            .filter_map(|(n, bytes)| Some((set.volumes.get(n)?.size, *bytes)));
        let mut pairs = pairs.peekable();
        pairs.peek().is_some() && pairs.all(|(there, known)| there == known)
    }

    /// The copy of a manifest, if there is one and it can be read.
    fn manifest_copy(&self, set: &BackupSet) -> Result<Option<(Manifest, Trust)>> {
        let path = self.archive.file(set.id, FileKind::Manifest, false);
        let Ok(meta) = std::fs::metadata(&path) else {
            return Ok(None);
        };
        let record = self.archive.record(set.id);
        let mut trust = trust(
            &hash_of(&path)?,
            record.manifest_sha1.as_deref(),
            record.manifest_bytes,
            set.manifest.as_ref(),
        );
        // Stored as it is, it has the same length there.
        let plain = set
            .manifest
            .as_ref()
            .filter(|f| f.parsed.form == Form::Plain);
        if trust == Trust::Unknown && plain.is_some_and(|f| f.size != meta.len()) {
            trust = Trust::Damaged;
        }
        let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        let manifest = Manifest::read_volumes(BufReader::new(file))
            .ok()
            .filter(|m| fault(m, set).is_none());
        Ok(manifest.map(|m| (m, trust)))
    }

    fn keep_manifest(&self, set: &BackupSet, mut text: File, cx: &Context) {
        let keep = || {
            let temp = self.archive.temp()?;
            text.rewind()
                .and_then(|()| std::io::copy(&mut text, &mut temp.as_file()))
                .map_err(|e| Error::io("write", temp.path(), e))?;
            let sha1 = hash_of(temp.path())?;
            self.archive.store(temp, set.id, FileKind::Manifest)?;
            self.archive.note(set.id, |record| {
                record.manifest_bytes = set.manifest.as_ref().map(|f| f.size);
                record.manifest_sha1 = Some(sha1);
            })
        };
        let kept: Result<()> = {
            let mut keep = keep;
            keep()
        };
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
    ) -> Result<(File, Manifest)> {
        let file = set.manifest.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{} has no manifest", set.id))
        })?;
        let damaged = |why: String| {
            Error::new(
                ErrorKind::Corrupt,
                format!("{} is damaged: {why}", file.name),
            )
        };
        let mut text = match self.fetch_to_spool(file, MANIFEST_LIMIT, cx) {
            Err(e) if e.kind() == ErrorKind::WrongKey && self.key_opens_rest(set, file, cx) => {
                return Err(damaged(
                    "the key that opens its set does not open it".into(),
                ));
            }
            text => text?,
        };
        let manifest = Manifest::read_volumes(BufReader::new(&mut text))
            .map_err(|e| damaged(e.to_string()))?;
        match fault(&manifest, set) {
            Some(why) => Err(damaged(why)),
            None => Ok((text, manifest)),
        }
    }

    /// Whether the key opens the smallest other file of a set: then a file it does not open is damaged.
    fn key_opens_rest(&self, set: &BackupSet, file: &StoredFile, cx: &Context) -> bool {
        let others = set
            .files()
            .filter(|f| f.parsed.form.is_encrypted() && f.name != file.name && f.size > 0);
        let smallest = others
            .min_by_key(|f| f.size)
            .filter(|_| self.target.seal.can_read_back());
        smallest.is_some_and(|f| {
            self.fetch(f, None, cx)
                .is_ok_and(|mut r| r.read(&mut [0]).is_ok())
        })
    }

    /// The sets whose manifests lie in the archive dir.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn known_sets(&self) -> Result<Vec<SetId>> {
        let here = self.archive.files()?.into_iter().map(|(name, _)| name);
        let known = here.filter(|n| !n.partial && n.kind == FileKind::Manifest);
        // A set with part files was never complete: duplicity makes its last file in the archive dir before it moves it.
        let half_done = self.archive.part_sets()?;
        Ok(known
            .map(|n| n.set)
            .filter(|set| !half_done.contains(set))
            .collect())
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
