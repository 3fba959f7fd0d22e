//! Ages, durations and sizes as a profile writes them: `30D`, `1h78m`, `"14 days"`, `"200 MiB"`.

use crate::engine::time::Timestamp;
use crate::engine::time_text::interval_seconds;
use std::fmt;
use std::time::Duration;

pub use crate::engine::time_text::parse_time;

/// A span of time, with the words it was written in.
///
/// A month is 30 days and a year 365, as in duplicity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Age {
    text: String,
    seconds: u32,
}

/// Why a text is no age, duration, size or share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AmountError(String);

/// Words for units of time, shortest first within a unit. Upper and lower case differ only in duplicity's letters.
const TIME_WORDS: &[(&[&str], u64)] = &[
    (&["s", "sec", "secs", "second", "seconds"], 1),
    (&["min", "mins", "minute", "minutes"], 60),
    (&["h", "hour", "hours", "hr", "hrs"], 3600),
    (&["d", "day", "days"], 86_400),
    (&["w", "week", "weeks"], 7 * 86_400),
    (&["month", "months"], 30 * 86_400),
    (&["y", "year", "years"], 365 * 86_400),
];

impl Age {
    /// Reads an age: duplicity's intervals, or numbers with words: `"14 days"`, `"1 year 2 months"`.
    ///
    /// # Errors
    /// Says which part is not understood.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let seconds = match interval_seconds(text) {
            Some(seconds) => u64::try_from(seconds).unwrap_or(u64::MAX),
            None => in_words(text)?,
        };
        match u32::try_from(seconds) {
            Ok(seconds) => Ok(Self {
                text: text.to_owned(),
                seconds,
            }),
            Err(_) => Err(AmountError(format!("{text:?} is longer than 136 years"))),
        }
    }

    /// An age of so many seconds.
    pub fn from_secs(seconds: u32) -> Self {
        Self {
            text: format!("{seconds}s"),
            seconds,
        }
    }

    /// A default of the profile language.
    pub(super) fn literal(text: &str, seconds: u32) -> Self {
        Self {
            text: text.to_owned(),
            seconds,
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its length in seconds.
    pub fn as_secs(&self) -> i64 {
        i64::from(self.seconds)
    }

    /// Its length.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }

    /// The time so long before `now`.
    pub fn before(&self, now: Timestamp) -> Timestamp {
        now.plus(-self.as_secs())
    }
}

/// As it was written.
impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn in_words(text: &str) -> Result<u64, AmountError> {
    let unknown = |what: &str| {
        AmountError(format!(
            "{what:?} is not an age: write it as 30D, 1h30m or \"14 days\""
        ))
    };
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(unknown(text));
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (count, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        let (word, after) = after.split_at(letters);
        let count: u64 = count.parse().map_err(|_| unknown(text))?;
        if word.is_empty() {
            return Err(AmountError(format!(
                "{text:?} says no unit: write it as 30D, 1h30m or \"14 days\""
            )));
        }
        let lower = word.to_lowercase();
        if word == "m" || word == "M" {
            // Only the letter of an interval without blanks tells minutes from months.
            return Err(AmountError(format!(
                "{text:?} is ambiguous: write minutes or months in full"
            )));
        }
        let unit = TIME_WORDS
            .iter()
            .find(|(words, _)| words.contains(&lower.as_str()));
        let Some((_, unit)) = unit else {
            return Err(AmountError(format!(
                "{word:?} is not a unit of time: use seconds, minutes, hours, days, weeks, months or years"
            )));
        };
        total = count
            .checked_mul(*unit)
            .and_then(|n| total.checked_add(n))
            .ok_or_else(|| unknown(text))?;
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    Ok(total)
}

/// A number of bytes, with the words it was written in: `"200 MiB"`, `25M`, `1.5 GB`, `1000`.
///
/// `K`, `M`, `G` and `KiB`, `MiB`, `GiB` are powers of 1024, `kB`, `MB`, `GB` powers of 1000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    text: String,
    /// The number of bytes.
    pub bytes: u64,
}

impl Size {
    /// Reads a size.
    ///
    /// # Errors
    /// Says which part is not understood.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        parse_size(text).map(|bytes| Self {
            text: text.to_owned(),
            bytes,
        })
    }

    /// A default of the profile language.
    pub(super) fn literal(text: &str, bytes: u64) -> Self {
        Self {
            text: text.to_owned(),
            bytes,
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn parse_size(text: &str) -> Result<u64, AmountError> {
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (count, unit) = trimmed.split_at(digits);
    let bad = || AmountError(format!("{text:?} is not a size: write it as \"200 MiB\""));
    if count.is_empty() {
        return Err(bad());
    }
    let unit = unit.trim();
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => {
            return Err(AmountError(format!(
                "{unit:?} is not a unit of size: use KiB, MiB, GiB or TiB"
            )));
        }
    };
    if let Ok(count) = count.parse::<u64>() {
        return count.checked_mul(scale).ok_or_else(bad);
    }
    let count: f64 = count.parse().map_err(|_| bad())?;
    let bytes = count * scale as f64;
    // 2^53: above it a float no longer holds whole bytes.
    if bytes.is_finite() && (0.0..=9_007_199_254_740_992.0).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(bad())
    }
}

/// Bytes a second, with the words they were written in: `"5 MiB/s"`. Never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    text: String,
    /// Bytes a second.
    pub bytes: u64,
}

impl Rate {
    /// Reads a rate.
    ///
    /// # Errors
    /// As [`Size::parse`]; a rate of nothing is refused.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let trimmed = text.trim();
        match parse_size(trimmed.strip_suffix("/s").unwrap_or(trimmed))? {
            0 => Err(AmountError(format!(
                "{text:?} would stop every transfer: leave the key out for no limit"
            ))),
            bytes => Ok(Self {
                text: text.to_owned(),
                bytes,
            }),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A share such as `"1%"`: above 0, at most 100.
#[derive(Debug, Clone, PartialEq)]
pub struct Percent {
    text: std::borrow::Cow<'static, str>,
    /// The number before the sign.
    pub percent: f64,
}

impl Percent {
    /// One in a hundred.
    pub const ONE: Percent = Percent {
        text: std::borrow::Cow::Borrowed("1%"),
        percent: 1.0,
    };

    /// Reads a share.
    ///
    /// # Errors
    /// Anything but a number in range and a percent sign.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let number = text
            .trim()
            .strip_suffix('%')
            .map(str::trim)
            .and_then(|n| n.parse::<f64>().ok());
        match number {
            Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self {
                text: text.to_owned().into(),
                percent,
            }),
            _ => Err(AmountError(format!(
                "{text:?} is not a share: write it as \"1%\""
            ))),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ages() {
        for (text, seconds) in [
            ("30D", 30 * 86_400),
            ("2M", 60 * 86_400),
            ("1h78m", 8280),
            ("14 days", 14 * 86_400),
            ("36h", 36 * 3600),
            ("36 h", 36 * 3600),
            ("30s", 30),
            ("1 year 2 months", 425 * 86_400),
            ("1 week, 1 day", 8 * 86_400),
            ("5 minutes", 300),
            ("5min", 300),
            ("1W", 7 * 86_400),
        ] {
            assert_eq!(Age::parse(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in [
            "",
            "30",
            "5 m",
            "1 M",
            "5 parsecs",
            "days",
            "-1D",
            "999Y",
            "1.5h",
            "99999999999999999999 days",
        ] {
            assert!(Age::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Age::parse("5 m").unwrap_err().to_string(),
            "\"5 m\" is ambiguous: write minutes or months in full"
        );
    }

    #[test]
    fn sizes_rates_shares() {
        for (text, bytes) in [
            ("200 MiB", 200 << 20),
            ("25M", 25 << 20),
            ("1.5 GiB", 3 << 29),
            ("100", 100),
            ("2kB", 2000),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "MiB",
            "1 parsec",
            "-5",
            "1.2.3K",
            "999999999999 TiB",
            "NaN",
        ] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Rate::parse("5 MiB/s").unwrap().bytes, 5 << 20);
        assert!(Rate::parse("0").is_err());
        assert_eq!(Percent::parse("1%").unwrap().percent, 1.0);
        for bad in ["101%", "5", "0%", "NaN%", "inf%"] {
            assert!(Percent::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_amount_or_an_error(text in "\\PC{0,20}|[0-9a-zA-Z. ]{0,20}") {
            let _ = (Age::parse(&text), parse_size(&text), Rate::parse(&text), Percent::parse(&text));
        }
    }
}
