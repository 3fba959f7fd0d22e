//! `dupr home history` is `dupr history home`: tools that take one profile may stand behind it, where the commands
//! of a batch stand.
//!
//! `status` is both: a command of the batch shows chains and sets, and with `--exit-code` or `--remote` it is the tool.

use super::args::Cli;
use clap::CommandFactory;
use std::ffi::{OsStr, OsString};

/// Tools that take a profile first.
const TOOLS: &[&str] = &[
    "history",
    "log",
    "show",
    "plan",
    "doctor",
    "du",
    "mail-test",
    "recover",
    "unlock",
    "thaw",
];

/// The words of a profile's line with a tool behind the profile put in front of it; `None` if it is a batch.
pub fn tool_first(words: &[OsString]) -> Option<Vec<OsString>> {
    let at = second_word(words)?;
    let word = words.get(at)?.to_str()?.to_lowercase();
    let is_tool = TOOLS.contains(&word.as_str())
        || (word == "status" && words.iter().any(|w| w == "--exit-code" || w == "--remote"));
    if !is_tool {
        return None;
    }
    let mut line = vec![OsString::from(word)];
    line.extend(words.iter().take(at).cloned());
    line.extend(words.iter().skip(at + 1).cloned());
    Some(line)
}

/// Where the second word stands that is neither an option nor the value of one; the first is the profile.
fn second_word(words: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = words.get(at)?;
        if word == "--" || !word.as_encoded_bytes().starts_with(b"-") {
            return Some(at);
        }
        at += if takes_next(word) { 2 } else { 1 };
    }
}

/// Whether an option for everything has its value in the next word.
fn takes_next(option: &OsStr) -> bool {
    let Some(name) = option.to_str().and_then(|o| o.strip_prefix("--")) else {
        return false;
    };
    Cli::command()
        .get_arguments()
        .any(|a| a.get_long() == Some(name) && a.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let line = tool_first(&words)?;
        let line: Vec<String> = line.into_iter().map(|w| w.into_string().unwrap()).collect();
        Some(line.join(" "))
    }

    #[test]
    fn a_tool_behind_the_profile_comes_first() {
        assert_eq!(sorted("home history -n 3").unwrap(), "history home -n 3");
        assert_eq!(
            sorted("home --config-dir x --json SHOW").unwrap(),
            "show home --config-dir x --json"
        );
        assert_eq!(
            sorted("home plan restore plan").unwrap(),
            "plan home restore plan"
        );
        assert_eq!(
            sorted("home recover /restored").unwrap(),
            "recover home /restored"
        );
        assert_eq!(
            sorted("home status --exit-code").unwrap(),
            "status home --exit-code"
        );
        assert_eq!(
            sorted("home status --remote").unwrap(),
            "status home --remote"
        );
    }

    #[test]
    fn every_tool_stands_behind_a_profile_or_is_told_to_come_first() {
        use crate::plan::batch::{FIRST, WORDS};
        let grammar = Cli::command();
        for tool in grammar.get_subcommands().map(|t| t.get_name()) {
            let word = WORDS.iter().any(|(word, _)| *word == tool);
            let behind = TOOLS.contains(&tool);
            assert_eq!(FIRST.contains(&tool), !word && !behind, "{tool}");
        }
    }

    #[test]
    fn a_batch_stays_a_batch() {
        for line in [
            "home",
            "home status",
            "home backup_history",
            "home restore history",
            "home --set history backup",
            "home --json",
        ] {
            assert_eq!(sorted(line), None, "{line}");
        }
    }
}
