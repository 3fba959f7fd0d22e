//! Progress at a terminal: one live line for the step under way, and a line for each that has ended.

use super::live_line;
use super::plain::{Loudness, letter, loudness_of};
use crate::engine::monitor::{Counter, EntryChange, Level, Monitor, Problem};
use crate::engine::path::PathIndex;
use crate::plan::Step;
use crate::report::format;
use crate::run::RunMonitor;
use crate::run::outcome::{StepOutcome, StepStatus};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};
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

/// What has been counted in this step.
#[derive(Default)]
struct Counts {
    entries: AtomicU64,
    read_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    fetched_bytes: AtomicU64,
    expected_bytes: AtomicU64,
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

impl Counts {
    fn line(&self, title: &str, elapsed: Duration, path: &str) -> String {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let mut parts = vec![title.to_owned()];
        let entries = get(&self.entries);
        if entries > 0 {
            parts.push(format::counted(entries, "entry"));
        }
        let read = get(&self.read_bytes);
        let expected = get(&self.expected_bytes);
        if read > 0 {
            parts.push(match expected {
                0 => format::bytes(read),
                _ => format!("{} of {}", format::bytes(read), format::bytes(expected)),
            });
        }
        for (bytes, word) in [
            (get(&self.stored_bytes), "stored"),
            (get(&self.fetched_bytes), "fetched"),
        ] {
            if bytes > 0 {
                parts.push(format!("{} {word}", format::bytes(bytes)));
            }
        }
        let moved = read.max(get(&self.fetched_bytes));
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        if moved > 0 && millis > 1000 {
            parts.push(format!(
                "{}/s",
                format::bytes(moved.saturating_mul(1000) / millis)
            ));
            if expected > read && read > 0 {
                let left = (expected - read).saturating_mul(millis) / read / 1000;
                parts.push(format!("{} left", format::span(left)));
            }
        }
        if !path.is_empty() {
            parts.push(path.to_owned());
        }
        parts.join("  ")
    }

    fn reset(&self) {
        for n in [
            &self.entries,
            &self.read_bytes,
            &self.stored_bytes,
            &self.fetched_bytes,
            &self.expected_bytes,
        ] {
            n.store(0, Ordering::Relaxed);
        }
    }
}

impl Monitor for Terminal {
    fn count(&self, counter: Counter, n: u64) {
        let counts = &self.live.counts;
        let slot = match counter {
            Counter::SourceEntries | Counter::Entries => &counts.entries,
            Counter::SourceBytes | Counter::ContentBytes => &counts.read_bytes,
            Counter::StoredBytes => &counts.stored_bytes,
            Counter::FetchedBytes => &counts.fetched_bytes,
            Counter::Volumes => return,
        };
        slot.fetch_add(n, Ordering::Relaxed);
    }
    fn expect(&self, counter: Counter, total: u64) {
        if matches!(counter, Counter::SourceBytes | Counter::ContentBytes) {
            let counts = &self.live.counts;
            counts.expected_bytes.store(total, Ordering::Relaxed);
        }
    }
    fn problem(&self, problem: Problem) {
        self.say(
            Loudness::Normal,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_line_tells_amounts_rate_and_path() {
        let counts = Counts::default();
        counts.entries.store(1200, Ordering::Relaxed);
        counts.read_bytes.store(50 << 20, Ordering::Relaxed);
        counts.stored_bytes.store(10 << 20, Ordering::Relaxed);
        let line = counts.line("backup full", Duration::from_secs(10), "Mail/inbox");
        assert_eq!(
            line,
            "backup full  1,200 entries  50.0 MiB  10.0 MiB stored  5.0 MiB/s  Mail/inbox"
        );
        counts.expected_bytes.store(100 << 20, Ordering::Relaxed);
        let line = counts.line("restore", Duration::from_secs(10), "");
        assert!(line.ends_with("5.0 MiB/s  10 s left"), "{line}");
        counts.reset();
        assert_eq!(
            counts.line("cleanup", Duration::from_secs(1), ""),
            "cleanup"
        );
    }
}
