//! The tables of a profile other than source and target. Defaults are written down here, once.

use super::age::Age;
use super::secret::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// How data is sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// Whether data is encrypted at all.
    pub encryption: Encryption,
    /// Recipients: fingerprints, key ids, mail addresses, or certificate files. Empty: symmetric.
    pub encrypt_to: Vec<String>,
    /// Whether the recipients are left out of the messages.
    pub hidden: bool,
    /// The signing key.
    pub sign_with: Option<String>,
    /// Where keys are looked up.
    pub keyring: Keyring,
    /// Symmetric passphrase, or that of the secret key.
    pub passphrase: Option<SecretRef>,
    /// Passphrase of the signing key where it differs from `passphrase`.
    pub sign_passphrase: Option<SecretRef>,
    /// How hard to compress.
    pub compression: Compression,
    /// The gpg program, for agents and smart cards.
    pub gpg_program: PathBuf,
    /// The gpgsm program, for X.509 certificates.
    pub gpgsm_program: PathBuf,
}

/// Whether data is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// OpenPGP messages.
    #[default]
    Gpg,
    /// CMS messages to X.509 certificates, by gpgsm.
    Gpgsm,
    /// Readable by anyone who gets at the target.
    None,
}

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// Level 1.
    Fast,
    /// Level 6.
    #[default]
    Default,
    /// Level 9.
    Best,
}

/// Where keys are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyring {
    /// The user's own GnuPG keys and agent.
    Gnupg,
    /// A directory of certificates and keys.
    Directory(PathBuf),
}

/// How the file system of a source is frozen for the time of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotKind {
    /// Not at all.
    #[default]
    None,
    /// As its file system can; not at all if that cannot.
    Auto,
    /// As a read-only snapshot of the subvolume.
    Btrfs,
    /// As a snapshot of the dataset.
    Zfs,
    /// As a snapshot of the logical volume, mounted for the time.
    Lvm,
}

/// How sets are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// Age of the last full set from which a new one is made; never by age if absent.
    pub full_every: Option<Age>,
    /// Size of a volume in bytes.
    pub volume_bytes: u64,
    /// Largest block of a signature in bytes.
    pub max_block_bytes: u32,
    /// Name of the archive dir, the last component of `archive_dir`.
    pub name: String,
    /// The directory of local copies, complete with `name`.
    pub archive_dir: PathBuf,
    /// Put before the name of every file at the target.
    pub file_prefix: String,
    /// Put after `file_prefix` before volumes, manifests and sigtars; for lifecycle rules of object stores.
    pub kind_prefixes: KindPrefixes,
    /// Worker threads.
    pub concurrency: Concurrency,
    /// Where spool files go.
    pub temp_dir: PathBuf,
    /// What is let pass this time. No keys of the file: the command line sets them.
    pub once: Once,
}

/// Refusals that a person overrules for one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Once {
    /// A source that is empty and was not before.
    pub allow_empty: bool,
    /// A target that holds nothing and did before.
    pub allow_empty_target: bool,
    /// A full set although today's key does not open the newest set.
    pub allow_new_key: bool,
    /// A chain of another host or source.
    pub allow_source_mismatch: bool,
    /// An interrupted set is left where it is, and a new one begun.
    pub fresh: bool,
}

/// Prefixes by kind of file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindPrefixes {
    /// Before volumes.
    pub volume: String,
    /// Before manifests.
    pub manifest: String,
    /// Before sigtars.
    pub signature: String,
}

/// Number of worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// One for each processor.
    Auto,
    /// This many.
    Exactly(NonZeroUsize),
}

/// What `purge` removes. Chains go whole; a set that another one needs never goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Retention {
    /// Keep this many of the newest chains.
    pub keep_fulls: Option<u32>,
    /// Keep the incrementals of this many of the newest chains; older ones shrink to their full set.
    pub keep_chains_with_incrementals: Option<u32>,
    /// Remove chains whose newest set is older.
    pub max_age: Option<Age>,
    /// Hold the newest chain of each of the last so many months that have one; 0 is off.
    pub keep_monthly: u32,
    /// Hold the newest chain of each of the last so many years that have one; 0 is off.
    pub keep_yearly: u32,
    /// Never go below this many restorable chains; at least 1.
    pub min_chains: u32,
    /// Really delete when nobody is there to ask.
    pub force: bool,
}

impl Retention {
    /// Whether any rule can remove a set. The keep rules do where there is no other: what none of them holds goes.
    pub fn removes(&self) -> bool {
        self.keep_fulls.is_some()
            || self.max_age.is_some()
            || self.keep_chains_with_incrementals.is_some()
            || self.keep_monthly > 0
            || self.keep_yearly > 0
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_fulls: None,
            keep_chains_with_incrementals: None,
            max_age: None,
            keep_monthly: 0,
            keep_yearly: 0,
            min_chains: 1,
            force: false,
        }
    }
}

/// What `check` does. A check that is absent is never due.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checks {
    /// Manifests, listing and sizes, this often.
    pub quick: Option<Age>,
    /// Stored content against the live source.
    pub spot: Option<SpotCheck>,
    /// Files restored into a temporary place.
    pub restore_test: Option<RestoreTest>,
}

/// A sample of stored content held against the live source.
#[derive(Debug, Clone, PartialEq)]
pub struct SpotCheck {
    /// How often.
    pub every: Age,
    /// Share of the entries, above 0 and at most 100.
    pub sample_percent: f64,
}

/// A real restore of a few files.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreTest {
    /// How often.
    pub every: Age,
    /// How many.
    pub files: u32,
}

/// How a run behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSettings {
    /// The batch of `dupr <profile>`.
    pub default: String,
    /// How long to wait for another run's lock; zero: not at all.
    pub lock_wait: Duration,
    /// Whether a failed step is tried again.
    pub retries: Retries,
    /// Niceness, -20 to 19.
    pub nice: i32,
    /// Priority of input and output.
    pub io_class: IoClass,
    /// What must hold for a run to start.
    pub require: Requirements,
}

/// Repeating what failed for a reason that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// How often; 0 is never.
    pub max: u32,
    /// Pause before each.
    pub wait: Duration,
}

/// Priority of input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IoClass {
    /// As the system has it.
    #[default]
    None,
    /// After everybody else, but never starved.
    BestEffort,
    /// Only when nobody else wants the disk.
    Idle,
}

/// Conditions of a run; not met means "deferred".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirements {
    /// Power supply.
    pub power: Power,
    /// Kind of network.
    pub network: Network,
    /// Bytes that must be free where spool files go.
    pub min_free_temp: u64,
}

/// Power supply asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Any.
    #[default]
    Any,
    /// Not on battery.
    Ac,
}

/// Network asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Any, or none.
    #[default]
    Any,
    /// A connection.
    Online,
    /// A connection that is not paid by volume.
    Unmetered,
}

/// What the failure of a hook means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The commands it precedes do not run, and the run fails.
    #[default]
    Abort,
    /// The run goes on and ends with a warning.
    Warn,
    /// Nothing.
    Ignore,
}

/// Batch words hooks may belong to: all that do something. `backup` stands for every command that makes a set,
/// `purge` for every one that removes sets, `verify` for `verifypath` as well.
pub const HOOKED_WORDS: &[&str] = &[
    "backup",
    "bkp",
    "full",
    "incr",
    "purge",
    "purgefull",
    "purgeincr",
    "purgeauto",
    "cleanup",
    "verify",
    "verifypath",
    "check",
    "restore",
    "fetch",
    "sync",
];

/// A program around commands.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// When it runs.
    pub on: HookMoment,
    /// Batch words it belongs to, lower case; empty: the run as a whole.
    pub commands: Vec<String>,
    /// Around what it stands once.
    pub scope: HookScope,
    /// Program and arguments; never given to a shell.
    pub exec: Vec<String>,
    /// Runs whenever `exec` was started, on signals too.
    pub undo: Option<Vec<String>>,
    /// How long it may take; no limit if absent.
    pub timeout: Option<Duration>,
    /// What its failure means.
    pub on_failure: OnFailure,
}

/// Around what a hook stands once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookScope {
    /// The jobs of all targets together.
    Run,
    /// Those of them that read the source: all sets of the run that are made.
    Source,
    /// The job of each target.
    #[default]
    Target,
}

impl HookScope {
    /// As profiles write it.
    pub fn word(self) -> &'static str {
        match self {
            HookScope::Run => "run",
            HookScope::Source => "source",
            HookScope::Target => "target",
        }
    }
}

/// When a hook runs, relative to the commands it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookMoment {
    /// Before them.
    Before,
    /// After them, if they were started.
    After,
    /// After they succeeded, with or without problems.
    Success,
    /// After they ended with problems.
    Warning,
    /// After they failed.
    Error,
    /// After everything, whatever happened, on signals too.
    Finally,
    /// What the command `pre` runs.
    Pre,
    /// What the command `post` runs.
    Post,
}

impl HookMoment {
    /// As profiles and plans write it.
    pub fn word(self) -> &'static str {
        match self {
            HookMoment::Before => "before",
            HookMoment::After => "after",
            HookMoment::Success => "success",
            HookMoment::Warning => "warning",
            HookMoment::Error => "error",
            HookMoment::Finally => "finally",
            HookMoment::Pre => "pre",
            HookMoment::Post => "post",
        }
    }
}
