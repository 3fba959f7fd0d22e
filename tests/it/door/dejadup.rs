//! What Déjà Dup calls: its command lines, recorded from version 44 of Debian 12 at a backup to a local folder and a restore,
//! given to dupr and to duplicity 0.8.22. What it reads of the machine log is the same.

use super::{Bench, Called, listing};
use crate::support::programs::Program;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a program as Déjà Dup does: a machine log at a descriptor of its own, nothing to read from.
fn call(
    bench: &Bench,
    program: Program,
    words: &[&str],
    passphrase: Option<&str>,
) -> Option<Called> {
    let start = program.words()?;
    let log = bench.path("log");
    let _ = fs::remove_file(&log);
    let cache = bench.path("home/.cache/deja-dup").display().to_string();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "log=$1; shift; exec \"$@\" 9>\"$log\" </dev/null",
            "sh",
        ])
        .arg(&log)
        .args(&start)
        .args(words)
        .args([
            "--verbosity=9",
            "--timeout=120",
            "--tempdir=/tmp",
            "--log-fd=9",
        ])
        .arg(format!("--archive-dir={cache}"));
    let env: Vec<(&str, &str)> = passphrase.map(|p| ("PASSPHRASE", p)).into_iter().collect();
    let mut called = bench.run(&mut command, "", &env);
    called.out = fs::read_to_string(log).unwrap_or_default();
    Some(called)
}

/// What Déjà Dup understands of a machine log: first lines of records, without those it passes over.
fn understood(log: &str, bench: &Bench) -> Vec<String> {
    let place = bench.path("").display().to_string();
    let place = place.trim_matches('/');
    let mut lines: Vec<String> = log
        .lines()
        .filter(|line| {
            let mut words = line.split(' ');
            let level = words.next().unwrap_or_default();
            let code = words.next().unwrap_or_default();
            // Chains are printed in every debug output of duplicity; sizes of folders count there.
            let told = matches!(level, "INFO" | "WARNING" | "ERROR") && code.parse::<u32>().is_ok();
            told && !matches!(code, "1" | "3" | "2" | "11" | "13")
        })
        .map(|line| line.replace(place, "HERE"))
        .map(|line| match line.split_once("Z '") {
            Some((stamp, rest)) => format!(
                "{} TIME '{rest}",
                stamp.rsplit_once(' ').map_or("", |(head, _)| head)
            ),
            None => line,
        })
        // Folders on the way there change whenever anybody makes a file in them.
        .filter(|line| match line.split_once(" '") {
            Some((_, path)) => path.starts_with("HERE/home/"),
            None => true,
        })
        .collect();
    lines.dedup();
    lines
}

/// Its own files, the source, and what it selects.
fn prepared(bench: &Bench) -> Vec<String> {
    let home = bench.path("home");
    let metadata = home.join(".cache/deja-dup/metadata");
    fs::create_dir_all(&metadata).expect("own folder");
    // Old: of what changed in the second of a backup dupr is not sure, and saves it again.
    bench.write("home/.cache/deja-dup/metadata/README", "what this is\n");
    fs::rename(bench.path("src"), home.join("docs")).expect("own folder");
    let at = |below: &str| home.join(below).display().to_string();
    [
        format!("--include={}", metadata.display()),
        format!("--exclude={}", at("snap/*/*/.cache")),
        format!("--include={}", at("docs")),
        "--exclude=/sys".into(),
        "--exclude=/proc".into(),
        format!("--exclude={}", at(".cache/deja-dup")),
        format!("--exclude={}", at(".cache")),
        format!("--exclude={}", bench.path("t").display()),
        "--exclude=**".into(),
        "--exclude-if-present=CACHEDIR.TAG".into(),
        "--exclude-if-present=.deja-dup-ignore".into(),
    ]
    .to_vec()
}

/// A first backup, a second one, looks at them, a restore: exit codes and what was understood of each call.
fn a_life(bench: &Bench, program: Program) -> Option<Vec<(String, i32, Vec<String>)>> {
    let select = prepared(bench);
    let select: Vec<&str> = select.iter().map(String::as_str).collect();
    // duplicity's way to GNOME's places needs libraries of GNOME; the places are the same.
    let gio = if program == Program::Dupr { "gio+" } else { "" };
    let url = format!("{gio}{}", bench.url("t"));
    let home = bench.path("home").display().to_string();
    let below = home.trim_start_matches('/');
    let metadata = format!("--file-to-restore={below}/.cache/deja-dup/metadata");
    let docs = format!("--file-to-restore={below}/docs");
    let (to_metadata, to_docs) = (
        format!("{home}/.cache/deja-dup/metadata"),
        format!("{home}/out"),
    );
    fs::create_dir_all(bench.path("t")).expect("own folder");
    let mut told = Vec::new();
    let mut run = |what: &str, words: &[&str], passphrase: Option<&str>| {
        let called = call(bench, program, words, passphrase)?;
        told.push((what.to_owned(), called.code, understood(&called.out, bench)));
        Some(called)
    };
    let backup = |more: &[&str], words: &[&str]| -> Vec<String> {
        let all = [more, &select, words, &["--volsize=200", "/", &url]].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let status = [
        &["collection-status"],
        &select[..],
        &[url.as_str(), "--no-encryption"],
    ]
    .concat();
    run("status of nothing", &status, Some(""))?;
    for (what, more, words, passphrase) in [
        ("dry full", &["full"][..], &["--dry-run"][..], Some("test")),
        ("full", &["full"], &[], Some("test")),
    ] {
        let line = backup(more, words);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        run(what, &line, passphrase)?;
    }
    run("status", &["collection-status", &url], Some("test"))?;
    let restore = |what: &str, to: &str| -> Vec<String> {
        [
            "restore",
            what,
            "--do-not-restore-ownership",
            "--force",
            &url,
            to,
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let line = restore(&metadata, &to_metadata);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    run("look at metadata", &line, Some("test"))?;
    bench.write("home/docs/a.txt", "changed\n");
    for (what, words, passphrase) in [
        ("dry, nobody asked", &["--dry-run"][..], None),
        ("wrong", &[], Some("wrong")),
        ("dry", &["--dry-run"], Some("test")),
        ("second", &[], Some("test")),
    ] {
        // duplicity makes an increment with it that nobody can read.
        if passphrase == Some("wrong") && program != Program::Dupr {
            continue;
        }
        let line = backup(&[], words);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        run(what, &line, passphrase)?;
    }
    run("list", &["list-current-files", &url], Some("test"))?;
    let line = restore(&docs, &to_docs);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let restored = run("restore", &line, Some("test"))?;
    assert_eq!(restored.code, 0, "{program:?}: {}", restored.err);
    assert_eq!(
        listing(Path::new(&to_docs)),
        listing(&bench.path("home/docs"))
    );
    run(
        "delete",
        &["remove-all-but-n-full", "1", "--force", &url],
        Some("test"),
    )?;
    Some(told)
}

#[test]
fn deja_dup_reads_of_dupr_what_it_reads_of_duplicity() {
    let ours = a_life(&Bench::new("dejadup"), Program::Dupr).expect("dupr");
    let code = |what: &str| {
        let call = ours.iter().find(|(name, _, _)| name == what);
        call.map(|(_, code, log)| (*code, log.last().cloned().unwrap_or_default()))
    };
    // It asks its user for the passphrase when it reads these.
    assert_eq!(
        code("dry, nobody asked"),
        Some((30, "ERROR 30 EOFError".into()))
    );
    assert_eq!(code("wrong"), Some((31, "ERROR 31 GPGError".into())));
    let Some(theirs) = a_life(&Bench::new("dejadup"), Program::Duplicity08) else {
        return;
    };
    let ours = ours.iter().filter(|(name, _, _)| name != "wrong");
    for (ours, theirs) in ours.zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}
