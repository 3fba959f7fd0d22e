//! Times in file names.
//!
//! Every version writes UTC or a time with its offset. A time without zone, which only a hand could have written,
//! is taken as UTC so that a name means the same everywhere. Intervals (`3D`), which the original counts back from
//! the clock, are refused: such a set would move through time.

use crate::engine::time::Timestamp;

/// Reads digits (seconds since 1970), `20261120T215423Z`, `2026-11-20T21:54:23-07:00` with `separator` for each
/// `:`, and dates. Case does not matter.
pub(super) fn parse(text: &str, separator: char) -> Option<Timestamp> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Timestamp);
    }
    let text = text.to_ascii_uppercase();
    compact(&text)
        .or_else(|| clock(&text, separator))
        .or_else(|| date(&text))
        .map(Timestamp)
}

/// What is left of a text being read.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    /// A number of exactly `width` digits.
    fn number(&mut self, width: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(width)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.0 = rest;
        digits.parse().ok()
    }

    fn skip(&mut self, expected: char) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn ended(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// `20261120T215423Z`.
fn compact(text: &str) -> Option<i64> {
    let mut s = Scanner(text);
    let (year, month, day) = (s.number(4)?, s.number(2)?, s.number(2)?);
    s.skip('T')?;
    let (hour, minute, second) = (s.number(2)?, s.number(2)?, s.number(2)?);
    s.0 = s.0.strip_prefix('Z').unwrap_or(s.0);
    s.ended()?;
    Some(midnight(year, month, day)? + seconds(hour, minute, second)?)
}

/// `2026-11-20T21:54:23`, then nothing, `Z` or an offset.
fn clock(text: &str, separator: char) -> Option<i64> {
    let mut s = Scanner(text);
    let year = s.number(4)?;
    s.skip('-')?;
    let month = s.number(2)?;
    s.skip('-')?;
    let day = s.number(2)?;
    s.skip('T')?;
    let hour = s.number(2)?;
    s.skip(separator)?;
    let minute = s.number(2)?;
    s.skip(separator)?;
    let second = s.number(2)?;
    let local = midnight(year, month, day)? + seconds(hour, minute, second)?;
    let sign = match s.0 {
        "" | "Z" => return Some(local),
        rest if rest.starts_with('+') => 1,
        rest if rest.starts_with('-') => -1,
        _ => return None,
    };
    s.0 = s.0.get(1..)?;
    let hours = s.number(2)?;
    s.skip(separator)?;
    let minutes = s.number(2)?;
    s.ended()?;
    Some(local - sign * (hours * 3600 + minutes * 60))
}

/// `2026-11-20`, `11-20-2026`, also with `/`; `20261120Z`.
fn date(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_suffix('Z').filter(|d| d.len() == 8) {
        let mut s = Scanner(digits);
        return midnight(s.number(4)?, s.number(2)?, s.number(2)?);
    }
    let fields: Vec<&str> = text.split(['-', '/']).collect();
    let &[a, b, c] = fields.as_slice() else {
        return None;
    };
    let (year, month, day) = if a.len() == 4 { (a, b, c) } else { (c, a, b) };
    if year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    let field = |text: &str| Scanner(text).number(text.len());
    midnight(field(year)?, field(month)?, field(day)?)
}

/// Seconds since 1970 at the start of a day. Days past the end of a month run into the next.
// COMPAT(dup all): years 1901 to 2099 only.
fn midnight(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1901..=2099).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day at their end.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    // 719 468 days lie between the first of March of the year 0 and 1970.
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + (day - 1) - 719_468;
    Some(days * 86_400)
}

/// Seconds since midnight, leap seconds allowed.
fn seconds(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 62).then_some(hour * 3600 + minute * 60 + second)
}
