//! Believes an upload only after looking.
//!
//! Services have stored half a file and said so to nobody: full targets, dropped connections, caching gateways. After
//! each put the object must show the size that was sent.

use super::growing::Growing;
use super::options::StorageOptions;
use super::transfer::Transfer;
use super::{LocalObject, Location, Object, Rest, Storage, ThawOrder};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::time::Timestamp;
use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Compares sizes after each put.
pub(super) struct Checked<S> {
    inner: S,
    attempts: u32,
    backoff: Duration,
    transfer: Arc<Transfer>,
}

impl<S: Storage> Checked<S> {
    pub(super) fn new(inner: S, options: &StorageOptions, transfer: Arc<Transfer>) -> Self {
        Self {
            inner,
            attempts: options.attempts.clamp(1, 3),
            backoff: options.backoff,
            transfer,
        }
    }

    /// Has `put` upload `from` as `name` until it shows there with its size.
    fn checked(&self, name: &str, from: &Path, put: impl Fn() -> Result<()>) -> Result<()> {
        let mut last = String::new();
        for attempt in 1..=self.attempts {
            put()?;
            // Only now: it may have grown until then.
            let bytes = std::fs::metadata(from)
                .map_err(|e| Error::io("read", from, e))?
                .len();
            let Some(_) = self.fault(name, bytes)? else {
                return Ok(());
            };
            // Some services show an object a moment late.
            self.transfer.pause(self.backoff * attempt)?;
            let Some(fault) = self.fault(name, bytes)? else {
                return Ok(());
            };
            last = fault;
        }
        // Nothing that is known to be torn may keep a good name; the error below tells of it in any case.
        let _ = self.inner.delete(name);
        Err(Error::new(ErrorKind::Corrupt, last)
            .with_hint("look at the free space and the quota of the target"))
    }

    /// What is wrong with the stored object, if anything.
    fn fault(&self, name: &str, bytes: u64) -> Result<Option<String>> {
        Ok(match self.inner.stat(name)? {
            Some(object) if object.size == bytes => None,
            Some(object) => Some(format!(
                "{name} has {} bytes at the target instead of {bytes}",
                object.size
            )),
            None => Some(format!("{name} is not at the target after its upload")),
        })
    }
}

impl<S: Storage> Storage for Checked<S> {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.inner.list()
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.inner.stat(name)
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        self.inner.get(name, to)
    }

    fn open_local(&self, name: &str) -> Result<Option<LocalObject>> {
        self.inner.open_local(name)
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.checked(name, from, || self.inner.put(name, from))
    }

    fn put_settled(&self, name: &str, from: &Path) -> Result<()> {
        self.checked(name, from, || self.inner.put_settled(name, from))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        // What it put itself it may put again.
        let is_first = Cell::new(true);
        self.checked(name, from, || {
            if is_first.replace(false) {
                self.inner.claim(name, from)
            } else {
                self.inner.put_settled(name, from)
            }
        })
    }

    fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
        let is_first = Cell::new(true);
        self.checked(name, from.path(), || {
            if is_first.replace(false) {
                self.inner.put_growing(name, from, claimed)
            } else {
                self.inner.put_settled(name, from.path())
            }
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn rest(&self, name: &str) -> Result<Rest> {
        self.inner.rest(name)
    }

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        self.inner.modified(name)
    }

    fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        self.inner.thaw(name, order)
    }

    fn distrust(&self, name: &str) {
        self.inner.distrust(name);
    }

    fn notices(&self) -> Vec<String> {
        self.inner.notices()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fault, FaultyStorage, MemoryStorage, Operation, RecordingStorage};

    fn checked<S: Storage>(inner: S) -> Checked<S> {
        let options = StorageOptions {
            backoff: Duration::from_millis(1),
            ..StorageOptions::default()
        };
        let transfer = Arc::new(Transfer::new(&options));
        Checked::new(inner, &options, transfer)
    }

    fn file(bytes: usize) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("temp file");
        file.write_all(&vec![7; bytes]).expect("written");
        file
    }

    #[test]
    fn a_truncated_upload_is_sent_again() {
        for keep in [0, 1, 500, 999] {
            let faulty = FaultyStorage::new(MemoryStorage::new()).fail(
                Operation::Put,
                1,
                Fault::Truncate(keep),
            );
            let storage = checked(RecordingStorage::new(faulty));
            storage.put("a", file(1000).path()).expect("second upload");
            assert_eq!(
                storage.stat("a").expect("stat").expect("present").size,
                1000
            );
            assert_eq!(storage.inner.count(Operation::Put), 2);
        }
    }

    #[test]
    fn an_upload_that_stays_short_is_an_error_and_leaves_nothing() {
        let mut faulty = FaultyStorage::new(MemoryStorage::new());
        for n in 1..=3 {
            faulty = faulty.fail(Operation::Put, n, Fault::Truncate(999));
        }
        let storage = checked(faulty);
        let error = storage.put("a", file(1000).path()).expect_err("short");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(
            error
                .to_string()
                .contains("999 bytes at the target instead of 1000"),
            "{error}"
        );
        assert_eq!(storage.list().expect("list"), []);
    }

    #[test]
    fn an_upload_that_vanished_is_an_error() {
        let mut faulty = FaultyStorage::new(MemoryStorage::new());
        for n in 1..=3 {
            faulty = faulty.fail(Operation::Put, n, Fault::Drop);
        }
        assert_eq!(
            checked(faulty)
                .put("a", file(10).path())
                .expect_err("gone")
                .kind(),
            ErrorKind::Corrupt
        );
    }
}
