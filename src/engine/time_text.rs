//! Times and intervals as people type them, in duplicity's grammar. docs/format.md, "Times", is the table.
//!
//! Parsing never looks at a clock or a zone: [`TimeText`] holds what was typed, [`TimeText::at`] gives the point
//! in time it means for a given now and zone.

use super::time::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use std::fmt;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
// COMPAT(dup all): months and years of intervals are 30 and 365 days.
const MONTH: i64 = 30 * DAY;
const YEAR: i64 = 365 * DAY;

/// A time as typed: `now`, `3D`, `2026-11-20`, `2026-11-20T21:54:23Z`, or seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeText {
    text: String,
    meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Now,
    Instant(i64),
    /// A clock time that says no zone.
    Local(civil::DateTime),
    /// So many seconds ago.
    Ago(i64),
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time")]
pub struct TimeTextError {
    text: String,
}

impl TimeTextError {
    /// The forms that are understood, for a hint.
    pub fn hint() -> &'static str {
        "use an age such as 3D or 1h30m, a date such as 2026-11-20, a time such as 2026-11-20T21:54:23Z, or now"
    }
}

impl TimeText {
    /// Reads a time. `separator` stands between the fields of clock times, `:` unless the user chose another.
    ///
    /// # Errors
    /// A text that is none of the forms.
    pub fn parse(text: &str, separator: char) -> Result<Self, TimeTextError> {
        let meaning = if text == "now" {
            Some(Meaning::Now)
        } else if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            text.parse().ok().map(Meaning::Instant)
        } else {
            None
        };
        meaning
            .or_else(|| clock_time(text, separator))
            .or_else(|| interval_seconds(text).map(Meaning::Ago))
            .or_else(|| date(text))
            .map(|meaning| Self {
                text: text.to_owned(),
                meaning,
            })
            .ok_or_else(|| TimeTextError {
                text: text.to_owned(),
            })
    }

    /// The point in time meant, seen from `now` in `zone`.
    // COMPAT(dup all): a time without zone is standard time of the local zone, in summer too.
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self.meaning {
            Meaning::Now => now,
            Meaning::Instant(seconds) => Timestamp(seconds),
            Meaning::Ago(seconds) => now.plus(-seconds),
            Meaning::Local(time) => {
                let utc = time
                    .to_zoned(TimeZone::UTC)
                    .map_or(0, |z| z.timestamp().as_second());
                Timestamp(utc - standard_offset(zone, now))
            }
        }
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is an interval counted back from now.
    pub fn is_interval(&self) -> bool {
        matches!(self.meaning, Meaning::Ago(_))
    }
}

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The point in time a text means, with `:` in clock times.
///
/// # Errors
/// A text that is no time.
pub fn parse_time(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, TimeTextError> {
    TimeText::parse(text, ':').map(|t| t.at(now, zone))
}

/// Seconds of an interval such as `1h78m`; `None` if it is not one.
pub fn interval_seconds(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut digits = String::new();
    let mut units = 0;
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => MINUTE,
            'h' => HOUR,
            'D' => DAY,
            'W' => 7 * DAY,
            'M' => MONTH,
            'Y' => YEAR,
            _ => return None,
        };
        let count: i64 = digits.parse().ok()?;
        total = total.checked_add(count.checked_mul(unit)?)?;
        digits.clear();
        units += 1;
    }
    (units > 0 && digits.is_empty()).then_some(total)
}

/// Offset of the zone's standard time in seconds: the smaller of its offsets in January and July of this year.
fn standard_offset(zone: &TimeZone, now: Timestamp) -> i64 {
    let year = jiff::Timestamp::from_second(now.as_secs())
        .map_or(2000, |t| t.to_zoned(zone.clone()).year());
    let offset = |month| {
        let time =
            civil::Date::new(year, month, 1).and_then(|d| d.at(12, 0, 0, 0).to_zoned(zone.clone()));
        time.map_or(0, |z| i64::from(z.offset().seconds()))
    };
    offset(1).min(offset(7))
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i32> {
    let plain = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A day as the format allows it: months to 12, days to 31, then carried over as a calendar would.
fn day(year: i32, month: i32, day: i32) -> Option<civil::Date> {
    if !(1901..=2099).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let first = civil::Date::new(year.try_into().ok()?, month.try_into().ok()?, 1).ok()?;
    first
        .checked_add(jiff::Span::new().days(i64::from(day) - 1))
        .ok()
}

/// `YYYY-MM-DDThh:mm:ss` with or without zone, or `YYYYMMDDThhmmssZ`.
fn clock_time(text: &str, separator: char) -> Option<Meaning> {
    let (date_part, rest) = text.split_once('T')?;
    // COMPAT(dup all): whatever stands in the last place, it is read as Z.
    if date_part.len() == 8 && rest.chars().count() == 7 && !rest.contains(['T', '\n']) {
        let d = day(
            number(date_part.get(..4)?, 4..=4)?,
            number(date_part.get(4..6)?, 2..=2)?,
            number(date_part.get(6..)?, 2..=2)?,
        )?;
        return instant(
            at_time(d, rest.get(..2)?, rest.get(2..4)?, rest.get(4..6)?)?,
            0,
        );
    }
    let mut fields = date_part.split('-');
    let d = day(
        number(fields.next()?, 4..=4)?,
        number(fields.next()?, 2..=2)?,
        number(fields.next()?, 2..=2)?,
    )?;
    if fields.next().is_some() {
        return None;
    }
    let width = 6 + 2 * separator.len_utf8();
    let (clock, zone) = (rest.get(..width)?, rest.get(width..)?);
    let mut fields = clock.split(separator);
    let local = at_time(d, fields.next()?, fields.next()?, fields.next()?)?;
    if fields.next().is_some() {
        return None;
    }
    if zone.is_empty() {
        return Some(Meaning::Local(local));
    }
    if zone == "Z" {
        return instant(local, 0);
    }
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(separator)?;
    let (hours, minutes) = (number(hours, 2..=2)?, number(minutes, 2..=2)?);
    // COMPAT(dup all): duplicity adds the minutes of a negative offset instead of taking them off (-03:30 becomes
    // -02:30 there). Here the text means what RFC 3339 says.
    instant(
        local,
        sign * (i64::from(hours) * HOUR + i64::from(minutes) * MINUTE),
    )
}

/// A time of day, up to two leap seconds included, which run into the next minute.
fn at_time(day: civil::Date, hour: &str, minute: &str, second: &str) -> Option<civil::DateTime> {
    let field = |text, most| {
        let n = number(text, 2..=2).and_then(|n| i8::try_from(n).ok())?;
        (n <= most).then_some(n)
    };
    let (hour, minute, second) = (field(hour, 23)?, field(minute, 59)?, field(second, 61)?);
    let time = civil::Time::new(hour, minute, 0, 0).ok()?;
    day.to_datetime(time)
        .checked_add(jiff::Span::new().seconds(second))
        .ok()
}

// COMPAT(dup all): the first second of 1970 is no time, there and in names.
fn instant(local: civil::DateTime, offset_seconds: i64) -> Option<Meaning> {
    let utc = local.to_zoned(TimeZone::UTC).ok()?;
    let seconds = utc.timestamp().as_second() - offset_seconds;
    (seconds != 0).then_some(Meaning::Instant(seconds))
}

/// `YYYY-MM-DD`, `MM/DD/YYYY` and their mixtures, or `YYYYMMDDZ`.
fn date(text: &str) -> Option<Meaning> {
    if let Some(digits) = text.strip_suffix('Z').filter(|d| d.len() == 8) {
        let d = day(
            number(digits.get(..4)?, 4..=4)?,
            number(digits.get(4..6)?, 2..=2)?,
            number(digits.get(6..)?, 2..=2)?,
        )?;
        return Some(Meaning::Local(d.to_datetime(civil::Time::midnight())));
    }
    let fields: Vec<&str> = text.split(['-', '/']).collect();
    let [a, b, c] = fields.as_slice() else {
        return None;
    };
    let d = if a.len() == 4 {
        day(number(a, 4..=4)?, number(b, 1..=2)?, number(c, 1..=2)?)?
    } else {
        day(number(c, 4..=4)?, number(a, 1..=2)?, number(b, 1..=2)?)?
    };
    Some(Meaning::Local(d.to_datetime(civil::Time::midnight())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_700_000_000);

    fn utc(text: &str) -> Option<i64> {
        parse_time(text, NOW, &TimeZone::UTC)
            .ok()
            .map(Timestamp::as_secs)
    }

    #[test]
    fn the_table_of_the_format() {
        for (text, seconds) in [
            ("now", 1_700_000_000),
            ("5", 5),
            ("20020305", 20_020_305),
            ("1h78m", 1_699_991_720),
            ("3D64s", 1_699_740_736),
            ("1M", 1_697_408_000),
            ("1Y", 1_668_464_000),
            ("1W", 1_699_395_200),
            ("2002-01-25T07:00:00+02:00", 1_011_934_800),
            ("20020125T070000Z", 1_011_942_000),
            ("2002-01-25T06:59:60Z", 1_011_942_000),
            ("2002/03-5", 1_015_286_400),
            ("3/5/2002", 1_015_286_400),
            ("03-05-2002", 1_015_286_400),
            ("2002-3-05", 1_015_286_400),
            ("20020305Z", 1_015_286_400),
            ("2002-02-31", 1_015_113_600),
        ] {
            assert_eq!(utc(text), Some(seconds), "{text}");
        }
        for bad in [
            "5d",
            "1h 3m",
            "s",
            "3D2",
            "1.5h",
            "-5",
            "",
            "NOW",
            "2002-13-01",
            "99/99/2002",
            "1899-01-01",
            "2100-01-01",
            "2002-01-25T7:00:00",
            "2002-01-25T25:00:00Z",
            "2002-01-25T23:59:62Z",
            "1970-01-01T00:00:00Z",
            "20020125T070000+0100",
            "9999999999999999Y",
        ] {
            assert_eq!(utc(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_time_without_zone_is_standard_time() {
        let new_york = TimeZone::get("America/New_York").unwrap();
        let at = |text| parse_time(text, NOW, &new_york).unwrap().as_secs();
        assert_eq!(at("2002-06-25T07:00:00"), 1_025_006_400);
        assert_eq!(at("2002-06-25"), 1_025_006_400 - 7 * HOUR);
        assert_eq!(at("2002-06-25T07:00:00Z"), 1_025_006_400 - 5 * HOUR);
    }

    #[test]
    fn the_separator_can_be_chosen() {
        let t = TimeText::parse("2002-01-25T07_00_00+02_00", '_').unwrap();
        assert_eq!(t.at(NOW, &TimeZone::UTC).as_secs(), 1_011_934_800);
        assert!(TimeText::parse("2002-01-25T07:00:00Z", '_').is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_an_error(text in "\\PC{0,30}|[0-9TZsmhDWMY:/+-]{0,24}") {
            let _ = parse_time(&text, NOW, &TimeZone::UTC);
        }
    }
}
