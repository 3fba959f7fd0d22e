//! What a step has done so far, and how that reads in one line.

use crate::engine::monitor::Counter;
use crate::report::format;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What has been counted in this step.
#[derive(Default)]
pub struct Counts {
    entries: AtomicU64,
    read_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    fetched_bytes: AtomicU64,
    expected_bytes: AtomicU64,
}

impl Counts {
    /// Counts.
    pub fn add(&self, counter: Counter, n: u64) {
        let slot = match counter {
            Counter::SourceEntries | Counter::Entries => &self.entries,
            Counter::SourceBytes | Counter::ContentBytes => &self.read_bytes,
            Counter::StoredBytes => &self.stored_bytes,
            Counter::FetchedBytes => &self.fetched_bytes,
            Counter::Volumes => return,
        };
        slot.fetch_add(n, Ordering::Relaxed);
    }

    /// What will have been counted at the end.
    pub fn expect(&self, counter: Counter, total: u64) {
        if matches!(counter, Counter::SourceBytes | Counter::ContentBytes) {
            self.expected_bytes.store(total, Ordering::Relaxed);
        }
    }

    /// The amounts in one line, behind the title of the step and before the path under way.
    pub fn line(&self, title: &str, elapsed: Duration, path: &str) -> String {
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

    /// Another step begins.
    pub fn reset(&self) {
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
