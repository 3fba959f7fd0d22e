//! What is left of a job: who was told, a line in the history, and its log. Nothing in here fails a run; what goes wrong is a trouble.

use super::JobContext;
use crate::engine::monitor::Level;
use crate::engine::time::Timestamp;
use crate::report::notify::{Delivery, Desk};
use crate::run::history::{History, PastRuns};
use crate::run::logs::Logs;
use crate::run::outcome::{Outcome, StepOutcome, StepStatus};
use crate::run::runner;
use crate::run::running::Running;

/// Lets others follow the run that begins. One that nobody can follow is a run all the same.
pub(super) fn begin_log(history: &History, started: Timestamp, cx: &JobContext<'_>) {
    if let Ok(running) = Running::begin(history, started) {
        cx.log.grow(running);
    }
}

/// Tells the outcome to all who are to know, notes how that went, and what was told when the job began, and writes the history.
pub(super) fn keep(
    outcome: &mut Outcome,
    (desk, announced): (&Desk<'_>, Vec<Delivery>),
    history: &History,
    past: &PastRuns,
    troubles: &mut Vec<String>,
    cx: &JobContext<'_>,
) {
    note(outcome, announced, troubles, cx);
    // Meanwhile another run may have waited for the lock in vain, and was told to have failed: this one is its recovery.
    let by_now = history.read().ok();
    let past = by_now.as_ref().unwrap_or(past);
    let told = desk.tell(outcome, &past.runs, &cx.log.lines());
    note(outcome, told, troubles, cx);
    let kept = history
        .append(outcome)
        .and_then(|()| Logs::beside(history).keep(outcome.started, &cx.log.lines()));
    if let Err(e) = kept {
        trouble(troubles, e.to_string(), cx);
    }
}

/// Writes attempts to tell into the outcome, a step each.
pub(super) fn note(
    outcome: &mut Outcome,
    deliveries: Vec<Delivery>,
    troubles: &mut Vec<String>,
    cx: &JobContext<'_>,
) {
    let mut id = outcome.steps.last().map_or(0, |s| s.id);
    for delivery in deliveries {
        id += 1;
        let title = format!("report: {}", delivery.notifier);
        let mut step = StepOutcome::new(id, "report", title, StepStatus::Done);
        match delivery.result {
            Ok(sent) => {
                if let Some(why) = sent.trouble {
                    step.status = StepStatus::Warning;
                    step.notes
                        .push(format!("sent with the built-in templates: {why}"));
                }
            }
            Err(e) => {
                step.status = StepStatus::Warning;
                let hint = e.hint().map(|h| format!("; {h}")).unwrap_or_default();
                step.notes.push(format!("could not be sent: {e}{hint}"));
            }
        }
        if step.status == StepStatus::Warning {
            trouble(
                troubles,
                format!("{}: {}", delivery.notifier, step.notes.join("; ")),
                cx,
            );
        }
        outcome.steps.push(step);
    }
    outcome.verdict = runner::verdict(outcome);
}

/// The runs so far; none if they cannot be read.
pub(super) fn read(history: &History, troubles: &mut Vec<String>) -> PastRuns {
    match history.read() {
        Ok(past) => {
            if past.damaged_lines > 0 {
                let path = history.path().display();
                troubles.push(format!(
                    "{} damaged lines in {path} were skipped",
                    past.damaged_lines
                ));
            }
            past
        }
        Err(e) => {
            troubles.push(e.to_string());
            PastRuns::default()
        }
    }
}

fn trouble(troubles: &mut Vec<String>, text: String, cx: &JobContext<'_>) {
    cx.log.add(Level::Warning, &text);
    troubles.push(text);
}
