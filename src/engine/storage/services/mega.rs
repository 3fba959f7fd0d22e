//! Folders of MEGA, through the programs of megatools.
//!
//! A file appears there when its upload is done, and cannot be renamed: one that takes the place of another goes up when that
//! one is gone. The program would take a password as an argument, so it gets it by a private file instead. Source: the manual
//! pages of megatools 1.11.

use super::super::names;
use super::super::options::first_password;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::url::TargetUrl;
use super::super::{Location, Object, Storage, StorageOptions, taken};
use super::program::{Ended, Program};
use crate::engine::error::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::NamedTempFile;

/// For how many timeouts the program may show no sign of life: it waits five minutes by itself for an account that has sent too
/// much, and reads the tree of a large one without a word.
const STILL: u32 = 24;

/// Objects in one folder.
pub(super) struct MegaStorage {
    program: Program,
    /// Options of every call.
    options: Vec<OsString>,
    /// Limits of speed as the program reads them, for uploads and for downloads.
    limits: [Option<String>; 2],
    /// The folder as the program writes it, without a slash at its end.
    folder: String,
    /// Whether the folder is known to be there.
    made: AtomicBool,
    /// Name and password, as long as they are needed.
    _login: Option<NamedTempFile>,
    location: Location,
    transfer: Arc<Transfer>,
}

impl MegaStorage {
    /// # Errors
    /// `Usage` for settings it does not have, or a login that cannot be written down; `Io` if there is no room for that.
    pub(super) fn new(
        user: Option<&str>,
        folder: &str,
        url: &TargetUrl,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("mega", settings::NONE)?;
        let mut words: Vec<OsString> = vec!["--no-ask-password".into(), "--reload".into()];
        let password = user.and_then(|_| first_password(url.password(), options));
        let login = match (user, password) {
            (Some(user), Some(password)) => {
                let password = password.expose_str().map(str::to_string);
                let text = password.and_then(|password| login(user, &password));
                let text = text.ok_or_else(|| {
                    Error::new(
                        ErrorKind::Usage,
                        "name or password for mega is not one line of text",
                    )
                })?;
                let dir = &options.temp_dir;
                let wrong = |e| Error::io("write a private file in", dir, e);
                let mut file = NamedTempFile::new_in(dir).map_err(wrong)?;
                file.write_all(text.as_bytes()).map_err(wrong)?;
                Some(file)
            }
            _ => None,
        };
        // COMPAT(dup all): without a password in the URL the login is that of ~/.megarc.
        let home = options.environment.get("HOME").unwrap_or_default();
        let own = || Path::new(home).join(".megarc").into_os_string();
        words.push("--config".into());
        words.push(login.as_ref().map_or_else(own, |file| file.path().into()));
        let limit = |rate: Option<NonZeroU64>| {
            let word = |rate: NonZeroU64| format!("--limit-speed={}", rate.get().div_ceil(1024));
            rate.map(word)
        };
        let limits = [limit(options.upload_rate), limit(options.download_rate)];
        let program = Program::new("megatools", "MEGA_", options, Arc::clone(&transfer))
            .given_up_after(STILL);
        Ok(Self {
            program,
            options: words,
            limits,
            folder: format!("/Root{folder}"),
            made: AtomicBool::new(false),
            _login: login,
            location: url.location(),
            transfer,
        })
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn words(&self, command: &[&str], places: &[OsString]) -> Vec<OsString> {
        let mut all: Vec<OsString> = command.iter().map(OsString::from).collect();
        all.extend(self.options.iter().cloned());
        all.push("--".into());
        all.extend(places.iter().cloned());
        all
    }

    fn run(&self, command: &[&str], places: &[OsString]) -> Result<Ended> {
        self.program
            .run(&self.words(command, places), Vec::new(), None)
    }

    /// Makes the folder, and those above it.
    fn make(&self) -> Result<()> {
        if self.made.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut path = String::from("/Root");
        for part in self.folder.split('/').skip(2) {
            path = format!("{path}/{part}");
            let made = self.run(&["mkdir"], &[path.clone().into()])?;
            if made.code != Some(0) && !made.complaints.contains("already exists") {
                return Err(explain(&made));
            }
        }
        self.made.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// What the program reads its login from; `None` for what does not fit on lines.
fn login(user: &str, password: &str) -> Option<String> {
    let line = |text: &str| {
        let plain = !text.is_empty() && !text.chars().any(char::is_control);
        let escaped = text.replace('\\', "\\\\");
        let blanks = escaped.len() - escaped.trim_start_matches(' ').len();
        let rest = escaped.get(blanks..).unwrap_or_default();
        plain.then(|| format!("{}{rest}", "\\s".repeat(blanks)))
    };
    Some(format!(
        "[Login]\nUsername = {}\nPassword = {}\n",
        line(user)?,
        line(password)?
    ))
}

impl Storage for MegaStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let ended = self.run(&["ls", "--long"], &[self.folder.clone().into()])?;
        match ended.code {
            Some(0) => {
                let lines = ended.output.split(|b| *b == b'\n');
                let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
                let folder = format!("{}/", self.folder);
                Ok(lines.filter_map(|line| listed(line, &folder)).collect())
            }
            _ if is_absent(&ended) => Ok(Vec::new()),
            _ => Err(explain(&ended)),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        Ok(self.list()?.into_iter().find(|object| object.name == name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        let mut download = self.transfer.download(to);
        let mut command = vec!["get", "--no-progress", "--path", "-"];
        command.extend(self.limits[1].as_deref());
        let words = self.words(&command, &[self.place(name).into()]);
        let ended = self.program.run(&words, Vec::new(), Some(&mut download))?;
        match ended.code {
            Some(0) => Ok(download.bytes()),
            _ => Err(explain(&ended)),
        }
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        let from = std::path::absolute(from).map_err(|e| Error::io("read", from, e))?;
        self.make()?;
        self.delete(name)?;
        let place = self.place(name);
        let mut command = vec![
            "put",
            "--no-progress",
            "--disable-previews",
            "--path",
            &place,
        ];
        command.extend(self.limits[0].as_deref());
        let ended = self.run(&command, &[from.into()])?;
        match ended.code {
            Some(0) => Ok(()),
            // Somebody else was faster since it was looked for.
            _ if ended.said("file already exists") => Err(taken(name)),
            _ => Err(explain(&ended)),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        // The program removes folders with all that is in them: only what is listed as a file is handed to it.
        if self.stat(name)?.is_none() {
            return Ok(());
        }
        let ended = self.run(&["rm"], &[self.place(name).into()])?;
        match ended.code {
            Some(0) => Ok(()),
            _ if is_absent(&ended) => Ok(()),
            _ => Err(explain(&ended)),
        }
    }
}

/// A file of a listing: handle, owner (or none), kind, size, date, time, path.
fn listed(line: &str, folder: &str) -> Option<Object> {
    let is_date = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        word.len() == 10 && digits == 8 && word.matches('-').count() == 2
    };
    let mut rest = line;
    let mut before = Vec::new();
    let path = loop {
        let word = rest.split_ascii_whitespace().next()?;
        let start = rest.find(word)? + word.len();
        rest = rest.get(start..)?;
        if is_date(word) {
            // The time, one blank, and all the rest is the path.
            break rest.trim_start().split_once(' ')?.1;
        }
        before.push(word);
    };
    let [.., kind, size] = before.as_slice() else {
        return None;
    };
    let name = path.strip_prefix(folder)?;
    (*kind == "0" && !name.is_empty() && !name.contains('/')).then_some(())?;
    Some(Object {
        name: name.to_string(),
        size: size.parse().ok()?,
    })
}

/// What it says of its failure; before it come warnings of what it has tried again itself.
fn verdict(ended: &Ended) -> &str {
    let mut lines = ended.complaints.lines().rev();
    let last = lines.find(|line| line.starts_with("ERROR"));
    last.unwrap_or(&ended.complaints)
}

fn is_absent(ended: &Ended) -> bool {
    let words = ["not found", "ENOENT"];
    words.iter().any(|word| verdict(ended).contains(word))
}

/// Whether it tells a status of HTTP, such as `Server returned 503`.
fn has_status(said: &str) -> bool {
    let mut rest = said.split("Server returned ").skip(1);
    rest.any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// What kind of trouble there was, by the words for it.
// Source: the texts in megatools 1.11, and the names of errors of MEGA's API.
fn explain(ended: &Ended) -> Error {
    let has = |word: &str| verdict(ended).contains(word);
    let (kind, hint) = if has("Server returned 509") {
        // Of what may be moved in some hours, not of what may be stored.
        (ErrorKind::RateLimited, TRANSFERS)
    } else if has("EOVERQUOTA") && has("Download failed") {
        (ErrorKind::RateLimited, TRANSFERS)
    } else if has("EOVERQUOTA") || has("over quota") {
        (ErrorKind::Full, "")
    } else if has("Failed to open config file") || has("must specify your mega.nz") {
        let hint = "write name and password to ~/.megarc (man megarc), or set BACKEND_PASSWORD";
        (ErrorKind::Denied, hint)
    } else if ["ERATELIMIT", "EAGAIN", "ETEMPUNAVAIL", "ETOOMANY"]
        .map(has)
        .contains(&true)
    {
        (ErrorKind::RateLimited, "")
    } else if ["CURL error", "CURL timeout", "HTTP POST failed", "EEXPIRED"]
        .map(has)
        .contains(&true)
        || has_status(verdict(ended))
    {
        (ErrorKind::Unreachable, "")
    } else if has("Can't login") || has("EACCESS") || has("ESID") {
        (ErrorKind::Denied, "check name and password of the account")
    } else if is_absent(ended) {
        (ErrorKind::NotFound, "")
    } else {
        (ErrorKind::Io, "")
    };
    let error = Error::new(kind, format!("megatools: {}", ended.last_words()));
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

/// What to do about an account that has moved too much.
const TRANSFERS: &str = "the account has moved as much as it may in some hours: try again later";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_decides_the_kind() {
        for (complaints, kind) in [
            (
                "ERROR: Upload failed for 'a': Server returned error EOVERQUOTA",
                ErrorKind::Full,
            ),
            (
                "ERROR: Download failed for 'a': Server returned 509 (over quota)",
                ErrorKind::RateLimited,
            ),
            (
                "ERROR: Download failed for 'a': API call 'g' failed: Server returned error EOVERQUOTA",
                ErrorKind::RateLimited,
            ),
            (
                "ERROR: Upload failed for 'a': Server returned 503",
                ErrorKind::Unreachable,
            ),
            (
                "ERROR: Upload failed for 'a': Server returned 500 (probably busy)",
                ErrorKind::Unreachable,
            ),
            (
                "ERROR: Upload failed for 'a': CURL timeout: Timeout was reached",
                ErrorKind::Unreachable,
            ),
            (
                "ERROR: Can't login to mega.nz: Server keeps asking us for EAGAIN, giving up",
                ErrorKind::RateLimited,
            ),
            (
                "WARNING: chunk upload failed (CURL error: Send failure), re-trying after 5 seconds\n\
                 ERROR: Upload failed for 'a': Server returned error EOVERQUOTA",
                ErrorKind::Full,
            ),
            (
                "ERROR: Can't login to mega.nz: Server returned error ENOENT",
                ErrorKind::Denied,
            ),
            ("ERROR: Remote file not found: /Root/a", ErrorKind::NotFound),
            (
                "ERROR: Upload failed for 'a': Server returned error EINTERNAL",
                ErrorKind::Io,
            ),
        ] {
            let ended = Ended {
                code: Some(1),
                output: Vec::new(),
                complaints: complaints.into(),
            };
            assert_eq!(explain(&ended).kind(), kind, "{complaints}");
        }
    }

    #[test]
    fn listings_are_read() {
        let read = |line: &str| listed(line, "/Root/a b/").map(|o| (o.name, o.size));
        let object = |name: &str, size| Some((name.to_string(), size));
        for (line, found) in [
            (
                "7Fdi3ZjC    abcdefghijk 0         12345 2026-11-21 05:00:00 /Root/a b/x  y ",
                object("x  y ", 12345),
            ),
            // No owner.
            (
                "7Fdi3ZjC                0             0 2026-11-21 05:00:00 /Root/a b/x",
                object("x", 0),
            ),
            ("7Fdi3ZjC  o 1 - 2026-11-21 05:00:00 /Root/a b/folder", None),
            (
                "7Fdi3ZjC  o 0 5 2026-11-21 05:00:00 /Root/a b/folder/x",
                None,
            ),
            ("7Fdi3ZjC  o 0 5 2026-11-21 05:00:00 /Root/other", None),
            ("", None),
            ("2026-11-21", None),
        ] {
            assert_eq!(read(line), found, "{line}");
        }
    }

    #[test]
    fn a_login_is_two_lines() {
        let text = login("a@b", "  p\\w s").expect("a login");
        assert_eq!(text, "[Login]\nUsername = a@b\nPassword = \\s\\sp\\\\w s\n");
        assert_eq!(login("a@b", "p\nUsername = x"), None);
        assert_eq!(login("", "p"), None);
    }
}
