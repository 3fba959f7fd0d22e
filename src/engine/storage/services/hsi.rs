//! Directories of a tape archive (HPSS), through the program `hsi`.
//!
//! The program reads one line of commands, split at blanks and with signs of its own, so names that are not plain are refused
//! instead of quoted. Who may log in, and where, is in its own configuration. Only the commands are used that duplicity uses, so
//! an upload is seen while it is under way, and the directory must be there.

use super::super::names;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage, StorageOptions};
use super::program::{Ended, Program, deliver};
use crate::engine::error::{Error, ErrorKind, Result};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// For how many timeouts the program may show no sign of life; while it fetches, a tape may have to be found first.
const STILL: u32 = 24;
const STILL_WHILE_FETCHING: u32 = 240;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Objects in one directory.
pub(super) struct HsiStorage {
    program: Program,
    fetcher: Program,
    /// Without a slash at its end; empty for where a login leads.
    dir: String,
    location: Location,
    transfer: Arc<Transfer>,
}

impl HsiStorage {
    /// # Errors
    /// `Usage` for settings it does not have, a password, or a directory whose name is not plain.
    pub(super) fn new(
        dir: &str,
        has_password: bool,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("hsi", settings::NONE)?;
        if has_password {
            let text = "hsi takes no password from dupr";
            return Err(Error::new(ErrorKind::Usage, text)
                .with_hint("let it log in by a keytab, as its HPSS site describes"));
        }
        plain(dir)?;
        let install = "hsi comes from the site that runs the archive; put it into PATH";
        let program = |still| {
            Program::new("hsi", "HSI_", options, Arc::clone(&transfer))
                .installed_by(install)
                .given_up_after(still)
        };
        Ok(Self {
            program: program(STILL),
            fetcher: program(STILL_WHILE_FETCHING),
            dir: dir.trim_end_matches('/').to_string(),
            location,
            transfer,
        })
    }

    fn place(&self, name: &str) -> Result<String> {
        plain(name)?;
        Ok(match self.dir.as_str() {
            "" => name.to_string(),
            dir => format!("{dir}/{name}"),
        })
    }

    /// Runs one line of commands.
    fn run(&self, line: &str) -> Result<Said> {
        self.program.run(&[line], Vec::new(), None).map(Said::of)
    }

    /// Has it store a file: by its name, or from standard input where a pace is to be kept.
    fn store(&self, from: &Path, place: &str) -> Result<Said> {
        if !self.transfer.paces_uploads() {
            return self.run(&format!("put {} : {place}", here(from)?));
        }
        let upload = self.transfer.upload(from)?;
        let line = format!("put - : {place}");
        self.program.run_fed(&[line], upload).map(Said::of)
    }
}

/// How a line of commands ended, and all that was said.
struct Said {
    ended: Ended,
    text: String,
}

impl Said {
    /// The program writes what it has to say to either output.
    fn of(ended: Ended) -> Self {
        let mut text = String::from_utf8_lossy(&ended.output).into_owned();
        text.push('\n');
        text.push_str(&ended.complaints);
        Self { ended, text }
    }

    fn is_good(&self) -> bool {
        self.ended.code == Some(0)
    }

    /// Its first complaint: `***HSI…` or `*** hsi…`. What a site greets with may have stars as well, at both ends.
    fn complaint(&self) -> Option<&str> {
        let mut lines = self.text.lines().map(str::trim);
        lines.find(|line| {
            let words = line.trim_start_matches(['*', ' ']).to_lowercase();
            line.starts_with("***") && !line.ends_with('*') && words.starts_with("hsi")
        })
    }

    fn is_absent(&self) -> bool {
        let lower = self.text.to_lowercase();
        lower.contains("no such file") || lower.contains("hpss_enoent")
    }
}

/// # Errors
/// `Unsupported` for what the program would split, expand or take for a command.
fn plain(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@,%~".contains(c);
    if name.chars().all(is_plain) && !name.starts_with('-') {
        return Ok(());
    }
    let text = format!("{name:?} has signs that mean something to hsi");
    Err(Error::new(ErrorKind::Unsupported, text))
}

/// A path of this machine, as it may stand in a line of commands.
fn here(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).map_err(|e| Error::io("read", path, e))?;
    let text = path.display().to_string();
    plain(&text).map_err(|e| {
        e.with_hint("let TMPDIR and the archive dir be folders without blanks and odd signs")
    })?;
    Ok(text)
}

impl Storage for HsiStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let said = self.run(format!("ls -l {}", self.dir).trim_end())?;
        let objects: Vec<Object> = said.text.lines().filter_map(listed).collect();
        // The exit code is that of the last command; a complaint without a single file is no empty directory.
        let is_listed = said.is_good() && (!objects.is_empty() || said.complaint().is_none());
        match is_listed || said.is_absent() {
            true => Ok(objects
                .into_iter()
                .filter(|object| !names::is_temp(&object.name))
                .collect()),
            false => Err(explain(&said)),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        Ok(self.list()?.into_iter().find(|object| object.name == name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        let staging = TempDir::new().map_err(|e| {
            Error::new(ErrorKind::Io, "cannot make a temp dir for hsi").with_source(e)
        })?;
        let file = staging.path().join("object");
        let line = format!("get {} : {}", here(&file)?, self.place(name)?);
        let said = Said::of(self.fetcher.run(&[line], Vec::new(), None)?);
        if !said.is_good() {
            return Err(explain(&said));
        }
        let mut download = self.transfer.download(to);
        deliver(&file, &mut download)?;
        // Nobody says that the program looks whether all of it came.
        let bytes = download.bytes();
        match self.stat(name)? {
            Some(object) if object.size != bytes => {
                let text = format!("hsi: {bytes} bytes of {} came", object.size);
                Err(Error::new(ErrorKind::Unreachable, text))
            }
            _ => Ok(bytes),
        }
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        let said = self.store(from, &self.place(name)?)?;
        match said.is_good() {
            true => Ok(()),
            false if said.is_absent() => Err(explain(&said)
                .with_hint(format!("make the directory first: hsi mkdir {}", self.dir))),
            false => Err(explain(&said)),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        names::check(name)?;
        let said = self.run(&format!("rm {}", self.place(name)?))?;
        match said.is_good() || said.is_absent() {
            true => Ok(()),
            false => Err(explain(&said)),
        }
    }
}

/// A file of a long listing: its length stands before the month, its name comes last.
fn listed(line: &str) -> Option<Object> {
    if !line.starts_with('-') {
        return None;
    }
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let month = words.iter().position(|word| MONTHS.contains(word))?;
    let size = words.get(month.checked_sub(1)?)?.parse().ok()?;
    let name = words.last().filter(|_| words.len() > month + 3)?;
    Some(Object {
        name: name.rsplit('/').next()?.to_string(),
        size,
    })
}

/// What kind of trouble there was, by the words for it, or by the exit code.
// Source: HSI's reference manual, "HSI Return Codes", which are those of sysexits.h.
fn explain(said: &Said) -> Error {
    let lower = said.text.to_lowercase();
    let has = |word: &str| lower.contains(word);
    let kind = if said.is_absent() {
        ErrorKind::NotFound
    } else if has("no space") || has("enospc") || has("quota") {
        ErrorKind::Full
    } else if has("authentication") || has("permission denied") || has("eacces") {
        ErrorKind::Denied
    } else if BROKEN.iter().any(|words| has(words)) {
        ErrorKind::Unreachable
    } else {
        match said.ended.code {
            // No such user, not permitted.
            Some(67 | 77) => ErrorKind::Denied,
            // No such host, no service, trouble with reading or writing, for now, not what was expected.
            Some(68 | 69 | 74 | 75 | 76) => ErrorKind::Unreachable,
            _ => ErrorKind::Io,
        }
    };
    let words = match said.complaint() {
        Some(line) => line.chars().filter(|c| !c.is_control()).take(300).collect(),
        None => said.ended.last_words(),
    };
    Error::new(kind, format!("hsi: {words}"))
}

/// What the system calls a line that broke, or cannot be had.
const BROKEN: [&str; 7] = [
    "connection refused",
    "connection reset",
    "broken pipe",
    "timed out",
    "unreachable",
    "unable to connect",
    "hpss_eio",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_then_the_code_decide_the_kind() {
        for (code, complaints, kind) in [
            (
                64,
                "*** hsi: connect: Connection refused",
                ErrorKind::Unreachable,
            ),
            (69, "*** hsi: the archive is down", ErrorKind::Unreachable),
            (75, "", ErrorKind::Unreachable),
            (77, "*** put: not you", ErrorKind::Denied),
            (72, "*** get: HPSS_ENOENT", ErrorKind::NotFound),
            (64, "*** put: HPSS_ENOSPC: no space", ErrorKind::Full),
            (0, "*** hsi: something", ErrorKind::Io),
            (64, "*** hsi: unknown command", ErrorKind::Io),
        ] {
            let ended = Ended {
                code: Some(code),
                output: Vec::new(),
                complaints: complaints.into(),
            };
            let said = Said::of(ended);
            assert_eq!(said.is_good(), code == 0);
            assert_eq!(explain(&said).kind(), kind, "{code} {complaints}");
        }
    }

    #[test]
    fn listings_are_read() {
        let read = |line: &str| listed(line).map(|o| (o.name, o.size));
        for (line, found) in [
            (
                "-rw-r-----   1 ada       users         106 May 11  2026 a.b",
                Some(("a.b".to_string(), 106)),
            ),
            (
                "-rw-------   1 ada  users  3 TAPE 20 Nov 21 05:00 /home/ada/x",
                Some(("x".to_string(), 20)),
            ),
            ("drwx------   2 ada  users  512 Nov 21 05:00 sub", None),
            ("/home/ada:", None),
            ("-rw------- 1 ada users", None),
            ("", None),
        ] {
            assert_eq!(read(line), found, "{line}");
        }
    }

    #[test]
    fn a_greeting_is_no_complaint() {
        for (line, is_complaint) in [
            ("***HSI0093: get /012345/filea failed", true),
            ("*** hsi: connect: Connection refused", true),
            ("*********************", false),
            ("*** HSI is down on Tuesday ***", false),
            ("*** Welcome", false),
        ] {
            let ended = Ended {
                code: Some(0),
                output: line.into(),
                complaints: String::new(),
            };
            assert_eq!(
                Said::of(ended).complaint().is_some(),
                is_complaint,
                "{line}"
            );
        }
    }

    #[test]
    fn names_that_mean_something_are_refused() {
        for name in ["a b", "a;rm x", "a*", "a:b", "$x", "|x", "-f", "é"] {
            assert!(plain(name).is_err(), "{name}");
        }
        plain("duplicity-full.20261120T215218Z.vol1.difftar.gpg").expect("a name");
    }
}
