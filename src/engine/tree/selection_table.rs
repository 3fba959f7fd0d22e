//! The table of docs/format.md, "File selection", on a real tree: each row was seen with duplicity 3.2.1.

use super::{Source, Walk};
use crate::engine::context::{Cancel, Context};
use crate::engine::monitor::Silent;
use crate::engine::select::{Action, Case, Error, Mode, Rule, Selection};
use crate::engine::stream::Keyed;
use crate::engine::time::Timestamp;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const FILES: [&str; 14] = [
    "home/.nobackup2",
    "home/ann/.nobackup",
    "home/ann/c.txt",
    "home/ben/foo.py",
    "home/ben/py/a.py",
    "home/ben/py/b.txt",
    "top.txt",
    "usr/doc/e",
    "usr/local/bin/x",
    "usr/local/doc/d",
    "usr/local.txt",
    "var/Log2",
    "var/log",
    "we[ird/f",
];

/// A directory whose name holds nothing the patterns look for, unlike a random one.
fn temp(name: &str) -> tempfile::TempDir {
    let prefix = format!("dupr-{name}-{}", std::process::id());
    tempfile::Builder::new()
        .prefix(&prefix)
        .rand_bytes(0)
        .tempdir()
        .unwrap()
}

/// The tree of the table at `base/srv/sel/t`; returns its path.
fn tree(base: &Path) -> String {
    let root = base.join("srv/sel/t");
    for file in FILES {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    std::os::unix::fs::symlink("usr", root.join("symdir")).unwrap();
    root.to_str().unwrap().to_owned()
}

/// Rules as they stand on duplicity's command line; `⏎` separates the lines of a list.
fn rules(line: &str, root: &str) -> Vec<Rule> {
    let base = root.strip_suffix("/srv/sel/t").unwrap();
    let line = line
        .replace("/srv/", &format!("{base}/srv/"))
        .replace("$R", root);
    let mut words = line.split(' ').filter(|word| !word.is_empty()).peekable();
    let mut rules = Vec::new();
    while let Some(option) = words.next() {
        let mut text = || {
            words
                .next()
                .unwrap_or_default()
                .replace('⏎', "\n")
                .replace('_', " ")
                .into_bytes()
        };
        rules.push(match option {
            "--include" => Rule::Pattern(Action::Include, text()),
            "--exclude" => Rule::Pattern(Action::Exclude, text()),
            "--include-regexp" => Rule::Regexp(Action::Include, text()),
            "--exclude-regexp" => Rule::Regexp(Action::Exclude, text()),
            "--include-filelist" => Rule::Filelist(Action::Include, text()),
            "--exclude-filelist" => Rule::Filelist(Action::Exclude, text()),
            "--exclude-if-present" => Rule::ExcludeIfPresent(text()),
            "--exclude-device-files" => Rule::ExcludeDevices,
            "--exclude-other-filesystems" => Rule::ExcludeForeign,
            "--exclude-older-than" => {
                Rule::ExcludeOlderThan(Timestamp(words.next().unwrap().parse().unwrap()))
            }
            "--files-from" => Rule::FilesFrom(text()),
            "--filter-literal" => Rule::Mode(Mode::Literal),
            "--filter-globbing" => Rule::Mode(Mode::Glob),
            "--filter-regexp" => Rule::Mode(Mode::Regexp),
            "--filter-ignorecase" => Rule::Case(Case::Ignore),
            "--filter-strictcase" => Rule::Case(Case::Strict),
            other => panic!("unknown option {other}"),
        });
    }
    rules
}

/// duplicity's exit code for rules it refuses.
fn code(error: &Error) -> u8 {
    match error {
        Error::FilePrefix { .. } => 14,
        Error::Globbing(_) => 15,
        Error::RedundantInclude(_) => 16,
        Error::EmptyPattern => 23,
        Error::RedundantFilter => 70,
        Error::TrailingFilter => 71,
        Error::FilesFromPath { .. } => 72,
        Error::EmptyFilesFrom => 73,
        other => panic!("{other}"),
    }
}

fn selected(root: &str, rules: Vec<Rule>) -> Result<BTreeSet<String>, u8> {
    let select = Selection::builder(root.as_bytes())
        .extend(rules)
        .build()
        .map_err(|error| code(&error))?;
    let source = Source::new(root).with_selection(select);
    let cancel = Cancel::new();
    let cx = Context {
        monitor: &Silent,
        cancel: &cancel,
        now: Timestamp(0),
        threads: 1,
    };
    Ok(Walk::new(&source, &cx)
        .unwrap()
        .map(|item| item.unwrap().path().to_string())
        .collect())
}

/// Number of the row, rules, and what comes of them: `all`, `but` these and what is below, `only` these, or an exit code.
const TABLE: &[(u32, &str, &str)] = &[
    (1, "--exclude $R/usr", "but usr"),
    (2, "--exclude $R/usr/", "but usr"),
    (3, "--exclude $R/top.txt/", "all"),
    (
        4,
        "--exclude $R/usr/*",
        "but usr/doc usr/local usr/local.txt",
    ),
    (
        5,
        "--exclude $R/usr/**",
        "but usr/doc usr/local usr/local.txt",
    ),
    (6, "--exclude $R/us?", "but usr"),
    (7, "--exclude $R/[uv]*", "but usr var"),
    (8, "--exclude $R/[!uv]*", "but home symdir top.txt we[ird"),
    (9, "--exclude $R/[^uv]*", "but home symdir top.txt we[ird"),
    (10, "--exclude $R/[a-t]*", "but home symdir top.txt"),
    (11, "--exclude **", "only ."),
    (
        12,
        "--exclude **.py",
        "but home/ben/foo.py home/ben/py/a.py",
    ),
    (
        13,
        "--exclude **/*.py",
        "but home/ben/foo.py home/ben/py/a.py",
    ),
    (14, "--exclude **/py", "but home/ben/py"),
    (15, "--exclude **py", "but home/ben/foo.py home/ben/py"),
    (16, "--exclude *.py", "14"),
    (17, "--exclude usr", "14"),
    (18, "--exclude /usr", "14"),
    (19, "--exclude t/usr", "14"),
    (20, "--exclude /srv", "only ."),
    (21, "--exclude /", "only ."),
    (22, "--exclude $R", "only ."),
    (23, "--exclude $R/", "only ."),
    (24, "--include $R", "16"),
    (
        25,
        "--include $R/usr/local/bin --exclude $R/usr/local",
        "but usr/local/doc",
    ),
    (
        26,
        "--include $R/usr/local --exclude **",
        "but home symdir top.txt usr/doc usr/local.txt var we[ird",
    ),
    (
        27,
        "--include $R/usr/local/ --exclude **",
        "but home symdir top.txt usr/doc usr/local.txt var we[ird",
    ),
    (
        28,
        "--include $R/home/ben/foo.py --exclude **",
        "only . home home/ben home/ben/foo.py",
    ),
    (
        29,
        "--include **.py --exclude **",
        "only . home home/ben home/ben/foo.py home/ben/py home/ben/py/a.py",
    ),
    (
        30,
        "--include **/py/ --exclude **",
        "only . home home/ben home/ben/py home/ben/py/a.py home/ben/py/b.txt",
    ),
    (
        31,
        "--include $R/home/*/*.py --exclude **",
        "only . home home/ben home/ben/foo.py",
    ),
    (
        32,
        "--include $R/home/**.py --exclude **",
        "only . home home/ben home/ben/foo.py home/ben/py home/ben/py/a.py",
    ),
    (
        33,
        "--include $R/home/ben --exclude $R/home",
        "but home/.nobackup2 home/ann",
    ),
    (34, "--include $R/home/nonexist --exclude **", "only ."),
    (35, "--include $R/usr --exclude $R/usr", "all"),
    (36, "--exclude $R/usr --include $R/usr", "16"),
    (
        37,
        "--exclude $R/usr --include $R/usr/local --exclude **",
        "only .",
    ),
    (38, "--include $R/usr", "16"),
    (39, "--exclude $R/var --include **", "16"),
    (40, "--exclude ignorecase:$R/VAR/LOG", "but var/log"),
    (
        41,
        "--exclude ignorecase:**/L*",
        "but usr/local usr/local.txt var/Log2 var/log",
    ),
    (42, "--exclude IGNORECASE:$R/VaR", "but var"),
    (43, "--exclude **/L*", "but var/Log2"),
    (44, "--exclude $R/we[ird", "but we[ird"),
    (45, "--exclude $R/we[[]ird", "but we[ird"),
    (46, "--exclude $R//usr", "15"),
    (47, "--exclude $R/usr/./local", "all"),
    (48, "--exclude $R/usr/**/x", "but usr/local/bin/x"),
    (49, "--exclude $R/**/x", "but usr/local/bin/x"),
    (
        50,
        "--exclude $R/usr/local**",
        "but usr/local usr/local.txt",
    ),
    (51, "--exclude $R/{usr,var}", "all"),
    (52, "--exclude $R/var/log*", "but var/log"),
    (
        53,
        "--exclude $R/usr/loc*l/[bd]*",
        "but usr/local/bin usr/local/doc",
    ),
    (
        54,
        "--exclude-regexp .*\\.py$",
        "but home/ben/foo.py home/ben/py/a.py",
    ),
    (55, "--exclude-regexp usr", "but usr"),
    (56, "--exclude-regexp /usr$", "but usr"),
    (57, "--include-regexp py --exclude **", "only ."),
    (58, "--exclude-if-present .nobackup", "but home/ann"),
    (
        59,
        "--include $R/home/ann/c.txt --exclude-if-present .nobackup --exclude $R/home/ann",
        "but home/ann",
    ),
    (60, "--filter-literal --exclude $R/we[ird", "but we[ird"),
    (61, "--filter-ignorecase --exclude $R/USR", "but usr"),
    (62, "--exclude $R/usr --filter-ignorecase", "71"),
    (63, "--filter-globbing --exclude $R/usr", "70"),
    (
        64,
        "--filter-regexp --exclude py$",
        "but home/ben/foo.py home/ben/py",
    ),
    (
        65,
        "--filter-literal --include $R/usr/local --filter-globbing --exclude **",
        "but home symdir top.txt usr/doc usr/local.txt var we[ird",
    ),
    (66, "--exclude", "23"),
    (67, "--exclude **/symdir/**", "all"),
    (68, "--exclude $R/symdir/**", "all"),
    (69, "--exclude $R/symdir/", "all"),
    (
        70,
        "--exclude-older-than 1000000000000",
        "only . home home/ann home/ben home/ben/py symdir usr usr/doc usr/local usr/local/bin usr/local/doc var we[ird",
    ),
    (71, "--exclude-device-files", "all"),
    (72, "--exclude-other-filesystems", "all"),
    (
        75,
        "--include $R/**.txt --exclude $R/home --exclude $R/usr",
        "only . home home/ann home/ann/c.txt home/ben home/ben/py home/ben/py/b.txt top.txt usr usr/local.txt",
    ),
    (
        76,
        "--include **/*.txt --exclude **",
        "only . home home/ann home/ann/c.txt home/ben home/ben/py home/ben/py/b.txt top.txt usr usr/local.txt",
    ),
    (77, "--exclude ***py", "but home/ben/foo.py home/ben/py"),
    (78, "--exclude $R/usr/[]d]oc", "but usr/doc"),
    (78, "--exclude $R/usr/[d-z]oc", "but usr/doc"),
    (79, "--exclude $R/usr/[!d]oc", "all"),
    (79, "--exclude $R/usr/[a-c]*", "all"),
    (79, "--exclude $R/var/log\\*", "all"),
    (80, "--exclude /srv/**/usr", "but usr"),
    (80, "--exclude /srv/sel/*/usr", "but usr"),
    (81, "--exclude **/", "only . symdir top.txt"),
    (82, "--exclude $R/usr/local/bin/x/", "all"),
    (83, "--exclude /srv/sel/t2", "14"),
    (
        84,
        "--exclude-if-present .nobackup --include $R/home/ann --exclude $R/home",
        "but home",
    ),
    (
        85,
        "--exclude-filelist +_$R/usr/local⏎$R/usr",
        "but usr/doc usr/local.txt",
    ),
    (
        86,
        "--include-filelist $R/usr/local⏎-_$R/usr/local/doc⏎$R/usr/local/bin⏎+_$R/var⏎-_**",
        "but home symdir top.txt usr/doc usr/local.txt we[ird",
    ),
    (
        87,
        "--exclude-filelist #_comment⏎⏎__$R/usr__⏎+_$R/usr/local",
        "16",
    ),
    (88, "--exclude-filelist \"$R/usr\"", "but usr"),
    (88, "--exclude-filelist -_'$R/usr'", "but usr"),
    (
        89,
        "--files-from usr/local/bin/x⏎home/ben⏎missing/file",
        "only . home home/ben usr usr/local usr/local/bin usr/local/bin/x",
    ),
];

#[test]
fn every_row_of_the_table() {
    let temp = temp("rows");
    let root = tree(temp.path());
    let everything = selected(&root, Vec::new()).unwrap();
    assert_eq!(everything.len(), FILES.len() + 13, "{everything:?}");
    for (row, line, outcome) in TABLE {
        // The temporary directory stands before the table's /srv; `/srv` alone stands for what leads to the tree.
        let line = if *row == 20 { "--exclude /srv/" } else { line };
        let found = selected(&root, rules(line, &root));
        let mut words = outcome.split(' ');
        let expected = match words.next() {
            Some("all") => Ok(everything.clone()),
            Some("only") => Ok(words.map(str::to_owned).collect()),
            Some("but") => {
                let gone: Vec<&str> = words.collect();
                let is_gone = |path: &str| {
                    gone.iter()
                        .any(|g| path == *g || path.starts_with(&format!("{g}/")))
                };
                Ok(everything
                    .iter()
                    .filter(|path| !is_gone(path))
                    .cloned()
                    .collect())
            }
            Some(code) => Err(code.parse().unwrap()),
            None => unreachable!(),
        };
        assert_eq!(found, expected, "row {row}: {line}");
    }
}

#[test]
fn a_directory_that_may_only_lead_somewhere_is_lost_when_empty() {
    let temp = temp("empty");
    let root = tree(temp.path());
    fs::create_dir(Path::new(&root).join("e")).unwrap();
    let found = |line| selected(&root, rules(line, &root)).unwrap();
    assert!(
        !found("--include $R/e/foo --exclude $R/var").contains("e"),
        "row 73"
    );
    assert!(
        found("--include $R/e --exclude $R/var").contains("e"),
        "row 74"
    );
}

#[test]
fn relative_sources_have_relative_patterns() {
    // Rows 90 and 91; matching does not need the tree.
    let build = |root: &str, pattern: &str| {
        let rule = Rule::Pattern(Action::Exclude, pattern.as_bytes().to_vec());
        Selection::builder(root.as_bytes())
            .add(rule)
            .build()
            .map(|_| ())
            .map_err(|error| code(&error))
    };
    assert_eq!(build("t", "t/usr"), Ok(()));
    assert_eq!(build("t", "./t/usr"), Err(14));
    assert_eq!(build("t", "/srv/sel/t/usr"), Err(14));
    assert_eq!(build(".", "./usr"), Ok(()));
    assert_eq!(build(".", "usr"), Err(14));
}
