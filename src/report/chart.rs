//! Small bar charts over the last runs, as plain numbers; templates draw them with table cells, which every mail
//! program shows.

use super::{elapsed_ms, format, tone};
use crate::run::outcome::{Outcome, Verdict};
use serde::Serialize;

/// Runs in a chart.
const RUNS: usize = 30;

/// Height of the tallest bar in pixels.
const HEIGHT: u64 = 56;

/// Columns of a bar in plain text.
const TEXT_LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One row of bars.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Chart {
    /// What the bars mean.
    pub title: &'static str,
    /// One value for each run that is missing to thirty, so that bars keep their width.
    pub blanks: Vec<u8>,
    /// The bars, oldest first.
    pub bars: Vec<Bar>,
    /// Value of the tallest bar.
    pub highest: String,
    /// Day of the first bar.
    pub first: String,
    /// Day of the last bar.
    pub last: String,
    /// The bars as one line of block characters.
    pub line: String,
}

/// One run in a chart.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Bar {
    /// Height in pixels, at least 2.
    pub height: u64,
    /// `good`, `warn`, `bad` or `calm`.
    pub tone: &'static str,
    /// Day and value, for programs that show a title.
    pub label: String,
}

/// Stored size and duration over the last runs up to this one; none before there are two to compare.
pub fn charts(outcome: &Outcome, past: &[Outcome]) -> Vec<Chart> {
    let worth_a_bar = |o: &&Outcome| {
        o.verdict >= Verdict::Differences || o.steps.iter().any(|s| s.backup.is_some())
    };
    let mut runs: Vec<&Outcome> = past
        .iter()
        .chain(std::iter::once(outcome))
        .rev()
        .filter(worth_a_bar)
        .take(RUNS)
        .collect();
    runs.reverse();
    if runs.len() < 2
        || !runs
            .iter()
            .any(|o| o.steps.iter().any(|s| s.backup.is_some()))
    {
        return Vec::new();
    }
    let stored = |o: &Outcome| {
        o.steps
            .iter()
            .filter_map(|s| s.backup.as_ref())
            .map(|b| b.stored_bytes)
            .sum()
    };
    vec![
        chart("Stored", &runs, &stored, &format::bytes),
        chart("Duration", &runs, &elapsed_ms, &format::millis),
    ]
}

fn chart(
    title: &'static str,
    runs: &[&Outcome],
    value: &dyn Fn(&Outcome) -> u64,
    text: &dyn Fn(u64) -> String,
) -> Chart {
    let values: Vec<u64> = runs.iter().map(|o| value(o)).collect();
    let highest = values.iter().copied().max().unwrap_or(0);
    let day = |o: Option<&&Outcome>| {
        o.map(|o| format::time(o.started)[..10].to_owned())
            .unwrap_or_default()
    };
    let bars = runs.iter().zip(&values).map(|(o, v)| {
        let height = scaled(*v, highest, HEIGHT).max(2);
        Bar {
            height,
            tone: tone(o.verdict),
            label: format!(
                "{}: {} ({})",
                day(Some(o)),
                text(*v),
                super::status_word(o.verdict)
            ),
        }
    });
    let level = |v: &u64| TEXT_LEVELS[usize::try_from(scaled(*v, highest, 7)).unwrap_or(0).min(7)];
    Chart {
        title,
        highest: text(highest),
        first: day(runs.first()),
        last: day(runs.last()),
        line: values.iter().map(level).collect(),
        blanks: vec![0; RUNS.saturating_sub(runs.len())],
        bars: bars.collect(),
    }
}

/// `value` on a scale that ends at `top`.
///
/// A full set is a hundred times an increment; the square root keeps both visible and the order of sizes right.
fn scaled(value: u64, highest: u64, top: u64) -> u64 {
    if highest == 0 {
        return 0;
    }
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )] // pixels
    let height = ((value as f64 / highest as f64).sqrt() * top as f64).round() as u64;
    height.min(top)
}

#[cfg(test)]
mod tests {
    use super::super::tests::night;
    use super::*;

    #[test]
    fn thirty_runs_at_most_and_the_tallest_fills_the_height() {
        let past: Vec<Outcome> = (0..50).map(|d| night(d, Verdict::Success)).collect();
        let charts = charts(&night(50, Verdict::Failed), &past);
        assert_eq!(charts.len(), 2);
        assert_eq!(charts[0].bars.len(), RUNS);
        assert_eq!(charts[0].bars.iter().map(|b| b.height).max(), Some(HEIGHT));
        assert_eq!(
            charts[0].bars.last().map(|b| (b.height, b.tone)),
            Some((2, "bad"))
        );
        assert_eq!(charts[0].line.chars().count(), RUNS);
        assert_eq!(charts[0].highest, "89.4 GiB");
    }

    #[test]
    fn one_run_alone_is_no_chart() {
        assert!(charts(&night(1, Verdict::Success), &[]).is_empty());
    }
}
