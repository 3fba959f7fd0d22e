//! What a target tells that is no error: one of several places is out of reach, a damaged file was repaired.
//!
//! Whoever works with a target asks for it from time to time, see [`Storage::notices`](super::Storage::notices). Each
//! text is told once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that wait to be told.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<String>,
    told: BTreeSet<String>,
}

impl Notices {
    /// Adds a line, without secrets, unless it was told before.
    pub(super) fn tell(&self, line: impl Into<String>) {
        let line = line.into();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.told.insert(line.clone()) {
            lines.waiting.push(line);
        }
    }

    /// The lines since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut lines.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_told_once() {
        let notices = Notices::default();
        let other = notices.clone();
        other.tell("a");
        other.tell("a");
        assert_eq!(notices.take(), ["a"]);
        notices.tell("a");
        notices.tell("b");
        assert_eq!(other.take(), ["b"]);
    }
}
