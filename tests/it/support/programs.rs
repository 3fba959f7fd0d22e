//! Other programs the tests hold dupr against, and running them.
//!
//! `tests/setup` installs them and leaves links in `$DUPR_TEST_CACHE/bin` (default `~/.cache/dupr-test/bin`). A test whose
//! program is missing fails, unless `tests/setup` could not install it and named it in `DUPR_TEST_SKIP`: then the test says
//! on the terminal that it was skipped.

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Seconds after which a program counts as hanging.
const PATIENCE: &str = "300";

/// A program that speaks duplicity's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Program {
    /// This repository's.
    Dupr,
    /// duplicity 3.2.1.
    Duplicity3,
    /// duplicity 0.8.22.
    Duplicity08,
}

impl Program {
    /// All of them.
    pub const ALL: [Program; 3] = [Program::Dupr, Program::Duplicity3, Program::Duplicity08];

    /// Its name as `DUPR_INTEROP_PROGRAMS` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Program::Dupr => "dupr",
            Program::Duplicity3 => "3.2.1",
            Program::Duplicity08 => "0.8.22",
        }
    }

    /// Words that start it, or `None` if it may be missing and is.
    pub fn words(self) -> Option<Vec<String>> {
        match self {
            Program::Dupr => {
                let built = env!("CARGO_BIN_EXE_dupr").to_string();
                Some(vec![
                    std::env::var("DUPR_BINARY").unwrap_or(built),
                    "duplicity".into(),
                ])
            }
            Program::Duplicity3 => find("duplicity-3.2.1").map(|p| vec![p.display().to_string()]),
            Program::Duplicity08 => find("duplicity-0.8.22").map(|p| vec![p.display().to_string()]),
        }
    }
}

/// Whether the tests may make every owner and device there is: root, and not a root of a container that is held short. Owners
/// and devices are made and compared only then.
pub fn is_root() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let probe = std::env::temp_dir().join(format!("dupr-probe-{}", std::process::id()));
        let device = rustix::fs::makedev(1, 3);
        let mode = Mode::from_raw_mode(0o600);
        let owner = (
            Some(Uid::from_raw(3_000_000_000)),
            Some(Gid::from_raw(3_000_000_000)),
        );
        let made = rustix::fs::mknodat(CWD, &probe, FileType::CharacterDevice, mode, device)
            .and_then(|()| {
                rustix::fs::chownat(CWD, &probe, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
            });
        let _ = std::fs::remove_file(&probe);
        if made.is_err() {
            skipped(
                "owners and devices",
                "they can be made by an unrestricted root only",
            );
        }
        made.is_ok()
    })
}

/// Says on the terminal that a test, or a part of it, did not run. Not captured by the test runner.
pub fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}: {why}");
}

/// Where a program lies.
///
/// `None`, said aloud, if `tests/setup` could not install it.
///
/// # Panics
/// If it is missing for any other reason.
pub fn find(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("DUPR_TEST_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()))
                .join(".cache/dupr-test")
        });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(cache.join("bin")).chain(std::env::split_paths(&path));
    if let Some(found) = places.map(|dir| dir.join(name)).find(|p| p.is_file()) {
        return Some(found);
    }
    let excused = std::env::var("DUPR_TEST_SKIP").unwrap_or_default();
    if excused.split_whitespace().any(|word| word == name) {
        skipped(name, "tests/setup could not install it");
        return None;
    }
    panic!("{name} is not installed; run tests/setup");
}

/// The library that moves the clock, for `LD_PRELOAD`; `None` as of [`find`].
///
/// Where `faketime` is asked for it, the system's memory may still hold something of the same name as that of its process: of one
/// that was killed, and whose number came again. It refuses then.
pub fn clock_mover() -> Option<String> {
    let program = find("faketime")?;
    let library = (0..20).find_map(|_| {
        let told = Command::new(&program)
            .args(["-f", "+0", "printenv", "LD_PRELOAD"])
            .output()
            .expect("faketime");
        let library = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        (!library.is_empty()).then_some(library)
    });
    Some(library.expect("the library of faketime"))
}

/// Runs a command to its end and gives back what it wrote, standard output and error together.
///
/// # Errors
/// A text with the command line, the exit code and the output if it fails or hangs.
pub fn run(words: &[String], dir: &Path, env: &[(String, String)]) -> Result<String, String> {
    let mut command = Command::new("timeout");
    command
        .arg(PATIENCE)
        .args(words)
        .current_dir(dir)
        .stdin(std::process::Stdio::null());
    command.with_env(env);
    let output = command
        .output()
        .map_err(|e| format!("cannot start {words:?}: {e}"))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        return Ok(text);
    }
    Err(format!(
        "in {}:\n{}\nended with {}\n{text}",
        dir.display(),
        shell_line(words, env),
        output.status
    ))
}

/// Gives a command the variables of a test.
pub trait WithEnv {
    /// Adds variables to those of the test runner.
    fn with_env(&mut self, env: &[(String, String)]) -> &mut Self;
}

impl WithEnv for Command {
    fn with_env(&mut self, env: &[(String, String)]) -> &mut Self {
        self.envs(env.iter().map(|(k, v)| (k, v)))
    }
}

/// A line for a shell that does the same.
fn shell_line(words: &[String], env: &[(String, String)]) -> String {
    let env = env.iter().map(|(k, v)| format!("{k}={}", quote(v)));
    env.chain(words.iter().map(|w| quote(w)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
