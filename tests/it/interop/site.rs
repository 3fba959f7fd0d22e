//! One target, and the programs that use it in turns.

use crate::support::keyring::Keyring;
use crate::support::programs::{self, Program};
use crate::support::scratch::Scratch;
use crate::support::tree::Tree;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

/// Time of the first set of every schedule.
pub const FIRST: u64 = 1_700_000_000;

/// Times from here on are not given to programs: they are those of the clock.
pub const NOW: u64 = 1_750_000_000;

/// How sets are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Gzip,
    Symmetric,
    Public,
    Signed,
    SignedSymmetric,
    Hidden,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 7] = [
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

/// A source, a target, and who works on them.
pub struct Site<'a> {
    /// Everything lies in here: `src`, `target`, archive dirs, `restored`.
    pub scratch: Scratch,
    /// What programs are told by their environment.
    pub env: Vec<(String, String)>,
    /// The keys programs use.
    pub keyring: &'a Keyring,
    /// Who takes part.
    pub programs: &'a [Program],
    /// How sets are sealed.
    pub mode: Mode,
    /// Size of volumes in MiB; duplicity's own if not set.
    pub volume_size: Option<u32>,
    /// The source, as programs are told.
    pub source: String,
    /// Whether all programs keep their local copies in one archive dir.
    pub shared: bool,
    /// What was done, a line each.
    pub story: Vec<String>,
    /// Entries that were compared.
    pub compared: usize,
    /// Runs that were killed.
    pub killed: usize,
    /// Every state that was saved, with its time, oldest first.
    pub states: Vec<(u64, Tree)>,
}

impl<'a> Site<'a> {
    /// A place where nothing was saved yet.
    pub fn new(mode: Mode, keyring: &'a Keyring, programs: &'a [Program]) -> Self {
        let scratch = Scratch::new("interop");
        for dir in ["home", "tmp", "target"] {
            std::fs::create_dir(scratch.join(dir)).expect("own folder");
        }
        let mut env = keyring.env();
        for (key, value) in [
            ("HOME", scratch.join("home").display().to_string()),
            ("TMPDIR", scratch.join("tmp").display().to_string()),
            ("TZ", "UTC".into()),
            ("LC_ALL", "C.UTF-8".into()),
        ] {
            env.push((key.into(), value));
        }
        Self {
            scratch,
            env,
            keyring,
            programs,
            mode,
            volume_size: None,
            source: "src".into(),
            shared: false,
            story: Vec::new(),
            compared: 0,
            killed: 0,
            states: Vec::new(),
        }
    }

    /// One of those who take part.
    pub fn anybody(&self, dice: &mut SmallRng) -> Program {
        *self.programs.choose(dice).expect("somebody takes part")
    }

    /// Words of a backup, the action first.
    pub fn backup_words(&self, full: bool, time: u64) -> Vec<String> {
        let mut words = vec![if full { "full" } else { "incremental" }.to_string()];
        // Those who go by the clock are told nothing.
        if time < NOW {
            words.extend(["--current-time".into(), time.to_string()]);
        }
        if let Some(size) = self.volume_size {
            words.extend(["--volsize".into(), size.to_string()]);
        }
        words.extend(self.mode.options(self.keyring));
        words.extend([self.source.clone(), self.target()]);
        words
    }

    /// Makes a set.
    pub fn back_up(&mut self, writer: Program, full: bool, time: u64) -> Result<(), String> {
        let (cache, words) = (self.cache(writer), self.backup_words(full, time));
        self.call(writer, &cache, words).map(|_| ())
    }

    /// Everybody restores a state, by any time that means it, some of them with an empty archive dir.
    pub fn all_restore(&mut self, state: usize, dice: &mut SmallRng) -> Result<(), String> {
        for &reader in self.programs {
            let fresh = dice.random_range(0..2) == 0;
            let (from, next) = (self.states[state].0, self.states.get(state + 1));
            // Any time until the next set means the same state; no time at all means the newest.
            let until = next.map_or(from + 1000, |(next, _)| next - 1);
            let time = dice.random_range(from..=until);
            let time = (next.is_some() || dice.random_range(0..2) == 0).then_some(time);
            self.restore(reader, state, time, fresh)?;
        }
        Ok(())
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
        words.extend(self.reading());
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

    /// The newest set is equal to the source, says the program.
    pub fn verify(&mut self, reader: Program) -> Result<(), String> {
        let mut words = vec!["verify".to_string(), "--compare-data".into()];
        words.extend(self.reading());
        words.extend([self.target(), self.source.clone()]);
        let cache = self.cache(reader);
        self.call(reader, &cache, words).map(|_| ())
    }

    /// All programs list the same entries.
    pub fn same_listings(&mut self) -> Result<(), String> {
        let mut first: Option<(Program, Vec<String>)> = None;
        for &reader in self.programs {
            let mut words = vec!["list-current-files".to_string()];
            words.extend(self.reading());
            words.push(self.target());
            let cache = self.cache(reader);
            let output = self.call(reader, &cache, words)?;
            let lines: Vec<String> = output
                .lines()
                .filter(|l| is_listed(l))
                .map(str::to_string)
                .collect();
            match &first {
                None => first = Some((reader, lines)),
                Some((other, listed)) if *listed != lines => {
                    let mine = lines.iter().filter(|l| !listed.contains(l)).take(5);
                    let theirs = listed.iter().filter(|l| !lines.contains(l)).take(5);
                    let (mine, theirs) = (mine.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
                    let (one, two) = (reader.name(), other.name());
                    return Err(format!(
                        "listings differ; only {one}: {mine:?}, only {two}: {theirs:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Options that reading needs.
    fn reading(&self) -> Vec<String> {
        let plain = matches!(self.mode, Mode::Plain | Mode::Gzip);
        plain
            .then(|| "--no-encryption".to_string())
            .into_iter()
            .collect()
    }

    /// Time of the newest set whose manifest is at the target.
    pub fn newest_set(&self) -> Option<u64> {
        let names = std::fs::read_dir(self.scratch.join("target")).ok()?;
        let time = |name: String| {
            let stamp = name.get(..name.find(".manifest")?)?;
            let stamp = stamp.get(stamp.len().checked_sub(16)?..)?;
            let time = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", stamp).ok()?;
            let at = time
                .to_datetime()
                .ok()?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .ok()?;
            u64::try_from(at.timestamp().as_second()).ok()
        };
        let names = names
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok());
        names.filter_map(time).max()
    }

    /// Archive dir of a program.
    pub fn cache(&self, program: Program) -> String {
        if self.shared {
            "cache".into()
        } else {
            format!("cache-{}", program.name())
        }
    }

    fn target(&self) -> String {
        format!("file://{}", self.scratch.join("target").display())
    }

    /// The command line of a call.
    pub fn line(&self, program: Program, cache: &str, words: &[String]) -> Vec<String> {
        let mut line = program.words().expect("it takes part");
        let cache = self.scratch.join(cache).display().to_string();
        // The action stands first in every version.
        line.push(words[0].clone());
        line.extend(["--archive-dir".into(), cache, "--name".into(), "x".into()]);
        line.extend_from_slice(&words[1..]);
        line
    }

    fn call(
        &mut self,
        program: Program,
        cache: &str,
        words: Vec<String>,
    ) -> Result<String, String> {
        self.story
            .push(format!("{} [{cache}] {}", program.name(), words.join(" ")));
        let line = self.line(program, cache, &words);
        programs::run(&line, self.scratch.path(), &self.env)
    }

    /// A report of what went wrong, and how it came to that.
    pub fn tell(&self, seed: u64, error: &str) -> String {
        let (mode, size, shared) = (self.mode, self.volume_size, self.shared);
        let head =
            format!("seed {seed}: {mode:?}, volume size {size:?}, one archive dir: {shared}");
        let mut names: Vec<String> = Vec::new();
        if let Ok(dir) = std::fs::read_dir(self.scratch.join("target")) {
            names.extend(dir.flatten().map(|e| e.file_name().display().to_string()));
        }
        names.sort();
        let (story, names) = (self.story.join("\n  "), names.join("\n  "));
        format!("{head}\n  {story}\n{error}\nat the target:\n  {names}")
    }
}

/// Whether a line of a listing begins with a time: `Tue Nov 14 22:13:20 2023 a/path`.
fn is_listed(line: &str) -> bool {
    let days = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "];
    days.iter().any(|d| line.starts_with(d)) && line.as_bytes().get(13) == Some(&b':')
}
