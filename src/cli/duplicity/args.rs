//! What was typed: words and options, in any order, with duplicity's abbreviations and implied actions.

use super::flags::{self, Arity, Effect, Flag};
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
}

const ACTIONS: &[(Action, &[&str], usize)] = &[
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
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// `--version`.
    Version,
    /// `--help`.
    Help,
    /// An action.
    Run(Args),
}

impl Request {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// One line that says what cannot be understood.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut words: Vec<OsString> = Vec::new();
        let mut options = Vec::new();
        let mut args = args.into_iter();
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
            let wanted = match flag.arity {
                Arity::Flag => 0,
                Arity::Value => 1,
                Arity::Pair => 2,
            };
            if values.len() > wanted {
                return Err(format!("option --{} takes no value", flag.name));
            }
            while values.len() < wanted {
                values.push(
                    args.next()
                        .ok_or_else(|| format!("option --{} needs a value", flag.name))?,
                );
            }
            options.push((flag, values));
        }
        let has = |name: &str| options.iter().any(|(f, _)| f.means == name);
        if has("version") {
            return Ok(Request::Version);
        }
        if has("help") {
            return Ok(Request::Help);
        }
        if let Some((flag, Effect::Refused(why))) = options
            .iter()
            .map(|(f, _)| (f, f.effect))
            .find(|(_, e)| matches!(e, Effect::Refused(_)))
        {
            return Err(format!("option --{} {why}", flag.name));
        }
        let action = action_of(&mut words)?;
        Ok(Request::Run(Args {
            action,
            words,
            options,
        }))
    }
}

fn long_option(long: &[u8]) -> Result<(&'static Flag, Vec<OsString>), String> {
    let (name, value) = match long.iter().position(|b| *b == b'=') {
        Some(at) => (
            &long[..at],
            Some(OsString::from_vec(long[at + 1..].to_vec())),
        ),
        None => (long, None),
    };
    let name = String::from_utf8_lossy(name);
    let flag = flags::find(&name).map_err(|candidates| match candidates.as_slice() {
        [] => format!("unknown option --{name}"),
        many => format!("option --{name} is ambiguous: --{}", many.join(", --")),
    })?;
    Ok((flag, value.into_iter().collect()))
}

fn short_option(bytes: &[u8]) -> Result<(&'static Flag, Vec<OsString>), String> {
    let flag = flags::find_short(char::from(bytes[1]))
        .ok_or_else(|| format!("unknown option {}", String::from_utf8_lossy(bytes)))?;
    let value = (bytes.len() > 2).then(|| OsString::from_vec(bytes[2..].to_vec()));
    Ok((flag, value.into_iter().collect()))
}

/// Takes the action from the words, or infers it from their shapes.
fn action_of(words: &mut Vec<OsString>) -> Result<Action, String> {
    let first = words
        .first()
        .and_then(|w| w.to_str())
        .unwrap_or_default()
        .to_owned();
    let exact = ACTIONS
        .iter()
        .find(|(_, names, _)| names.contains(&first.as_str()));
    // COMPAT(dup ≤1.x): any unique beginning of an action's name.
    let mut prefixed = ACTIONS
        .iter()
        .filter(|(_, names, _)| !first.is_empty() && names[0].starts_with(&first));
    let found = exact.or_else(|| {
        prefixed
            .next()
            .filter(|_| prefixed.next().is_none() && words.len() > 1)
    });
    if let Some((action, names, count)) = found {
        words.remove(0);
        if words.len() != *count {
            return Err(format!(
                "{} takes {count} arguments, {} were given",
                names[0],
                words.len()
            ));
        }
        return Ok(*action);
    }
    match words.as_slice() {
        [from, to] if !is_url(from) && is_url(to) => Ok(Action::Backup),
        [from, to] if is_url(from) && !is_url(to) => Ok(Action::Restore),
        [] => Err("nothing to do: give an action, or a source and a target URL".into()),
        _ => Err(format!(
            "cannot tell what to do with {} arguments: give an action first",
            words.len()
        )),
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
    pub fn text(&self, name: &str) -> Result<Option<&str>, String> {
        self.value(name)
            .map(|v| v.to_str().ok_or_else(|| format!("--{name} is not UTF-8")))
            .transpose()
    }

    /// The last value of an option, as a number.
    ///
    /// # Errors
    /// It is not a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let parse = |t: &str| {
            t.parse()
                .map_err(|_| format!("--{name} wants a number, not {t:?}"))
        };
        self.text(name)?.map(parse).transpose()
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

    fn run(args: &[&str]) -> Result<Args, String> {
        match Request::parse(args.iter().map(OsString::from))? {
            Request::Run(args) => Ok(args),
            other => Err(format!("{other:?}")),
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
        assert!(run(&["/a", "/b"]).is_err());
        assert!(run(&["full", "/a"]).is_err());
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
}
