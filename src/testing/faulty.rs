//! A storage that fails as planned.
//!
//! A fault that was planned and did not happen makes a test meaningless, so dropping the storage with one left is a
//! panic. A loop that fails the n-th call for n = 1, 2, … asks [`FaultyStorage::unfired`] to learn that it is through.

use super::Operation;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::{Location, Object, Storage};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error, and nothing was done.
    Before(ErrorKind),
    /// Everything was done, and an error all the same: the answer got lost.
    After(ErrorKind),
    /// Success, but only so many bytes were stored or delivered; so many objects for a listing.
    Truncate(usize),
    /// So many bytes were stored or delivered, then an error.
    Cut {
        /// Bytes that still went through.
        bytes: usize,
        /// The error after them.
        kind: ErrorKind,
    },
    /// Success, and nothing was done: a lost upload, an empty listing.
    Drop,
}

#[derive(Debug)]
struct Planned {
    /// `None`: any operation.
    operation: Option<Operation>,
    /// Which call, from 1.
    nth: u64,
    fault: Fault,
    /// Whether all later calls fail too.
    for_good: bool,
    fired: bool,
}

#[derive(Debug, Default)]
struct State {
    plan: Vec<Planned>,
    calls: Vec<Operation>,
    asked: bool,
}

/// A storage around another that fails as planned. Clones share plan and count.
///
/// Calls are counted from 1, per operation or over all. Plan first, then hand it out.
#[derive(Debug)]
pub struct FaultyStorage<S> {
    inner: S,
    state: Arc<Mutex<State>>,
}

impl<S: Clone> Clone for FaultyStorage<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: Arc::clone(&self.state),
        }
    }
}

impl<S> FaultyStorage<S> {
    /// Without faults so far.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            state: Arc::default(),
        }
    }

    /// Plans a fault in the n-th call of one operation.
    #[must_use]
    pub fn fail(self, operation: Operation, nth: u64, fault: Fault) -> Self {
        self.planned(Planned {
            operation: Some(operation),
            nth,
            fault,
            for_good: false,
            fired: false,
        })
    }

    /// Plans a fault in the n-th call, whichever operation it is.
    #[must_use]
    pub fn fail_nth(self, nth: u64, fault: Fault) -> Self {
        self.planned(Planned {
            operation: None,
            nth,
            fault,
            for_good: false,
            fired: false,
        })
    }

    /// From the n-th call on nothing works any more, as after a crash or a cut cable.
    #[must_use]
    pub fn fail_from(self, nth: u64, kind: ErrorKind) -> Self {
        self.planned(Planned {
            operation: None,
            nth,
            fault: Fault::Before(kind),
            for_good: true,
            fired: false,
        })
    }

    fn planned(self, planned: Planned) -> Self {
        self.state().plan.push(planned);
        self
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls.len() as u64
    }

    /// The faults that did not happen, in words. Who asks is trusted to act on the answer: the panic on drop is off.
    pub fn unfired(&self) -> Vec<String> {
        let mut state = self.state();
        state.asked = true;
        state.unfired()
    }

    /// The storage inside, without faults.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Counts a call and says what goes wrong in it.
    fn fault(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push(operation);
        let total = state.calls.len() as u64;
        let same = state
            .calls
            .iter()
            .filter(|call| **call == operation)
            .count() as u64;
        let due = state.plan.iter_mut().find(|planned| {
            let count = match planned.operation {
                None => total,
                Some(wanted) if wanted == operation => same,
                Some(_) => return false,
            };
            count == planned.nth || (planned.for_good && count > planned.nth)
        })?;
        due.fired = true;
        Some(due.fault)
    }
}

impl State {
    fn unfired(&self) -> Vec<String> {
        let left = self.plan.iter().filter(|planned| !planned.fired);
        left.map(|planned| match planned.operation {
            Some(operation) => format!("{:?} in {operation:?} call {}", planned.fault, planned.nth),
            None => format!("{:?} in call {}", planned.fault, planned.nth),
        })
        .collect()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let unfired = self.unfired();
        if !self.asked && !unfired.is_empty() && !std::thread::panicking() {
            panic!("planned faults did not happen: {}", unfired.join(", "));
        }
    }
}

fn broken(kind: ErrorKind, operation: Operation) -> Error {
    Error::new(kind, format!("planned fault in {operation:?}"))
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Result<Vec<Object>> {
        let fault = self.fault(Operation::List);
        match fault {
            None => self.inner.list(),
            Some(Fault::Before(kind) | Fault::After(kind) | Fault::Cut { kind, .. }) => {
                Err(broken(kind, Operation::List))
            }
            Some(Fault::Drop) => Ok(Vec::new()),
            Some(Fault::Truncate(objects)) => {
                let mut all = self.inner.list()?;
                all.truncate(objects);
                Ok(all)
            }
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        match self.fault(Operation::Stat) {
            None => self.inner.stat(name),
            Some(Fault::Before(kind) | Fault::After(kind) | Fault::Cut { kind, .. }) => {
                Err(broken(kind, Operation::Stat))
            }
            Some(Fault::Drop) => Ok(None),
            Some(Fault::Truncate(bytes)) => Ok(self.inner.stat(name)?.map(|object| Object {
                size: object.size.min(bytes as u64),
                ..object
            })),
        }
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let (bytes, kind) = match self.fault(Operation::Get) {
            None => return self.inner.get(name, to),
            Some(Fault::Before(kind)) => return Err(broken(kind, Operation::Get)),
            Some(Fault::After(kind)) => (usize::MAX, Some(kind)),
            Some(Fault::Cut { bytes, kind }) => (bytes, Some(kind)),
            Some(Fault::Truncate(bytes)) => (bytes, None),
            Some(Fault::Drop) => (0, None),
        };
        let mut prefix = Prefix {
            to,
            left: bytes,
            passed: 0,
        };
        self.inner.get(name, &mut prefix)?;
        match kind {
            None => Ok(prefix.passed),
            Some(kind) => Err(broken(kind, Operation::Get)),
        }
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        let (bytes, kind) = match self.fault(Operation::Put) {
            None => return self.inner.put(name, from),
            Some(Fault::Before(kind)) => return Err(broken(kind, Operation::Put)),
            Some(Fault::Drop) => return Ok(()),
            Some(Fault::After(kind)) => {
                self.inner.put(name, from)?;
                return Err(broken(kind, Operation::Put));
            }
            Some(Fault::Cut { bytes, kind }) => (bytes, Some(kind)),
            Some(Fault::Truncate(bytes)) => (bytes, None),
        };
        let mut content = std::fs::read(from).map_err(|e| Error::io("read", from, e))?;
        content.truncate(bytes);
        let short = tempfile::NamedTempFile::new()?;
        std::fs::write(short.path(), content)?;
        self.inner.put(name, short.path())?;
        match kind {
            None => Ok(()),
            Some(kind) => Err(broken(kind, Operation::Put)),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        match self.fault(Operation::Delete) {
            None => self.inner.delete(name),
            Some(Fault::Before(kind)) => Err(broken(kind, Operation::Delete)),
            Some(Fault::Drop | Fault::Truncate(_)) => Ok(()),
            Some(Fault::After(kind) | Fault::Cut { kind, .. }) => {
                self.inner.delete(name)?;
                Err(broken(kind, Operation::Delete))
            }
        }
    }
}

/// Passes on so many bytes and swallows the rest.
struct Prefix<'a> {
    to: &'a mut dyn Write,
    left: usize,
    passed: u64,
}

impl Write for Prefix<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let bytes = piece.len().min(self.left);
        self.to.write_all(&piece[..bytes])?;
        self.left -= bytes;
        self.passed += bytes as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryStorage;

    fn source(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), bytes).expect("written");
        file
    }

    #[test]
    fn each_mode_does_what_it_says() {
        let memory = MemoryStorage::new();
        let from = source(b"0123456789");
        for (fault, ok, stored) in [
            (Fault::Before(ErrorKind::Full), false, None),
            (Fault::After(ErrorKind::Unreachable), false, Some(10)),
            (Fault::Truncate(3), true, Some(3)),
            (
                Fault::Cut {
                    bytes: 4,
                    kind: ErrorKind::Unreachable,
                },
                false,
                Some(4),
            ),
            (Fault::Drop, true, None),
        ] {
            memory.remove("a");
            let storage = FaultyStorage::new(memory.clone()).fail(Operation::Put, 1, fault);
            assert_eq!(storage.put("a", from.path()).is_ok(), ok, "{fault:?}");
            assert_eq!(
                memory.bytes("a").map(|bytes| bytes.len()),
                stored,
                "{fault:?}"
            );
        }
    }

    #[test]
    fn after_a_crash_nothing_works() {
        let storage = FaultyStorage::new(MemoryStorage::new()).fail_from(2, ErrorKind::Unreachable);
        storage.list().expect("first call");
        for _ in 0..3 {
            storage.list().expect_err("broken");
        }
        assert_eq!(storage.calls(), 4);
    }

    #[test]
    #[should_panic(expected = "Before(Full) in Put call 2")]
    fn a_fault_that_did_not_happen_is_reported() {
        let storage = FaultyStorage::new(MemoryStorage::new()).fail(
            Operation::Put,
            2,
            Fault::Before(ErrorKind::Full),
        );
        storage.put("a", source(b"1").path()).expect("first");
    }

    #[test]
    fn a_loop_can_ask_whether_it_is_through() {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let storage = FaultyStorage::new(MemoryStorage::new())
                .fail_nth(rounds, Fault::Before(ErrorKind::Unreachable));
            let outcome = storage.list().and_then(|_| storage.stat("a"));
            if !storage.unfired().is_empty() {
                outcome.expect("no fault left");
                break;
            }
            outcome.expect_err("the fault");
        }
        assert_eq!(rounds, 3);
    }
}
