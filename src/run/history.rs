//! Past runs of a profile: one [`Outcome`] as JSON per line, oldest first.
//!
//! Lives at `$XDG_STATE_HOME/dupr/<profile>/history.jsonl`, readable by its owner only. It is a comfort, never a
//! condition: a damaged line is skipped and counted, and a lost file costs nothing but the memory of past runs.

use super::outcome::Outcome;
use crate::engine::error::{Error, Result};
use rustix::fs::FlockOperation;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Runs kept for a profile: ten years of daily ones.
pub const KEPT_RUNS: usize = 3650;

/// The history of one profile.
#[derive(Debug, Clone)]
pub struct History {
    file: PathBuf,
    kept: usize,
}

/// What could be read of a history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PastRuns {
    /// The runs, oldest first.
    pub runs: Vec<Outcome>,
    /// Lines that could not be understood.
    pub damaged_lines: usize,
}

impl History {
    /// The history of `profile` below the state directory of dupr. A name with a slash becomes one folder.
    pub fn of(state_dir: &Path, profile: &str) -> Self {
        let folder = profile.trim_start_matches('/').replace(['/', '\0'], "_");
        let folder = if folder.is_empty() || folder == "." || folder == ".." {
            "_".to_owned()
        } else {
            folder
        };
        Self {
            file: state_dir.join(folder).join("history.jsonl"),
            kept: KEPT_RUNS,
        }
    }

    /// The histories of all profiles below the state directory, by name. Folders that begin with `@` belong to no profile.
    pub fn all(state_dir: &Path) -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir(state_dir) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .filter(|e| !e.file_name().as_encoded_bytes().starts_with(b"@"))
            .map(|e| e.path().join("history.jsonl"))
            .filter(|file| file.is_file())
            .collect();
        files.sort();
        let kept = KEPT_RUNS;
        files.into_iter().map(|file| Self { file, kept }).collect()
    }

    /// The same history, pruned to this many runs when it is written.
    pub fn keeping(self, kept: usize) -> Self {
        Self {
            kept: kept.max(1),
            ..self
        }
    }

    /// The file it lives in.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// All runs that can be read. No history at all is an empty one.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(&self) -> Result<PastRuns> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(PastRuns::default()),
            Err(e) => return Err(Error::io("read", &self.file, e)),
        };
        let mut past = PastRuns::default();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|e| Error::io("read", &self.file, e))?;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(outcome) => past.runs.push(outcome),
                Err(_) => past.damaged_lines += 1,
            }
        }
        Ok(past)
    }

    /// Adds a run, durably, and drops the oldest ones beyond the number to keep.
    ///
    /// # Errors
    /// The state directory cannot be made or written.
    pub fn append(&self, outcome: &Outcome) -> Result<()> {
        let directory = self.file.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|e| Error::io("create", directory, e))?;
        // The lock is a file of its own: pruning replaces the other one.
        let lock_path = self.file.with_extension("lock");
        let lock = private()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path);
        let lock = lock.map_err(|e| Error::io("open", &lock_path, e))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|e| Error::io("lock", &lock_path, e.into()))?;
        self.append_line(outcome)
            .map_err(|e| Error::io("write", &self.file, e))?;
        self.prune().map_err(|e| Error::io("prune", &self.file, e))
    }

    fn append_line(&self, outcome: &Outcome) -> std::io::Result<()> {
        let mut file = private()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.file)?;
        let mut line = serde_json::to_vec(outcome)?;
        line.push(b'\n');
        // A line torn by a crash must not swallow this one.
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                line.insert(0, b'\n');
            }
        }
        file.write_all(&line)?;
        file.sync_all()
    }

    /// Rewrites the file once it is a tenth longer than it may be, so that this happens rarely.
    fn prune(&self) -> std::io::Result<()> {
        let text = std::fs::read(&self.file)?;
        let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
        if lines.len() <= self.kept + self.kept / 10 {
            return Ok(());
        }
        let directory = self.file.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        for line in &lines[lines.len() - self.kept..] {
            new.write_all(line)?;
        }
        new.as_file().sync_all()?;
        new.persist(&self.file).map_err(|e| e.error)?;
        File::open(directory)?.sync_all()
    }
}

/// Files only their owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Timestamp;
    use crate::run::outcome::Verdict;
    use std::os::unix::fs::PermissionsExt;

    fn outcome(second: i64) -> Outcome {
        Outcome {
            schema: 1,
            profile: "home".into(),
            host: "nas1".into(),
            batch: "backup".into(),
            target: "file:///b".into(),
            started: Timestamp(second),
            ended: Timestamp(second + 1),
            verdict: Verdict::Success,
            steps: Vec::new(),
            failure: None,
            next_due: None,
        }
    }

    #[test]
    fn what_was_appended_is_read_back_and_is_private() {
        let state = tempfile::tempdir().unwrap();
        let history = History::of(state.path(), "home");
        assert_eq!(history.read().unwrap(), PastRuns::default());
        history.append(&outcome(1)).unwrap();
        history.append(&outcome(2)).unwrap();
        let past = history.read().unwrap();
        assert_eq!(
            past,
            PastRuns {
                runs: vec![outcome(1), outcome(2)],
                damaged_lines: 0
            }
        );
        let mode = std::fs::metadata(history.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn damaged_lines_are_skipped_and_counted() {
        let state = tempfile::tempdir().unwrap();
        let history = History::of(state.path(), "home");
        history.append(&outcome(1)).unwrap();
        let mut text = std::fs::read(history.path()).unwrap();
        text.extend_from_slice(b"{\"schema\":1,\"prof");
        std::fs::write(history.path(), &text).unwrap();
        history.append(&outcome(2)).unwrap();
        let past = history.read().unwrap();
        assert_eq!((past.runs.len(), past.damaged_lines), (2, 1));
    }

    #[test]
    fn old_runs_are_pruned() {
        let state = tempfile::tempdir().unwrap();
        let history = History::of(state.path(), "home").keeping(10);
        for second in 0..25 {
            history.append(&outcome(second)).unwrap();
        }
        let runs = history.read().unwrap().runs;
        assert!((10..=11).contains(&runs.len()), "{}", runs.len());
        assert_eq!(runs.last(), Some(&outcome(24)));
    }

    #[test]
    fn runs_at_the_same_time_lose_nothing() {
        let state = tempfile::tempdir().unwrap();
        let history = History::of(state.path(), "home").keeping(1000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let history = &history;
                scope.spawn(move || {
                    (0..20).for_each(|i| history.append(&outcome(thread * 100 + i)).unwrap())
                });
            }
        });
        let past = history.read().unwrap();
        assert_eq!((past.runs.len(), past.damaged_lines), (80, 0));
    }

    #[test]
    fn a_profile_given_as_a_path_stays_inside_the_state_directory() {
        let state = Path::new("/state");
        assert_eq!(
            History::of(state, "/a/b.toml").path(),
            Path::new("/state/a_b.toml/history.jsonl")
        );
        assert_eq!(
            History::of(state, "..").path(),
            Path::new("/state/_/history.jsonl")
        );
    }
}
