//! Lost entries are told by name as long as somebody would read on: a damaged volume may have held thousands.

use super::plain::Loudness;
use crate::engine::monitor::{Problem, ProblemKind};
use crate::report::format;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lost entries of a step that are named to everybody.
const NAMED: u64 = 20;

/// The lost entries of a step, counted.
#[derive(Default)]
pub(super) struct Lost(AtomicU64);

impl Lost {
    /// Loudness from which a problem is told.
    pub fn loudness(&self, problem: &Problem) -> Loudness {
        let is_one_more =
            problem.kind == ProblemKind::Lost && self.0.fetch_add(1, Ordering::Relaxed) >= NAMED;
        match is_one_more {
            true => Loudness::Verbose,
            false => Loudness::Normal,
        }
    }

    /// At the end of the step: a line for those that only a louder run names. The next step begins with none.
    pub fn others(&self, loudness: Loudness) -> Option<String> {
        let others = self.0.swap(0, Ordering::Relaxed).saturating_sub(NAMED);
        (others > 0 && loudness < Loudness::Verbose).then(|| {
            let entries = match others {
                1 => "1 more entry is".to_owned(),
                _ => format!("{} more entries are", format::count(others)),
            };
            format!("problem: {entries} lost; -v names all of them")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::path::PathIndex;

    fn problem(kind: ProblemKind) -> Problem {
        Problem::new(kind, &PathIndex::root(), "damaged")
    }

    #[test]
    fn the_first_are_named_and_the_others_counted() {
        let lost = Lost::default();
        for _ in 0..NAMED {
            assert_eq!(lost.loudness(&problem(ProblemKind::Lost)), Loudness::Normal);
        }
        assert_eq!(lost.others(Loudness::Normal), None);
        for _ in 0..=NAMED {
            lost.loudness(&problem(ProblemKind::Lost));
        }
        assert_eq!(
            lost.others(Loudness::Normal).unwrap(),
            "problem: 1 more entry is lost; -v names all of them"
        );
        for n in 0..NAMED + 1234 {
            let expected = if n < NAMED {
                Loudness::Normal
            } else {
                Loudness::Verbose
            };
            assert_eq!(lost.loudness(&problem(ProblemKind::Lost)), expected);
        }
        assert_eq!(
            lost.others(Loudness::Normal).unwrap(),
            "problem: 1,234 more entries are lost; -v names all of them"
        );
    }

    #[test]
    fn who_asks_for_all_gets_all_and_other_problems_are_always_told() {
        let lost = Lost::default();
        for _ in 0..NAMED * 2 {
            let unreadable = problem(ProblemKind::Unreadable);
            assert_eq!(lost.loudness(&unreadable), Loudness::Normal);
            lost.loudness(&problem(ProblemKind::Lost));
        }
        assert_eq!(lost.others(Loudness::Verbose), None);
    }
}
