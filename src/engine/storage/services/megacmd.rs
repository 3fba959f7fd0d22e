//! Folders of MEGA, through MEGA's own programs, MEGAcmd.
//!
//! Whoever uses them logs in once (`mega-login`), and the login stays: dupr gives them no password, since they take it as an
//! argument only. A file appears when its upload is done. Source: MEGAcmd's user guide.

use super::super::names;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::url::TargetUrl;
use super::super::{Location, Object, Storage, StorageOptions};
use super::program::{Ended, Program, deliver};
use crate::engine::error::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// Exit codes: nothing of that name, and nobody logged in.
const NOT_FOUND: Option<i32> = Some(53);
const NOT_LOGGED_IN: Option<i32> = Some(57);

/// For how many timeouts a program may show no sign of life: its server tries again by itself, and tells what has moved.
const STILL: u32 = 24;

const INSTALL: &str = "install MEGAcmd from https://mega.io/cmd";

/// Objects in one folder.
pub(super) struct MegaCmdStorage {
    whoami: Program,
    ls: Program,
    mkdir: Program,
    get: Program,
    put: Program,
    rm: Program,
    /// Who must be logged in.
    user: Option<String>,
    /// Whether that was seen.
    is_known: AtomicBool,
    /// Whether the folder is known to be there.
    made: AtomicBool,
    /// Begins with a slash and ends without.
    folder: String,
    location: Location,
    transfer: Arc<Transfer>,
}

impl MegaCmdStorage {
    /// # Errors
    /// `Usage` for settings it does not have, for a password, and for a folder that would be a pattern.
    pub(super) fn new(
        user: Option<&str>,
        folder: &str,
        url: &TargetUrl,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("mega", settings::NONE)?;
        if url.password().is_some() {
            let text = "MEGAcmd takes a password as an argument only, where everybody sees it";
            return Err(Error::new(ErrorKind::Usage, text).with_hint(
                "log in once with `mega-login`, and leave the password out of the URL",
            ));
        }
        plain(folder)?;
        let program = |name| {
            Program::new(name, "MEGACMD_", options, Arc::clone(&transfer))
                .installed_by(INSTALL)
                .given_up_after(STILL)
        };
        Ok(Self {
            whoami: program("mega-whoami"),
            ls: program("mega-ls"),
            mkdir: program("mega-mkdir"),
            get: program("mega-get"),
            put: program("mega-put"),
            rm: program("mega-rm"),
            user: user.map(str::to_string),
            is_known: AtomicBool::new(false),
            made: AtomicBool::new(false),
            folder: folder.to_string(),
            location: url.location(),
            transfer: Arc::clone(&transfer),
        })
    }

    fn place(&self, name: &str) -> Result<OsString> {
        names::check(name)?;
        plain(name)?;
        Ok(format!("{}/{name}", self.folder).into())
    }

    fn run(&self, program: &Program, words: &[OsString]) -> Result<Ended> {
        self.know_user()?;
        program.run(words, Vec::new(), None)
    }

    /// Looks who is logged in, once.
    fn know_user(&self) -> Result<()> {
        if self.is_known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let ended = self.whoami.run::<OsString>(&[], Vec::new(), None)?;
        if ended.code != Some(0) {
            return Err(explain(&ended));
        }
        let said = String::from_utf8_lossy(&ended.output).into_owned();
        let who = said.rsplit(':').next().unwrap_or_default().trim();
        match &self.user {
            Some(user) if !user.eq_ignore_ascii_case(who) => {
                let text = format!("MEGAcmd is logged in for another than {user}");
                Err(Error::new(ErrorKind::Denied, text)
                    .with_hint("use `mega-logout`, then `mega-login`"))
            }
            _ => {
                self.is_known.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

/// # Errors
/// `Unsupported` for a name that these programs would take for a pattern, or cut.
fn plain(name: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || "*?\"'\\<>|".contains(c);
    if !name.contains(odd) && name.trim() == name && !name.starts_with('-') {
        return Ok(());
    }
    let text = format!("{name:?} has signs that MEGAcmd does not keep");
    Err(Error::new(ErrorKind::Unsupported, text))
}

impl Storage for MegaCmdStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let folder = match self.folder.as_str() {
            "" => "/",
            folder => folder,
        };
        let ended = self.run(&self.ls, &["-l".into(), folder.into()])?;
        match ended.code {
            Some(0) => {
                let said = String::from_utf8_lossy(&ended.output).into_owned();
                Ok(said.lines().filter_map(listed).collect())
            }
            NOT_FOUND => Ok(Vec::new()),
            _ => Err(explain(&ended)),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        Ok(self.list()?.into_iter().find(|object| object.name == name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let place = self.place(name)?;
        let staging = TempDir::new().map_err(|e| {
            Error::new(ErrorKind::Io, "cannot make a temp dir for MEGAcmd").with_source(e)
        })?;
        let here = staging.path().join("object");
        let ended = self.run(&self.get, &[place, here.clone().into()])?;
        // An account that has moved too much gets nothing, and that is no error to the program.
        if ended.code != Some(0) || !here.exists() {
            return Err(match explain(&ended) {
                // The same words and code as of an account that is full.
                error if error.kind() == ErrorKind::Full => limited(&ended),
                error => error,
            });
        }
        let mut download = self.transfer.download(to);
        deliver(&here, &mut download)?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        let place = self.place(name)?;
        // The programs ask a server of their own, which is in another directory.
        let from = std::path::absolute(from).map_err(|e| Error::io("read", from, e))?;
        if !self.made.load(Ordering::Relaxed) && !self.folder.is_empty() {
            let words = ["-p".into(), self.folder.clone().into()];
            let ended = self.run(&self.mkdir, &words)?;
            if ended.code != Some(0) && !ended.said("already exists") {
                return Err(explain(&ended));
            }
        }
        self.made.store(true, Ordering::Relaxed);
        // COMPAT(dup all): the old one goes first, since it would stay as a version and count.
        self.delete(name)?;
        self.put.spaced(&from)?;
        let ended = self.run(&self.put, &[from.into(), place])?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(explain(&ended)),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        let place = self.place(name)?;
        // A folder would not be removed: only what is listed as a file is handed on.
        if self.stat(name)?.is_none() {
            return Ok(());
        }
        let ended = self.run(&self.rm, &["-f".into(), place])?;
        match ended.code {
            Some(0) | NOT_FOUND => Ok(()),
            _ => Err(explain(&ended)),
        }
    }

    fn notices(&self) -> Vec<String> {
        self.put.notices()
    }
}

/// A file of a listing: flags, versions, size, date, time, name.
fn listed(line: &str) -> Option<Object> {
    if !line.starts_with('-') {
        return None;
    }
    let mut rest = line;
    let mut word = || {
        let start = rest.trim_start();
        let (word, after) = start.split_once(' ')?;
        rest = after;
        Some(word)
    };
    let (_flags, _versions, size) = (word()?, word()?, word()?);
    let (_date, _time) = (word()?, word()?);
    let name = rest.trim_end();
    (!name.is_empty()).then_some(())?;
    Some(Object {
        name: name.to_string(),
        size: size.parse().ok()?,
    })
}

/// What an account is told that has moved too much.
fn limited(ended: &Ended) -> Error {
    let text = format!("MEGAcmd: {}", words(ended));
    Error::new(ErrorKind::RateLimited, text)
        .with_hint("the account has moved as much as it may in some hours: try again later")
}

/// The first line of what it says to standard output if it complains of nothing.
fn words(ended: &Ended) -> String {
    let said = String::from_utf8_lossy(&ended.output).into_owned();
    let first = said.lines().map(str::trim).find(|line| !line.is_empty());
    match first.filter(|_| ended.complaints.trim().is_empty()) {
        Some(line) => line.chars().filter(|c| !c.is_control()).take(300).collect(),
        None => ended.last_words(),
    }
}

/// What kind of trouble there was, by code and words.
// Source: src/megacmdcommonutils.h for codes above 50; those below are the errors of MEGA's API.
fn explain(ended: &Ended) -> Error {
    let output = String::from_utf8_lossy(&ended.output).to_lowercase();
    let said = |words: &str| ended.said(words) || output.contains(&words.to_lowercase());
    if said("bandwidth") || said("Transfer not started") {
        return limited(ended);
    }
    let (kind, hint) = match ended.code {
        NOT_FOUND => (ErrorKind::NotFound, ""),
        NOT_LOGGED_IN => (ErrorKind::Denied, "log in once: mega-login NAME"),
        _ if said("Not logged in") => (ErrorKind::Denied, "log in once: mega-login NAME"),
        Some(17) => (ErrorKind::Full, ""),
        _ if said("storage quota") || said("over quota") => (ErrorKind::Full, ""),
        // Asked again, limited, too many, for now not available.
        Some(3 | 4 | 6 | 18 | 19) => (ErrorKind::RateLimited, ""),
        _ if said("too many") || said("Rate limit") => (ErrorKind::RateLimited, ""),
        // Failed after several attempts, given up with its server, not yet ready.
        Some(5 | 13 | 58) => (ErrorKind::Unreachable, ""),
        Some(11 | 15 | 16) => (ErrorKind::Denied, ""),
        Some(9) => (ErrorKind::NotFound, ""),
        _ if UNSERVED.iter().any(|words| said(words)) => (ErrorKind::Unreachable, ""),
        // Its server hung up without a word, or nothing was fetched.
        Some(0 | 1 | 254 | 255) if ended.complaints.trim().is_empty() => {
            (ErrorKind::Unreachable, "")
        }
        _ => (ErrorKind::Io, ""),
    };
    let error = Error::new(kind, format!("MEGAcmd: {}", words(ended)));
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

/// What it says when its own server does not answer, or has no line.
const UNSERVED: [&str; 6] = [
    "Unable to connect",
    "timed out",
    "not responding",
    "ERROR reading",
    "ERROR writing",
    "ensure mega-cmd-server is running",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_words_decide_the_kind() {
        for (code, output, complaints, kind) in [
            (
                17,
                "",
                "[API:err: 10:00:00] Failed to upload: Over quota",
                ErrorKind::Full,
            ),
            (
                18,
                "",
                "Failed to list: Temporarily not available",
                ErrorKind::RateLimited,
            ),
            (
                5,
                "",
                "Failed to upload: Failed permanently",
                ErrorKind::Unreachable,
            ),
            (
                254,
                "",
                "Unable to connect to service: error=111\nPlease ensure mega-cmd-server is running",
                ErrorKind::Unreachable,
            ),
            (
                1,
                "",
                "ERROR reading output code: 104",
                ErrorKind::Unreachable,
            ),
            (1, "", "", ErrorKind::Unreachable),
            (1, "", "Failed to upload: Internal error", ErrorKind::Io),
            (58, "", "Nodes not fetched", ErrorKind::Unreachable),
            (11, "", "Access denied", ErrorKind::Denied),
            (
                0,
                "Transfer not started. \nYou have reached your bandwidth quota.",
                "",
                ErrorKind::RateLimited,
            ),
            (0, "", "", ErrorKind::Unreachable),
        ] {
            let ended = Ended {
                code: Some(code),
                output: output.into(),
                complaints: complaints.into(),
            };
            assert_eq!(explain(&ended).kind(), kind, "{code} {output} {complaints}");
        }
    }

    #[test]
    fn listings_are_read() {
        let read = |line: &str| listed(line).map(|o| (o.name, o.size));
        let object = |name: &str, size| Some((name.to_string(), size));
        for (line, found) in [
            ("FLAGS VERS    SIZE            DATE       NAME", None),
            ("d---    -          - 24Nov2026 10:00:00 folder", None),
            (
                "----    1     123456 24Nov2026 10:00:00 a b",
                object("a b", 123456),
            ),
            ("---p    2          0 24Nov2026 10:00:00 x", object("x", 0)),
            ("----    1", None),
        ] {
            assert_eq!(read(line), found, "{line}");
        }
    }

    #[test]
    fn patterns_are_no_names() {
        for name in ["a*", "a?", "'a", "a\\b", "-f", " a"] {
            assert!(plain(name).is_err(), "{name}");
        }
        plain("/a b/duplicity-full.20261120T215218Z.vol1.difftar.gpg").expect("a name");
    }
}
