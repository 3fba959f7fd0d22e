//! What was typed: words and options, in any order, with duplicity's abbreviations and implied actions.

use super::fault::{Fault, Result};
use super::flags::{self, Arity, Flag};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An action and its two positional arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Incremental if possible, else full.
    Backup,
    /// Full.
    Full,
    /// Incremental.
    Incremental,
    /// Restore.
    Restore,
    /// Verify.
    Verify,
    /// List the files of a state.
    List,
    /// Show chains and sets.
    Status,
    /// Remove leftovers.
    Cleanup,
    /// Remove chains older than a time.
    RemoveOlderThan,
    /// Keep the newest n chains.
    RemoveAllButNFull,
    /// Keep increments of the newest n chains.
    RemoveAllIncOfButNFull,
    /// Copy to another target; dropped in duplicity 2.0.
    Replicate,
}

impl Action {
    /// Makes a set.
    pub fn writes(self) -> bool {
        matches!(self, Action::Backup | Action::Full | Action::Incremental)
    }

    /// Looks at names only, so it needs no key.
    pub fn needs_no_key(self) -> bool {
        use Action::{Cleanup, RemoveAllButNFull, RemoveAllIncOfButNFull, RemoveOlderThan, Status};
        matches!(
            self,
            Status | Cleanup | RemoveOlderThan | RemoveAllButNFull | RemoveAllIncOfButNFull
        )
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let row = ACTIONS.iter().find(|(action, _, _)| *action == self);
        row.and_then(|(_, names, _)| names.first().copied())
            .unwrap_or_default()
    }
}

/// Actions, their names, and how many arguments they take.
pub const ACTIONS: &[(Action, &[&str], usize)] = &[
    (Action::Backup, &["backup", "bu"], 2),
    (Action::Full, &["full", "fb"], 2),
    (
        Action::Incremental,
        &["incremental", "incr", "inc", "ib"],
        2,
    ),
    (Action::Restore, &["restore", "rb"], 2),
    (Action::Verify, &["verify", "vb"], 2),
    (Action::List, &["list-current-files", "ls"], 1),
    (Action::Status, &["collection-status", "st"], 1),
    (Action::Cleanup, &["cleanup", "cl"], 1),
    (Action::RemoveOlderThan, &["remove-older-than", "ro"], 2),
    (
        Action::RemoveAllButNFull,
        &["remove-all-but-n-full", "ra"],
        2,
    ),
    (
        Action::RemoveAllIncOfButNFull,
        &["remove-all-inc-of-but-n-full", "ri"],
        2,
    ),
    (Action::Replicate, &["replicate"], 2),
];

/// Options whose value is a whole number, at least this.
const NUMBERS: &[(&str, i64)] = &[
    ("volsize", 1),
    ("max-blocksize", 0),
    ("num-retries", 0),
    ("backend-retry-delay", 0),
    ("timeout", 0),
    ("concurrency", 0),
    ("full-if-n-inc", 0),
    ("progress-rate", 0),
    ("log-fd", 1),
    ("show-changes-in-set", -1),
    ("current-time", i64::MIN),
    ("copy-blocksize", 0),
    ("skip-volume", 0),
    ("fail-on-volume", 0),
    ("par2-redundancy", 0),
    ("par2-volumes", 0),
    ("s3-multipart-chunk-size", 0),
    ("s3-multipart-max-procs", 0),
    ("mp-segment-size", 0),
    ("azure-max-single-put-size", 0),
    ("azure-max-block-size", 0),
    ("azure-max-connections", 0),
];

/// A command line, understood.
#[derive(Debug)]
pub struct Args {
    /// What to do.
    pub action: Action,
    /// Positional arguments after the action.
    pub words: Vec<OsString>,
    /// Options in the order they were given.
    pub options: Vec<(&'static Flag, Vec<OsString>)>,
    /// Whether the action was inferred from the arguments.
    pub implied: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// `--version`.
    Version,
    /// `--help`.
    Help,
    /// `--help-urls`.
    Urls,
    /// An action.
    Run(Args),
}

impl Request {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// One line that says what cannot be understood.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let (Args { options, .. }, mut words) = Self::options(args)?;
        let has = |name: &str| options.iter().any(|(f, _)| f.means == name);
        if has("version") {
            return Ok(Request::Version);
        }
        if has("help") {
            return Ok(Request::Help);
        }
        if has("help-urls") {
            return Ok(Request::Urls);
        }
        let (action, implied) = action_of(&mut words)?;
        let args = Args {
            action,
            words,
            options,
            implied,
        };
        for (name, least) in NUMBERS {
            if args.number::<i64>(name)?.is_some_and(|n| n < *least) {
                return Err(Fault::usage(format!("--{name} wants at least {least}")));
            }
        }
        let modes = ["full", "partial"];
        if let Some(mode) = args
            .text("metadata-sync-mode")?
            .filter(|mode| !modes.contains(mode))
        {
            let text = format!("--metadata-sync-mode is full or partial, not {mode}");
            return Err(Fault::usage(text));
        }
        Ok(Request::Run(args))
    }

    /// Takes the options out of a command line: they, and the words that are left.
    ///
    /// # Errors
    /// An option that is unknown, ambiguous, or without its value.
    pub fn options(args: impl IntoIterator<Item = OsString>) -> Result<(Args, Vec<OsString>)> {
        let mut words: Vec<OsString> = Vec::new();
        let mut options = Vec::new();
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            let bytes = arg.as_bytes();
            if bytes.len() < 2 || bytes[0] != b'-' {
                words.push(arg);
                continue;
            }
            let (flag, mut values) = match bytes.strip_prefix(b"--") {
                Some(long) => long_option(long)?,
                None => short_option(bytes)?,
            };
            let (least, most) = match flag.arity {
                Arity::Flag => (0, 0),
                Arity::Value => (1, 1),
                Arity::Pair => (2, 2),
                // COMPAT(dup 1.x): the address of a mailbox, which is neither option nor URL.
                Arity::Either => match args.peek() {
                    Some(next) if values.is_empty() && is_address(next) => (1, 1),
                    _ => (0, 1),
                },
            };
            if values.len() > most {
                return Err(Fault::usage(format!(
                    "option --{} takes no value",
                    flag.name
                )));
            }
            while values.len() < least {
                values.push(args.next().ok_or_else(|| {
                    Fault::usage(format!("option --{} needs a value", flag.name))
                })?);
            }
            options.push((flag, values));
        }
        let args = Args {
            action: Action::Backup,
            words: Vec::new(),
            options,
            implied: false,
        };
        Ok((args, words))
    }
}

/// Where a machine log is to go, of a command line that may not be understood otherwise: names of options and their values.
pub fn logs(args: &[OsString]) -> Vec<(&'static str, OsString)> {
    let mut found = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let option = arg.as_bytes().strip_prefix(b"--").map(long_option);
        let Some(Ok((flag, mut values))) = option else {
            continue;
        };
        if matches!(flag.means, "log-file" | "log-fd") {
            let value = values.pop().or_else(|| args.next().cloned());
            found.extend(value.map(|value| (flag.means, value)));
        }
    }
    found
}

fn long_option(long: &[u8]) -> Result<(&'static Flag, Vec<OsString>)> {
    let (name, value) = match long.iter().position(|b| *b == b'=') {
        Some(at) => (
            &long[..at],
            Some(OsString::from_vec(long[at + 1..].to_vec())),
        ),
        None => (long, None),
    };
    let name = String::from_utf8_lossy(name);
    let flag = flags::find(&name).map_err(|candidates| {
        Fault::usage(match candidates.as_slice() {
            [] => format!("unknown option --{name}"),
            many => format!("option --{name} is ambiguous: --{}", many.join(", --")),
        })
    })?;
    Ok((flag, value.into_iter().collect()))
}

fn short_option(bytes: &[u8]) -> Result<(&'static Flag, Vec<OsString>)> {
    let flag = flags::find_short(char::from(bytes[1])).ok_or_else(|| {
        Fault::usage(format!("unknown option {}", String::from_utf8_lossy(bytes)))
    })?;
    let value = (bytes.len() > 2).then(|| OsString::from_vec(bytes[2..].to_vec()));
    Ok((flag, value.into_iter().collect()))
}

/// Whether a word is a mail address rather than anything else a command line has.
fn is_address(word: &OsStr) -> bool {
    let text = word.to_str().unwrap_or_default();
    text.contains('@') && !text.contains(['/', ':']) && !text.starts_with('-')
}

/// Takes the action from the words, or infers it from their shapes; and whether it was inferred.
fn action_of(words: &mut Vec<OsString>) -> Result<(Action, bool)> {
    let first = words
        .first()
        .and_then(|w| w.to_str())
        .unwrap_or_default()
        .to_owned();
    let exact = ACTIONS
        .iter()
        .find(|(_, names, _)| names.contains(&first.as_str()));
    // COMPAT(dup ≤1.x): any unique beginning of an action's name, unless the words make sense without one.
    let begun = |names: &[&str]| !first.is_empty() && names.iter().any(|n| n.starts_with(&first));
    let mut prefixed = ACTIONS
        .iter()
        .filter(|(_, names, _)| names.first().is_some_and(|n| begun(&[n])));
    let guessed = guess(words);
    // A path of that name is meant if there is one.
    let guessed = guessed.filter(|_| {
        let fits = |(_, names, count): &&(Action, &[&str], usize)| {
            words.len() == count + 1 && names.first().is_some_and(|n| begun(&[n]))
        };
        ACTIONS.iter().filter(fits).count() != 1 || std::fs::symlink_metadata(&first).is_ok()
    });
    let found = match (exact, guessed) {
        (Some(row), _) => Some(row),
        (None, Some(_)) => None,
        (None, None) => match (prefixed.next(), prefixed.next()) {
            (Some(row), None) => Some(row),
            (Some((_, one, _)), Some((_, other, _))) => {
                return Err(Fault::usage(format!(
                    "{first:?} may mean {} or {}",
                    one.first().unwrap_or(&""),
                    other.first().unwrap_or(&"")
                )));
            }
            _ => None,
        },
    };
    if let Some((action, _, count)) = found {
        words.remove(0);
        if words.len() != *count {
            return Err(Fault::usage(format!(
                "{} takes {count} argument(s), {} were given",
                action.name(),
                words.len()
            )));
        }
        return Ok((*action, false));
    }
    if let Some(action) = guessed {
        return Ok((action, true));
    }
    Err(match words.as_slice() {
        [] => Fault::usage("nothing to do: give an action, or a source and a target URL"),
        [one] if is_url(one) => Fault::usage("a target alone is no action").with_hint(
            "say what to do with it, for example collection-status or list-current-files",
        ),
        [from, to] if is_url(from) && is_url(to) => Fault::usage("two target URLs and no action")
            .with_hint("give a path and a URL for a backup, a URL and a path for a restore"),
        [_, _] => Fault::usage("two paths and no action")
            .with_hint("write the target as a URL, for example file:///path"),
        _ => Fault::usage(format!(
            "{first:?} is no action: cannot tell what to do with {} arguments",
            words.len()
        )),
    })
}

/// What two words without an action mean.
fn guess(words: &[OsString]) -> Option<Action> {
    match words {
        [from, to] if !is_url(from) && is_url(to) => Some(Action::Backup),
        [from, to] if is_url(from) && !is_url(to) => Some(Action::Restore),
        _ => None,
    }
}

/// Whether a word is a target URL.
pub fn is_url(word: &OsStr) -> bool {
    word.to_str()
        .and_then(|w| w.split_once("://"))
        .is_some_and(|(scheme, _)| {
            !scheme.is_empty()
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'+')
        })
}

impl Args {
    /// Whether a flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(f, _)| f.means == name)
    }

    /// The last value of an option.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        let given = self.options.iter().rev().find(|(f, _)| f.means == name)?;
        given.1.first().map(OsString::as_os_str)
    }

    /// The last value of an option, as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.value(name)
            .map(|v| {
                v.to_str()
                    .ok_or_else(|| Fault::usage(format!("--{name} is not UTF-8")))
            })
            .transpose()
    }

    /// The last value of an option, as a number.
    ///
    /// # Errors
    /// It is not a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |t: &str| {
            t.parse()
                .map_err(|_| Fault::usage(format!("--{name} wants a whole number, not {t:?}")))
        };
        self.text(name)?.map(parse).transpose()
    }

    /// Whether a switch is on, of which `no-…` is the opposite: the last of the two says.
    pub fn switch(&self, name: &str, default: bool) -> bool {
        let said = |f: &Flag| match f.means {
            means if means == name => Some(true),
            means if means.strip_prefix("no-") == Some(name) => Some(false),
            _ => None,
        };
        self.options
            .iter()
            .rev()
            .find_map(|(f, _)| said(f))
            .unwrap_or(default)
    }

    /// All values of an option.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a OsStr> {
        self.options
            .iter()
            .filter(move |(f, _)| f.means == name)
            .filter_map(|(_, v)| v.first().map(OsString::as_os_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Args> {
        match Request::parse(args.iter().map(OsString::from))? {
            Request::Run(args) => Ok(args),
            other => Err(Fault::usage(format!("{other:?}"))),
        }
    }

    #[test]
    fn actions_are_named_abbreviated_or_implied() {
        assert_eq!(
            run(&["full", "/a", "file:///b"]).unwrap().action,
            Action::Full
        );
        assert_eq!(
            run(&["incr", "/a", "file:///b"]).unwrap().action,
            Action::Incremental
        );
        assert_eq!(run(&["/a", "file:///b"]).unwrap().action, Action::Backup);
        assert_eq!(run(&["file:///b", "/a"]).unwrap().action, Action::Restore);
        assert_eq!(
            run(&["remove-older", "2M", "file:///b"]).unwrap().action,
            Action::RemoveOlderThan
        );
        assert_eq!(run(&["li", "file:///b"]).unwrap().action, Action::List);
        assert_eq!(run(&["ls", "file:///b"]).unwrap().action, Action::List);
        // A source may be called as an action begins.
        assert_eq!(run(&["re", "file:///b"]).unwrap().action, Action::Backup);
        assert_eq!(run(&["coll", "file:///b"]).unwrap().action, Action::Status);
        assert!(run(&["/a", "file:///b"]).unwrap().implied);
        for wrong in [
            &["/a", "/b"][..],
            &["full", "/a"],
            &["file:///b"],
            &["file:///b", "file:///c"],
            &["re", "1", "file:///b"],
            &["frob", "1", "file:///b"],
            &[],
        ] {
            assert_eq!(run(wrong).unwrap_err().code, 23, "{wrong:?}");
        }
    }

    #[test]
    fn options_stand_anywhere_and_in_both_forms() {
        let args = run(&[
            "--volsize",
            "5",
            "full",
            "-v9",
            "/a",
            "--name=x",
            "file:///b",
            "--no-enc",
        ])
        .unwrap();
        assert_eq!(args.number::<u64>("volsize").unwrap(), Some(5));
        assert_eq!(args.text("name").unwrap(), Some("x"));
        assert_eq!(args.text("verbosity").unwrap(), Some("9"));
        assert!(args.has("no-encryption"));
        assert!(run(&["full", "/a", "file:///b", "--force=1"]).is_err());
        assert!(run(&["full", "/a", "file:///b", "--volsize"]).is_err());
    }

    #[test]
    fn the_last_of_a_switch_and_its_opposite_holds() {
        let on = |args: &[&str]| {
            let all = [&["/a", "file:///b"], args].concat();
            run(&all).unwrap().switch("encryption", true)
        };
        assert!(on(&[]));
        assert!(!on(&["--no-encryption"]));
        assert!(on(&["--no-encryption", "--encryption"]));
        assert!(!on(&["--encryption", "--no-encryption"]));
    }

    #[test]
    fn numbers_are_checked_before_anything_is_done() {
        for wrong in [
            "--volsize=abc",
            "--volsize=0",
            "--log-fd=0",
            "--concurrency=-1",
            "--current-time=soon",
        ] {
            assert!(run(&["/a", "file:///b", wrong]).is_err(), "{wrong}");
        }
        assert!(run(&["/a", "file:///b", "--current-time=-5"]).is_ok());
    }

    #[test]
    fn an_option_that_lost_its_value_takes_one_only_if_it_is_meant() {
        let words = |args: &[&str]| run(args).unwrap().words.len();
        assert_eq!(words(&["/a", "file:///b", "--imap-full-address"]), 2);
        assert_eq!(
            words(&["--imap-full-address", "me@host", "/a", "file:///b"]),
            2
        );
        assert_eq!(words(&["--imap-full-address", "/a", "file:///b"]), 2);
    }
}
