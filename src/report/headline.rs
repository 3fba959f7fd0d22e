//! An outcome in a few words, as subjects, lines of status and summaries have it.

use super::{cause, format, stale};
use crate::run::outcome::{MEMBER_STEP, Outcome, StepOutcome, StepStatus, Verdict};

/// What happened, in a few words: the failure, or what was backed up.
pub fn headline(outcome: &Outcome) -> String {
    if let Some(text) = of_members(outcome) {
        return format::safe(&text);
    }
    let text = match cause::failures(outcome).next() {
        Some((_, failure)) if outcome.verdict != Verdict::Success => {
            cause::headline(failure, &outcome.target)
        }
        _ if outcome.batch == stale::BATCH => {
            let titles = outcome.steps.iter().map(|s| s.title.clone());
            titles.collect::<Vec<_>>().join(", ")
        }
        _ => put_off(outcome).unwrap_or_else(|| deeds(outcome)),
    };
    format::safe(&text)
}

/// How the members of a group did; `None` if it is no group's outcome or they were not what failed.
fn of_members(outcome: &Outcome) -> Option<String> {
    let members = outcome.steps.iter().filter(|s| s.command == MEMBER_STEP);
    let members: Vec<&StepOutcome> = members.collect();
    let failed: Vec<&&StepOutcome> = members
        .iter()
        .filter(|s| matches!(s.status, StepStatus::Failed | StepStatus::Interrupted))
        .collect();
    let count = format::counted(members.len() as u64, "profile");
    match failed.first() {
        Some(first) => {
            let why = match &first.failure {
                Some(failure) => cause::headline(failure, &outcome.target),
                None => first.notes.join("; "),
            };
            Some(format!(
                "{} of {count} failed: {}: {why}",
                failed.len(),
                first.title
            ))
        }
        None if members.is_empty() || outcome.verdict >= Verdict::Differences => None,
        None => {
            let of = |status| members.iter().filter(|s| s.status == status).count();
            let words = [
                (StepStatus::Done, "ok"),
                (StepStatus::Warning, "with problems"),
                (StepStatus::Deferred, "put off"),
                (StepStatus::Skipped, "not begun"),
            ];
            let parts = words.into_iter().filter(|(status, _)| of(*status) > 0);
            let parts: Vec<String> = parts
                .map(|(status, word)| format!("{} {word}", of(status)))
                .collect();
            Some(format!("{count}: {}", parts.join(", ")))
        }
    }
}

/// Why a run was put off, if it was.
pub fn put_off(outcome: &Outcome) -> Option<String> {
    let mut steps = outcome.steps.iter();
    let step = steps.find(|s| s.status == StepStatus::Deferred && !s.notes.is_empty())?;
    (outcome.verdict == Verdict::Deferred).then(|| step.notes.join("; "))
}

/// What a run without failures did.
fn deeds(outcome: &Outcome) -> String {
    let problems: u64 = outcome.steps.iter().map(|s| s.problem_count).sum();
    let mut parts = Vec::new();
    for step in &outcome.steps {
        if let Some(stats) = &step.backup {
            let kind = match step.set {
                Some(set) if set.is_full() => "full",
                Some(_) => "incremental",
                None => "backup",
            };
            let changes = stats.new_entries + stats.changed_entries + stats.deleted_entries;
            parts.push(format!(
                "{kind}, {}, {} stored",
                format::counted(changes, "change"),
                format::bytes(stats.stored_bytes)
            ));
        }
        if let Some(stats) = &step.replica {
            let sets = format::counted(stats.sets.len() as u64, "set");
            parts.push(format!("{sets} copied, {}", format::bytes(stats.bytes)));
        }
        if let Some(stats) = step.restore.as_ref().filter(|s| s.differences > 0) {
            parts.push(format::counted(stats.differences, "difference"));
        } else if let Some(stats) = &step.restore {
            parts.push(format!(
                "{} read back, {}",
                format::counted(stats.entries, "entry"),
                format::bytes(stats.content_bytes)
            ));
        }
        if step.freed_bytes > 0 {
            parts.push(format!(
                "{} removed",
                format::counted(step.removed.len() as u64, "set")
            ));
        }
    }
    if problems > 0 {
        parts.push(format::counted(problems, "problem"));
    }
    if parts.is_empty() {
        let done = outcome
            .steps
            .iter()
            .filter(|s| s.status == StepStatus::Done)
            .count();
        parts.push(format!("{} done", format::counted(done as u64, "step")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::night;
    use super::*;

    fn group(members: &[(&str, StepStatus)]) -> Outcome {
        let mut outcome = night(0, Verdict::Success);
        outcome.steps = members
            .iter()
            .map(|(name, status)| StepOutcome::new(1, MEMBER_STEP, *name, *status))
            .collect();
        outcome
    }

    #[test]
    fn a_group_counts_its_members() {
        let (ok, bad) = (StepStatus::Done, StepStatus::Failed);
        let mut outcome = group(&[("a backup", ok), ("b backup", StepStatus::Deferred)]);
        assert_eq!(headline(&outcome), "2 profiles: 1 ok, 1 put off");
        outcome = group(&[("a backup", ok), ("b backup", bad)]);
        outcome.verdict = Verdict::Failed;
        outcome.steps[1].failure = night(1, Verdict::Failed).steps[0].failure.clone();
        let text = headline(&outcome);
        assert_eq!(text, "1 of 2 profiles failed: b backup: target full");
    }

    #[test]
    fn a_run_that_was_put_off_says_why() {
        let mut outcome = group(&[]);
        let mut step = StepOutcome::new(0, "require", "conditions", StepStatus::Deferred);
        step.notes.push("on battery".to_owned());
        outcome.steps.push(step);
        outcome.verdict = Verdict::Deferred;
        assert_eq!(headline(&outcome), "on battery");
    }
}
