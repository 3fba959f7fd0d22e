//! What was observed before planning: plain data, no access to anything.

use crate::engine::collection::Collection;
use crate::engine::format::SetId;
use crate::engine::time::Timestamp;
use crate::run::outcome::Verdict;
use serde::{Deserialize, Serialize};

/// The facts a plan is made from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct State {
    /// The time of the run.
    pub now: Timestamp,
    /// Whether the target answered when it was listed.
    pub target: TargetState,
    /// What the target holds; empty if it did not answer.
    pub collection: Collection,
    /// Sets of chains that cannot be restored as they are.
    pub damaged: Vec<Damage>,
    /// A set whose run was interrupted and can be gone on with.
    pub partial: Option<Partial>,
    /// Why the local and stored signatures of the newest chain cannot be read, if so: the next set must be full.
    pub unreadable_basis: Option<String>,
    /// How the last run ended.
    pub last_run: Option<LastRun>,
    /// When the checks last succeeded.
    pub checks: CheckTimes,
}

/// Whether the target answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// It was listed.
    #[default]
    Reached,
    /// It could not be listed, for this reason.
    Unreachable(String),
}

/// A set that cannot be restored as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Damage {
    /// The set.
    pub set: SetId,
    /// What is wrong: `volume 3 of 6 is missing`.
    pub reason: String,
}

/// An interrupted set that can be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Partial {
    /// The set.
    pub set: SetId,
    /// The first volume that is not safe at the target.
    pub next_volume: u32,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastRun {
    /// Its start.
    pub started: Timestamp,
    /// Its verdict.
    pub verdict: Verdict,
}

/// When each check last succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct CheckTimes {
    /// Manifests, listing, sizes.
    pub quick: Option<Timestamp>,
    /// Stored content against the live source.
    pub spot: Option<Timestamp>,
    /// A restore of a few files.
    pub restore_test: Option<Timestamp>,
}
