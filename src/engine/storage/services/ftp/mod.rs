//! A directory of an FTP server, in the open or encrypted.
//!
//! An upload gets its name by a rename when it is whole. A connection carries one transfer at a time, so there are as many
//! as threads at work, and no more than the server admits; idle ones are kept for the next call.

mod listing;
mod login;
mod session;
mod tls;
mod trouble;

pub(super) use login::Place;

use super::super::names;
use super::super::transfer::Transfer;
use super::super::url::TargetUrl;
use super::super::{Location, Object, Storage, StorageOptions};
use crate::engine::error::{ErrorKind, Result};
use login::Login;
use session::Session;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How long to wait for another thread's connection before looking whether to go on waiting.
const TURN: Duration = Duration::from_millis(100);

/// Objects as regular files of one directory of a server.
pub(super) struct FtpStorage {
    login: Login,
    dir: String,
    location: Location,
    transfer: Arc<Transfer>,
    pool: Mutex<Pool>,
    freed: Condvar,
    swept: AtomicBool,
}

/// The connections there are.
#[derive(Default)]
struct Pool {
    idle: Vec<Session>,
    /// Idle or at work.
    open: usize,
    /// What the server admits, once it has refused one.
    limit: Option<usize>,
}

impl FtpStorage {
    /// # Errors
    /// `Usage` for settings ftp does not have.
    pub(super) fn new(
        place: &Place<'_>,
        url: &TargetUrl,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        Ok(Self {
            login: Login::new(place, url, options)?,
            dir: place.dir.to_string(),
            location: url.location(),
            transfer,
            pool: Mutex::default(),
            freed: Condvar::new(),
            swept: AtomicBool::new(false),
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A connection: an idle one, a new one, or another thread's when that is done with it.
    fn take(&self) -> Result<Session> {
        loop {
            self.transfer.check()?;
            let mut pool = self.pool();
            if let Some(mut session) = pool.idle.pop() {
                drop(pool);
                let alive = self
                    .transfer
                    .block_on(async { Ok(session.is_alive(&self.transfer).await) })?;
                if alive {
                    return Ok(session);
                }
                self.forget();
            } else if pool.limit.is_none_or(|limit| pool.open < limit) {
                pool.open += 1;
                drop(pool);
                let opened = Session::open(&self.login, &self.dir, &self.transfer);
                match self.transfer.block_on(opened) {
                    Err(error) => {
                        self.forget();
                        let mut pool = self.pool();
                        if error.kind() != ErrorKind::RateLimited || pool.open == 0 {
                            return Err(error);
                        }
                        pool.limit = Some(pool.open);
                    }
                    opened => return opened,
                }
            } else {
                drop(self.freed.wait_timeout(pool, TURN));
            }
        }
    }

    /// One connection less.
    fn forget(&self) {
        let mut pool = self.pool();
        pool.open = pool.open.saturating_sub(1);
        drop(pool);
        self.freed.notify_one();
    }

    /// Runs `work` on a connection of its own, which is given up if it fails.
    fn with<T>(&self, work: impl AsyncFnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let mut session = self.take()?;
        let outcome = self.transfer.block_on(work(&mut session));
        if session.is_sound(outcome.as_ref().err()) {
            self.pool().idle.push(session);
            self.freed.notify_one();
        } else {
            drop(session);
            self.forget();
        }
        outcome
    }
}

impl Storage for FtpStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.with(async |session| session.list(&self.transfer).await)
            .map_err(|e| e.within("cannot list the target"))
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        let size = self.with(async |session| session.size(name, &self.transfer).await);
        let size = size.map_err(|e| e.within(format!("cannot look at {name}")))?;
        Ok(size.map(|size| Object {
            name: name.to_string(),
            size,
        }))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        self.with(async |session| session.get(name, to, &self.transfer).await)
            .map_err(|e| e.within(format!("cannot read {name}")))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        let temp = names::temp();
        let outcome = self.with(async |session| {
            session.put(&temp, name, from, &self.transfer).await?;
            if !self.swept.swap(true, Ordering::Relaxed) {
                session.sweep(name, &self.transfer).await;
            }
            Ok(())
        });
        outcome.map_err(|error| {
            // On another connection, where this one is lost; what cannot be removed now is swept some day.
            if error.kind() != ErrorKind::Interrupted {
                let _ = self.with(async |session| session.remove(&temp, &self.transfer).await);
            }
            error.within(format!("cannot store {name}"))
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        names::check(name)?;
        self.with(async |session| session.remove(name, &self.transfer).await)
            .map_err(|e| e.within(format!("cannot delete {name}")))
    }
}
