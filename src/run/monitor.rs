//! How a run tells what it is doing: the engine's telemetry, and the steps around it.

use super::outcome::StepOutcome;
use crate::engine::monitor::{Level, Monitor, Problem, ProblemKind};
use crate::plan::{Plan, Step};
use std::sync::{Mutex, PoisonError};

/// Problems of a step that are kept; all are counted.
pub const KEPT_PROBLEMS: usize = 100;

/// Notes of a step that are kept.
const KEPT_NOTES: usize = 20;

/// A listener of a run. Every method may do nothing.
pub trait RunMonitor: Monitor {
    /// The plan, before its first step.
    fn planned(&self, plan: &Plan) {
        let _ = plan;
    }
    /// A step begins.
    fn step_started(&self, step: &Step, title: &str) {
        let _ = (step, title);
    }
    /// A hook printed a line.
    fn hook_line(&self, line: &str) {
        let _ = line;
    }
    /// A step has ended, or was passed over.
    fn step_ended(&self, outcome: &StepOutcome) {
        let _ = outcome;
    }
}

impl RunMonitor for crate::engine::monitor::Silent {}

/// Passes everything on and keeps what the outcome of a step needs.
pub(super) struct Recorder<'a> {
    inner: &'a dyn RunMonitor,
    kept: Mutex<Kept>,
}

/// What a step had to say.
#[derive(Default)]
pub(super) struct Kept {
    pub problems: Vec<Problem>,
    pub problem_count: u64,
    /// Entries whose stored data is damaged or missing.
    pub lost: u64,
    pub notes: Vec<String>,
}

impl<'a> Recorder<'a> {
    pub fn new(inner: &'a dyn RunMonitor) -> Self {
        Self {
            inner,
            kept: Mutex::default(),
        }
    }

    pub fn into_kept(self) -> Kept {
        self.kept
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Monitor for Recorder<'_> {
    fn inner(&self) -> Option<&dyn Monitor> {
        Some(self.inner)
    }
    fn problem(&self, problem: Problem) {
        let mut kept = self.kept();
        kept.problem_count += 1;
        kept.lost += u64::from(problem.kind == ProblemKind::Lost);
        if kept.problems.len() < KEPT_PROBLEMS {
            kept.problems.push(problem.clone());
        }
        drop(kept);
        self.inner.problem(problem);
    }
    fn note(&self, level: Level, text: &str) {
        let mut kept = self.kept();
        if level >= Level::Notice && kept.notes.len() < KEPT_NOTES {
            kept.notes.push(text.to_owned());
        }
        drop(kept);
        self.inner.note(level, text);
    }
}
