//! Files of the archive dir by set and kind.

use super::durable::{install, sync_dir};
use super::journal::{Checkpoint, Journal, JournalHead};
use super::lock::Lock;
use super::part_manifest::PartManifest;
use super::record::{self, SetRecord};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::names::Naming;
use crate::engine::format::{FileKind, FileName, SetId};
use crate::engine::seal::Form;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// What dupr writes under duplicity's name for a part sigtar: a sigtar of no entries.
const PART_MARK: [u8; 1024] = [0; 1024];

/// The archive dir of one target.
#[derive(Debug, Clone)]
pub struct ArchiveDir {
    path: PathBuf,
    naming: Naming,
}

impl ArchiveDir {
    /// The archive dir at `path`, made if it is not there. Private to the user whatever the umask: it holds names
    /// and block sums of private files.
    ///
    /// # Errors
    /// It cannot be made or made private.
    pub fn at(path: impl Into<PathBuf>, naming: Naming) -> Result<Self> {
        let path = path.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| Error::io("create archive dir", &path, e))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o700))
            .map_err(|e| Error::io("make private archive dir", &path, e))?;
        Ok(Self { path, naming })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes its lock. `holder` describes this run for the message others get; `stop` ends the waiting early.
    ///
    /// # Errors
    /// `Locked` if another run holds it for longer than `wait`.
    pub fn lock(&self, holder: &str, wait: Duration, stop: &dyn Fn(&str) -> bool) -> Result<Lock> {
        Lock::take(&self.path, holder, wait, stop)
    }

    /// Finished files of the format that lie in it.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn files(&self) -> Result<Vec<(FileName, PathBuf)>> {
        let entries =
            std::fs::read_dir(&self.path).map_err(|e| Error::io("read", &self.path, e))?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("read", &self.path, e))?;
            if let Some(name) = entry
                .file_name()
                .to_str()
                .and_then(|n| self.naming.parse(n))
            {
                files.push((name, entry.path()));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Path of a file of a set, whether it exists or not.
    pub fn file(&self, set: SetId, kind: FileKind, partial: bool) -> PathBuf {
        let form = if kind == FileKind::Manifest || partial {
            Form::Plain
        } else {
            Form::Gzip
        };
        self.path.join(self.naming.local(&FileName {
            set,
            kind,
            form,
            partial,
        }))
    }

    /// Path of the sigtar of the set being written. Under duplicity's name for it lies a mark only, which tells whose the
    /// part files are.
    pub fn part_sigtar(&self) -> PathBuf {
        self.path.join("dupr-sigtar.part")
    }

    /// Whether the part files of a set are dupr's: duplicity empties its part sigtar as soon as it goes on with a set.
    pub fn owns_parts(&self, set: SetId) -> bool {
        let mark = std::fs::read(self.file(set, FileKind::Signature, true));
        mark.is_ok_and(|bytes| bytes == PART_MARK)
    }

    /// Makes the part files of a set dupr's; the journal must be there.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn claim_parts(&self, set: SetId) -> Result<()> {
        let mut mark = self.temp()?;
        std::io::Write::write_all(&mut mark, &PART_MARK)
            .map_err(|e| Error::io("write", mark.path(), e))?;
        install(mark, &self.file(set, FileKind::Signature, true))
    }

    /// Path of the list of changed files of the set being written.
    pub fn part_filelist(&self) -> PathBuf {
        self.path.join("dupr-filelist.part")
    }

    /// Whether a finished file of a set is here.
    pub fn has(&self, set: SetId, kind: FileKind) -> bool {
        self.file(set, kind, false).exists()
    }

    /// A temp file that [`store`](Self::store) can give its name.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn temp(&self) -> Result<NamedTempFile> {
        tempfile::Builder::new()
            .prefix(".dupr-")
            .suffix(".tmp")
            .tempfile_in(&self.path)
            .map_err(|e| Error::io("create a file in", &self.path, e))
    }

    /// Stores a finished temp file as a file of a set, durably.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn store(&self, temp: NamedTempFile, set: SetId, kind: FileKind) -> Result<()> {
        install(temp, &self.file(set, kind, false))
    }

    /// Removes the finished files of a set; those that are not there do not matter.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn forget(&self, set: SetId) -> Result<()> {
        for (name, path) in self.files()? {
            if name.set == set && !name.partial {
                remove(&path)?;
            }
        }
        remove(&self.path.join(record::name(set)))?;
        sync_dir(&self.path)
    }

    /// What is known of a set's files; nothing if that was lost.
    pub fn record(&self, set: SetId) -> SetRecord {
        record::read(&self.path, set)
    }

    /// Sets of which a volume was damaged when it was last read.
    pub fn damaged_sets(&self) -> Vec<SetId> {
        let files = self.files().unwrap_or_default();
        let mut sets: Vec<SetId> = files.iter().map(|(name, _)| name.set).collect();
        sets.dedup();
        sets.retain(|set| !self.record(*set).damaged_volumes.is_empty());
        sets
    }

    /// Adds to what is known of a set's files.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn note(&self, set: SetId, change: impl FnOnce(&mut SetRecord)) -> Result<()> {
        let mut known = self.record(set);
        change(&mut known);
        record::write(self.temp()?, &self.path, set, &known)
    }

    /// Opens a part file for writing at `length`: cut there, or made new for 0.
    ///
    /// # Errors
    /// It cannot be opened, or is shorter than `length`.
    pub fn open_part(&self, path: &Path, length: u64) -> Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| Error::io("open", path, e))?;
        let have = file
            .metadata()
            .map_err(|e| Error::io("stat", path, e))?
            .len();
        if have < length {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{} is shorter than its journal says", path.display()),
            ));
        }
        file.set_len(length)
            .map_err(|e| Error::io("cut", path, e))?;
        std::io::Seek::seek(&mut &file, std::io::SeekFrom::End(0))
            .map_err(|e| Error::io("seek in", path, e))?;
        Ok(file)
    }

    /// Gives a finished sigtar and list of files the names they have while a set is written, durably.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn store_parts(&self, sigtar: NamedTempFile, filelist: NamedTempFile) -> Result<()> {
        install(filelist, &self.part_filelist())?;
        install(sigtar, &self.part_sigtar())
    }

    /// Begins the part manifest of a set, in the place of any other.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn part_manifest(&self, set: SetId, header: &[u8]) -> Result<PartManifest> {
        PartManifest::create(&self.file(set, FileKind::Manifest, true), header)
    }

    /// Part files of sets that were being written, dupr's or duplicity's.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn part_sets(&self) -> Result<Vec<SetId>> {
        let mut sets: Vec<SetId> = self
            .files()?
            .into_iter()
            .filter(|(n, _)| n.partial)
            .map(|(n, _)| n.set)
            .collect();
        sets.dedup();
        Ok(sets)
    }

    /// Begins the journal of a new set.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_journal(&self, head: &JournalHead) -> Result<Journal> {
        Journal::create(&self.path, head)
    }

    /// Goes on with the journal of an interrupted set from the last of `checkpoints`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn resume_journal(
        &self,
        head: &JournalHead,
        checkpoints: &[Checkpoint],
    ) -> Result<Journal> {
        Journal::rewrite(&self.path, head, checkpoints)
    }

    /// The journal of an interrupted run, if there is one.
    ///
    /// # Errors
    /// It is there but cannot be opened.
    pub fn journal(&self) -> Result<Option<(JournalHead, Vec<Checkpoint>)>> {
        Journal::read(&self.path)
    }

    /// Removes everything that belongs to a set being written.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn discard_parts(&self) -> Result<()> {
        let parts: Vec<_> = self
            .files()?
            .into_iter()
            .filter(|(name, _)| name.partial)
            .collect();
        // The mark goes first: beside a set that is complete, duplicity would take it for the set's sigtar.
        let (signatures, others): (Vec<_>, Vec<_>) = parts
            .iter()
            .partition(|(name, _)| name.kind == FileKind::Signature);
        for (_, path) in &signatures {
            remove(path)?;
        }
        sync_dir(&self.path)?;
        for (_, path) in &others {
            remove(path)?;
        }
        remove(&self.part_filelist())?;
        remove(&self.part_sigtar())?;
        Journal::remove(&self.path)?;
        sync_dir(&self.path)
    }

    /// Removes temp files that a killed run left; call it with the lock held.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn sweep(&self) -> Result<()> {
        let entries =
            std::fs::read_dir(&self.path).map_err(|e| Error::io("read", &self.path, e))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".dupr-") && name.ends_with(".tmp") {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}
