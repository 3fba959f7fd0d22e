//! Exactly what a profile's TOML may say, key by key, with the defaults.
//!
//! [`ProfileFile`] is what the merged layers are read into. Its JSON Schema is what `dupr schema` prints. Ages,
//! sizes and the like are checked while they are read, so that an error knows its key.

mod dumps;
mod entry;
mod group;
mod reports;
mod tables;

pub use dumps::{DumpFile, DumpWord};
pub use entry::{AgeOrTime, ConcurrencyEntry, List, OneOrMany, Scalar, TextOr, UrlText};
pub use group::{GroupEntry, GroupFile, GroupsFile, groups_schema};
pub use reports::{
    EmailFile, NtfyFile, PingFile, PrometheusFile, ReportFile, SyslogFile, WebhookFile,
};
pub use tables::{
    CheckFile, HookFile, RequireFile, RestoreTestFile, RetriesFile, RunFile, ScheduleFile,
    SpotFile, StaleFile, ZoneEntry,
};

use super::age::{Age, Rate, Size};
use super::secret::SecretEntry;
use super::settings::{Compression, Encryption, SnapshotKind};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the profile language this build knows.
pub const VERSION: u32 = 1;

/// A profile as TOML. Everything but `version`, `source` and `target` may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ProfileFile {
    /// Version of the profile language: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Profiles this one builds on, by name or path; later ones win.
    #[schemars(with = "TextOr<List<String>>")]
    #[serde(skip_serializing_if = "List::is_empty")]
    pub inherit: List<String>,
    /// Free text for people.
    pub description: String,
    /// Allows secrets in the file itself.
    pub allow_inline_secrets: bool,
    /// Values for `${vars.NAME}` in strings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, Scalar>,
    /// What is backed up; a string is short for `path`.
    #[schemars(with = "TextOr<SourceFile>")]
    pub source: SourceFile,
    /// Where to; a string is short for `url`.
    #[schemars(with = "TextOr<OneOrMany<TargetFile>>")]
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub target: OneOrMany<TargetFile>,
    /// Short for `keys.passphrase`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<SecretEntry>,
    /// How data is sealed.
    pub keys: KeysFile,
    /// How sets are made.
    pub backup: BackupFile,
    /// What `purge` removes.
    pub retention: RetentionFile,
    /// What `check` does, and how often.
    pub check: CheckFile,
    /// How a run behaves.
    pub run: RunFile,
    /// When it runs by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleFile>,
    /// Programs around commands.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub hook: List<HookFile>,
    /// Who is told of outcomes.
    pub report: ReportFile,
    /// When a backup counts as stale.
    pub stale: StaleFile,
}

/// What is backed up.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SourceFile {
    /// The directory or file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Refuse a source that is missing, or empty while the last set was not.
    pub must_exist: bool,
    /// Globs of duplicity with `+ ` or `- ` in front; the first match decides.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub select: List<String>,
    /// Files with such rules, one a line, beside the profile.
    #[schemars(with = "TextOr<List<String>>")]
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub exclude_file: OneOrMany<String>,
    /// Leaves out directories that hold a file of one of these names.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub exclude_if_present: List<String>,
    /// Leaves out paths in which one of these regular expressions is found.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub exclude_regex: List<String>,
    /// Leaves out files last modified before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_older_than: Option<AgeOrTime>,
    /// Do not cross into other file systems.
    pub one_filesystem: bool,
    /// Leave device files out.
    pub exclude_devices: bool,
    /// Back up what symbolic links point to.
    pub follow_symlinks: bool,
    /// Freeze the file system first.
    pub snapshot: SnapshotKind,
    /// Name of the folder in the backup that holds dumps.
    pub dump_folder: String,
    /// Output of programs, stored as files: dumps of databases.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub dump: List<DumpFile>,
}

impl Default for SourceFile {
    fn default() -> Self {
        Self {
            path: None,
            must_exist: true,
            select: List::default(),
            exclude_file: OneOrMany::default(),
            exclude_if_present: List::default(),
            exclude_regex: List::default(),
            exclude_older_than: None,
            one_filesystem: false,
            exclude_devices: false,
            follow_symlinks: false,
            snapshot: SnapshotKind::None,
            dump_folder: "dupr-dumps".to_owned(),
            dump: List::default(),
        }
    }
}

/// Where backups go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TargetFile {
    /// Short name, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Leave it out, although it is inherited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The place: `sftp://user@host//path`, `s3://host/bucket/path`, `file:///path` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlText>,
    /// Settings of the service.
    pub options: BTreeMap<String, Scalar>,
    /// Password of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretEntry>,
    /// Gets copies of the sets of this other target, and no backups of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
    /// Skipped when absent, not failed.
    pub optional: bool,
    /// Bytes a second uploads may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_limit: Option<Rate>,
    /// Bytes a second downloads may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_limit: Option<Rate>,
    /// Transfers at a time.
    #[schemars(range(min = 1, max = 64))]
    pub connections: u32,
    /// How often a failed transfer is tried again.
    pub retries: u32,
    /// How long a transfer may stand still.
    pub timeout: Age,
    /// Percent of each file that its recovery files, made by the program par2, can replace.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub par2_redundancy: Option<u32>,
}

impl Default for TargetFile {
    fn default() -> Self {
        Self {
            name: None,
            disabled: false,
            url: None,
            options: BTreeMap::new(),
            password: None,
            copy_of: None,
            optional: false,
            upload_limit: None,
            download_limit: None,
            connections: 4,
            retries: 5,
            timeout: Age::literal("30s", 30),
            par2_redundancy: None,
        }
    }
}

/// How data is sealed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct KeysFile {
    /// Recipients: fingerprints, ids, mail addresses, or certificate files.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub encrypt_to: List<String>,
    /// The signing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_with: Option<String>,
    /// Leave the recipients out of the messages.
    pub hidden: bool,
    /// `gnupg` (the user's keys and agent), or a directory of certificates.
    pub keyring: String,
    /// Symmetric, or of the secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<SecretEntry>,
    /// Of the signing key, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_passphrase: Option<SecretEntry>,
    /// `none` must be written out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// How hard to compress.
    pub compression: Compression,
    /// The gpg program, for agents and smart cards.
    pub gpg_program: String,
    /// The gpgsm program, for X.509 certificates.
    pub gpgsm_program: String,
    /// Further arguments for gpg.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub gpg_options: List<String>,
}

impl Default for KeysFile {
    fn default() -> Self {
        Self {
            encrypt_to: List::default(),
            sign_with: None,
            hidden: false,
            keyring: "gnupg".into(),
            passphrase: None,
            sign_passphrase: None,
            encryption: None,
            compression: Compression::Default,
            gpg_program: "gpg".into(),
            gpgsm_program: "gpgsm".into(),
            gpg_options: List::default(),
        }
    }
}

/// How sets are made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BackupFile {
    /// Age of the last full set from which `backup` makes a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_every: Option<Age>,
    /// Size of a volume.
    pub volume_size: Size,
    /// Largest block of a signature, in bytes.
    #[schemars(range(min = 512, max = 1_048_576))]
    pub max_block_size: u32,
    /// Name of the archive dir; the profile's name if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The directory that holds archive dirs; the user's cache if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_dir: Option<String>,
    /// Put before the name of every file at the target.
    pub file_prefix: String,
    /// Put after it before volumes.
    pub file_prefix_archive: String,
    /// Put after it before manifests.
    pub file_prefix_manifest: String,
    /// Put after it before sigtars.
    pub file_prefix_signature: String,
    /// `auto`, or a number of worker threads.
    pub concurrency: ConcurrencyEntry,
    /// Where spool files go; the system's place for temporary files if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_dir: Option<String>,
}

impl Default for BackupFile {
    fn default() -> Self {
        Self {
            full_every: None,
            volume_size: Size::literal("200 MiB", 200 << 20),
            max_block_size: 2048,
            name: None,
            archive_dir: None,
            file_prefix: String::new(),
            file_prefix_archive: String::new(),
            file_prefix_manifest: String::new(),
            file_prefix_signature: String::new(),
            concurrency: ConcurrencyEntry::Auto,
            temp_dir: None,
        }
    }
}

/// What `purge` removes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetentionFile {
    /// Keep this many of the newest chains.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub keep_fulls: Option<u32>,
    /// Keep the incrementals of this many of the newest chains.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub keep_chains_with_incrementals: Option<u32>,
    /// Remove chains whose newest set is older.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Age>,
    /// Hold the newest chain of each of the last so many months that have one.
    pub keep_monthly: u32,
    /// Hold the newest chain of each of the last so many years that have one.
    pub keep_yearly: u32,
    /// Never below this many restorable chains.
    #[schemars(range(min = 1))]
    pub min_chains: u32,
    /// Really delete when nobody is there to ask.
    pub force: bool,
}

impl Default for RetentionFile {
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

/// The JSON Schema of profiles, for editors.
pub fn schema() -> Schema {
    schemars::schema_for!(ProfileFile)
}
