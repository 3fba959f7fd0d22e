//! What the user declared: a [`Profile`] is complete and valid, whatever the file left out.
//!
//! `file` is exactly what TOML may say, `load` puts the layers together, `check` turns the result into a
//! [`Profile`] and tells every problem at once. An `Option` here means "there is none", never "the default".
#![deny(missing_docs)]

pub mod age;
mod check;
pub mod dumps;
pub mod error;
mod expand;
pub mod file;
pub mod group;
pub mod import;
mod layer;
mod load;
pub mod lookup;
pub mod mail_server;
pub mod reports;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod url;

pub use age::Age;
pub use check::NOT_AVAILABLE;
pub use dumps::{Databases, Dump, DumpKind, PostgresFormat, Server};
pub use error::Errors;
pub use group::{Group, Groups};
pub use load::{BatchJudge, Loaded, Shown, Surroundings};
pub use mail_server::MailServer;
pub use reports::{
    Email, MailTransport, Moment, Ntfy, Ping, PingService, Prometheus, Reports, Syslog, WebAddress,
    Webhook,
};
pub use schedule::Schedule;
pub use secret::SecretRef;
pub use settings::{
    Backup, Checks, Compression, Concurrency, Encryption, Hook, HookMoment, HookScope, IoClass,
    Keyring, Keys, Network, Once, Power, Requirements, RestoreTest, Retention, Retries,
    RunSettings, SnapshotKind, SpotCheck,
};
pub use url::TargetUrl;

use crate::engine::time_text::TimeText;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// One job, declared: what is backed up, where to, how, and what happens around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Name it is called by; also names its history and lock.
    pub name: String,
    /// The file it was read from; `None` when it was built from flags.
    pub file: Option<PathBuf>,
    /// Free text for people; may be empty.
    pub description: String,
    /// What is backed up.
    pub source: Source,
    /// Where to. The first or only target.
    pub target: Target,
    /// Further targets, each with a chain and an archive dir of its own. See [`Profile::per_target`].
    pub other_targets: Vec<Target>,
    /// The profile of the target this one's is a copy of. Only [`Profile::per_target`] sets it.
    pub origin: Option<Box<Profile>>,
    /// How data is sealed.
    pub keys: Keys,
    /// How sets are made.
    pub backup: Backup,
    /// What `purge` removes.
    pub retention: Retention,
    /// What `check` does, and how often.
    pub checks: Checks,
    /// How a run behaves.
    pub run: RunSettings,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// Programs around commands, in the order of the file. `pre` and `post` scripts beside the profile are here
    /// as well.
    pub hooks: Vec<Hook>,
    /// Who is told of outcomes.
    pub reports: Reports,
    /// Age of the last good backup from which it counts as stale, if the file says one.
    pub stale_after: Option<Age>,
    /// Whether secrets may stand in the file itself.
    pub allow_inline_secrets: bool,
}

/// Reads and checks a profile by name or path; `sets` are the `--set key=value` of the command line.
///
/// # Errors
/// Everything that is wrong with it at once, each with its place.
pub fn load(
    word: &str,
    around: &Surroundings,
    sets: &[(String, String)],
) -> Result<Profile, Errors> {
    Loaded::read(word, around, sets)?.check(around)
}

impl Profile {
    /// One profile for each target: the first as it is, the others called `PROFILE@TARGET`, with an archive dir and a
    /// history of their own.
    ///
    /// A plan is made for one target; a job with several makes one plan for each of these.
    pub fn per_target(&self) -> Vec<Profile> {
        let mut all = vec![Profile {
            other_targets: Vec::new(),
            ..self.clone()
        }];
        for target in &self.other_targets {
            let mut one = Profile {
                target: target.clone(),
                other_targets: Vec::new(),
                ..self.clone()
            };
            one.name = format!("{}@{}", self.name, target.name);
            one.backup.name = format!("{}-{}", self.backup.name, target.name);
            one.backup.archive_dir = self.backup.archive_dir.with_file_name(&one.backup.name);
            all.push(one);
        }
        let originals = all.clone();
        for one in &mut all {
            let of = one.target.copy_of.as_deref();
            let origin = originals
                .iter()
                .find(|p| Some(p.target.name.as_str()) == of);
            one.origin = origin.cloned().map(Box::new);
        }
        all
    }

    /// All its targets, in order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.target).chain(&self.other_targets)
    }

    /// Its name without that of a target.
    pub fn base_name(&self) -> &str {
        let end = format!("@{}", self.target.name);
        self.name.strip_suffix(&end).unwrap_or(&self.name)
    }
}

/// What is backed up.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The directory or file, absolute.
    pub root: PathBuf,
    /// Refuse a source that is missing, or empty while the last set was not.
    pub must_exist: bool,
    /// What belongs to a set: the first rule that matches decides, and what no rule matches is included.
    ///
    /// From a profile they come in this order: `exclude-older-than`, `exclude-if-present`, `exclude-regex`,
    /// `select`, `exclude-file`.
    pub rules: Vec<SelectRule>,
    /// Do not cross into other file systems.
    pub one_filesystem: bool,
    /// Leave device files out.
    pub exclude_devices: bool,
    /// Back up what symbolic links point to instead of the links.
    pub follow_symlinks: bool,
    /// How its file system is frozen while it is read.
    pub snapshot: SnapshotKind,
    /// What programs print, stored beside the files.
    pub dumps: Vec<Dump>,
    /// Folder at the root of the source that holds them in the backup.
    pub dump_folder: String,
}

/// One rule of selection, in duplicity's meaning.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectRule {
    /// A glob of duplicity, absolute or beginning with `**`.
    Glob {
        /// Whether what matches is included or left out.
        include: bool,
        /// The pattern.
        pattern: String,
    },
    /// A regular expression searched for in the full path.
    Regex {
        /// Whether what matches is included or left out.
        include: bool,
        /// The pattern.
        pattern: String,
    },
    /// A file with one glob a line; `+ ` and `- ` in front of a line decide, otherwise `include` does.
    File {
        /// What a line without a sign means.
        include: bool,
        /// The file, absolute.
        path: PathBuf,
        /// Whether lines end with a NUL byte instead of a newline.
        nul_separated: bool,
    },
    /// Leaves out directories that hold a file of this name.
    IfPresent(String),
    /// Leaves out files last modified before this time.
    OlderThan(TimeText),
}

/// Where backups go.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Short name among the targets of a profile; ends the archive dir of all but the first.
    pub name: String,
    /// The place.
    pub url: TargetUrl,
    /// Settings of the service: `region`, `storage-class` …
    pub options: BTreeMap<String, String>,
    /// Password of the service.
    pub password: Option<SecretRef>,
    /// Name of the target whose sets are copied here. Sets come from nowhere else then.
    pub copy_of: Option<String>,
    /// A target that may be absent: skipped then, not failed.
    pub optional: bool,
    /// Bytes a second uploads may use.
    pub upload_limit: Option<u64>,
    /// Bytes a second downloads may use.
    pub download_limit: Option<u64>,
    /// Transfers at a time; at least 1.
    pub connections: u32,
    /// How often a failed transfer is tried again.
    pub retries: u32,
    /// How long a transfer may stand still.
    pub timeout: Duration,
    /// Recovery files beside each file, in percent of it.
    pub par2_redundancy: Option<u32>,
}

#[cfg(test)]
mod tests;
