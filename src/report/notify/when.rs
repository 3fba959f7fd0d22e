//! Which outcomes are worth a message. Pure.

use super::super::is_recovery;
use crate::engine::time::Timestamp;
use crate::profile::Moment;
use crate::run::outcome::{Outcome, Verdict};
use serde::{Deserialize, Serialize};

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Because of how this run ended.
    Outcome,
    /// It is the first run of a new day, week or month: the runs since then are summed up.
    Digest(Period),
}

impl Reason {
    /// What is summed up, if it is.
    pub fn period(self) -> Option<Period> {
        match self {
            Reason::Outcome => None,
            Reason::Digest(period) => Some(period),
        }
    }
}

/// What a digest sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// A day, in UTC.
    Day,
    /// A week that begins on Monday, in UTC.
    Week,
    /// A month, in UTC.
    Month,
}

impl Period {
    /// As digests are called.
    pub fn word(self) -> &'static str {
        match self {
            Period::Day => "daily",
            Period::Week => "weekly",
            Period::Month => "monthly",
        }
    }

    /// A number that is the same for two times of one period and grows from one to the next.
    pub fn number(self, time: Timestamp) -> i64 {
        let day = time.as_secs().div_euclid(86_400);
        match self {
            Period::Day => day,
            // 1970-01-01 was a Thursday.
            Period::Week => (day + 3).div_euclid(7),
            Period::Month => {
                let text = time.to_rfc3339();
                let field = |range| {
                    text.get(range)
                        .and_then(|t: &str| t.parse::<i64>().ok())
                        .unwrap_or(0)
                };
                field(0..4) * 12 + field(5..7)
            }
        }
    }
}

/// Why `moments` ask for messages at the end of this run: for its outcome, for the period that has ended, or both.
pub fn reasons(moments: &[Moment], outcome: &Outcome, past: &[Outcome]) -> Vec<Reason> {
    let has = |moment| moments.contains(&moment);
    let wanted = has(Moment::Always)
        || match outcome.verdict {
            Verdict::Success => has(Moment::Success),
            Verdict::Deferred => has(Moment::Deferred),
            Verdict::Warning => has(Moment::Warning),
            Verdict::Differences | Verdict::Failed | Verdict::Interrupted => has(Moment::Failure),
        }
        || (has(Moment::Recovery) && is_recovery(outcome, past));
    let digests = [
        (Moment::MonthlyDigest, Period::Month),
        (Moment::WeeklyDigest, Period::Week),
        (Moment::DailyDigest, Period::Day),
    ];
    let ended = |period: Period| {
        past.last()
            .is_some_and(|last| period.number(last.started) < period.number(outcome.started))
    };
    let digest = digests
        .into_iter()
        .find(|(moment, period)| has(*moment) && ended(*period))
        .map(|(_, period)| Reason::Digest(period));
    let told = wanted.then_some(Reason::Outcome);
    told.into_iter().chain(digest).collect()
}

/// Whether `moments` ask for a message about a backup that is too old. Who wants to know of failures wants this too.
pub fn wants_stale(moments: &[Moment]) -> bool {
    [Moment::Stale, Moment::Failure, Moment::Always]
        .iter()
        .any(|moment| moments.contains(moment))
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::night;
    use super::*;
    use Moment::*;

    #[test]
    fn outcomes_are_told_to_those_who_asked() {
        let failed = [night(1, Verdict::Failed)];
        let wants = |moment, verdict, past: &[Outcome]| {
            reasons(&[moment], &night(2, verdict), past) == [Reason::Outcome]
        };
        assert!(wants(Failure, Verdict::Failed, &[]) && wants(Failure, Verdict::Interrupted, &[]));
        assert!(
            wants(Failure, Verdict::Differences, &[]) && !wants(Failure, Verdict::Warning, &[])
        );
        assert!(wants(Warning, Verdict::Warning, &[]) && !wants(Warning, Verdict::Success, &[]));
        assert!(
            wants(Recovery, Verdict::Success, &failed) && !wants(Recovery, Verdict::Success, &[])
        );
        assert!(wants(Always, Verdict::Success, &[]) && wants(Success, Verdict::Success, &[]));
        assert!(!wants(Success, Verdict::Deferred, &[]) && wants(Deferred, Verdict::Deferred, &[]));
    }

    #[test]
    fn a_digest_comes_with_the_first_run_of_a_new_period_only() {
        // Day 0 is 2026-10-20, a Tuesday.
        let past: Vec<Outcome> = (0..6).map(|d| night(d, Verdict::Success)).collect();
        let after = |moments: &[Moment], verdict, nights: usize| {
            let tonight = night(i64::try_from(nights).unwrap(), verdict);
            reasons(moments, &tonight, past.get(..nights).unwrap())
        };
        let weekly = Reason::Digest(Period::Week);
        assert_eq!(after(&[WeeklyDigest], Verdict::Success, 6), [weekly]);
        assert_eq!(after(&[WeeklyDigest], Verdict::Success, 5), []);
        assert_eq!(after(&[MonthlyDigest], Verdict::Success, 6), []);
        assert_eq!(after(&[WeeklyDigest], Verdict::Success, 0), []);
        // A failure in the first run of a period does not cost its digest.
        assert_eq!(
            after(&[WeeklyDigest, Failure], Verdict::Failed, 6),
            [Reason::Outcome, weekly]
        );
    }
}
