//! A backup that is too old, told like an outcome although no run took place.

use crate::engine::time::Timestamp;
use crate::report::{Report, format};
use crate::run::outcome::{Failure, Outcome, Verdict};
use crate::run::runner::OUTCOME_SCHEMA;

/// A profile whose last good backup is too old.
#[derive(Debug, Clone, Copy)]
pub struct Stale<'a> {
    /// Name of the profile.
    pub profile: &'a str,
    /// Name of this host.
    pub host: &'a str,
    /// Where backups go, printable.
    pub target: &'a str,
    /// Time of the last good backup.
    pub last_good: Option<Timestamp>,
    /// When the schedule wanted or wants a run.
    pub next_due: Option<Timestamp>,
}

impl Stale<'_> {
    /// An outcome and its report, for [`Desk::stale`](super::Desk::stale). It is not for the history: nothing ran.
    pub fn tell(&self, past: &[Outcome], now: Timestamp) -> (Outcome, Report) {
        let age = match self.last_good {
            Some(t) => format!(
                "the last good backup is from {} ({})",
                format::time(t),
                format::age(t, now)
            ),
            None => "there is no good backup yet".to_owned(),
        };
        let outcome = Outcome {
            schema: OUTCOME_SCHEMA,
            profile: self.profile.to_owned(),
            host: self.host.to_owned(),
            batch: "watch".to_owned(),
            target: self.target.to_owned(),
            started: now,
            ended: now,
            verdict: Verdict::Failed,
            steps: Vec::new(),
            failure: Some(Failure {
                kind: None,
                message: age,
                hint: Some(format!(
                    "run `dupr {0} backup` by hand, and look at `dupr history {0}` and at what should start it",
                    self.profile
                )),
            }),
            next_due: self.next_due,
        };
        let mut report = Report::new(&outcome, past, &[]);
        report.status = "STALE";
        (outcome, report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_backup_says_how_old_it_is_and_what_to_do() {
        let now = Timestamp(1_795_211_663);
        let stale = Stale {
            profile: "home",
            host: "nas1",
            target: "file:///b",
            last_good: Some(now.plus(-3 * 86_400)),
            next_due: None,
        };
        let (outcome, report) = stale.tell(&[], now);
        assert_eq!((report.status, report.tone), ("STALE", "bad"));
        assert!(report.headline.contains("(3 d ago)"), "{}", report.headline);
        assert!(report.next_steps[0].contains("dupr home backup"));
        assert_eq!(outcome.verdict, Verdict::Failed);
    }
}
