//! Is a program still getting somewhere? Some that have a timeout of their own do not keep it: rsync goes on as long as the
//! system takes its signs of life, whether the peer hears them or not.

use crate::engine::error::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

/// Something that changes while a program gets somewhere.
pub(super) type Progress<'a> = &'a dyn Fn() -> u64;

/// Watches one program.
pub(super) struct Watch<'a> {
    name: &'static str,
    /// Its process.
    id: Option<u32>,
    progress: Option<Progress<'a>>,
    limit: Duration,
    last: (u64, u64),
    since: Instant,
}

impl<'a> Watch<'a> {
    /// Lets it stand still for no longer than `limit`; a program without `progress` is trusted.
    pub(super) fn new(
        name: &'static str,
        id: Option<u32>,
        progress: Option<Progress<'a>>,
        limit: Duration,
    ) -> Self {
        Self {
            name,
            id,
            progress,
            limit,
            last: (0, 0),
            since: Instant::now(),
        }
    }

    /// # Errors
    /// `Unreachable` if nothing has changed for too long.
    pub(super) fn check(&mut self) -> Result<()> {
        let (Some(progress), Some(read)) = (self.progress, self.id.and_then(bytes_read)) else {
            return Ok(());
        };
        let now = (read, progress());
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

/// Bytes a process has read so far, from files and peers alike; `None` where the system does not tell.
fn bytes_read(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/io")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("rchar:"))?;
    line.trim().parse().ok()
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
    use std::process::{Command, Stdio};

    #[test]
    fn standing_still_is_told_from_getting_somewhere() {
        // Reads nothing: nobody writes.
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat");
        let id = Some(child.id());
        let moved = Cell::new(0);
        let progress = || moved.get();
        let patience = Duration::from_secs(3600);
        let mut watch = Watch::new("x", id, Some(&progress), patience);
        if bytes_read(child.id()).is_none() {
            child.kill().expect("kill");
            child.wait().expect("wait");
            return;
        }
        // It may still be starting.
        while bytes_read(child.id()).map(|read| (read, 0)) != Some(watch.last) {
            watch.check().expect("starts");
        }
        watch.check().expect("has time");
        watch.limit = Duration::ZERO;
        moved.set(1);
        watch.check().expect("has moved");
        let ended = loop {
            if let Err(error) = watch.check() {
                break error;
            }
        };
        assert_eq!(ended.kind(), ErrorKind::Unreachable);
        let mut trusted = Watch::new("x", id, None, Duration::ZERO);
        trusted.check().expect("is trusted");
        let mut unknown = Watch::new("x", None, Some(&progress), Duration::ZERO);
        unknown.check().expect("nobody knows");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
}
