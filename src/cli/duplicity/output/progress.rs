//! Lines of `--progress`.

use std::time::Duration;

/// Cells of the bar.
const CELLS: u64 = 40;

/// How far a backup is.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Bytes stored at the target.
    pub stored: u64,
    /// Bytes of files read.
    pub read: u64,
    /// Bytes of files to read in all.
    pub expected: u64,
    /// Since the beginning.
    pub elapsed: Duration,
    /// All is stored.
    pub done: bool,
}

impl Moment {
    fn percent(&self) -> u64 {
        match (self.done, self.expected) {
            (true, _) => 100,
            (_, 0) => 0,
            // What is read is not stored yet.
            (_, expected) => (self.read.min(expected) * 100 / expected).min(99),
        }
    }

    /// Seconds that are left, as far as can be told.
    fn left(&self) -> u64 {
        let percent = self.percent();
        if self.done || percent == 0 {
            return 0;
        }
        self.elapsed.as_secs() * (100 - percent) / percent
    }

    /// Bytes stored per second.
    fn speed(&self) -> u64 {
        self.stored / self.elapsed.as_secs().max(1)
    }

    /// Bytes stored, seconds gone, percent, seconds left, bytes per second, whether it stalls.
    pub fn record(&self) -> String {
        format!(
            "{} {} {} {} {} 0",
            self.stored,
            self.elapsed.as_secs(),
            self.percent(),
            self.left(),
            self.speed()
        )
    }
}

fn size(bytes: u64) -> String {
    let kb = bytes as f64 / 1024.0;
    if kb >= 1024.0 * 1024.0 {
        format!("{:.2}GB", kb / (1024.0 * 1024.0))
    } else if kb >= 1024.0 {
        format!("{:.1}MB", kb / 1024.0)
    } else {
        format!("{kb:.1}KB")
    }
}

/// `0.1KB 00:00:01 [0.0KB/s] [=====>     ] 100% ETA 0sec`.
pub fn bar(moment: &Moment) -> String {
    let percent = moment.percent();
    let full = CELLS * percent / 100;
    let (seconds, left) = (moment.elapsed.as_secs(), moment.left());
    let eta = match left {
        0..60 => format!("{left}sec"),
        60..3600 => format!("{}min", left / 60),
        _ => format!("{}h", left / 3600),
    };
    format!(
        "{} {:02}:{:02}:{:02} [{}/s] [{}>{}] {percent}% ETA {eta}",
        size(moment.stored),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        size(moment.speed()),
        "=".repeat(full as usize),
        " ".repeat((CELLS - full) as usize),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_line_and_a_record() {
        let moment = Moment {
            stored: 3 << 20,
            read: 50,
            expected: 200,
            elapsed: Duration::from_secs(62),
            done: false,
        };
        assert_eq!(
            bar(&moment),
            "3.0MB 00:01:02 [49.5KB/s] [==========>                              ] 25% ETA 3min"
        );
        assert_eq!(moment.record(), "3145728 62 25 186 50737 0");
        let done = Moment {
            done: true,
            ..moment
        };
        assert!(bar(&done).ends_with("[========================================>] 100% ETA 0sec"));
    }
}
