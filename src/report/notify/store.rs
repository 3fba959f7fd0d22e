//! What reports need to know of earlier runs: messages that could not be delivered, digests that were sent.
//!
//! Lies beside the histories, readable by its owner only, and is as little a condition of anything as they are.

use super::when::Period;
use crate::engine::error::{Error, Result};
use crate::engine::time::Timestamp;
use crate::run::History;
use crate::run::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Messages kept for a later try; the oldest go first.
const KEPT: usize = 50;

/// Longer files are no list of ours.
const MAX_BYTES: u64 = 1 << 20;

/// A report that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Undelivered {
    /// The table under `[report]`.
    pub notifier: String,
    /// Whom it was meant for.
    pub name: String,
    /// Start of the run it tells of.
    pub run: Timestamp,
    /// What it sums up, if it is a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Period>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not delivered the last time.
    pub error: String,
}

/// The memory of one profile.
#[derive(Debug, Clone)]
pub struct Store {
    state_dir: PathBuf,
    file: PathBuf,
}

impl Store {
    /// The memory of a profile below the state directory of dupr.
    pub fn of(state_dir: &Path, profile: &str) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            file: History::of(state_dir, profile)
                .path()
                .with_file_name("undelivered.json"),
        }
    }

    /// The reports that wait. None at all if nothing is stored.
    ///
    /// # Errors
    /// What is stored cannot be read.
    pub fn undelivered(&self) -> Result<Vec<Undelivered>> {
        let io = |e| Error::io("read", &self.file, e);
        match std::fs::metadata(&self.file) {
            Ok(meta) if meta.len() > MAX_BYTES => {
                return Err(io(std::io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io(e)),
        }
        let bytes = std::fs::read(&self.file).map_err(io)?;
        serde_json::from_slice(&bytes).map_err(|e| io(e.into()))
    }

    /// Keeps these reports and no others.
    ///
    /// # Errors
    /// The state directory cannot be written.
    pub fn keep(&self, reports: &[Undelivered]) -> Result<()> {
        let io = |e| Error::io("write", &self.file, e);
        if reports.is_empty() {
            return match std::fs::remove_file(&self.file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io(e)),
                _ => Ok(()),
            };
        }
        let kept = reports
            .get(reports.len().saturating_sub(KEPT)..)
            .unwrap_or(reports);
        let text = serde_json::to_vec(kept).map_err(|e| io(e.into()))?;
        let directory = self.file.parent().unwrap_or(Path::new("."));
        private_dir(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(io)?;
        file.write_all(&text).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&self.file).map_err(|e| io(e.error))?;
        Ok(())
    }

    /// Takes the right to send the digest of a period to somebody. `false` if another run of any profile has it.
    ///
    /// # Errors
    /// The state directory cannot be written.
    pub fn claim(&self, period: Period, number: i64, name: &str) -> Result<bool> {
        let directory = self.state_dir.join("@digests");
        private_dir(&directory)?;
        let whom = format!(
            "{}-{:08x}-",
            period.word(),
            crc32fast::hash(name.as_bytes())
        );
        let path = directory.join(format!("{whom}{number}"));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
            Err(e) => return Err(Error::io("create", &path, e)),
        }
        let entries =
            std::fs::read_dir(&directory).map_err(|e| Error::io("list", &directory, e))?;
        for entry in entries.flatten() {
            let older = entry
                .file_name()
                .to_str()
                .is_some_and(|n| n.starts_with(&whom));
            if older && entry.path() != path {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(true)
    }

    /// The runs of every profile that has a history, by name.
    pub fn everyone(&self) -> Vec<Vec<Outcome>> {
        History::all(&self.state_dir)
            .iter()
            .filter_map(|history| Some(history.read().ok()?.runs))
            .filter(|runs| !runs.is_empty())
            .collect()
    }
}

fn private_dir(directory: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|e| Error::io("create", directory, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(run: i64) -> Undelivered {
        Undelivered {
            notifier: "email".into(),
            name: "email to me".into(),
            run: Timestamp(run),
            digest: Some(Period::Week),
            attempts: 1,
            error: "no route".into(),
        }
    }

    #[test]
    fn what_waits_is_kept_up_to_a_limit() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::of(state.path(), "home");
        assert_eq!(store.undelivered().unwrap(), []);
        store.keep(&[report(1), report(2)]).unwrap();
        assert_eq!(store.undelivered().unwrap(), [report(1), report(2)]);
        let many: Vec<Undelivered> = (0..80).map(report).collect();
        store.keep(&many).unwrap();
        assert_eq!(store.undelivered().unwrap(), many[30..]);
        store.keep(&[]).unwrap();
        store.keep(&[]).unwrap();
        assert_eq!(store.undelivered().unwrap(), []);
        std::fs::write(&store.file, "{").unwrap();
        assert!(store.undelivered().is_err());
    }

    #[test]
    fn a_digest_is_claimed_once_for_each_recipient_and_period() {
        let state = tempfile::tempdir().unwrap();
        let (home, www) = (
            Store::of(state.path(), "home"),
            Store::of(state.path(), "www"),
        );
        assert!(home.claim(Period::Week, 7, "email to me").unwrap());
        assert!(!www.claim(Period::Week, 7, "email to me").unwrap());
        assert!(www.claim(Period::Week, 7, "email to you").unwrap());
        assert!(www.claim(Period::Day, 7, "email to me").unwrap());
        assert!(www.claim(Period::Week, 8, "email to me").unwrap());
        let left = std::fs::read_dir(state.path().join("@digests"))
            .unwrap()
            .count();
        assert_eq!(left, 3);
    }
}
