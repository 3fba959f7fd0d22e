//! Which entries of a tree belong to a backup: dupr's rules and duplicity's.
//!
//! Compared are the entries, their order, and for rules that cannot be used the exit code.

use super::rules::{self, Opt};
use super::{Oracle, Tally, bytes, compare, latin1};
use crate::support::scratch::Scratch;
use dupr::engine::monitor::Silent;
use dupr::engine::select::{Error, Selection};
use dupr::engine::stream::Keyed;
use dupr::engine::tree::{Source, Walk};
use dupr::engine::{Cancel, Context, Timestamp};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;

/// Trees in an ordinary run, and lists of options for each.
const TREES: u64 = 2000;
const LISTS: usize = 3;

/// What is selected, in order, or duplicity's exit code.
pub type Outcome = Result<Vec<Vec<u8>>, String>;

/// A source, and how it is looked at.
pub struct Case<'a> {
    /// Where it lies.
    pub real: &'a Path,
    /// As it was typed.
    pub typed: String,
    pub null: bool,
    pub copy_links: bool,
    pub options: Vec<Opt>,
}

impl Case<'_> {
    pub fn dupr(&self) -> Outcome {
        let select = Selection::builder(self.typed.as_bytes())
            .extend(self.options.iter().map(rules::rule))
            .null_separated(self.null)
            .build()
            .map_err(|error| code(&error))?;
        let source = Source::new(self.real)
            .with_selection(select)
            .following_symlinks(self.copy_links);
        let cancel = Cancel::new();
        let cx = Context {
            monitor: &Silent,
            cancel: &cancel,
            now: Timestamp(0),
            threads: 1,
        };
        let walk = Walk::new(&source, &cx).expect("the source is there");
        Ok(walk
            .map(|item| item.expect("not stopped").path().as_bytes().to_vec())
            .collect())
    }

    pub fn duplicity(&self, dir: &Path, oracle: &mut Oracle) -> Outcome {
        let answer = oracle.ask(&json!({
            "ask": "select",
            "dir": dir,
            "root": self.typed,
            "null": self.null,
            "copy_links": self.copy_links,
            "options": rules::asked(&self.options),
        }));
        match &answer["error"] {
            Value::String(error) => Err(error.clone()),
            _ => Ok(answer["paths"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|path| bytes(path.as_str().expect("text")))
                .collect()),
        }
    }

    /// Why the two may differ, if they may.
    fn exception(&self, expected: &Outcome) -> Option<&'static str> {
        let lists = || {
            self.options
                .iter()
                .filter(|(n, _)| n.ends_with("-filelist") || *n == "files-from")
        };
        let has_odd_path = || {
            let ends = |b: &u8| {
                if self.null {
                    *b == 0
                } else {
                    matches!(b, b'\n' | b'\r')
                }
            };
            let odd = |part: &[u8]| matches!(part, b"" | b"." | b"..");
            let lists = self.options.iter().filter(|(n, _)| *n == "files-from");
            let mut lines = lists
                .flat_map(|(_, list)| list.split(ends))
                .filter(|line| !line.is_empty());
            lines.any(|line| line.split(|b| *b == b'/').any(odd) && !line.starts_with(b"/"))
        };
        match expected {
            Err(code) if code == "bad UnicodeDecodeError" => {
                Some("a list that is not UTF-8 is read all the same")
            }
            _ if self.null && lists().any(|(_, list)| list.contains(&b'\r')) => {
                Some("a carriage return in a list separated by NUL is itself")
            }
            _ if has_odd_path() => Some("paths of --files-from with empty, . or .. components"),
            _ => None,
        }
    }
}

/// duplicity's exit code for rules it refuses; `bad` where it ends with a traceback.
fn code(error: &Error) -> String {
    match error {
        Error::FilePrefix { .. } => "14",
        Error::Globbing(_) => "15",
        Error::RedundantInclude(_) => "16",
        Error::EmptyPattern => "23",
        Error::RedundantFilter => "70",
        Error::TrailingFilter => "71",
        Error::FilesFromPath { .. } => "72",
        Error::EmptyFilesFrom => "73",
        _ => "bad",
    }
    .to_owned()
}

/// Whether both select the same in the same order, or refuse for the same reason.
fn agree(found: &Outcome, expected: &Outcome) -> bool {
    match (found, expected) {
        (Ok(found), Ok(expected)) => found == expected,
        // Where duplicity ends with a traceback, dupr may know better.
        (Err(found), Err(expected)) => found == expected || expected.starts_with("bad "),
        _ => false,
    }
}

pub fn show(outcome: &Outcome) -> String {
    match outcome {
        Ok(paths) => {
            let paths: Vec<String> = paths.iter().map(|p| p.escape_ascii().to_string()).collect();
            format!("{} entries: {}", paths.len(), paths.join(" | "))
        }
        Err(code) => format!("error {code}"),
    }
}

fn tree(seed: u64, oracle: &mut Oracle, tally: &mut Tally) -> Vec<String> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let scratch = Scratch::new("rules");
    let real = scratch.join("t");
    let paths = rules::make_tree(&real, &mut dice);
    // A source that looks like its parent is taken by duplicity for the file system's root: --files-from finds nothing then.
    rules::stamp(&File::open(scratch.path()).expect("the folder"), 1);
    tally.add("trees", 1);
    let absolute = real.to_str().expect("a plain name").to_owned();
    let mut differences = Vec::new();
    for _ in 0..LISTS {
        let typed = match dice.random_range(0..12) {
            0..4 => absolute.clone(),
            4 => format!("{absolute}//"),
            5..9 => "t".into(),
            9 => "./t/".into(),
            10 => "t/.".into(),
            _ => ".".into(),
        };
        let canonical = dupr::engine::select::canonical(typed.as_bytes());
        let null = dice.random_range(0..10) == 0;
        let case = Case {
            real: &real,
            null,
            copy_links: dice.random_range(0..10) == 0,
            options: rules::options(&canonical, &paths, null, &mut dice),
            typed,
        };
        let dir = if case.typed == "." {
            &real
        } else {
            scratch.path()
        };
        let expected = case.duplicity(dir, oracle);
        let found = case.dupr();
        tally.add("lists", 1);
        tally.add(
            if expected.is_ok() {
                "selected"
            } else {
                "refused"
            },
            1,
        );
        if agree(&found, &expected) {
            continue;
        }
        if let Some(exception) = case.exception(&expected) {
            tally.add(exception, 1);
            continue;
        }
        let options: Vec<String> = case
            .options
            .iter()
            .map(|(name, value)| format!("--{name} '{}'", value.escape_ascii()))
            .collect();
        differences.push(format!(
            "source {:?}{}{} {}\n  dupr       {}\n  duplicity  {}",
            case.typed,
            if case.null { " --null-separator" } else { "" },
            if case.copy_links { " --copy-links" } else { "" },
            options.join(" "),
            show(&found),
            show(&expected)
        ));
    }
    differences
}

#[test]
fn random_rules_select_the_same_of_random_trees() {
    compare("selection", TREES, tree);
}

#[test]
fn devices_and_other_file_systems_are_told_apart() {
    // /dev has both, mounts below it included.
    compare("selection of /dev", 4, |seed, oracle, tally| {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut options: Vec<Opt> = Vec::new();
        let paths =
            ["", "null", "pts", "shm", "fd", "pts/0", "tty1"].map(|p| p.as_bytes().to_vec());
        for _ in 0..dice.random_range(0..3) {
            let sign = *["exclude", "include"].choose(&mut dice).expect("two");
            let path = latin1(paths.choose(&mut dice).expect("some"));
            options.push((sign, format!("/dev/{path}").into_bytes()));
        }
        if dice.random() {
            options.push(("exclude-device-files", Vec::new()));
        }
        if dice.random() {
            options.push(("exclude-other-filesystems", Vec::new()));
        }
        let case = Case {
            real: Path::new("/dev"),
            typed: "/dev".into(),
            null: false,
            copy_links: false,
            options,
        };
        // Terminals and shared memory come and go, in other tests as well.
        let steady = |outcome: Outcome| -> Outcome {
            let stays = |path: &Vec<u8>| !String::from_utf8_lossy(path).contains("shm/");
            outcome.map(|paths| paths.into_iter().filter(stays).collect())
        };
        for _ in 0..5 {
            let (found, expected) = (case.dupr(), case.duplicity(Path::new("/"), oracle));
            let (found, expected) = (steady(found), steady(expected));
            if agree(&found, &expected) {
                tally.add("lists", 1);
                return Vec::new();
            }
        }
        vec![format!(
            "{:?}\n  dupr       {}\n  duplicity  {}",
            case.options,
            show(&case.dupr()),
            show(&case.duplicity(Path::new("/"), oracle))
        )]
    });
}
