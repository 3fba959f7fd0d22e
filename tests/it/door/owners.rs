//! Owners by name and by number, on a machine where names have other numbers; and how much of the metadata is fetched.

use super::Bench;
use crate::support::programs::{self, Program, is_root};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;

/// Runs a program where `ada` has this number.
fn where_ada_is(bench: &Bench, ada: u32, program: Program, words: &[&str]) -> Option<i32> {
    let start = program.words()?;
    // Whoever had the number before is somebody else now.
    let (passwd, group) = (bench.path("passwd"), bench.path("group"));
    let other = if ada == 41001 { 41002 } else { 41001 };
    let lines = format!(
        "root:x:0:0::/root:/bin/sh\nada:x:{ada}:{ada}::/:/bin/sh\nbob:x:{other}:{other}::/:/bin/sh\n"
    );
    fs::write(&passwd, lines).expect("write");
    fs::write(&group, format!("root:x:0:\nada:x:{ada}:\nbob:x:{other}:\n")).expect("write");
    let script = "mount --bind \"$1\" /etc/passwd && mount --bind \"$2\" /etc/group && shift 2 && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", script, "sh"])
        .args([passwd, group]);
    command
        .args(&start)
        .args(words)
        .args(["--no-encryption", "--archive-dir"]);
    let called = bench.run(command.arg(bench.path("cache")), "", &[]);
    assert_eq!(called.code, 0, "{program:?} {words:?}: {}", called.err);
    Some(called.code)
}

#[test]
fn owners_are_restored_by_name_or_by_number() {
    let may_mount = Command::new("unshare").args(["-m", "true"]).output();
    if !is_root() || !may_mount.is_ok_and(|tried| tried.status.success()) {
        return programs::skipped("owners by name", "mounts of one's own are not allowed here");
    }
    let bench = Bench::new("owners");
    let url = bench.url("t");
    chown(bench.path("src/a.txt"), Some(41001), Some(41001)).expect("root");
    where_ada_is(&bench, 41001, Program::Dupr, &["full", "src", &url]).expect("dupr");
    for program in Program::ALL {
        for (option, owner) in [(&[][..], 41002), (&["--numeric-owner"], 41001)] {
            let out = format!("out-{}-{owner}", program.name());
            let words = [&["restore", &url, &out], option].concat();
            if where_ada_is(&bench, 41002, program, &words).is_none() {
                continue;
            }
            let meta = fs::metadata(bench.path(&out).join("a.txt")).expect("restored");
            assert_eq!(
                (meta.uid(), meta.gid()),
                (owner, owner),
                "{program:?} {option:?}"
            );
        }
    }
}

#[test]
fn files_stay_with_whoever_restores_them_if_told_so() {
    if !is_root() {
        return;
    }
    let bench = Bench::new("nobodys");
    let url = bench.url("t");
    chown(bench.path("src/a.txt"), Some(41001), Some(41002)).expect("root");
    chown(bench.path("src/dir"), Some(41001), Some(41002)).expect("root");
    let words = ["full", "src", &url];
    let made = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
    assert_eq!(made.code, 0, "{}", made.err);
    for (program, option, owner) in [
        (Program::Dupr, None, (41001, 41002)),
        (Program::Dupr, Some("--restore-ownership"), (41001, 41002)),
        (Program::Dupr, Some("--no-restore-ownership"), (0, 0)),
        (Program::Dupr, Some("--do-not-restore-ownership"), (0, 0)),
        (Program::Duplicity3, Some("--no-restore-ownership"), (0, 0)),
        (
            Program::Duplicity08,
            Some("--do-not-restore-ownership"),
            (0, 0),
        ),
    ] {
        let out = format!("out-{}{}", program.name(), option.unwrap_or_default());
        let mut words = vec!["restore", &url, &out];
        words.extend(option);
        let Some(called) = bench.plain(program, "cache", &words) else {
            continue;
        };
        assert_eq!(called.code, 0, "{program:?} {option:?}: {}", called.err);
        for name in ["a.txt", "dir"] {
            let meta = fs::symlink_metadata(bench.path(&out).join(name)).expect("restored");
            assert_eq!(
                (meta.uid(), meta.gid()),
                owner,
                "{program:?} {option:?} {name}"
            );
        }
    }
}

#[test]
fn as_much_metadata_is_fetched_as_duplicity_fetches() {
    let bench = Bench::new("sync");
    let url = bench.url("t");
    for (n, action) in ["full", "incr", "full", "incr"].into_iter().enumerate() {
        bench.write("src/dir/two", &format!("{n}\n"));
        let time = (1_700_000_000 + n * 1000).to_string();
        let words = [action, "src", &url, "--current-time", &time];
        let made = bench.plain(Program::Dupr, "maker", &words).expect("dupr");
        assert_eq!(made.code, 0, "{}", made.err);
    }
    let fetched = |program: Program, mode: &str| {
        let cache = format!("{}-{mode}", program.name());
        let words = ["ls", &url, "--metadata-sync-mode", mode];
        let called = bench.plain(program, &cache, &words)?;
        assert_eq!(called.code, 0, "{}", called.err);
        let mut names = bench.names(&format!("{cache}/x"));
        names.retain(|name| name.starts_with("duplicity-"));
        Some(names)
    };
    let full = fetched(Program::Dupr, "full").expect("dupr");
    let partial = fetched(Program::Dupr, "partial").expect("dupr");
    assert_eq!(full.len(), 8, "{full:?}");
    let newest = |name: &String| name.contains("20231114T2246") || name.contains("20231114T2303");
    assert!(
        !partial.is_empty() && partial.iter().all(newest),
        "{partial:?}"
    );
    if let Some(theirs) = fetched(Program::Duplicity3, "full") {
        assert_eq!(full, theirs);
    }
    if let Some(theirs) = fetched(Program::Duplicity3, "partial") {
        assert!(
            partial.iter().all(|name| theirs.contains(name)),
            "{theirs:?}"
        );
    }
}
