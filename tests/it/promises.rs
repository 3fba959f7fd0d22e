//! Sentences of the manual that no other test holds dupr to, each from the outside.

use crate::support::home::Home;
use std::fs;

#[test]
fn a_tool_may_stand_behind_the_profile() {
    let home = Home::new("tool-behind");
    home.expect(0, &["home", "backup"]);
    for (behind, before) in [
        (&["home", "history"][..], &["history", "home"][..]),
        (
            &["home", "history", "-n", "1"],
            &["history", "home", "-n", "1"],
        ),
        (
            &["--json", "home", "HISTORY"],
            &["history", "home", "--json"],
        ),
        (&["home", "show"], &["show", "home"]),
        (
            &["home", "status", "--exit-code"],
            &["status", "home", "--exit-code"],
        ),
    ] {
        let (behind, before) = (home.expect(0, behind), home.expect(0, before));
        assert_eq!(behind.stdout, before.stdout);
        assert!(!behind.stdout.is_empty());
    }
    let plan = home.expect(0, &["home", "plan", "verify"]).stdout;
    assert!(plan.starts_with("home verify "), "{plan}");
    // A batch of a profile called like a command's argument stays one.
    home.expect(0, &["home", "restore", "history"]);
    assert!(home.path().join("history/one").exists());
    for word in ["du", "mount"] {
        let called = home.expect(2, &["home", word]);
        assert!(
            called.stderr.contains(&format!("has no {word} yet")),
            "{}",
            called.stderr
        );
    }
    assert!(
        home.expect(2, &["serve"])
            .stderr
            .contains("no such tool yet")
    );
}

#[test]
fn niceness_and_io_class_are_those_of_the_profile_and_of_its_hooks() {
    let home = Home::new("nice");
    let look = home.script(
        "look",
        "cut -d' ' -f19 /proc/$PPID/stat; cut -d' ' -f19 /proc/self/stat; ionice -p $PPID",
    );
    let hook = format!("[[hook]]\non = \"before\"\nexec = [{look:?}]\n");
    home.profile(
        "home",
        &format!("{hook}[run]\nnice = 7\nio-class = \"idle\"\n"),
    );
    home.profile(
        "best",
        &format!("{hook}[run]\nio-class = \"best-effort\"\n[backup]\nfile-prefix = \"best-\"\n"),
    );
    home.expect(0, &["home", "backup"]);
    home.expect(0, &["best", "backup"]);
    let printed = |profile: &str| {
        let runs = home.history(profile);
        let output = runs[0]["steps"][0]["output"].clone();
        serde_json::from_value::<Vec<String>>(output).expect("lines of the hook")
    };
    assert_eq!(printed("home"), ["7", "7", "idle"]);
    let best = printed("best");
    assert_eq!(best[2], "best-effort: prio 7");
    // Two in one call: the second has what it asks for, not what the first left behind.
    let own = fs::read_to_string("/proc/self/stat").expect("stat");
    let own = own.rsplit(')').next().unwrap().split_whitespace().nth(16);
    home.expect(0, &["best,home", "bkp"]);
    assert_eq!(best[0], own.unwrap_or_default());
}

#[test]
fn a_priority_that_cannot_be_had_is_told_and_the_backup_made() {
    let home = Home::new("no-ionice");
    home.profile("home", "[run]\nio-class = \"idle\"\n");
    let mut command = home.command(&["home", "backup"]);
    command.env("PATH", home.path());
    let called = crate::support::home::called(command.output().expect("dupr runs"));
    assert_eq!(called.code, 0, "{}", called.stderr);
    assert!(
        called.stderr.contains("io-class has no effect"),
        "{}",
        called.stderr
    );
    assert!(!home.stored().is_empty());
}
