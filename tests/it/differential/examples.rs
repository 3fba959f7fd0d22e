//! A table of rules and what they select of one small tree, found out with duplicity 3.2.1: what a reader of its manual would try.
//! Where duplicity is there it is asked again.

use super::rules::{self, Opt};
use super::selection::{Case, Outcome, show};
use super::{Oracle, bytes};
use crate::support::scratch::Scratch;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Files of the tree; `symdir` is a link to `usr`.
#[rustfmt::skip]
const FILES: &[&str] = &[
    "home/.nobackup2", "home/ann/.nobackup", "home/ann/c.txt", "home/ben/foo.py", "home/ben/py/a.py", "home/ben/py/b.txt", "top.txt",
    "usr/doc/e", "usr/local/bin/x", "usr/local/doc/d", "usr/local.txt", "var/Log2", "var/log", "we[ird/f",
];

/// Options, and what is selected: all `but` these and what is in them, `only` these, or duplicity's exit code. `$R` is the source as
/// it is typed, `$P` the folder it is in, `$A` the first folder of its path.
#[rustfmt::skip]
const EXAMPLES: &[(&str, &str)] = &[
    ("--exclude $R/usr", "but usr"),
    ("--exclude $R/usr/", "but usr"),
    ("--exclude $R/top.txt/", "but"),
    ("--exclude $R/usr/*", "but usr/doc usr/local usr/local.txt"),
    ("--exclude $R/usr/**", "but usr/doc usr/local usr/local.txt"),
    ("--exclude $R/us?", "but usr"),
    ("--exclude $R/[uv]*", "but usr var"),
    ("--exclude $R/[!uv]*", "but home symdir top.txt we[ird"),
    ("--exclude $R/[^uv]*", "but home symdir top.txt we[ird"),
    ("--exclude $R/[a-t]*", "but home symdir top.txt"),
    ("--exclude **", "only ."),
    ("--exclude **.py", "but home/ben/foo.py home/ben/py/a.py"),
    ("--exclude **/*.py", "but home/ben/foo.py home/ben/py/a.py"),
    ("--exclude **/py", "but home/ben/py"),
    ("--exclude **py", "but home/ben/foo.py home/ben/py"),
    ("--exclude *.py", "14"),
    ("--exclude usr", "14"),
    ("--exclude /usr", "14"),
    ("--exclude t/usr", "14"),
    ("--exclude $A", "only ."),
    ("--exclude /", "only ."),
    ("--exclude $R", "only ."),
    ("--exclude $R/", "only ."),
    ("--include $R", "16"),
    ("--include $R/usr/local/bin --exclude $R/usr/local", "but usr/local/doc"),
    ("--include $R/usr/local --exclude **", "but home symdir top.txt usr/doc usr/local.txt var we[ird"),
    ("--include $R/usr/local/ --exclude **", "but home symdir top.txt usr/doc usr/local.txt var we[ird"),
    ("--include $R/home/ben/foo.py --exclude **", "only . home home/ben home/ben/foo.py"),
    ("--include **.py --exclude **", "only . home home/ben home/ben/foo.py home/ben/py home/ben/py/a.py"),
    ("--include **/py/ --exclude **", "only . home home/ben home/ben/py home/ben/py/a.py home/ben/py/b.txt"),
    ("--include $R/home/*/*.py --exclude **", "only . home home/ben home/ben/foo.py"),
    ("--include $R/home/**.py --exclude **", "only . home home/ben home/ben/foo.py home/ben/py home/ben/py/a.py"),
    ("--include $R/home/ben --exclude $R/home", "but home/.nobackup2 home/ann"),
    ("--include $R/home/nonexist --exclude **", "only ."),
    ("--include $R/usr --exclude $R/usr", "but"),
    ("--exclude $R/usr --include $R/usr", "16"),
    ("--exclude $R/usr --include $R/usr/local --exclude **", "only ."),
    ("--include $R/usr", "16"),
    ("--exclude $R/var --include **", "16"),
    ("--exclude ignorecase:$R/VAR/LOG", "but var/log"),
    ("--exclude ignorecase:**/L*", "but usr/local usr/local.txt var/Log2 var/log"),
    ("--exclude IGNORECASE:$R/VaR", "but var"),
    ("--exclude **/L*", "but var/Log2"),
    ("--exclude $R/we[ird", "but we[ird"),
    ("--exclude $R/we[[]ird", "but we[ird"),
    ("--exclude $R//usr", "15"),
    ("--exclude $R/usr/./local", "but"),
    ("--exclude $R/usr/**/x", "but usr/local/bin/x"),
    ("--exclude $R/**/x", "but usr/local/bin/x"),
    ("--exclude $R/usr/local**", "but usr/local usr/local.txt"),
    ("--exclude $R/{usr,var}", "but"),
    ("--exclude $R/var/log*", "but var/log"),
    ("--exclude $R/usr/loc*l/[bd]*", "but usr/local/bin usr/local/doc"),
    ("--exclude-regexp .*\\.py$", "but home/ben/foo.py home/ben/py/a.py"),
    ("--exclude-regexp usr", "but usr"),
    ("--exclude-regexp /usr$", "but usr"),
    ("--include-regexp py --exclude **", "only ."),
    ("--exclude-if-present .nobackup", "but home/ann"),
    ("--include $R/home/ann/c.txt --exclude-if-present .nobackup --exclude $R/home/ann", "but home/ann"),
    ("--filter-literal --exclude $R/we[ird", "but we[ird"),
    ("--filter-ignorecase --exclude $R/USR", "but usr"),
    ("--exclude $R/usr --filter-ignorecase", "71"),
    ("--filter-globbing --exclude $R/usr", "70"),
    ("--filter-regexp --exclude py$", "but home/ben/foo.py home/ben/py"),
    ("--filter-literal --include $R/usr/local --filter-globbing --exclude **", "but home symdir top.txt usr/doc usr/local.txt var we[ird"),
    ("--exclude ", "23"),
    ("--exclude **/symdir/**", "but"),
    ("--exclude $R/symdir/**", "but"),
    ("--exclude $R/symdir/", "but"),
    ("--exclude-older-than 1000000000000", "but home/.nobackup2 home/ann/.nobackup home/ann/c.txt home/ben/foo.py home/ben/py/a.py home/ben/py/b.txt top.txt usr/doc/e usr/local/bin/x usr/local/doc/d usr/local.txt var/Log2 var/log we[ird/f"),
    ("--exclude-device-files", "but"),
    ("--exclude-other-filesystems", "but"),
    ("--include $R/e/foo --exclude $R/var", "but e var"),
    ("--include $R/e --exclude $R/var", "but var"),
    ("--include $R/**.txt --exclude $R/home --exclude $R/usr", "only . home home/ann home/ann/c.txt home/ben home/ben/py home/ben/py/b.txt top.txt usr usr/local.txt"),
    ("--include **/*.txt --exclude **", "only . home home/ann home/ann/c.txt home/ben home/ben/py home/ben/py/b.txt top.txt usr usr/local.txt"),
    ("--exclude ***py", "but home/ben/foo.py home/ben/py"),
    ("--exclude $R/usr/[]d]oc", "but usr/doc"),
    ("--exclude $R/usr/[d-z]oc", "but usr/doc"),
    ("--exclude $R/usr/[!d]oc", "but"),
    ("--exclude $R/usr/[a-c]*", "but"),
    ("--exclude $R/var/log\\*", "but"),
    ("--exclude $A/**/usr", "but usr"),
    ("--exclude $P/*/usr", "but usr"),
    ("--exclude **/", "only . symdir top.txt"),
    ("--exclude $R/usr/local/bin/x/", "but"),
    ("--exclude $R2", "14"),
    ("--exclude-if-present .nobackup --include $R/home/ann --exclude $R/home", "but home"),
];

/// Filelists, and options around them.
#[rustfmt::skip]
const LISTS: &[(&str, &str, &str)] = &[
    ("exclude-filelist", "+ $R/usr/local\n$R/usr", "but usr/doc usr/local.txt"),
    ("include-filelist", "$R/usr/local\n- $R/usr/local/doc\n$R/usr/local/bin\n+ $R/var\n- **", "but home symdir top.txt usr/doc usr/local.txt we[ird"),
    ("exclude-filelist", "# comment\n\n  $R/usr  \n+ $R/usr/local", "16"),
    ("exclude-filelist", "\"$R/usr\"", "but usr"),
    ("exclude-filelist", "- '$R/usr'", "but usr"),
    ("files-from", "usr/local/bin/x\nhome/ben\nmissing/file", "only . home home/ben usr usr/local usr/local/bin usr/local/bin/x"),
];

/// Sources as they may be typed, and what they ask of rules.
const TYPED: &[(&str, &str, &str)] = &[
    ("t", "--exclude t/usr", "but usr"),
    ("t", "--exclude ./t/usr", "14"),
    ("t", "--exclude $P/t/usr", "14"),
    (".", "--exclude ./usr", "but usr"),
    (".", "--exclude usr", "14"),
];

struct Bench {
    scratch: Scratch,
    entries: BTreeSet<Vec<u8>>,
    oracle: Option<Oracle>,
}

impl Bench {
    fn new() -> Self {
        let scratch = Scratch::new("sel");
        let root = scratch.join("t");
        let mut entries = BTreeSet::from([Vec::new(), b"symdir".to_vec()]);
        for file in FILES {
            let dir = Path::new(file).parent().expect("a folder");
            fs::create_dir_all(root.join(dir)).expect("own folder");
            fs::write(root.join(file), "x").expect("own file");
            let ancestors = Path::new(file).ancestors();
            entries.extend(ancestors.map(|path| path.as_os_str().as_encoded_bytes().to_vec()));
        }
        std::os::unix::fs::symlink("usr", root.join("symdir")).expect("link");
        // A source that looks like its parent is taken by duplicity for the file system's root: --files-from finds nothing then.
        rules::stamp(&fs::File::open(scratch.path()).expect("the folder"), 1);
        Self {
            scratch,
            entries,
            oracle: Oracle::start(),
        }
    }

    /// The text with real paths in it.
    fn real(&self, text: &str) -> String {
        let parent = self.scratch.path().display().to_string();
        let first = parent.split('/').nth(1).expect("an absolute path");
        let text = text.replace("$R", &format!("{parent}/t"));
        text.replace("$P", &parent)
            .replace("$A", &format!("/{first}"))
    }

    fn options(&self, text: &str) -> Vec<Opt> {
        let mut words = text.split(' ');
        let mut options = Vec::new();
        while let Some(word) = words.next() {
            let name = NAMES
                .iter()
                .find(|name| word.strip_prefix("--") == Some(name));
            let name = *name.unwrap_or_else(|| panic!("{word} in {text}"));
            let bare =
                name.starts_with("filter-") || name.ends_with("files") || name.ends_with("systems");
            let value = if bare {
                ""
            } else {
                words.next().unwrap_or_default()
            };
            options.push((name, self.real(value).into_bytes()));
        }
        options
    }

    fn meant(&self, expected: &str) -> Result<BTreeSet<Vec<u8>>, String> {
        let mut words = expected.split(' ');
        let first = words.next().unwrap_or_default();
        let words: Vec<&[u8]> = words
            .map(|w| {
                w.strip_prefix('.')
                    .filter(|w| w.is_empty())
                    .unwrap_or(w)
                    .as_bytes()
            })
            .collect();
        match first {
            "but" => Ok(self
                .entries
                .iter()
                .filter(|entry| !words.iter().any(|w| is_in(entry, w)))
                .cloned()
                .collect()),
            "only" => Ok(words.iter().map(|w| w.to_vec()).collect()),
            code => Err(code.to_owned()),
        }
    }

    fn hold(&mut self, typed: &str, options: Vec<Opt>, expected: &str, shown: &str) {
        let real = self.scratch.join("t");
        let case = Case {
            real: &real,
            typed: typed.to_owned(),
            null: false,
            copy_links: false,
            options,
        };
        let dir = if typed == "." {
            &real
        } else {
            self.scratch.path()
        };
        let meant = self.meant(expected);
        let set = |outcome: &Outcome| {
            outcome
                .clone()
                .map(|paths| paths.into_iter().collect::<BTreeSet<_>>())
        };
        let found = case.dupr();
        assert_eq!(set(&found), meant, "dupr, {shown}: {}", show(&found));
        // What the parser of the command line refuses is not asked.
        if let Some(oracle) = self.oracle.as_mut().filter(|_| expected != "23") {
            let found = case.duplicity(dir, oracle);
            assert_eq!(set(&found), meant, "duplicity, {shown}: {}", show(&found));
        }
    }
}

/// Whether a path is this one or below it.
fn is_in(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// All options of selection in the table.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "include", "exclude", "include-regexp", "exclude-regexp", "exclude-if-present", "exclude-older-than", "exclude-device-files",
    "exclude-other-filesystems", "filter-literal", "filter-globbing", "filter-regexp", "filter-ignorecase",
];

#[test]
fn examples_select_what_the_table_says() {
    let mut bench = Bench::new();
    let root = bench.real("$R");
    let mut has_empty = false;
    for (text, expected) in EXAMPLES {
        // An empty folder, for the two rules about it.
        if text.contains("$R/e") != has_empty {
            has_empty = !has_empty;
            let empty = bench.scratch.join("t/e");
            if has_empty {
                fs::create_dir(&empty).expect("own folder");
                bench.entries.insert(bytes("e"));
            } else {
                fs::remove_dir(&empty).expect("own folder");
                bench.entries.remove(&bytes("e"));
            }
        }
        let options = bench.options(text);
        bench.hold(&root, options, expected, text);
    }
    for (name, list, expected) in LISTS {
        let options = vec![(*name, bench.real(list).into_bytes())];
        bench.hold(&root, options, expected, list);
    }
    for (typed, text, expected) in TYPED {
        let options = bench.options(text);
        bench.hold(typed, options, expected, text);
    }
}
