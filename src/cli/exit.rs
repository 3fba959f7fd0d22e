//! THE table: what an exit code means. Documented in docs/cli.md and in `dupr --help`.

use crate::engine::error::ErrorKind;
use crate::report::cause;
use crate::run::outcome::{Outcome, Verdict};

/// All done, no problem.
pub const DONE: u8 = 0;
/// A step failed.
pub const STEP_FAILED: u8 = 1;
/// Usage or profile wrong; nothing was done.
pub const USAGE: u8 = 2;
/// Done, but some entries had problems, or a report could not be sent.
pub const PROBLEMS: u8 = 3;
/// A hook failed.
pub const HOOK: u8 = 4;
/// A verify or check found differences.
pub const DIFFERENCES: u8 = 5;
/// A backup is stale (`status --exit-code`).
pub const STALE: u8 = 6;
/// Put off by a condition or a hook.
pub const DEFERRED: u8 = 7;
/// No backup found at the target.
pub const NO_BACKUP: u8 = 10;
/// Locked by another run.
pub const LOCKED: u8 = 11;
/// Wrong passphrase or key.
pub const WRONG_KEY: u8 = 12;
/// Target unreachable, denied or full.
pub const TARGET: u8 = 13;
/// Stored data is damaged.
pub const DAMAGED: u8 = 14;
/// Interrupted; resumable.
pub const INTERRUPTED: u8 = 130;

/// The table for people, as help and man pages show it.
pub const TABLE: &[(u8, &str)] = &[
    (DONE, "done"),
    (STEP_FAILED, "a step failed"),
    (USAGE, "usage or profile wrong, nothing was done"),
    (
        PROBLEMS,
        "done, but some entries had problems, or a report could not be sent",
    ),
    (HOOK, "a hook failed"),
    (DIFFERENCES, "verify or check found differences"),
    (STALE, "a backup is stale (status --exit-code)"),
    (DEFERRED, "put off by a condition or a hook"),
    (NO_BACKUP, "no backup found"),
    (LOCKED, "locked by another run"),
    (WRONG_KEY, "wrong passphrase or key"),
    (TARGET, "target unreachable, denied or full"),
    (DAMAGED, "stored data is damaged"),
    (INTERRUPTED, "interrupted, can be resumed"),
];

/// The code of an error.
pub fn of_kind(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NoBackup => NO_BACKUP,
        ErrorKind::Locked => LOCKED,
        ErrorKind::WrongKey => WRONG_KEY,
        ErrorKind::Unreachable | ErrorKind::RateLimited | ErrorKind::Denied | ErrorKind::Full => {
            TARGET
        }
        ErrorKind::Corrupt => DAMAGED,
        ErrorKind::Usage => USAGE,
        ErrorKind::Interrupted => INTERRUPTED,
        _ => STEP_FAILED,
    }
}

/// The code of a run. Where several steps failed, the first one decides.
pub fn of_outcome(outcome: &Outcome) -> u8 {
    match outcome.verdict {
        Verdict::Success => DONE,
        Verdict::Deferred => DEFERRED,
        Verdict::Warning => PROBLEMS,
        Verdict::Differences => DIFFERENCES,
        Verdict::Interrupted => INTERRUPTED,
        Verdict::Failed => match cause::failures(outcome).next() {
            Some((_, failure)) => match failure.kind {
                // A wrong argument that only shows in the middle of a run: something was done by then.
                Some(ErrorKind::Usage) if !outcome.steps.is_empty() => STEP_FAILED,
                Some(kind) => of_kind(kind),
                None => HOOK,
            },
            None => STEP_FAILED,
        },
    }
}

/// The code of several runs: that of the worst verdict, the first one among equals.
pub fn of_outcomes<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> u8 {
    let mut worst: Option<&Outcome> = None;
    for outcome in outcomes {
        if worst.is_none_or(|w| outcome.verdict > w.verdict) {
            worst = Some(outcome);
        }
    }
    worst.map_or(DONE, of_outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Timestamp;
    use crate::run::outcome::{Failure, StepOutcome, StepStatus};

    fn run(verdict: Verdict, kind: Option<Option<ErrorKind>>) -> Outcome {
        let mut step = StepOutcome::new(1, "bkp", "backup", StepStatus::Failed);
        step.failure = kind.map(|kind| Failure {
            kind,
            message: "x".into(),
            hint: None,
        });
        Outcome {
            schema: 1,
            profile: "p".into(),
            host: "h".into(),
            batch: "b".into(),
            target: "t".into(),
            started: Timestamp(0),
            ended: Timestamp(0),
            verdict,
            steps: vec![step],
            failure: None,
            next_due: None,
        }
    }

    #[test]
    fn every_verdict_and_kind_has_its_code() {
        let failed = |kind| of_outcome(&run(Verdict::Failed, Some(kind)));
        assert_eq!(of_outcome(&run(Verdict::Success, None)), 0);
        assert_eq!(failed(Some(ErrorKind::Io)), 1);
        assert_eq!(failed(Some(ErrorKind::Usage)), 1);
        assert_eq!(of_outcome(&run(Verdict::Warning, None)), 3);
        assert_eq!(failed(None), 4);
        assert_eq!(of_outcome(&run(Verdict::Differences, None)), 5);
        assert_eq!(of_outcome(&run(Verdict::Deferred, None)), 7);
        assert_eq!(failed(Some(ErrorKind::NoBackup)), 10);
        assert_eq!(failed(Some(ErrorKind::Locked)), 11);
        assert_eq!(failed(Some(ErrorKind::WrongKey)), 12);
        for kind in [
            ErrorKind::Unreachable,
            ErrorKind::Denied,
            ErrorKind::Full,
            ErrorKind::RateLimited,
        ] {
            assert_eq!(failed(Some(kind)), 13);
        }
        assert_eq!(failed(Some(ErrorKind::Corrupt)), 14);
        assert_eq!(of_outcome(&run(Verdict::Interrupted, None)), 130);
    }

    #[test]
    fn a_profile_that_cannot_be_used_is_usage() {
        let mut outcome = run(Verdict::Failed, None);
        outcome.steps.clear();
        outcome.failure = Some(Failure {
            kind: Some(ErrorKind::Usage),
            message: "x".into(),
            hint: None,
        });
        assert_eq!(of_outcome(&outcome), 2);
    }

    #[test]
    fn of_several_runs_the_worst_counts() {
        let runs = [
            run(Verdict::Warning, None),
            run(Verdict::Failed, Some(Some(ErrorKind::Locked))),
            run(Verdict::Failed, Some(None)),
            run(Verdict::Success, None),
        ];
        assert_eq!(of_outcomes(&runs), 11);
        assert_eq!(of_outcomes([]), 0);
    }

    #[test]
    fn the_table_names_every_code_once() {
        let mut codes: Vec<u8> = TABLE.iter().map(|(code, _)| *code).collect();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 130]);
    }
}
