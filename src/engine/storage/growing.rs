//! A file that is uploaded while it is still being written.
//!
//! Its bytes are never changed once they are in it, so what was sent stays right. Who writes it says how far it is; who
//! uploads it waits for more. An upload is completed only after the file was said to be whole: a file that is given up
//! never becomes an object.

use crate::engine::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a request to stop may go unheard.
const EAR: Duration = Duration::from_millis(100);

/// The reading end: a file that grows, is whole at last, or is given up.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    /// About how long it may become.
    expected: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    bytes: u64,
    end: End,
    /// With more bytes than these somebody goes on who waits: being woken costs more than a piece is worth.
    awaited: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Whole,
    /// Nobody writes it any more.
    Abandoned,
    /// Nobody uploads it any more.
    Refused,
}

/// The writing end. Dropped before [`finish`](Self::finish), the file is given up.
#[derive(Debug)]
pub struct Grower(Arc<Growing>);

impl Grower {
    /// A file that is empty, and will have about `expected` bytes.
    pub fn new(path: impl Into<PathBuf>, expected: u64) -> Self {
        Self(Arc::new(Growing {
            path: path.into(),
            expected,
            state: Mutex::new(State {
                bytes: 0,
                end: End::Open,
                awaited: u64::MAX,
            }),
            changed: Condvar::new(),
        }))
    }

    /// The other end.
    pub fn growing(&self) -> Arc<Growing> {
        Arc::clone(&self.0)
    }

    /// It will not grow any more.
    pub fn finish(self) {
        self.0.end(End::Whole);
    }
}

impl Drop for Grower {
    fn drop(&mut self) {
        // Without effect on one that is whole.
        self.0.end(End::Abandoned);
    }
}

impl Growing {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// About how many bytes it will have.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// So many more bytes are in it.
    ///
    /// # Errors
    /// `Internal` if its upload failed: nothing more is worth writing.
    pub fn grew(&self, bytes: usize) -> Result<()> {
        let mut state = self.lock();
        state.bytes += bytes as u64;
        let end = state.end;
        let is_awaited = state.bytes > state.awaited;
        if is_awaited {
            state.awaited = u64::MAX;
        }
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
        match end {
            End::Refused => Err(gone("its upload failed")),
            _ => Ok(()),
        }
    }

    /// Its upload failed, and nobody tries again.
    pub fn refuse(&self) {
        self.end(End::Refused);
    }

    /// Waits until it has more than `bytes` bytes, or is whole. Tells its length and whether it is whole; asks `check` every
    /// now and then whether to go on waiting.
    ///
    /// # Errors
    /// `Internal` if it was given up, and those of `check`.
    pub fn wait(&self, bytes: u64, check: &dyn Fn() -> Result<()>) -> Result<(u64, bool)> {
        let mut state = self.lock();
        loop {
            match state.end {
                End::Whole => return Ok((state.bytes, true)),
                End::Open if state.bytes > bytes => return Ok((state.bytes, false)),
                End::Open => {}
                End::Abandoned | End::Refused => return Err(gone("it was given up")),
            }
            check()?;
            state.awaited = state.awaited.min(bytes);
            let waited = self.changed.wait_timeout(state, EAR);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it was given up by who wrote it.
    pub fn is_abandoned(&self) -> bool {
        self.lock().end == End::Abandoned
    }

    /// Waits until it is whole.
    ///
    /// # Errors
    /// `Internal` if it was given up.
    pub fn whole(&self) -> Result<()> {
        self.wait(u64::MAX, &|| Ok(())).map(|_| ())
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end == End::Open || (end, state.end) == (End::Refused, End::Whole) {
            state.end = end;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone(why: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("a spool file is of no use: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Result<()> {
        Ok(())
    }

    #[test]
    fn a_reader_sees_it_grow_and_become_whole() {
        let grower = Grower::new("f", 10);
        let growing = grower.growing();
        let reader = {
            let growing = grower.growing();
            std::thread::spawn(move || {
                let mut seen = vec![growing.wait(0, &never).unwrap()];
                while let Some((bytes, false)) = seen.last().copied() {
                    seen.push(growing.wait(bytes, &never).unwrap());
                }
                seen
            })
        };
        for _ in 0..3 {
            growing.grew(5).unwrap();
        }
        grower.finish();
        let seen = reader.join().unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(seen.last(), Some(&(15, true)));
        growing.whole().unwrap();
    }

    #[test]
    fn one_that_is_given_up_is_never_whole() {
        let grower = Grower::new("f", 10);
        let growing = grower.growing();
        growing.grew(5).unwrap();
        assert_eq!(growing.wait(4, &never).unwrap(), (5, false));
        drop(grower);
        assert!(growing.is_abandoned());
        growing.whole().expect_err("given up");
        growing.wait(0, &never).expect_err("given up");
    }

    #[test]
    fn its_writer_learns_that_the_upload_failed() {
        let grower = Grower::new("f", 10);
        let growing = grower.growing();
        growing.refuse();
        growing.grew(1).expect_err("refused");
    }

    #[test]
    fn a_request_to_stop_ends_the_wait() {
        let grower = Grower::new("f", 10);
        let stop = || Err(Error::new(ErrorKind::Interrupted, "stop"));
        let error = grower.growing().wait(0, &stop).expect_err("stopped");
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
}
