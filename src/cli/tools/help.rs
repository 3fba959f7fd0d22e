//! `dupr help WORD`: what a tool or a command of a batch does, as `--help` behind it tells.

use crate::cli::args::{self, RESERVED, commands};
use crate::cli::run;
use crate::engine::error::{Error, Result};
use crate::plan::batch::{WORDS, Word};
use crate::profile::error::nearest;
use clap::Command;
use std::ffi::OsString;

/// The text for some words; for none, what dupr can do.
///
/// # Errors
/// There is no tool and no command of that name.
pub fn text(words: &[String]) -> Result<String> {
    let mut root = args::grammar();
    root.build();
    let Some((first, rest)) = words.split_first() else {
        return Ok(root.render_help().to_string());
    };
    let mut parts = Vec::new();
    if let Some(tool) = root.find_subcommand(first.to_lowercase()) {
        parts.push(below(tool, rest)?.clone());
    }
    // `status` is both.
    parts.extend(of_batch(first).map(commands::command));
    if parts.is_empty() {
        return Err(unknown(first));
    }
    let texts: Vec<String> = parts
        .iter_mut()
        .map(|p| p.render_long_help().to_string())
        .collect();
    Ok(texts.join("\n"))
}

/// The text for the commands of a batch with `--help` behind it; `None` if it is not asked for, or names none.
pub fn of_line(words: &[OsString]) -> Option<String> {
    if !words.iter().any(|w| w == "--help" || w == "-h") {
        return None;
    }
    let mut named: Vec<Word> = Vec::new();
    for word in words.iter().filter_map(|w| w.to_str()) {
        let parts = word.split(|c: char| !c.is_alphanumeric());
        for part in parts.filter_map(of_batch) {
            if !word.starts_with('-') && !named.contains(&part) {
                named.push(part);
            }
        }
    }
    let texts = named
        .into_iter()
        .map(|word| commands::command(word).render_long_help().to_string());
    Some(texts.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
}

fn of_batch(word: &str) -> Option<Word> {
    let lower = word.to_lowercase();
    let found = WORDS.iter().find(|(text, _)| *text == lower);
    found.map(|(_, word)| *word)
}

/// What is named below a tool: `schedule install`.
fn below<'a>(tool: &'a Command, words: &[String]) -> Result<&'a Command> {
    let Some((first, rest)) = words.split_first() else {
        return Ok(tool);
    };
    match tool.find_subcommand(first.to_lowercase()) {
        Some(found) => below(found, rest),
        None => Err(unknown(first)),
    }
}

fn unknown(word: &str) -> Error {
    let words = WORDS.iter().map(|(text, _)| *text);
    let near = nearest(word, words.chain(RESERVED.iter().copied()));
    let help = match near {
        Some(near) => format!("did you mean {near}?"),
        None => {
            "`dupr help` lists all of them; `dupr man dupr.toml` tells of the keys of a profile"
                .to_owned()
        }
    };
    run::usage_error(format!("{word:?} is no tool and no command"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(words: &[&str]) -> Result<String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        text(&words)
    }

    #[test]
    fn whatever_can_be_typed_has_help() {
        assert!(help(&[]).unwrap().contains("Commands of a batch"));
        for (words, has) in [
            (&["init"][..], "Usage: dupr init"),
            (&["schedule", "export"], "Usage: dupr schedule export"),
            (&["RESTORE"], "Usage: dupr PROFILE restore LOCAL [AGE]"),
            (&["status"], "Usage: dupr status"),
            (&["status"], "Usage: dupr PROFILE status"),
            (&["help"], "Usage: dupr help"),
        ] {
            let text = help(words).unwrap();
            assert!(text.contains(has), "{words:?}: {text}");
        }
        for (word, _) in WORDS {
            assert!(help(&[word]).unwrap().contains(&format!("PROFILE {word}")));
        }
    }

    #[test]
    fn what_is_nothing_gets_the_nearest() {
        for (words, said) in [
            (&["restroe"][..], "did you mean restore?"),
            (&["profils"], "did you mean profiles?"),
            (&["schedule", "zzzzzzzzzz"], "dupr help"),
        ] {
            let error = help(words).unwrap_err();
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains(said), "{words:?}: {error}: {hint}");
        }
    }

    #[test]
    fn behind_a_batch_it_is_of_its_commands() {
        let of = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            of_line(&words)
        };
        let text = of("home backup_purge --help").unwrap();
        assert!(text.contains("PROFILE backup") && text.contains("PROFILE purge"));
        assert!(of("restore -h").unwrap().contains("PROFILE restore"));
        assert_eq!(of("home --help"), None);
        assert_eq!(of("home backup"), None);
    }
}
