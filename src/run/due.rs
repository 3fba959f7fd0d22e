//! Whether a start by a schedule should go on: what was planned, what has answered it, and how long to wait.
//!
//! cron knows no jitter and makes up for nothing, so it starts a call at the planned times and once more every hour,
//! and the call decides here. What has not been answered by a run is due; a run that a condition put off is no answer.

use super::outcome::{Outcome, StepStatus};
use crate::engine::time::Timestamp;
use crate::profile::Schedule;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Seconds a start may come after its planned time and still be that very start.
const PROMPT: i64 = 120;

/// What a start by a schedule comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Go on now.
    Now,
    /// Go on at this time.
    At(Timestamp),
    /// Do nothing, for this reason.
    Not(String),
}

/// Start of the last run that did what the schedule asks for: its batch, or any set that was made.
pub fn answered(past: &[Outcome], batch: &str) -> Option<Timestamp> {
    let answer = |o: &&Outcome| {
        !was_put_off(o) && (o.batch == batch || o.steps.iter().any(|s| s.set.is_some()))
    };
    past.iter().rev().find(answer).map(|o| o.started)
}

/// Whether a run never began because of a condition; one that a hook ended politely did begin.
pub fn was_put_off(outcome: &Outcome) -> bool {
    outcome
        .steps
        .first()
        .is_some_and(|s| s.command == "require" && s.status == StepStatus::Deferred)
}

/// What a start at `now` comes to. `last` is the last answer, or the time since which the schedule is in effect;
/// `who` tells machines and profiles apart, so that each has a delay of its own.
pub fn start(schedule: &Schedule, last: Option<Timestamp>, now: Timestamp, who: &str) -> Start {
    let Some(planned) = schedule.previous(now) else {
        return Start::Not("no start is planned yet".to_owned());
    };
    if !schedule.is_due(last, now) {
        let next = schedule
            .next_after(now)
            .map(|t| format!("; the next start is planned for {t}"))
            .unwrap_or_default();
        return Start::Not(format!("nothing is due{next}"));
    }
    let begin = planned.plus(delay(schedule, planned, who));
    if begin <= now {
        Start::Now
    } else if now.as_secs() - planned.as_secs() <= PROMPT || !schedule.catch_up {
        Start::At(begin)
    } else {
        // Whoever was started on time waits for it; if nobody was, the next hour makes up for it.
        Start::Not(format!("it waits for {begin}"))
    }
}

/// Seconds a planned start is put off by: the same for everybody who asks, different from one start to the next.
fn delay(schedule: &Schedule, planned: Timestamp, who: &str) -> i64 {
    let jitter = schedule.jitter.as_secs();
    if jitter == 0 {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    (who, planned.as_secs()).hash(&mut hasher);
    i64::try_from(hasher.finish() % (jitter + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{StepOutcome, Verdict};
    use super::*;
    use crate::engine::format::SetId;
    use crate::profile::schedule::{Cron, Zone};
    use std::time::Duration;

    /// 02:17 every day; day 0 is 2026-11-20.
    fn nightly(jitter: u64) -> Schedule {
        Schedule {
            cron: Cron::parse("17 2 * * *").unwrap(),
            jitter: Duration::from_secs(jitter),
            catch_up: true,
            zone: Zone::Utc,
        }
    }

    fn planned(day: i64) -> Timestamp {
        Timestamp(1_795_141_020 + day * 86_400)
    }

    fn run(started: Timestamp, batch: &str, verdict: Verdict) -> Outcome {
        Outcome {
            schema: 1,
            profile: "home".into(),
            host: "h".into(),
            batch: batch.into(),
            target: "t".into(),
            started,
            ended: started,
            verdict,
            steps: Vec::new(),
            failure: None,
            next_due: None,
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for_once() {
        assert_eq!(planned(0).to_string(), "2026-11-20T02:17:00Z");
        let schedule = nightly(0);
        let late = planned(0).plus(7 * 3600);
        assert_eq!(start(&schedule, Some(planned(-1)), late, "x"), Start::Now);
        assert_eq!(start(&schedule, None, late, "x"), Start::Now);
        let Start::Not(why) = start(&schedule, Some(planned(0).plus(4)), late, "x") else {
            panic!("it was answered");
        };
        assert!(why.contains("2026-11-21T02:17:00Z"), "{why}");
    }

    #[test]
    fn jitter_puts_a_start_off_the_same_way_for_all_who_ask() {
        let schedule = nightly(1200);
        let mut delays = Vec::new();
        for day in 0..50 {
            let on_time = planned(day).plus(1);
            let begin = match start(&schedule, Some(planned(day - 1)), on_time, "x") {
                Start::At(begin) => begin,
                Start::Now => on_time,
                Start::Not(why) => panic!("{why}"),
            };
            let delay = begin.as_secs() - planned(day).as_secs();
            assert!((0..=1200).contains(&delay), "{delay}");
            delays.push(delay);
            // The hourly look in between leaves it to the one that waits, and a later one makes up for it.
            if delay > PROMPT + 1 {
                let look = planned(day).plus(PROMPT + 1);
                assert!(matches!(
                    start(&schedule, Some(planned(day - 1)), look, "x"),
                    Start::Not(_)
                ));
            }
            let later = planned(day).plus(3600);
            assert_eq!(
                start(&schedule, Some(planned(day - 1)), later, "x"),
                Start::Now
            );
        }
        delays.sort_unstable();
        delays.dedup();
        assert!(delays.len() > 40, "{delays:?}");
        let other = delay(&schedule, planned(0), "y");
        assert_ne!(other, delay(&schedule, planned(0), "x"));
    }

    #[test]
    fn where_nobody_comes_back_a_late_start_waits_too() {
        let mut schedule = nightly(7200);
        let day = (0..50).find(|d| delay(&schedule, planned(*d), "x") > 3600);
        let day = day.unwrap();
        let late = planned(day).plus(1800);
        let last = Some(planned(day - 1));
        assert!(matches!(start(&schedule, last, late, "x"), Start::Not(_)));
        schedule.catch_up = false;
        assert!(matches!(start(&schedule, last, late, "x"), Start::At(_)));
    }

    #[test]
    fn an_answer_is_a_run_of_the_batch_or_a_set() {
        let at = planned(0);
        let other = run(at, "cleanup", Verdict::Success);
        assert_eq!(answered(std::slice::from_ref(&other), "backup"), None);
        let failed = run(at, "backup", Verdict::Failed);
        assert_eq!(answered(&[failed, other], "backup"), Some(at));
        let mut by_hand = run(at, "full", Verdict::Success);
        let mut step = StepOutcome::new(1, "full", "backup full", StepStatus::Done);
        step.set = Some(SetId::Full { time: at });
        by_hand.steps.push(step);
        assert_eq!(answered(&[by_hand], "backup"), Some(at));
        let mut battery = run(at, "backup", Verdict::Deferred);
        battery
            .steps
            .push(StepOutcome::new(0, "require", "", StepStatus::Deferred));
        assert_eq!(answered(&[battery], "backup"), None);
        let polite = run(at, "backup", Verdict::Deferred);
        assert_eq!(answered(&[polite], "backup"), Some(at));
    }
}
