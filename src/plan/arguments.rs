//! Which argument belongs to which command of a batch.
//!
//! Commands take their arguments in the order they stand in the batch: first what a command needs, then what it may
//! have, as long as that fits. `-` stands for one left out. An argument that a later command could have taken just
//! as well is refused instead of guessed at, since the wrong guess may delete; so is one nobody takes.

use super::batch::{BatchError, BatchItem, BatchNode, Command, Rough, Word};
use crate::engine::time_text::{TimeText, TimeTextError};
use std::collections::VecDeque;
use std::path::{Component, PathBuf};

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// A path inside the source.
    Inside,
    /// A local path.
    Local,
    /// A pattern.
    Pattern,
    /// A time or age, may be left out.
    Time,
    /// A number from 1, may be left out.
    Count,
}

impl Slot {
    fn optional(self) -> bool {
        matches!(self, Slot::Time | Slot::Count)
    }

    /// As the synopsis of a command writes it.
    fn placeholder(self) -> &'static str {
        match self {
            Slot::Inside => "PATH",
            Slot::Local => "LOCAL",
            Slot::Pattern => "PATTERN",
            Slot::Time => "AGE",
            Slot::Count => "N",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Slot::Inside => "a path inside the source",
            Slot::Local => "a local path",
            Slot::Pattern => "a pattern",
            Slot::Time => "a time or age",
            Slot::Count => "a number",
        }
    }

    fn fits(self, argument: &str) -> bool {
        match self {
            Slot::Time => TimeText::parse(argument, ':').is_ok(),
            Slot::Count => argument.parse::<u32>().is_ok_and(|n| n > 0),
            _ => !argument.is_empty(),
        }
    }
}

/// An argument of a command, for its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// As the synopsis writes it: `AGE`.
    pub placeholder: &'static str,
    /// What it may be, in words.
    pub meaning: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
}

impl Word {
    /// Its arguments, in order.
    pub fn arguments(self) -> impl Iterator<Item = Argument> {
        slots(self).iter().map(|slot| Argument {
            placeholder: slot.placeholder(),
            meaning: slot.name(),
            optional: slot.optional(),
        })
    }
}

/// A command with its arguments, those in brackets that may be left out.
fn synopsis(word: Word) -> String {
    let mut text = word.text().to_owned();
    for argument in word.arguments() {
        text.push_str(&match argument.optional {
            true => format!(" [{}]", argument.placeholder),
            false => format!(" {}", argument.placeholder),
        });
    }
    text
}

fn slots(word: Word) -> &'static [Slot] {
    match word {
        Word::Purge | Word::Verify | Word::List => &[Slot::Time],
        Word::PurgeFull | Word::PurgeIncr => &[Slot::Count],
        Word::VerifyPath => &[Slot::Inside, Slot::Local, Slot::Time],
        Word::Find => &[Slot::Pattern],
        Word::Versions => &[Slot::Inside],
        Word::Diff => &[Slot::Time, Slot::Time],
        Word::Restore => &[Slot::Local, Slot::Time],
        Word::Fetch => &[Slot::Inside, Slot::Local, Slot::Time],
        _ => &[],
    }
}

/// Deals arguments out to the commands of a batch.
///
/// # Errors
/// An argument that is missing, that nobody takes, or that several could take.
pub(super) fn bind(rough: Vec<Rough>, given: &[String]) -> Result<Vec<BatchNode>, BatchError> {
    let mut words = Vec::new();
    collect(&rough, &mut words);
    let mut bound = deal(&words, given)?;
    build(rough, &mut bound)
}

fn collect(rough: &[Rough], words: &mut Vec<Word>) {
    for node in rough {
        match node {
            Rough::Command(_, word) => words.push(*word),
            Rough::Group(_, nodes) => collect(nodes, words),
        }
    }
}

type Bound = VecDeque<VecDeque<Option<String>>>;

/// A place for an argument: number of its command in the batch, the command's word, and what fits.
type Place = (usize, Word, Slot);

fn deal(words: &[Word], given: &[String]) -> Result<Bound, BatchError> {
    let all: Vec<Place> = words
        .iter()
        .enumerate()
        .flat_map(|(i, w)| slots(*w).iter().map(move |s| (i, *w, *s)))
        .collect();
    let mut left: VecDeque<&String> = given.iter().collect();
    let mut values: Vec<Option<String>> = Vec::new();
    for (i, (_, word, slot)) in all.iter().enumerate() {
        let needed_later = all
            .iter()
            .skip(i + 1)
            .filter(|(_, _, s)| !s.optional())
            .count();
        let value = if slot.optional() {
            match left.front() {
                Some(text) if *text == "-" => {
                    left.pop_front();
                    None
                }
                Some(text) if left.len() > needed_later && slot.fits(text) => {
                    left.pop_front().cloned()
                }
                _ => None,
            }
        } else {
            let missing = || {
                let help = format!("write dupr PROFILE {}", synopsis(*word));
                BatchError::new(format!("{} needs {}", word.text(), slot.name()), help)
            };
            let text = left.pop_front().ok_or_else(missing)?;
            if !slot.fits(text) {
                return Err(missing());
            }
            Some(text.clone())
        };
        values.push(value);
    }
    if let Some(extra) = left.front() {
        let takers: Vec<&Place> = all.iter().filter(|(_, _, s)| s.optional()).collect();
        let help = match takers.as_slice() {
            [] => words
                .first()
                .map(|word| format!("`dupr help {}` tells what it takes", word.text())),
            [(_, word, Slot::Count), ..] => {
                Some(format!("{} takes a number from 1 up", word.text()))
            }
            _ => Some(TimeTextError::hint().to_owned()),
        };
        return Err(BatchError::new(
            format!("no command of this batch takes the argument {extra:?}"),
            help,
        ));
    }
    // With a `-` in the list it was said what is meant.
    if !given.iter().any(|g| g == "-") {
        unambiguous(&all, &values)?;
    }
    let mut values = values.into_iter();
    Ok(words
        .iter()
        .map(|w| values.by_ref().take(slots(*w).len()).collect())
        .collect())
}

/// Refuses an argument that fits a later command, too, if that one got none.
fn unambiguous(all: &[Place], values: &[Option<String>]) -> Result<(), BatchError> {
    for (i, ((command, word, slot), value)) in all.iter().zip(values).enumerate() {
        let Some(value) = value.as_ref().filter(|_| slot.optional()) else {
            continue;
        };
        let mut later = all.iter().zip(values).skip(i + 1);
        let other = later
            .find(|((c, _, s), v)| c != command && s.optional() && v.is_none() && s.fits(value));
        if let Some(((_, other, _), _)) = other {
            let help = format!("write - for the one that is to get none: {value} - or - {value}");
            let message = format!(
                "{value:?} could be for {} or for {}",
                word.text(),
                other.text()
            );
            return Err(BatchError::new(message, Some(help)));
        }
    }
    Ok(())
}

fn build(rough: Vec<Rough>, bound: &mut Bound) -> Result<Vec<BatchNode>, BatchError> {
    let mut nodes = Vec::new();
    for node in rough {
        nodes.push(match node {
            Rough::Group(when, inner) => BatchNode {
                when,
                item: BatchItem::Group(build(inner, bound)?),
            },
            Rough::Command(when, word) => {
                let mut values = bound.pop_front().unwrap_or_default();
                BatchNode {
                    when,
                    item: BatchItem::Command(command(word, &mut values)?),
                }
            }
        });
    }
    Ok(nodes)
}

fn command(word: Word, values: &mut VecDeque<Option<String>>) -> Result<Command, BatchError> {
    let mut next = || values.pop_front().flatten();
    let time = |text: Option<String>| text.and_then(|t| TimeText::parse(&t, ':').ok());
    Ok(match word {
        Word::Backup => Command::Backup,
        Word::Pre => Command::Pre,
        Word::Bkp => Command::Bkp,
        Word::Full => Command::Full,
        Word::Incr => Command::Incr,
        Word::Post => Command::Post,
        Word::Purge => Command::Purge(time(next())),
        Word::PurgeFull => Command::PurgeFull(next().and_then(|n| n.parse().ok())),
        Word::PurgeIncr => Command::PurgeIncr(next().and_then(|n| n.parse().ok())),
        Word::PurgeAuto => Command::PurgeAuto,
        Word::Cleanup => Command::Cleanup,
        Word::Verify => Command::Verify(time(next())),
        Word::VerifyPath => Command::VerifyPath {
            path: inside(next())?,
            local: PathBuf::from(next().unwrap_or_default()),
            time: time(next()),
        },
        Word::Check => Command::Check,
        Word::Status => Command::Status,
        Word::List => Command::List(time(next())),
        Word::Find => Command::Find(next().unwrap_or_default()),
        Word::Versions => Command::Versions(inside(next())?),
        Word::Diff => Command::Diff(time(next()), time(next())),
        Word::Restore => Command::Restore {
            destination: PathBuf::from(next().unwrap_or_default()),
            time: time(next()),
        },
        Word::Fetch => Command::Fetch {
            path: inside(next())?,
            destination: PathBuf::from(next().unwrap_or_default()),
            time: time(next()),
        },
        Word::Sync => Command::Sync,
        Word::Replicate => Command::Replicate,
    })
}

/// A path inside the source, without `.` and doubled slashes. Absolute ones are cut to size by the planner.
fn inside(text: Option<String>) -> Result<PathBuf, BatchError> {
    let text = text.unwrap_or_default();
    let path = PathBuf::from(&text);
    if path.components().any(|c| c == Component::ParentDir) {
        let help = Some("give it relative to the source".to_owned());
        return Err(BatchError::new(
            format!("{text:?} leads out of the source"),
            help,
        ));
    }
    Ok(path
        .components()
        .filter(|c| *c != Component::CurDir)
        .collect())
}

/// The arguments of a command as they are typed; `-` for one left out.
pub(super) fn of(command: &Command) -> Vec<String> {
    let path = |path: &PathBuf| match path.to_string_lossy() {
        text if text.is_empty() => ".".to_owned(),
        text => text.into_owned(),
    };
    let time = |time: &Option<TimeText>| time.as_ref().map_or("-".to_owned(), ToString::to_string);
    let count = |count: &Option<u32>| count.map_or("-".to_owned(), |n| n.to_string());
    match command {
        Command::Purge(t) | Command::Verify(t) | Command::List(t) => vec![time(t)],
        Command::PurgeFull(n) | Command::PurgeIncr(n) => vec![count(n)],
        Command::VerifyPath {
            path: inside,
            local,
            time: t,
        } => vec![path(inside), path(local), time(t)],
        Command::Find(pattern) => vec![pattern.clone()],
        Command::Versions(inside) => vec![path(inside)],
        Command::Diff(from, to) => vec![time(from), time(to)],
        Command::Restore {
            destination,
            time: t,
        } => vec![path(destination), time(t)],
        Command::Fetch {
            path: inside,
            destination,
            time: t,
        } => vec![path(inside), path(destination), time(t)],
        _ => Vec::new(),
    }
}
