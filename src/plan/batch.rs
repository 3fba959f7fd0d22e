//! The batch language: `pre+[bkp-verify]_post` as a tree of commands.
//!
//! `_` then, `+` only if the last command that ran succeeded, `-` only if it failed, `[ ]` groups. The whole text
//! is parsed and every argument has found its command before anything is planned. docs/cli.md is the grammar.

use super::When;
use crate::engine::time_text::TimeText;
use serde::{Deserialize, Serialize};
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
#[serde(rename_all = "kebab-case")]
pub struct BatchOptions {
    /// Steps that delete do it without being asked: `--force`.
    pub force: bool,
    /// `verify` holds contents against the live source: `--compare-data`.
    pub compare_data: bool,
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
    /// A bracket group, or what a macro stands for.
    Group {
        /// The macro it came from: `backup`, `purgeauto`.
        word: Option<Macro>,
        /// What is in it.
        nodes: Vec<BatchNode>,
    },
}

/// A word that stands for a group of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Macro {
    /// `[pre_bkp_post]`.
    Backup,
    /// `[purge_purgeFull_purgeIncr]`, as far as the profile has the rules.
    PurgeAuto,
}

/// A command of a batch with the arguments bound to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
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
    /// Removes by all rules of `[retention]` and cleans up, or removes chains older than the age given.
    Purge(Option<TimeText>),
    /// Removes all but the newest chains: the number given, or `keep-fulls`.
    PurgeFull(Option<u32>),
    /// Removes incrementals of all but the newest chains: the number given, or `keep-chains-with-incrementals`.
    PurgeIncr(Option<u32>),
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
}
