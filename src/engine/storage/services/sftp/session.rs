//! One call's use of a connection: the requests behind each operation.

use super::connection::Connection;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::{Object, names, taken};
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use openssh_sftp_client::Error as SftpError;
use openssh_sftp_client::file::File;
use openssh_sftp_client::fs::DirEntry;
use openssh_sftp_client::metadata::{MetaData, Permissions};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{SeekFrom, Write};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncSeekExt;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes per request.
const PIECE: usize = 64 << 10;

/// Requests under way per transfer.
const WINDOW: usize = 64;

/// Age in seconds at which a temp file counts as dead. sftp has no locks, so it is a long one.
const DEAD_SECONDS: u32 = 24 * 3600;

/// Slowest disk of a server, for the wait until a file is on it.
pub(super) const SYNC_BYTES_PER_SECOND: u64 = 1 << 20;

/// 0600.
fn file_mode() -> Permissions {
    let mut mode = Permissions::new();
    mode.set_read_by_owner(true).set_write_by_owner(true);
    mode
}

/// 0700.
fn dir_mode() -> Permissions {
    let mut mode = file_mode();
    mode.set_execute_by_owner(true);
    mode
}

/// A file's name and length, if it is one.
pub(super) fn object(name: &str, meta: &MetaData) -> Option<Object> {
    let regular = meta.file_type().is_none_or(|kind| kind.is_file());
    meta.len().filter(|_| regular).map(|size| Object {
        name: name.to_string(),
        size,
    })
}

/// A connection, and where on it one call works.
pub(super) struct Session<'a> {
    pub(super) connection: &'a Connection,
    pub(super) transfer: &'a Transfer,
    pub(super) dir: &'a Path,
}

impl Session<'_> {
    /// Waits for one answer and translates its error.
    async fn answer<T>(&self, work: impl Future<Output = Result<T, SftpError>>) -> Result<T> {
        self.transfer
            .answer(work)
            .await?
            .map_err(|error| self.connection.explain(error))
    }

    pub(super) async fn metadata(&self, path: &Path) -> Result<MetaData> {
        let mut fs = self.connection.sftp().fs();
        self.answer(fs.metadata(path)).await
    }

    pub(super) async fn remove(&self, path: &Path) -> Result<()> {
        let mut fs = self.connection.sftp().fs();
        self.answer(fs.remove_file(path)).await
    }

    pub(super) async fn entries(&self) -> Result<Vec<Listed>> {
        let mut fs = self.connection.sftp().fs();
        let dir = match self.answer(fs.open_dir(self.dir)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            dir => dir?,
        };
        let mut stream = pin!(dir.read_dir());
        let mut entries = Vec::new();
        loop {
            let next = poll_fn(|cx| stream.as_mut().poll_next(cx));
            match self.answer(async { next.await.transpose() }).await? {
                Some(entry) => entries.extend(Listed::of(&entry)),
                None => return Ok(entries),
            }
        }
    }

    /// The files among the entries. Looks behind links: what counts is the file there.
    pub(super) async fn objects(&self, entries: Vec<Listed>) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for entry in entries
            .into_iter()
            .filter(|entry| !names::is_temp(&entry.name))
        {
            match (entry.regular, entry.size) {
                (Some(true), Some(size)) => objects.push(Object {
                    name: entry.name,
                    size,
                }),
                (Some(false), _) => {}
                _ if entry.name == "." || entry.name == ".." => {}
                _ => match self.metadata(&self.dir.join(&entry.name)).await {
                    Ok(meta) => objects.extend(object(&entry.name, &meta)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(objects)
    }

    pub(super) async fn get(&self, path: &Path, to: &mut dyn Write) -> Result<u64> {
        let mut file = self.answer(self.connection.sftp().open(path)).await?;
        let size = self.answer(file.metadata()).await?.len();
        let size = size
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "the server tells no file sizes"))?;
        let mut download = self.transfer.download(to);
        let mut window: VecDeque<Reading> = VecDeque::with_capacity(WINDOW);
        let mut asked = 0;
        loop {
            while asked < size && window.len() < WINDOW {
                let bytes = usize::try_from(size - asked).map_or(PIECE, |left| left.min(PIECE));
                window.push_back(Reading(tokio::spawn(read_at(file.clone(), asked, bytes))));
                asked += bytes as u64;
            }
            let Some(mut first) = window.pop_front() else {
                break;
            };
            let others = || window.iter().filter(|read| read.0.is_finished()).count();
            let mut before = others();
            let piece = loop {
                match self.transfer.answer(&mut first.0).await {
                    // Answers may come in any order, so on a slow line the first one comes after all others.
                    Err(silence) if silence.kind() == ErrorKind::Unreachable => {
                        let now = others();
                        if now == before {
                            return Err(silence);
                        }
                        before = now;
                    }
                    ended => break ended?,
                }
            };
            let piece = match piece {
                Ok(piece) => piece.map_err(|error| self.connection.explain(error))?,
                Err(ended) => {
                    return Err(
                        Error::new(ErrorKind::Internal, "a read ended early").with_source(ended)
                    );
                }
            };
            download.push(&piece)?;
        }
        if download.bytes() < size {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "the file became shorter while it was read",
            ));
        }
        Ok(download.bytes())
    }

    pub(super) async fn put(&self, path: &Path, from: &Path) -> Result<()> {
        self.put_and(from, async |temp: &Path| self.rename(temp, path).await)
            .await
    }

    /// As [`put`](Self::put), but what is there stays.
    pub(super) async fn claim(&self, name: &str, path: &Path, from: &Path) -> Result<()> {
        self.put_and(from, async |temp: &Path| {
            self.rename_to_free(name, temp, path).await
        })
        .await
    }

    async fn put_and(&self, from: &Path, name: impl AsyncFn(&Path) -> Result<()>) -> Result<()> {
        let temp = self.dir.join(names::temp());
        let outcome = match self.fill(&temp, from).await {
            Ok(()) => name(&temp).await,
            Err(error) => Err(error),
        };
        let Err(error) = outcome else { return Ok(()) };
        if matches!(
            error.kind(),
            ErrorKind::Unreachable | ErrorKind::Interrupted
        ) {
            return Err(error);
        }
        // The protocol has no word for a full disk. ORDER: asked before the temp file makes room again.
        let full = error.kind() == ErrorKind::Io && self.is_full().await;
        let _ = self.remove(&temp).await;
        if full {
            return Err(
                Error::new(ErrorKind::Full, "no space left at the server").with_source(error)
            );
        }
        Err(error)
    }

    /// Writes a new file and waits until it is on the server's disk.
    async fn fill(&self, temp: &Path, from: &Path) -> Result<()> {
        let mut upload = self.transfer.upload(from)?;
        let bytes = upload.len();
        let mut file = self.create(temp).await?;
        // Not every server lets a mode be set; the directory protects the file as well.
        let _ = self.answer(file.set_permissions(file_mode())).await;
        let mut window = JoinSet::new();
        let mut position = 0;
        loop {
            let piece = upload.next(PIECE)?;
            if piece.is_empty() {
                break;
            }
            let start = position;
            position += piece.len() as u64;
            window.spawn(write_at(file.clone(), start, Bytes::from(piece)));
            if window.len() == WINDOW {
                self.written(&mut window).await?;
            }
        }
        while !window.is_empty() {
            self.written(&mut window).await?;
        }
        if self.connection.sftp().support_fsync() {
            let limit =
                self.transfer.timeout() + Duration::from_secs(bytes / SYNC_BYTES_PER_SECOND);
            let synced = self.transfer.answer_within(limit, file.sync_all()).await?;
            synced.map_err(|error| self.connection.explain(error))?;
        }
        self.answer(file.close()).await
    }

    /// Waits for one of the writes under way.
    async fn written(&self, window: &mut JoinSet<Result<(), SftpError>>) -> Result<()> {
        match self.transfer.answer(window.join_next()).await? {
            None => Ok(()),
            Some(Ok(written)) => written.map_err(|error| self.connection.explain(error)),
            Some(Err(ended)) => {
                Err(Error::new(ErrorKind::Internal, "a write ended early").with_source(ended))
            }
        }
    }

    /// Creates a file that must not exist yet, and the directory if that is missing.
    async fn create(&self, path: &Path) -> Result<File> {
        let sftp = self.connection.sftp();
        let open = || async { sftp.options().write(true).create_new(true).open(path).await };
        match self.answer(open()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.create_dir().await?;
                self.answer(open()).await
            }
            opened => opened,
        }
    }

    /// Makes the directory and those above it, for the owner alone.
    async fn create_dir(&self) -> Result<()> {
        let mut missing = Vec::new();
        for dir in self
            .dir
            .ancestors()
            .filter(|dir| !dir.as_os_str().is_empty())
        {
            match self.metadata(dir).await {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::NotFound => missing.push(dir),
                Err(error) => return Err(error),
            }
        }
        let mut fs = self.connection.sftp().fs();
        for dir in missing.into_iter().rev() {
            let made = self
                .answer(fs.dir_builder().permissions(dir_mode()).create(dir))
                .await;
            if let Err(error) = made {
                // Another thread or host may have been faster.
                if !self
                    .metadata(dir)
                    .await
                    .is_ok_and(|meta| meta.file_type().is_some_and(|kind| kind.is_dir()))
                {
                    return Err(error.within(format!("cannot create {}", dir.display())));
                }
            }
        }
        Ok(())
    }

    async fn rename(&self, temp: &Path, path: &Path) -> Result<()> {
        let sftp = self.connection.sftp();
        let renamed = self.answer(sftp.fs().rename(temp, path)).await;
        match renamed {
            // Without the extension a rename never replaces.
            Err(error) if error.kind() == ErrorKind::Io && !sftp.support_posix_rename() => {
                self.remove(path).await?;
                self.answer(sftp.fs().rename(temp, path)).await
            }
            renamed => renamed,
        }
    }

    /// Gives a file a name that nobody has; of two at the same time one succeeds, where server and file system can tell.
    async fn rename_to_free(&self, name: &str, temp: &Path, path: &Path) -> Result<()> {
        let sftp = self.connection.sftp();
        let free = match self.metadata(path).await {
            Ok(_) => return Err(taken(name)),
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            Err(error) => return Err(error),
        };
        // A link never replaces; neither does a rename without the extension.
        let named = if sftp.support_hardlink() {
            let linked = self.answer(sftp.fs().hard_link(temp, path)).await;
            if linked.is_ok() {
                let _ = self.remove(temp).await;
            }
            linked
        } else if !sftp.support_posix_rename() {
            self.answer(sftp.fs().rename(temp, path)).await
        } else {
            Err(free)
        };
        match named {
            Err(error)
                if !error.kind().is_retryable() && error.kind() != ErrorKind::Interrupted =>
            {
                match self.metadata(path).await {
                    Ok(_) => Err(taken(name)),
                    // A file system without links.
                    Err(_) => self.rename(temp, path).await,
                }
            }
            named => named,
        }
    }

    /// Whether the server says that its disk is full.
    async fn is_full(&self) -> bool {
        if !self.connection.sftp().support_statvfs() {
            return false;
        }
        let mut fs = self.connection.sftp().fs();
        self.answer(fs.statvfs(self.dir)).await.is_ok_and(|disk| {
            let no_files = disk.files > 0 && disk.favail == 0;
            no_files || disk.bavail.saturating_mul(disk.frsize.max(1)) < (WINDOW * PIECE) as u64
        })
    }

    /// Removes temp files of dead runs; `own` is a file just written, for the server's clock.
    pub(super) async fn sweep(&self, own: &Path) {
        let now = self
            .metadata(own)
            .await
            .ok()
            .and_then(|meta| meta.modified());
        let (Some(now), Ok(entries)) = (now, self.entries().await) else {
            return;
        };
        for entry in entries {
            let age = entry
                .modified
                .and_then(|then| now.into_raw().checked_sub(then));
            let old = age.is_some_and(|age| age > DEAD_SECONDS);
            if old && entry.regular == Some(true) && names::is_temp(&entry.name) {
                let _ = self.remove(&self.dir.join(&entry.name)).await;
            }
        }
    }
}

/// An entry of the directory, as a listing tells of it.
pub(super) struct Listed {
    pub(super) name: String,
    /// Whether it is a regular file; unknown for a link, and where the server does not say.
    pub(super) regular: Option<bool>,
    pub(super) size: Option<u64>,
    /// Seconds since 1970, by the server's clock.
    pub(super) modified: Option<u32>,
}

impl Listed {
    fn of(entry: &DirEntry) -> Option<Self> {
        let meta = entry.metadata();
        Some(Self {
            name: entry.filename().to_str()?.to_string(),
            regular: meta
                .file_type()
                .filter(|kind| !kind.is_symlink())
                .map(|kind| kind.is_file()),
            size: meta.len(),
            modified: meta.modified().map(|time| time.into_raw()),
        })
    }
}

/// A read under way; given up when dropped.
struct Reading(JoinHandle<Result<BytesMut, SftpError>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads `bytes` from `start`; fewer only if the file ends there.
async fn read_at(mut file: File, start: u64, bytes: usize) -> Result<BytesMut, SftpError> {
    let mut whole = BytesMut::with_capacity(bytes);
    while whole.len() < bytes {
        // The client moves on by what it asked for, not by what it got.
        file.seek(SeekFrom::Start(start + whole.len() as u64))
            .await?;
        let left = u32::try_from(bytes - whole.len()).unwrap_or(u32::MAX);
        match file
            .read(left, BytesMut::with_capacity(left as usize))
            .await?
        {
            Some(piece) if !piece.is_empty() => whole.extend_from_slice(&piece),
            _ => break,
        }
    }
    Ok(whole)
}

async fn write_at(mut file: File, start: u64, piece: Bytes) -> Result<(), SftpError> {
    file.seek(SeekFrom::Start(start)).await?;
    file.write_all_zero_copy(&mut [piece]).await
}
