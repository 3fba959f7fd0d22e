//! Tables of a profile that concern the run and what is around it: checks, run, schedule, hooks.

use super::entry::List;
use crate::profile::age::{Age, Percent, Size};
use crate::profile::schedule::Cron;
use crate::profile::settings::{HookMoment, HookScope, IoClass, Network, OnFailure, Power};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `check` does, and how often.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CheckFile {
    /// Manifests, listing, sizes: how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quick: Option<Age>,
    /// Stored content against the live source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<SpotFile>,
    /// Real restore of a few files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_test: Option<RestoreTestFile>,
}

/// A sample of stored content against the live source.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SpotFile {
    /// How often.
    pub every: Age,
    /// Share of the entries.
    pub sample: Percent,
}

impl Default for SpotFile {
    fn default() -> Self {
        Self {
            every: Age::literal("2W", 14 * 86_400),
            sample: Percent::ONE,
        }
    }
}

/// A real restore of a few files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RestoreTestFile {
    /// How often.
    pub every: Age,
    /// How many files.
    #[schemars(range(min = 1))]
    pub files: u32,
}

impl Default for RestoreTestFile {
    fn default() -> Self {
        Self {
            every: Age::literal("1M", 30 * 86_400),
            files: 20,
        }
    }
}

/// How a run behaves.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RunFile {
    /// The batch of `dupr <profile>`.
    pub default: String,
    /// How long to wait for another run's lock.
    pub lock_wait: Age,
    /// Repeating what failed for a reason that may pass.
    pub retries: RetriesFile,
    /// Niceness, -20 to 19.
    #[schemars(range(min = -20, max = 19))]
    pub nice: i32,
    /// Priority of input and output.
    pub io_class: IoClass,
    /// What must hold for a run to start.
    pub require: RequireFile,
}

impl Default for RunFile {
    fn default() -> Self {
        Self {
            default: "backup".into(),
            lock_wait: Age::literal("0s", 0),
            retries: RetriesFile::default(),
            nice: 0,
            io_class: IoClass::None,
            require: RequireFile::default(),
        }
    }
}

/// Repeating what failed for a reason that may pass.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetriesFile {
    /// How often.
    pub max: u32,
    /// Pause before each.
    pub wait: Age,
}

impl Default for RetriesFile {
    fn default() -> Self {
        Self {
            max: 0,
            wait: Age::literal("5m", 300),
        }
    }
}

/// What must hold for a run to start.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RequireFile {
    /// Power supply.
    pub power: Power,
    /// Kind of network.
    pub network: Network,
    /// Room where spool files go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_free_temp: Option<Size>,
}

/// When it runs by itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ScheduleFile {
    /// A line of crontab without its command, or `@daily` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<Cron>,
    /// A start is put off by a random part of this.
    pub jitter: Age,
    /// Missed runs are made up for.
    pub catch_up: bool,
    /// `local` or `utc`.
    pub time_zone: ZoneEntry,
}

impl Default for ScheduleFile {
    fn default() -> Self {
        Self {
            cron: None,
            jitter: Age::literal("0s", 0),
            catch_up: true,
            time_zone: ZoneEntry::Local,
        }
    }
}

/// The clock of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum ZoneEntry {
    #[default]
    Local,
    Utc,
}

/// A program around commands.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HookFile {
    /// Short name, by which a profile that inherits it can change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Leave it out, although it is inherited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// When it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<HookMoment>,
    /// Commands it belongs to; the whole run if absent.
    pub commands: List<String>,
    /// Around what it stands once, where a profile has several targets.
    pub scope: HookScope,
    /// Program and arguments, no shell.
    pub exec: List<String>,
    /// Runs whenever `exec` was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Vec<String>>,
    /// How long it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Age>,
    /// What its failure means.
    pub on_failure: OnFailure,
}

/// When a backup counts as stale.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StaleFile {
    /// Age of the last good backup. 35 days if it is not said, or twice the time between two starts of a rarer schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Age>,
}
