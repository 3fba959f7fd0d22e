//! What is stored beside the data of a set: the list of changed files in its manifest, and statistics.

use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::error::{Error, Result};
use crate::engine::format::manifest::{FileChange, FileList};
use crate::engine::format::{FileKind, SetId};
use crate::engine::seal::Form;
use crate::engine::target::Engine;
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};

/// Largest statistics file that is read.
const STATS_LIMIT: u64 = 1 << 20;

impl Engine {
    /// Regular files that a set stored or recorded as gone, in path order, as its manifest lists them.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub fn file_changes(&self, set: &BackupSet, cx: &Context) -> Result<Vec<FileChange>> {
        self.manifest(set, cx)?;
        let copy = self.archive.file(set.id, FileKind::Manifest, false);
        let text = match File::open(&copy) {
            Ok(file) => file,
            Err(_) => {
                let mut text = self.remote_manifest(set, cx)?.0;
                text.rewind()?;
                text
            }
        };
        FileList::new(BufReader::new(text))
            .map(|change| change.map_err(|e| Error::io("read", &copy, e)))
            .collect()
    }

    /// Stores the statistics of a set, as duplicity's `--jsonstat` does.
    ///
    /// # Errors
    /// They cannot be sealed or uploaded.
    pub fn store_stats(&self, set: SetId, json: &str, cx: &Context) -> Result<()> {
        let mut temp = self.archive.temp()?;
        let path = temp.path().to_path_buf();
        temp.write_all(json.as_bytes())
            .map_err(|e| Error::io("write", &path, e))?;
        let form = self.target.seal.form();
        self.upload_sealed(&path, set, FileKind::Stats, form, cx)?;
        let local = self.seal_file(&path, Form::Gzip, &self.spool)?;
        self.archive.store(local, set, FileKind::Stats)
    }

    /// The statistics of a set, if there are any.
    ///
    /// # Errors
    /// They are at the target and cannot be read.
    pub fn stored_stats(&self, set: &BackupSet, cx: &Context) -> Result<Option<String>> {
        let Some(file) = &set.stats else {
            return Ok(None);
        };
        let mut json = String::new();
        let text = self.fetch_to_spool(file, STATS_LIMIT, cx)?;
        BufReader::new(text)
            .read_to_string(&mut json)
            .map_err(|e| Error::from(e).within(format!("cannot read {}", file.name)))?;
        Ok(Some(json))
    }
}
