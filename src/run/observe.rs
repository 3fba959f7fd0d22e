//! The facts a plan is made from: what the target holds, how the newest chain is, what an interrupted run left.

use super::history::PastRuns;
use super::outcome::{StepOutcome, StepStatus};
use crate::engine::archive::holder;
use crate::engine::context::Context;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::monitor::Level;
use crate::engine::ops::health::Health;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::plan::render::title;
use crate::plan::state::{CheckTimes, Damage, Partial, State, TargetState};
use crate::plan::{Action, CheckKind, Step};
use crate::profile::Profile;

/// Looks at the target and the archive dir. Changes nothing but local copies.
///
/// # Errors
/// The target cannot be listed, or its newest chain cannot be looked at.
pub fn observe(engine: &Engine, past: &PastRuns, cx: &Context<'_>) -> Result<State> {
    let collection = engine.scan(cx)?;
    let health = match engine.inspect(&collection, cx) {
        Ok(health) => health,
        // Listing and planning are possible without the key; what needs it fails with a message of its own.
        Err(e) if e.kind() == ErrorKind::WrongKey => {
            cx.monitor.note(Level::Warning, &e.to_string());
            Health {
                can_extend: true,
                ..Health::default()
            }
        }
        Err(e) => return Err(e),
    };
    let lost = |d: &&crate::engine::ops::health::Damage| d.data_lost;
    let damaged = health
        .damage
        .iter()
        .filter(lost)
        .map(|d| Damage {
            set: d.set,
            reason: d.reason.clone(),
        })
        .collect();
    let unreadable_basis = if health.can_extend || collection.chains.is_empty() {
        None
    } else {
        health.why_not
    };
    let partial = engine.partial()?.filter(|p| p.resumable);
    Ok(State {
        now: cx.now,
        target: TargetState::Reached,
        collection,
        damaged,
        partial: partial.map(|p| Partial {
            set: p.set,
            next_volume: p.next_volume,
        }),
        unreadable_basis,
        checks: check_times(past),
        origin: None,
    })
}

/// The run that is under way, of dupr or duplicity, in its own words.
pub fn under_way(profile: &Profile) -> Option<String> {
    holder(&profile.backup.archive_dir)
}

/// When each check last succeeded, as history tells.
pub fn check_times(past: &PastRuns) -> CheckTimes {
    let last = |kind: CheckKind| -> Option<Timestamp> {
        let step = Step {
            id: 0,
            command: String::new(),
            action: Action::Check(kind),
            why: String::new(),
        };
        // Figures after the first two words may differ from run to run.
        let words = |title: &str| title.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let wanted = words(&title(&step));
        let done = |s: &StepOutcome| {
            matches!(s.status, StepStatus::Done | StepStatus::Warning) && words(&s.title) == wanted
        };
        past.runs
            .iter()
            .rev()
            .find(|o| o.steps.iter().any(done))
            .map(|o| o.started)
    };
    CheckTimes {
        quick: last(CheckKind::Quick),
        spot: last(CheckKind::Spot {
            sample_percent: 1.0,
        }),
        restore_test: last(CheckKind::RestoreTest { files: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::outcome::{Outcome, Verdict};

    #[test]
    fn checks_are_found_by_the_title_the_runner_gives_them() {
        let kinds = [
            CheckKind::Quick,
            CheckKind::Spot {
                sample_percent: 2.5,
            },
            CheckKind::RestoreTest { files: 9 },
        ];
        let runs = kinds.iter().enumerate().map(|(i, kind)| {
            let step = Step {
                id: 1,
                command: "check".into(),
                action: Action::Check(*kind),
                why: String::new(),
            };
            let time = Timestamp(i as i64 + 1);
            Outcome {
                schema: 1,
                profile: "p".into(),
                host: "h".into(),
                batch: "check".into(),
                target: "t".into(),
                started: time,
                ended: time,
                verdict: Verdict::Success,
                steps: vec![StepOutcome::new(1, "check", title(&step), StepStatus::Done)],
                failure: None,
                next_due: None,
            }
        });
        let past = PastRuns {
            runs: runs.collect(),
            damaged_lines: 0,
        };
        let times = check_times(&past);
        assert_eq!(times.quick, Some(Timestamp(1)));
        assert_eq!(times.spot, Some(Timestamp(2)));
        assert_eq!(times.restore_test, Some(Timestamp(3)));
    }
}
