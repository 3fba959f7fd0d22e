//! What happened, step by step. History stores it; reports tell it; the exit code follows from it.

use crate::engine::error::ErrorKind;
use crate::engine::format::SetId;
use crate::engine::monitor::Problem;
use crate::engine::ops::replicate::ReplicaStats;
use crate::engine::stats::{BackupStats, RestoreStats};
use crate::engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The command of a step that is the run of a member, in the outcome of a group.
pub const MEMBER_STEP: &str = "profile";

/// The command of the one step of a run whose target is a disk that may be absent, and is.
pub const ABSENT_STEP: &str = "target";

/// Everything that is known of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// Version of this document.
    pub schema: u32,
    /// Name of the profile.
    pub profile: String,
    /// Host it ran on.
    pub host: String,
    /// The batch.
    pub batch: String,
    /// Where backups go, printable.
    pub target: String,
    /// Start of the run.
    pub started: Timestamp,
    /// Its end.
    pub ended: Timestamp,
    /// The outcome in one word.
    pub verdict: Verdict,
    /// The steps that ran or were skipped, in order.
    pub steps: Vec<StepOutcome>,
    /// Why the run ended before its first step, if it did.
    pub failure: Option<Failure>,
    /// When the schedule wants the next run.
    pub next_due: Option<Timestamp>,
}

impl Outcome {
    /// Whether nothing was done because the target may be absent, and is.
    pub fn is_absence(&self) -> bool {
        self.verdict == Verdict::Deferred && self.steps.iter().any(|s| s.command == ABSENT_STEP)
    }
}

/// The outcome in one word. Later variants outweigh earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All done, no problem.
    Success,
    /// A condition or a hook asked not to run now.
    Deferred,
    /// Done, but some entries had problems, or a report could not be sent.
    Warning,
    /// A verify or a check found differences.
    Differences,
    /// A step failed.
    Failed,
    /// Stopped by a signal; resumable.
    Interrupted,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// Done.
    Done,
    /// Done, with problems.
    Warning,
    /// Could not be done.
    Failed,
    /// Its condition did not hold.
    Skipped,
    /// A hook asked politely not to run now (exit 75).
    Deferred,
    /// Stopped by a signal.
    Interrupted,
}

/// An error as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What kind of trouble; `None` when a hook failed.
    pub kind: Option<ErrorKind>,
    /// What failed, on which path, why: one line, no secrets.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// One step of the plan, done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepOutcome {
    /// Number of the step in the plan.
    pub id: u32,
    /// The batch's word for it.
    pub command: String,
    /// What it did, as the plan words it.
    pub title: String,
    /// How it ended.
    pub status: StepStatus,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Problems with single entries; the first hundred.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Number of all problems.
    #[serde(default)]
    pub problem_count: u64,
    /// Notes worth a line: "new full, because …".
    #[serde(default)]
    pub notes: Vec<String>,
    /// Figures of a backup.
    pub backup: Option<BackupStats>,
    /// The set a backup made, or the newest one of a copy.
    pub set: Option<SetId>,
    /// Figures of sets that were copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaStats>,
    /// Figures of a restore or verify.
    pub restore: Option<RestoreStats>,
    /// Sets known to be damaged after a step that read stored data; `None` for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<Vec<SetId>>,
    /// Sets that were deleted, or would be without `--force`.
    #[serde(default)]
    pub removed: Vec<SetId>,
    /// Bytes freed at the target.
    #[serde(default)]
    pub freed_bytes: u64,
    /// Exit code of a hook.
    pub exit_code: Option<i32>,
    /// Last lines a hook printed.
    #[serde(default)]
    pub output: Vec<String>,
}

impl StepOutcome {
    /// A step that has nothing to tell yet.
    pub fn new(
        id: u32,
        command: impl Into<String>,
        title: impl Into<String>,
        status: StepStatus,
    ) -> Self {
        Self {
            id,
            command: command.into(),
            title: title.into(),
            status,
            elapsed_ms: 0,
            failure: None,
            problems: Vec::new(),
            problem_count: 0,
            notes: Vec::new(),
            backup: None,
            set: None,
            replica: None,
            restore: None,
            damaged: None,
            removed: Vec::new(),
            freed_bytes: 0,
            exit_code: None,
            output: Vec::new(),
        }
    }
}
