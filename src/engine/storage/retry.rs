//! Tries again what may succeed a little later.
//!
//! A service that says when to come back is left alone until then. Uploads start anew from the first byte. A download goes on where the receiver stands, see `resuming`.

use super::growing::Growing;
use super::names::random;
use super::options::StorageOptions;
use super::resuming::Resuming;
use super::transfer::Transfer;
use super::{LocalObject, Location, Object, Rest, Storage, ThawOrder};
use crate::engine::error::Result;
use crate::engine::time::Timestamp;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest pause between two attempts, before variation.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Repeats failed calls of the storage inside, with growing pauses, while the error's kind allows it.
pub(super) struct Retry<S> {
    inner: S,
    attempts: u32,
    backoff: Duration,
    transfer: Arc<Transfer>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, options: &StorageOptions, transfer: Arc<Transfer>) -> Self {
        Self {
            inner,
            attempts: options.attempts.max(1),
            backoff: options.backoff,
            transfer,
        }
    }

    /// Pause after failure number `failures`, counted from 1.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self
            .backoff
            .saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
        let pause = doubled.min(MAX_PAUSE);
        // Varied by a quarter, so that hosts that failed together do not come back together.
        pause.mul_f64(0.75 + 0.5 * (random() % 1024) as f64 / 1024.0)
    }

    fn attempts<T>(&self, mut call: impl FnMut() -> Result<T>) -> Result<T> {
        for failures in 1..self.attempts {
            match call() {
                Err(error) if error.kind().is_retryable() => {
                    let pause = self.pause(failures).max(self.transfer.still_asked());
                    self.transfer.pause(pause)?
                }
                other => return other,
            }
        }
        call().map_err(|error| match (error.kind().is_retryable(), self.attempts) {
            (true, attempts @ 2..) => error.within(format!("given up after {attempts} attempts")),
            _ => error,
        })
    }
}

impl<S: Storage> Storage for Retry<S> {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.attempts(|| self.inner.list())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.attempts(|| self.inner.stat(name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let mut receiver = Resuming::new(to);
        self.attempts(|| receiver.attempt(name, |again| self.inner.get(name, again)))
    }

    fn open_local(&self, name: &str) -> Result<Option<LocalObject>> {
        self.attempts(|| self.inner.open_local(name))
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        self.attempts(|| self.inner.put(name, from))
    }

    fn put_settled(&self, name: &str, from: &Path) -> Result<()> {
        self.attempts(|| self.inner.put_settled(name, from))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        // The answer to an upload may be lost: what is there after a failure is taken for its own.
        let mut is_first = true;
        self.attempts(|| {
            if std::mem::take(&mut is_first) {
                self.inner.claim(name, from)
            } else {
                self.inner.put_settled(name, from)
            }
        })
    }

    fn put_growing(&self, name: &str, from: &Growing, claimed: bool) -> Result<()> {
        let mut is_first = true;
        self.attempts(|| {
            if std::mem::take(&mut is_first) {
                return self.inner.put_growing(name, from, claimed);
            }
            // From the first byte, as any upload. What was claimed may be there already.
            from.whole()?;
            self.inner.put_settled(name, from.path())
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.attempts(|| self.inner.delete(name))
    }

    fn rest(&self, name: &str) -> Result<Rest> {
        self.attempts(|| self.inner.rest(name))
    }

    fn modified(&self, name: &str) -> Result<Option<Timestamp>> {
        self.attempts(|| self.inner.modified(name))
    }

    fn thaw(&self, name: &str, order: ThawOrder) -> Result<()> {
        self.attempts(|| self.inner.thaw(name, order))
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
    use crate::engine::error::{Error, ErrorKind};
    use crate::testing::{Fault, FaultyStorage, MemoryStorage, Operation, RecordingStorage};
    use std::io;
    use std::time::Instant;

    fn retry<S>(inner: S, attempts: u32) -> Retry<S> {
        let options = StorageOptions {
            attempts,
            backoff: Duration::from_millis(1),
            ..StorageOptions::default()
        };
        Retry::new(inner, &options, Arc::new(Transfer::new(&options)))
    }

    fn filled() -> MemoryStorage {
        let memory = MemoryStorage::new();
        memory.insert("a", (0..=255u8).cycle().take(100_000).collect::<Vec<_>>());
        memory
    }

    #[test]
    fn trouble_of_the_network_is_tried_again() {
        let faulty = FaultyStorage::new(filled())
            .fail(Operation::Stat, 1, Fault::Before(ErrorKind::Unreachable))
            .fail(Operation::Stat, 2, Fault::Before(ErrorKind::RateLimited));
        let storage = retry(faulty, 3);
        assert!(storage.stat("a").expect("third attempt").is_some());
        assert_eq!(storage.inner.unfired(), Vec::<String>::new());
    }

    #[test]
    fn a_service_that_says_when_to_come_back_is_left_alone() {
        let faulty = FaultyStorage::new(filled()).fail(
            Operation::Stat,
            1,
            Fault::Before(ErrorKind::RateLimited),
        );
        let storage = retry(faulty, 2);
        let wait = Duration::from_millis(300);
        let start = Instant::now();
        storage.transfer.leave_alone(wait);
        // Only what failed waits.
        storage.list().expect("at once");
        assert!(start.elapsed() < wait);
        storage.stat("a").expect("second attempt");
        assert!(start.elapsed() >= wait);
    }

    #[test]
    fn attempts_are_counted() {
        let recording = RecordingStorage::new(
            FaultyStorage::new(filled()).fail_from(1, ErrorKind::Unreachable),
        );
        let storage = retry(recording, 3);
        let error = storage.list().expect_err("always fails");
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(
            error.to_string().starts_with("given up after 3 attempts"),
            "{error}"
        );
        assert_eq!(storage.inner.count(Operation::List), 3);
    }

    #[test]
    fn a_refusal_is_not_tried_again() {
        let faulty =
            FaultyStorage::new(filled()).fail(Operation::Put, 1, Fault::Before(ErrorKind::Denied));
        let storage = retry(RecordingStorage::new(faulty), 5);
        let error = storage
            .put("x", Path::new("/dev/null"))
            .expect_err("denied");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(storage.inner.count(Operation::Put), 1);
    }

    #[test]
    fn a_download_goes_on_where_it_broke() {
        let faulty = FaultyStorage::new(filled())
            .fail(
                Operation::Get,
                1,
                Fault::Cut {
                    bytes: 40_000,
                    kind: ErrorKind::Unreachable,
                },
            )
            .fail(
                Operation::Get,
                2,
                Fault::Cut {
                    bytes: 70_001,
                    kind: ErrorKind::Unreachable,
                },
            );
        let mut got = Vec::new();
        assert_eq!(
            retry(faulty, 3).get("a", &mut got).expect("third attempt"),
            100_000
        );
        assert_eq!(got, (0..=255u8).cycle().take(100_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_download_never_mixes_two_contents() {
        struct Changing(MemoryStorage);
        impl Storage for Changing {
            fn location(&self) -> &Location {
                self.0.location()
            }
            fn list(&self) -> Result<Vec<Object>> {
                self.0.list()
            }
            fn stat(&self, name: &str) -> Result<Option<Object>> {
                self.0.stat(name)
            }
            fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
                let outcome = self.0.get(name, to);
                self.0.insert(name, vec![9; 100_000]);
                outcome?;
                Err(Error::new(ErrorKind::Unreachable, "cut"))
            }
            fn put(&self, name: &str, from: &Path) -> Result<()> {
                self.0.put(name, from)
            }
            fn delete(&self, name: &str) -> Result<()> {
                self.0.delete(name)
            }
        }
        let error = retry(Changing(filled()), 3)
            .get("a", &mut Vec::new())
            .expect_err("changed");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_full_disk_of_the_receiver_is_not_tried_again() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let storage = retry(RecordingStorage::new(filled()), 5);
        assert_eq!(
            storage.get("a", &mut Full).expect_err("full").kind(),
            ErrorKind::Full
        );
        assert_eq!(storage.inner.count(Operation::Get), 1);
    }

    #[test]
    fn pauses_grow_and_stay_capped() {
        let options = StorageOptions {
            backoff: Duration::from_secs(1),
            ..StorageOptions::default()
        };
        let storage = Retry::new((), &options, Arc::new(Transfer::new(&options)));
        for (failures, seconds) in [(1, 1.0), (2, 2.0), (4, 8.0), (30, 60.0), (u32::MAX, 60.0)] {
            let pause = storage.pause(failures).as_secs_f64();
            assert!(
                (seconds * 0.75..=seconds * 1.25).contains(&pause),
                "{failures}: {pause}"
            );
        }
    }

    #[test]
    fn an_urgent_stop_ends_the_pauses() {
        let options = StorageOptions {
            backoff: Duration::from_secs(3600),
            ..StorageOptions::default()
        };
        let faulty = FaultyStorage::new(filled()).fail_from(1, ErrorKind::Unreachable);
        let storage = Retry::new(faulty, &options, Arc::new(Transfer::new(&options)));
        options.cancel.request();
        options.cancel.request();
        assert_eq!(
            storage.list().expect_err("stopped").kind(),
            ErrorKind::Interrupted
        );
    }
}
