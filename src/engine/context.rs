//! What every operation is given: someone to tell, a way to be stopped, and the time.

use super::error::{Error, ErrorKind, Result};
use super::monitor::Monitor;
use super::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A request to stop, shared between threads. Levels only rise.
///
/// Level 1 (first signal): finish the volume in hand, commit it, then stop. Level 2: stop at once. What was
/// committed can be resumed in both cases.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    /// Nothing requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the level by one, as each signal does.
    pub fn request(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
                Some(n.saturating_add(1))
            });
    }

    /// Whether a stop was requested at all.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether to stop at once.
    pub fn is_urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }

    /// # Errors
    /// [`ErrorKind::Interrupted`] once a stop was requested.
    pub fn check(&self) -> Result<()> {
        if self.is_requested() {
            Err(Error::new(
                ErrorKind::Interrupted,
                "interrupted by a signal",
            ))
        } else {
            Ok(())
        }
    }
}

/// Always the last argument of an operation.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Who is told of counts, problems and notes.
    pub monitor: &'a dyn Monitor,
    /// How to be stopped.
    pub cancel: &'a Cancel,
    /// The time of this run. The engine never looks at a clock.
    pub now: Timestamp,
    /// Worker threads for reading, deflating and the like; at least 1. Results do not depend on it.
    pub threads: usize,
}
