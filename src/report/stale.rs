//! Backups that are stale although nothing ran: when that is told, and as what. Pure.
//!
//! It is told through the same reports as a run, as an outcome of the batch [`BATCH`] that failed; who asked for
//! failures gets it. It is told once, and again every week it lasts; its end is told as a recovery.

use super::overview::{Overview, Standing};
use crate::engine::time::Timestamp;
use crate::profile::Profile;
use crate::run::outcome::{Failure, Outcome, StepOutcome, StepStatus, Verdict};
use crate::run::runner::OUTCOME_SCHEMA;

/// The batch of such outcomes.
pub const BATCH: &str = "watch";

/// Seconds after which what still holds is told again.
const AGAIN: i64 = 7 * 86_400;

/// What is to be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The backup is stale.
    Stale,
    /// It was told to be stale, and is not any more.
    Over,
    /// Nothing that was not told already.
    Nothing,
}

/// What is to be told of a profile that stands like this; `told` is when it was last told to be stale.
pub fn news(standing: Standing, told: Option<Timestamp>, now: Timestamp) -> News {
    match (standing, told) {
        // A profile that cannot be used says nothing of its backups.
        (Standing::Broken, _) => News::Nothing,
        (Standing::Stale, Some(told)) if now.as_secs() - told.as_secs() < AGAIN => News::Nothing,
        (Standing::Stale, _) => News::Stale,
        (_, Some(_)) => News::Over,
        (_, None) => News::Nothing,
    }
}

/// Whether an outcome is that of a stale backup and not of a run.
pub fn is_stale(outcome: &Outcome) -> bool {
    outcome.batch == BATCH && outcome.verdict == Verdict::Failed
}

/// A stale backup, as an outcome.
pub fn outcome(profile: &Profile, view: &Overview, host: &str, now: Timestamp) -> Outcome {
    let failure = Failure {
        kind: None,
        message: view.note.clone(),
        hint: Some(format!(
            "see what should start it: `dupr schedule show`, and what became of it: `dupr history {}`",
            profile.name
        )),
    };
    Outcome {
        schema: OUTCOME_SCHEMA,
        profile: profile.name.clone(),
        host: host.to_owned(),
        batch: BATCH.to_owned(),
        target: profile.target.url.masked().to_owned(),
        started: now,
        ended: now,
        verdict: Verdict::Failed,
        steps: Vec::new(),
        failure: Some(failure),
        next_due: view.next_due,
    }
}

/// Its end. The runs before it must end with the outcome that was told, so that it is seen as a recovery.
pub fn over(stale: &Outcome, view: &Overview) -> Outcome {
    let good = view.last_good.map_or("a run took place".to_owned(), |t| {
        format!("last good set {}", super::format::time(t))
    });
    let title = format!("not stale any more: {good}");
    Outcome {
        verdict: Verdict::Success,
        failure: None,
        steps: vec![StepOutcome::new(1, BATCH, title, StepStatus::Done)],
        ..stale.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_once_then_weekly_then_over() {
        let now = Timestamp(1_795_141_020);
        assert_eq!(news(Standing::Stale, None, now), News::Stale);
        assert_eq!(
            news(Standing::Stale, Some(now.plus(-3600)), now),
            News::Nothing
        );
        assert_eq!(
            news(Standing::Stale, Some(now.plus(-AGAIN)), now),
            News::Stale
        );
        assert_eq!(news(Standing::Ok, Some(now.plus(-3600)), now), News::Over);
        assert_eq!(news(Standing::Ok, None, now), News::Nothing);
        assert_eq!(news(Standing::Failed, None, now), News::Nothing);
        assert_eq!(news(Standing::Broken, Some(now), now), News::Nothing);
    }
}
