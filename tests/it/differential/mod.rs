//! Rules, times, names, URLs and listings, judged by dupr and by real duplicity, which must agree.
//!
//! One process of duplicity's own Python answers thousands of questions (`tests/support/duplicity_oracle.py`). Cases follow from
//! a seed. Where dupr means to differ, the test says so by a named exception and counts it; docs/selection.md and docs/format.md
//! list them.
//!
//! `DUPR_DIFFERENTIAL` multiplies the number of cases, `DUPR_SEED` sets the first seed (`random` for a new one).

mod collections;
mod examples;
mod expressions;
mod names;
mod rules;
mod selection;
mod times;
mod urls;

use crate::support::programs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Differences that are shown when a test fails.
const SHOWN: usize = 12;

/// A process that answers questions about duplicity.
pub struct Oracle {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts it with duplicity 3.2.1; `None`, said aloud, if that could not be installed.
    pub fn start() -> Option<Self> {
        let program = programs::find("duplicity-3.2.1")?;
        // The Python beside it, which is itself a link and must not be followed.
        let program = program.canonicalize().expect("it was found");
        Some(Self::run(program.with_file_name("python3")))
    }

    /// Starts it with duplicity 0.8.22, which knows names only.
    pub fn start_old() -> Option<Self> {
        programs::find("duplicity-0.8.22")?;
        Some(Self::run("/usr/bin/python3".into()))
    }

    fn run(python: PathBuf) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/duplicity_oracle.py"
        );
        let mut child = Command::new(&python)
            .args(["-W", "ignore", script])
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", python.display()));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            input,
            output,
        }
    }

    /// Asks one question.
    pub fn ask(&mut self, question: &Value) -> Value {
        let input = self.input.as_mut().expect("open until the end");
        writeln!(input, "{question}").expect("the oracle has ended");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the oracle's pipe");
        serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("no answer to {question}: {e}\n{line}"))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Bytes as text of one character each.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// What [`latin1`] was made of.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).expect("Latin-1"))
        .collect()
}

/// What came of a case: how much was compared, and the exceptions that were made.
#[derive(Default)]
pub struct Tally {
    /// Counts by name.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts something.
    pub fn add(&mut self, name: &'static str, n: u64) {
        *self.counts.entry(name).or_default() += n;
    }
}

/// Runs `count` cases, times `DUPR_DIFFERENTIAL`, on all cores; a case gets its seed and returns its differences.
///
/// # Panics
/// If there were any.
pub fn compare(
    subject: &str,
    count: u64,
    case: impl Fn(u64, &mut Oracle, &mut Tally) -> Vec<String> + Sync,
) {
    if programs::find("duplicity-3.2.1").is_none() {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let first = match std::env::var("DUPR_SEED").as_deref() {
        Ok("random") => std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(1, |d| d.as_nanos() as u64 % 1_000_000_000),
        _ => number("DUPR_SEED").unwrap_or(1),
    };
    let last = first + count * number("DUPR_DIFFERENTIAL").unwrap_or(1).max(1);
    let started = std::time::Instant::now();
    let next = AtomicU64::new(first);
    let (differences, total) = (Mutex::new(Vec::new()), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
            scope.spawn(|| {
                let Some(mut oracle) = Oracle::start() else {
                    return;
                };
                let mut tally = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        break;
                    }
                    let found = case(seed, &mut oracle, &mut tally);
                    let mut differences = differences.lock().expect("no panic while held");
                    differences.extend(found.into_iter().map(|d| format!("seed {seed}: {d}")));
                }
                let mut total = total.lock().expect("no panic while held");
                tally.counts.iter().for_each(|(k, n)| total.add(k, *n));
            });
        }
    });
    let counts = total.into_inner().expect("no panic while held").counts;
    let differences = differences.into_inner().expect("no panic while held");
    println!(
        "{subject}: seeds {first} to {} in {:.1} s, {counts:?}",
        last - 1,
        started.elapsed().as_secs_f64()
    );
    assert!(
        differences.is_empty(),
        "{subject}: {} differences\n{}",
        differences.len(),
        differences[..differences.len().min(SHOWN)].join("\n")
    );
}
