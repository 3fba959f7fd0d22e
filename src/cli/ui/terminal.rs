//! Progress at a terminal: one live line for the step under way, and a line for each that has ended.

use super::counts::Counts;
use super::live_line;
use super::lost::Lost;
use super::plain::{Loudness, letter, loudness_of};
use crate::engine::monitor::{Counter, EntryChange, Level, Monitor, Problem};
use crate::engine::path::PathIndex;
use crate::plan::Step;
use crate::report::format;
use crate::run::RunMonitor;
use crate::run::outcome::{StepOutcome, StepStatus};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the live line changes.
const REDRAW: Duration = Duration::from_millis(200);

/// Tells a run at a terminal, on standard error.
pub struct Terminal {
    loudness: Loudness,
    colors: bool,
    live: Arc<Live>,
    lost: Lost,
    /// Draws while a step runs, also while nothing comes: a file of hours shows that it moves.
    painter: Mutex<Option<JoinHandle<()>>>,
}

/// What the live line shows.
struct Live {
    bar: ProgressBar,
    counts: Counts,
    now: Mutex<Now>,
    /// The step has ended.
    over: Condvar,
}

/// The step under way.
struct Now {
    title: String,
    path: Option<PathIndex>,
    started: Instant,
    runs: bool,
}

impl Terminal {
    /// A live line, unless `live` is false.
    pub fn new(loudness: Loudness, colors: bool, live: bool) -> Self {
        let target = if live && loudness > Loudness::Quiet {
            live_line::target()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let now = Now {
            title: String::new(),
            path: None,
            started: Instant::now(),
            runs: false,
        };
        let live = Live {
            bar,
            counts: Counts::default(),
            now: Mutex::new(now),
            over: Condvar::new(),
        };
        Self {
            loudness,
            colors,
            live: Arc::new(live),
            lost: Lost::default(),
            painter: Mutex::default(),
        }
    }

    fn say(&self, from: Loudness, text: &str) {
        if self.loudness >= from {
            self.live.bar.suspend(|| super::out::complaint(text));
        }
    }

    /// Takes the live line away.
    fn still(&self) {
        self.live.now().runs = false;
        self.live.over.notify_all();
        let mut painter = self.painter.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = painter.take().map(JoinHandle::join);
        self.live.bar.finish_and_clear();
    }
}

impl Live {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry under way. Whoever finds the line being drawn goes on at once.
    fn at(&self, path: &PathIndex) {
        if let Ok(mut now) = self.now.try_lock() {
            now.path = Some(path.clone());
        }
    }

    /// Draws until the step has ended.
    fn paint(&self) {
        let mut now = self.now();
        while now.runs {
            let path = now.path.as_ref().map(PathIndex::to_string);
            let path = format::safe(&path.unwrap_or_default());
            let line = self.counts.line(&now.title, now.started.elapsed(), &path);
            self.bar.set_message(line);
            self.bar.tick();
            let waited = self.over.wait_timeout(now, REDRAW);
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Monitor for Terminal {
    fn count(&self, counter: Counter, n: u64) {
        self.live.counts.add(counter, n);
    }
    fn expect(&self, counter: Counter, total: u64) {
        self.live.counts.expect(counter, total);
    }
    fn problem(&self, problem: Problem) {
        self.say(
            self.lost.loudness(&problem),
            &format::safe(&format!("  problem: {problem}")),
        );
    }
    fn note(&self, level: Level, text: &str) {
        self.say(loudness_of(level), &format!("  {}", format::safe(text)));
    }
    fn entry(&self, path: &PathIndex, change: Option<EntryChange>) {
        if let Some(change) = change.filter(|_| self.loudness == Loudness::Everything) {
            self.say(
                Loudness::Everything,
                &format::safe(&format!("  {} {path}", letter(change))),
            );
        }
        self.live.at(path);
    }
    fn begins(&self, path: &PathIndex) {
        self.live.at(path);
    }
}

impl RunMonitor for Terminal {
    fn step_started(&self, _step: &Step, title: &str) {
        self.still();
        self.live.counts.reset();
        *self.live.now() = Now {
            title: format::safe(title),
            path: None,
            started: Instant::now(),
            runs: true,
        };
        if self.live.bar.is_hidden() {
            return;
        }
        self.live.bar.reset();
        let live = Arc::clone(&self.live);
        let painter = std::thread::Builder::new().spawn(move || live.paint());
        // Without a thread for it there is no live line; the run goes on.
        *self.painter.lock().unwrap_or_else(PoisonError::into_inner) = painter.ok();
    }
    fn hook_line(&self, line: &str) {
        self.say(Loudness::Normal, &format!("  | {}", format::safe(line)));
    }
    fn step_ended(&self, step: &StepOutcome) {
        self.still();
        if let Some(others) = self.lost.others(self.loudness) {
            self.say(Loudness::Normal, &format!("  {others}"));
        }
        let word = super::status_word(step.status);
        let tone = match step.status {
            StepStatus::Done => super::Tone::Good,
            StepStatus::Skipped | StepStatus::Deferred => super::Tone::Calm,
            StepStatus::Warning => super::Tone::Warn,
            StepStatus::Failed | StepStatus::Interrupted => super::Tone::Bad,
        };
        let word = super::colored(&format!("{word:<8}"), tone, self.colors);
        let elapsed = match step.status {
            StepStatus::Done => format::millis(step.elapsed_ms),
            StepStatus::Skipped | StepStatus::Deferred => super::details(step),
            _ => format!(
                "{}  {}",
                format::millis(step.elapsed_ms),
                super::details(step)
            ),
        };
        self.say(
            Loudness::Normal,
            &format!("{word} {}  {elapsed}", format::safe(&step.title)),
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.still();
    }
}
