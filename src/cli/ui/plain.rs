//! Progress without a terminal: a line with its time for every step, on standard error. A step that takes long has a further
//! line now and then, and one whenever it is asked for.

use super::counts::Counts;
use super::lost::Lost;
use super::out;
use crate::engine::monitor::{Counter, EntryChange, Level, Monitor, Problem};
use crate::engine::path::PathIndex;
use crate::engine::time::Timestamp;
use crate::plan::Step;
use crate::report::format;
use crate::run::RunMonitor;
use crate::run::outcome::{StepOutcome, StepStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a step tells by itself how far it is.
const EVERY: Duration = Duration::from_secs(600);

/// How often it is looked whether somebody asks.
const LOOK: Duration = Duration::from_millis(500);

/// The clock of lines.
pub type Clock = &'static (dyn Fn() -> Timestamp + Sync);

/// How often somebody has asked how far a run is.
pub type Asked = Arc<AtomicUsize>;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Nothing while it runs.
    Quiet,
    /// A line a step, problems and notices.
    Normal,
    /// Infos as well.
    Verbose,
    /// Every entry.
    Everything,
}

/// Tells a run in lines.
pub struct Plain {
    lines: Arc<Lines>,
    lost: Lost,
    /// Looks while a step runs whether it is to tell how far it is.
    looks: Mutex<Option<JoinHandle<()>>>,
}

/// What lines are made of.
struct Lines {
    loudness: Loudness,
    clock: Clock,
    /// In front of each line, behind the time.
    prefix: String,
    asked: Asked,
    counts: Counts,
    now: Mutex<Now>,
    /// The step has ended.
    over: Condvar,
}

/// The step under way.
struct Now {
    title: String,
    started: Instant,
    runs: bool,
}

impl Plain {
    /// Lines of this loudness with the time of `clock`, and how far a step is whenever `asked` grows.
    pub fn new(loudness: Loudness, clock: Clock, asked: &Asked) -> Self {
        Self::with(loudness, clock, asked, String::new())
    }

    /// The same with the name of one of several that are told of at a time.
    pub fn named(loudness: Loudness, clock: Clock, asked: &Asked, name: &str) -> Self {
        Self::with(loudness, clock, asked, format!("{name}: "))
    }

    fn with(loudness: Loudness, clock: Clock, asked: &Asked, prefix: String) -> Self {
        let now = Now {
            title: String::new(),
            started: Instant::now(),
            runs: false,
        };
        let lines = Lines {
            loudness,
            clock,
            prefix,
            asked: Arc::clone(asked),
            counts: Counts::default(),
            now: Mutex::new(now),
            over: Condvar::new(),
        };
        Self {
            lines: Arc::new(lines),
            lost: Lost::default(),
            looks: Mutex::default(),
        }
    }

    fn tell(&self, from: Loudness, text: &str) {
        self.lines.tell(from, text);
    }

    /// No step runs any more.
    fn still(&self) {
        self.lines.now().runs = false;
        self.lines.over.notify_all();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = looks.take().map(JoinHandle::join);
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.still();
    }
}

impl Lines {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how far the step is, every ten minutes and whenever somebody asks, until it has ended.
    fn look(&self) {
        let mut seen = self.asked.load(Ordering::Relaxed);
        let mut last = Instant::now();
        let mut now = self.now();
        while now.runs {
            let asked = self.asked.load(Ordering::Relaxed);
            let is_asked = asked != seen;
            if is_asked || last.elapsed() >= EVERY {
                // Who asks is answered, however quiet it is to be.
                let from = match is_asked {
                    true => Loudness::Quiet,
                    false => Loudness::Normal,
                };
                let line = self.counts.line(&now.title, now.started.elapsed(), "");
                self.tell(from, &line);
                (seen, last) = (asked, Instant::now());
            }
            let waited = self.over.wait_timeout(now, LOOK);
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn tell(&self, from: Loudness, text: &str) {
        if self.loudness >= from {
            out::complaint(&format!(
                "{} {}{}",
                (self.clock)().to_rfc3339(),
                format::safe(&self.prefix),
                format::safe(text)
            ));
        }
    }
}

/// Loudness from which a note of this weight is told.
pub(super) fn loudness_of(level: Level) -> Loudness {
    match level {
        Level::Warning | Level::Notice => Loudness::Normal,
        Level::Info => Loudness::Verbose,
        Level::Debug => Loudness::Everything,
    }
}

/// What an entry became, in one letter.
pub(super) fn letter(change: EntryChange) -> char {
    match change {
        EntryChange::Added => 'A',
        EntryChange::Modified => 'M',
        EntryChange::Deleted => 'D',
    }
}

impl Monitor for Plain {
    fn count(&self, counter: Counter, n: u64) {
        self.lines.counts.add(counter, n);
    }
    fn expect(&self, counter: Counter, total: u64) {
        self.lines.counts.expect(counter, total);
    }
    fn problem(&self, problem: Problem) {
        self.tell(self.lost.loudness(&problem), &format!("problem: {problem}"));
    }
    fn note(&self, level: Level, text: &str) {
        self.tell(loudness_of(level), text);
    }
    fn entry(&self, path: &PathIndex, change: Option<EntryChange>) {
        if let Some(change) = change {
            self.tell(Loudness::Everything, &format!("{} {path}", letter(change)));
        }
    }
}

impl RunMonitor for Plain {
    fn step_started(&self, step: &Step, title: &str) {
        self.still();
        self.lines.counts.reset();
        *self.lines.now() = Now {
            title: title.to_owned(),
            started: Instant::now(),
            runs: true,
        };
        let lines = Arc::clone(&self.lines);
        let looks = std::thread::Builder::new().spawn(move || lines.look());
        // Without a thread for it nobody is answered; the run goes on.
        *self.looks.lock().unwrap_or_else(PoisonError::into_inner) = looks.ok();
        let why = if step.why.is_empty() {
            String::new()
        } else {
            format!(" ({})", step.why)
        };
        self.tell(
            super::loudness_of_step(&step.action),
            &format!("{title}{why}"),
        );
    }
    fn hook_line(&self, line: &str) {
        self.tell(Loudness::Normal, &format!("| {line}"));
    }
    fn step_ended(&self, step: &StepOutcome) {
        self.still();
        if let Some(others) = self.lost.others(self.lines.loudness) {
            self.tell(Loudness::Normal, &others);
        }
        match &step.failure {
            // Why is told by the summary, once.
            Some(_) => self.tell(
                Loudness::Normal,
                &format!(
                    "{} failed after {}",
                    step.title,
                    format::millis(step.elapsed_ms)
                ),
            ),
            None if step.status == StepStatus::Interrupted => self.tell(
                Loudness::Normal,
                &format!("{} {}", step.title, step.notes.join("; ")),
            ),
            None if step.status == StepStatus::Done => self.tell(
                Loudness::Verbose,
                &format!("{} done in {}", step.title, format::millis(step.elapsed_ms)),
            ),
            None => {
                let notes = super::details(step);
                self.tell(
                    Loudness::Normal,
                    &format!(
                        "{} {}: {notes}",
                        step.title,
                        super::status_word(step.status)
                    ),
                );
            }
        }
    }
}
