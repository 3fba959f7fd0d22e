//! Which entries belong to a backup: ordered rules, the first that decides wins.
//!
//! Rules are matched against the *path text*, which is the source as the user typed it plus `/` and the relative path;
//! so `/home/**.o` and `t/usr` mean what they say on the command line. A rule answers include, exclude, or scan: "look
//! inside, something below may be included". The semantics, odd corners included, are duplicity's; see
//! docs/format.md, "File selection".

mod chars;
mod filelist;
mod glob;
mod python;
mod regexp;
mod rule;
mod text;

pub use rule::{Action, Case, Mode, Rule};

use super::error::ErrorKind;
use super::path::PathIndex;
use super::time::Timestamp;
use filelist::FilesFrom;
use rule::Test;

/// What is to be done with a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to the backup. A directory is entered; what lies in it is judged on its own.
    Include,
    /// Neither it nor anything below it belongs to the backup.
    Exclude,
    /// A directory is entered and belongs to the backup only if something below it does. Anything else is left out.
    Scan,
}

/// What a candidate is, as far as rules can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A character or block device.
    Device,
    /// A symbolic link, a named pipe, a socket.
    Other,
}

/// An object of the source that is to be judged.
pub struct Candidate<'a> {
    /// Where it lies, relative to the source. The source itself is never judged: it is always included.
    pub path: &'a PathIndex,
    /// What it is.
    pub shape: Shape,
    /// Modification time, whole seconds since 1970.
    pub mtime: i64,
    /// Whether it lies on another file system than the source.
    pub is_foreign: bool,
    /// Whether a directory holds an entry of this name. Asked only if a rule needs it.
    pub contains: &'a dyn Fn(&[u8]) -> bool,
}

/// Why rules cannot be used. The text of the rule is part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pattern matches neither the source nor anything below it (duplicity's exit code 14).
    #[error("pattern {pattern:?} cannot match anything in {root:?}")]
    FilePrefix {
        /// The pattern as given.
        pattern: String,
        /// The source, or `.` for the root of an archive.
        root: String,
    },
    /// The pattern has an empty path component (15).
    #[error("pattern {0:?} has consecutive slashes")]
    Globbing(String),
    /// The last rule includes, which says nothing, since everything else is included too (16).
    #[error("the last rule, {0:?}, only includes, but all is included by default")]
    RedundantInclude(String),
    /// A pattern without text (23).
    #[error("a pattern is empty")]
    EmptyPattern,
    /// A character range whose end comes before its start, as in `[z-a]`.
    #[error("pattern {0:?} has a reversed character range")]
    BadRange(String),
    /// Not a regular expression, or one of the few that cannot be used here.
    #[error("regular expression {pattern:?} cannot be used: {reason}")]
    Regexp {
        /// The expression as given.
        pattern: String,
        /// What the compiler says, in one line.
        reason: String,
    },
    /// The filters in force are the default ones (70).
    #[error("case sensitive globbing is the default, so the filter option has no effect")]
    RedundantFilter,
    /// A filter that no rule follows (71).
    #[error("the last filter option has no rule after it")]
    TrailingFilter,
    /// A list of files to back up names an absolute path (72), or one that leads out of the source.
    #[error("the list of files has the path {path:?}, which is not below the source: {reason}")]
    FilesFromPath {
        /// The line.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of files to back up has none (73).
    #[error("the list of files is empty")]
    EmptyFilesFrom,
    /// A rule of a profile that starts with neither `+ ` nor `- `.
    #[error("rule {0:?} starts with neither \"+ \" nor \"- \"")]
    NoSign(String),
    /// A rule that needs a file system, used on the entries of an archive.
    #[error("{0} cannot be used when restoring")]
    NotForArchives(&'static str),
}

impl From<Error> for super::error::Error {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::FilePrefix { root, .. } if root == "." => {
                Some("patterns for a restore are relative to the backup, as `list` shows its paths")
            }
            Error::FilePrefix { .. } => Some("start the pattern with the source or with **"),
            Error::RedundantInclude(_) => Some("add an exclude after it, for example - **"),
            Error::Regexp { .. } => Some("expressions are written as for Python's re"),
            Error::NoSign(_) => {
                Some("write - PATTERN to leave something out, + PATTERN to keep it")
            }
            _ => None,
        };
        let converted = Self::new(ErrorKind::Usage, error.to_string());
        match hint {
            Some(hint) => converted.with_hint(hint),
            None => converted,
        }
    }
}

/// Rules, compiled for one source.
#[derive(Debug, Clone)]
pub struct Selection {
    tests: Vec<Test>,
    /// Path text before the relative path, with its `/`; empty for archives.
    prefix: Vec<u8>,
    files_from: Option<FilesFrom>,
}

impl Selection {
    /// Everything below the source.
    pub fn everything() -> Self {
        Self {
            tests: Vec::new(),
            prefix: Vec::new(),
            files_from: None,
        }
    }

    /// Rules for the source `root`, given as the user typed it: relative sources have relative patterns.
    pub fn builder(root: &[u8]) -> Builder {
        let root = canonical(root);
        let mut prefix = root.clone();
        if !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        Builder {
            root: Some(text::decode(&root).into_owned()),
            prefix,
            rules: Vec::new(),
            null_separated: false,
        }
    }

    /// Rules for the entries of a backup, as a restore uses them: patterns are relative to its root.
    pub fn archive_builder() -> Builder {
        Builder {
            root: None,
            prefix: Vec::new(),
            rules: Vec::new(),
            null_separated: false,
        }
    }

    /// Whether there are no rules, so that everything is included.
    pub fn is_everything(&self) -> bool {
        self.tests.is_empty() && self.files_from.is_none()
    }

    /// What is to be done with `candidate`.
    pub fn judge(&self, candidate: &Candidate) -> Verdict {
        if self.tests.is_empty() {
            return Verdict::Include;
        }
        let mut full = Vec::with_capacity(self.prefix.len() + candidate.path.as_bytes().len());
        full.extend_from_slice(&self.prefix);
        full.extend_from_slice(candidate.path.as_bytes());
        let text = text::decode(&full);
        let mut scan = false;
        for test in &self.tests {
            match test.apply(&text, candidate) {
                Some(Verdict::Scan) => scan = true,
                Some(Verdict::Include) => return Verdict::Include,
                // COMPAT(dup all): an earlier scan outweighs an exclude; nothing below is lost by it.
                Some(Verdict::Exclude) if scan => return Verdict::Scan,
                Some(Verdict::Exclude) => return Verdict::Exclude,
                None => {}
            }
        }
        if scan {
            Verdict::Scan
        } else {
            Verdict::Include
        }
    }

    /// Names to visit in the directory `path` instead of its listing, sorted; `None` if the listing is to be read.
    ///
    /// A directory that the list of files does not mention gives no names.
    pub fn listed(&self, path: &PathIndex) -> Option<Vec<&[u8]>> {
        self.files_from.as_ref().map(|files| files.names(path))
    }
}

/// Collects rules; see [`Selection::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    /// Path text of the source; `None` for archives.
    root: Option<String>,
    prefix: Vec<u8>,
    rules: Vec<Rule>,
    null_separated: bool,
}

impl Builder {
    /// Adds a rule after those already there.
    // A builder is chained; `+` is not what anybody would expect of it.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules after those already there.
    pub fn extend(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Filelists have their lines separated by NUL instead of line feeds.
    pub fn null_separated(mut self, yes: bool) -> Self {
        self.null_separated = yes;
        self
    }

    /// Compiles the rules.
    ///
    /// # Errors
    /// The first rule that cannot be used; see [`Error`].
    pub fn build(self) -> Result<Selection, Error> {
        rule::check_filters(&self.rules)?;
        let mut compiler = rule::Compiler::new(self.root.as_deref(), self.null_separated);
        for rule in &self.rules {
            compiler.compile(rule)?;
        }
        let (tests, files_from) = compiler.finish()?;
        Ok(Selection {
            tests,
            prefix: self.prefix,
            files_from,
        })
    }
}

/// A source path as duplicity spells it: without `.` components, empty components and trailing slashes.
pub fn canonical(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path
        .split(|b| *b == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    let joined = parts.join(&b'/');
    if path.starts_with(b"/") {
        [b"/".as_slice(), &joined].concat()
    } else if joined.is_empty() {
        b".".to_vec()
    } else {
        joined
    }
}

/// The time before which files are left out, in the rule's own unit.
fn is_older(candidate: &Candidate, than: Timestamp) -> bool {
    candidate.shape == Shape::File && candidate.mtime < than.as_secs()
}

#[cfg(test)]
mod tests;
