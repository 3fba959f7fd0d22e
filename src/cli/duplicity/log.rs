//! Everything that is said: for people on standard output and error, for programs in the machine log.
//!
//! Both see the same messages under the same verbosity. The machine log is duplicity's: a line with level and code,
//! the text with `. ` before each line, an empty line. Front ends such as Déjà Dup live on it.

mod words;

pub use words::{quoted, raw};

use super::fault::{DAMAGED, UNSIGNED, is_damaged, lacks_signature};
use super::output::progress::{Moment, bar};
use crate::engine::monitor::{Counter, EntryChange, Level, Monitor, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use words::{stanza, type_word};

/// Weight of a message; the number is the verbosity that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Fatal.
    Error = 0,
    /// Needs a look.
    Warning = 2,
    /// What a run usually says.
    Notice = 3,
    /// For the curious.
    Info = 5,
    /// For finding faults.
    Debug = 9,
}

impl Weight {
    fn word(self) -> &'static str {
        match self {
            Weight::Error => "ERROR",
            Weight::Warning => "WARNING",
            Weight::Notice => "NOTICE",
            Weight::Info => "INFO",
            Weight::Debug => "DEBUG",
        }
    }
}

/// Codes of the machine log below errors, duplicity's.
pub mod code {
    /// Anything else.
    pub const GENERIC: i32 = 1;
    /// A volume is done, after so many bytes.
    pub const PROGRESS: i32 = 2;
    /// The collection status.
    pub const STATUS: i32 = 3;
    /// A file that is new.
    pub const NEW: i32 = 4;
    /// A file that changed.
    pub const CHANGED: i32 = 5;
    /// A file that is gone.
    pub const DELETED: i32 = 6;
    /// A file being restored.
    pub const WRITING: i32 = 7;
    /// An entry of a listing.
    pub const LISTED: i32 = 10;
    /// Progress of a backup.
    pub const UPLOAD: i32 = 16;
    /// Warning: volumes are missing.
    pub const INCOMPLETE: i32 = 5;
    /// Warning: an entry could not be looked at.
    pub const NO_STAT: i32 = 9;
    /// Warning: an entry could not be read.
    pub const NO_READ: i32 = 10;
    /// Warning: no backup is as old as the time that was asked for.
    pub const NO_SIGNATURES: i32 = 11;
    /// Warning: an entry could not be restored.
    pub const NO_PROCESS: i32 = 12;
}

/// How a verbosity is written: a digit, a letter or a word.
pub fn verbosity(text: &str) -> Option<u8> {
    match text.to_ascii_lowercase().as_str() {
        "e" | "error" => Some(0),
        "w" | "warning" => Some(2),
        "n" | "notice" => Some(3),
        "i" | "info" => Some(5),
        "d" | "debug" => Some(9),
        digits => digits.parse().ok().filter(|n| *n <= 9),
    }
}

/// Progress of a backup, printed every few seconds.
#[derive(Debug)]
struct Progress {
    every: Duration,
    begun: Instant,
    last: Instant,
    read: u64,
    stored: u64,
    expected: u64,
}

/// Says things.
pub struct Log {
    verbosity: u8,
    stamped: bool,
    out: Mutex<BufWriter<Box<dyn Write + Send>>>,
    machine: Mutex<Vec<File>>,
    progress: Mutex<Option<Progress>>,
    /// Where entries that are backed up lie.
    source: Option<PathBuf>,
    /// Where entries are restored to, if they are told, and which path of the archive that is.
    destination: Option<(PathBuf, Vec<u8>)>,
    /// How many volumes a restore needs, and how many it has read; 0 if that is not told.
    needed: AtomicU64,
    /// Whether something lacked the signature that was asked for.
    unsigned: AtomicBool,
    /// Whether a volume was not what its manifest says.
    damaged: AtomicBool,
    read: AtomicU64,
    volumes: AtomicU64,
    stamp: fn() -> String,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// Says what `verbosity` shows on standard output. `stamp` is the time for `--log-timestamp`.
    pub fn new(verbosity: u8, stamped: bool, stamp: fn() -> String) -> Self {
        Self {
            verbosity,
            stamped,
            out: Mutex::new(BufWriter::with_capacity(256 * 1024, Box::new(io::stdout()))),
            machine: Mutex::default(),
            progress: Mutex::default(),
            source: None,
            destination: None,
            needed: AtomicU64::new(0),
            unsigned: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            read: AtomicU64::new(0),
            volumes: AtomicU64::new(0),
            stamp,
        }
    }

    /// Says what `verbosity` shows on standard error: standard output is for data.
    pub fn to_stderr(verbosity: u8) -> Self {
        let log = Self::new(verbosity, false, String::new);
        *held(&log.out) = BufWriter::new(Box::new(io::stderr()));
        log
    }

    /// Adds a machine log at the end of a file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn log_to_file(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        held(&self.machine).push(file);
        Ok(())
    }

    /// Adds a machine log to an open descriptor.
    ///
    /// # Errors
    /// It is not open for writing.
    pub fn log_to_fd(&self, fd: u32) -> io::Result<()> {
        let file = match fd {
            1 => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            2 => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            fd => OpenOptions::new()
                .append(true)
                .open(format!("/proc/self/fd/{fd}"))?,
        };
        held(&self.machine).push(file);
        Ok(())
    }

    /// Tells changes of the entries at `source`.
    pub fn tell_changes(&mut self, source: &Path) {
        self.source = Some(source.to_owned());
    }

    /// Tells entries as they are restored to `destination`, which is `path` of the archive.
    pub fn tell_entries(&mut self, destination: &Path, path: &[u8]) {
        self.destination = Some((destination.to_owned(), path.to_owned()));
    }

    /// Tells from now on which of so many volumes is read.
    pub fn expect_volumes(&self, needed: u64) {
        self.needed.store(needed, Ordering::Relaxed);
    }

    /// Shows how far a backup is, every `every`, once its size is expected.
    pub fn show_progress(&self, every: Duration) {
        let now = Instant::now();
        *held(&self.progress) = Some(Progress {
            every,
            begun: now,
            last: now,
            read: 0,
            stored: 0,
            expected: 0,
        });
    }

    /// Whether messages of this weight are shown.
    pub fn shows(&self, weight: Weight) -> bool {
        self.verbosity >= weight as u8
    }

    /// A message.
    pub fn say(&self, weight: Weight, text: &str) {
        self.record(weight, code::GENERIC, "", text.as_bytes(), false);
    }

    /// A notice.
    pub fn notice(&self, text: &str) {
        self.say(Weight::Notice, text);
    }

    /// A warning.
    pub fn warn(&self, text: &str) {
        self.say(Weight::Warning, text);
    }

    /// A warning with a number of its own.
    pub fn warn_as(&self, code: i32, text: &str) {
        self.record(Weight::Warning, code, "", text.as_bytes(), false);
    }

    /// The same, with what front ends read behind the number.
    pub fn warn_about(&self, code: i32, extra: &str, text: &str) {
        self.record(Weight::Warning, code, extra, text.as_bytes(), false);
    }

    /// A message that is shown whatever the verbosity.
    pub fn insist(&self, weight: Weight, code: i32, extra: &str, text: &[u8]) {
        self.record(weight, code, extra, text, true);
    }

    /// A fatal error; `code` is the exit code, `extra` what front ends read behind it.
    pub fn fail(&self, code: i32, extra: &str, text: &str) {
        self.record(Weight::Error, code, extra, text.as_bytes(), true);
    }

    /// One line of many that belong together; [`flush`](Self::flush) after them.
    pub fn line(&self, code: i32, extra: impl FnOnce() -> String, text: &[u8]) {
        {
            let stamp = self.stamped(Weight::Info);
            let mut out = held(&self.out);
            let _ = out
                .write_all(stamp.as_bytes())
                .and_then(|()| out.write_all(text))
                .and_then(|()| out.write_all(b"\n"));
        }
        self.to_machine(Weight::Info, code, extra, text);
    }

    /// Shows what was said.
    pub fn flush(&self) {
        // A reader that has gone away is no reason to end a backup.
        let _ = held(&self.out).flush();
    }

    /// The exit code of a run that lost data, and why. If a signature was asked for and is missing, nothing else counts.
    pub fn losses(&self) -> (i32, &'static str) {
        let saw = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if saw(&self.unsigned) {
            (UNSIGNED, "files lack the signature that was asked for")
        } else if saw(&self.damaged) {
            (
                DAMAGED,
                "volumes are damaged, and what they held is left out",
            )
        } else {
            (1, "not everything was there to be read")
        }
    }

    fn note_cause(&self, text: &str) {
        if lacks_signature(text) {
            self.unsigned.store(true, Ordering::Relaxed);
        }
        if is_damaged(text) {
            self.damaged.store(true, Ordering::Relaxed);
        }
    }

    fn record(&self, weight: Weight, code: i32, extra: &str, text: &[u8], forced: bool) {
        if !forced && !self.shows(weight) {
            return;
        }
        let mut line = self.stamped(weight).into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        if weight == Weight::Error {
            self.flush();
            let _ = io::stderr().write_all(&line);
        } else {
            let _ = held(&self.out).write_all(&line);
            self.flush();
        }
        self.to_machine(weight, code, || extra.to_owned(), text);
    }

    /// What stands before a message, if stamps are wanted.
    fn stamped(&self, weight: Weight) -> String {
        if !self.stamped {
            return String::new();
        }
        format!("{} {:<6} ", (self.stamp)(), weight.word())
    }

    fn to_machine(&self, weight: Weight, code: i32, extra: impl FnOnce() -> String, text: &[u8]) {
        let mut files = held(&self.machine);
        if files.is_empty() {
            return;
        }
        let stanza = stanza(weight, code, &extra(), text);
        for file in files.iter_mut() {
            let _ = file.write_all(stanza.as_bytes());
        }
    }

    /// Ends the progress: all is done.
    pub fn end_progress(&self) {
        let ended = held(&self.progress).take();
        if let Some(progress) = ended {
            self.tell_progress(&progress, true);
        }
    }

    fn is_file(&self, path: &PathIndex) -> bool {
        let at = self.source.as_ref().map(|root| match path.is_root() {
            true => root.clone(),
            false => root.join(path.as_path()),
        });
        at.and_then(|at| std::fs::symlink_metadata(at).ok())
            .is_none_or(|meta| meta.is_file())
    }

    /// Tells of an entry that was just restored, with its type as it is now.
    fn written(&self, path: &PathIndex) {
        let Some((destination, below)) = &self.destination else {
            return;
        };
        // COMPAT(dup all): names are told as they are at the destination.
        let name = match below.is_empty() {
            true => path.as_bytes(),
            false => {
                let rest = path.as_bytes().strip_prefix(below.as_slice());
                rest.map_or(path.as_bytes(), |rest| {
                    rest.strip_prefix(b"/").unwrap_or(rest)
                })
            }
        };
        if name.is_empty() {
            return;
        }
        let place = destination.join(OsStr::from_bytes(name));
        let kind =
            std::fs::symlink_metadata(place).map_or("reg", |meta| type_word(meta.file_type()));
        let text = [b"Writing ", name, b" of type ", kind.as_bytes()].concat();
        let extra = format!("{} {kind}", quoted(name));
        self.record(Weight::Info, code::WRITING, &extra, &text, false);
    }

    fn tell_progress(&self, progress: &Progress, done: bool) {
        let moment = Moment {
            stored: progress.stored,
            read: if done {
                progress.expected
            } else {
                progress.read
            },
            expected: progress.expected,
            elapsed: progress.begun.elapsed(),
            done,
        };
        self.insist(
            Weight::Notice,
            code::UPLOAD,
            &moment.record(),
            bar(&moment).as_bytes(),
        );
    }
}

impl Monitor for Log {
    fn problem(&self, problem: Problem) {
        self.note_cause(&problem.reason);
        let code = match problem.kind {
            ProblemKind::Vanished => code::NO_STAT,
            ProblemKind::Unreadable => code::NO_READ,
            ProblemKind::Lost | ProblemKind::Unwritable | ProblemKind::Refused => code::NO_PROCESS,
            _ => code::GENERIC,
        };
        let lost = problem.kind == ProblemKind::Lost;
        // COMPAT(dup all): what people search their logs for.
        let token = if lost { "IGNORED_ERROR: " } else { "" };
        let text = format!("{token}Error processing {problem}");
        let extra = quoted(problem.path.as_bytes());
        self.record(Weight::Warning, code, &extra, text.as_bytes(), false);
    }

    fn note(&self, level: Level, text: &str) {
        self.note_cause(text);
        let weight = match level {
            Level::Warning => Weight::Warning,
            Level::Notice => Weight::Notice,
            Level::Info => Weight::Info,
            Level::Debug => Weight::Debug,
        };
        self.say(weight, text);
    }

    fn entry(&self, path: &PathIndex, change: Option<EntryChange>) {
        if !self.shows(Weight::Info) {
            return;
        }
        let (word, code) = match change {
            Some(EntryChange::Added) => ("A", code::NEW),
            // Only files are stored as what changed in them; all else is stored anew.
            Some(EntryChange::Modified) if self.is_file(path) => ("M", code::CHANGED),
            Some(EntryChange::Modified) => ("A", code::NEW),
            Some(EntryChange::Deleted) => ("D", code::DELETED),
            None => return self.written(path),
        };
        let text = [word.as_bytes(), b" ", raw(path)].concat();
        self.record(Weight::Info, code, &quoted(raw(path)), &text, false);
    }

    fn count(&self, counter: Counter, n: u64) {
        if counter == Counter::SourceBytes {
            self.read.fetch_add(n, Ordering::Relaxed);
        }
        if counter == Counter::Volumes {
            let number = self.volumes.fetch_add(n, Ordering::Relaxed) + n;
            let read = self.read.load(Ordering::Relaxed).to_string();
            let text = format!("Processed volume {number}");
            self.record(Weight::Info, code::PROGRESS, &read, text.as_bytes(), false);
        }
        let needed = self.needed.load(Ordering::Relaxed);
        if counter == Counter::FetchedBytes && needed > 0 {
            let number = self.volumes.fetch_add(1, Ordering::Relaxed) + 1;
            let extra = format!("{} {needed}", number.min(needed));
            let text = format!("Processed volume {number} of {needed}");
            self.record(Weight::Info, code::PROGRESS, &extra, text.as_bytes(), false);
        }
        let mut guard = held(&self.progress);
        let Some(progress) = guard.as_mut() else {
            return;
        };
        match counter {
            Counter::SourceBytes => progress.read += n,
            Counter::StoredBytes => progress.stored += n,
            _ => return,
        }
        if progress.last.elapsed() >= progress.every {
            progress.last = Instant::now();
            self.tell_progress(progress, false);
        }
    }

    fn expect(&self, counter: Counter, total: u64) {
        if counter != Counter::SourceBytes {
            return;
        }
        match held(&self.progress).as_mut() {
            Some(progress) => progress.expected = total,
            // COMPAT(dup all): a front end takes the last of a dry run for the whole.
            None => {
                let text = format!("{total} bytes to read");
                let extra = total.to_string();
                self.record(Weight::Info, code::PROGRESS, &extra, text.as_bytes(), false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_is_a_digit_a_letter_or_a_word() {
        for (text, level) in [
            ("0", Some(0)),
            ("4", Some(4)),
            ("9", Some(9)),
            ("n", Some(3)),
            ("N", Some(3)),
            ("Info", Some(5)),
            ("WARNING", Some(2)),
            ("e", Some(0)),
            ("debug", Some(9)),
            ("10", None),
            ("loud", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(verbosity(text), level, "{text}");
        }
    }

    #[test]
    fn records_have_the_form_front_ends_read() {
        assert_eq!(
            stanza(Weight::Info, 4, "'dir/b'", b"A dir/b"),
            "INFO 4 'dir/b'\n. A dir/b\n\n"
        );
        assert_eq!(
            stanza(Weight::Error, 31, "", b"one\ntwo"),
            "ERROR 31\n. one\n. two\n\n"
        );
        assert_eq!(stanza(Weight::Notice, 1, "", b""), "NOTICE 1\n\n");
    }

    #[test]
    fn paths_are_quoted_as_python_does() {
        assert_eq!(quoted(b"ap'os"), r"'ap\x27os'");
        assert_eq!(
            quoted("a\\b\nü€\u{1f600}".as_bytes()),
            r"'a\\b\n\xfc\u20ac\U0001f600'"
        );
        assert_eq!(quoted(b"\xff"), r"'\udcff'");
    }
}
