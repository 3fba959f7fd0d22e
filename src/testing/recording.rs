//! A storage that writes down what was asked of it: for tests of counts instead of times.

use super::Operation;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::storage::{Location, Object, Storage};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// One call and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which operation.
    pub operation: Operation,
    /// Its object; empty for a listing.
    pub name: String,
    /// Bytes sent or received; 0 for the other operations.
    pub bytes: u64,
    /// The kind of its error, if it failed.
    pub error: Option<ErrorKind>,
}

/// A storage around another that records every call, in the order in which they end. Clones share the record.
#[derive(Debug, Clone)]
pub struct RecordingStorage<S> {
    inner: S,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl<S> RecordingStorage<S> {
    /// With an empty record.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            calls: Arc::default(),
        }
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.record().clone()
    }

    /// The calls so far, which are then forgotten.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.record())
    }

    /// How often an operation was called, with or without success.
    pub fn count(&self, operation: Operation) -> usize {
        self.record()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// The objects of an operation's calls, in order.
    pub fn names(&self, operation: Operation) -> Vec<String> {
        self.record()
            .iter()
            .filter(|call| call.operation == operation)
            .map(|call| call.name.clone())
            .collect()
    }

    /// The storage inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.calls
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn note<T>(
        &self,
        operation: Operation,
        name: &str,
        bytes: u64,
        outcome: Result<T>,
    ) -> Result<T> {
        let error = outcome.as_ref().err().map(|error| error.kind());
        self.record().push(Call {
            operation,
            name: name.to_string(),
            bytes,
            error,
        });
        outcome
    }
}

impl<S: Storage> Storage for RecordingStorage<S> {
    fn location(&self) -> &Location {
        self.inner.location()
    }

    fn list(&self) -> Result<Vec<Object>> {
        self.note(Operation::List, "", 0, self.inner.list())
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        self.note(Operation::Stat, name, 0, self.inner.stat(name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        let outcome = self.inner.get(name, to);
        self.note(
            Operation::Get,
            name,
            *outcome.as_ref().unwrap_or(&0),
            outcome,
        )
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        let bytes = std::fs::metadata(from).map_or(0, |meta| meta.len());
        self.note(Operation::Put, name, bytes, self.inner.put(name, from))
    }

    fn claim(&self, name: &str, from: &Path) -> Result<()> {
        let bytes = std::fs::metadata(from).map_or(0, |meta| meta.len());
        self.note(Operation::Put, name, bytes, self.inner.claim(name, from))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.note(Operation::Delete, name, 0, self.inner.delete(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryStorage;

    #[test]
    fn calls_are_recorded_with_their_outcome() {
        let storage = RecordingStorage::new(MemoryStorage::new());
        storage.inner().insert("a", b"123");
        storage.get("a", &mut Vec::new()).expect("there");
        storage.get("b", &mut Vec::new()).expect_err("not there");
        storage.list().expect("list");
        let call = |operation, name: &str, bytes, error| Call {
            operation,
            name: name.into(),
            bytes,
            error,
        };
        assert_eq!(
            storage.take(),
            [
                call(Operation::Get, "a", 3, None),
                call(Operation::Get, "b", 0, Some(ErrorKind::NotFound)),
                call(Operation::List, "", 0, None),
            ]
        );
        assert_eq!(storage.count(Operation::Get), 0);
    }
}
