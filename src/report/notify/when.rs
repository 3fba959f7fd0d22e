//! Which outcomes are worth a message. Pure.

use super::super::{Report, format, is_recovery, status_word};
use crate::engine::time::Timestamp;
use crate::profile::MailMoment;
use crate::run::outcome::{Outcome, Verdict};

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Because of how this run ended.
    Outcome,
    /// It is the first run of a new day, week or month: the runs since then are summed up.
    Digest(Period),
}

/// What a digest sums up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A day, in UTC.
    Day,
    /// A week that begins on Monday, in UTC.
    Week,
    /// A month, in UTC.
    Month,
}

impl Period {
    fn word(self) -> &'static str {
        match self {
            Period::Day => "daily",
            Period::Week => "weekly",
            Period::Month => "monthly",
        }
    }

    /// A number that is the same for two times of one period and grows from one to the next.
    fn number(self, time: Timestamp) -> i64 {
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

/// Why `moments` ask for a message about this outcome, if they do. An outcome outweighs a digest.
pub fn reason(moments: &[MailMoment], outcome: &Outcome, past: &[Outcome]) -> Option<Reason> {
    let has = |moment| moments.contains(&moment);
    let wanted = has(MailMoment::Always)
        || match outcome.verdict {
            Verdict::Success => has(MailMoment::Success),
            Verdict::Deferred => has(MailMoment::Deferred),
            Verdict::Warning => has(MailMoment::Warning),
            Verdict::Differences | Verdict::Failed | Verdict::Interrupted => {
                has(MailMoment::Failure)
            }
        }
        || (has(MailMoment::Recovery) && is_recovery(outcome, past));
    if wanted {
        return Some(Reason::Outcome);
    }
    let digests = [
        (MailMoment::MonthlyDigest, Period::Month),
        (MailMoment::WeeklyDigest, Period::Week),
        (MailMoment::DailyDigest, Period::Day),
    ];
    let last = past.last()?;
    digests
        .into_iter()
        .find(|(moment, period)| {
            has(*moment) && period.number(last.started) < period.number(outcome.started)
        })
        .map(|(_, period)| Reason::Digest(period))
}

/// The report for an outcome, turned into a digest where that is the reason.
pub fn report(reason: Reason, outcome: &Outcome, past: &[Outcome], log: &[String]) -> Report {
    let mut report = Report::new(outcome, past, log);
    if let Reason::Digest(period) = reason
        && let Some(last) = past.last()
    {
        let number = period.number(last.started);
        let runs: Vec<&Outcome> = past
            .iter()
            .filter(|o| period.number(o.started) == number)
            .collect();
        report.headline = summary(period, &runs);
        report.runs = runs
            .iter()
            .rev()
            .map(|o| super::super::run_line(o))
            .collect();
    }
    report
}

/// `weekly digest: 7 runs, 6 ok, 1 FAILED`.
fn summary(period: Period, runs: &[&Outcome]) -> String {
    let mut text = format!(
        "{} digest: {}",
        period.word(),
        format::counted(runs.len() as u64, "run")
    );
    let verdicts = [
        Verdict::Success,
        Verdict::Warning,
        Verdict::Deferred,
        Verdict::Differences,
        Verdict::Failed,
        Verdict::Interrupted,
    ];
    for verdict in verdicts {
        let count = runs.iter().filter(|o| o.verdict == verdict).count();
        if count > 0 {
            text.push_str(&format!(", {count} {}", status_word(verdict)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::night;
    use super::*;
    use MailMoment::*;

    #[test]
    fn outcomes_are_told_to_those_who_asked() {
        let failed = [night(1, Verdict::Failed)];
        let wants = |moment, verdict, past: &[Outcome]| {
            reason(&[moment], &night(2, verdict), past).is_some()
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
        assert_eq!(
            reason(&[WeeklyDigest], &night(6, Verdict::Success), &past),
            Some(Reason::Digest(Period::Week))
        );
        assert_eq!(
            reason(&[WeeklyDigest], &night(5, Verdict::Success), &past[..5]),
            None
        );
        assert_eq!(
            reason(&[MonthlyDigest], &night(6, Verdict::Success), &past),
            None
        );
        assert_eq!(
            reason(&[WeeklyDigest], &night(6, Verdict::Success), &[]),
            None
        );
        let both = [WeeklyDigest, Failure];
        assert_eq!(
            reason(&both, &night(6, Verdict::Failed), &past),
            Some(Reason::Outcome)
        );
    }

    #[test]
    fn a_digest_counts_the_runs_of_its_period() {
        let mut past: Vec<Outcome> = (0..6).map(|d| night(d, Verdict::Success)).collect();
        past[3].verdict = Verdict::Failed;
        let report = report(
            Reason::Digest(Period::Week),
            &night(6, Verdict::Success),
            &past,
            &[],
        );
        assert_eq!(report.headline, "weekly digest: 6 runs, 5 ok, 1 FAILED");
        assert_eq!(report.runs.len(), 6);
    }
}
