//! Numbers, times and names as people read them. Used by reports and by the terminal.

use crate::engine::path::disturbs;
use crate::engine::time::Timestamp;

/// Binary units, as sizes are written in profiles: `41.2 GiB`, `930 B`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    #[allow(clippy::cast_precision_loss)] // one digit after the point is shown
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // 1023.96 would be shown as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Thousands apart: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`, `12,345 files`.
pub fn counted(n: u64, noun: &str) -> String {
    let plural = match noun {
        "entry" => "entries".to_owned(),
        _ => format!("{noun}s"),
    };
    format!("{} {}", count(n), if n == 1 { noun } else { &plural })
}

/// A duration with its two largest units: `0.4 s`, `17 s`, `3 min 02 s`, `2 h 05 min`, `3 d 04 h`.
pub fn millis(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long ago `then` was, in one unit: `just now`, `9 h ago`, `11 d ago`; `in 3 h` for the future.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_secs().saturating_sub(then.as_secs());
    let span = span(seconds.unsigned_abs());
    match seconds {
        -59..60 => "just now".to_owned(),
        60.. => format!("{span} ago"),
        _ => format!("in {span}"),
    }
}

/// A span in one unit, rounded down: `5 min`, `9 h`, `11 d`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `2026-11-20 02:17 UTC`.
pub fn time(t: Timestamp) -> String {
    let text = t.to_rfc3339();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => text,
    }
}

/// How much smaller what is stored is than what was read: `2.4:1`; empty where there is nothing to compare.
pub fn ratio(read: u64, stored: u64) -> String {
    // A set of a few bytes is all frame: 0.1:1 would say nothing.
    if stored == 0 || read < stored {
        return String::new();
    }
    #[allow(clippy::cast_precision_loss)] // one digit after the point is shown
    let ratio = read as f64 / stored as f64;
    format!("{ratio:.1}:1")
}

/// Text that cannot disturb a terminal, a log or a mail: what does is escaped.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' {
            out.push(' ');
        } else if disturbs(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The first `limit` characters of a text, with an ellipsis where something was cut off.
pub fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(limit.saturating_sub(1)).collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// The beginning of a text that takes no more than `limit` bytes.
pub fn within_bytes(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_digit_and_never_1024_of_a_unit() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (44_238_012_416, "41.2 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn counts() {
        assert_eq!(
            (count(0), count(999), count(1000)),
            ("0".into(), "999".into(), "1,000".into())
        );
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            (counted(1, "entry"), counted(2, "entry")),
            ("1 entry".into(), "2 entries".into())
        );
        assert_eq!(counted(0, "problem"), "0 problems");
    }

    #[test]
    fn durations_and_ages() {
        assert_eq!(millis(432), "0.4 s");
        assert_eq!(millis(59_999), "59 s");
        assert_eq!(millis(182_000), "3 min 02 s");
        assert_eq!(millis(7_500_000), "2 h 05 min");
        assert_eq!(millis(273_600_000), "3 d 04 h");
        let now = Timestamp(1_000_000);
        assert_eq!(age(now, now), "just now");
        assert_eq!(age(now.plus(-9 * 3600), now), "9 h ago");
        assert_eq!(age(now.plus(-11 * 86_400), now), "11 d ago");
        assert_eq!(age(now.plus(7200), now), "in 2 h");
        assert_eq!(time(Timestamp(1_795_211_663)), "2026-11-20 21:54 UTC");
        assert_eq!(
            (ratio(240, 100).as_str(), ratio(1, 0).as_str()),
            ("2.4:1", "")
        );
    }

    #[test]
    fn hostile_names_are_defused() {
        assert_eq!(
            safe("a\x1b[31m\nb\u{202e}gpj\tc"),
            "a\\u{1b}[31m\\nb\\u{202e}gpj c"
        );
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!((within_bytes("aä", 2), within_bytes("aä", 9)), ("a", "aä"));
    }
}
