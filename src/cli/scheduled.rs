//! `--scheduled`: a schedule started this call. It waits for its jitter, and does nothing if nothing is due.
//!
//! Two such calls never do the same start: a lock of their own is held from the look at what is due until the run is
//! recorded. The profile's own lock keeps a run from overlapping any other.

use super::run::Member;
use super::session::{CLOCK, Session};
use super::{exit, run};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use crate::run::due::{self, Start};
use crate::run::{History, Memory};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Whether a call that a schedule started goes on.
pub enum Permission {
    /// It does; the lock is held as long as this lives.
    Granted(File),
    /// It does not: the exit code, and why.
    Denied(u8, String),
}

/// Waits until a profile's start is to begin, if there is one to do.
///
/// # Errors
/// The profile has no schedule, what is remembered cannot be read, or a signal ends the wait.
pub fn permission(member: &Member, session: &Session) -> Result<Permission> {
    let (profile, batch) = (&member.first.profile, &member.first.batch.text);
    let name = profile.base_name();
    let Some(schedule) = &profile.schedule else {
        let message = format!("{name} has no [schedule], and --scheduled asks for one");
        return Err(run::usage_error(
            message,
            "write cron = \"17 2 * * *\" under [schedule]",
        ));
    };
    let state_dir = &session.world.state_dir;
    let place = History::of(state_dir, name);
    let Some(lock) = lock(&place.path().with_file_name("scheduled.lock"))? else {
        let why = "another scheduled start of it is under way".to_owned();
        return Ok(Permission::Denied(exit::DEFERRED, why));
    };
    let who = format!("{} {name}", session.world.host);
    let last = || -> Result<Option<Timestamp>> {
        // A target that is absent is no reason to save to the others every hour.
        let mut last = Memory::of(state_dir, name).scheduled_since;
        for job in member.jobs() {
            let past = History::of(state_dir, &job.profile.name).read()?;
            last = last.max(due::answered(&past.runs, batch));
        }
        Ok(last)
    };
    match due::start(schedule, last()?, CLOCK(), &who) {
        Start::Now => {}
        Start::Not(why) => return Ok(Permission::Denied(exit::DONE, why)),
        Start::At(time) => {
            wait(time, session)?;
            // Somebody may have run it by hand; a later start that was planned meanwhile waits no second time.
            if !schedule.is_due(last()?, CLOCK()) {
                let why = "a run has answered it meanwhile".to_owned();
                return Ok(Permission::Denied(exit::DONE, why));
            }
        }
    }
    Ok(Permission::Granted(lock))
}

fn wait(until: Timestamp, session: &Session) -> Result<()> {
    while CLOCK() < until {
        session.cancel.check()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// A lock on a file; `None` if somebody holds it.
fn lock(path: &Path) -> Result<Option<File>> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|e| Error::io("create", directory, e))?;
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| Error::io("open", path, e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => {
            Err(Error::new(ErrorKind::Io, format!("cannot lock {}", path.display())).with_source(e))
        }
    }
}
