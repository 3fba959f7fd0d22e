//! A directory of another machine, through the `ssh` program and the sftp protocol.
//!
//! Like the local service: temp name, sync where the server can, rename. Requests are pipelined, so a long line costs
//! little. One connection serves all threads; after trouble with it the next call makes a new one.

mod connection;
mod listing;
mod login;
mod session;

pub(super) use login::Login;

use super::super::names;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage};
use crate::engine::error::{ErrorKind, Result};
use connection::Connection;
use session::{Session, object};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Objects as regular files of one directory of a server.
pub(super) struct SftpStorage {
    login: Login,
    dir: PathBuf,
    location: Location,
    transfer: Arc<Transfer>,
    connection: Mutex<Option<Arc<Connection>>>,
    swept: AtomicBool,
}

impl SftpStorage {
    pub(super) fn new(
        login: Login,
        dir: PathBuf,
        location: Location,
        transfer: Arc<Transfer>,
    ) -> Self {
        Self {
            login,
            dir,
            location,
            transfer,
            connection: Mutex::new(None),
            swept: AtomicBool::new(false),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        names::check(name)?;
        Ok(self.dir.join(name))
    }

    /// Runs `work` on the connection, which is made if there is none, and given up if it fails.
    fn with<T>(&self, work: impl AsyncFnOnce(Session<'_>) -> Result<T>) -> Result<T> {
        let connection = {
            let mut slot = self
                .connection
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            match &*slot {
                Some(connection) => Arc::clone(connection),
                None => {
                    let opened = self
                        .transfer
                        .block_on(Connection::open(&self.login, &self.transfer))?;
                    Arc::clone(slot.insert(Arc::new(opened)))
                }
            }
        };
        let session = Session {
            connection: &connection,
            transfer: &self.transfer,
            dir: &self.dir,
        };
        let outcome = self.transfer.block_on(work(session));
        if outcome
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Unreachable)
        {
            let mut slot = self
                .connection
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            if slot
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, &connection))
            {
                *slot = None;
            }
        }
        outcome
    }
}

impl Storage for SftpStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let listed = self.with(async |session| session.objects(session.entries().await?).await);
        let listed = match listed {
            Err(error) if error.kind() == ErrorKind::Unreachable => {
                // Either the line, which fails again, or a name that is not UTF-8.
                match self
                    .transfer
                    .block_on(listing::read(&self.login, &self.transfer, &self.dir))
                {
                    Ok(entries) => self.with(async |session| session.objects(entries).await),
                    Err(_) => Err(error),
                }
            }
            listed => listed,
        };
        listed.map_err(|e| e.within("cannot list the target"))
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        let path = self.path(name)?;
        self.with(async |session| match session.metadata(&path).await {
            Ok(meta) => Ok(object(name, &meta)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .map_err(|e| e.within(format!("cannot look at {name}")))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let path = self.path(name)?;
        self.with(async |session| session.get(&path, to).await)
            .map_err(|e| e.within(format!("cannot read {name}")))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        let path = self.path(name)?;
        self.with(async |session| {
            session.put(&path, from).await?;
            if !self.swept.swap(true, Ordering::Relaxed) {
                session.sweep(&path).await;
            }
            Ok(())
        })
        .map_err(|e| e.within(format!("cannot store {name}")))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        let path = self.path(name)?;
        self.with(async |session| session.claim(name, &path, from).await)
            .map_err(|e| match e.kind() {
                ErrorKind::Locked => e,
                _ => e.within(format!("cannot store {name}")),
            })
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        self.with(async |session| match session.remove(&path).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .map_err(|e| e.within(format!("cannot delete {name}")))
    }
}
