//! One connection and the requests behind each operation.
//!
//! The working directory is the target, so names are sent as they are. A connection on which something was left half
//! done is not used again.

use super::super::pool::Connection;
use super::listing::{self, Kind, Listed};
use super::login::{Ftp, Login};
use super::trouble::{answer, explain};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::Transfer;
use crate::engine::storage::{Object, names};
use crate::engine::time::Timestamp;
use jiff::civil::DateTime;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use suppaftp::tokio::{AsyncRustlsStream, TransferStream};
use suppaftp::{FtpError, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes moved at a time.
const PIECE: usize = 256 << 10;

/// Age in hours at which a temp file counts as dead. ftp has no locks, so it is a long one.
const DEAD_HOURS: i64 = 24;

/// Slowest disk of a server, for the wait until a file is on it.
const SYNC_BYTES_PER_SECOND: u64 = 1 << 20;

/// Idle time after which a connection is tried before it is used.
const DOUBTFUL: Duration = Duration::from_secs(15);

type Data = TransferStream<AsyncRustlsStream>;

/// What comes of a data connection.
enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing more, and whether the server said so in TLS. In the open nobody can.
    End { is_told: bool },
}

/// A connection whose working directory is the target.
pub(super) struct Session {
    ftp: Ftp,
    host: String,
    dir: String,
    mlsd: bool,
    /// Whether the working directory is the target.
    inside: bool,
    /// Whether a transfer has begun and not ended, or an answer may be on its way still.
    busy: bool,
    used: Instant,
    /// Whether this server has ever told the end of what it sent, in TLS.
    tells_ends: Arc<AtomicBool>,
}

impl Connection for Session {
    fn is_sound(&mut self, error: Option<&Error>) -> bool {
        self.used = Instant::now();
        let lost = [ErrorKind::Unreachable, ErrorKind::Interrupted];
        !self.busy && error.is_none_or(|error| !lost.contains(&error.kind()))
    }

    async fn is_alive(&mut self, transfer: &Transfer) -> bool {
        self.used.elapsed() < DOUBTFUL
            || matches!(transfer.answer(self.ftp.noop()).await, Ok(Ok(())))
    }
}

impl Session {
    /// Logs in.
    pub(super) async fn open(login: &Login, dir: &str, transfer: &Transfer) -> Result<Self> {
        let (ftp, mlsd) = login.connect(transfer).await?;
        Ok(Self {
            ftp,
            host: login.host().to_string(),
            dir: dir.to_string(),
            mlsd,
            inside: false,
            busy: false,
            used: Instant::now(),
            tells_ends: login.tells_ends(),
        })
    }

    /// Goes to the target; `false` if it does not exist.
    async fn enter(&mut self, transfer: &Transfer) -> Result<bool> {
        if self.inside || self.dir == "." {
            return Ok(true);
        }
        let moved = self.ftp.cwd(&self.dir);
        match answer(transfer, &self.host, moved).await {
            Ok(()) => self.inside = true,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(self.inside)
    }

    /// Goes to the target, which is made if it is missing, with what is above it.
    async fn enter_made(&mut self, transfer: &Transfer) -> Result<()> {
        if self.enter(transfer).await? {
            return Ok(());
        }
        let ends = self.dir.match_indices('/').map(|(at, _)| at);
        let mut refusal = None;
        for end in ends.chain([self.dir.len()]) {
            let part = self.dir.get(..end).unwrap_or_default();
            if part.is_empty() || part.ends_with('/') {
                continue;
            }
            let made = answer(transfer, &self.host, self.ftp.mkdir(part)).await;
            // What is there already is refused as well; what counts is whether one can go there in the end.
            match made {
                Err(error) if error.kind().is_retryable() => return Err(error),
                made => refusal = made.err(),
            }
        }
        match (self.enter(transfer).await?, refusal) {
            (true, _) => Ok(()),
            (false, Some(error)) => Err(error.within(format!("cannot create {}", self.dir))),
            (false, None) => Err(Error::new(
                ErrorKind::Io,
                format!("{} is not there after it was created", self.dir),
            )),
        }
    }

    /// Opens a data connection, by the old command for it where a server lacks the new one.
    async fn data(
        &mut self,
        transfer: &Transfer,
        open: impl AsyncFn(&mut Ftp) -> Result<Data, FtpError>,
    ) -> Result<Data> {
        let opened = match transfer.answer(open(&mut self.ftp)).await? {
            Err(FtpError::UnexpectedResponse(response)) if is_unknown(&response.body) => {
                self.ftp.set_mode(Mode::Passive);
                transfer.answer(open(&mut self.ftp)).await?
            }
            opened => opened,
        };
        let data = opened.map_err(|e| explain(e, &self.host))?;
        self.busy = true;
        Ok(data)
    }

    /// Waits for the server's word that it has got, or sent, everything.
    async fn finish(&mut self, data: Data, bytes: u64, transfer: &Transfer) -> Result<()> {
        let limit =
            transfer.patience_after(bytes) + Duration::from_secs(bytes / SYNC_BYTES_PER_SECOND);
        let done = transfer.answer_within(limit, data.finish()).await?;
        self.busy = matches!(done, Err(FtpError::ConnectionError(_)));
        done.map_err(|e| explain(e, &self.host))
    }

    pub(super) async fn entries(&mut self, transfer: &Transfer) -> Result<Vec<Listed>> {
        if !self.enter(transfer).await? {
            return Ok(Vec::new());
        }
        let (entries, is_told) = self.listing(transfer).await?;
        if is_told {
            return Ok(entries);
        }
        // A line that is cut between two records of TLS leaves a list that looks whole. Some servers never tell the end; who
        // does otherwise has not sent it.
        let broken_off = || Error::new(ErrorKind::Unreachable, "the list of files broke off");
        if self.is_known_to_tell(&entries, transfer).await? {
            return Err(broken_off());
        }
        let names = |entries: &[Listed]| -> Vec<String> {
            let names = entries.iter().map(|entry| entry.name.clone());
            names.collect()
        };
        match self.listing(transfer).await? {
            (again, is_told) if is_told || names(&again) == names(&entries) => Ok(again),
            _ => Err(broken_off()),
        }
    }

    /// Whether this server tells the ends of what it sends. If it has not done so yet it is asked for something so short
    /// that a line which breaks off after so many bytes, or after so long, does not do so here.
    async fn is_known_to_tell(&mut self, listed: &[Listed], transfer: &Transfer) -> Result<bool> {
        if !self.tells_ends.load(Ordering::Relaxed) {
            let file = listed.iter().find(|entry| entry.kind == Kind::File);
            let short = format!("LIST {}", file.map_or("/", |entry| &entry.name));
            match self.text(&short, transfer).await {
                Err(error) if self.busy || error.kind().is_retryable() => return Err(error),
                // Whoever does not list one file says nothing by that.
                _ => {}
            }
        }
        Ok(self.tells_ends.load(Ordering::Relaxed))
    }

    /// The list of files, and whether its end was told as TLS wants it.
    async fn listing(&mut self, transfer: &Transfer) -> Result<(Vec<Listed>, bool)> {
        let (command, parse): (_, fn(&str) -> _) = match self.mlsd {
            true => ("MLSD", listing::mlsd),
            false => ("LIST", listing::list),
        };
        let (text, is_told) = self.text(command, transfer).await?;
        // A data connection that is cut looks like one that has ended: what is not there must not look as if it were not.
        if text.last().is_some_and(|last| *last != b'\n') {
            return Err(Error::new(
                ErrorKind::Unreachable,
                "the list of files ended in the middle of a line",
            ));
        }
        let text = String::from_utf8_lossy(&text);
        Ok((text.lines().filter_map(parse).collect(), is_told))
    }

    /// What a command answers on a data connection, and whether its end was told as TLS wants it.
    async fn text(&mut self, command: &str, transfer: &Transfer) -> Result<(Vec<u8>, bool)> {
        let opening = [suppaftp::Status::AboutToSend, suppaftp::Status::AlreadyOpen];
        let mut data = self
            .data(transfer, async |ftp: &mut Ftp| {
                let opened = ftp.custom_data_command(command, &opening).await;
                opened.map(|(_, data)| data)
            })
            .await?;
        let mut text = Vec::new();
        let mut piece = vec![0; PIECE];
        let is_told = loop {
            match self.read(&mut data, &mut piece, transfer).await? {
                Read::Bytes(bytes) => {
                    text.extend_from_slice(piece.get(..bytes).unwrap_or_default())
                }
                Read::End { is_told } => break is_told,
            }
        };
        self.finish(data, 0, transfer).await?;
        Ok((text, is_told))
    }

    /// The next bytes of a data connection, or its end.
    async fn read(&self, data: &mut Data, piece: &mut [u8], transfer: &Transfer) -> Result<Read> {
        match transfer.answer(data.read(piece)).await? {
            Ok(bytes @ 1..) => Ok(Read::Bytes(bytes)),
            Ok(_) => {
                self.tells_ends.store(true, Ordering::Relaxed);
                Ok(Read::End { is_told: true })
            }
            // Many servers end a data connection without saying so in TLS; their last word follows.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Ok(Read::End { is_told: false })
            }
            Err(error) => Err(explain(FtpError::ConnectionError(error), &self.host)),
        }
    }

    pub(super) async fn list(&mut self, transfer: &Transfer) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for entry in self.entries(transfer).await? {
            if names::is_temp(&entry.name) || entry.kind == Kind::Other {
                continue;
            }
            // Of a link, what counts is the file behind it.
            let size = match (entry.kind, entry.size) {
                (Kind::File, Some(size)) => Some(size),
                _ => self.size(&entry.name, transfer).await?,
            };
            objects.extend(size.map(|size| Object {
                name: entry.name,
                size,
            }));
        }
        Ok(objects)
    }

    /// The length of a file, or none if there is no such file.
    pub(super) async fn size(&mut self, name: &str, transfer: &Transfer) -> Result<Option<u64>> {
        if !self.enter(transfer).await? {
            return Ok(None);
        }
        match answer(transfer, &self.host, self.ftp.size(name)).await {
            Ok(bytes) => Ok(Some(bytes as u64)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let mut entries = self.entries(transfer).await?.into_iter();
                let entry = entries.find(|e| e.name == name && e.kind == Kind::File);
                Ok(entry.and_then(|entry| entry.size))
            }
            Err(error) => Err(error),
        }
    }

    /// When a file was last written; nothing where the server does not say.
    pub(super) async fn modified(
        &mut self,
        name: &str,
        transfer: &Transfer,
    ) -> Result<Option<Timestamp>> {
        if !self.enter(transfer).await? {
            return Ok(None);
        }
        match answer(transfer, &self.host, self.ftp.mdtm(name)).await {
            // Source: RFC 3659, section 2.3: in UTC.
            Ok(time) => Ok(Some(Timestamp(time.and_utc().timestamp()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn get(
        &mut self,
        name: &str,
        to: &mut dyn Write,
        transfer: &Transfer,
    ) -> Result<u64> {
        let Some(bytes) = self.size(name, transfer).await? else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{name} is not at the target"),
            ));
        };
        let mut download = transfer.download(to);
        let mut data = self
            .data(transfer, async |ftp: &mut Ftp| {
                ftp.retr_as_stream(name).await
            })
            .await?;
        let mut piece = vec![0; PIECE];
        // The length tells whether its end is that of the file.
        while let Read::Bytes(got) = self.read(&mut data, &mut piece, transfer).await? {
            download.push(piece.get(..got).unwrap_or_default())?;
        }
        self.finish(data, 0, transfer).await?;
        if download.bytes() != bytes {
            return Err(Error::new(
                ErrorKind::Unreachable,
                format!("{name} ended after {} of {bytes} bytes", download.bytes()),
            ));
        }
        Ok(bytes)
    }

    /// Uploads a file under a temp name, and renames it.
    pub(super) async fn put(
        &mut self,
        temp: &str,
        name: &str,
        from: &Path,
        transfer: &Transfer,
    ) -> Result<()> {
        self.enter_made(transfer).await?;
        let mut upload = transfer.upload(from)?;
        let bytes = upload.len();
        let mut data = self
            .data(transfer, async |ftp: &mut Ftp| {
                ftp.put_with_stream(temp).await
            })
            .await?;
        loop {
            let piece = upload.next(PIECE)?;
            if piece.is_empty() {
                break;
            }
            if let Err(error) = transfer.taken(data.write_all(&piece)).await? {
                // The server hangs up and says why on the other line.
                let last_words = transfer.answer(self.ftp.abort(data)).await?;
                return Err(match last_words {
                    Err(said @ FtpError::UnexpectedResponse(_)) => explain(said, &self.host),
                    _ => explain(FtpError::ConnectionError(error), &self.host),
                });
            }
        }
        self.finish(data, bytes, transfer).await?;
        // To the server, a data connection that was cut is one that has ended.
        match self.size(temp, transfer).await? {
            Some(arrived) if arrived != bytes => Err(Error::new(
                ErrorKind::Unreachable,
                format!("only {arrived} of {bytes} bytes arrived"),
            )),
            _ => self.rename(temp, name, transfer).await,
        }
    }

    async fn rename(&mut self, temp: &str, name: &str, transfer: &Transfer) -> Result<()> {
        let renamed = answer(transfer, &self.host, self.ftp.rename(temp, name)).await;
        match renamed {
            Err(error)
                if !error.kind().is_retryable() && error.kind() != ErrorKind::Interrupted =>
            {
                // Some servers do not replace.
                if self.size(name, transfer).await?.is_none() {
                    return Err(error);
                }
                self.remove(name, transfer).await?;
                answer(transfer, &self.host, self.ftp.rename(temp, name)).await
            }
            renamed => renamed,
        }
    }

    pub(super) async fn remove(&mut self, name: &str, transfer: &Transfer) -> Result<()> {
        if !self.enter(transfer).await? {
            return Ok(());
        }
        match answer(transfer, &self.host, self.ftp.rm(name)).await {
            // The same code says that it may not be removed.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.size(name, transfer).await? {
                    None => Ok(()),
                    Some(_) => Err(Error::new(ErrorKind::Denied, error.to_string())),
                }
            }
            removed => removed,
        }
    }

    /// Removes temp files of dead runs; `own` is a file just written, for the server's clock.
    pub(super) async fn sweep(&mut self, own: &str, transfer: &Transfer) {
        let Ok(entries) = self.entries(transfer).await else {
            // Nobody hears of it, so nobody else would give this connection up.
            self.busy = true;
            return;
        };
        let time = |entry: &Listed| {
            let text = entry.modified.as_deref()?;
            DateTime::strptime("%Y%m%d%H%M%S", text).ok()
        };
        let Some(now) = entries.iter().find(|e| e.name == own).and_then(time) else {
            return;
        };
        for entry in entries.iter().filter(|e| names::is_temp(&e.name)) {
            let dead = time(entry).is_some_and(|then| {
                let age = now.duration_since(then);
                age.as_hours() >= DEAD_HOURS
            });
            if dead && self.remove(&entry.name, transfer).await.is_err() {
                self.busy = true;
                return;
            }
        }
    }
}

/// Whether a server says that it does not know a command.
fn is_unknown(answer: &[u8]) -> bool {
    [b"500", b"501", b"502", b"504", b"522"]
        .iter()
        .any(|code| answer.starts_with(*code))
}
