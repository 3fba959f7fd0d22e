//! How the engine tells what it is doing. It never prints; listeners do.

use super::error::Error;
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Something that is counted while an operation runs. Units are in the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Counter {
    /// Entries of the source looked at.
    SourceEntries,
    /// Bytes of file content read from the source.
    SourceBytes,
    /// Bytes of sealed data stored at the target.
    StoredBytes,
    /// Volumes committed.
    Volumes,
    /// Entries restored, compared or listed.
    Entries,
    /// Bytes of file content restored or compared.
    ContentBytes,
    /// Bytes fetched from the target.
    FetchedBytes,
}

/// Why one entry could not be handled as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// Could not be opened or read; it is not in this set, and nothing was marked as deleted for it.
    Unreadable,
    /// Was there in the listing and gone when it was opened.
    Vanished,
    /// Changed while it was read; a consistent but possibly mixed content was stored.
    ChangedWhileRead,
    /// A kind of object the format cannot hold.
    Unsupported,
    /// An attribute the format cannot hold, or that could not be set.
    Metadata,
    /// Stored data of this entry is damaged or missing; it was not restored.
    Lost,
    /// Restored, but perhaps not as it was.
    Doubtful,
    /// An entry of the archive that would lead out of the restore directory.
    Refused,
    /// Could not be written at its destination.
    Unwritable,
}

/// Trouble with one entry; the run goes on. It is counted and makes the run end with exit code 3.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// What happened.
    pub kind: ProblemKind,
    /// The entry, relative to the source or destination, printable.
    pub path: String,
    /// Why, in one line.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Weight of a note.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For finding faults.
    Debug,
    /// For the curious.
    Info,
    /// Worth a line in every run.
    Notice,
    /// Needs a look; the run still does its job.
    Warning,
}

/// How an entry entered a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryChange {
    /// Stored whole, did not exist before.
    Added,
    /// Stored whole or as a delta, existed before.
    Modified,
    /// Recorded as gone.
    Deleted,
}

/// A listener. Called from several threads. Every method may do nothing; what it does not do itself, the listener behind it
/// does.
pub trait Monitor: Send + Sync {
    /// The listener behind this one.
    fn inner(&self) -> Option<&dyn Monitor> {
        None
    }
    /// `n` more of `counter`.
    fn count(&self, counter: Counter, n: u64) {
        if let Some(inner) = self.inner() {
            inner.count(counter, n);
        }
    }
    /// Trouble with one entry.
    fn problem(&self, problem: Problem) {
        if let Some(inner) = self.inner() {
            inner.problem(problem);
        }
    }
    /// Something worth saying, in one line.
    fn note(&self, level: Level, text: &str) {
        if let Some(inner) = self.inner() {
            inner.note(level, text);
        }
    }
    /// An entry has been handled, in order; `change` is set when it enters a set.
    fn entry(&self, path: &super::path::PathIndex, change: Option<EntryChange>) {
        if let Some(inner) = self.inner() {
            inner.entry(path, change);
        }
    }
    /// A file that takes a while begins to be handled; [`Monitor::entry`] tells its end.
    fn begins(&self, path: &super::path::PathIndex) {
        if let Some(inner) = self.inner() {
            inner.begins(path);
        }
    }
    /// An expected total for `counter`, when it becomes known.
    fn expect(&self, counter: Counter, total: u64) {
        if let Some(inner) = self.inner() {
            inner.expect(counter, total);
        }
    }
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {}

/// Is asked about each problem before it is passed on.
pub trait Gate: Default + Send + Sync {
    /// Whether it shall be heard.
    fn lets_pass(&self, problem: &Problem) -> bool;
}

/// Passes everything on to another listener, problems only through a gate.
pub struct Gated<'a, G> {
    inner: &'a dyn Monitor,
    gate: G,
}

impl<'a, G: Gate> Gated<'a, G> {
    /// Before `inner`.
    pub fn new(inner: &'a dyn Monitor) -> Self {
        Self {
            inner,
            gate: G::default(),
        }
    }
}

impl<G: Gate> Monitor for Gated<'_, G> {
    fn inner(&self) -> Option<&dyn Monitor> {
        Some(self.inner)
    }
    fn problem(&self, problem: Problem) {
        if self.gate.lets_pass(&problem) {
            self.inner.problem(problem);
        }
    }
}

/// Counts problems on their way.
pub type Counted<'a> = Gated<'a, Count>;

/// The count of [`Counted`].
#[derive(Default)]
pub struct Count(AtomicU64);

impl Gate for Count {
    fn lets_pass(&self, _: &Problem) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        true
    }
}

impl Counted<'_> {
    /// Problems so far.
    pub fn problems(&self) -> u64 {
        self.gate.0.load(Ordering::SeqCst)
    }
}

/// Passes each problem of an entry on once, although the work is begun again.
pub type Once<'a> = Gated<'a, Told>;

/// What [`Once`] remembers.
#[derive(Default)]
pub struct Told(Mutex<HashSet<(ProblemKind, String)>>);

/// Problems that are remembered; what comes after so many may be told again.
const REMEMBERED: usize = 100_000;

impl Gate for Told {
    fn lets_pass(&self, problem: &Problem) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = (problem.kind, problem.path.clone());
        match told.len() < REMEMBERED {
            true => told.insert(problem),
            false => !told.contains(&problem),
        }
    }
}

impl Problem {
    /// A problem with `path` and its reason.
    pub fn new(
        kind: ProblemKind,
        path: &super::path::PathIndex,
        reason: impl fmt::Display,
    ) -> Self {
        Self {
            kind,
            path: path.to_string(),
            reason: reason.to_string(),
        }
    }

    /// A problem caused by an [`Error`].
    pub fn of(kind: ProblemKind, path: &super::path::PathIndex, error: &Error) -> Self {
        Self::new(kind, path, error)
    }
}
