//! What the manual page of duplicity 0.8.19 promises of its options and actions, asked of dupr and of real duplicities alike.

use super::{Bench, Called, listing};
use crate::support::programs::Program;
use std::fs;
use std::path::Path;
use std::process::Command;

fn dupr(bench: &Bench, words: &[&str], env: &[(&str, &str)]) -> Called {
    bench
        .call(Program::Dupr, "cache", words, "", env)
        .expect("dupr")
}

/// A full backup of `src` to `t`.
fn full(bench: &Bench) {
    let words = [
        "full",
        "src",
        &bench.url("t"),
        "--current-time",
        "1700000000",
    ];
    let called = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
    assert_eq!(called.code, 0, "{}", called.err);
}

/// The decompressed content of files at a target whose names have this in them, in the order of names.
fn contents(bench: &Bench, dir: &str, part: &str) -> Vec<Vec<u8>> {
    let names = bench.names(dir);
    names
        .iter()
        .filter(|name| name.contains(part))
        .map(|name| {
            let path = bench.path(dir).join(name);
            match name.ends_with(".gz") {
                true => {
                    Command::new("gzip")
                        .args(["-dc"])
                        .arg(path)
                        .output()
                        .expect("gzip")
                        .stdout
                }
                false => fs::read(path).expect("a file"),
            }
        })
        .collect()
}

/// Options of a backup, with a full and an incremental set each: the same names at the target, the same signatures byte for
/// byte, the same manifests and, where nothing is compressed, the same volumes.
#[test]
fn options_of_a_backup_leave_the_same_files() {
    for (real, words) in [
        (Program::Duplicity3, &["--no-compression"][..]),
        (
            Program::Duplicity3,
            &["--no-compression", "--no-files-changed"],
        ),
        (
            Program::Duplicity3,
            &["--no-compression", "--numeric-owner"],
        ),
        (Program::Duplicity3, &["--no-compression", "--copy-links"]),
        (
            Program::Duplicity3,
            &["--no-compression", "--max-blocksize", "1024"],
        ),
        (
            Program::Duplicity3,
            &["--no-compression", "--exclude-older-than", "1672531225"],
        ),
        (
            Program::Duplicity3,
            &[
                "--no-compression",
                "--exclude-device-files",
                "--exclude-other-filesystems",
            ],
        ),
        (
            Program::Duplicity3,
            &[
                "--no-compression",
                "--exclude",
                "src/dir/sub",
                "--exclude-regexp",
                "t[a-z]o(?!foo)",
            ],
        ),
        (Program::Duplicity3, &["--file-prefix", "p-"]),
        (
            Program::Duplicity3,
            &[
                "--file-prefix=p-",
                "--file-prefix-archive=a-",
                "--file-prefix-manifest=m-",
                "--file-prefix-signature=s-",
            ],
        ),
        (
            Program::Duplicity3,
            &["--volsize", "1", "--concurrency", "2"],
        ),
        (Program::Duplicity08, &["--short-filenames"]),
        (
            Program::Duplicity08,
            &["--old-filenames", "--time-separator", "_"],
        ),
        (
            Program::Duplicity08,
            &["--no-compression", "--max-blocksize", "4096"],
        ),
        (
            Program::Duplicity08,
            &["--asynchronous-upload", "--volsize=1"],
        ),
    ] {
        let bench = Bench::new("options-write");
        bench.write("src/dir/large", &"0123456789abcdef\n".repeat(100_000));
        let live = |program: Program, dir: &str| {
            let url = bench.url(dir);
            bench.write("src/a.txt", "one\n");
            bench.settle("src");
            for (action, time) in [("full", "1700000000"), ("incremental", "1700003600")] {
                let line = [&[action, "src", &url, "--current-time", time], words].concat();
                let called = bench.plain(program, &format!("c-{dir}"), &line)?;
                assert_eq!(
                    called.code, 0,
                    "{program:?} {line:?}: {}{}",
                    called.out, called.err
                );
                fs::write(bench.path("src/a.txt"), "one\nand two\n").expect("write");
                let file = fs::File::options()
                    .write(true)
                    .open(bench.path("src/a.txt"));
                let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_690_000_000);
                file.and_then(|file| file.set_modified(later))
                    .expect("a time");
            }
            Some(())
        };
        // Both begin with the same times of files.
        let clock = bench.clock.load(std::sync::atomic::Ordering::Relaxed);
        if live(real, "theirs").is_none() {
            continue;
        }
        bench
            .clock
            .store(clock, std::sync::atomic::Ordering::Relaxed);
        live(Program::Dupr, "ours").expect("dupr");
        assert_eq!(bench.names("ours"), bench.names("theirs"), "{words:?}");
        let same = |part: &str| contents(&bench, "ours", part) == contents(&bench, "theirs", part);
        // 0.8 has smaller blocks in the signatures of large files; both read either.
        if real == Program::Duplicity08 {
            continue;
        }
        assert!(same("sigtar"), "signatures of {words:?}");
        if words.contains(&"--no-compression") {
            assert!(same("difftar"), "volumes of {words:?}");
            assert!(same("manifest"), "manifests of {words:?}");
        }
    }
}

#[test]
fn archive_dirs_lie_where_duplicity_has_them() {
    let bench = Bench::new("dirs");
    let url = bench.url("t");
    let folders = |root: &Path| {
        let mut found = Vec::new();
        let mut open = vec![root.to_path_buf()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    open.push(entry.path());
                } else if entry.file_name().to_string_lossy().contains("manifest") {
                    let dir = dir.strip_prefix(root).expect("below");
                    found.push(dir.display().to_string());
                }
            }
        }
        found
    };
    for (n, (words, env)) in [
        (&[][..], &[][..]),
        (&["--name", "mine"], &[]),
        (&["--archive-dir", "~/arch"], &[]),
        (&["--archive-dir", "$HOME/arch", "--name", "mine"], &[]),
        (&[], &[("XDG_CACHE_HOME", "xdg")]),
        (&["--name", "mine"], &[("XDG_CACHE_HOME", "xdg")]),
    ]
    .into_iter()
    .enumerate()
    {
        let at = |program: Program| {
            let home = bench.path(&format!("home{n}{program:?}"));
            fs::create_dir(&home).expect("home");
            let _ = fs::remove_dir_all(bench.path("t"));
            let start = program.words()?;
            let mut command = Command::new(&start[0]);
            command
                .args(&start[1..])
                .args(["full", "src", &url, "--no-encryption"]);
            command
                .args(words)
                .env_remove("XDG_CACHE_HOME")
                .env("HOME", &home);
            for (name, dir) in env {
                command.env(name, home.join(dir));
            }
            let called = bench.run(&mut command, "", &[]);
            assert_eq!(called.code, 0, "{program:?} {words:?}: {}", called.err);
            Some(folders(&home))
        };
        let ours = at(Program::Dupr).expect("dupr");
        assert_eq!(ours.len(), 1, "{ours:?}");
        for real in [Program::Duplicity3, Program::Duplicity08] {
            if let Some(theirs) = at(real) {
                assert_eq!(ours, theirs, "{real:?} {words:?}");
            }
        }
    }
}

#[test]
fn a_month_has_thirty_days_before_a_full_backup_is_forced() {
    let bench = Bench::new("month");
    let url = bench.url("t");
    let day = |n: u64| (1_700_000_000 + n * 86_400).to_string();
    let backup = |n: u64| {
        bench.write("src/a.txt", &n.to_string());
        let words = [
            "src",
            &url,
            "--full-if-older-than",
            "1M",
            "--current-time",
            &day(n),
        ];
        let called = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
        assert_eq!(called.code, 0, "{}", called.err);
        let names = bench.names("t");
        let newest = names.iter().filter(|n| n.contains("manifest"));
        newest.filter(|n| n.starts_with("duplicity-full.")).count()
    };
    assert_eq!([0, 29, 30, 31].map(backup), [1, 1, 1, 2]);
}

#[test]
fn listing_needs_no_volume_and_status_counts_them() {
    let bench = Bench::new("cold");
    let url = bench.url("t");
    full(&bench);
    for name in bench.names("t").iter().filter(|n| n.contains("difftar")) {
        fs::remove_file(bench.path("t").join(name)).expect("a volume");
    }
    let fresh = |words: &[&str]| {
        let _ = fs::remove_dir_all(bench.path("cache"));
        bench.plain(Program::Dupr, "cache", words).expect("dupr")
    };
    let listed = fresh(&["list-current-files", &url]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    assert!(listed.out.contains("dir/two"), "{}", listed.out);
    let status = fresh(&["collection-status", &url]);
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(status.out.contains("volume 1 is missing"), "{}", status.out);
}

/// Counts from 0 to more than there are; what is left is the same.
#[test]
fn as_many_chains_stay_as_duplicity_keeps() {
    let bench = Bench::new("keep");
    let url = bench.url("t");
    for (action, time) in [
        ("full", "1700000000"),
        ("incremental", "1700003600"),
        ("full", "1700100000"),
        ("incremental", "1700103600"),
        ("incremental", "1700107200"),
        ("full", "1700200000"),
    ] {
        bench.write("src/a.txt", time);
        let words = [action, "src", &url, "--current-time", time];
        assert_eq!(
            bench
                .plain(Program::Dupr, "cache", &words)
                .expect("dupr")
                .code,
            0
        );
    }
    bench.copy("t", "kept");
    for action in ["remove-all-but-n-full", "remove-all-inc-of-but-n-full"] {
        for count in ["1", "2", "3", "99"] {
            let left = |program| {
                bench.copy("kept", "t");
                let words = [action, count, &url, "--force"];
                let called = bench.plain(program, &format!("c{program:?}"), &words)?;
                assert_eq!(called.code, 0, "{program:?} {words:?} {}", called.err);
                Some(bench.names("t"))
            };
            let ours = left(Program::Dupr).expect("dupr");
            for real in [Program::Duplicity3, Program::Duplicity08] {
                if let Some(theirs) = left(real) {
                    assert_eq!(ours, theirs, "{real:?} {action} {count}");
                }
            }
        }
        bench.copy("kept", "t");
        let none = [action, "0", &url, "--force"];
        assert_eq!(
            bench
                .plain(Program::Dupr, "cache", &none)
                .expect("dupr")
                .code,
            23
        );
        assert_eq!(bench.names("t"), bench.names("kept"));
    }
}

#[test]
fn cleanup_touches_nothing_of_others() {
    let bench = Bench::new("others");
    let url = bench.url("t");
    let plain = |words: &[&str]| {
        let called = bench.plain(Program::Dupr, "cache", words).expect("dupr");
        assert_eq!(called.code, 0, "{words:?} {}", called.err);
    };
    for (prefix, time) in [
        ("a-", "1700000000"),
        ("b-", "1700000000"),
        ("", "1700000000"),
    ] {
        let _ = fs::remove_dir_all(bench.path("cache"));
        plain(&[
            "full",
            "src",
            &url,
            "--file-prefix",
            prefix,
            "--current-time",
            time,
        ]);
    }
    for name in [
        "notes.txt",
        "duplicity-full.txt",
        "duplicity-full.20231114T221320Z.vol1.difftar.gz.bak",
    ] {
        bench.write(&format!("t/{name}"), "mine\n");
    }
    let before = bench.names("t");
    // What is left of a set without manifest, and signatures without their set.
    for name in [
        "duplicity-full.20220101T000000Z.vol1.difftar.gz",
        "a-duplicity-full.20220101T000000Z.vol1.difftar.gz",
        "duplicity-new-signatures.20220101T000000Z.to.20220102T000000Z.sigtar.gz",
    ] {
        bench.write(&format!("t/{name}"), "leftover\n");
    }
    let _ = fs::remove_dir_all(bench.path("cache"));
    plain(&["cleanup", &url, "--force"]);
    let _ = fs::remove_dir_all(bench.path("cache"));
    plain(&["cleanup", &url, "--force", "--file-prefix", "a-"]);
    assert_eq!(bench.names("t"), before);
}

/// An older chain under another passphrase does not stand in the way of the newest, nor the newest in that of the older.
#[test]
fn chains_of_two_passphrases_restore_each_with_its_own() {
    let bench = Bench::new("two");
    let url = bench.url("t");
    let with = |passphrase: &'static str| [("PASSPHRASE", passphrase)];
    for (passphrase, time) in [("first", "1700000000"), ("second", "1700100000")] {
        // A machine that knows nothing of the older chain.
        let _ = fs::remove_dir_all(bench.path("cache"));
        let full = [
            "full",
            "src",
            &url,
            "--current-time",
            time,
            "--name",
            passphrase,
        ];
        let called = dupr(&bench, &full, &with(passphrase));
        // The newest set must open, or two keys would be in use by mistake.
        let refused = time == "1700100000";
        assert_eq!(called.code, if refused { 31 } else { 0 }, "{}", called.err);
        if refused {
            let Some(made) = bench.call(Program::Duplicity3, "cache", &full, "", &with(passphrase))
            else {
                return;
            };
            assert_eq!(made.code, 0, "{}", made.err);
        }
    }
    for (passphrase, time) in [("first", "1700050000"), ("second", "now")] {
        let _ = fs::remove_dir_all(bench.path("cache"));
        let words = ["restore", &url, passphrase, "--time", time];
        let called = dupr(&bench, &words, &with(passphrase));
        assert_eq!(called.code, 0, "{passphrase}: {}", called.err);
        assert_eq!(
            listing(&bench.path(passphrase)),
            listing(&bench.path("src"))
        );
    }
}

#[test]
fn verbosity_is_spelled_in_every_way() {
    let bench = Bench::new("spellings");
    let url = bench.url("t");
    full(&bench);
    let said = |program, words: &[&str]| {
        let words = [&["list-current-files", &url][..], words].concat();
        let called = bench.plain(program, &format!("c{program:?}"), &words)?;
        let heard = ["Using archive dir", "Last full backup date"];
        Some((called.code, heard.map(|text| called.out.contains(text))))
    };
    for spelling in [
        "0",
        "2",
        "3",
        "4",
        "5",
        "8",
        "9",
        "e",
        "E",
        "w",
        "n",
        "N",
        "i",
        "I",
        "d",
        "error",
        "Error",
        "warning",
        "WARNING",
        "notice",
        "Notice",
        "info",
        "INFO",
        "debug",
        "10",
        "-1",
        "x",
        "information",
    ] {
        let long = format!("--verbosity={spelling}");
        let short = format!("-v{spelling}");
        let ours = said(Program::Dupr, &[&long]).expect("dupr");
        assert_eq!(said(Program::Dupr, &[&short]), Some(ours), "{spelling}");
        assert_eq!(said(Program::Dupr, &["--verbosity", spelling]), Some(ours));
        if let Some(theirs) = said(Program::Duplicity3, &[&long]) {
            assert_eq!(ours, theirs, "{spelling}");
        }
    }
}

#[test]
fn stamps_stand_before_messages() {
    let bench = Bench::new("stamps");
    let url = bench.url("t");
    full(&bench);
    let stamp = regex::Regex::new(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ").expect("regex");
    let lines = |program: Program, words: &[&str]| {
        let words = [words, &[&url, "--log-timestamp"]].concat();
        let cache = format!("c{program:?}");
        // The second call has nothing to fetch, which duplicity tells at length.
        bench.plain(program, &cache, &words)?;
        let called = bench.plain(program, &cache, &words)?;
        assert_eq!(called.code, 0, "{}", called.err);
        let text = called.out.replace(&cache, "cache");
        Some(
            text.lines()
                .map(|line| stamp.replace(line, "STAMP ").into_owned())
                .collect::<Vec<_>>(),
        )
    };
    for words in [
        &["list-current-files"][..],
        &["collection-status"],
        &["cleanup"],
    ] {
        let ours = lines(Program::Dupr, words).expect("dupr");
        assert!(
            ours.iter().any(|line| line.starts_with("STAMP NOTICE ")),
            "{ours:?}"
        );
        if let Some(theirs) = lines(Program::Duplicity3, words) {
            assert_eq!(ours, theirs, "{words:?}");
        }
    }
}

/// A file of another name, and one path of a state days ago.
#[test]
fn one_path_of_another_day_is_restored_under_another_name() {
    let bench = Bench::new("article");
    let url = bench.url("t");
    for (time, text) in [("1700000000", "old\n"), ("1700500000", "new\n")] {
        bench.write("src/dir/two words", text);
        let words = ["src", &url, "--current-time", time];
        assert_eq!(
            bench
                .plain(Program::Dupr, "cache", &words)
                .expect("dupr")
                .code,
            0
        );
    }
    for (n, option) in ["--file-to-restore", "--path-to-restore", "-r"]
        .iter()
        .enumerate()
    {
        let out = format!("restored_file{n}");
        let words = [
            "-t",
            "3D",
            option,
            "dir/two words",
            &url,
            &out,
            "--current-time",
            "1700700000",
        ];
        let called = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
        assert_eq!(called.code, 0, "{}", called.err);
        let text = fs::read_to_string(bench.path(&out)).expect("restored");
        assert_eq!(text, "old\n", "{option}");
    }
}

/// Kernel file systems end nothing and hang nothing, excluded or not.
#[test]
fn procfs_neither_hangs_nor_crashes() {
    let bench = Bench::new("proc");
    let url = bench.url("t");
    let words = [
        "full",
        "/proc/self/",
        &url,
        "--exclude",
        "/proc/self/task",
        "--exclude",
        "/proc/self/map_files",
    ];
    let called = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
    assert!(!called.err.contains("panicked"), "{}", called.err);
    let words = [
        "full",
        "/",
        &url,
        "--include",
        "/proc/version",
        "--exclude",
        "**",
        "--name",
        "y",
    ];
    let called = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
    assert_eq!(called.code, 0, "{}", called.err);
    let listed = bench
        .plain(
            Program::Dupr,
            "cache",
            &["list-current-files", &url, "--name", "y"],
        )
        .expect("dupr");
    assert!(
        listed
            .out
            .ends_with("proc/version\nDuplicity backup complete.\n"),
        "{}",
        listed.out
    );
}
