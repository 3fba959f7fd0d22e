//! Puts calls into effect on this machine, takes them out again, and tells what is there.
//!
//! Whatever is not dupr's own stays as it is: other lines of a crontab, units and lists without dupr's mark. What was
//! there before an attempt that fails is put back.

mod crontab;
mod files;
mod launchd;
mod systemd;

use super::{Call, crontab as lines, launchd as lists, systemd as units};
use crate::engine::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

pub use super::systemd::Manager;

/// Who starts the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// cron, with the user's crontab.
    Crontab,
    /// systemd.
    Systemd(Manager),
    /// launchd, on macOS.
    Launchd,
}

/// Where things lie for this user.
#[derive(Debug, Clone)]
pub struct Place {
    /// The user's home.
    pub home: PathBuf,
    /// The user's directory of settings.
    pub config_home: PathBuf,
    /// Below it, what dupr remembers; a copy of the last crontab among it.
    pub state_dir: PathBuf,
    /// Number of the user.
    pub user: u32,
}

/// What happened, or would happen, to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It was not there before.
    Added,
    /// It was there and said something else.
    Changed,
    /// It was there and stays as it is.
    Same,
    /// It is gone.
    Removed,
}

/// The calls touched and what happened to each, by name.
pub type Effects = BTreeMap<String, Effect>;

impl Kind {
    /// As `--as` and messages say it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Crontab => "crontab",
            Kind::Systemd(Manager::System) => "systemd (system)",
            Kind::Systemd(Manager::User) => "systemd (user)",
            Kind::Launchd => "launchd",
        }
    }

    /// What a call comes to with this kind, as one text.
    ///
    /// # Errors
    /// The kind cannot say it.
    pub fn text(self, call: &Call) -> Result<String> {
        match self {
            Kind::Crontab => lines::block(call, "", is_utc()),
            Kind::Systemd(manager) => {
                let texts =
                    units::units(call, manager).map(|(name, text)| format!("# {name}\n{text}"));
                Ok(texts.concat())
            }
            Kind::Launchd => Ok(lists::list(call)),
        }
    }
}

/// The calls that are in effect, by name, with the text each comes to.
///
/// # Errors
/// What is there cannot be read.
pub fn installed(kind: Kind, place: &Place) -> Result<BTreeMap<String, String>> {
    match kind {
        Kind::Crontab => lines::installed(&crontab::read()?),
        Kind::Systemd(manager) => systemd::installed(manager, place),
        Kind::Launchd => launchd::installed(place),
    }
}

/// Puts calls into effect and takes those named in `gone` out. With `only_look` nothing is changed.
///
/// # Errors
/// Nothing is changed then.
pub fn apply(
    kind: Kind,
    calls: &[Call],
    gone: &[String],
    place: &Place,
    only_look: bool,
) -> Result<Effects> {
    let before = installed(kind, place)?;
    let mut wanted = BTreeMap::new();
    for call in calls {
        wanted.insert(call.name.clone(), kind.text(call)?);
    }
    let mut effects: Effects = wanted
        .iter()
        .map(|(name, text)| {
            let effect = match before.get(name) {
                None => Effect::Added,
                Some(old) if old == text => Effect::Same,
                Some(_) => Effect::Changed,
            };
            (name.clone(), effect)
        })
        .collect();
    let there = gone
        .iter()
        .filter(|n| before.contains_key(*n) && !wanted.contains_key(*n));
    effects.extend(there.map(|n| (n.clone(), Effect::Removed)));
    if !only_look {
        match kind {
            Kind::Crontab => crontab::change(&wanted, gone, place)?,
            Kind::Systemd(manager) => systemd::change(calls, &effects, manager, place)?,
            Kind::Launchd => launchd::change(calls, &effects, place)?,
        }
    }
    Ok(effects)
}

/// Whether something is seen that starts what is in effect; true where that cannot be told.
pub fn is_alive(kind: Kind) -> bool {
    kind != Kind::Crontab || crontab::runs()
}

/// What is worth knowing of the surroundings of what was put into effect.
pub fn remarks(kind: Kind, place: &Place) -> Vec<String> {
    match kind {
        Kind::Crontab => crontab::remarks(),
        Kind::Systemd(Manager::User) => systemd::remarks(place),
        Kind::Systemd(Manager::System) | Kind::Launchd => Vec::new(),
    }
}

/// Whether the machine's clock is UTC all year.
fn is_utc() -> bool {
    jiff::tz::TimeZone::system()
        .to_fixed_offset()
        .is_ok_and(|offset| offset.is_zero())
}

/// Runs a program of the system to its end, in plain English.
///
/// # Errors
/// It is not there, or cannot be started.
fn run(program: &str, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    output.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::Unsupported,
            format!("there is no program {program} on this machine"),
        )
        .with_hint("choose another way with --as: crontab, systemd, launchd"),
        _ => Error::from(e).within(format!("cannot start {program}")),
    })
}

/// Runs a program that must succeed.
///
/// # Errors
/// It does not; with what it says.
fn must(program: &str, arguments: &[&str]) -> Result<()> {
    let output = run(program, arguments)?;
    if output.status.success() {
        return Ok(());
    }
    Err(refused(program, arguments, &output))
}

fn refused(program: &str, arguments: &[&str], output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().replace('\n', "; ");
    Error::new(
        ErrorKind::Io,
        format!(
            "`{program} {}` failed ({}): {said}",
            arguments.join(" "),
            output.status
        ),
    )
}
