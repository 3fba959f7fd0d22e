//! Is a program still getting somewhere? Some that have a timeout of their own do not keep it: rsync goes on as long as the
//! system takes its signs of life, whether the peer hears them or not.

use crate::engine::error::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

/// Processes of a program that are looked at.
const MOST_STARTED: usize = 100;

/// Something that changes while a program gets somewhere.
pub(super) type Progress<'a> = &'a dyn Fn() -> u64;

/// What of a program is looked at.
pub(super) enum Signs<'a> {
    /// Nothing: it is trusted.
    None,
    /// What it reads, and something else. What it writes may be signs of life that nobody hears.
    Reads(Progress<'a>),
    /// Whatever it reads and writes, it and what it has started, and something else.
    Any(Progress<'a>),
}

/// Watches one program.
pub(super) struct Watch<'a> {
    name: &'static str,
    /// Its process.
    id: Option<u32>,
    signs: Signs<'a>,
    limit: Duration,
    last: (u64, u64),
    since: Instant,
}

impl<'a> Watch<'a> {
    /// Lets it stand still for no longer than `limit`.
    pub(super) fn new(
        name: &'static str,
        id: Option<u32>,
        signs: Signs<'a>,
        limit: Duration,
    ) -> Self {
        Self {
            name,
            id,
            signs,
            limit,
            last: (0, 0),
            since: Instant::now(),
        }
    }

    /// What it has done so far; `None` where nobody tells.
    fn done(&self) -> Option<(u64, u64)> {
        let id = self.id?;
        match self.signs {
            Signs::None => None,
            Signs::Reads(progress) => Some((moved(id, &["rchar:"])?, progress())),
            Signs::Any(progress) => {
                let all = ["rchar:", "wchar:"];
                let own = moved(id, &all)?;
                let others = family(id).into_iter().filter_map(|id| moved(id, &all));
                Some((others.fold(own, u64::wrapping_add), progress()))
            }
        }
    }

    /// # Errors
    /// `Unreachable` if nothing has changed for too long.
    pub(super) fn check(&mut self) -> Result<()> {
        let Some(now) = self.done() else {
            return Ok(());
        };
        if now != self.last {
            (self.last, self.since) = (now, Instant::now());
            return Ok(());
        }
        if self.since.elapsed() < self.limit {
            return Ok(());
        }
        let text = format!("{}: nothing has come for {:?}", self.name, self.limit);
        Err(Error::new(ErrorKind::Unreachable, text))
    }
}

/// Bytes a process has moved so far, from and to files and peers alike; `None` where the system does not tell.
fn moved(id: u32, ways: &[&str]) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/io")).ok()?;
    let count = |way: &&str| {
        let line = text.lines().find_map(|line| line.strip_prefix(*way))?;
        line.trim().parse::<u64>().ok()
    };
    ways.iter().map(count).sum()
}

/// The processes that a process has started, and those that they have; none where the system does not tell.
fn family(id: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut next = vec![id];
    while let Some(id) = next.pop().filter(|_| all.len() < MOST_STARTED) {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let text = std::fs::read_to_string(thread.path().join("children"));
            let text = text.unwrap_or_default();
            let started = text.split_whitespace().filter_map(|word| word.parse().ok());
            let started: Vec<u32> = started.collect();
            all.extend(&started);
            next.extend(started);
        }
    }
    all
}

/// Ends all processes of a program's group unless it has ended by itself: what it has started holds on to a dead line
/// otherwise.
pub(super) struct Group(pub(super) Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let group = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::process::{Child, Command, Stdio};

    /// Reads nothing: nobody writes.
    fn idle() -> Child {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().expect("cat")
    }

    fn end(mut child: Child) {
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    #[test]
    fn standing_still_is_told_from_getting_somewhere() {
        let child = idle();
        let id = Some(child.id());
        if moved(child.id(), &["rchar:"]).is_none() {
            return end(child);
        }
        let changed = Cell::new(0);
        let progress = || changed.get();
        let patience = Duration::from_secs(3600);
        for signs in [Signs::Reads(&progress), Signs::Any(&progress)] {
            changed.set(0);
            let mut watch = Watch::new("x", id, signs, patience);
            // It may still be starting.
            while watch.done() != Some(watch.last) {
                watch.check().expect("starts");
            }
            watch.check().expect("has time");
            watch.limit = Duration::ZERO;
            changed.set(1);
            watch.check().expect("has moved");
            let ended = loop {
                if let Err(error) = watch.check() {
                    break error;
                }
            };
            assert_eq!(ended.kind(), ErrorKind::Unreachable);
        }
        let mut trusted = Watch::new("x", id, Signs::None, Duration::ZERO);
        trusted.check().expect("is trusted");
        let mut unknown = Watch::new("x", None, Signs::Any(&progress), Duration::ZERO);
        unknown.check().expect("nobody knows");
        end(child);
    }

    #[test]
    fn what_a_program_has_started_counts() {
        let script = "cat /dev/zero | head -c 5000000 >/dev/null; read x";
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        let child = command.spawn().expect("sh");
        if moved(child.id(), &["rchar:"]).is_none() {
            return end(child);
        }
        let watch = Watch::new("x", Some(child.id()), Signs::Any(&|| 0), Duration::ZERO);
        // Counted while it works, and with its parent when that has seen its end.
        let start = Instant::now();
        while watch.done().is_none_or(|(bytes, _)| bytes < 5_000_000) {
            assert!(start.elapsed() < Duration::from_secs(100));
            std::thread::sleep(Duration::from_millis(10));
        }
        end(child);
    }
}
