//! Real signals to the real program: whatever the moment, the next run makes it good.
//!
//! The moments are spread over the time a run takes when it is left alone. `DUPR_KILLS` sets how many SIGKILLs there are.

use crate::support::effort;
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use crate::support::tree::Tree;
use crate::support::vault::{noise, set_mtime, write};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// With full effort, unless `DUPR_KILLS` says otherwise.
const KILLS: usize = 100;
/// Sets after which a new chain is begun, so that chains stay short.
const CHAIN: usize = 8;
const T0: i64 = 1_800_000_000;

struct Bench {
    scratch: Scratch,
    now: i64,
}

impl Bench {
    fn new(name: &str) -> Self {
        let bench = Self {
            scratch: Scratch::new(name),
            now: T0,
        };
        for n in 0..40 {
            write(
                &bench.source().join(format!("d{}/f{n}", n % 7)),
                &noise(40_000 + 1000 * n, n as u64),
                T0 - 500,
            );
        }
        write(&bench.source().join("z"), &noise(6_000_000, 77), T0 - 500);
        write(
            &bench.source().join("d3/mid"),
            &noise(1_500_000, 78),
            T0 - 500,
        );
        bench.settle(T0 - 400);
        for dir in ["tmp", "home", "cache"] {
            std::fs::create_dir(bench.scratch.join(dir)).expect("a folder");
        }
        bench
    }

    fn source(&self) -> PathBuf {
        self.scratch.join("source")
    }

    fn target(&self) -> PathBuf {
        self.scratch.join("target")
    }

    fn settle(&self, time: i64) {
        for entry in std::fs::read_dir(self.source()).expect("source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                set_mtime(&path, time);
            }
        }
        set_mtime(&self.source(), time);
    }

    /// Random changes, told apart by `n`.
    fn edit(&mut self, n: usize) {
        self.now += 1000;
        let time = self.now - 500;
        let source = self.source();
        let mut big = std::fs::read(source.join("z")).expect("big");
        let at = (n * 1_234_567) % (big.len() - 2_000_000);
        big[at..at + 1_900_000].copy_from_slice(&noise(1_900_000, 1000 + n as u64));
        if n.is_multiple_of(5) {
            big.truncate(5_000_000);
        } else if n % 5 == 1 {
            big.extend(noise(800_000, n as u64));
        }
        write(&source.join("z"), &big, time);
        write(
            &source.join(format!("d{}/new{n}", n % 7)),
            &noise(1_900_000 + 9999 * (n % 13), 2000 + n as u64),
            time,
        );
        for old in n.saturating_sub(6)..n.saturating_sub(2) {
            let _ = std::fs::remove_file(source.join(format!("d{}/new{old}", old % 7)));
        }
        write(
            &source.join(format!("d1/f{}", 1 + 7 * (n % 5))),
            &noise(50_000, 3000 + n as u64),
            time,
        );
        self.settle(time);
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dupr"));
        command.arg("duplicity").args(words);
        command.args([
            "--archive-dir",
            self.scratch.join("cache").to_str().expect("UTF-8"),
            "--name",
            "kill",
        ]);
        command.args([
            "--no-print-statistics",
            "--current-time",
            &self.now.to_string(),
        ]);
        command
            .env("PASSPHRASE", "a passphrase")
            .env("TMPDIR", self.scratch.join("tmp"));
        command
            .env("HOME", self.scratch.join("home"))
            .stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn url(&self) -> String {
        format!("file://{}", self.target().display())
    }

    fn backup(&self, action: &str) -> Command {
        let source = self.source();
        let mut command = self.command(&[action, source.to_str().expect("UTF-8"), &self.url()]);
        command.args(["--volsize", "1"]);
        command
    }

    /// A run that must come to its good end; what it said.
    fn must(&self, mut command: Command, when: &str) -> String {
        let output = command.output().expect("dupr");
        let text = text_of(&output);
        assert!(
            output.status.success(),
            "{when}: {:?}: {text}",
            output.status
        );
        text
    }

    fn must_restore(&self, expected: &Tree, when: &str) {
        let to = self.scratch.join("restored");
        let _ = std::fs::remove_dir_all(&to);
        self.must(
            self.command(&["restore", &self.url(), to.to_str().expect("UTF-8")]),
            when,
        );
        expected
            .compare(&to)
            .unwrap_or_else(|text| panic!("{when}: {text}"));
    }

    fn volumes(&self) -> usize {
        let Ok(entries) = std::fs::read_dir(self.target()) else {
            return 0;
        };
        entries
            .filter(|e| {
                e.as_ref()
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .contains(".vol")
            })
            .count()
    }
}

fn text_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn signal(child: &Child, signal: Signal) {
    let pid =
        Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
    // It may have come to its end by itself.
    let _ = kill_process(pid, signal);
}

#[test]
fn any_number_of_kills() {
    let kills = std::env::var("DUPR_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| effort::of(KILLS, KILLS * 2 / 5));
    let mut bench = Bench::new("kill");
    let mut last = Tree::default();
    // Of a full and of an incremental run.
    let mut usual = [measure(&bench); 2];
    let (mut in_time, mut resumed) = (0, 0);
    for n in 0..kills {
        bench.edit(2 * n);
        let is_full = n % CHAIN == 0;
        let action = if is_full { "full" } else { "incremental" };
        let mut child = bench.backup(action).spawn().expect("dupr");
        // Spread over the whole run without order, a little beyond its end.
        let share = (n * 61 % 97) as f64 / 92.0;
        std::thread::sleep(usual[usize::from(!is_full)].mul_f64(share));
        signal(&child, Signal::KILL);
        in_time += usize::from(!child.wait().expect("its end").success());
        // Two of three times the source has changed before the next run.
        if n % 3 != 0 {
            bench.edit(2 * n + 1);
        } else {
            bench.now += 1000;
        }
        let began = Instant::now();
        let text = bench.must(bench.backup(action), &format!("run after kill {n}"));
        resumed += usize::from(text.contains("going on with the interrupted"));
        let took = &mut usual[usize::from(!is_full)];
        *took = (*took * 3 + began.elapsed()) / 4;
        // What was resumed holds what had been stored before the change; the run after it has all.
        bench.now += 100;
        bench.must(
            bench.backup("incremental"),
            &format!("second run after kill {n}"),
        );
        let tree = Tree::read(&bench.source());
        bench.must_restore(&tree, &format!("kill {n}"));
        last = tree;
        let leftover: Vec<_> = std::fs::read_dir(bench.scratch.join("tmp"))
            .expect("tmp")
            .collect();
        assert!(leftover.is_empty(), "kill {n}: {leftover:?}");
    }
    println!("{kills} kills, {in_time} of them before the end, {resumed} runs resumed");
    assert!(
        in_time > kills / 2,
        "{in_time} of {kills} kills came in time"
    );
    assert!(resumed > kills / 10, "{resumed} of {kills} runs went on");
    oracle(&bench, &last);
    bench.must(
        bench.command(&["cleanup", "--force", &bench.url()]),
        "cleanup",
    );
    bench.must_restore(&last, "after a cleanup");
    let status = bench.must(
        bench.command(&["collection-status", &bench.url()]),
        "status",
    );
    assert!(
        status.contains("No orphaned or incomplete backup sets found"),
        "{status}"
    );
}

/// How long a full backup takes here and now, at a target of its own.
fn measure(bench: &Bench) -> Duration {
    let url = format!("file://{}", bench.scratch.join("measured").display());
    let source = bench.source();
    let mut command = bench.command(&["full", source.to_str().expect("UTF-8"), &url]);
    command.args(["--volsize", "1", "--name", "measured"]);
    let began = Instant::now();
    bench.must(command, "an undisturbed run");
    began.elapsed()
}

/// The real program restores what all the kills left.
fn oracle(bench: &Bench, expected: &Tree) {
    let Some(words) = Program::Duplicity3.words() else {
        return;
    };
    let to = bench.scratch.join("by-duplicity");
    let mut line = words;
    line.extend(["restore", "--archive-dir"].map(String::from));
    line.push(bench.scratch.join("their-cache").display().to_string());
    line.extend([bench.url(), to.display().to_string()]);
    line.extend(["--current-time".to_string(), bench.now.to_string()]);
    let env = |k: &str, v: &Path| (k.to_string(), v.display().to_string());
    let env = [
        env("PASSPHRASE", Path::new("a passphrase")),
        env("HOME", &bench.scratch.join("home")),
        env("TMPDIR", &bench.scratch.join("tmp")),
    ];
    programs::run(&line, bench.scratch.path(), &env).unwrap_or_else(|text| panic!("{text}"));
    expected
        .compare(&to)
        .unwrap_or_else(|text| panic!("duplicity restores otherwise: {text}"));
}

#[test]
fn a_signal_lets_the_volume_in_hand_finish() {
    for (name, first) in [
        ("int", Signal::INT),
        ("term", Signal::TERM),
        ("hup", Signal::HUP),
    ] {
        let mut bench = Bench::new(name);
        let usual = measure(&bench);
        let mut child = bench.backup("full").spawn().expect("dupr");
        let began = Instant::now();
        while bench.volumes() < 2 && began.elapsed() < usual * 10 {
            std::thread::sleep(Duration::from_millis(2));
        }
        signal(&child, first);
        let output = child.wait_with_output().expect("its end");
        assert_eq!(
            output.status.code(),
            Some(4),
            "{name}: {}",
            text_of(&output)
        );
        let volumes = bench.volumes();
        assert!(volumes >= 2, "{name}: {volumes}");
        // A run that had no signal left no journal of fewer volumes than there are.
        bench.now += 1000;
        let mut command = bench.backup("full");
        command.args(["-v", "notice"]);
        let text = bench.must(command, name);
        let expected = format!("at volume {}", volumes + 1);
        assert!(
            text.contains(&expected),
            "{name}: {volumes} volumes: {text}"
        );
        let tree = Tree::read(&bench.source());
        bench.must_restore(&tree, name);
        bench.edit(1);
        child = bench.backup("incremental").spawn().expect("dupr");
        std::thread::sleep(usual / 3);
        signal(&child, first);
        signal(&child, first);
        let output = child.wait_with_output().expect("its end");
        assert!(
            matches!(output.status.code(), Some(0 | 4)),
            "{name} twice: {}",
            text_of(&output)
        );
        bench.now += 1000;
        bench.must(bench.backup("incremental"), name);
        bench.must_restore(&Tree::read(&bench.source()), name);
    }
}

/// Files may only grow so far, as on a full disk: spool, part files, archive dir and target alike.
#[test]
fn a_limit_on_what_can_be_written() {
    let mut bench = Bench::new("limit");
    bench.must(bench.backup("full"), "full");
    let mut failed = 0;
    // In units of 1 KiB; the last are enough for everything.
    for (n, limit) in [0, 1, 2, 4, 8, 40, 200, 600, 1000, 1100, 4000]
        .into_iter()
        .enumerate()
    {
        // An error of the write, or the end of the program.
        for trap in ["trap '' XFSZ;", ""] {
            bench.edit(n);
            let tree = Tree::read(&bench.source());
            let inner = bench.backup("incremental");
            let mut command = Command::new("bash");
            let script = format!("{trap} ulimit -f {limit}; exec \"$0\" \"$@\"");
            command
                .arg("-c")
                .arg(script)
                .arg(inner.get_program())
                .args(inner.get_args());
            for (key, value) in inner.get_envs() {
                command.env(key, value.unwrap_or_default());
            }
            let output = command.output().expect("bash");
            failed += usize::from(!output.status.success());
            let when = format!("limit of {limit} KiB, {trap:?}: {}", text_of(&output));
            if output.status.success() {
                bench.must_restore(&tree, &when);
            }
            bench.now += 100;
            bench.must(bench.backup("incremental"), &when);
            bench.must_restore(&tree, &when);
        }
    }
    assert!(failed > 8, "{failed} runs failed");
}
