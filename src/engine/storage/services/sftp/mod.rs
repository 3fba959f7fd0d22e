//! A directory of another machine, through the `ssh` program and the sftp protocol.
//!
//! Like the local service: temp name, sync where the server can, rename. Requests are pipelined, so a long line costs
//! little. One connection serves all threads; after trouble with it the next call makes a new one. A server that knows
//! no sftp is asked for the same by commands.

mod connection;
mod listing;
mod login;
mod session;
mod shell;

pub(super) use login::Login;

use super::super::names;
use super::super::transfer::Transfer;
use super::super::{Location, Object, Storage};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use connection::{Connection, Greeting};
use session::{Session, object};
use shell::Shell;
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
    way: Mutex<Option<Way>>,
    swept: AtomicBool,
}

/// How the server is spoken to.
#[derive(Clone)]
enum Way {
    Sftp(Arc<Connection>),
    Shell,
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
            way: Mutex::new(None),
            swept: AtomicBool::new(false),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        names::check(name)?;
        Ok(self.dir.join(name))
    }

    /// The connection, which is made if there is none.
    fn way(&self) -> Result<Way> {
        let mut slot = self
            .way
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(way) = &*slot {
            return Ok(way.clone());
        }
        let way = self.transfer.block_on(async {
            match Connection::open(&self.login, &self.transfer).await? {
                Greeting::Sftp(connection) => Ok(Way::Sftp(Arc::new(connection))),
                Greeting::NoSftp => Ok(Way::Shell),
                Greeting::Silence(error) => match self.shell().answers().await {
                    true => Ok(Way::Shell),
                    false => Err(error),
                },
            }
        })?;
        Ok(slot.insert(way).clone())
    }

    fn shell(&self) -> Shell<'_> {
        Shell {
            login: &self.login,
            transfer: &self.transfer,
            dir: &self.dir,
        }
    }

    /// Works on the connection, which is given up if that fails, or by commands.
    fn with<T>(
        &self,
        by_sftp: impl AsyncFnOnce(Session<'_>) -> Result<T>,
        by_shell: impl AsyncFnOnce(Shell<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_given(
            (),
            async |session, ()| by_sftp(session).await,
            async |shell, ()| by_shell(shell).await,
        )
    }

    /// As [`with`](Self::with), for what only one of the two ways can have.
    fn with_given<G, T>(
        &self,
        given: G,
        by_sftp: impl AsyncFnOnce(Session<'_>, G) -> Result<T>,
        by_shell: impl AsyncFnOnce(Shell<'_>, G) -> Result<T>,
    ) -> Result<T> {
        let connection = match self.way()? {
            Way::Sftp(connection) => connection,
            Way::Shell => return self.transfer.block_on(by_shell(self.shell(), given)),
        };
        let session = Session {
            connection: &connection,
            transfer: &self.transfer,
            dir: &self.dir,
        };
        let outcome = self.transfer.block_on(by_sftp(session, given));
        if outcome
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Unreachable)
        {
            let mut slot = self
                .way
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            if matches!(&*slot, Some(Way::Sftp(current)) if Arc::ptr_eq(current, &connection)) {
                *slot = None;
            }
        }
        outcome
    }

    /// A listing that also reads names the library cannot.
    fn list_by_hand(&self, error: Error) -> Result<Vec<Object>> {
        if error.kind() != ErrorKind::Unreachable || matches!(self.way(), Ok(Way::Shell)) {
            return Err(error);
        }
        // Either the line, which fails again, or a name that is not UTF-8.
        let read = listing::read(&self.login, &self.transfer, &self.dir);
        match self.transfer.block_on(read) {
            Ok(entries) => self.with(
                async |session| session.objects(entries).await,
                async |shell| shell.list().await,
            ),
            Err(_) => Err(error),
        }
    }
}

impl Storage for SftpStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.with(
            async |session| session.objects(session.entries().await?).await,
            async |shell| shell.list().await,
        )
        .or_else(|error| self.list_by_hand(error))
        .map_err(|e| e.within("cannot list the target"))
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        let path = self.path(name)?;
        self.with(
            async |session| match session.metadata(&path).await {
                Ok(meta) => Ok(object(name, &meta)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            async |shell| shell.stat(name, &path).await,
        )
        .map_err(|e| e.within(format!("cannot look at {name}")))
    }

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        let path = self.path(name)?;
        self.with(
            async |session| {
                let meta = session.metadata(&path).await?;
                let time = meta.modified().map(|time| time.into_raw());
                Ok(time.map(|seconds| Timestamp(i64::from(seconds))))
            },
            // Its commands are as few as they can be.
            async |_| Ok(None),
        )
        .map_err(|e| e.within(format!("cannot look at {name}")))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let path = self.path(name)?;
        self.with_given(
            to,
            async |session, to| session.get(&path, to).await,
            async |shell, to| shell.get(&path, to).await,
        )
        .map_err(|e| e.within(format!("cannot read {name}")))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        let path = self.path(name)?;
        self.with(
            async |session| {
                session.put(&path, from).await?;
                if !self.swept.swap(true, Ordering::Relaxed) {
                    session.sweep(&path).await;
                }
                Ok(())
            },
            async |shell| {
                shell.put(&path, from).await?;
                if !self.swept.swap(true, Ordering::Relaxed) {
                    shell.sweep().await;
                }
                Ok(())
            },
        )
        .map_err(|e| e.within(format!("cannot store {name}")))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        let path = self.path(name)?;
        self.with(
            async |session| session.claim(name, &path, from).await,
            async |shell| shell.claim(name, &path, from).await,
        )
        .map_err(|e| match e.kind() {
            ErrorKind::Locked => e,
            _ => e.within(format!("cannot store {name}")),
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        self.with(
            async |session| match session.remove(&path).await {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            async |shell| shell.delete(&path).await,
        )
        .map_err(|e| e.within(format!("cannot delete {name}")))
    }
}
