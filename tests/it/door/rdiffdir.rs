//! `dupr rdiffdir` and Debian's rdiffdir read what the other writes.

use super::{Bench, listing};
use crate::support::programs;
use std::process::Command;

fn words(dupr: bool) -> Option<Vec<String>> {
    if dupr {
        return Some(vec![env!("CARGO_BIN_EXE_dupr").into(), "rdiffdir".into()]);
    }
    programs::find("rdiffdir").map(|path| vec![path.display().to_string()])
}

fn rdiffdir(bench: &Bench, dupr: bool, args: &[&str]) {
    let start = words(dupr).expect("it was there");
    let mut command = Command::new(&start[0]);
    let called = bench.run(command.args(&start[1..]).args(args), "", &[]);
    assert_eq!(
        called.code, 0,
        "{start:?} {args:?}: {}{}",
        called.out, called.err
    );
}

/// Times of files as they are, kinds and contents; times of directories are those of the last change in them.
fn tree(bench: &Bench, name: &str) -> Vec<String> {
    let lines = listing(&bench.path(name));
    lines.into_iter().filter(|l| !l.ends_with(" dir")).collect()
}

#[test]
fn signatures_deltas_and_tars_cross_both_ways() {
    if words(false).is_none() {
        return;
    }
    for (writer, reader) in [(true, false), (false, true), (true, true)] {
        for gzip in [false, true] {
            let bench = Bench::new("rdiffdir");
            let run = |dupr: bool, args: &[&str]| {
                let args = [if gzip { &["-z"][..] } else { &[] }, args].concat();
                rdiffdir(&bench, dupr, &args);
            };
            // Blocks: a file of exactly one, one of several, one of none.
            bench.write("src/block", &"x".repeat(65_536));
            bench.write("src/blocks", &"0123456789".repeat(30_000));
            bench.write("src/none", "");
            bench.copy("src", "old");
            bench.copy("src", "second");
            run(writer, &["sig", "src", "sig0"]);
            run(writer, &["--write-sig-to", "sig1", "tar", "src", "full"]);
            bench.write("src/a.txt", "changed\n");
            bench.write("src/blocks", &"0123456789".repeat(31_000));
            bench.write("src/fresh", "fresh\n");
            std::fs::remove_file(bench.path("src/link")).expect("remove");
            std::fs::remove_dir_all(bench.path("src/dir/sub")).expect("remove");
            std::fs::remove_file(bench.path("src/none")).expect("remove");
            std::fs::create_dir(bench.path("src/none")).expect("dir");
            bench.write("src/none/inside", "now a folder\n");
            run(
                reader,
                &["--write-sig-to", "sig2", "delta", "sig0", "src", "delta"],
            );
            run(writer, &["patch", "old", "delta"]);
            assert_eq!(
                tree(&bench, "old"),
                tree(&bench, "src"),
                "{writer} {reader} {gzip}"
            );
            // The signatures that came with the tar, and then those that came with the delta.
            bench.write("src/a.txt", "once more\n");
            std::fs::remove_dir_all(bench.path("src/none")).expect("remove");
            run(writer, &["delta", "sig1", "sig2", "src", "delta2"]);
            run(reader, &["patch", "old", "delta2"]);
            assert_eq!(
                tree(&bench, "old"),
                tree(&bench, "src"),
                "{writer} {reader} {gzip}"
            );
            // A tar is a delta against nothing.
            std::fs::create_dir(bench.path("new")).expect("dir");
            run(reader, &["patch", "new", "full"]);
            assert_eq!(
                tree(&bench, "new"),
                tree(&bench, "second"),
                "{writer} {reader} {gzip}"
            );
        }
    }
}

#[test]
fn selection_and_standard_streams_work() {
    let bench = Bench::new("rdiffsel");
    let dupr = words(true).expect("dupr").join(" ");
    let line = format!("{dupr} tar --exclude src/dir src - | tar t");
    let mut shell = Command::new("sh");
    let called = bench.run(shell.args(["-c", &line]), "", &[]);
    assert!(
        called.out.contains("snapshot/a.txt") && !called.out.contains("big"),
        "{}",
        called.out
    );
    for wrong in [
        &["sig", "src"][..],
        &["frob"],
        &[],
        &["delta", "src", "x"],
        &["sig", "none", "x"],
    ] {
        let start = words(true).expect("dupr");
        let mut command = Command::new(&start[0]);
        let called = bench.run(command.args(&start[1..]).args(wrong), "", &[]);
        assert_eq!(called.code, 23, "{wrong:?}");
    }
}
