//! What may stand on the command line: options for everything, tools, and `PROFILE BATCH` for all else.
//!
//! Only shapes are checked here; what the words mean is decided by `profile`, `plan` and the tools.

use crate::plan::batch::Overwrite;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

pub mod commands;
mod tools;

pub use tools::*;

/// Words that are tools, so that no profile can be called by them; those without a tool here are kept free.
pub const RESERVED: &[&str] = &[
    "init",
    "profiles",
    "status",
    "history",
    "log",
    "plan",
    "recover",
    "keys",
    "unlock",
    "du",
    "thaw",
    "schedule",
    "watch",
    "doctor",
    "import",
    "serve",
    "mail-test",
    "schema",
    "completions",
    "man",
    "show",
    "version",
    "help",
    "duplicity",
    "target",
    "all",
    "groups",
];

/// Backs up what profiles declare, in duplicity's format.
#[derive(Debug, Parser)]
#[command(
    name = "dupr",
    version,
    about = "Backs up what profiles declare, in duplicity's format",
    override_usage = "dupr [OPTIONS] PROFILE [BATCH [ARGUMENTS]]\n       dupr [OPTIONS] TOOL …",
    after_help = after_help(),
    arg_required_else_help = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "Tools",
    subcommand_value_name = "TOOL",
)]
pub struct Cli {
    /// Options for everything.
    #[command(flatten)]
    pub common: Common,
    /// A tool, or a profile with its batch.
    #[command(subcommand)]
    pub what: What,
}

/// Options that may stand anywhere.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options everywhere")]
pub struct Common {
    /// Show what would be done and why, and do nothing
    #[arg(long, visible_aliases = ["preview", "dry-run"], global = true)]
    pub plan: bool,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Tell more; twice for every entry
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Tell nothing when all goes well
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Append a line for everything that happens
    #[arg(long, value_name = "FILE", global = true)]
    pub log_file: Option<PathBuf>,
    /// How those lines look
    #[arg(long, value_enum, value_name = "FORM", global = true)]
    pub log_format: Option<LogForm>,
    /// When to use colors
    #[arg(long, value_enum, value_name = "WHEN", global = true)]
    pub color: Option<ColorWhen>,
    /// No live line, only finished steps
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Look for profiles here only
    #[arg(long, value_name = "DIR", global = true)]
    pub config_dir: Option<PathBuf>,
    /// Set a key of the profile for this run: backup.volume-size="50 MiB"
    #[arg(long, value_name = "KEY=VALUE", global = true, value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Do what deletes without being asked
    #[arg(long, global = true)]
    pub force: bool,
    /// Back up although the source is empty and was not before
    #[arg(long, global = true)]
    pub allow_empty: bool,
    /// Begin anew although the target holds nothing and did before
    #[arg(long, global = true)]
    pub allow_empty_target: bool,
    /// Make a full set with a new passphrase or key, although it does not open the newest set
    #[arg(long, global = true)]
    pub allow_new_key: bool,
    /// Go on with the chain of another host or source
    #[arg(long, global = true)]
    pub allow_source_mismatch: bool,
    /// Begin a new set instead of going on with an interrupted one
    #[arg(long, global = true)]
    pub fresh: bool,
    /// Do not wait for another run's lock
    #[arg(long, global = true)]
    pub no_lock_wait: bool,
    /// A schedule starts this: wait for its jitter, and end at once if nothing is due
    #[arg(long, global = true)]
    pub scheduled: bool,
}

/// How lines of the log file look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// Lines for people.
    Text,
    /// An object per line.
    Json,
}

/// When colors are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// At a terminal, unless NO_COLOR is set.
    Auto,
    /// In files and pipes as well.
    Always,
    /// Not at all.
    Never,
}

/// A tool, or a profile with its batch.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Write a new profile, test its target, print a recovery sheet
    Init(InitArgs),
    /// All profiles, where they come from, and which hide others
    Profiles,
    /// Last good backup, age, size and next run of every profile
    Status(StatusArgs),
    /// Past runs of a profile
    History(HistoryArgs),
    /// One past run as a whole: its report and its log
    Log(LogArgs),
    /// What a batch would do, and why; same as --plan
    Plan(PlanArgs),
    /// Let profiles run by themselves, as their [schedule] says
    Schedule {
        /// What to do.
        #[command(subcommand)]
        what: ScheduleWhat,
    },
    /// Tell about backups that are stale although nothing ran
    Watch(SomeProfiles),
    /// The merged profile, and where each value came from
    Show(OneProfile),
    /// Look for what could keep profiles from working
    Doctor(SomeProfiles),
    /// Send a test to everybody the profile reports to
    MailTest(OneProfile),
    /// Test a target, or list, fetch, put and remove its files
    Target {
        /// What to do there.
        #[command(subcommand)]
        action: TargetAction,
    },
    /// Restore what can be restored from whatever is left of a backup
    Recover(RecoverArgs),
    /// What is needed to restore on a bare machine
    Keys {
        /// What to do with them.
        #[command(subcommand)]
        action: KeysAction,
    },
    /// Try the keys of a profile in memory, so that gpg's agent knows their passphrases for the runs to come
    Unlock(OneProfile),
    /// Which paths take the space at the target
    Du(DuArgs),
    /// Have the volumes of a state fetched from the archive of a service
    Thaw(ThawArgs),
    /// Make a profile from one of another tool
    Import {
        /// The tool.
        #[command(subcommand)]
        from: ImportFrom,
    },
    /// The JSON Schema of profiles or groups, for editors
    Schema {
        /// Of which file
        #[arg(value_enum, default_value_t = Described::Profile)]
        of: Described,
    },
    /// Completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The manual page of dupr, of a tool or of a command of a batch
    Man(ManArgs),
    /// Version and build
    Version,
    /// What a tool or a command of a batch does, with its arguments and options
    Help {
        /// Its name; what dupr can do if absent
        words: Vec<String>,
    },
    /// A profile and its batch.
    #[command(external_subcommand)]
    Profile(Vec<OsString>),
}

/// A profile, a batch and its arguments.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batch")]
pub struct BatchWords {
    /// Names (with commas), a glob, a path, or `all`
    pub profile: String,
    /// The batch and its arguments; [run] default if absent
    pub words: Vec<OsString>,
    /// verify: hold contents against the live source
    #[arg(long)]
    pub compare_data: bool,
    /// check: those that are not due as well
    #[arg(long)]
    pub all: bool,
    /// restore, fetch: add to a destination that holds something, and replace such files there
    #[arg(long, value_name = "WHICH")]
    pub overwrite: Option<OverwriteWord>,
}

/// Which files at a destination are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverwriteWord {
    /// Not one: what is missing is added.
    Never,
    /// Those that were changed last before the ones in the backup.
    Older,
    /// Every one.
    Always,
}

impl From<OverwriteWord> for Overwrite {
    fn from(word: OverwriteWord) -> Self {
        match word {
            OverwriteWord::Never => Self::Never,
            OverwriteWord::Older => Self::Older,
            OverwriteWord::Always => Self::Always,
        }
    }
}

/// Runs commands for a profile, or for several: `dupr help` lists them, `dupr help backup` tells of one.
#[derive(Debug, Parser)]
#[command(
    name = "dupr",
    disable_version_flag = true,
    override_usage = "dupr PROFILE BATCH [ARGUMENTS] [OPTIONS]"
)]
pub struct ProfileLine {
    /// Profile, batch and arguments.
    #[command(flatten)]
    pub words: BatchWords,
    /// Options for everything.
    #[command(flatten)]
    pub common: Common,
}

impl Common {
    /// These options with those that stood elsewhere on the command line.
    pub fn and(self, other: Common) -> Common {
        Common {
            plan: self.plan || other.plan,
            json: self.json || other.json,
            verbose: self.verbose.saturating_add(other.verbose),
            quiet: self.quiet || other.quiet,
            log_file: other.log_file.or(self.log_file),
            log_format: other.log_format.or(self.log_format),
            color: other.color.or(self.color),
            no_progress: self.no_progress || other.no_progress,
            config_dir: other.config_dir.or(self.config_dir),
            set: self.set.into_iter().chain(other.set).collect(),
            force: self.force || other.force,
            allow_empty: self.allow_empty || other.allow_empty,
            allow_empty_target: self.allow_empty_target || other.allow_empty_target,
            allow_new_key: self.allow_new_key || other.allow_new_key,
            allow_source_mismatch: self.allow_source_mismatch || other.allow_source_mismatch,
            fresh: self.fresh || other.fresh,
            no_lock_wait: self.no_lock_wait || other.no_lock_wait,
            scheduled: self.scheduled || other.scheduled,
        }
    }
}

/// The whole grammar, for completions and the manual page.
pub fn grammar() -> clap::Command {
    Cli::command()
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write it as key=value".to_owned()),
    }
}

fn after_help() -> String {
    let mut text = String::from("Commands of a batch:\n");
    for command in commands::commands() {
        let about = command.get_about().map(ToString::to_string);
        text.push_str(&format!(
            "  {:<10}  {}\n",
            commands::spelling(command.get_name()),
            about.unwrap_or_default()
        ));
    }
    text.push_str(
        "\nThey are joined by `_` (then), `+` (only if the last one succeeded) and `-`\n\
         (only if it failed), and grouped by `[ ]`: `dupr home backup_purge`,\n\
         `dupr home 'bkp+[verify-status]'`. `dupr help WORD` tells more of each.\n\n\
         Exit codes:\n",
    );
    for (code, meaning) in super::exit::TABLE {
        text.push_str(&format!("  {code:>3}  {meaning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        grammar().debug_assert();
        ProfileLine::command().debug_assert();
    }

    #[test]
    fn help_is_a_table_that_fits_a_terminal() {
        let text = after_help();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for (word, _) in crate::plan::batch::WORDS {
            let start = format!("  {:<10}  ", commands::spelling(word));
            let lines = text.lines().filter(|l| l.starts_with(&start));
            assert_eq!(lines.count(), 1, "{word}");
        }
        // Not broken anew by what prints it.
        let help = grammar().term_width(80).render_help().to_string();
        assert!(help.contains(&text), "{help}");
    }

    #[test]
    fn every_tool_is_reserved() {
        for tool in grammar().get_subcommands() {
            assert!(RESERVED.contains(&tool.get_name()), "{}", tool.get_name());
        }
    }

    #[test]
    fn options_may_stand_before_and_after_the_profile() {
        let cli = Cli::try_parse_from(["dupr", "--json", "home", "purge", "1M", "--plan"]).unwrap();
        let What::Profile(words) = cli.what else {
            panic!("not a profile")
        };
        assert!(cli.common.json);
        let line =
            ProfileLine::try_parse_from(std::iter::once("dupr".into()).chain(words)).unwrap();
        assert!(line.common.plan && cli.common.and(line.common).json);
        assert_eq!(
            (line.words.profile.as_str(), line.words.words.len()),
            ("home", 2)
        );
    }
}
