//! Everything people see: live lines, plain lines, tables, summaries, JSON. Nothing else prints.

mod counts;
mod live_line;
mod lost;
pub mod out;
pub mod plain;
pub mod products;
pub mod summary;
pub mod table;
pub mod terminal;
pub mod wrap;

use crate::plan::Action;
use crate::report::format;
use crate::run::outcome::{StepOutcome, StepStatus};
use plain::Loudness;

/// A meaning that a color may underline; the word always carries it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Needs a look.
    Warn,
    /// Failed.
    Bad,
    /// Of no weight.
    Calm,
}

/// `text` in the color of `tone`, if colors are on.
pub fn colored(text: &str, tone: Tone, colors: bool) -> String {
    if !colors {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "1;31",
        Tone::Calm => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// The word of a step's end.
pub fn status_word(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Done => "done",
        StepStatus::Warning => "problems",
        StepStatus::Failed => "FAILED",
        StepStatus::Skipped => "skipped",
        StepStatus::Deferred => "deferred",
        StepStatus::Interrupted => "stopped",
    }
}

/// Loudness from which the begin of a step is told: what only shows something speaks for itself.
fn loudness_of_step(action: &Action) -> Loudness {
    match action {
        Action::Status
        | Action::List { .. }
        | Action::Find { .. }
        | Action::Versions { .. }
        | Action::Diff { .. } => Loudness::Verbose,
        _ => Loudness::Normal,
    }
}

/// Whether a step held what is stored against the live source. Without a word for no difference it could be thought that
/// nothing was compared.
fn compares(step: &StepOutcome) -> bool {
    step.restore.is_some()
        && step.command.starts_with("verify")
        && step.title.ends_with(", compared")
}

/// What is worth knowing of a step that is not simply done.
fn details(step: &StepOutcome) -> String {
    let differences = step.restore.as_ref().map_or(0, |s| s.differences);
    let mut parts = Vec::new();
    if differences > 0 {
        parts.push(format::counted(differences, "difference"));
    } else if compares(step) && step.failure.is_none() {
        parts.push("no differences".to_owned());
    }
    if step.problem_count > 0 {
        parts.push(format::counted(step.problem_count, "problem"));
    }
    // What a step has to say while it runs was told then.
    if matches!(step.status, StepStatus::Skipped | StepStatus::Deferred) {
        parts.extend(step.notes.iter().cloned());
    }
    parts.join("; ")
}
