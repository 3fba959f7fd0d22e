//! The last lines of a run: at most twelve, the verdict first.

use crate::report::{cause, elapsed_ms, format, headline, put_off, status_word};
use crate::run::outcome::{MEMBER_STEP, Outcome, StepOutcome, Verdict};

/// Longest summary.
pub const MOST_LINES: usize = 12;

/// Failures that are told with their reasons.
const SHOWN_FAILURES: usize = 2;

/// The summary of a run. `troubles` are reports that could not be sent and the like.
pub fn summary(outcome: &Outcome, troubles: &[String]) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} {} in {}",
        status_word(outcome.verdict),
        outcome.profile,
        outcome.batch,
        format::millis(elapsed_ms(outcome))
    )];
    let mut add = |name: &str, text: String| lines.push(format!("  {name:<9} {text}"));
    for (step, failure) in cause::failures(outcome).take(SHOWN_FAILURES) {
        let step = step.map(|s| format!("{s}: ")).unwrap_or_default();
        add("failed", format!("{step}{}", failure.message));
    }
    let more = cause::failures(outcome).skip(SHOWN_FAILURES).count();
    if more > 0 {
        let text = format!(
            "and {more} more: `dupr history {} --report 1` has them",
            outcome.profile
        );
        add("failed", text);
    }
    if let Some(why) = put_off(outcome) {
        add("because", why);
    }
    if outcome.steps.iter().any(|s| s.command == MEMBER_STEP) {
        add("group", headline(outcome));
    }
    if let Some(step) = outcome.steps.iter().rev().find(|s| s.backup.is_some()) {
        backup(step, outcome, &mut add);
    } else if let Some(stats) = outcome.steps.iter().rev().find_map(|s| s.restore.as_ref()) {
        let compares = outcome.steps.iter().any(super::compares);
        let differences = match stats.differences {
            // Without a word for it, silence could mean that nothing was compared.
            0 if compares => ", no differences".to_owned(),
            0 => String::new(),
            n => format!(", {}", format::counted(n, "difference")),
        };
        let entries = format::counted(stats.entries, "entry");
        add(
            "read",
            format!(
                "{entries}, {}{differences}",
                format::bytes(stats.content_bytes)
            ),
        );
    }
    for stats in outcome.steps.iter().filter_map(|s| s.replica.as_ref()) {
        let sets = format::counted(stats.sets.len() as u64, "set");
        let volumes = format::counted(stats.volumes, "volume");
        add(
            "copied",
            format!(
                "{sets} in {volumes}, {}, read back; {} there already",
                format::bytes(stats.bytes),
                format::count(stats.already)
            ),
        );
    }
    let removed: usize = outcome.steps.iter().map(|s| s.removed.len()).sum();
    let freed: u64 = outcome.steps.iter().map(|s| s.freed_bytes).sum();
    if freed > 0 {
        add(
            "removed",
            format!(
                "{}, {} freed",
                format::counted(removed as u64, "set"),
                format::bytes(freed)
            ),
        );
    } else if removed > 0 {
        add(
            "removable",
            format!(
                "{}; --force removes what is listed",
                format::counted(removed as u64, "set")
            ),
        );
    }
    let problems: u64 = outcome.steps.iter().map(|s| s.problem_count).sum();
    if problems > 0 {
        let first = outcome.steps.iter().flat_map(|s| &s.problems).next();
        let first = first.map(|p| format!(", first: {p}")).unwrap_or_default();
        add("problems", format!("{}{first}", format::count(problems)));
    }
    for trouble in troubles.iter().take(2) {
        add("report", trouble.clone());
    }
    if outcome.verdict >= Verdict::Differences
        && let Some(text) = cause::next_steps(outcome).into_iter().next()
    {
        add("next step", text);
    }
    if let Some(due) = outcome.next_due {
        add(
            "next run",
            format!(
                "{} ({})",
                format::time(due),
                format::age(due, outcome.ended)
            ),
        );
    }
    lines.truncate(MOST_LINES);
    lines.iter().map(|l| format::safe(l)).collect()
}

fn backup(step: &StepOutcome, outcome: &Outcome, add: &mut dyn FnMut(&str, String)) {
    let Some(stats) = &step.backup else { return };
    if let Some(set) = step.set {
        add("set", format!("{set} → {}", outcome.target));
    }
    let changed = stats.new_entries + stats.changed_entries;
    let unchanged = stats.source_entries.saturating_sub(changed);
    add(
        "entries",
        format!(
            "{} new, {} changed, {} deleted, {} unchanged",
            format::count(stats.new_entries),
            format::count(stats.changed_entries),
            format::count(stats.deleted_entries),
            format::count(unchanged)
        ),
    );
    add(
        "source",
        format!(
            "{} in {}",
            format::bytes(stats.source_bytes),
            format::counted(stats.source_entries, "entry")
        ),
    );
    let ratio = format::ratio(stats.raw_delta_bytes, stats.stored_bytes);
    let ratio = if ratio.is_empty() {
        ratio
    } else {
        format!(" ({ratio})")
    };
    let volumes = format::counted(stats.volumes, "volume");
    add(
        "stored",
        format!("{} in {volumes}{ratio}", format::bytes(stats.stored_bytes)),
    );
    if stats.resumed_volumes > 0 {
        add(
            "resumed",
            format!(
                "{} of an interrupted run",
                format::counted(stats.resumed_volumes, "volume")
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::ErrorKind;
    use crate::engine::format::SetId;
    use crate::engine::monitor::{Problem, ProblemKind};
    use crate::engine::path::PathIndex;
    use crate::engine::stats::BackupStats;
    use crate::engine::time::Timestamp;
    use crate::run::outcome::{Failure, StepStatus};

    fn outcome() -> Outcome {
        let start = Timestamp(1_795_211_663);
        let mut step = StepOutcome::new(1, "bkp", "backup full", StepStatus::Done);
        step.set = Some(SetId::Full { time: start });
        step.backup = Some(BackupStats {
            source_entries: 1000,
            source_bytes: 5 << 30,
            new_entries: 12,
            changed_entries: 3,
            deleted_entries: 1,
            raw_delta_bytes: 240 << 20,
            stored_bytes: 100 << 20,
            volumes: 1,
            resumed_volumes: 1,
            ..BackupStats::default()
        });
        Outcome {
            schema: 1,
            profile: "home".into(),
            host: "h".into(),
            batch: "backup_purge".into(),
            target: "file:///b".into(),
            started: start,
            ended: start.plus(182),
            verdict: Verdict::Success,
            steps: vec![step],
            failure: None,
            next_due: Some(start.plus(86_400)),
        }
    }

    #[test]
    fn a_good_run() {
        assert_eq!(
            summary(&outcome(), &[]),
            [
                "ok: home backup_purge in 3 min 02 s",
                "  set       full 2026-11-20T21:54:23Z → file:///b",
                "  entries   12 new, 3 changed, 1 deleted, 985 unchanged",
                "  source    5.0 GiB in 1,000 entries",
                "  stored    100.0 MiB in 1 volume (2.4:1)",
                "  resumed   1 volume of an interrupted run",
                "  next run  2026-11-21 21:54 UTC (in 23 h)",
            ]
        );
    }

    #[test]
    fn everything_at_once_fits_twelve_lines() {
        let mut all = outcome();
        all.verdict = Verdict::Failed;
        for (id, name) in [(2, "hook finally"), (3, "cleanup"), (4, "sync")] {
            let mut step = StepOutcome::new(id, "x", name, StepStatus::Failed);
            step.failure = Some(Failure {
                kind: Some(ErrorKind::Full),
                message: "no space\nleft".into(),
                hint: None,
            });
            step.removed = vec![SetId::Full { time: Timestamp(0) }];
            step.freed_bytes = 5;
            step.problem_count = 3;
            step.problems = vec![Problem::new(
                ProblemKind::Unreadable,
                &PathIndex::root(),
                "denied",
            )];
            all.steps.push(step);
        }
        let lines = summary(&all, &["cannot send".into(), "again".into()]);
        assert!(lines.len() <= MOST_LINES);
        assert_eq!(lines[0], "FAILED: home backup_purge in 3 min 02 s");
        assert_eq!(lines[1], "  failed    hook finally: no space\\nleft");
        assert_eq!(
            lines[3],
            "  failed    and 1 more: `dupr history home --report 1` has them"
        );
        assert!(
            lines
                .iter()
                .any(|l| l.contains("problems  9, first: .: denied")),
            "{lines:#?}"
        );
    }
}
