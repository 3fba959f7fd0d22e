//! Random trees, edited and saved in turns by dupr and by real duplicity on one chain, restored by all of them.
//!
//! A schedule is a function of its seed: mode of sealing, volume size, who writes each set, shared or separate archive dirs. Every
//! state of the tree is remembered and every restore compared with it exactly. A failure prints the seed, the steps so far and
//! the failing command; `DUPR_SEED=<seed> DUPR_INTEROP_SCHEDULES=1 DUPR_KEEP=1` does that schedule again and keeps its folders.
//!
//! `DUPR_INTEROP_SCHEDULES` sets how many run, `DUPR_SEED` the first seed (`random` for a new one), `DUPR_INTEROP_PROGRAMS` who
//! takes part (`dupr 3.2.1 0.8.22`).

use crate::support::keyring::{Keyring, PASSPHRASE};
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use crate::support::tree::Tree;
use crate::support::weirdtree::WeirdTree;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Schedules in an ordinary run.
const SCHEDULES: u64 = 100;
/// Time of the first set of every schedule.
const FIRST: u64 = 1_700_000_000;

/// How sets are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Gzip,
    Symmetric,
    Public,
    Signed,
    SignedSymmetric,
    Hidden,
}

impl Mode {
    const ALL: [Mode; 7] = [
        Mode::Plain,
        Mode::Gzip,
        Mode::Symmetric,
        Mode::Public,
        Mode::Signed,
        Mode::SignedSymmetric,
        Mode::Hidden,
    ];

    fn options(self, keyring: &Keyring) -> Vec<String> {
        let words: &[&str] = match self {
            Mode::Plain => &["--no-encryption", "--no-compression"],
            Mode::Gzip => &["--no-encryption"],
            Mode::Symmetric => &[],
            Mode::Public => &["--encrypt-key", &keyring.encrypt],
            Mode::Signed => &[
                "--encrypt-key",
                &keyring.encrypt,
                "--sign-key",
                &keyring.sign,
            ],
            Mode::SignedSymmetric => &["--sign-key", &keyring.sign],
            Mode::Hidden => &["--hidden-encrypt-key", &keyring.encrypt],
        };
        words.iter().map(|w| w.to_string()).collect()
    }
}

/// One schedule under way.
struct Schedule<'a> {
    scratch: Scratch,
    env: Vec<(String, String)>,
    keyring: &'a Keyring,
    programs: &'a [Program],
    mode: Mode,
    volume_size: Option<u32>,
    /// Whether all programs keep their local copies in one archive dir.
    shared: bool,
    /// What was done, a line each.
    story: Vec<String>,
    /// Entries that were compared.
    compared: usize,
    /// Every state that was saved, with its time, oldest first.
    states: Vec<(u64, Tree)>,
}

impl Schedule<'_> {
    fn run(&mut self, seed: u64) -> Result<(), String> {
        let mut dice = SmallRng::seed_from_u64(seed);
        let bulk = if self.volume_size.is_some() {
            dice.random_range(1_500_000..3_000_000)
        } else {
            0
        };
        let mut tree = WeirdTree::create(
            &self.scratch.join("src"),
            seed,
            dice.random_range(0..50),
            bulk,
        );
        let mut time = FIRST;
        for step in 0..dice.random_range(2..=4) {
            if step > 0 {
                tree.edit(dice.random_range(0..25));
            }
            let full = step == 0 || dice.random_range(0..8) == 0;
            let writer = *self
                .programs
                .choose(&mut dice)
                .expect("somebody takes part");
            self.back_up(writer, full, time)?;
            self.states.push((time, Tree::read(tree.root())));
            time += dice.random_range(1..100_000);
        }
        let latest = self.states.len() - 1;
        for &reader in self.programs {
            let fresh = dice.random_range(0..2) == 0;
            self.restore(reader, latest, None, fresh)?;
        }
        let earlier = dice.random_range(0..self.states.len());
        for &reader in self.programs {
            let fresh = dice.random_range(0..2) == 0;
            // Any time until the next set means the same state.
            let until = self
                .states
                .get(earlier + 1)
                .map_or(time, |(next, _)| next - 1);
            let time = dice.random_range(self.states[earlier].0..=until);
            self.restore(reader, earlier, Some(time), fresh)?;
        }
        Ok(())
    }

    fn back_up(&mut self, writer: Program, full: bool, time: u64) -> Result<(), String> {
        let mut words = vec![if full { "full" } else { "incremental" }.to_string()];
        words.extend(["--current-time".into(), time.to_string()]);
        if let Some(size) = self.volume_size {
            words.extend(["--volsize".into(), size.to_string()]);
        }
        words.extend(self.mode.options(self.keyring));
        words.extend(["src".into(), self.target()]);
        let cache = self.cache(writer);
        self.call(writer, &cache, words)
    }

    fn restore(
        &mut self,
        reader: Program,
        state: usize,
        time: Option<u64>,
        fresh: bool,
    ) -> Result<(), String> {
        let destination = self.scratch.join("restored");
        if destination.exists() {
            std::fs::remove_dir_all(&destination).map_err(|e| e.to_string())?;
        }
        let mut words = vec!["restore".to_string()];
        if let Some(time) = time {
            words.extend(["--time".into(), time.to_string()]);
        }
        if matches!(self.mode, Mode::Plain | Mode::Gzip) {
            words.push("--no-encryption".into());
        }
        words.extend([self.target(), "restored".into()]);
        let cache = if fresh {
            format!("fresh-{}", self.story.len())
        } else {
            self.cache(reader)
        };
        self.call(reader, &cache, words)?;
        self.compared += self.states[state].1.0.len();
        self.states[state].1.compare(&destination)
    }

    fn cache(&self, program: Program) -> String {
        if self.shared {
            "cache".into()
        } else {
            format!("cache-{}", program.name())
        }
    }

    fn target(&self) -> String {
        format!("file://{}", self.scratch.join("target").display())
    }

    fn call(&mut self, program: Program, cache: &str, words: Vec<String>) -> Result<(), String> {
        self.story
            .push(format!("{} [{cache}] {}", program.name(), words.join(" ")));
        let mut line = program
            .words()
            .ok_or("a program that takes part is missing")?;
        let cache = self.scratch.join(cache).display().to_string();
        // The action stands first in every version.
        line.push(words[0].clone());
        line.extend(["--archive-dir".into(), cache, "--name".into(), "x".into()]);
        line.extend_from_slice(&words[1..]);
        programs::run(&line, self.scratch.path(), &self.env).map(|_| ())
    }
}

/// Runs one schedule and counts its sets, calls and compared entries; an error tells how to do it again.
fn schedule(seed: u64, programs: &[Program], keyring: &Keyring) -> Result<[usize; 3], String> {
    let mut dice = SmallRng::seed_from_u64(seed ^ 0x5eed);
    let scratch = Scratch::new("interop");
    let home = scratch.join("home");
    let temp = scratch.join("tmp");
    for dir in [&home, &temp, &scratch.join("target")] {
        std::fs::create_dir(dir).map_err(|e| e.to_string())?;
    }
    let mut env = keyring.env();
    for (key, value) in [
        ("HOME", home.display().to_string()),
        ("TMPDIR", temp.display().to_string()),
        ("TZ", "UTC".into()),
        ("LC_ALL", "C.UTF-8".into()),
    ] {
        env.push((key.into(), value));
    }
    let mode = *Mode::ALL.choose(&mut dice).expect("not empty");
    let volume_size = (dice.random_range(0..4) == 0).then_some(1);
    let shared = dice.random_range(0..3) == 0;
    let (story, states) = (Vec::new(), Vec::new());
    let mut run = Schedule {
        scratch,
        env,
        keyring,
        programs,
        mode,
        volume_size,
        shared,
        story,
        compared: 0,
        states,
    };
    if let Err(error) = run.run(seed) {
        let head = format!(
            "seed {seed}: {mode:?}, volume size {volume_size:?}, one archive dir: {shared}"
        );
        let (story, leftovers) = (run.story.join("\n  "), leftovers(run.scratch.path()));
        return Err(format!("{head}\n  {story}\n{error}\n{leftovers}"));
    }
    Ok([run.states.len(), run.story.len(), run.compared])
}

/// What lies at the target, for a report.
fn leftovers(scratch: &Path) -> String {
    let Ok(dir) = std::fs::read_dir(scratch.join("target")) else {
        return String::new();
    };
    let mut names: Vec<String> = dir
        .flatten()
        .map(|e| e.file_name().display().to_string())
        .collect();
    names.sort();
    format!("at the target:\n  {}", names.join("\n  "))
}

#[test]
fn dupr_and_duplicity_continue_and_restore_each_others_chains() {
    let wanted = std::env::var("DUPR_INTEROP_PROGRAMS").ok();
    let takes_part = |p: &Program| {
        wanted
            .as_ref()
            .is_none_or(|w| w.split_whitespace().any(|w| w == p.name()))
    };
    let programs: Vec<Program> = Program::ALL
        .into_iter()
        .filter(takes_part)
        .filter(|p| p.words().is_some())
        .collect();
    let Some(keyring) = Keyring::new() else {
        return;
    };
    assert_eq!(PASSPHRASE, "golden");
    if programs.len() < 2 {
        programs::skipped("interop", "fewer than two programs take part");
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let first = match std::env::var("DUPR_SEED").as_deref() {
        Ok("random") => std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(1, |d| d.as_nanos() as u64 % 1_000_000_000),
        _ => number("DUPR_SEED").unwrap_or(1),
    };
    let last = first + number("DUPR_INTEROP_SCHEDULES").unwrap_or(SCHEDULES);
    println!("interop: seeds {first} to {}, {programs:?}", last - 1);
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let done = Mutex::new([0; 3]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        break;
                    }
                    match schedule(seed, &programs, &keyring) {
                        Ok(counts) => {
                            let mut done = done.lock().expect("no panic while held");
                            done.iter_mut()
                                .zip(counts)
                                .for_each(|(sum, count)| *sum += count);
                        }
                        Err(failure) => failures.lock().expect("no panic while held").push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic while held");
    let total = last - first;
    let [sets, calls, entries] = done.into_inner().expect("no panic while held");
    println!(
        "interop: {sets} sets, {} restores, {entries} entries compared",
        calls - sets
    );
    assert!(
        failures.is_empty(),
        "{} of {total} schedules failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}
