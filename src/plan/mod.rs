//! What will be done, in which order, and why. Pure: no file, process, clock or environment is touched here.
//!
//! `plan(profile, batch, state) -> Plan`; the same value is printed by `--plan` and executed by `run`.

mod arguments;
pub mod batch;
pub mod calendar;
pub mod decide;
pub mod error;
pub mod group;
pub mod planner;
pub mod render;
pub mod retention;
pub mod state;

pub use arguments::Argument;
pub use batch::{Batch, BatchError, BatchOptions};
pub use error::Error;
pub use planner::{batch_has, default_batch, plan};
pub use state::State;

pub use crate::profile::settings::{OnFailure, SnapshotKind};

use crate::engine::format::SetId;
use crate::engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// All steps of one invocation for one profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Version of this document; raised when a reader of an older one would misunderstand it.
    pub schema: u32,
    /// Name of the profile.
    pub profile: String,
    /// The batch as typed, or the profile's default.
    pub batch: String,
    /// The time the plan was made for.
    pub now: Timestamp,
    /// Where backups go, printable.
    pub target: String,
    /// The archive dir that is locked for the run; none if the batch only looks. It is shown as step 1.
    pub lock: Option<PathBuf>,
    /// What will be done, in order.
    pub nodes: Vec<Node>,
    /// Who will be told of what, in words; shown as the last step.
    pub reports: Vec<String>,
    /// What is worth knowing and is no step: a check that is not due.
    pub notes: Vec<String>,
}

/// A step or a group, and the condition under which it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Node {
    /// When it runs.
    pub when: When,
    /// What it is.
    pub item: Item,
}

/// A single step, or several that share one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// One step.
    Step(Step),
    /// A bracket group. It has no status of its own: what counts is the last command that ran inside.
    Group(Vec<Node>),
}

/// A condition on the last command that really ran (duply's rule).
///
/// Commands set that status; hooks around a command do not, with one exception: a hook that fails with
/// [`OnFailure::Abort`] before its command counts as the failure of that command. `pre` and `post` are commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Regardless.
    Always,
    /// Only if it succeeded (`+`).
    IfOk,
    /// Only if it failed (`-`).
    IfFailed,
    /// Only if no hook or `pre` that was before it in the same group (or at the top) failed with
    /// [`OnFailure::Abort`].
    IfReady,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Position in the plan as shown, from 1; the lock counts.
    pub id: u32,
    /// The word of the batch that asked for it: `bkp`, `purge`, `pre` …
    pub command: String,
    /// What it does.
    pub action: Action,
    /// Why it is done, or done this way; one phrase.
    pub why: String,
}

/// Everything a step needs to act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Runs a hook of the profile.
    Hook(HookAction),
    /// Makes a set.
    Backup(BackupAction),
    /// Restores a tree, a folder or a file.
    Restore {
        /// What to restore, relative to the source; empty for all.
        path: PathBuf,
        /// Where to.
        destination: PathBuf,
        /// The state at this time; the newest if absent.
        time: Option<Timestamp>,
        /// Whether what lies at the destination may be replaced.
        force: bool,
        /// Which of the files there, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overwrite: Option<batch::Overwrite>,
    },
    /// Reads a state back, and compares it with a local tree if `compare` says so.
    Verify {
        /// What to verify, relative to the source; empty for all.
        path: PathBuf,
        /// The local tree to compare with.
        local: PathBuf,
        /// The state at this time; the newest if absent.
        time: Option<Timestamp>,
        /// Whether contents and attributes are compared with the local tree.
        compare: bool,
    },
    /// Lists the entries of a state.
    List {
        /// The state at this time; the newest if absent.
        time: Option<Timestamp>,
    },
    /// Shows chains and sets.
    Status,
    /// Deletes sets.
    Remove(RemoveAction),
    /// Deletes leftovers of interrupted runs.
    Cleanup {
        /// Whether to delete; otherwise only list.
        force: bool,
    },
    /// Makes the archive dir equal to the target.
    Sync,
    /// Copies sets of another target that are missing here.
    Replicate(ReplicaAction),
    /// Looks at stored data.
    Check(CheckKind),
    /// Looks for entries by name over all sets.
    Find {
        /// A glob of duplicity, or a part of a name.
        pattern: String,
    },
    /// Shows every version of one path over all sets.
    Versions {
        /// Relative to the source.
        path: PathBuf,
    },
    /// Runs the batch for the profiles of a group.
    Members {
        /// Their names, in order.
        profiles: Vec<String>,
        /// How many run at a time.
        parallel: u32,
    },
    /// Shows what changed between two sets.
    Diff {
        /// The older state; the one before the newest if absent.
        from: Option<Timestamp>,
        /// The newer state; the newest if absent.
        to: Option<Timestamp>,
    },
}

/// How closely stored data is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// Manifests, listing and sizes.
    Quick,
    /// A share of the entries against the live source.
    Spot {
        /// Above 0, at most 100.
        sample_percent: f64,
    },
    /// A few files restored into a temporary place.
    RestoreTest {
        /// How many.
        files: u32,
    },
}

/// A hook to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HookAction {
    /// The moment it belongs to: `before`, `after`, `success`, `warning`, `error`, `finally`, `undo`, `pre`, `post`.
    ///
    /// `success`, `warning` and `error` look at all commands of the group the hook stands in (of the run, at the
    /// top): no failure, problems but no failure, a failure. `finally` and `undo` run on signals as well.
    pub moment: String,
    /// Program and arguments; never given to a shell. Empty: there is nothing to run, and the step succeeds.
    pub exec: Vec<String>,
    /// Seconds until it is ended.
    pub timeout: Option<u64>,
    /// What its failure means.
    pub on_failure: OnFailure,
    /// This hook undoes that of the step with this number: it runs whenever that one was started, on signals
    /// too, and only then. Its moment is `undo`.
    pub undo_of: Option<u32>,
}

/// A set to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupAction {
    /// Full, incremental, or going on with an interrupted one.
    pub mode: BackupMode,
    /// How the source is frozen: `auto`, `btrfs`, `zfs` or `lvm`; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotKind>,
    /// What is dumped into it, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dumps: Vec<String>,
}

/// Which set a backup makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupMode {
    /// A new full set.
    Full,
    /// A set on top of the newest one.
    Incremental,
    /// Goes on with an interrupted set.
    Resume {
        /// The set it belongs to.
        set: SetId,
        /// The next volume to write.
        volume: u32,
    },
}

/// Sets to delete, each with its reason. Checked again just before it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemoveAction {
    /// The rule that asked: `max-age 2Y`, `keep-fulls 12` …
    pub rule: String,
    /// The sets to delete, newest first within a chain.
    pub sets: Vec<Removal>,
    /// The sets that stay, with the reason. All of them must be there before anything is deleted, the one this run
    /// makes included.
    pub kept: Vec<Removal>,
    /// Whether to delete; otherwise only list.
    pub force: bool,
}

/// Sets to copy. What is missing is looked at again when it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplicaAction {
    /// Where they come from, printable.
    pub from: String,
    /// The sets, oldest first.
    pub sets: Vec<SetId>,
    /// Bytes of their files there.
    pub bytes: u64,
}

/// A set and why it goes or stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Removal {
    /// The set.
    pub set: SetId,
    /// Time of the full set of its chain.
    pub chain: Timestamp,
    /// Bytes of its files at the target.
    pub bytes: u64,
    /// Why, in one phrase.
    pub reason: String,
}

#[cfg(test)]
mod tests;
