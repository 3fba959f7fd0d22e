//! What all transfers share: rate limits, the patience with a silent peer, and the ear for a request to stop.
//!
//! Limits are kept here, inside the services, because only they see the bytes of an upload go. Waiting for the
//! limit does not count as silence of the peer.

use super::growing::Growing;
use super::options::StorageOptions;
use super::runtime;
use crate::engine::context::Cancel;
use crate::engine::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a request to stop may go unheard.
const EAR: Duration = Duration::from_millis(100);

/// Longest time a service is left alone because it asks for that.
#[cfg(any(feature = "cloud", test))]
pub(super) const MAX_ASKED: Duration = Duration::from_secs(120);

/// Most bytes the system takes from us before the peer has them, and the slowest line on which they still go.
const IN_FLIGHT: u64 = 4 << 20;
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

/// Spaces bytes in time, for all threads together.
#[derive(Debug)]
struct Pacer {
    bytes_per_second: NonZeroU64,
    /// When all bytes let through so far will have been paid for.
    paid: Mutex<Option<Instant>>,
}

impl Pacer {
    fn new(bytes_per_second: NonZeroU64) -> Self {
        Self {
            bytes_per_second,
            paid: Mutex::new(None),
        }
    }

    /// Takes `bytes` from the budget; the caller waits this long before it moves them.
    fn reserve(&self, bytes: usize, now: Instant) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        let mut paid = self
            .paid
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let start = paid.map_or(now, |paid| paid.max(now));
        *paid = Some(start + cost);
        start.duration_since(now)
    }
}

/// The terms of every transfer of one opened target.
#[derive(Debug)]
pub(super) struct Transfer {
    upload: Option<Arc<Pacer>>,
    download: Option<Arc<Pacer>>,
    timeout: Duration,
    cancel: Cancel,
    /// Until when the service wants to be left alone.
    quiet_until: Mutex<Option<Instant>>,
}

impl Transfer {
    pub(super) fn new(options: &StorageOptions) -> Self {
        Self {
            upload: options.upload_rate.map(Pacer::new).map(Arc::new),
            download: options.download_rate.map(Pacer::new).map(Arc::new),
            timeout: options.timeout.max(Duration::from_millis(1)),
            cancel: options.cancel.clone(),
            quiet_until: Mutex::new(None),
        }
    }

    /// The same terms for another service: limits are kept together, and each is left alone when it asks for that itself.
    pub(super) fn of_another(&self) -> Self {
        Self {
            upload: self.upload.clone(),
            download: self.download.clone(),
            timeout: self.timeout,
            cancel: self.cancel.clone(),
            quiet_until: Mutex::new(None),
        }
    }

    /// How long a silent peer is waited for.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long an answer to an upload of so many bytes is waited for once the system has taken the last of them: the peer may
    /// not have them for a while.
    pub(super) fn patience_after(&self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs(bytes.min(IN_FLIGHT) / SLOWEST_BYTES_PER_SECOND)
    }

    /// The service wants to be left alone for so long: whoever tries again waits for that, but no longer than
    /// [`MAX_ASKED`].
    #[cfg(any(feature = "cloud", test))]
    pub(super) fn leave_alone(&self, wait: Duration) {
        let until = Instant::now() + wait.min(MAX_ASKED);
        let mut quiet_until = self.quiet_until();
        *quiet_until = quiet_until.max(Some(until));
    }

    /// How long the service still wants to be left alone.
    pub(super) fn still_asked(&self) -> Duration {
        let until = *self.quiet_until();
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    fn quiet_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// `Interrupted` once an urgent stop was requested.
    pub(super) fn check(&self) -> Result<()> {
        if self.cancel.is_urgent() {
            Err(Error::new(
                ErrorKind::Interrupted,
                "interrupted by a signal",
            ))
        } else {
            Ok(())
        }
    }

    /// Sleeps, unless an urgent stop is requested.
    pub(super) fn pause(&self, length: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            self.check()?;
            match length.checked_sub(start.elapsed()) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(left) => std::thread::sleep(left.min(EAR)),
            }
        }
    }

    /// The bytes of a file that may still grow, at the pace of uploads.
    #[cfg(feature = "cloud")]
    pub(super) fn upload_growing<'a>(&'a self, growing: &'a Growing) -> Result<Upload<'a>> {
        let mut upload = self.upload(growing.path())?;
        (upload.bytes, upload.left) = (0, 0);
        upload.growing = Some(growing);
        Ok(upload)
    }

    /// The bytes of a local file, at the pace of uploads.
    pub(super) fn upload(&self, path: &Path) -> Result<Upload<'_>> {
        let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
        let bytes = file
            .metadata()
            .map_err(|e| Error::io("read", path, e))?
            .len();
        Ok(Upload {
            transfer: self,
            file,
            path: path.to_path_buf(),
            bytes,
            left: bytes,
            growing: None,
        })
    }

    /// Waits until so many bytes may go that nobody here sees go: then a pace is kept between files, not within them.
    ///
    /// # Errors
    /// `Interrupted`.
    pub(super) fn spaced(&self, bytes: u64) -> Result<()> {
        match &self.upload {
            None => Ok(()),
            Some(pacer) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                self.pause(pacer.reserve(bytes, Instant::now()))
            }
        }
    }

    /// Whether uploads have a pace to keep.
    pub(super) fn paces_uploads(&self) -> bool {
        self.upload.is_some()
    }

    /// Whether downloads have a pace to keep.
    pub(super) fn paces_downloads(&self) -> bool {
        self.download.is_some()
    }

    /// A way to `to` at the pace of downloads.
    pub(super) fn download<'a>(&'a self, to: &'a mut dyn Write) -> Download<'a> {
        Download {
            transfer: self,
            to,
            bytes: 0,
        }
    }

    /// Runs `work` on the runtime until it is done, silent for too long, or no longer wanted.
    ///
    /// # Errors
    /// `Unreachable` after the timeout; `Interrupted` after an urgent request.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        runtime::get()?.block_on(work)
    }

    /// Waits for one answer of the peer.
    pub(super) async fn answer<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        self.answer_within(self.timeout, work).await
    }

    /// Waits until the system takes bytes for the peer. It takes none for a while on a slow line that is well, since a third of
    /// what it holds must have gone first.
    pub(super) async fn taken<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        self.answer_within(self.timeout * 3, work).await
    }

    /// Waits for one answer of the peer, with its own patience.
    pub(super) async fn answer_within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T> {
        let start = Instant::now();
        let mut work = pin!(work);
        loop {
            self.check()?;
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(Error::new(
                    ErrorKind::Unreachable,
                    format!("no answer within {limit:?}"),
                ));
            }
            if let Ok(done) = tokio::time::timeout(left.min(EAR), &mut work).await {
                return Ok(done);
            }
        }
    }
}

/// A local file on its way to a target. Exactly as many bytes as it had when opened, or when it was whole.
pub(super) struct Upload<'a> {
    transfer: &'a Transfer,
    file: File,
    path: PathBuf,
    bytes: u64,
    left: u64,
    /// Set until it is known to be whole.
    growing: Option<&'a Growing>,
}

impl Upload<'_> {
    /// Waits until there are more than `most` bytes, or no more will come; true if there are more.
    ///
    /// # Errors
    /// `Interrupted`, or if the file was given up.
    pub(super) fn exceeds(&mut self, most: u64) -> Result<bool> {
        if let Some(growing) = self.growing
            && self.left <= most
        {
            let sent = self.bytes - self.left;
            let check = || self.transfer.check();
            let (bytes, is_whole) = growing.wait(sent.saturating_add(most), &check)?;
            (self.bytes, self.left) = (bytes, bytes - sent);
            if is_whole {
                self.growing = None;
            }
        }
        Ok(self.left > most)
    }

    /// Length of the file in bytes.
    pub(super) fn len(&self) -> u64 {
        self.bytes
    }

    /// Leaves out the first `bytes` bytes of a file that grows no more. Called before anything is read.
    ///
    /// # Errors
    /// `Io` and the like if the file cannot be read.
    #[cfg(feature = "cloud")]
    pub(super) fn skip(&mut self, bytes: u64) -> Result<()> {
        use std::io::{Seek, SeekFrom};
        self.left = self.bytes.saturating_sub(bytes);
        let sought = self.file.seek(SeekFrom::Start(bytes));
        sought.map_err(|e| Error::io("read", &self.path, e))?;
        Ok(())
    }

    /// The next `most` bytes, fewer only at the end; empty after it.
    ///
    /// # Errors
    /// `Io` and the like if the file cannot be read, has become shorter or was given up; `Interrupted`.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<u8>> {
        // Enough for a whole piece, or all there will be.
        self.exceeds((most as u64).saturating_sub(1))?;
        let bytes = usize::try_from(self.left).map_or(most, |left| left.min(most));
        self.transfer.check()?;
        let mut piece = vec![0; bytes];
        self.file
            .read_exact(&mut piece)
            .map_err(|e| Error::io("read", &self.path, e))?;
        self.left -= bytes as u64;
        if let Some(pacer) = &self.transfer.upload {
            self.transfer.pause(pacer.reserve(bytes, Instant::now()))?;
        }
        Ok(piece)
    }
}

/// The receiving end of a download.
pub(super) struct Download<'a> {
    transfer: &'a Transfer,
    to: &'a mut dyn Write,
    bytes: u64,
}

impl Download<'_> {
    /// Passes on a piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.transfer.check()?;
        if let Some(pacer) = &self.transfer.download {
            self.transfer
                .pause(pacer.reserve(piece.len(), Instant::now()))?;
        }
        self.to.write_all(piece)?;
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Bytes passed on so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spaced_by_the_rate() {
        let pacer = Pacer::new(NonZeroU64::new(1000).expect("not zero"));
        let start = Instant::now();
        assert_eq!(pacer.reserve(500, start), Duration::ZERO);
        assert_eq!(pacer.reserve(1000, start), Duration::from_millis(500));
        assert_eq!(pacer.reserve(1, start), Duration::from_millis(1500));
        // Time that passed unused is no credit for a burst.
        let later = start + Duration::from_secs(60);
        assert_eq!(pacer.reserve(2000, later), Duration::ZERO);
        assert_eq!(pacer.reserve(1, later), Duration::from_secs(2));
    }

    #[test]
    fn an_urgent_stop_ends_a_pause() {
        let options = StorageOptions::default();
        let transfer = Transfer::new(&options);
        options.cancel.request();
        transfer
            .pause(Duration::from_millis(1))
            .expect("a first request lets work finish");
        options.cancel.request();
        let error = transfer
            .pause(Duration::from_secs(3600))
            .expect_err("urgent");
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }

    #[test]
    fn a_service_is_left_alone_for_two_minutes_at_most() {
        let transfer = Transfer::new(&StorageOptions::default());
        assert_eq!(transfer.still_asked(), Duration::ZERO);
        transfer.leave_alone(Duration::from_secs(100));
        // Of two answers the longer one counts.
        transfer.leave_alone(Duration::from_secs(1));
        let asked = transfer.still_asked().as_secs_f64();
        assert!((90.0..=100.0).contains(&asked), "{asked}");
        transfer.leave_alone(Duration::from_secs(7 * 3600));
        let asked = transfer.still_asked().as_secs_f64();
        assert!((110.0..=120.0).contains(&asked), "{asked}");
    }

    #[test]
    fn another_service_shares_the_limits_and_not_the_wish_to_be_left_alone() {
        let options = StorageOptions {
            upload_rate: NonZeroU64::new(1000),
            ..StorageOptions::default()
        };
        let transfer = Transfer::new(&options);
        let other = transfer.of_another();
        transfer.leave_alone(Duration::from_secs(100));
        assert_eq!(other.still_asked(), Duration::ZERO);
        other.leave_alone(Duration::from_secs(10));
        assert!(transfer.still_asked() > Duration::from_secs(50));
        let now = Instant::now();
        let reserve = |of: &Transfer| of.upload.as_ref().map(|pacer| pacer.reserve(500, now));
        assert_eq!(reserve(&transfer), Some(Duration::ZERO));
        assert_eq!(reserve(&other), Some(Duration::from_millis(500)));
    }

    #[test]
    fn silence_ends_in_unreachable() {
        let options = StorageOptions {
            timeout: Duration::from_millis(30),
            ..StorageOptions::default()
        };
        let transfer = Transfer::new(&options);
        let error = transfer
            .block_on(transfer.answer(std::future::pending::<()>()))
            .expect_err("silent");
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
}
