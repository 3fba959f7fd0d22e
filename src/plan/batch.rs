//! The batch language: `pre+[bkp-verify]_post` as a tree of commands.
//!
//! `_` or a blank then, `+` only if the last command that ran succeeded, `-` only if it failed, `[ ]` groups; in
//! words `_and_`, `_or_`, `_groupIn_`, `_groupOut_`. The whole text is parsed and every argument has found its
//! command before anything is planned. docs/batch.md is the grammar; [`arguments`](super::arguments) deals out the
//! arguments.

mod parser;

use super::When;
use super::arguments;
use crate::engine::time_text::TimeText;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Commands, in order, each with the condition under which it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// As it was typed.
    pub text: String,
    /// Commands and groups.
    pub nodes: Vec<BatchNode>,
    /// Options that change what commands of this batch do.
    pub options: BatchOptions,
}

/// Options of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct BatchOptions {
    /// Steps that delete or overwrite do it without being asked: `--force`.
    pub force: bool,
    /// `verify` holds contents against the live source: `--compare-data`.
    pub compare_data: bool,
    /// `check` does those that are not due as well: `--all`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// What `restore` and `fetch` do with files that are there already: `--overwrite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<Overwrite>,
}

/// What happens to a file that is there already, where the destination may hold something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overwrite {
    /// It stays.
    Never,
    /// It is replaced if it was changed last before the one in the backup.
    Older,
    /// It is replaced.
    Always,
}

/// A command or a group, and when it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNode {
    /// The condition.
    pub when: When,
    /// What runs.
    pub item: BatchItem,
}

/// A command or a group.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchItem {
    /// One command with its arguments.
    Command(Command),
    /// A bracket group.
    Group(Vec<BatchNode>),
}

/// A command of a batch with the arguments bound to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `[pre_bkp_post]`.
    Backup,
    /// Runs the `pre` hook.
    Pre,
    /// Makes a set: full or incremental as the profile says.
    Bkp,
    /// Makes a full set.
    Full,
    /// Makes an incremental set.
    Incr,
    /// Runs the `post` hook.
    Post,
    /// Removes by all rules of `[retention]` and cleans up, or removes chains older than the time given.
    Purge(Option<TimeText>),
    /// Removes all but the newest chains: the number given, or `keep-fulls`.
    PurgeFull(Option<u32>),
    /// Removes incrementals of all but the newest chains: the number given, or `keep-chains-with-incrementals`.
    PurgeIncr(Option<u32>),
    /// `[purge_purgeFull_purgeIncr]`, as far as the profile has the rules.
    PurgeAuto,
    /// Removes leftovers of interrupted runs.
    Cleanup,
    /// Reads a state back.
    Verify(Option<TimeText>),
    /// Reads a folder or file of a state back against a local path.
    VerifyPath {
        /// Relative to the source.
        path: PathBuf,
        /// What to compare with.
        local: PathBuf,
        /// The state; the newest if absent.
        time: Option<TimeText>,
    },
    /// Runs the checks that are due.
    Check,
    /// Shows chains and sets.
    Status,
    /// Lists the entries of a state.
    List(Option<TimeText>),
    /// Looks for names over all sets.
    Find(String),
    /// Shows every version of one path, given relative to the source.
    Versions(PathBuf),
    /// Shows what changed between two sets.
    Diff(Option<TimeText>, Option<TimeText>),
    /// Restores everything.
    Restore {
        /// Where to.
        destination: PathBuf,
        /// The state; the newest if absent.
        time: Option<TimeText>,
    },
    /// Restores a folder or file.
    Fetch {
        /// Relative to the source.
        path: PathBuf,
        /// Where to.
        destination: PathBuf,
        /// The state; the newest if absent.
        time: Option<TimeText>,
    },
    /// Makes the archive dir equal to the target.
    Sync,
    /// Copies sets to a target that is a copy of another.
    Replicate,
}

/// A word of the language, before its arguments are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Word {
    Backup,
    Pre,
    Bkp,
    Full,
    Incr,
    Post,
    Purge,
    PurgeFull,
    PurgeIncr,
    PurgeAuto,
    Cleanup,
    Verify,
    VerifyPath,
    Check,
    Status,
    List,
    Find,
    Versions,
    Diff,
    Restore,
    Fetch,
    Sync,
    Replicate,
}

/// Every word of the language, lower case, as hooks name them too.
pub const WORDS: &[(&str, Word)] = &[
    ("backup", Word::Backup),
    ("pre", Word::Pre),
    ("bkp", Word::Bkp),
    ("full", Word::Full),
    ("incr", Word::Incr),
    ("post", Word::Post),
    ("purge", Word::Purge),
    ("purgefull", Word::PurgeFull),
    ("purgeincr", Word::PurgeIncr),
    ("purgeauto", Word::PurgeAuto),
    ("cleanup", Word::Cleanup),
    ("verify", Word::Verify),
    ("verifypath", Word::VerifyPath),
    ("check", Word::Check),
    ("status", Word::Status),
    ("list", Word::List),
    ("find", Word::Find),
    ("versions", Word::Versions),
    ("diff", Word::Diff),
    ("restore", Word::Restore),
    ("fetch", Word::Fetch),
    ("sync", Word::Sync),
    ("replicate", Word::Replicate),
];

/// Tools, which are no part of a batch: `dupr home history`.
pub const ALONE: &[&str] = &["history", "show", "plan", "doctor", "thaw"];

/// Tools that come first and cannot stand behind a profile: `dupr schedule install home`.
pub const FIRST: &[&str] = &[
    "init",
    "profiles",
    "schedule",
    "watch",
    "target",
    "keys",
    "import",
    "schema",
    "completions",
    "man",
    "version",
    "help",
];

/// Commands that are kept free and not there yet; docs/roadmap.md names them.
pub const TO_COME: &[&str] = &["browse", "mount"];

impl Word {
    /// As plans write it.
    pub fn text(self) -> &'static str {
        WORDS
            .iter()
            .find(|(_, w)| *w == self)
            .map_or("", |(text, _)| text)
    }
}

/// Why a batch cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchError {
    message: String,
    help: Option<String>,
    /// The batch as typed, and the bytes of it the error is about.
    position: Option<(String, std::ops::Range<usize>)>,
}

impl BatchError {
    pub(super) fn new(message: impl Into<String>, help: impl Into<Option<String>>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
            position: None,
        }
    }

    fn at(mut self, text: &str, span: std::ops::Range<usize>) -> Self {
        self.position = Some((text.to_owned(), span));
        self
    }

    /// What to write instead.
    pub fn help(&self) -> Option<String> {
        self.help.clone()
    }

    /// The batch with a line below that marks the place; for terminals.
    pub fn marked(&self) -> Option<String> {
        let (text, span) = self.position.as_ref()?;
        let before = text.get(..span.start)?.chars().count();
        let width = text
            .get(span.clone())
            .map_or(1, |t| t.chars().count().max(1));
        // One for one, so that the mark stays below its place; nothing that steers a terminal gets through.
        let shown: String = text
            .chars()
            .map(|c| {
                if crate::profile::lookup::is_plain(c) {
                    c
                } else {
                    '\u{fffd}'
                }
            })
            .collect();
        Some(format!(
            "{shown}\n{}{}",
            " ".repeat(before),
            "^".repeat(width)
        ))
    }
}

/// One line: the fault and its column, from 1.
impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some((text, span)) = &self.position {
            let column = text.get(..span.start).map_or(0, |t| t.chars().count()) + 1;
            write!(f, " at column {column}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BatchError {}

/// The tree before arguments are dealt out.
pub(super) enum Rough {
    Command(When, Word),
    Group(When, Vec<Rough>),
}

impl Batch {
    /// Parses a batch and binds its arguments and options to the commands that take them.
    ///
    /// # Errors
    /// A word, bracket, condition, argument or option that has no place.
    pub fn parse(text: &str, given: &[String], options: BatchOptions) -> Result<Self, BatchError> {
        let rough = parser::parse(text)?;
        let nodes = arguments::bind(rough, given)?;
        let batch = Batch {
            text: text.trim().to_owned(),
            nodes,
            options,
        };
        if options.force && !batch.commands().iter().any(|c| c.takes_force()) {
            return Err(BatchError::new(
                "no command of this batch takes --force",
                "purge, cleanup, restore and fetch take it".to_owned(),
            ));
        }
        if options.compare_data
            && !batch
                .commands()
                .iter()
                .any(|c| matches!(c.word(), Word::Verify | Word::VerifyPath))
        {
            return Err(BatchError::new(
                "no command of this batch takes --compare-data",
                "verify and verifyPath take it".to_owned(),
            ));
        }
        let has = |words: &[Word]| batch.commands().iter().any(|c| words.contains(&c.word()));
        if options.all && !has(&[Word::Check]) {
            return Err(BatchError::new(
                "no command of this batch takes --all",
                "check takes it; all profiles are meant by the word all in place of a name"
                    .to_owned(),
            ));
        }
        if options.overwrite.is_some() && !has(&[Word::Restore, Word::Fetch]) {
            return Err(BatchError::new(
                "no command of this batch takes --overwrite",
                "restore and fetch take it".to_owned(),
            ));
        }
        Ok(batch)
    }

    /// All commands, in order, conditions aside.
    pub fn commands(&self) -> Vec<&Command> {
        fn collect<'a>(nodes: &'a [BatchNode], into: &mut Vec<&'a Command>) {
            for node in nodes {
                match &node.item {
                    BatchItem::Command(command) => into.push(command),
                    BatchItem::Group(nodes) => collect(nodes, into),
                }
            }
        }
        let mut all = Vec::new();
        collect(&self.nodes, &mut all);
        all
    }

    /// The batch in its shortest spelling, and the arguments of its commands in order; `-` for one left out.
    pub fn to_words(&self) -> (String, Vec<String>) {
        fn print(nodes: &[BatchNode], text: &mut String) {
            for (i, node) in nodes.iter().enumerate() {
                text.push_str(match node.when {
                    _ if i == 0 => "",
                    When::IfOk => "+",
                    When::IfFailed => "-",
                    When::Always | When::IfReady => "_",
                });
                match &node.item {
                    BatchItem::Command(command) => text.push_str(command.word().text()),
                    BatchItem::Group(nodes) => {
                        text.push('[');
                        print(nodes, text);
                        text.push(']');
                    }
                }
            }
        }
        let mut text = String::new();
        print(&self.nodes, &mut text);
        (
            text,
            self.commands()
                .into_iter()
                .flat_map(arguments::of)
                .collect(),
        )
    }
}

impl Command {
    /// Its word.
    pub fn word(&self) -> Word {
        match self {
            Command::Backup => Word::Backup,
            Command::Pre => Word::Pre,
            Command::Bkp => Word::Bkp,
            Command::Full => Word::Full,
            Command::Incr => Word::Incr,
            Command::Post => Word::Post,
            Command::Purge(_) => Word::Purge,
            Command::PurgeFull(_) => Word::PurgeFull,
            Command::PurgeIncr(_) => Word::PurgeIncr,
            Command::PurgeAuto => Word::PurgeAuto,
            Command::Cleanup => Word::Cleanup,
            Command::Verify(_) => Word::Verify,
            Command::VerifyPath { .. } => Word::VerifyPath,
            Command::Check => Word::Check,
            Command::Status => Word::Status,
            Command::List(_) => Word::List,
            Command::Find(_) => Word::Find,
            Command::Versions(_) => Word::Versions,
            Command::Diff(..) => Word::Diff,
            Command::Restore { .. } => Word::Restore,
            Command::Fetch { .. } => Word::Fetch,
            Command::Sync => Word::Sync,
            Command::Replicate => Word::Replicate,
        }
    }

    /// Whether it only shows something.
    pub fn only_looks(&self) -> bool {
        matches!(
            self.word(),
            Word::Status | Word::List | Word::Find | Word::Versions | Word::Diff
        )
    }

    /// Whether it makes a set.
    pub fn makes_a_set(&self) -> bool {
        matches!(
            self.word(),
            Word::Backup | Word::Bkp | Word::Full | Word::Incr
        )
    }

    /// Whether it removes sets by rules of retention.
    pub fn purges(&self) -> bool {
        matches!(
            self.word(),
            Word::Purge | Word::PurgeFull | Word::PurgeIncr | Word::PurgeAuto
        )
    }

    /// Whether it has something to do at a target: no set is made where another target is copied to, and only there
    /// `replicate` copies.
    pub fn concerns(&self, is_copy: bool) -> bool {
        match self.word() {
            Word::Replicate => is_copy,
            Word::Pre | Word::Post => !is_copy,
            _ => !(is_copy && self.makes_a_set()),
        }
    }

    /// Whether it asks before it deletes or overwrites.
    pub fn takes_force(&self) -> bool {
        matches!(
            self.word(),
            Word::Purge
                | Word::PurgeFull
                | Word::PurgeIncr
                | Word::PurgeAuto
                | Word::Cleanup
                | Word::Restore
                | Word::Fetch
        )
    }
}

#[cfg(test)]
mod tests;
