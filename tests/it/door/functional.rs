//! duplicity's own functional tests, run on dupr. `tests/setup` fetches them; a copy of the source package whose program is dupr
//! is all they need. What they expect and dupr does otherwise is listed here, with the reason.

use crate::support::effort;
use crate::support::programs::{Program, find};
use crate::support::scratch::Scratch;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// A test that fails if the first volume of a run is committed before the second is sent, at which the run is told to stop: the
/// interrupted set stays, as with duplicity 3.2.1, and the next backup goes on with it. Both happen side by side.
const EITHER_WAY: &str = "CleanupTest::test_cleanup_after_partial";

/// Tests that fail on purpose, by the ends of their names, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (EITHER_WAY, "the interrupted set stays"),
    (
        "::test_new_file",
        "the part sigtar is gone: duplicity goes on and signs half of the set, dupr begins anew",
    ),
    ("::test_split_after_small", "the same as for a new file"),
    ("::test_split_after_large", "the same as for a new file"),
];

/// What runs side by side, each in a copy of its own; without full effort the first two.
const GROUPS: &[&[&str]] = &[
    &["test_restart.py::RestartTest"],
    &["test_badupload.py", "test_cleanup.py", "test_log.py"],
    &[
        "test_restart.py::RestartTestWithoutEncryption",
        "test_restart.py::RestartTestConcurrent",
    ],
    &["test_selection.py"],
    &["test_concurrency.py", "test_final.py", "test_verify.py"],
];

/// Takes the place of duplicity's program.
const DOOR: &str = r#"
import os, sys
words = os.environ["DUPR_WORDS"].split("\n")
os.execv(words[0], words + sys.argv[1:])
"#;

/// The source package with dupr in it.
fn copy(source: &Path, scratch: &Scratch) -> PathBuf {
    let tree = scratch.join("source");
    let copied = Command::new("cp").arg("-a").args([source, &tree]).status();
    assert!(copied.is_ok_and(|status| status.success()));
    fs::write(tree.join("duplicity/__main__.py"), DOOR).expect("own copy");
    // The tests load duplicity's modules; what of them is in C comes from the one that is installed.
    if let Some(installed) = find("duplicity-3.2.1") {
        let program = fs::canonicalize(installed).expect("it is there");
        let modules = program.parent().and_then(Path::parent).expect("a venv");
        let found = Command::new("sh")
            .arg("-c")
            .arg("cp -r \"$0\"/lib/python3*/site-packages/duplicity/_librsync*.so \"$1\"/duplicity/ && \
                  for libs in \"$0\"/lib/python3*/site-packages/duplicity.libs; do \
                  [ ! -d \"$libs\" ] || cp -r \"$libs\" \"$1\"; done")
            .args([modules, &tree])
            .status();
        assert!(found.is_ok_and(|status| status.success()));
    }
    // Some count the files of the archive dir, where dupr keeps one of its own beside duplicity's.
    let restart = tree.join("testing/functional/test_restart.py");
    let text = fs::read_to_string(&restart).expect("a test");
    let (all, theirs) = ("cache/{name}/*\"", "cache/{name}/duplicity*\"");
    assert!(text.contains(all), "other tests than these are known here");
    fs::write(&restart, text.replace(all, theirs)).expect("own copy");
    tree
}

/// Runs a group: names of the tests that failed, and how many did not.
fn run(source: &Path, python: &Path, files: &[&str]) -> (BTreeSet<String>, usize) {
    let scratch = Scratch::new("fn");
    let tree = copy(source, &scratch);
    // The keys come as gpg 1 kept them; gpg takes them over when it is first asked for them.
    let taken_over = Command::new("gpg")
        .arg("--homedir")
        .arg(tree.join("testing/gnupg"))
        .args(["--batch", "--list-secret-keys"])
        .output()
        .expect("gpg");
    assert!(!taken_over.stdout.is_empty(), "{taken_over:?}");
    let words = Program::Dupr.words().expect("dupr");
    let temp = scratch.join("tmp");
    fs::create_dir(&temp).expect("own folder");
    let tests = files.iter().map(|f| format!("testing/functional/{f}"));
    let output = Command::new(python)
        .args(["-m", "pytest", "-c", "/dev/null", "--rootdir", "."])
        .args(["-q", "-rfEp", "--tb=short", "-p", "no:cacheprovider"])
        .args(tests)
        .current_dir(&tree)
        .env("DUPR_WORDS", words.join("\n"))
        .env("TMPDIR", &temp)
        .env("HOME", scratch.path())
        .env_remove("PASSPHRASE")
        .output()
        .expect("pytest");
    let _ = Command::new("gpgconf")
        .arg("--homedir")
        .arg(tree.join("testing/gnupg"))
        .args(["--kill", "all"])
        .output();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = |word: &str| -> BTreeSet<String> {
        let lines = said.lines().filter_map(|line| line.strip_prefix(word));
        lines
            .filter_map(|line| line.split(" - ").next())
            .map(|name| name.trim().to_owned())
            .collect()
    };
    let mut failed = named("FAILED ");
    failed.extend(named("ERROR "));
    let passed = named("PASSED ").len();
    let unexpected = failed.iter().any(|name| reason(name).is_none());
    assert!(!unexpected && passed > 0, "{said}");
    (failed, passed)
}

fn reason(test: &str) -> Option<&'static str> {
    let (_, why) = DIFFERENT.iter().find(|(name, _)| test.ends_with(name))?;
    Some(why)
}

#[test]
fn duplicitys_own_functional_tests_pass() {
    let Some(link) = find("functional-tests") else {
        return;
    };
    let source = fs::read_to_string(link).expect("a path");
    let source = PathBuf::from(source.trim());
    let python = source.parent().expect("a venv").join("bin/python");
    let ran: Vec<_> = thread::scope(|scope| {
        let start = |files: &'static &[&str]| scope.spawn(|| run(&source, &python, files));
        let groups = &GROUPS[..effort::of(GROUPS.len(), 2)];
        let groups: Vec<_> = groups.iter().map(start).collect();
        groups
            .into_iter()
            .map(|group| group.join().expect("its message is above"))
            .collect()
    });
    let passed: usize = ran.iter().map(|(_, passed)| passed).sum();
    let failed: BTreeSet<&String> = ran.iter().flat_map(|(failed, _)| failed).collect();
    for name in &failed {
        println!("{name}: {}", reason(name).unwrap_or_default());
    }
    println!(
        "functional tests of duplicity: {passed} passed, {} differ on purpose",
        failed.len()
    );
    for (name, why) in DIFFERENT {
        let differs = failed.iter().any(|test| test.ends_with(name));
        assert!(
            differs || *name == EITHER_WAY,
            "{name} passes: take it off the list ({why})"
        );
    }
    assert_eq!(passed + failed.len(), effort::of(158, 24), "tests that ran");
}
