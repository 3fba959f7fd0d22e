//! The runs of a day, week or month of all profiles, summed up.

use super::when::Period;
use crate::engine::time::Timestamp;
use crate::report::{ProfileLine, Report, format, overview, run_line, status_word, tone};
use crate::run::outcome::{Outcome, Verdict};

/// Runs that are listed; all are counted.
const LISTED: usize = 50;

/// A digest of the period with this number over the histories of `everyone`. `outcome` is the run it is sent with, `past`
/// the history of its profile, which is looked at if there is no other.
pub fn report(
    period: Period,
    number: i64,
    outcome: &Outcome,
    past: &[Outcome],
    everyone: &[Vec<Outcome>],
) -> Report {
    let mut report = Report::new(outcome, &[], &[]);
    let own = [past.to_vec()];
    let everyone = if everyone.is_empty() {
        &own[..]
    } else {
        everyone
    };
    let in_period = |o: &&Outcome| period.number(o.started) == number;
    let mut runs: Vec<&Outcome> = everyone.iter().flatten().filter(in_period).collect();
    runs.sort_by_key(|o| o.started);
    let profiles: Vec<ProfileLine> = everyone
        .iter()
        .filter_map(|history| {
            let runs: Vec<&Outcome> = history.iter().filter(in_period).collect();
            let last = history
                .iter()
                .rev()
                .find(|o| period.number(o.started) <= number)?;
            Some(line(last, &runs, history, outcome.ended))
        })
        .collect();
    let worst = runs.iter().map(|o| o.verdict).max();
    report.status = "digest";
    report.tone = worst.map_or("calm", tone);
    if profiles.len() > 1 {
        report.profile = "all profiles".to_owned();
    }
    report.headline = summary(period, &runs);
    report.runs = runs
        .iter()
        .rev()
        .take(LISTED)
        .map(|o| run_line(o))
        .collect();
    report.profiles = profiles;
    // All of this is of one run.
    report.failures.clear();
    report.next_steps.clear();
    report.figures.clear();
    report.steps.clear();
    report.problems.clear();
    report.problem_count = None;
    report.more_problems = None;
    report.removed.clear();
    report.freed = None;
    report.charts.clear();
    report.last_good = None;
    report
}

fn line(last: &Outcome, runs: &[&Outcome], history: &[Outcome], now: Timestamp) -> ProfileLine {
    let good = overview::newest_whole(history.iter());
    let stored: u64 = runs
        .iter()
        .flat_map(|o| &o.steps)
        .filter_map(|s| Some(s.backup.as_ref()?.stored_bytes))
        .sum();
    // How it went before says nothing of a period in which it did not run.
    let (status, tone) = match runs {
        [] => ("no run", "warn"),
        _ => (status_word(last.verdict), tone(last.verdict)),
    };
    ProfileLine {
        profile: format::safe(&last.profile),
        status,
        tone,
        runs: counts(runs),
        last_good: good.map_or_else(|| "never".to_owned(), |t| format::age(t, now)),
        stored: format::bytes(stored),
    }
}

/// `weekly digest: 7 runs, 6 ok, 1 FAILED`.
fn summary(period: Period, runs: &[&Outcome]) -> String {
    format!("{} digest: {}", period.word(), counts(runs))
}

/// `7 runs, 6 ok, 1 FAILED`.
fn counts(runs: &[&Outcome]) -> String {
    let mut text = format::counted(runs.len() as u64, "run");
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

    #[test]
    fn a_digest_counts_the_runs_of_its_period_in_all_profiles() {
        let mut home: Vec<Outcome> = (0..6).map(|d| night(d, Verdict::Success)).collect();
        home[3].verdict = Verdict::Failed;
        let now = night(6, Verdict::Success);
        let number = Period::Week.number(home[5].started);
        let alone = report(Period::Week, number, &now, &home, &[]);
        assert_eq!(alone.headline, "weekly digest: 6 runs, 5 ok, 1 FAILED");
        assert_eq!((alone.runs.len(), alone.profile.as_str()), (6, "home"));
        let mut www: Vec<Outcome> = (0..2).map(|d| night(d, Verdict::Success)).collect();
        www.iter_mut().for_each(|o| o.profile = "www".into());
        let all = report(Period::Week, number, &now, &home, &[home.clone(), www]);
        assert_eq!(all.headline, "weekly digest: 8 runs, 7 ok, 1 FAILED");
        assert_eq!(
            (all.profile.as_str(), all.status, all.tone),
            ("all profiles", "digest", "bad")
        );
        let lines: Vec<(&str, &str)> = all
            .profiles
            .iter()
            .map(|p| (p.profile.as_str(), p.runs.as_str()))
            .collect();
        assert_eq!(
            lines,
            [("home", "6 runs, 5 ok, 1 FAILED"), ("www", "2 runs, 2 ok")]
        );
        assert!(all.figures.is_empty() && all.steps.is_empty());
    }

    #[test]
    fn a_digest_tells_who_did_not_run_and_what_is_damaged() {
        let mut home: Vec<Outcome> = (0..20).map(|d| night(d, Verdict::Success)).collect();
        let mut old: Vec<Outcome> = (0..2).map(|d| night(d, Verdict::Success)).collect();
        old.iter_mut().for_each(|o| o.profile = "old".into());
        let number = Period::Week.number(home[18].started);
        let damaged = home[18].steps.iter().find_map(|s| s.set).unwrap();
        let mut check = night(19, Verdict::Failed);
        for step in &mut check.steps {
            (step.set, step.backup) = (None, None);
            step.damaged = Some(vec![damaged]);
        }
        home[19] = check;
        let now = night(21, Verdict::Success);
        let told = report(Period::Week, number, &now, &home, &[home.clone(), old]);
        let lines: Vec<(&str, &str, &str)> = told
            .profiles
            .iter()
            .map(|p| (p.profile.as_str(), p.status, p.tone))
            .collect();
        assert_eq!(
            lines,
            [("home", "FAILED", "bad"), ("old", "no run", "warn")]
        );
        assert_eq!(told.profiles[1].runs, "0 runs");
        let good = format::age(home[17].started, now.ended);
        assert_eq!(told.profiles[0].last_good, good);
    }
}
