//! Whatever the program `rclone` reaches, through its command line.
//!
//! Remotes and their secrets are in rclone's own configuration (or `RCLONE_…` variables), never in an argument. An
//! upload goes to a temp name and is moved: before 1.63 rclone shows files of some remotes while they grow.

use super::super::names;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::words::split_words;
use super::super::{Location, Object, Storage, StorageOptions};
use super::program::{Ended, Program};
use crate::engine::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// rclone's exit codes for a directory and for a file that is not there.
const NO_DIRECTORY: Option<i32> = Some(3);
const NO_FILE: Option<i32> = Some(4);

/// How often a rename is tried again.
const RENAMES: u32 = 3;

/// Objects in one directory of one remote.
pub(super) struct RcloneStorage {
    program: Program,
    /// `remote:path`.
    root: String,
    options: Vec<String>,
    location: Location,
    transfer: Arc<Transfer>,
}

/// An entry of `rclone lsjson`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    name: String,
    size: i64,
    is_dir: bool,
}

impl RcloneStorage {
    /// # Errors
    /// `Usage` for settings rclone does not have.
    pub(super) fn new(
        root: &str,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("rclone", settings::RCLONE)?;
        let seconds = options.timeout.as_secs().max(1);
        let mut arguments: Vec<String> = [
            "--retries=1".to_string(),
            "--low-level-retries=3".to_string(),
            "--ask-password=false".to_string(),
            format!("--contimeout={seconds}s"),
        ]
        .into();
        let rate = |limit: Option<std::num::NonZeroU64>| {
            limit.map_or("off".to_string(), |bytes| format!("{bytes}B"))
        };
        if options.upload_rate.is_some() {
            arguments.push(format!("--bwlimit={}:off", rate(options.upload_rate)));
        }
        arguments.extend(split_words(
            options.setting("rclone-options").unwrap_or(""),
        )?);
        Ok(Self {
            program: Program::new("rclone", "RCLONE_", options, Arc::clone(&transfer)),
            root: root.to_string(),
            options: arguments,
            location,
            transfer,
        })
    }

    fn place(&self, name: &str) -> String {
        if self.root.ends_with(':') {
            format!("{}{name}", self.root)
        } else {
            format!("{}/{name}", self.root)
        }
    }

    fn arguments(&self, command: &[&str], places: &[OsString]) -> Vec<OsString> {
        self.arguments_within(self.transfer.timeout(), command, places)
    }

    fn arguments_within(
        &self,
        timeout: Duration,
        command: &[&str],
        places: &[OsString],
    ) -> Vec<OsString> {
        let mut all: Vec<OsString> = command.iter().map(OsString::from).collect();
        all.push(format!("--timeout={}s", timeout.as_secs().max(1)).into());
        all.extend(self.options.iter().map(OsString::from));
        all.push("--".into());
        all.extend(places.iter().cloned());
        all
    }

    fn run(&self, command: &[&str], places: &[OsString]) -> Result<Ended> {
        self.program
            .run(&self.arguments(command, places), Vec::new(), None)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let places = [self.place(from).into(), self.place(to).into()];
        let mut attempts = 0..RENAMES;
        loop {
            // Equal sizes and times would make rclone drop the new object and keep the old one.
            let moved = self.run(&["moveto", "--ignore-times"], &places)?;
            match moved.code {
                Some(0) => return Ok(()),
                // rclone deletes what it replaces, and fails if somebody else was faster.
                _ if moved.complaints.contains("Couldn't delete") && attempts.next().is_some() => {}
                // What was sent is not there any more: it is sent again.
                _ if moved.complaints.contains("object not found") => {
                    let error = explain(&moved);
                    let text = format!("what was sent is gone: {error}");
                    return Err(Error::new(ErrorKind::Unreachable, text));
                }
                _ => return Err(explain(&moved)),
            }
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        let ended = self.run(&["deletefile"], &[self.place(name).into()])?;
        match ended.code {
            Some(0) | NO_DIRECTORY | NO_FILE => Ok(()),
            // Before 1.63 rclone has the code 1 for this.
            _ if ended.complaints.contains("doesn't exist") => Ok(()),
            _ => Err(explain(&ended)),
        }
    }

    fn entries<T: for<'a> Deserialize<'a>>(&self, ended: &Ended) -> Result<T> {
        serde_json::from_slice(&ended.output).map_err(|e| {
            Error::new(ErrorKind::Io, "rclone listed something unreadable").with_source(e)
        })
    }
}

impl Storage for RcloneStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let ended = self.run(&["lsjson", "--no-mimetype"], &[self.root.clone().into()])?;
        match ended.code {
            Some(0) => {
                let entries: Vec<Entry> = self.entries(&ended)?;
                Ok(entries.into_iter().filter_map(object).collect())
            }
            NO_DIRECTORY => Ok(Vec::new()),
            _ => Err(explain(&ended)),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        let command = ["lsjson", "--stat", "--no-mimetype"];
        let ended = self.run(&command, &[self.place(name).into()])?;
        match ended.code {
            Some(0) => {
                let entry: Option<Entry> = self.entries(&ended)?;
                Ok(entry.and_then(object).map(|object| Object {
                    name: name.to_string(),
                    ..object
                }))
            }
            NO_DIRECTORY | NO_FILE => Ok(None),
            _ => Err(explain(&ended)),
        }
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        // `rclone cat` of a name that is not there writes nothing and may call that a success.
        if self.stat(name)?.is_none() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{name} is not at the target"),
            ));
        }
        let mut download = self.transfer.download(to);
        let arguments = self.arguments(&["cat"], &[self.place(name).into()]);
        let ended = self
            .program
            .run(&arguments, Vec::new(), Some(&mut download))?;
        match ended.code {
            Some(0) => Ok(download.bytes()),
            _ => Err(explain(&ended)),
        }
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        let from = std::path::absolute(from).map_err(|e| Error::io("read", from, e))?;
        let temp = names::temp();
        let bytes = std::fs::metadata(&from).map_err(|e| Error::io("read", &from, e))?;
        // rclone waits no longer for the answer than for any other, though the system may still be sending.
        let patience = self.transfer.patience_after(bytes.len());
        let arguments = self.arguments_within(
            patience,
            &["copyto", "--ignore-times"],
            &[from.into(), self.place(&temp).into()],
        );
        let copied = self.program.run(&arguments, Vec::new(), None)?;
        let outcome = match copied.code {
            Some(0) => self.rename(&temp, name),
            _ => Err(explain(&copied)),
        };
        if outcome.is_err() {
            let _ = self.remove(&temp);
        }
        outcome
    }

    fn delete(&self, name: &str) -> Result<()> {
        names::check(name)?;
        self.remove(name)
    }
}

/// An entry as an object, unless it is none.
fn object(entry: Entry) -> Option<Object> {
    let size = u64::try_from(entry.size).ok()?;
    (!entry.is_dir && !names::is_temp(&entry.name)).then_some(Object {
        name: entry.name,
        size,
    })
}

/// What lines and servers that are ill look like in the words of Go and of the services' modules.
const LINE_TROUBLES: [&str; 12] = [
    "connection refused",
    "connection reset",
    "connection broken",
    "broken pipe",
    "no such host",
    "timeout",
    "unexpected eof",
    ": eof",
    ": 500 ",
    ": 502 ",
    ": 503 ",
    ": 504 ",
];

/// What kind of trouble rclone had: by its exit code, and by its words where the code is 1 for everything.
fn explain(ended: &Ended) -> Error {
    let words = ended.complaints.to_lowercase();
    let has = |word: &str| words.contains(word);
    let unknown_remote = has("didn't find section in config file");
    let kind = match ended.code {
        _ if unknown_remote => ErrorKind::Usage,
        _ if has("no space left") || has("quota") => ErrorKind::Full,
        _ if has("permission denied") || has("access denied") || has("unauthorized") => {
            ErrorKind::Denied
        }
        _ if has("too many requests") || has("rate limit") || has(": 429") => {
            ErrorKind::RateLimited
        }
        NO_DIRECTORY | NO_FILE => ErrorKind::NotFound,
        // Source: rclone's manual, "temporary error, more retries might fix it".
        Some(5) => ErrorKind::Unreachable,
        _ if LINE_TROUBLES.iter().any(|trouble| has(trouble)) => ErrorKind::Unreachable,
        _ => ErrorKind::Io,
    };
    let error = Error::new(kind, format!("rclone: {}", ended.last_words()));
    if unknown_remote {
        error.with_hint("`rclone listremotes` shows the remotes rclone knows")
    } else {
        error
    }
}
