//! A directory of an FTP server, in the open or encrypted.
//!
//! An upload gets its name by a rename when it is whole. Each thread at work has a connection of its own.

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
use super::pool::Pool;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::time::Timestamp;
use login::Login;
use session::Session;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Objects as regular files of one directory of a server.
pub(super) struct FtpStorage {
    login: Login,
    dir: String,
    location: Location,
    transfer: Arc<Transfer>,
    pool: Pool<Session>,
    swept: AtomicBool,
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
            pool: Pool::default(),
            swept: AtomicBool::new(false),
        })
    }

    /// Runs `work` on a connection of its own, which is given up if it fails.
    fn with<T>(&self, work: impl AsyncFnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let open = async || Session::open(&self.login, &self.dir, &self.transfer).await;
        self.pool.with(&self.transfer, open, work)
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

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        names::check(name)?;
        self.with(async |session| session.modified(name, &self.transfer).await)
            .map_err(|e| e.within(format!("cannot look at {name}")))
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
