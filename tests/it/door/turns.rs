//! One archive dir for both programs: whoever works in it keeps the other out.

use super::Bench;
use crate::support::programs::Program;
use crate::support::tree::Tree;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that is at work in the archive dir, and never gets on. Ended when dropped.
struct Busy(Child);

impl Busy {
    fn start(bench: &Bench, program: Program, words: &[&str]) -> Option<Self> {
        let start = program.words()?;
        let cache = bench.path("cache");
        let mut command = Command::new(&start[0]);
        command
            .args(&start[1..])
            .args(words)
            .arg("--archive-dir")
            .arg(&cache)
            .args(["--name", "x"])
            .current_dir(bench.path(""))
            .env_remove("PASSPHRASE")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let busy = Self(command.spawn().expect("it starts"));
        let lock = cache.join("x/lockfile");
        let begun = Instant::now();
        // The file is there a moment before it is locked.
        while !lock.exists() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(200));
        Some(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_run_of_either_keeps_the_other_out() {
    let bench = Bench::new("turns");
    let (url, nowhere) = (bench.url("t"), "sftp://127.0.0.1/nowhere");
    let backup = ["full", "src", url.as_str()];
    // An ssh that never gets through, and a passphrase nobody types.
    let waits = [
        "full",
        "src",
        nowhere,
        "--no-encryption",
        "--ssh-options",
        "'-oProxyCommand=sleep 60'",
    ];
    for (holder, words, other) in [
        (Program::Dupr, &waits[..], Program::Duplicity3),
        (Program::Dupr, &waits, Program::Duplicity08),
        (Program::Duplicity3, &backup, Program::Dupr),
        (Program::Duplicity08, &backup, Program::Dupr),
    ] {
        let Some(busy) = Busy::start(&bench, holder, words) else {
            continue;
        };
        if let Some(called) = bench.plain(other, "cache", &backup) {
            assert_eq!(
                called.code, 23,
                "{other:?} beside {holder:?}: {} {}",
                called.out, called.err
            );
            assert_eq!(bench.names("t"), Vec::<String>::new());
        }
        drop(busy);
        // COMPAT(dup 3.x): who is kept out removes the file all the same, and a third program is not kept out any more.
        std::fs::remove_dir_all(bench.path("cache")).expect("archive dir");
    }
    // One that was killed keeps nobody out.
    drop(Busy::start(&bench, Program::Dupr, &waits));
    assert!(bench.path("cache/x/lockfile").exists());
    let made = bench.plain(Program::Dupr, "cache", &backup).expect("dupr");
    assert_eq!(made.code, 0, "{}", made.err);
}

/// duplicity 0.8 stores an increment without changes as a volume without a byte; it is no damage, and is built upon.
#[test]
fn a_set_without_a_byte_is_built_upon() {
    let bench = Bench::new("nothing");
    let url = bench.url("t");
    let plain = |program, action: &str, time: &str| {
        let words = [
            action,
            "src",
            &url,
            "--no-compression",
            "--current-time",
            time,
        ];
        let called = bench.plain(program, "cache", &words)?;
        assert_eq!(
            called.code, 0,
            "{program:?} {action}: {}{}",
            called.out, called.err
        );
        Some(called)
    };
    plain(Program::Dupr, "full", "1700000000").expect("dupr");
    if plain(Program::Duplicity08, "incremental", "1700003600").is_none() {
        return;
    }
    let volume = |name: &String| name.contains("to.20231114T231320Z.vol1.");
    let name = bench
        .names("t")
        .into_iter()
        .find(volume)
        .expect("its volume");
    let bytes = std::fs::metadata(bench.path("t").join(name)).expect("it is there");
    assert_eq!(bytes.len(), 0);
    bench.write("src/a.txt", "changed\n");
    let called = plain(Program::Dupr, "incremental", "1700007200").expect("dupr");
    assert!(!called.err.contains("is empty"), "{}", called.err);
    let verify = ["verify", "--compare-data", &url, "src"];
    let called = bench.plain(Program::Dupr, "cache", &verify).expect("dupr");
    assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    for (program, cache, out) in [
        (Program::Dupr, "cache", "ours"),
        (Program::Dupr, "lost", "ours-lost"),
        (Program::Duplicity08, "lost-too", "theirs"),
    ] {
        let called = bench
            .plain(program, cache, &["restore", &url, out])
            .expect("it was there");
        assert_eq!(called.code, 0, "{program:?}: {}{}", called.out, called.err);
        bench.settle("src");
        bench.settle(out);
        assert_eq!(
            Tree::read(&bench.path("src")),
            Tree::read(&bench.path(out)),
            "{out}"
        );
    }
}
