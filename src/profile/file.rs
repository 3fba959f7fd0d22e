//! Exactly what a profile's TOML may say, key by key, with the defaults.
//!
//! [`ProfileFile`] is what the merged layers are read into. Its JSON Schema is what `dupr schema` prints. Ages,
//! sizes and the like are checked while they are read, so that an error knows its key.

use super::age::{Age, Percent, Rate, Size};
use super::schedule::Cron;
use super::secret::SecretEntry;
use super::settings::{
    Compression, Encryption, HookMoment, IoClass, MailMoment, Network, OnFailure, Power,
};
use crate::engine::time_text::TimeText;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

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
    /// Output of programs, stored as files.
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
            dump: List::default(),
        }
    }
}

/// How a file system is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum SnapshotKind {
    #[default]
    None,
    Auto,
    Btrfs,
    Zfs,
    Lvm,
}

/// Output of a program, stored as a file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DumpFile {
    /// Name of the file.
    pub name: String,
    /// Kind of database, or `command`.
    pub kind: String,
    /// Program and arguments.
    pub command: List<String>,
}

/// Where backups go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TargetFile {
    /// Short name, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The place: `sftp://user@host//path`, `s3://host/bucket/path`, `file:///path` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlText>,
    /// Settings of the service.
    pub options: BTreeMap<String, Scalar>,
    /// Password of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretEntry>,
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
    /// Percent of recovery data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub par2_redundancy: Option<u32>,
}

impl Default for TargetFile {
    fn default() -> Self {
        Self {
            name: None,
            url: None,
            options: BTreeMap::new(),
            password: None,
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
        Self { every: Age::literal("2W", 14 * 86_400), sample: Percent::ONE }
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
        Self { every: Age::literal("1M", 30 * 86_400), files: 20 }
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
        Self { max: 0, wait: Age::literal("5m", 300) }
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
        Self { cron: None, jitter: Age::literal("0s", 0), catch_up: true, time_zone: ZoneEntry::Local }
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
    /// When it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<HookMoment>,
    /// Commands it belongs to; the whole run if absent.
    pub commands: List<String>,
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

/// Who is told of outcomes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReportFile {
    /// Mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailFile>,
    /// Start, success and failure pings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<UrlReportFile>,
    /// ntfy messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ntfy: Option<UrlReportFile>,
    /// Posts the outcome as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<UrlReportFile>,
    /// Figures for Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusFile>,
}

/// Mail reports.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EmailFile {
    /// Recipients.
    #[schemars(with = "TextOr<List<String>>")]
    pub to: OneOrMany<String>,
    /// Sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `smtps://user@host:465` or `smtp://user@host:587`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// A local program instead of `smtp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sendmail: Option<String>,
    /// Password for `smtp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretEntry>,
    /// Which outcomes are told.
    pub when: List<MailMoment>,
    /// Attach the log of the run.
    pub attach_log: bool,
    /// Files that replace the built-in templates `subject`, `text` and `html`.
    pub templates: BTreeMap<String, String>,
}

impl Default for EmailFile {
    fn default() -> Self {
        Self {
            to: OneOrMany::default(),
            from: None,
            smtp: None,
            sendmail: None,
            password: None,
            when: List(vec![MailMoment::Failure, MailMoment::Warning, MailMoment::Recovery]),
            attach_log: false,
            templates: BTreeMap::new(),
        }
    }
}

/// A report to a URL.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct UrlReportFile {
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretEntry>,
    /// Which outcomes are told.
    pub when: List<String>,
}

/// Figures for Prometheus.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PrometheusFile {
    /// A file the node exporter reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub textfile: Option<String>,
    /// A pushgateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushgateway: Option<String>,
}

/// When a backup counts as stale.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StaleFile {
    /// Age of the last good backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Age>,
}

/// A list. While layers are put together it may also be `{ append = [..] }` or `{ remove = [..] }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<T> {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("ListOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<Vec<T>>();
        json_schema!({ "anyOf": [
            items,
            { "type": "object", "additionalProperties": false, "properties": { "append": items, "remove": items } },
        ] })
    }
}

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// By hand, because an untagged enum would lose the key an error belongs to.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                T::deserialize(value::StrDeserializer::new(text)).map(|one| vec![one])
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
                T::deserialize(value::MapAccessDeserializer::new(map)).map(|one| vec![one])
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq))
            }
        }
        deserializer.deserialize_any(V(std::marker::PhantomData)).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, many) = (generator.subschema_for::<T>(), generator.subschema_for::<List<T>>());
        json_schema!({ "anyOf": [one, many] })
    }
}

/// In the schema only: a text that is short for one key of `T`.
pub struct TextOr<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for TextOr<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "string" }, long] })
    }
}

/// A text, number or truth value where a text is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Scalar {
    Text(String),
    Whole(i64),
    Decimal(f64),
    Truth(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Whole(n) => n.fmt(f),
            Scalar::Decimal(n) => n.fmt(f),
            Scalar::Truth(b) => b.fmt(f),
        }
    }
}

/// `auto` or a number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConcurrencyEntry {
    Auto,
    Threads(u32),
}

impl Serialize for ConcurrencyEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ConcurrencyEntry::Auto => serializer.serialize_str("auto"),
            ConcurrencyEntry::Threads(n) => serializer.serialize_u32(*n),
        }
    }
}

impl<'de> Deserialize<'de> for ConcurrencyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = ConcurrencyEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a number from 1 to 256")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == "auto" {
                    return Ok(ConcurrencyEntry::Auto);
                }
                Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Self::Value, E> {
                match u32::try_from(n) {
                    Ok(n @ 1..=256) => Ok(ConcurrencyEntry::Threads(n)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Unsigned(n), &self)),
                }
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Self::Value, E> {
                match u64::try_from(n) {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(n), &self)),
                }
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for ConcurrencyEntry {
    fn schema_name() -> Cow<'static, str> {
        "Concurrency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 256 }] })
    }
}

/// Gives a type that is written as one string its serde and schema faces.
macro_rules! text_type {
    ($type:ty, $name:literal, $about:literal, $parse:expr, $text:expr) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text: fn(&$type) -> &str = $text;
                serializer.serialize_str(text(self))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct V;
                impl Visitor<'_> for V {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($about)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(V)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $about })
            }
        }
    };
}

text_type!(Age, "Age", "an age such as \"30D\", \"1h30m\" or \"14 days\"", Age::parse, Age::as_str);
text_type!(Size, "Size", "a size such as \"200 MiB\"", Size::parse, Size::as_str);
text_type!(Rate, "Rate", "a rate such as \"5 MiB/s\"", Rate::parse, Rate::as_str);
text_type!(Percent, "Percent", "a share such as \"1%\"", Percent::parse, Percent::as_str);
text_type!(Cron, "Cron", "a cron expression such as \"17 2 * * *\"", Cron::parse, Cron::as_str);
text_type!(UrlText, "Url", "a URL such as \"sftp://me@host//path\"", UrlText::parse, UrlText::as_str);
text_type!(
    AgeOrTime,
    "AgeOrTime",
    "an age such as \"10Y\" or a date such as \"2020-01-01\"",
    AgeOrTime::parse,
    AgeOrTime::as_str
);

/// An age, or a time of duplicity's grammar.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeOrTime {
    text: String,
    /// What it means.
    pub time: TimeText,
}

impl AgeOrTime {
    fn parse(text: &str) -> Result<Self, String> {
        let time = TimeText::parse(text, ':').or_else(|error| match Age::parse(text) {
            Ok(age) => TimeText::parse(&format!("{}s", age.as_secs()), ':').map_err(|e| e.to_string()),
            Err(_) => Err(format!("{error}: {}", crate::engine::time_text::TimeTextError::hint())),
        })?;
        Ok(Self { text: text.to_owned(), time })
    }

    fn as_str(&self) -> &str {
        &self.text
    }
}

/// A target's URL, with the shape of one.
#[derive(Clone, PartialEq)]
pub struct UrlText(String);

impl UrlText {
    fn parse(text: &str) -> Result<Self, String> {
        super::url::check_shape(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The URL with everything in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", super::url::mask(&self.0))
    }
}

/// The JSON Schema of profiles, for editors.
pub fn schema() -> Schema {
    schemars::schema_for!(ProfileFile)
}
