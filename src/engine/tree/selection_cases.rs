//! Random rules on a tree of awkward names: what duplicity 3.2.1 selects, dupr selects.
//!
//! `tests/select/generate.py` made the cases with the real program and says how they are written.

use super::{Source, Walk};
use crate::engine::context::{Cancel, Context};
use crate::engine::monitor::Silent;
use crate::engine::select::{Action, Case, Error, Mode, Rule, Selection};
use crate::engine::stream::Keyed;
use crate::engine::time::Timestamp;
use percent_encoding::percent_decode;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

static CASES: &[u8] = include_bytes!("../../../tests/select/cases.txt");

fn decode(text: &[u8]) -> Vec<u8> {
    percent_decode(text).collect()
}

/// Makes the tree; whatever leads to something is a directory.
fn make(root: &Path, paths: &[Vec<u8>]) {
    let cwd = rustix::fs::CWD;
    for path in paths {
        let at = root.join(OsStr::from_bytes(path));
        let below = [path.as_slice(), b"/"].concat();
        let leads = path.is_empty() || paths.iter().any(|other| other.starts_with(&below));
        match path.as_slice() {
            b"link" => std::os::unix::fs::symlink("ab", at).unwrap(),
            b"fifo" => rustix::fs::mkfifoat(cwd, at, 0o600.into()).unwrap(),
            _ if leads || path.ends_with(b"empty") => fs::create_dir(at).unwrap(),
            _ => {
                let file = fs::File::create(at).unwrap();
                let time = rustix::fs::Timespec {
                    tv_sec: 1000 * (path.len() as i64 % 3),
                    tv_nsec: 0,
                };
                let times = rustix::fs::Timestamps {
                    last_access: time,
                    last_modification: time,
                };
                rustix::fs::futimens(file, &times).unwrap();
            }
        }
    }
}

fn rule(option: &[u8]) -> Rule {
    let at = option.iter().position(|b| *b == b'=').unwrap();
    let text = decode(&option[at + 1..]);
    match &option[..at] {
        b"include" => Rule::Pattern(Action::Include, text),
        b"exclude" => Rule::Pattern(Action::Exclude, text),
        b"include-regexp" => Rule::Regexp(Action::Include, text),
        b"exclude-regexp" => Rule::Regexp(Action::Exclude, text),
        b"include-filelist" => Rule::Filelist(Action::Include, text),
        b"exclude-filelist" => Rule::Filelist(Action::Exclude, text),
        b"exclude-if-present" => Rule::ExcludeIfPresent(text),
        b"exclude-device-files" => Rule::ExcludeDevices,
        b"exclude-other-filesystems" => Rule::ExcludeForeign,
        b"exclude-older-than" => {
            Rule::ExcludeOlderThan(Timestamp(String::from_utf8(text).unwrap().parse().unwrap()))
        }
        b"files-from" => Rule::FilesFrom(text),
        b"filter-literal" => Rule::Mode(Mode::Literal),
        b"filter-globbing" => Rule::Mode(Mode::Glob),
        b"filter-regexp" => Rule::Mode(Mode::Regexp),
        b"filter-ignorecase" => Rule::Case(Case::Ignore),
        b"filter-strictcase" => Rule::Case(Case::Strict),
        other => panic!("unknown option {other:?}"),
    }
}

/// As the cases have it: exit code, or a digit for each path.
fn outcome(source: &Path, root: &[u8], rules: Vec<Rule>, paths: &[Vec<u8>]) -> String {
    let select = match Selection::builder(root).extend(rules).build() {
        Ok(select) => select,
        Err(error) => {
            let code = match error {
                Error::FilePrefix { .. } => "14",
                Error::Globbing(_) => "15",
                Error::RedundantInclude(_) => "16",
                Error::EmptyPattern => "23",
                Error::RedundantFilter => "70",
                Error::TrailingFilter => "71",
                Error::FilesFromPath { .. } => "72",
                Error::EmptyFilesFrom => "73",
                _ => "bad",
            };
            return code.to_owned();
        }
    };
    let source = Source::new(source).with_selection(select);
    let cancel = Cancel::new();
    let cx = Context {
        monitor: &Silent,
        cancel: &cancel,
        now: Timestamp(0),
        threads: 1,
    };
    let found: BTreeSet<Vec<u8>> = Walk::new(&source, &cx)
        .unwrap()
        .map(|item| item.unwrap().path().as_bytes().to_vec())
        .collect();
    paths
        .iter()
        .map(|path| if found.contains(path) { '1' } else { '0' })
        .collect()
}

#[test]
fn random_rules_select_what_duplicity_selects() {
    let temp = tempfile::tempdir().unwrap();
    let source = temp.path().join("t");
    let mut lines = CASES.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let paths: Vec<Vec<u8>> = [Vec::new()]
        .into_iter()
        .chain(
            lines
                .next()
                .unwrap()
                .split(|b| *b == b'\t')
                .skip(1)
                .map(decode),
        )
        .collect();
    make(&source, &paths);
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines {
        let fields: Vec<&[u8]> = line.split(|b| *b == b'\t').collect();
        let [root, options @ .., expected] = &fields[..] else {
            panic!("{line:?}")
        };
        let rules = options.iter().map(|option| rule(option)).collect();
        let found = outcome(&source, &decode(root), rules, &paths);
        if found.as_bytes() != *expected {
            wrong.push(format!(
                "{}\n  found {found}",
                String::from_utf8_lossy(line)
            ));
        }
        count += 1;
    }
    assert!(
        count == 400 && wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(25)].join("\n")
    );
}
