//! Checks through the program: what each finds, when each is due, and that a check which found something is due again.

use crate::support::home::{Called, Home, called};
use crate::support::programs::clock_mover;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CHECKS: &str = "[check]\nquick = \"1W\"\nspot = { every = \"2W\", sample = \"100%\" }\nrestore-test = { every = \"1M\", files = 100 }\n";

/// Everything in a folder, kept aside and put back.
struct Kept {
    place: PathBuf,
    aside: PathBuf,
}

impl Kept {
    fn of(home: &Home, place: PathBuf) -> Self {
        let aside = home.path().join("aside");
        copy(&place, &aside);
        Self { place, aside }
    }

    fn back(&self) {
        copy(&self.aside, &self.place);
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|s| s.success()), "cp");
}

/// The one stored file with these parts in its name.
fn stored(home: &Home, parts: &[&str]) -> PathBuf {
    let all = home.stored().into_iter();
    let mut found = all.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        parts.iter().all(|part| name.contains(part))
    });
    let one = found.next().unwrap_or_else(|| panic!("no {parts:?}"));
    assert!(found.next().is_none(), "several {parts:?}");
    one
}

/// A full set and two increments; and whether nothing lies in the archive dir that would tell what was there.
fn chain(name: &str) -> Home {
    let home = Home::new(name);
    home.profile("home", CHECKS);
    home.expect(0, &["home", "backup"]);
    for turn in 1..3 {
        home.write("one", &format!("turn {turn}\n"));
        home.expect(0, &["home", "backup"]);
    }
    home
}

fn increments(home: &Home) -> Vec<PathBuf> {
    let all = home.stored().into_iter();
    let mut found: Vec<PathBuf> = all
        .filter(|p| p.display().to_string().contains("duplicity-inc."))
        .filter(|p| p.display().to_string().contains(".manifest"))
        .collect();
    found.sort();
    found
}

/// What is harmed, where it lies, how, and what is said of it.
type Fault<'a> = (&'a str, PathBuf, &'a dyn Fn(&Path), &'a str);

/// A check of one kind alone.
fn check(home: &Home, kind: &str) -> Called {
    let line = CHECKS.lines().find(|l| l.starts_with(kind)).expect(kind);
    home.profile("home", &format!("[check]\n{line}\n"));
    home.dupr(&["home", "check", "--all"])
}

#[test]
fn a_quick_check_finds_whatever_is_not_there() {
    let home = chain("checks-quick");
    let kept = Kept::of(&home, home.target());
    let archives = home.path().join(".cache/dupr");
    assert_eq!(check(&home, "quick").code, 0);
    let halve = |path: &Path| {
        let bytes = fs::read(path).expect("stored");
        fs::write(path, &bytes[..bytes.len() / 2]).expect("stored");
    };
    let empty = |path: &Path| fs::write(path, "").expect("stored");
    let remove = |path: &Path| fs::remove_file(path).expect("stored");
    let [middle, last] = [0, 1].map(|n| increments(&home)[n].clone());
    let of = |manifest: &Path| {
        let name = manifest.file_name().unwrap_or_default().to_string_lossy();
        name.split('.').take(4).collect::<Vec<_>>().join(".")
    };
    let volume = |manifest: &Path| stored(&home, &[&of(manifest), ".vol1."]);
    let faults: [Fault<'_>; 7] = [
        (
            "a volume of the full set",
            stored(&home, &["-full.", ".vol1."]),
            &remove,
            "volume 1 is missing",
        ),
        (
            "a volume of an increment",
            volume(&middle),
            &remove,
            "volume 1 is missing",
        ),
        ("half a volume", volume(&last), &halve, "bytes instead of"),
        (
            "an empty volume",
            volume(&last),
            &empty,
            "volume 1 is empty",
        ),
        (
            "the newest manifest",
            last.clone(),
            &remove,
            "its manifest is not at the target any more",
        ),
        (
            "a manifest in the middle",
            middle.clone(),
            &remove,
            "its manifest is not at the target any more",
        ),
        (
            "the signatures",
            stored(&home, &["-full-signatures."]),
            &remove,
            "the sigtar is missing",
        ),
    ];
    for (what, path, harm, said) in faults {
        kept.back();
        harm(&path);
        let found = check(&home, "quick");
        assert_eq!(found.code, 14, "{what}: {}{}", found.stdout, found.stderr);
        assert!(found.stderr.contains(said), "{what}: {}", found.stderr);
        assert!(
            found.stderr.contains("dupr recover home DIR"),
            "{what}: {}",
            found.stderr
        );
    }
    // A machine that has never seen the backup finds a gap as well.
    kept.back();
    remove(&middle);
    fs::remove_dir_all(&archives).expect("archive dirs");
    let found = check(&home, "quick");
    assert_eq!(found.code, 14, "{}", found.stderr);
    let said = "a set it builds on is not at the target any more";
    assert!(found.stderr.contains(said), "{}", found.stderr);
    // Whole again, and empty.
    kept.back();
    assert_eq!(check(&home, "quick").code, 0);
    for file in home.stored() {
        remove(&file);
    }
    assert_eq!(check(&home, "quick").code, 10);
}

/// Without the set in the middle the state at the target is an older one. Whoever reads it is told, and no increment is built
/// on what is left.
#[test]
fn a_gap_in_the_middle_never_passes_for_the_newest_state() {
    let home = chain("checks-gap");
    let [middle, _] = [0, 1].map(|n| increments(&home)[n].clone());
    fs::remove_file(middle).expect("stored");
    for knows in [true, false] {
        if !knows {
            fs::remove_dir_all(home.path().join(".cache/dupr")).expect("archive dirs");
        }
        let out = home.path().join(format!("out-{knows}"));
        let restored = home.expect(3, &["home", "restore", &out.display().to_string()]);
        assert!(
            restored.stderr.contains("this is an older state"),
            "{}",
            restored.stderr
        );
        let text = fs::read_to_string(out.join("one")).expect("one");
        assert_eq!(text, "first\n");
        let verified = home.expect(3, &["home", "verify"]);
        assert!(verified.stderr.contains("is lost: "), "{}", verified.stderr);
        let listed = home.expect(0, &["home", "list"]);
        assert!(listed.stderr.contains("is lost: "), "{}", listed.stderr);
        // Of a time before the gap nothing is lost.
        let time = &home.history("home")[0]["steps"][0]["set"]["full"]["time"];
        let time = time.as_i64().expect("time").to_string();
        let before = home.path().join(format!("before-{knows}"));
        let before = before.display().to_string();
        home.expect(0, &["home", "restore", &before, &time]);
        let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
        assert!(plan.contains("backup full"), "{plan}");
    }
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["home", "verify"]);
    home.expect(0, &["home", "restore", "whole"]);
    let text = fs::read_to_string(home.path().join("whole/one")).expect("one");
    assert_eq!(text, "turn 2\n");
}

#[test]
fn a_restore_test_finds_what_cannot_be_seen_from_outside() {
    let home = chain("checks-restore");
    let volume = stored(&home, &["-full.", ".vol1."]);
    let mut bytes = fs::read(&volume).expect("volume");
    // The length stays: a quick look sees nothing.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&volume, &bytes).expect("volume");
    let quick = check(&home, "quick");
    assert_eq!(quick.code, 0, "{}", quick.stderr);
    for kind in ["restore-test", "spot"] {
        let found = check(&home, kind);
        assert_eq!(found.code, 14, "{kind}: {}", found.stderr);
        assert!(
            found.stderr.contains("stored data is damaged"),
            "{}",
            found.stderr
        );
    }
    // What was seen is remembered: the quick look knows of it now, status is not green, and the next backup begins anew.
    let quick = check(&home, "quick");
    assert_eq!(quick.code, 14, "{}", quick.stderr);
    let status = home.expect(0, &["status"]).stdout;
    assert!(status.contains("FAILED"), "{status}");
    let plan = home.expect(0, &["home", "backup", "--plan"]).stdout;
    assert!(plan.contains("backup full"), "{plan}");
    bytes[middle] ^= 0x10;
    fs::write(&volume, &bytes).expect("volume");
    assert_eq!(check(&home, "restore-test").code, 0);
    assert_eq!(check(&home, "quick").code, 0);
}

/// dupr, called at another time. `None`, said aloud, if the clock cannot be moved here.
fn at(home: &Home, offset: &str, words: &[&str]) -> Option<Called> {
    let mut command = home.command(words);
    command
        .env("LD_PRELOAD", clock_mover()?)
        .env("FAKETIME", offset)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Some(called(command.output().expect("dupr")))
}

/// The checks of a plan.
fn planned(home: &Home, offset: &str, more: &[&str]) -> Option<Vec<&'static str>> {
    let words = [&["home", "check", "--plan", "--json"], more].concat();
    let told = at(home, offset, &words)?;
    assert_eq!(told.code, 0, "{offset}: {}", told.stderr);
    let document: Value = serde_json::from_str(&told.stdout).expect("JSON");
    let nodes = document["plans"][0]["nodes"].to_string();
    let kinds = ["quick", "spot", "restore-test"].into_iter();
    Some(
        kinds
            .filter(|kind| nodes.contains(&format!("{kind:?}")))
            .collect(),
    )
}

#[test]
fn each_check_is_due_when_its_time_has_come() {
    let home = chain("checks-due");
    let due = |at: &str| planned(&home, at, &[]);
    let Some(never_done) = due("+0d") else {
        return;
    };
    assert_eq!(never_done, ["quick", "spot", "restore-test"]);
    home.expect(0, &["home", "check"]);
    for (at, expected) in [
        ("+1h", &[][..]),
        ("+6d", &[]),
        ("+8d", &["quick"]),
        ("+15d", &["quick", "spot"]),
        ("+32d", &["quick", "spot", "restore-test"]),
    ] {
        assert_eq!(due(at).as_deref().unwrap_or_default(), expected, "{at}");
    }
    let all = planned(&home, "+1h", &["--all"]).unwrap_or_default();
    assert_eq!(all, ["quick", "spot", "restore-test"]);
    // A part of a night: what is not due is not done, and that is no failure.
    home.expect(0, &["home", "backup_check"]);
    let runs = home.history("home");
    let checks = |run: &Value| {
        let steps = run["steps"].as_array().expect("steps");
        steps.iter().filter(|s| s["command"] == "check").count()
    };
    assert_eq!(checks(runs.last().expect("a run")), 0);

    // One that found something was not done: it is due the next day as well, until nothing is found.
    let volume = stored(&home, &["-full.", ".vol1."]);
    let whole = fs::read(&volume).expect("volume");
    fs::write(&volume, &whole[..whole.len() - 1]).expect("volume");
    for (offset, code, next) in [("+8d", 14, &["quick"][..]), ("+9d", 0, &[])] {
        if code == 0 {
            fs::write(&volume, &whole).expect("volume");
        }
        let told = at(&home, offset, &["home", "check"]).expect("it moved before");
        assert_eq!(told.code, code, "{}", told.stderr);
        assert_eq!(due("+10d").as_deref().unwrap_or_default(), next, "{offset}");
    }
}
