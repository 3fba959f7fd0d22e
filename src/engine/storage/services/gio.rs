//! Places of GNOME's, through the program `gio` and the daemons of gvfs in a session bus.
//!
//! The place is mounted by whoever is logged in, or by dupr at the first call, with a password that is told only to the
//! question for one. An upload gets its name by a move. Source: the manual page of gio.

use super::super::names;
use super::super::options::first_password;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::url::TargetUrl;
use super::super::{Location, Object, Storage, StorageOptions};
use super::program::{Ended, Program};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What stands for itself in a name.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// For how many timeouts the program may show no sign of life: what it calls may be done by the daemon behind it.
const STILL: u32 = 24;

/// Objects in one folder.
pub(super) struct GioStorage {
    program: Program,
    /// Without a slash at its end.
    uri: String,
    password: Option<Secret>,
    ready: Mutex<Ready>,
    location: Location,
    transfer: Arc<Transfer>,
}

/// What is known of the place.
#[derive(Default)]
struct Ready {
    is_mounted: bool,
    is_made: bool,
}

impl GioStorage {
    /// # Errors
    /// `Usage` for settings it does not have.
    pub(super) fn new(
        uri: &str,
        url: &TargetUrl,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("gio", settings::NONE)?;
        let hint = "install it with gvfs; on Debian: apt-get install libglib2.0-bin gvfs-backends";
        Ok(Self {
            program: Program::new("gio", "GVFS_", options, Arc::clone(&transfer))
                .installed_by(hint)
                .given_up_after(STILL),
            uri: uri.to_string(),
            password: first_password(url.password(), options),
            ready: Mutex::default(),
            location: url.location(),
            transfer,
        })
    }

    fn place(&self, name: &str) -> OsString {
        format!("{}/{}", self.uri, utf8_percent_encode(name, PLAIN)).into()
    }

    fn run(&self, words: &[OsString]) -> Result<Ended> {
        self.mount()?;
        self.program.run(words, Vec::new(), None)
    }

    /// Mounts the place, once.
    fn mount(&self) -> Result<()> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_mounted {
            return Ok(());
        }
        // Some places can only be mounted by a folder that is there: one above, in the end that of the share.
        let mut place = self.uri.as_str();
        loop {
            let (ended, asked) = self.try_mount(place)?;
            let is_there = says(&ended, "already mounted") || says(&ended, "implement mount");
            if ended.code == Some(0) || is_there {
                ready.is_mounted = true;
                return Ok(());
            }
            let above = place.rsplit_once('/').map(|(above, _)| above);
            let above = above.filter(|above| !above.ends_with('/') && above.contains("://"));
            match above.filter(|_| is_absent(&ended)) {
                Some(above) => place = above,
                None => {
                    let error = explain(&ended);
                    // It asks for the password before it has anybody to show it to.
                    if asked == 0 || error.kind() == ErrorKind::Unreachable {
                        return Err(error);
                    }
                    let text = format!("gio: {} is not opened by this password", self.location);
                    return Err(Error::new(ErrorKind::Denied, text)
                        .with_hint("check the user in the URL, and BACKEND_PASSWORD"));
                }
            }
        }
    }

    /// How mounting ended, and how often a password was asked for.
    fn try_mount(&self, place: &str) -> Result<(Ended, u32)> {
        let mut asked = 0;
        let ended = self.program.converse(&["mount", place], &mut |question| {
            // A name and a domain have what the URL says as their default.
            if !question.starts_with("Password") {
                return (!question.starts_with("Choice")).then(Vec::new);
            }
            asked += 1;
            let secret = self.password.as_ref().filter(|_| asked == 1)?;
            Some(secret.expose().to_vec())
        })?;
        Ok((ended, asked))
    }

    /// Makes the folder, once.
    fn make(&self) -> Result<()> {
        self.mount()?;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_made {
            return Ok(());
        }
        let words = ["mkdir", "-p", &self.uri];
        let ended = self.program.run(&words, Vec::new(), None)?;
        if ended.code != Some(0) && !says(&ended, "exists") {
            return Err(explain(&ended));
        }
        ready.is_made = true;
        Ok(())
    }

    /// Has it store a file: by its name, or from standard input where a pace is to be kept.
    fn store(&self, from: &Path, place: OsString) -> Result<Ended> {
        if self.transfer.paces_uploads() {
            let upload = self.transfer.upload(from)?;
            return self.program.run_fed(&["save".into(), place], upload);
        }
        let from = std::path::absolute(from).map_err(|e| Error::io("read", from, e))?;
        let file = std::fs::metadata(&from).map_err(|e| Error::io("read", &from, e))?;
        let words: [OsString; 4] = ["copy".into(), "-T".into(), from.into(), place];
        // Some services are given files by the daemon.
        self.program.run_for(&words, file.len())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let ended = self.run(&["remove".into(), "-f".into(), self.place(name)])?;
        match ended.code {
            Some(0) => Ok(()),
            _ if is_absent(&ended) => Ok(()),
            _ => Err(explain(&ended)),
        }
    }
}

impl Storage for GioStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        // COMPAT(dup all): names as they are shown, not those of the file system.
        let words = ["list", "-h", "-d", "-l", &self.uri].map(OsString::from);
        let ended = self.run(&words)?;
        match ended.code {
            Some(0) => {
                let lines = ended.output.split(|b| *b == b'\n');
                let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
                let objects = lines.filter_map(listed);
                Ok(objects.filter(|o| !names::is_temp(&o.name)).collect())
            }
            _ if is_absent(&ended) => Ok(Vec::new()),
            _ => Err(explain(&ended)),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        let what = "standard::size,standard::type";
        let words = ["info".into(), "-a".into(), what.into(), self.place(name)];
        let ended = self.run(&words)?;
        match ended.code {
            Some(0) => {
                let said = String::from_utf8_lossy(&ended.output).into_owned();
                let of = |key: &str| {
                    let mut lines = said.lines().map(str::trim);
                    lines.find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok())
                };
                // 1 is a regular file.
                let size = of("standard::size:").filter(|_| of("standard::type:") == Some(1));
                Ok(size.map(|size| Object {
                    name: name.to_string(),
                    size,
                }))
            }
            _ if is_absent(&ended) => Ok(None),
            _ => Err(explain(&ended)),
        }
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        self.mount()?;
        let mut download = self.transfer.download(to);
        let words = ["cat".into(), self.place(name)];
        let ended = self.program.run(&words, Vec::new(), Some(&mut download))?;
        match ended.code {
            Some(0) => Ok(download.bytes()),
            _ => Err(explain(&ended)),
        }
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        if name.contains(char::is_control) {
            let text = format!("{name:?} has a control character, which gio does not list");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        // A share would list it under another name.
        if self.uri.starts_with("smb://") && name.ends_with(['.', ' ']) {
            let text = format!("{name:?} has an end that Windows does not keep");
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        self.make()?;
        let temp = names::temp();
        let copied = self.store(from, self.place(&temp))?;
        let outcome = match copied.code {
            Some(0) => {
                let words = [
                    "move".into(),
                    "-T".into(),
                    self.place(&temp),
                    self.place(name),
                ];
                let moved = self.run(&words)?;
                match moved.code {
                    Some(0) => Ok(()),
                    // What was just stored is there, so it is the other name.
                    _ if says(&moved, "invalid") || is_absent(&moved) => {
                        let text = format!("{name:?} has signs that this place does not keep");
                        Err(Error::new(ErrorKind::Unsupported, text))
                    }
                    _ => Err(explain(&moved)),
                }
            }
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

/// A file of a listing: name, length and kind, with tabs between.
fn listed(line: &str) -> Option<Object> {
    let mut fields = line.split('\t');
    let (name, size, kind) = (fields.next()?, fields.next()?, fields.next()?);
    (kind == "(regular)").then_some(())?;
    Some(Object {
        name: name.to_string(),
        size: size.trim().parse().ok()?,
    })
}

/// Whether its last line holds these words: warnings of the library come before it.
fn says(ended: &Ended, words: &str) -> bool {
    ended.last_words().to_lowercase().contains(words)
}

fn is_absent(ended: &Ended) -> bool {
    says(ended, "no such file") || says(ended, "not found") || says(ended, "doesn’t exist")
}

/// What the system calls a line that broke, or cannot be had.
const BROKEN: [&str; 7] = [
    "timed out",
    "refused",
    "unreachable",
    "connection abort",
    "connection reset",
    "broken pipe",
    "host is down",
];

/// What kind of trouble there was, by the words for it.
fn explain(ended: &Ended) -> Error {
    let (kind, hint) = if says(ended, "not supported") || says(ended, "isn’t supported") {
        let hint = "gvfs must be installed (Debian: gvfs-backends) and there must be a session \
                    bus: outside of a desktop call dupr by dbus-run-session";
        (ErrorKind::Unsupported, hint)
    } else if says(ended, "not mounted") {
        (ErrorKind::Unreachable, "mount it: gio mount")
    } else if says(ended, "permission denied") || says(ended, "password") {
        (
            ErrorKind::Denied,
            "check the user in the URL, and BACKEND_PASSWORD",
        )
    } else if says(ended, "no space") || says(ended, "quota") {
        (ErrorKind::Full, "")
    } else if BROKEN.iter().any(|words| says(ended, words)) {
        (ErrorKind::Unreachable, "")
    } else if is_absent(ended) {
        (ErrorKind::NotFound, "")
    } else {
        (ErrorKind::Io, "")
    };
    let words = ended.last_words();
    let words = words.strip_prefix("gio: ").unwrap_or(&words);
    let error = Error::new(kind, format!("gio: {words}"));
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read() {
        let read = |line: &str| listed(line).map(|o| (o.name, o.size));
        let found = read("a  b\t12345\t(regular)\tstandard::display-name=a  b");
        assert_eq!(found, Some(("a  b".to_string(), 12345)));
        assert_eq!(read("sub\t0\t(directory)"), None);
        assert_eq!(read("name"), None);
        assert_eq!(read(""), None);
    }
}
