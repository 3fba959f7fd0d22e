//! Tells an outcome to people: facts first, then templates, then notifiers.
//!
//! A [`Report`] is made from an [`Outcome`] and the runs before it, and from nothing else, so that it can be told
//! again from history a year later. It never calls the engine.

pub mod cause;
pub mod chart;
pub mod format;
mod headline;
pub mod notify;
pub mod overview;
pub mod render;
pub mod stale;

pub use headline::{headline, put_off};

use crate::engine::monitor::Problem;
use crate::run::outcome::{Outcome, StepOutcome, StepStatus, Verdict};
use chart::Chart;
use serde::Serialize;

/// Problems listed in a report; all are counted.
const LISTED_PROBLEMS: usize = 25;

/// Lines of a hook's output that are shown.
const SHOWN_OUTPUT: usize = 20;

/// Runs listed below the figures.
const LISTED_RUNS: usize = 7;

/// Everything a template may say. Every text is free of control characters and of secrets.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `ok`, `recovered`, `STALE`, `warning`, `differences`, `deferred`, `FAILED`, `interrupted`, `digest`.
    pub status: &'static str,
    /// `good`, `warn`, `bad` or `calm`: the color of the whole.
    pub tone: &'static str,
    /// Name of the profile.
    pub profile: String,
    /// Host it ran on.
    pub host: String,
    /// The batch.
    pub batch: String,
    /// Where backups go.
    pub target: String,
    /// Start of the run.
    pub started: String,
    /// How long it took.
    pub elapsed: String,
    /// What happened, in a few words.
    pub headline: String,
    /// What went wrong, complete.
    pub failures: Vec<FailureLine>,
    /// What to do next.
    pub next_steps: Vec<String>,
    /// Figures of this run beside those of the last one of the same kind.
    pub figures: Vec<Figure>,
    /// Day of the run the figures are held against.
    pub compared_with: Option<String>,
    /// Every step.
    pub steps: Vec<StepLine>,
    /// Problems with entries, the first ones.
    pub problems: Vec<Problem>,
    /// `3 problems`.
    pub problem_count: Option<String>,
    /// Problems that are not listed.
    pub more_problems: Option<String>,
    /// Sets that were removed.
    pub removed: Vec<String>,
    /// Bytes that this freed.
    pub freed: Option<String>,
    /// Bars of stored size and of duration over the last runs.
    pub charts: Vec<Chart>,
    /// The last runs, newest first.
    pub runs: Vec<RunLine>,
    /// Last run that went well, if this one did not.
    pub last_good: Option<String>,
    /// When the next run is due.
    pub next_due: Option<String>,
    /// Last lines of the log.
    pub log: Vec<String>,
    /// How every profile stands, in a digest.
    pub profiles: Vec<ProfileLine>,
    /// That it could not be delivered before, and why.
    pub late: Option<String>,
}

/// A profile in a digest.
#[derive(Debug, Clone, Serialize)]
pub struct ProfileLine {
    /// Its name.
    pub profile: String,
    /// Its last verdict, if it ran in the period.
    pub status: &'static str,
    /// Its color.
    pub tone: &'static str,
    /// Runs of the period, counted by verdict.
    pub runs: String,
    /// How long ago the last good backup was.
    pub last_good: String,
    /// Bytes stored in the period.
    pub stored: String,
}

/// A failure and where it happened.
#[derive(Debug, Clone, Serialize)]
pub struct FailureLine {
    /// The step, or `start` before the first.
    pub step: String,
    /// What failed and why.
    pub message: String,
    /// Last lines a hook printed.
    pub output: Vec<String>,
}

/// A figure of this run and of the one it is held against.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Figure {
    /// What it counts.
    pub name: &'static str,
    /// This run.
    pub value: String,
    /// The other one; empty if there is none.
    pub before: String,
}

/// A step of the run.
#[derive(Debug, Clone, Serialize)]
pub struct StepLine {
    /// Number in the plan.
    pub id: u32,
    /// What it did.
    pub title: String,
    /// `done`, `problems`, `FAILED`, `skipped`, `deferred`, `interrupted`.
    pub status: &'static str,
    /// Its color.
    pub tone: &'static str,
    /// How long it took.
    pub elapsed: String,
    /// Notes.
    pub notes: Vec<String>,
}

/// A past run in one line.
#[derive(Debug, Clone, Serialize)]
pub struct RunLine {
    /// When it began.
    pub started: String,
    /// Its verdict.
    pub status: &'static str,
    /// Its color.
    pub tone: &'static str,
    /// What it did or why it failed.
    pub headline: String,
    /// How long it took.
    pub elapsed: String,
    /// Bytes it stored.
    pub stored: String,
}

impl Report {
    /// The facts of `outcome`, held against the runs before it, oldest first. `log` are its last lines.
    pub fn new(outcome: &Outcome, past: &[Outcome], log: &[String]) -> Self {
        let recovered = is_recovery(outcome, past);
        let status = if recovered {
            "recovered"
        } else if stale::is_stale(outcome) {
            "STALE"
        } else {
            status_word(outcome.verdict)
        };
        let problems: Vec<&Problem> = outcome.steps.iter().flat_map(|s| &s.problems).collect();
        let count = outcome.steps.iter().map(|s| s.problem_count).sum::<u64>();
        let listed = problems.len().min(LISTED_PROBLEMS);
        let more = count.saturating_sub(listed as u64);
        let basis = comparable(outcome, past);
        let removed: Vec<String> = outcome
            .steps
            .iter()
            .flat_map(|s| &s.removed)
            .map(std::string::ToString::to_string)
            .collect();
        let freed: u64 = outcome.steps.iter().map(|s| s.freed_bytes).sum();
        let bad = outcome.verdict >= Verdict::Differences;
        Report {
            status,
            tone: tone(outcome.verdict),
            profile: format::safe(&outcome.profile),
            host: format::safe(&outcome.host),
            batch: format::safe(&outcome.batch),
            target: format::safe(&outcome.target),
            started: format::time(outcome.started),
            elapsed: format::millis(elapsed_ms(outcome)),
            headline: headline(outcome),
            failures: outcome_failures(outcome),
            next_steps: cause::next_steps(outcome)
                .iter()
                .map(|s| format::safe(s))
                .collect(),
            figures: figures(outcome, basis),
            compared_with: basis.map(|o| format::time(o.started)),
            steps: outcome.steps.iter().map(step_line).collect(),
            problems: problems.into_iter().take(listed).map(defused).collect(),
            problem_count: (count > 0).then(|| format::counted(count, "problem")),
            more_problems: (more > 0).then(|| format::count(more)),
            removed,
            freed: (freed > 0).then(|| format::bytes(freed)),
            charts: chart::charts(outcome, past),
            runs: past.iter().rev().take(LISTED_RUNS).map(run_line).collect(),
            last_good: bad.then(|| last_good(outcome, past)).flatten(),
            next_due: outcome.next_due.map(format::time),
            log: log.iter().map(|l| format::safe(l)).collect(),
            profiles: Vec::new(),
            late: None,
        }
    }
}

/// Whether this run went well after one that did not. Runs that were put off are looked past.
pub fn is_recovery(outcome: &Outcome, past: &[Outcome]) -> bool {
    let last = past.iter().rev().find(|o| o.verdict != Verdict::Deferred);
    outcome.verdict <= Verdict::Warning
        && outcome.verdict != Verdict::Deferred
        && last.is_some_and(|o| o.verdict >= Verdict::Differences)
}

/// The word of a verdict, as it begins subjects and last lines.
pub fn status_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Success => "ok",
        Verdict::Deferred => "deferred",
        Verdict::Warning => "warning",
        Verdict::Differences => "DIFFERENCES",
        Verdict::Failed => "FAILED",
        Verdict::Interrupted => "interrupted",
    }
}

fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Success => "good",
        Verdict::Deferred => "calm",
        Verdict::Warning => "warn",
        Verdict::Differences | Verdict::Failed | Verdict::Interrupted => "bad",
    }
}

/// Milliseconds from the start to the end of a run; its clock counts whole seconds, its steps are finer.
pub fn elapsed_ms(outcome: &Outcome) -> u64 {
    let seconds = outcome
        .ended
        .as_secs()
        .saturating_sub(outcome.started.as_secs());
    let clock = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    clock.max(outcome.steps.iter().map(|s| s.elapsed_ms).sum())
}

fn outcome_failures(outcome: &Outcome) -> Vec<FailureLine> {
    let start = outcome.failure.iter().map(|f| FailureLine {
        step: "start".to_owned(),
        message: format::safe(&f.message),
        output: Vec::new(),
    });
    let steps = outcome.steps.iter().filter_map(|s| {
        let failure = s.failure.as_ref()?;
        let skipped = s.output.len().saturating_sub(SHOWN_OUTPUT);
        Some(FailureLine {
            step: format::safe(&s.title),
            message: format::safe(&failure.message),
            output: s
                .output
                .iter()
                .skip(skipped)
                .map(|l| format::safe(l))
                .collect(),
        })
    });
    start.chain(steps).collect()
}

/// The last run that went well and made a set, if this one did, of the same kind where there is one.
fn comparable<'a>(outcome: &Outcome, past: &'a [Outcome]) -> Option<&'a Outcome> {
    let kind = |o: &Outcome| o.steps.iter().find_map(|s| s.set).map(|s| s.is_full());
    let this = kind(outcome)?;
    let backups = || {
        past.iter()
            .rev()
            .filter(|o| o.verdict <= Verdict::Warning && kind(o).is_some())
    };
    backups()
        .find(|o| kind(o) == Some(this))
        .or_else(|| backups().next())
}

fn figures(outcome: &Outcome, basis: Option<&Outcome>) -> Vec<Figure> {
    let backup = |o: &Outcome| o.steps.iter().find_map(|s| s.backup.clone());
    let mut list = Vec::new();
    if let Some(now) = backup(outcome) {
        let before = basis.and_then(backup);
        let mut add = |name, value: &dyn Fn(&crate::engine::stats::BackupStats) -> String| {
            list.push(Figure {
                name,
                value: value(&now),
                before: before.as_ref().map(value).unwrap_or_default(),
            });
        };
        add("Entries looked at", &|s| format::count(s.source_entries));
        add("New", &|s| format::count(s.new_entries));
        add("Changed", &|s| format::count(s.changed_entries));
        add("Deleted", &|s| format::count(s.deleted_entries));
        add("Source", &|s| format::bytes(s.source_bytes));
        add("Stored", &|s| format::bytes(s.stored_bytes));
        add("Volumes", &|s| format::count(s.volumes));
        add("Problems", &|s| format::count(s.problems));
    }
    if !list.is_empty() {
        let before = basis
            .map(|o| format::millis(elapsed_ms(o)))
            .unwrap_or_default();
        list.push(Figure {
            name: "Duration",
            value: format::millis(elapsed_ms(outcome)),
            before,
        });
    }
    for stats in outcome.steps.iter().filter_map(|s| s.restore.as_ref()) {
        let mut add = |name, value| {
            list.push(Figure {
                name,
                value,
                before: String::new(),
            })
        };
        add("Entries read back", format::count(stats.entries));
        add("Content read back", format::bytes(stats.content_bytes));
        add("Differences", format::count(stats.differences));
    }
    list
}

fn step_line(step: &StepOutcome) -> StepLine {
    let (status, tone) = match step.status {
        StepStatus::Done => ("done", "good"),
        StepStatus::Warning => ("problems", "warn"),
        StepStatus::Failed => ("FAILED", "bad"),
        StepStatus::Skipped => ("skipped", "calm"),
        StepStatus::Deferred => ("deferred", "calm"),
        StepStatus::Interrupted => ("interrupted", "bad"),
    };
    StepLine {
        id: step.id,
        title: format::safe(&step.title),
        status,
        tone,
        elapsed: if step.status == StepStatus::Skipped {
            String::new()
        } else {
            format::millis(step.elapsed_ms)
        },
        notes: step.notes.iter().map(|n| format::safe(n)).collect(),
    }
}

fn run_line(outcome: &Outcome) -> RunLine {
    let stored: u64 = outcome
        .steps
        .iter()
        .filter_map(|s| s.backup.as_ref())
        .map(|b| b.stored_bytes)
        .sum();
    RunLine {
        started: format::time(outcome.started),
        status: status_word(outcome.verdict),
        tone: tone(outcome.verdict),
        headline: headline(outcome),
        elapsed: format::millis(elapsed_ms(outcome)),
        stored: if stored > 0 {
            format::bytes(stored)
        } else {
            String::new()
        },
    }
}

fn last_good(outcome: &Outcome, past: &[Outcome]) -> Option<String> {
    let good = overview::newest_whole(past.iter().chain([outcome]))?;
    Some(format!(
        "{} ({})",
        format::time(good),
        format::age(good, outcome.ended)
    ))
}

fn defused(problem: &Problem) -> Problem {
    Problem {
        kind: problem.kind,
        path: format::safe(&problem.path),
        reason: format::safe(&problem.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::ErrorKind;
    use crate::engine::format::SetId;
    use crate::engine::monitor::ProblemKind;
    use crate::engine::stats::BackupStats;
    use crate::engine::time::Timestamp;
    use crate::run::outcome::Failure;

    /// A run of a nightly backup, `day` days after the first.
    pub fn night(day: i64, verdict: Verdict) -> Outcome {
        let start = Timestamp(1_792_462_620).plus(day * 86_400);
        let full = day % 30 == 0;
        let noise = (day * 7919 % 97) as u64;
        let mut outcome = Outcome {
            schema: 1,
            profile: "home".into(),
            host: "nas1".into(),
            batch: "backup_purge".into(),
            target: "sftp://me@nas.local//backups/home".into(),
            started: start,
            ended: start.plus(if full { 5400 } else { 200 + noise as i64 * 5 }),
            verdict,
            steps: Vec::new(),
            failure: None,
            next_due: Some(start.plus(86_400)),
        };
        let mut backup = StepOutcome::new(
            1,
            "bkp",
            if full {
                "backup full"
            } else {
                "backup incremental"
            },
            StepStatus::Done,
        );
        backup.elapsed_ms = if full {
            5_400_000
        } else {
            200_000 + noise * 5000
        };
        if verdict <= Verdict::Warning {
            backup.set = Some(if full {
                SetId::Full { time: start }
            } else {
                SetId::Incremental {
                    start: start.plus(-86_400),
                    end: start,
                }
            });
            backup.backup = Some(BackupStats {
                time: start,
                source_entries: 184_203 + noise,
                source_bytes: 231_000_000_000,
                new_entries: 412 + noise,
                changed_entries: 90 + noise,
                deleted_entries: 12,
                stored_bytes: if full {
                    96_000_000_000
                } else {
                    300_000_000 + noise * 22_000_000
                },
                volumes: 4,
                ..BackupStats::default()
            });
        } else {
            backup.status = StepStatus::Failed;
            backup.failure = Some(Failure {
                kind: Some(ErrorKind::Full),
                message: "cannot put duplicity-inc.vol3.difftar.gpg to sftp://me@nas.local//backups/home: no space left on device".into(),
                hint: None,
            });
        }
        if verdict == Verdict::Warning {
            backup.status = StepStatus::Warning;
            backup.problem_count = 2;
            backup.problems = vec![
                Problem {
                    kind: ProblemKind::Unreadable,
                    path: "Mail/<b>lock</b>".into(),
                    reason: "permission denied".into(),
                },
                Problem {
                    kind: ProblemKind::ChangedWhileRead,
                    path: "db/data.ibd".into(),
                    reason: "changed while it was read".into(),
                },
            ];
        }
        outcome.steps.push(backup);
        outcome
    }

    #[test]
    fn a_failure_says_what_and_what_next() {
        let past = [night(0, Verdict::Success), night(1, Verdict::Success)];
        let report = Report::new(&night(2, Verdict::Failed), &past, &[]);
        assert_eq!(
            (report.status, report.headline.as_str()),
            ("FAILED", "target full")
        );
        assert!(report.failures[0].message.contains("no space left"));
        assert!(report.next_steps[0].contains("dupr home purge --plan"));
        assert_eq!(
            report.last_good.as_deref(),
            Some("2026-10-21 02:17 UTC (24 h ago)")
        );
    }

    #[test]
    fn figures_stand_beside_the_last_run_of_the_same_kind() {
        let past = [night(29, Verdict::Success), night(30, Verdict::Success)];
        let report = Report::new(&night(31, Verdict::Success), &past, &[]);
        assert_eq!(report.compared_with, Some(format::time(past[0].started)));
        assert!(
            report
                .figures
                .iter()
                .any(|f| f.name == "Deleted" && f.value == "12" && f.before == "12")
        );
        assert!(
            report.headline.starts_with("incremental, "),
            "{}",
            report.headline
        );
    }

    #[test]
    fn the_first_good_run_after_a_failure_is_a_recovery() {
        let failed = [night(1, Verdict::Failed), night(2, Verdict::Deferred)];
        assert!(is_recovery(&night(3, Verdict::Success), &failed));
        assert!(!is_recovery(&night(3, Verdict::Failed), &failed));
        assert!(!is_recovery(
            &night(3, Verdict::Success),
            &[night(2, Verdict::Success)]
        ));
        assert_eq!(
            Report::new(&night(3, Verdict::Success), &failed, &[]).status,
            "recovered"
        );
    }

    #[test]
    fn a_run_that_never_began_is_told() {
        let mut outcome = night(1, Verdict::Failed);
        outcome.steps.clear();
        outcome.failure = Some(Failure {
            kind: Some(ErrorKind::Locked),
            message: "process 4711 holds the lock".into(),
            hint: None,
        });
        let report = Report::new(&outcome, &[], &[]);
        assert_eq!(report.headline, "locked by another run");
        assert_eq!(report.failures[0].step, "start");
        assert!(report.charts.is_empty());
    }
}
