//! The commands of a batch as clap knows commands: what their manual pages are made from.
//!
//! They are no subcommands, since a batch holds several of them; `plan::batch` parses them. Names and arguments come
//! from there, the options from [`Common`], so that a page cannot say what the program does not take.

use super::Common;
use crate::plan::batch::{WORDS, Word};
use clap::{Arg, ArgAction, Args, Command as Grammar};

/// All commands of a batch.
pub fn commands() -> impl Iterator<Item = Grammar> {
    WORDS.iter().map(|(_, word)| command(*word))
}

/// One command of a batch, with its arguments and options.
pub fn command(word: Word) -> Grammar {
    let name = word.text();
    let (about, more) = text(word);
    let mut usage = format!("dupr PROFILE {name}");
    let mut command = Grammar::new(name)
        .display_name(format!("dupr-{name}"))
        .bin_name(format!("dupr PROFILE {name}"))
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .disable_help_flag(true);
    for (number, argument) in word.arguments().enumerate() {
        usage.push_str(&match argument.optional {
            true => format!(" [{}]", argument.placeholder),
            false => format!(" {}", argument.placeholder),
        });
        let arg = Arg::new(format!("argument-{number}"))
            .value_name(argument.placeholder)
            .required(!argument.optional)
            .help(argument.meaning);
        command = command.arg(arg);
    }
    if matches!(word, Word::Verify | Word::VerifyPath) {
        command = command.arg(
            Arg::new("compare-data")
                .long("compare-data")
                .action(ArgAction::SetTrue)
                .help("Hold contents against the live source"),
        );
    }
    if matches!(word, Word::Check) {
        command = command.arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("Do those that are not due as well"),
        );
    }
    if matches!(word, Word::Restore | Word::Fetch) {
        command = command.arg(
            Arg::new("overwrite")
                .long("overwrite")
                .value_name("WHICH")
                .value_parser(clap::value_parser!(super::OverwriteWord))
                .help("Add to a destination that holds something, and replace such files there"),
        );
    }
    usage.push_str(" [OPTIONS]");
    // Their own text would stand in place of the command's.
    Common::augment_args(command.override_usage(usage))
        .about(about)
        .long_about(more)
}

/// A word of the language as people write it: duply's words of two parts have a capital.
pub fn spelling(word: &str) -> String {
    for first in ["purge", "verify"] {
        let mut rest = word.strip_prefix(first).unwrap_or_default().chars();
        if let Some(letter) = rest.next() {
            return format!("{first}{}{}", letter.to_uppercase(), rest.as_str());
        }
    }
    word.to_owned()
}

/// What a command does: in a line, and at length.
fn text(word: Word) -> (&'static str, &'static str) {
    match word {
        Word::Backup => (
            "Back up: the hooks called pre, a set, the hooks called post",
            "Stands for [pre_bkp_post]. The set is full if there is no chain to go on with, if full-every is over or if the \
             chain is damaged, else incremental; a set that was interrupted is gone on with. A pre that fails stops the \
             set, not post.",
        ),
        Word::Pre => (
            "Run the hooks called pre",
            "An executable called pre beside profile.toml, or hooks with on = \"pre\". If one fails, a set that follows is \
             not made.",
        ),
        Word::Bkp => (
            "Make a set, full or incremental",
            "As backup, without pre and post. A run makes one set.",
        ),
        Word::Full => (
            "Make a full set",
            "Begins a new chain, whatever full-every says. A run makes one set.",
        ),
        Word::Incr => (
            "Make an incremental set",
            "Adds to the newest chain, and is refused if there is none that can be gone on with. A run makes one set; \
             incr-full makes a full one if that fails.",
        ),
        Word::Post => (
            "Run the hooks called post",
            "An executable called post beside profile.toml, or hooks with on = \"post\".",
        ),
        Word::Purge => (
            "Remove what [retention] does not keep, and clean up",
            "All rules of [retention], then cleanup; with an age, the chains older than that. Nothing kept depends on what \
             is removed, and the newest chain that restores stays. It asks at a terminal; without one, --force or \
             force = true under [retention] removes, and otherwise what would go is listed.",
        ),
        Word::PurgeFull => (
            "Remove all but the newest chains",
            "Keeps so many, keep-fulls of [retention] if no number is given.",
        ),
        Word::PurgeIncr => (
            "Remove the incremental sets of all but the newest chains",
            "Keeps those of so many chains, keep-chains-with-incrementals of [retention] if no number is given.",
        ),
        Word::PurgeAuto => (
            "Remove by each rule of [retention] by itself",
            "max-age, purgeFull and purgeIncr, as far as the profile has the rules.",
        ),
        Word::Cleanup => (
            "Remove what broken runs left at the target",
            "Files of sets that were never finished. What the next backup can go on with stays.",
        ),
        Word::Verify => (
            "Read a state back",
            "Fetches, checks and opens every volume the state needs, and compares it with the source as far as times and \
             sizes go; with --compare-data also the contents. Exit code 5 if there are differences.",
        ),
        Word::VerifyPath => (
            "Read a folder or file of a state back and compare it",
            "As verify, for what lies below the path, compared with a local place.",
        ),
        Word::Check => (
            "Do the checks of [check] that are due",
            "quick looks at manifests, names and sizes, spot compares a share of the entries with the source, restore-test \
             restores some files into a temporary place. Exit code 5 if there are differences.",
        ),
        Word::Status => (
            "Show chains and sets, and what is damaged or incomplete",
            "Looks at the target and changes nothing. dupr status tells of all profiles from their histories.",
        ),
        Word::List => (
            "List the entries of a state",
            "From the signatures, without fetching a volume.",
        ),
        Word::Find => (
            "Look for names over all sets",
            "A glob, or a part of a name; each path is shown with its versions.",
        ),
        Word::Versions => (
            "Show every version of one path over all sets",
            "A line for each: since which set it was so, in how many sets, how long a file was as far as signatures tell, when it \
             was changed, and what differs from the version before. Sets in a row in which nothing differs are one version. \
             Answered from the signatures on this machine; only what is missing here is fetched.",
        ),
        Word::Diff => (
            "Show what changed between two states",
            "Of the newest set and the one before it if no times are given.",
        ),
        Word::Restore => (
            "Restore everything",
            "Into a folder that does not exist or is empty; --force merges into one that is not. What cannot be restored is \
             listed, the rest is restored, and the exit code is 14.",
        ),
        Word::Fetch => (
            "Restore a folder or file",
            "As restore, for what lies below the path.",
        ),
        Word::Replicate => (
            "Copy missing sets to the targets that are copies of another",
            "For each target with copy-of: the sets it lacks, oldest first, sealed anew. Every file is read back before the \
             set counts, nothing is removed, and what is damaged is not copied (exit code 14). home@offsite replicate means \
             one target.",
        ),
        Word::Sync => (
            "Make the archive dir equal to the target",
            "Fetches manifests and signatures that are missing on this machine, and removes copies of what is gone.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_one_for_clap() {
        for command in commands() {
            command.debug_assert();
        }
    }

    #[test]
    fn usage_names_the_arguments_of_the_language() {
        let usage = |word| command(word).render_usage().to_string();
        assert_eq!(
            usage(Word::Fetch),
            "Usage: dupr PROFILE fetch PATH LOCAL [AGE] [OPTIONS]"
        );
        assert_eq!(usage(Word::Backup), "Usage: dupr PROFILE backup [OPTIONS]");
    }
}
