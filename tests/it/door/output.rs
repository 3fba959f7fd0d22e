//! What is said, line by line as duplicity 3.2.1 says it of the same collection. Left out of the comparison are times of
//! day, sizes of what was compressed, lines that only tell of the inside of duplicity, and texts of errors.

use super::Bench;
use crate::support::programs::Program;
use regex::Regex;

/// A collection with two chains, made by duplicity: full, inc, full, inc with JSON statistics, inc.
fn collection() -> Option<Bench> {
    let bench = Bench::new("output");
    let url = bench.url("t");
    let make = |time: &str, words: &[&str]| {
        let words = [words, &["src", &url, "--current-time", time]].concat();
        let called = bench.plain(Program::Duplicity3, "cache", &words)?;
        assert_eq!(called.code, 0, "{}", called.err);
        Some(())
    };
    make("1700000000", &["full"])?;
    bench.write("src/a.txt", "one\nmore\n");
    std::fs::remove_file(bench.path("src/dir/two")).expect("remove");
    make("1700010000", &["inc"])?;
    make("1700100000", &["full"])?;
    bench.write("src/new", "x\n");
    bench.write("src/dir/big", &"fedcba9876543210".repeat(30_000));
    make("1700110000", &["inc", "--jsonstat"])?;
    std::fs::remove_file(bench.path("src/new")).expect("remove");
    make("1700120000", &["inc"])?;
    Some(bench)
}

/// Output without what may differ.
fn comparable(text: &str) -> Vec<String> {
    let inside = Regex::new(
        r"^(\. )?(DEBUG: to_|Need to use '|Deleting (complete|any incremental) |Duplicity backup complete)",
    )
    .expect("a pattern");
    let masked = [
        (r#"^(\. )?((Start|End|Elapsed)Time) .*"#, "$1$2"),
        (r#""((Start|End|Elapsed)Time(_str)?)": .*"#, "$1"),
        (
            r"TotalDestinationSizeChange.*",
            "TotalDestinationSizeChange",
        ),
        (r"RawDeltaSize.*", "RawDeltaSize"),
        (r"^archive-dir .*", "archive-dir"),
        (r"^NOTICE 16 .*", "NOTICE 16"),
        (r"^(\. )?[0-9.]+.B [0-9:]{8} .*", "$1progress"),
    ]
    .map(|(pattern, mask)| (Regex::new(pattern).expect("a pattern"), mask));
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if inside.is_match(line) {
            // Its head in the machine log goes with it.
            if line.starts_with(". ") {
                lines.pop();
            }
            continue;
        }
        let masked = masked.iter().fold(line.to_owned(), |line, (p, mask)| {
            p.replace(&line, *mask).into_owned()
        });
        lines.push(masked);
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[test]
fn every_action_says_what_duplicity_says() {
    let Some(bench) = collection() else { return };
    let url = bench.url("w");
    let url = url.as_str();
    for words in [
        &["collection-status", url][..],
        &["collection-status", url, "-v0"],
        &["collection-status", url, "--file-changed", "a.txt"],
        &["collection-status", url, "--file-changed", "nothing"],
        &["collection-status", url, "--show-changes-in-set", "0"],
        &["collection-status", url, "--show-changes-in-set", "1"],
        &["list-current-files", url],
        &["list-current-files", url, "-t", "1700000000"],
        &["verify", url, "src"],
        &["verify", "--compare-data", "-t", "1700110000", url, "src"],
        &["verify", "--compare-data", "-t", "1700000000", url, "src"],
        &["verify", "--compare-data", url, "src", "-r", "dir"],
        &["collection-status", url, "--show-changes-in-set", "2"],
        &["restore", url, "out"],
        &["restore", url, "out", "--dry-run"],
        &["restore", url, "out", "-r", "dir", "--dry-run"],
        &["cleanup", url],
        &["remove-older-than", "1700090000", url],
        &["remove-older-than", "1700090000", url, "--force"],
        &["remove-older-than", "1700111000", url],
        &["remove-all-but-n-full", "1", url],
        &["remove-all-but-n-full", "1", url, "--force"],
        &["remove-all-but-n-full", "9", url],
        &["remove-all-inc-of-but-n-full", "1", url, "--force"],
        &["inc", "src", url, "--current-time", "1700130000"],
        &["full", "src", url, "--current-time", "1700130000"],
        &[
            "full",
            "src",
            url,
            "--current-time",
            "1700130000",
            "--no-print-statistics",
        ],
        &[
            "full",
            "src",
            url,
            "--current-time",
            "1700130000",
            "--jsonstat",
        ],
        &[
            "full",
            "src",
            url,
            "--current-time",
            "1700130000",
            "--progress",
        ],
        &[
            "backup",
            "src",
            url,
            "--current-time",
            "1700230000",
            "--full-if-older-than",
            "1D",
        ],
        &[
            "backup",
            "src",
            url,
            "--current-time",
            "1700230000",
            "--full-if-n-inc",
            "2",
        ],
    ] {
        let said = |program| {
            bench.copy("t", "w");
            bench.copy("cache", "cache-w");
            let _ = std::fs::remove_dir_all(bench.path("out"));
            let _ = std::fs::remove_file(bench.path("log"));
            let words = [words, &["--log-file", "log"]].concat();
            let called = bench.plain(program, "cache-w", &words)?;
            let log = std::fs::read_to_string(bench.path("log")).unwrap_or_default();
            Some((
                called.code,
                comparable(&called.out),
                comparable(&log),
                bench.names("w"),
            ))
        };
        let real = said(Program::Duplicity3).expect("it was there");
        let ours = said(Program::Dupr).expect("dupr");
        assert_eq!(ours.0, real.0, "exit code of {words:?}: {:?}", ours.1);
        assert_eq!(ours.1, real.1, "output of {words:?}");
        assert_eq!(ours.2, real.2, "log of {words:?}");
        assert_eq!(ours.3, real.3, "files at the target after {words:?}");
    }
}

#[test]
fn entries_are_told_at_info_with_their_codes() {
    let Some(bench) = collection() else { return };
    bench.write("src/fresh", "fresh\n");
    bench.write("src/a.txt", "changed again, and longer\n");
    std::fs::remove_file(bench.path("src/link")).expect("remove");
    let url = bench.url("w");
    let entries = |program, words: &[&str]| {
        bench.copy("t", "w");
        bench.copy("cache", "cache-w");
        let _ = std::fs::remove_dir_all(bench.path("out"));
        let called = bench
            .plain(program, "cache-w", words)
            .expect("it was there");
        assert_eq!(called.code, 0, "{words:?} {}", called.err);
        let log = std::fs::read_to_string(bench.path("log")).expect("log");
        std::fs::remove_file(bench.path("log")).expect("log");
        let head = Regex::new(r"^INFO [4-7] ").expect("a pattern");
        let lines: Vec<&str> = log.lines().collect();
        let stanzas = lines.windows(2).filter(|w| head.is_match(w[0]));
        stanzas.map(|w| w.join("|")).collect::<Vec<_>>()
    };
    let backup = [
        "inc",
        "src",
        &url,
        "-vi",
        "--log-file",
        "log",
        "--current-time",
        "1700130000",
    ];
    let ours = entries(Program::Dupr, &backup);
    assert_eq!(ours, entries(Program::Duplicity3, &backup));
    assert!(
        ours.contains(&"INFO 4 'fresh'|. A fresh".to_owned()),
        "{ours:?}"
    );
    let restore = ["restore", &url, "out", "-v5", "--log-file", "log"];
    let ours = entries(Program::Dupr, &restore);
    assert_eq!(ours, entries(Program::Duplicity3, &restore));
    assert!(
        ours.iter()
            .any(|l| l.starts_with(r"INFO 7 'it\x27s \xfc' reg")),
        "{ours:?}"
    );
}

#[test]
fn the_log_goes_to_a_descriptor_and_verbosity_filters_it() {
    let bench = Bench::new("logfd");
    let dupr = Program::Dupr.words().expect("dupr");
    let line = format!(
        "{} {} full src {} --no-encryption --archive-dir cache -v$LEVEL --log-fd 5 5>log >out 2>&1",
        dupr[0],
        dupr[1],
        bench.url("t")
    );
    for (level, notices, infos) in [
        ("0", true, false),
        ("w", true, false),
        ("n", true, false),
        ("8", true, true),
    ] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line]);
        assert_eq!(bench.run(&mut shell, "", &[("LEVEL", level)]).code, 0);
        let log = std::fs::read_to_string(bench.path("log")).expect("log");
        // The statistics are shown at every level.
        assert_eq!(
            log.contains("NOTICE 1\n. --------------[ Backup Statistics"),
            notices,
            "{level}: {log}"
        );
        assert_eq!(log.contains("INFO 4 '"), infos, "{level}: {log}");
        assert_eq!(
            log.contains("Last full backup date"),
            level == "n" || level == "8",
            "{level}"
        );
    }
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        &line
            .replace("full src", "restore")
            .replace(" --no-enc", " src --no-enc"),
    ]);
    assert_eq!(bench.run(&mut shell, "", &[("LEVEL", "3")]).code, 11);
    let log = std::fs::read_to_string(bench.path("log")).expect("log");
    assert!(log.starts_with("ERROR 11\n. "), "{log}");
}

#[test]
fn json_statistics_lie_where_duplicity_reads_them() {
    let bench = Bench::new("jsonstat");
    let url = bench.url("t");
    let call = |program, words: &[&str]| bench.plain(program, "cache", words);
    let full = [
        "full",
        "src",
        &url,
        "--jsonstat",
        "--current-time",
        "1700000000",
    ];
    assert_eq!(call(Program::Dupr, &full).expect("dupr").code, 0);
    assert!(
        bench
            .names("t")
            .contains(&"duplicity-full.20231114T221320Z.jsonstat.gz".into()),
        "{:?}",
        bench.names("t")
    );
    let skipped = [
        "inc",
        "src",
        &url,
        "--jsonstat",
        "--skip-if-no-change",
        "--current-time",
        "1900000000",
    ];
    let before = bench.names("t");
    let called = call(Program::Dupr, &skipped).expect("dupr");
    assert!(
        called.out.contains("\"skipped_inc\": true"),
        "{}",
        called.out
    );
    assert_eq!(
        bench.names("t"),
        before,
        "a set was made although nothing changed"
    );
    let all = [
        "collection-status",
        &url,
        "--show-changes-in-set",
        "-1",
        "--jsonstat",
    ];
    let parse = |program| {
        let out = call(program, &all)?.out;
        let json = out.get(out.find('{')?..=out.rfind('}')?)?.to_owned();
        Some(
            serde_json::from_str::<serde_json::Value>(&json)
                .unwrap_or_else(|e| panic!("{e}: {json}")),
        )
    };
    let ours = parse(Program::Dupr).expect("dupr");
    let set = &ours["full-20231114T221320Z"];
    assert_eq!(set["json_stat"]["backup_meta"]["action"], "full");
    assert_eq!(set["files_changed"]["dir/big"], "new");
    if let Some(real) = parse(Program::Duplicity3) {
        assert_eq!(real["full-20231114T221320Z"]["json_stat"], set["json_stat"]);
    }
    // A change makes a set again, which names what is told of those before it.
    bench.write("src/a.txt", "other\n");
    let inc = call(Program::Dupr, &skipped).expect("dupr");
    assert_eq!(inc.code, 0, "{}", inc.err);
    let named = "\"local_json_stat\": [\n            \"duplicity-full.20231114T221320Z.jsonstat.gz\"\n        ]";
    assert!(inc.out.contains(named), "{}", inc.out);
    assert!(bench.names("t").len() > before.len());
}

#[test]
fn a_dry_run_writes_nothing_and_counts_what_a_backup_would() {
    let Some(bench) = collection() else { return };
    bench.write("src/fresh", "fresh\n");
    let url = bench.url("t");
    let before = (bench.names("t"), super::listing(&bench.path("t")));
    let dry = [
        "inc",
        "src",
        &url,
        "--dry-run",
        "--current-time",
        "1700130000",
    ];
    let called = bench.plain(Program::Dupr, "cache", &dry).expect("dupr");
    assert_eq!(called.code, 0, "{}", called.err);
    // The file, and the root if its second is another.
    let counted = ["NewFiles 1\n", "NewFiles 2\n"];
    assert!(
        counted.iter().any(|n| called.out.contains(n)),
        "{}",
        called.out
    );
    assert_eq!((bench.names("t"), super::listing(&bench.path("t"))), before);
}

#[test]
fn parts_are_renamed_as_they_are_restored() {
    let Some(bench) = collection() else { return };
    let url = bench.url("t");
    let restore = |program, to: &str| {
        let words = [
            "restore",
            &url,
            to,
            "--rename",
            "dir",
            "other/place",
            "--rename",
            "a.txt",
            "b",
        ];
        let called = bench.plain(program, "cache", &words).expect("it was there");
        assert_eq!(called.code, 0, "{}", called.err);
        let names = super::listing(&bench.path(to));
        // Folders that only the new name has are of the time of the restore.
        names
            .into_iter()
            .filter(|l| !l.starts_with("other "))
            .collect::<Vec<_>>()
    };
    let (ours, real) = (
        restore(Program::Dupr, "ours"),
        restore(Program::Duplicity3, "real"),
    );
    let names = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .filter_map(|l| l.split(' ').next().map(str::to_owned))
            .collect()
    };
    assert_eq!(names(&ours), names(&real));
    assert!(
        ours.iter().any(|l| l.starts_with("other/place/big")) && !bench.path("ours/dir").exists()
    );
}

#[test]
fn names_alone_answer_without_the_target() {
    let Some(bench) = collection() else { return };
    let url = bench.url("t");
    let listed = |words: &[&str]| {
        let words = [&["list-current-files", &url], words].concat();
        let called = bench.plain(Program::Dupr, "cache", &words).expect("dupr");
        assert_eq!(called.code, 0, "{}", called.err);
        called
            .out
            .lines()
            .filter(|l| l.contains(" 20"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let there = listed(&[]);
    std::fs::rename(bench.path("t"), bench.path("away")).expect("rename");
    std::fs::create_dir(bench.path("t")).expect("an empty target");
    let away = listed(&["--no-check-remote"]);
    assert!(there.len() > 5);
    assert_eq!(away, there);
}

#[test]
fn a_restore_takes_selection_as_duplicity_does() {
    let Some(bench) = collection() else { return };
    let url = bench.url("t");
    for rules in [
        &["--include", "dir/sub", "--exclude", "**"][..],
        &["--include", "**/big", "--exclude", "**"],
        &["--exclude", "dir"],
        &["--exclude", "**.txt", "--exclude", "empty"],
        &["--include", "/dir", "--exclude", "**"],
        &["--include", "dir/sub"],
        &["--exclude", "dir", "--path-to-restore", "dir"],
    ] {
        let restored = |program, out: &str| {
            let words = [&["restore", &url, out], rules].concat();
            let called = bench.plain(program, "cache", &words).expect("it was there");
            let found = match called.code {
                0 => super::listing(&bench.path(out)),
                _ => Vec::new(),
            };
            let _ = std::fs::remove_dir_all(bench.path(out));
            (called.code, found)
        };
        let real = restored(Program::Duplicity3, "real");
        assert_eq!(restored(Program::Dupr, "ours"), real, "{rules:?}");
    }
}

/// Front ends such as Déjà Dup clean up when one of these numbers comes.
#[test]
fn leftovers_are_told_with_the_numbers_of_duplicity() {
    let Some(bench) = collection() else { return };
    let url = bench.url("w");
    for (harm, warned) in [
        ("nothing", false),
        // The chains of `collection`: which of their files is gone.
        ("duplicity-full.20231114T221320Z", true),
        ("duplicity-full-signatures.20231114T221320Z", true),
        ("duplicity-full.2023", true),
        ("duplicity-inc.2023", true),
        ("duplicity-full", true),
    ] {
        let codes = |program| {
            bench.copy("t", "w");
            bench.copy("cache", "cache-w");
            // duplicity believes its archive dir more than the target.
            for dir in ["w", "cache-w/x"] {
                for name in bench
                    .names(dir)
                    .iter()
                    .filter(|name| name.starts_with(harm))
                {
                    std::fs::remove_file(bench.path(dir).join(name)).expect("it is there");
                }
            }
            let _ = std::fs::remove_file(bench.path("log"));
            let words = ["collection-status", &url, "--log-file", "log"];
            let called = bench.plain(program, "cache-w", &words)?;
            assert_eq!(called.code, 0, "{}", called.err);
            let log = std::fs::read_to_string(bench.path("log")).expect("a log");
            let mut codes: Vec<String> = log
                .lines()
                .filter(|line| ["WARNING 2", "WARNING 4", "WARNING 6"].contains(line))
                .map(str::to_owned)
                .collect();
            codes.sort();
            // duplicity tells of its copies, too.
            codes.dedup();
            Some(codes)
        };
        let ours = codes(Program::Dupr).expect("dupr");
        assert_eq!(ours.is_empty(), !warned, "{harm}: {ours:?}");
        assert_eq!(Some(ours), codes(Program::Duplicity3), "{harm}");
    }
}

/// What stands behind the number of an error: Déjà Dup tells its user by it.
#[test]
fn errors_are_told_as_front_ends_read_them() {
    let bench = Bench::new("errors");
    let url = bench.url("w");
    let right = [("PASSPHRASE", "right")];
    let words = ["full", "src", &url, "--current-time", "1700000000"];
    let Some(made) = bench.call(Program::Duplicity3, "cache", &words, "", &right) else {
        return;
    };
    assert_eq!(made.code, 0, "{}", made.err);
    bench.copy("w", "t");
    let none = bench.url("none");
    for (words, passphrase, harm) in [
        (&["restore", url.as_str(), "out"][..], "wrong", ""),
        (&["restore", &url, "out", "-r", "nix"], "right", ""),
        (&["restore", &none, "out"], "right", ""),
        (&["restore", &url, "src"], "right", ""),
        (&["inc", "src", &none], "right", ""),
        (&["inc", "src/dir", &url], "right", ""),
        (&["restore", &url, "out"], "right", "vol1"),
        (
            &[
                "collection-status",
                "webdav://u:p@127.0.0.1:1/x",
                "--num-retries",
                "1",
            ],
            "right",
            "",
        ),
    ] {
        let told = |program| {
            bench.copy("t", "w");
            bench.copy("cache", "cache-w");
            for name in bench
                .names("w")
                .iter()
                .filter(|n| !harm.is_empty() && n.contains(harm))
            {
                let mut bytes = std::fs::read(bench.path("w").join(name)).expect("a volume");
                bytes[200] ^= 1;
                std::fs::write(bench.path("w").join(name), bytes).expect("a volume");
            }
            for name in ["out", "none"] {
                let _ = std::fs::remove_dir_all(bench.path(name));
            }
            let _ = std::fs::remove_file(bench.path("log"));
            let words = [words, &["--log-file", "log"]].concat();
            let env = [("PASSPHRASE", passphrase)];
            let called = bench
                .call(program, "cache-w", &words, "", &env)
                .expect("a program");
            let log = std::fs::read_to_string(bench.path("log")).expect("a log");
            // duplicity tells of some failures twice.
            let last = log.lines().rfind(|line| line.starts_with("ERROR "));
            (called.code, last.map(str::to_owned))
        };
        assert_eq!(told(Program::Dupr), told(Program::Duplicity3), "{words:?}");
    }
}

/// The line as programs around duplicity take it apart: at a terminal and where there is none, it is the same line.
#[test]
fn progress_has_the_same_shape_at_a_terminal_and_without() {
    let bench = Bench::new("progress");
    let shape = Regex::new(
        r"^[0-9]+\.[0-9]+[KMG]B [0-9]{2,}:[0-9]{2}:[0-9]{2} \[[0-9]+\.[0-9]+[KMG]B/s\] \[=*> *\] +[0-9]{1,3}% ETA [^ ]+( \(.+\))?$",
    )
    .expect("a pattern");
    let Some(script) = crate::support::programs::find("script") else {
        return;
    };
    for program in [Program::Duplicity3, Program::Dupr] {
        let Some(start) = program.words() else {
            continue;
        };
        for at_terminal in [false, true] {
            let target = format!("t-{program:?}-{at_terminal}");
            let words = [
                "full",
                "src",
                &bench.url(&target),
                "--no-encryption",
                "--progress",
                "--archive-dir",
                &target.replace("t-", "cache-"),
            ];
            let words: Vec<&str> = start.iter().map(String::as_str).chain(words).collect();
            let mut command = if at_terminal {
                let mut command = std::process::Command::new(&script);
                command.args(["-qec", &words.join(" "), "/dev/null"]);
                command
            } else {
                let mut command = std::process::Command::new(words[0]);
                command.args(&words[1..]);
                command
            };
            let called = bench.run(&mut command, "", &[]);
            let said = |why: &str| format!("{program:?} {at_terminal} {why}: {called:?}");
            assert_eq!(called.code, 0, "{}", said("ends well"));
            let bars: Vec<&str> = called
                .out
                .lines()
                .map(|line| line.trim_end_matches('\r'))
                .filter(|line| line.contains("B/s]"))
                .collect();
            assert!(!bars.is_empty(), "{}", said("tells"));
            assert!(
                bars.iter().all(|bar| shape.is_match(bar)),
                "{}",
                said("shape")
            );
            // Nothing that only a terminal understands.
            assert!(!called.out.contains('\u{1b}'), "{}", said("plain"));
            assert!(
                bars.last().is_some_and(|bar| bar.contains(" 100% ")),
                "{}",
                said("ends")
            );
        }
    }
}
