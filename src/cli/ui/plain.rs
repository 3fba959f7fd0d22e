//! Progress without a terminal: a line with its time for every step, on standard error.

use super::out;
use crate::engine::monitor::{EntryChange, Level, Monitor, Problem};
use crate::engine::path::PathIndex;
use crate::engine::time::Timestamp;
use crate::plan::Step;
use crate::report::format;
use crate::run::RunMonitor;
use crate::run::outcome::{StepOutcome, StepStatus};

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Nothing while it runs.
    Quiet,
    /// A line a step, problems and notices.
    Normal,
    /// Infos as well.
    Verbose,
    /// Every entry.
    Everything,
}

/// Tells a run in lines.
pub struct Plain<'a> {
    loudness: Loudness,
    clock: &'a (dyn Fn() -> Timestamp + Sync),
    /// In front of each line, behind the time.
    prefix: String,
}

impl<'a> Plain<'a> {
    /// Lines of this loudness with the time of `clock`.
    pub fn new(loudness: Loudness, clock: &'a (dyn Fn() -> Timestamp + Sync)) -> Self {
        Self {
            loudness,
            clock,
            prefix: String::new(),
        }
    }

    /// The same with the name of one of several that are told of at a time.
    pub fn named(
        loudness: Loudness,
        clock: &'a (dyn Fn() -> Timestamp + Sync),
        name: &str,
    ) -> Self {
        Self {
            prefix: format!("{name}: "),
            ..Self::new(loudness, clock)
        }
    }

    fn tell(&self, from: Loudness, text: &str) {
        if self.loudness >= from {
            out::complaint(&format!(
                "{} {}{}",
                (self.clock)().to_rfc3339(),
                format::safe(&self.prefix),
                format::safe(text)
            ));
        }
    }
}

/// Loudness from which a note of this weight is told.
pub(super) fn loudness_of(level: Level) -> Loudness {
    match level {
        Level::Warning | Level::Notice => Loudness::Normal,
        Level::Info => Loudness::Verbose,
        Level::Debug => Loudness::Everything,
    }
}

/// What an entry became, in one letter.
pub(super) fn letter(change: EntryChange) -> char {
    match change {
        EntryChange::Added => 'A',
        EntryChange::Modified => 'M',
        EntryChange::Deleted => 'D',
    }
}

impl Monitor for Plain<'_> {
    fn problem(&self, problem: Problem) {
        self.tell(Loudness::Normal, &format!("problem: {problem}"));
    }
    fn note(&self, level: Level, text: &str) {
        self.tell(loudness_of(level), text);
    }
    fn entry(&self, path: &PathIndex, change: Option<EntryChange>) {
        if let Some(change) = change {
            self.tell(Loudness::Everything, &format!("{} {path}", letter(change)));
        }
    }
}

impl RunMonitor for Plain<'_> {
    fn step_started(&self, step: &Step, title: &str) {
        let why = if step.why.is_empty() {
            String::new()
        } else {
            format!(" ({})", step.why)
        };
        self.tell(
            super::loudness_of_step(&step.action),
            &format!("{title}{why}"),
        );
    }
    fn hook_line(&self, line: &str) {
        self.tell(Loudness::Normal, &format!("| {line}"));
    }
    fn step_ended(&self, step: &StepOutcome) {
        match &step.failure {
            // Why is told by the summary, once.
            Some(_) => self.tell(
                Loudness::Normal,
                &format!(
                    "{} failed after {}",
                    step.title,
                    format::millis(step.elapsed_ms)
                ),
            ),
            None if step.status == StepStatus::Interrupted => self.tell(
                Loudness::Normal,
                &format!("{} {}", step.title, step.notes.join("; ")),
            ),
            None if step.status == StepStatus::Done => self.tell(
                Loudness::Verbose,
                &format!("{} done in {}", step.title, format::millis(step.elapsed_ms)),
            ),
            None => {
                let notes = super::details(step);
                self.tell(
                    Loudness::Normal,
                    &format!(
                        "{} {}: {notes}",
                        step.title,
                        super::status_word(step.status)
                    ),
                );
            }
        }
    }
}
