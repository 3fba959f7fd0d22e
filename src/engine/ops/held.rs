//! What an operation tells, held back until it is certain that all of it is so.

use super::output::{Difference, Output};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Level, Monitor, Problem};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many things are held back.
const MOST: usize = 10_000;

/// Listens in place of another. Counts and entries go on at once, and so do notes for the curious; problems, other notes
/// and differences are held back.
pub(super) struct Held<'a> {
    inner: &'a dyn Monitor,
    told: Mutex<Vec<Told>>,
}

enum Told {
    Problem(Problem),
    Note(Level, String),
    Difference(Difference),
}

impl<'a> Held<'a> {
    /// Nothing yet.
    pub fn new(inner: &'a dyn Monitor) -> Self {
        Self {
            inner,
            told: Mutex::default(),
        }
    }

    /// Whether everything was held that was told.
    pub fn is_complete(&self) -> bool {
        self.lock().len() < MOST
    }

    /// Tells everything, in the order it came.
    ///
    /// # Errors
    /// Those of `output`.
    pub fn tell(self, output: &mut dyn Output) -> Result<()> {
        let told = self.told.into_inner();
        for told in told.unwrap_or_else(PoisonError::into_inner) {
            match told {
                Told::Problem(problem) => self.inner.problem(problem),
                Told::Note(level, text) => self.inner.note(level, &text),
                Told::Difference(difference) => output.difference(&difference)?,
            }
        }
        Ok(())
    }

    fn hold(&self, told: Told) {
        let mut all = self.lock();
        if all.len() < MOST {
            all.push(told);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Monitor for Held<'_> {
    fn inner(&self) -> Option<&dyn Monitor> {
        Some(self.inner)
    }
    fn problem(&self, problem: Problem) {
        self.hold(Told::Problem(problem));
    }
    fn note(&self, level: Level, text: &str) {
        match level {
            Level::Debug | Level::Info => self.inner.note(level, text),
            _ => self.hold(Told::Note(level, text.to_owned())),
        }
    }
}

impl Output for &Held<'_> {
    fn difference(&mut self, difference: &Difference) -> Result<()> {
        if !self.is_complete() {
            let text = format!("there are more than {MOST} differences and problems");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        self.hold(Told::Difference(difference.clone()));
        Ok(())
    }
}
