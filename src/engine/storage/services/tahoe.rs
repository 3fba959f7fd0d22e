//! Directories of a Tahoe-LAFS grid, through the program `tahoe` and the node it knows.
//!
//! A file is linked into its directory when its upload is done, in place of an older one of that name. What the program
//! says may hold capabilities, which are secrets: nothing of a listing is repeated. Source: the help of tahoe 1.20.

use super::super::names;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage, StorageOptions};
use super::program::{Ended, Program};
use crate::engine::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// For how many timeouts the program may show no sign of life: its node asks the servers of the grid one after another.
const STILL: u32 = 24;

/// Objects in one directory.
pub(super) struct TahoeStorage {
    program: Program,
    /// `alias:` or `alias:directory/`.
    root: String,
    location: Location,
    transfer: Arc<Transfer>,
}

/// A node of a listing: its kind, and what is known of it.
#[derive(serde::Deserialize)]
struct Node(String, Known);

#[derive(serde::Deserialize)]
struct Known {
    size: Option<u64>,
    #[serde(default)]
    children: BTreeMap<String, Node>,
}

impl TahoeStorage {
    /// # Errors
    /// `Usage` for settings it does not have.
    pub(super) fn new(
        alias: &str,
        dir: &str,
        location: Location,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("tahoe", settings::NONE)?;
        let program = Program::new("tahoe", "TAHOE_", options, Arc::clone(&transfer))
            .installed_by("install tahoe: pipx install tahoe-lafs")
            .given_up_after(STILL);
        Ok(Self {
            program,
            root: format!("{alias}:{dir}"),
            location,
            transfer,
        })
    }

    fn place(&self, name: &str) -> Result<OsString> {
        names::check(name)?;
        Ok(format!("{}{name}", self.root).into())
    }

    fn run(&self, words: &[OsString]) -> Result<Ended> {
        self.program.run(words, Vec::new(), None)
    }
}

impl Storage for TahoeStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let root = self.root.trim_end_matches('/');
        let ended = self.run(&["ls".into(), "--json".into(), "--".into(), root.into()])?;
        match ended.code {
            Some(0) => {}
            _ if ended.said("no such file or directory") => return Ok(Vec::new()),
            _ => return Err(explain(&ended)),
        }
        // What is wrong with it is not told: it holds capabilities.
        let Node(_, dir) = serde_json::from_slice(&ended.output)
            .map_err(|_| Error::new(ErrorKind::Io, "tahoe listed something unreadable"))?;
        let files = dir
            .children
            .into_iter()
            .filter_map(|(name, Node(kind, known))| {
                let size = known.size.filter(|_| kind == "filenode")?;
                Some(Object { name, size })
            });
        Ok(files.collect())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        Ok(self.list()?.into_iter().find(|object| object.name == name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let mut download = self.transfer.download(to);
        let words = ["get".into(), "--".into(), self.place(name)?, "-".into()];
        let ended = self.program.run(&words, Vec::new(), Some(&mut download))?;
        if ended.code != Some(0) {
            return Err(explain(&ended));
        }
        // The program takes the end of a line that broke for that of the file.
        let bytes = download.bytes();
        match self.stat(name)? {
            Some(object) if object.size != bytes => {
                let text = format!("tahoe: {bytes} bytes of {} came", object.size);
                Err(Error::new(ErrorKind::Unreachable, text))
            }
            _ => Ok(bytes),
        }
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        let from = std::path::absolute(from).map_err(|e| Error::io("read", from, e))?;
        self.program.spaced(&from)?;
        let file = std::fs::metadata(&from).map_err(|e| Error::io("read", &from, e))?;
        let words: [OsString; 4] = ["put".into(), "--".into(), from.into(), self.place(name)?];
        // The node takes all of it, and then sends it to the grid.
        let ended = self.program.run_for(&words, file.len())?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(explain(&ended)),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        let ended = self.run(&["unlink".into(), "--".into(), self.place(name)?])?;
        match ended.code {
            Some(0) => Ok(()),
            _ if ended.said("no such child") => Ok(()),
            _ => Err(explain(&ended)),
        }
    }

    fn notices(&self) -> Vec<String> {
        self.program.notices()
    }
}

/// What Python calls a line that broke; the program prints it as it comes.
const BROKEN: [&str; 7] = [
    "connectionreseterror",
    "connectionabortederror",
    "brokenpipeerror",
    "remotedisconnected",
    "badstatusline",
    "incompleteread",
    "timeouterror",
];

/// What kind of trouble there was, by the words for it.
fn explain(ended: &Ended) -> Error {
    let (kind, hint) = if ended.said("unknown alias") {
        let hint = "`tahoe list-aliases` shows those there are, `tahoe create-alias` makes one";
        (ErrorKind::Usage, hint)
    } else if ended.said("error trying to connect") || ended.said("node.url") {
        (ErrorKind::Unreachable, "start the node: tahoe run")
    } else if BROKEN.iter().any(|words| ended.said(words)) {
        (ErrorKind::Unreachable, "")
    } else if ended.said("unhappinesserror") || ended.said("notenoughshares") {
        (ErrorKind::Unreachable, "are enough servers of the grid up?")
    } else if ended.said("no such child") {
        (ErrorKind::NotFound, "")
    } else if ended.said("no space left") {
        (ErrorKind::Full, "")
    } else {
        (ErrorKind::Io, "")
    };
    // What is quoted in an answer is a page; the first line says what it was. Of a crash it is the last one.
    let mut lines = ended.complaints.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let last = ended.last_words();
    let line = match BROKEN.iter().any(|words| ended.said(words)) {
        true => last.as_str(),
        false => first,
    };
    // A capability may stand in any of its words, in an address with escapes.
    let is_secret = |word: &str| {
        let word = word.to_ascii_uppercase();
        word.contains("URI:") || word.contains("URI%3A")
    };
    let words = line.split_whitespace().map(|word| match is_secret(word) {
        true => "URI:…",
        false => word,
    });
    let mut line = words.collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    let error = Error::new(kind, format!("tahoe: {line}"));
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_not_repeated() {
        let ended = Ended {
            code: Some(1),
            output: Vec::new(),
            complaints: "\nError: /uri/URI:DIR2:canary is\nURI:canary".into(),
        };
        let error = explain(&ended);
        assert_eq!(error.to_string(), "tahoe: Error: URI:… is");
        let ended = Ended {
            complaints: "\"Error trying to connect to http://127.0.0.1:1/uri/URI%3ADIR2%3Acanary?t=json: refused".into(),
            ..ended
        };
        let error = explain(&ended);
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    #[test]
    fn a_crash_on_a_broken_line_is_no_crash() {
        let ended = Ended {
            code: Some(1),
            output: Vec::new(),
            complaints: "Traceback (most recent call last):\n  File \"client.py\", line 1, in x\n    read()\n\
                         builtins.ConnectionResetError: [Errno 104] Connection reset by peer\n"
                .into(),
        };
        let error = explain(&ended);
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().ends_with("reset by peer"), "{error}");
    }
}
