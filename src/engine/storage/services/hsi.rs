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

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Objects in one directory.
pub(super) struct HsiStorage {
    program: Program,
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
        let program =
            Program::new("hsi", "HSI_", options, Arc::clone(&transfer)).installed_by(install);
        Ok(Self {
            program,
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

    /// Runs one line of commands. The program writes what it has to say to either output.
    fn run(&self, line: &str) -> Result<Said> {
        let ended = self.program.run(&[line], Vec::new(), None)?;
        let mut text = String::from_utf8_lossy(&ended.output).into_owned();
        text.push('\n');
        text.push_str(&ended.complaints);
        Ok(Said { ended, text })
    }
}

/// How a line of commands ended, and all that was said.
struct Said {
    ended: Ended,
    text: String,
}

impl Said {
    fn is_good(&self) -> bool {
        self.ended.code == Some(0)
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
        if said.is_good() {
            let objects = said.text.lines().filter_map(listed);
            return Ok(objects.filter(|o| !names::is_temp(&o.name)).collect());
        }
        match said.is_absent() {
            true => Ok(Vec::new()),
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
        let said = self.run(&format!("get {} : {}", here(&file)?, self.place(name)?))?;
        if !said.is_good() {
            return Err(explain(&said));
        }
        let mut download = self.transfer.download(to);
        deliver(&file, &mut download)?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        self.program.spaced(from)?;
        let said = self.run(&format!("put {} : {}", here(from)?, self.place(name)?))?;
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

    fn notices(&self) -> Vec<String> {
        self.program.notices()
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

/// What kind of trouble there was, by the words for it.
fn explain(said: &Said) -> Error {
    let lower = said.text.to_lowercase();
    let has = |word: &str| lower.contains(word);
    let kind = if said.is_absent() {
        ErrorKind::NotFound
    } else if has("no space") || has("enospc") || has("quota") {
        ErrorKind::Full
    } else if has("authentication") || has("permission denied") || has("eacces") {
        ErrorKind::Denied
    } else if has("connection refused") || has("timed out") || has("unable to connect") {
        ErrorKind::Unreachable
    } else {
        ErrorKind::Io
    };
    Error::new(kind, format!("hsi: {}", said.ended.last_words()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn names_that_mean_something_are_refused() {
        for name in ["a b", "a;rm x", "a*", "a:b", "$x", "|x", "-f", "é"] {
            assert!(plain(name).is_err(), "{name}");
        }
        plain("duplicity-full.20261120T215218Z.vol1.difftar.gpg").expect("a name");
    }
}
