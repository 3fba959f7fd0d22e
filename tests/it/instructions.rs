//! Instructions of five small workloads, counted by valgrind and held against the numbers in
//! `tests/bench/instructions.txt`, so that no change slows dupr down unseen.
//!
//! A count does not depend on what else the machine does: twice the same is within a thousandth. It does depend on the
//! compiler and the processor's family, so it is compared only where the kept numbers come from; anywhere else the test
//! says that it was skipped. What is counted is the program as the tests build it: slower than what is shipped, but slower
//! by the same change. One thread, no encryption: deriving the key of a passphrase would be all that is seen.
//!
//! `DUPR_COUNTS=write` writes the numbers anew.

use crate::support::programs::{find, skipped};
use crate::support::scratch::Scratch;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/instructions.txt");

/// Percent by which a count may be above the kept one. One that is so much below is told.
const TOLERANCE: f64 = 5.0;

/// Time of the files, and of the first backup.
const T0: u64 = 1_700_000_000;

/// Numbers that look random and are the same for ever.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn text(&mut self, bytes: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes + 16);
        while text.len() < bytes {
            // Some words are common, as in any language.
            let mut word = Numbers(self.next(40) * self.next(40));
            for _ in 0..2 + word.next(7) {
                text.push(b'a' + word.next(26) as u8);
            }
            text.push(if self.next(12) == 0 { b'\n' } else { b' ' });
        }
        text.truncate(bytes);
        text
    }

    fn noise(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|_| self.next(256) as u8).collect()
    }
}

fn plant(path: &Path, content: &[u8], time: u64) {
    fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    fs::write(path, content).expect("write");
    let file = fs::File::open(path).expect("open");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(time))
        .expect("time");
}

/// 200 small files of text and one of half a mebibyte, half text and half noise.
fn tree(source: &Path) -> Vec<u8> {
    let mut numbers = Numbers(4711);
    for n in 0..200 {
        let bytes = numbers.next(8000) as usize;
        let text = numbers.text(bytes);
        plant(&source.join(format!("d{}/f{n}", n % 10)), &text, T0 - 1000);
    }
    let mut big = numbers.text(300_000);
    big.extend(numbers.noise(250_000));
    plant(&source.join("big"), &big, T0 - 1000);
    big
}

/// What is to be called; `{}` is the scratch folder.
fn calls() -> [(&'static str, u64, &'static str); 5] {
    [
        ("full", 0, "full {}/src file://{}/target"),
        ("incremental", 1000, "incremental {}/src file://{}/target"),
        ("list", 2000, "list-current-files file://{}/target"),
        (
            "verify",
            2000,
            "verify --compare-data file://{}/target {}/src",
        ),
        ("restore", 2000, "restore file://{}/target {}/out"),
    ]
}

/// The first processor this process may run on.
fn a_processor() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("processors");
    let first = allowed.trim().split([',', '-']).next();
    first.expect("one").to_string()
}

/// Counts the instructions of one call.
fn count(valgrind: &Path, scratch: &Scratch, time: u64, call: &str) -> u64 {
    let folder = scratch.path().display().to_string();
    let call = call.replace("{}", &folder);
    let archive = format!("--archive-dir={folder}/archive");
    let time = format!("--current-time={}", T0 + time);
    let mut words = vec![
        "duplicity",
        "--no-encryption",
        "--name=counts",
        &archive,
        &time,
    ];
    words.extend(call.split(' '));
    instructions_of(valgrind, scratch.path(), &words)
}

/// Instructions that dupr takes for these words, in this home, on one processor. The call must succeed.
pub fn instructions_of(valgrind: &Path, home: &Path, words: &[&str]) -> u64 {
    let output = Command::new("taskset")
        .args(["-c", &a_processor()])
        .arg(valgrind)
        .args(["--tool=cachegrind", "--cache-sim=no", "-v"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(env!("CARGO_BIN_EXE_dupr"))
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("TMPDIR", home)
        .output()
        .unwrap_or_else(|e| panic!("cannot start valgrind: {e}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}:\n{told}");
    let refs = told.lines().find_map(|line| line.split_once("I   refs:"));
    let (_, refs) = refs.unwrap_or_else(|| panic!("no count for {words:?}:\n{told}"));
    let digits: String = refs.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a count")
}

/// Compiler, processor and options: what a count depends on besides the source.
fn ground(valgrind: &Path) -> String {
    let first_line = |program: &Path, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        let text = text.unwrap_or_default();
        text.lines().next().unwrap_or_default().to_string()
    };
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // valgrind shows the program no more than these.
    let wide = info
        .lines()
        .any(|l| l.starts_with("flags") && [" avx2", " bmi2"].iter().all(|flag| l.contains(flag)));
    format!(
        "{}, {}, {}{}",
        first_line(Path::new("rustc"), "--version"),
        first_line(valgrind, "--version"),
        std::env::consts::ARCH,
        if wide { " with avx2" } else { "" }
    )
}

#[test]
fn no_workload_takes_more_instructions_than_it_did() {
    let Some(valgrind) = find("valgrind") else {
        return;
    };
    let ground = ground(&valgrind);
    let writes = std::env::var("DUPR_COUNTS").is_ok_and(|word| word == "write");
    let kept = fs::read_to_string(KEPT).unwrap_or_default();
    let mut lines = kept.lines().filter(|line| !line.starts_with('#'));
    let kept_ground = lines.next().unwrap_or_default();
    if !writes && kept_ground != ground {
        let why = format!("the numbers kept are of {kept_ground}, this is {ground}");
        return skipped("instruction counts", &why);
    }
    let scratch = Scratch::new("counts");
    let big = tree(&scratch.join("src"));
    let mut table = String::new();
    let mut wrong = Vec::new();
    for (name, time, call) in calls() {
        if name == "incremental" {
            let mut moved = big.clone();
            moved.splice(100_000..100_000, *b"a few bytes more");
            plant(&scratch.join("src/big"), &moved, T0 + 500);
            for n in [11, 33, 155] {
                let path = scratch.join(format!("src/d{}/f{n}", n % 10));
                plant(&path, b"other content", T0 + 500);
            }
        }
        let counted = count(&valgrind, &scratch, time, call);
        let _ = writeln!(table, "{name} {counted}");
        if writes {
            continue;
        }
        let known = lines.next().and_then(|line| line.split_once(' '));
        let known = known.filter(|(known, _)| *known == name);
        let known: f64 = known
            .and_then(|(_, count)| count.parse().ok())
            .unwrap_or_else(|| panic!("{KEPT} has no count for {name}"));
        let percent = (counted as f64 / known - 1.0) * 100.0;
        let told = format!("{name}: {counted}, {percent:+.1} %");
        if percent > TOLERANCE {
            wrong.push(told);
        } else if percent < -TOLERANCE {
            let _ = writeln!(std::io::stderr(), "NOTE fewer instructions: {told}");
        }
    }
    if writes {
        let head = "# Instructions of the workloads of tests/it/instructions.rs; DUPR_COUNTS=write writes them anew.";
        fs::write(KEPT, format!("{head}\n{ground}\n{table}")).expect("write");
        return;
    }
    assert!(
        wrong.is_empty(),
        "more instructions by over {TOLERANCE} %: {}.\nIf there is a good reason: \
         `DUPR_COUNTS=write cargo test --features testing --test it instructions` keeps the new numbers.",
        wrong.join("; ")
    );
}
