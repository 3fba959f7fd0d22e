//! Connections that carry one call at a time.
//!
//! There are as many as threads at work, and no more than the server admits; idle ones are kept for the next call.

use super::super::transfer::Transfer;
use crate::engine::error::{Error, ErrorKind, Result};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long to wait for another thread's connection before looking whether to go on waiting.
const TURN: Duration = Duration::from_millis(100);

/// A connection to a server.
pub(super) trait Connection {
    /// Whether the server is still there. Servers hang up on who says nothing for some minutes.
    async fn is_alive(&mut self, transfer: &Transfer) -> bool;

    /// Whether the next call may use it, after one that ended with this error, if any.
    fn is_sound(&mut self, error: Option<&Error>) -> bool;
}

/// The connections there are.
pub(super) struct Pool<C> {
    kept: Mutex<Kept<C>>,
    freed: Condvar,
}

struct Kept<C> {
    idle: Vec<C>,
    /// Idle or at work.
    open: usize,
    /// What the server admits, once it has refused one.
    limit: Option<usize>,
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                idle: Vec::new(),
                open: 0,
                limit: None,
            }),
            freed: Condvar::new(),
        }
    }
}

impl<C: Connection> Pool<C> {
    fn kept(&self) -> MutexGuard<'_, Kept<C>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a connection of its own, which is given up if it fails.
    pub(super) fn with<T>(
        &self,
        transfer: &Transfer,
        open: impl AsyncFn() -> Result<C>,
        work: impl AsyncFnOnce(&mut C) -> Result<T>,
    ) -> Result<T> {
        let mut connection = self.take(transfer, open)?;
        let outcome = transfer.block_on(work(&mut connection));
        if connection.is_sound(outcome.as_ref().err()) {
            self.kept().idle.push(connection);
            self.freed.notify_one();
        } else {
            drop(connection);
            self.forget();
        }
        outcome
    }

    /// A connection: an idle one, a new one, or another thread's when that is done with it.
    fn take(&self, transfer: &Transfer, open: impl AsyncFn() -> Result<C>) -> Result<C> {
        loop {
            transfer.check()?;
            let mut kept = self.kept();
            if let Some(mut connection) = kept.idle.pop() {
                drop(kept);
                let alive = transfer.block_on(async { Ok(connection.is_alive(transfer).await) })?;
                if alive {
                    return Ok(connection);
                }
                self.forget();
            } else if kept.limit.is_none_or(|limit| kept.open < limit) {
                kept.open += 1;
                drop(kept);
                match transfer.block_on(open()) {
                    Err(error) => {
                        self.forget();
                        let mut kept = self.kept();
                        if error.kind() != ErrorKind::RateLimited || kept.open == 0 {
                            return Err(error);
                        }
                        kept.limit = Some(kept.open);
                    }
                    opened => return opened,
                }
            } else {
                drop(self.freed.wait_timeout(kept, TURN));
            }
        }
    }

    /// One connection less.
    fn forget(&self) {
        let mut kept = self.kept();
        kept.open = kept.open.saturating_sub(1);
        drop(kept);
        self.freed.notify_one();
    }
}
