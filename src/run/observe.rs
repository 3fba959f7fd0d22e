//! The facts a plan is made from: what the target holds, how the newest chain is, what an interrupted run left.

use super::dump;
use super::history::PastRuns;
use super::outcome::{StepOutcome, StepStatus};
use crate::engine::archive::holder;
use crate::engine::collection::BackupSet;
use crate::engine::context::Context;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::monitor::Level;
use crate::engine::ops::health::Health;
use crate::engine::path::PathIndex;
use crate::engine::target::Engine;
use crate::engine::time::Timestamp;
use crate::plan::render::title;
use crate::plan::state::{CheckTimes, Damage, LastDump, Partial, State, TargetState};
use crate::plan::{Action, CheckKind, Step};
use crate::profile::{Dump, Profile};

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
        last_dumps: Vec::new(),
        origin: None,
    })
}

/// Where the newest whole copy of each dump is, from the newest set back until all are found. A set of which that
/// cannot be told is passed over.
///
/// # Errors
/// `Interrupted`.
pub fn last_dumps(
    engine: &Engine,
    profile: &Profile,
    state: &State,
    cx: &Context<'_>,
) -> Result<Vec<LastDump>> {
    let Some(dumps) = dump::folder(profile) else {
        return Ok(Vec::new());
    };
    let is_damaged = |set: &BackupSet| state.damaged.iter().any(|d| d.set == set.id);
    let chains = state.collection.chains.iter();
    let mut sets: Vec<&BackupSet> = chains
        .flat_map(|chain| chain.sets().take_while(|set| !is_damaged(set)))
        .collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.id.time()));
    let mut wanted: Vec<&Dump> = profile.source.dumps.iter().collect();
    let mut found = Vec::new();
    for set in sets {
        if wanted.is_empty() {
            break;
        }
        cx.cancel.check()?;
        let there = match engine.dumps_in(set, dumps.folder(), cx) {
            Ok(there) => there,
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                let text = format!("cannot tell which dumps the {} holds: {e}", set.id);
                cx.monitor.note(Level::Notice, &text);
                match e.kind() {
                    ErrorKind::WrongKey | ErrorKind::Unreachable => break,
                    _ => continue,
                }
            }
        };
        wanted.retain(|dump| {
            let place = dumps.place(&PathIndex::root().join(dump.name.as_bytes()));
            let whole = there.is_whole(&place);
            if whole {
                found.push(LastDump {
                    name: dump.name.clone(),
                    set: set.id,
                });
            }
            !whole
        });
    }
    Ok(found)
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
