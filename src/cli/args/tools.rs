//! What may stand behind the name of a tool.

use super::assignment;
use clap::{Args, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleWhat {
    /// Put schedules into effect: crontab, systemd timers or launchd
    Install(InstallArgs),
    /// Take schedules out of effect
    Remove(ScheduleArgs),
    /// What is in effect, and whether it is what the profiles say
    Show(ScheduleArgs),
    /// Print schedules for somebody else to start
    Export(ExportArgs),
}

/// Which schedules, and who starts them.
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// Names, globs or paths; all with a [schedule] if absent
    pub profiles: Vec<String>,
    /// Who starts them; what this machine has if absent
    #[arg(long = "as", value_enum, value_name = "WAY")]
    pub way: Option<Starter>,
    /// systemd: units of the user, not of the machine
    #[arg(long)]
    pub user: bool,
    /// systemd: units of the machine; the rule for root
    #[arg(long, conflicts_with = "user")]
    pub system: bool,
}

/// Which schedules are put into effect, and who starts them.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Which, and who starts them.
    #[command(flatten)]
    pub which: ScheduleArgs,
    /// Do not look for stale backups every hour
    #[arg(long)]
    pub no_watch: bool,
}

/// What can start programs on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Starter {
    /// cron.
    Crontab,
    /// systemd.
    Systemd,
    /// launchd of macOS.
    Launchd,
}

/// Which schedules, and in what form.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Names, globs or paths; all with a [schedule] if absent
    pub profiles: Vec<String>,
    /// For whom
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub form: ExportForm,
    /// systemd: units of the user, not of the machine
    #[arg(long)]
    pub user: bool,
    /// Leave out the hourly look for stale backups
    #[arg(long)]
    pub no_watch: bool,
}

/// For whom schedules are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportForm {
    /// Lines of a crontab.
    Crontab,
    /// Timers and services.
    Systemd,
    /// Property lists.
    Launchd,
    /// CronJobs.
    Kubernetes,
    /// A Dockerfile.
    Docker,
}

/// What is to be planned.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Names (with commas), a glob, a path, or `all`
    #[arg(required_unless_present = "simulate")]
    pub profile: Option<String>,
    /// The batch and its arguments; [run] default if absent
    pub words: Vec<OsString>,
    /// verify: hold contents against the live source
    #[arg(long)]
    pub compare_data: bool,
    /// check: those that are not due as well
    #[arg(long = "all")]
    pub all_checks: bool,
    /// restore, fetch: add to a destination that holds something, and replace such files there
    #[arg(long, value_name = "WHICH")]
    pub overwrite: Option<super::OverwriteWord>,
    /// Only what [retention] would remove; with --simulate as if every run purged
    #[arg(long)]
    pub prune: bool,
    /// The calendar of what would exist when: so far into the future, from schedule and retention
    #[arg(long, value_name = "AGE")]
    pub simulate: Option<String>,
}

/// What `dupr target` does.
#[derive(Debug, Subcommand)]
pub enum TargetAction {
    /// Try whether it keeps what it is given, with small files that are removed again
    Test(TargetPlace),
    /// Names and sizes of all files
    Ls(TargetPlace),
    /// Fetch a file
    Get {
        /// Where.
        #[command(flatten)]
        place: TargetPlace,
        /// Name of the file at the target
        name: String,
        /// Where to write it; in the working directory under its own name if absent
        file: Option<PathBuf>,
    },
    /// Store a file, in place of one of the same name
    Put {
        /// Where.
        #[command(flatten)]
        place: TargetPlace,
        /// The file
        file: PathBuf,
        /// Its name at the target; its own if absent
        name: Option<String>,
    },
    /// Remove files
    Rm {
        /// Where.
        #[command(flatten)]
        place: TargetPlace,
        /// Names of the files at the target
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// A target: that of a profile, or one that has none.
#[derive(Debug, Args)]
pub struct TargetPlace {
    /// URL of a target, or name or path of a profile
    #[arg(value_name = "URL|PROFILE")]
    pub place: String,
    /// Set an option of the service: -o region=eu-central-1. Not beside a profile, which has its own
    #[arg(short, long = "option", value_name = "KEY=VALUE", value_parser = assignment)]
    pub option: Vec<(String, String)>,
}

/// What `dupr recover` reads, and where it writes.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Folder or URL with what is left, or the profile whose target it is
    #[arg(value_name = "FOLDER|URL|PROFILE")]
    pub place: String,
    /// Where to restore to; must not exist, or be empty
    pub destination: PathBuf,
    /// The state at this time; the newest if absent
    #[arg(long)]
    pub time: Option<String>,
    /// Only this path, relative to the source
    #[arg(long)]
    pub path: Option<PathBuf>,
    /// Keys and prefixes of this profile
    #[arg(long)]
    pub profile: Option<String>,
    /// File with the passphrase; else $PASSPHRASE, else it is asked for. Keys are looked for in GnuPG's keyring
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub passphrase_file: Option<PathBuf>,
    /// What the names of all files begin with
    #[arg(long, value_name = "TEXT", conflicts_with = "profile")]
    pub file_prefix: Option<String>,
}

/// What `dupr keys` does.
#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Print the recovery sheet of a profile: all a person needs to restore on a bare machine
    Export {
        /// Name or path of the profile
        profile: String,
        /// Write the secret keys to this file, which must not exist; only its owner can read it
        #[arg(long, value_name = "FILE")]
        secret_keys: Option<PathBuf>,
    },
}

/// Options of `dupr du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// Name or path of the profile
    pub profile: String,
    /// Only what lies below this path, relative to the source
    pub path: Option<PathBuf>,
    /// How many folders deep
    #[arg(long, default_value_t = 2)]
    pub depth: usize,
    /// How many paths, those that take most; 0 for all
    #[arg(long, default_value_t = 20)]
    pub top: usize,
}

/// What `dupr thaw` orders.
#[derive(Debug, Args)]
pub struct ThawArgs {
    /// Name or path of the profile
    pub profile: String,
    /// The state at this time; the newest if absent
    #[arg(long)]
    pub time: Option<String>,
    /// How many days the volumes stay at hand
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=365))]
    pub days: u16,
    /// How fast; the faster the dearer
    #[arg(long, value_enum, default_value_t = HowFast::Standard)]
    pub speed: HowFast,
}

/// How fast an archive fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HowFast {
    /// Within hours, the cheapest way
    Bulk,
    /// As the service does it by itself
    Standard,
    /// Within minutes; not from the deepest archives
    Expedited,
}

/// A file with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Described {
    /// A profile.
    Profile,
    /// `groups.toml`.
    Groups,
}

/// Which manual pages, and where they go.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// A tool, a command of a batch, or duplicity for the other front door; dupr(1) if absent
    pub page: Vec<String>,
    /// Write all pages into this folder, as packages need them
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub all: Option<PathBuf>,
}

/// Another tool's profiles.
#[derive(Debug, Subcommand)]
pub enum ImportFrom {
    /// A profile of duply
    Duply {
        /// Its name, or the directory with `conf`
        profile: PathBuf,
        /// Directory for the new profile's folder
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// A shell script that calls duplicity
    Script {
        /// The script; it is read and not run
        file: PathBuf,
        /// Name of the new profile, if not that of the script
        #[arg(long)]
        name: Option<String>,
        /// Directory for the new profile's folder
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// The settings of Déjà Dup
    DejaDup {
        /// File with what `gsettings list-recursively org.gnome.DejaDup` or `dconf dump /org/gnome/deja-dup/` printed;
        /// the settings of this user if absent
        file: Option<PathBuf>,
        /// Name of the new profile, if not deja-dup
        #[arg(long)]
        name: Option<String>,
        /// Directory for the new profile's folder
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
    /// A configuration of borgmatic
    Borgmatic {
        /// Its YAML file; borgmatic's usual places if absent
        file: Option<PathBuf>,
        /// Name of the new profile, if not that of the file
        #[arg(long)]
        name: Option<String>,
        /// Directory for the new profile's folder
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
}

/// A single profile.
#[derive(Debug, Args)]
pub struct OneProfile {
    /// Name or path of the profile
    pub profile: String,
}

/// Some profiles, or all.
#[derive(Debug, Args)]
pub struct SomeProfiles {
    /// Names, globs or paths; all if absent
    pub profiles: Vec<String>,
}

/// Options of `dupr status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Names, globs or paths; all if absent
    pub profiles: Vec<String>,
    /// Exit with 6 if a backup is stale or there is none, 1 if the last run failed, 3 if it had problems, 2 if a profile cannot be used; with --remote also with 13 if a target cannot be reached, 5 if it holds other than it was given
    #[arg(long)]
    pub exit_code: bool,
    /// Look at the targets themselves, and hold what lies there against what this machine knows
    #[arg(long)]
    pub remote: bool,
}

/// Options of `dupr history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Name or path of the profile
    pub profile: String,
    /// So many of the last runs
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    pub last: usize,
    /// The whole report of one run: 1 is the last, 2 the one before
    #[arg(long, value_name = "N")]
    pub report: Option<usize>,
    /// That report as HTML
    #[arg(long, requires = "report")]
    pub html: bool,
}

/// Options of `dupr log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Name or path of the profile, or name of a group; the last runs of all profiles if absent
    pub profile: Option<String>,
    /// Which run: 1 is the last, 2 the one before; or a time, for the last run that had begun by then
    pub run: Option<String>,
    /// Shows the run that is under way as it goes on, and ends with it
    #[arg(long, short = 'f', requires = "profile", conflicts_with = "run")]
    pub follow: bool,
    /// Without a profile: so many of the last runs
    #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
    pub last: usize,
}

/// Options of `dupr init`. What is not given is asked at a terminal.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the new profile
    pub name: Option<String>,
    /// Directory to back up
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// URL of the target
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// Make a passphrase and keep it in this file, readable by you only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_env", "no_encryption", "encrypt_to"])]
    pub passphrase_file: Option<PathBuf>,
    /// Take the passphrase from this variable of the environment
    #[arg(long, value_name = "NAME", conflicts_with_all = ["no_encryption", "encrypt_to"])]
    pub passphrase_env: Option<String>,
    /// Encrypt to this public key
    #[arg(long, value_name = "KEY", conflicts_with = "no_encryption")]
    pub encrypt_to: Vec<String>,
    /// Store everything readable by anyone who gets at the target
    #[arg(long)]
    pub no_encryption: bool,
    /// Leave out what this glob matches
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// When it should run: a cron expression
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// Mail reports go to this address
    #[arg(long, value_name = "ADDRESS")]
    pub mail_to: Option<String>,
    /// Directory for the profile
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Do not try whether the target can be reached
    #[arg(long)]
    pub no_test: bool,
    /// Ask nothing
    #[arg(long, short)]
    pub yes: bool,
}
