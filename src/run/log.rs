//! The log of a run: a line with its time for everything worth one, kept for reports and appended to a file.

use super::monitor::RunMonitor;
use super::outcome::{StepOutcome, StepStatus};
use super::running::Running;
use crate::engine::monitor::{Level, Monitor, Problem};
use crate::engine::time::Timestamp;
use crate::plan::{Plan, Step};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Lines kept for a report.
const KEPT_LINES: usize = 2000;

/// How lines are written to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `2026-11-20T02:17:00Z notice: text`.
    #[default]
    Text,
    /// An object per line: `time`, `level`, `text`.
    Json,
}

/// Writes down what a run tells, and passes it on.
pub struct Log<'a> {
    inner: &'a dyn RunMonitor,
    clock: &'a (dyn Fn() -> Timestamp + Sync),
    format: LogFormat,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    /// Lines that are not kept any more.
    dropped: usize,
    file: Option<File>,
    broken: Option<String>,
    /// What others follow while the run is under way.
    running: Option<Running>,
}

impl<'a> Log<'a> {
    /// A log that passes everything on to `inner` and appends its lines to `file`, if there is one.
    pub fn new(
        inner: &'a dyn RunMonitor,
        clock: &'a (dyn Fn() -> Timestamp + Sync),
        file: Option<File>,
        format: LogFormat,
    ) -> Self {
        Self {
            inner,
            clock,
            format,
            state: Mutex::new(State {
                file,
                ..State::default()
            }),
        }
    }

    /// The lines so far, the last two thousand of them.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.iter().cloned().collect()
    }

    /// Why the file is incomplete, if it is.
    pub fn trouble(&self) -> Option<String> {
        self.state().broken.clone()
    }

    /// Adds a line of its own, without passing it on.
    pub fn add(&self, level: Level, text: &str) {
        let time = (self.clock)().to_rfc3339();
        let word = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Notice => "notice",
            Level::Warning => "warning",
        };
        let text = escaped(text);
        let line = format!("{time} {word}: {text}");
        let mut state = self.state();
        if let Some(file) = &mut state.file {
            let written = match self.format {
                LogFormat::Text => writeln!(file, "{line}"),
                LogFormat::Json => writeln!(
                    file,
                    "{}",
                    serde_json::json!({"time": time, "level": word, "text": text})
                ),
            };
            if let Err(e) = written {
                state.file = None;
                state.broken = Some(format!("cannot write the log file: {e}"));
            }
        }
        if level >= Level::Info {
            state.keep(line);
        }
    }

    /// Lets others follow what is kept from now on.
    pub fn grow(&self, running: Running) {
        self.state().running = Some(running);
    }

    /// The run has ended: whoever followed it has all of it.
    pub fn stop_growing(&self) {
        self.state().running = None;
    }

    /// Takes over the lines behind the first `told` of another log, which has written them to the file already. Returns how
    /// many that log has had.
    pub fn adopt(&self, other: &Log<'_>, told: usize) -> usize {
        let (lines, count) = {
            let theirs = other.state();
            let skipped = told.saturating_sub(theirs.dropped);
            let lines: Vec<String> = theirs.lines.iter().skip(skipped).cloned().collect();
            (lines, theirs.dropped + theirs.lines.len())
        };
        let mut state = self.state();
        lines.into_iter().for_each(|line| state.keep(line));
        count
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds a line, and drops the oldest beyond what is kept.
    fn keep(&mut self, line: String) {
        if let Some(running) = &mut self.running
            && running.add(&line).is_err()
        {
            // A comfort: the run needs it not.
            self.running = None;
        }
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }
}

/// A line that cannot pretend to be two.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let plain = (!c.is_control() || c == '\t').then_some(c);
            plain.into_iter().chain(
                plain
                    .is_none()
                    .then(|| c.escape_default())
                    .into_iter()
                    .flatten(),
            )
        })
        .collect()
}

impl Monitor for Log<'_> {
    fn inner(&self) -> Option<&dyn Monitor> {
        Some(self.inner)
    }
    fn problem(&self, problem: Problem) {
        self.add(Level::Warning, &problem.to_string());
        self.inner.problem(problem);
    }
    fn note(&self, level: Level, text: &str) {
        self.add(level, text);
        self.inner.note(level, text);
    }
}

impl RunMonitor for Log<'_> {
    fn planned(&self, plan: &Plan) {
        self.add(
            Level::Info,
            &format!("{} {} to {}", plan.profile, plan.batch, plan.target),
        );
        self.inner.planned(plan);
    }
    fn step_started(&self, step: &Step, title: &str) {
        let why = if step.why.is_empty() {
            String::new()
        } else {
            format!(" ({})", step.why)
        };
        self.add(Level::Info, &format!("{title}{why}"));
        self.inner.step_started(step, title);
    }
    fn hook_line(&self, line: &str) {
        self.add(Level::Info, &format!("| {line}"));
        self.inner.hook_line(line);
    }
    fn step_ended(&self, outcome: &StepOutcome) {
        let title = &outcome.title;
        match (&outcome.failure, outcome.status) {
            (Some(failure), _) => self.add(
                Level::Warning,
                &format!("{title} failed: {}", failure.message),
            ),
            (None, StepStatus::Done) => self.add(
                Level::Info,
                &format!("{title} done in {} ms", outcome.elapsed_ms),
            ),
            (None, status) => {
                let notes = outcome.notes.join("; ");
                let gap = if notes.is_empty() { "" } else { ": " };
                self.add(
                    Level::Notice,
                    &format!("{title} {}{gap}{notes}", word(status)),
                );
            }
        }
        self.inner.step_ended(outcome);
    }
}

fn word(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Done => "done",
        StepStatus::Warning => "done with problems",
        StepStatus::Failed => "failed",
        StepStatus::Skipped => "skipped",
        StepStatus::Deferred => "deferred",
        StepStatus::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::monitor::Silent;

    #[test]
    fn lines_are_kept_and_written_and_stay_lines() {
        let mut file = tempfile::tempfile().unwrap();
        let log = Log::new(
            &Silent,
            &|| Timestamp(0),
            Some(file.try_clone().unwrap()),
            LogFormat::Text,
        );
        log.note(Level::Notice, "one\nforged: \x1b[0m");
        log.note(Level::Debug, "only in the file");
        assert_eq!(
            log.lines(),
            ["1970-01-01T00:00:00Z notice: one\\nforged: \\u{1b}[0m"]
        );
        use std::io::{Read, Seek};
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn lines_are_handed_on_once_also_when_the_first_are_not_kept_any_more() {
        let new = || Log::new(&Silent, &|| Timestamp(0), None, LogFormat::Text);
        let outer = new();
        let say = |from: usize, to: usize| {
            (from..to).for_each(|n| outer.add(Level::Info, &n.to_string()));
        };
        let ends = |log: &Log<'_>| -> Vec<String> {
            let lines = log.lines();
            let word = |l: &String| l.rsplit(' ').next().unwrap().to_owned();
            lines.iter().map(word).collect()
        };
        say(0, 3);
        let first = new();
        let told = first.adopt(&outer, 0);
        assert_eq!(
            (told, ends(&first)),
            (3, ["0", "1", "2"].map(String::from).to_vec())
        );
        say(3, KEPT_LINES + 5);
        let second = new();
        let told = second.adopt(&outer, told);
        assert_eq!((told, ends(&second).len()), (KEPT_LINES + 5, KEPT_LINES));
        say(KEPT_LINES + 5, KEPT_LINES + 7);
        let third = new();
        third.adopt(&outer, told);
        assert_eq!(ends(&third), ["2005", "2006"]);
    }

    #[test]
    fn json_lines_are_json() {
        let mut file = tempfile::tempfile().unwrap();
        let log = Log::new(
            &Silent,
            &|| Timestamp(0),
            Some(file.try_clone().unwrap()),
            LogFormat::Json,
        );
        log.add(Level::Warning, "a \"quoted\" word");
        use std::io::{Read, Seek};
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["text"], "a \"quoted\" word");
    }
}
