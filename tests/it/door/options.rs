//! Nothing that a real duplicity takes is unknown here, and what is wrong ends with the same code.

use super::Bench;
use crate::differential::Oracle;
use crate::support::programs::Program;
use std::collections::BTreeSet;

/// The program and the ways its real counterparts are called.
const REAL: [Program; 2] = [Program::Duplicity3, Program::Duplicity08];

/// Options of the help of a program, each with whether it takes a value.
fn options_of(help: &str) -> BTreeSet<(String, bool)> {
    let mut options = BTreeSet::new();
    for line in help.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if !(1..=4).contains(&indent) || !text.starts_with('-') {
            continue;
        }
        // `-v, --verbosity level   what it does` or `-v VERBOSITY, --verbosity=VERBOSITY`.
        let head = text.split("  ").next().unwrap_or_default();
        for part in head.split(", ") {
            if let Some(long) = part.strip_prefix("--") {
                let (name, value) = match long.find([' ', '=']) {
                    Some(at) => (&long[..at], true),
                    None => (long, false),
                };
                options.insert((name.to_owned(), value));
            }
        }
    }
    options
}

#[test]
fn no_option_of_a_real_duplicity_is_unknown() {
    let bench = Bench::new("options");
    for real in REAL {
        let Some(help) = bench.call(real, "cache", &["--help"], "", &[]) else {
            continue;
        };
        let options = options_of(&format!("{}{}", help.out, help.err));
        assert!(options.len() > 90, "{real:?}: {options:?}");
        for (name, _) in &options {
            // Said wrongly, every known option is told of by what is wrong with it, an unknown one as unknown.
            let called = bench
                .call(
                    Program::Dupr,
                    "cache",
                    &["status", &format!("--{name}")],
                    "",
                    &[],
                )
                .expect("dupr");
            assert!(
                !called.err.contains("unknown option") && !called.err.contains("ambiguous"),
                "{real:?} --{name}: {}",
                called.err
            );
        }
    }
    let unknown = bench
        .plain(
            Program::Dupr,
            "cache",
            &["collection-status", "--nonsense", &bench.url("t")],
        )
        .expect("dupr");
    assert_eq!(unknown.code, 23);
    assert!(
        unknown.err.contains("unknown option --nonsense"),
        "{}",
        unknown.err
    );
    let help = bench
        .call(Program::Dupr, "cache", &["--help"], "", &[])
        .expect("dupr");
    assert_eq!(help.code, 0);
    assert!(help.out.contains("--path-to-restore") && help.out.contains("collection-status=st"));
}

/// Options of duplicity that its own help does not show, nor ours.
const HIDDEN: [&str; 4] = ["current-time", "fail-on-volume", "skip-volume", "pydevd"];

#[test]
fn help_and_manual_list_every_option_of_the_parsers() {
    let bench = Bench::new("parsers");
    let text = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dupr"));
        let output = command.args(words).output().expect("dupr");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let help = bench
        .call(Program::Dupr, "cache", &["--help"], "", &[])
        .expect("dupr")
        .out;
    let manual = text(&["man", "duplicity"]).replace("\\-", "-");
    for oracle in [Oracle::start(), Oracle::start_old()] {
        let Some(mut oracle) = oracle else { continue };
        let options = oracle.ask(&serde_json::json!({"ask": "options"}));
        let options = options.as_array().expect("a list");
        assert!(options.len() > 100, "{options:?}");
        for option in options {
            let name = option[0].as_str().expect("a name");
            let values = match option[1].as_u64().expect("a number") {
                0 => "",
                1 => " VALUE",
                _ => " FROM TO",
            };
            if HIDDEN.contains(&name) {
                assert!(!help.contains(&format!("--{name}")), "{name}");
                continue;
            }
            // A flag in one version, with a value in another.
            let values = if name == "imap-full-address" {
                " [VALUE]"
            } else {
                values
            };
            let listed = help.lines().any(|line| {
                let head = line.trim_start().split("  ").next().unwrap_or_default();
                let head = head.split_once(", ").map_or(head, |(_, long)| long);
                head == format!("--{name}{values}")
            });
            assert!(listed, "--{name}{values} is not in the help");
            assert!(
                manual.contains(&format!("--{name}{values}\\fR")),
                "--{name} is not in the manual"
            );
        }
    }
}

#[test]
fn version_is_what_wrappers_read() {
    let bench = Bench::new("version");
    for words in [&["--version"][..], &["-V"], &["backup", "--version"]] {
        let called = bench
            .call(Program::Dupr, "cache", words, "", &[])
            .expect("dupr");
        assert_eq!(called.code, 0);
        let mut words = called.out.split_whitespace();
        assert_eq!(words.next(), Some("duplicity"));
        let version = words.next().expect("a version");
        assert!(
            version.split('.').all(|n| n.parse::<u32>().is_ok()),
            "{version}"
        );
        // Déjà Dup takes the last word.
        assert_eq!(words.next_back(), Some(version));
        assert!(called.out.contains("dupr"));
    }
}

#[test]
fn what_has_no_effect_says_so_once_and_does_no_harm() {
    let bench = Bench::new("idle");
    let url = bench.url("t");
    let full = |more: &[&str]| {
        let words = [&["full", "src", url.as_str()], more].concat();
        bench.plain(Program::Dupr, "cache", &words).expect("dupr")
    };
    for (words, says) in [
        (&["--s3-european-buckets"][..], "--s3-region-name"),
        (&["--cf-backend", "pyrax"], "s3://"),
        (&["--gio"], "file://"),
        (&["--encrypt-secret-keyring", "/k"], "GNUPGHOME"),
        (&["--asynchronous-upload"], "--concurrency"),
        (
            &["--exclude-globbing-filelist", "/dev/null"],
            "--exclude-filelist",
        ),
    ] {
        let called = full(words);
        assert_eq!(called.code, 0, "{words:?} {}", called.err);
        let told: Vec<&str> = called
            .out
            .lines()
            .filter(|l| l.starts_with(words[0]))
            .collect();
        assert!(
            told.len() == 1 && told[0].contains(says),
            "{words:?}: {}",
            called.out
        );
    }
}

#[test]
fn exit_codes_are_those_of_duplicity() {
    let bench = Bench::new("codes");
    let Some(made) = bench.plain(
        Program::Duplicity3,
        "cache",
        &[
            "full",
            "src",
            &bench.url("t"),
            "--current-time",
            "1700000000",
        ],
    ) else {
        return;
    };
    assert_eq!(made.code, 0, "{}", made.err);
    let (url, empty) = (bench.url("w"), bench.url("none"));
    let (url, empty) = (url.as_str(), empty.as_str());
    for words in [
        &["full", "nosrc", url][..],
        &["full", "src", "/x"],
        &["src", url, "more"],
        &["src", "out"],
        &[url, url],
        &[url],
        &[],
        &["verify"],
        &["full", "src", url, "--volsize", "abc"],
        &["full", "src", url, "-v", "loud"],
        &["full", "src", url, "--exclude-filelist", "nofile"],
        &["remove-all-but-n-full", "x", url],
        &["remove-older-than", "xx", url],
        &["restore", url, "out", "-t", "zz"],
        &["restore", url, "out", "-t", "5"],
        &["restore", url, "src"],
        &["restore", url, "."],
        &["restore", url, "out", "--path-to-restore", "nix"],
        &["restore", url, "out", "--path-to-restore", "a.txt"],
        &["restore", empty, "out"],
        &["list-current-files", empty],
        &["verify", empty, "src"],
        &["collection-status", empty],
        &["cleanup", empty],
        &["remove-older-than", "1D", empty],
        &["remove-all-but-n-full", "1", empty, "--force"],
        &["verify", url, "src"],
        &["verify", "--compare-data", url, "src"],
        &["verify", "--compare-data", url, "src/dir"],
        &["inc", "src", empty],
        &["inc", "src/dir", url],
        &["inc", "src/dir", url, "--allow-source-mismatch"],
        &["full", "src", url, "--include", "x"],
        &["full", "src", url, "--exclude", "src//dir"],
        &["full", "src", url, "--include", "src/dir"],
        &[
            "full",
            "src",
            url,
            "--filter-globbing",
            "--exclude",
            "src/dir",
        ],
        &[
            "full",
            "src",
            url,
            "--exclude",
            "src/dir",
            "--filter-ignorecase",
        ],
        &["full", "src", url, "--files-from", "/dev/null"],
        &["backup", "src", "nosuch://x/y"],
        &["collection-status", url, "--show-changes-in-set", "9"],
    ] {
        let code = |program| {
            bench.copy("t", "w");
            bench.copy("cache", "cache-w");
            for name in ["out", "none"] {
                let _ = std::fs::remove_dir_all(bench.path(name));
                let _ = std::fs::remove_file(bench.path(name));
            }
            bench.plain(program, "cache-w", words)
        };
        let (real, ours) = (
            code(Program::Duplicity3),
            code(Program::Dupr).expect("dupr"),
        );
        let real = real.expect("it was there");
        assert_eq!(
            ours.code, real.code,
            "{words:?}\n{}\n{}",
            ours.err, real.err
        );
    }
}

#[test]
fn actions_are_named_in_every_way() {
    let bench = Bench::new("names");
    let url = bench.url("t");
    let full = bench
        .plain(Program::Dupr, "c", &["fb", "src", &url])
        .expect("dupr");
    assert_eq!(full.code, 0, "{}", full.err);
    for words in [
        &["st", url.as_str()][..],
        &["collection-status", &url],
        &["collection", &url],
        &["--verbosity", "info", "ls", &url],
        &["ls", "-vDEBUG", &url],
        &["li", &url],
        &["vb", &url, "src"],
        &["cl", &url],
        &["ro", "1D", &url],
        &["remove-older", "1D", &url],
        &["ra", "1", &url],
        &["ri", "1", &url],
        &["inc", "src", &url],
        &["incr", "src", &url],
        &["bu", "src", &url],
        &["src", &url],
        &["--no-print", "src", &url],
    ] {
        let called = bench.plain(Program::Dupr, "c", words).expect("dupr");
        assert_eq!(called.code, 0, "{words:?} {}", called.err);
    }
    let restored = bench
        .plain(Program::Dupr, "c", &[&url, "out"])
        .expect("dupr");
    assert_eq!(restored.code, 0, "{}", restored.err);
    assert_eq!(
        super::listing(&bench.path("out")),
        super::listing(&bench.path("src"))
    );
}
